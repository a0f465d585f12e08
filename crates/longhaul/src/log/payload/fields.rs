//! Payloads that a later version may have written: read field by field, and what cannot be read is told.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// So much of what cannot be read is shown.
const SHOWN_CHARS: usize = 80;

/// The fields of a payload, of which each is read by itself.
pub(in crate::log) struct Fields<'a> {
    left: Map<String, Value>,
    /// It is an object.
    pub(in crate::log) is_object: bool,
    /// What it is, and where.
    what: &'a str,
    /// A sentence for each field that cannot be read.
    unread: &'a mut Vec<String>,
}

impl<'a> Fields<'a> {
    pub(in crate::log) fn of(json: &str, what: &'a str, unread: &'a mut Vec<String>) -> Self {
        let fields = serde_json::from_str::<Map<String, Value>>(json);
        let is_object = fields.is_ok();
        if !is_object {
            unread.push(format!("the {what} cannot be read"));
        }
        Self { is_object, ..Self::of_map(fields.unwrap_or_default(), what, unread) }
    }

    pub(in crate::log) fn of_map(
        left: Map<String, Value>,
        what: &'a str,
        unread: &'a mut Vec<String>,
    ) -> Self {
        Self { left, is_object: true, what, unread }
    }

    /// A field that has to be there: what it says, or else this, which is then told to `hold`.
    pub(in crate::log) fn require<T: DeserializeOwned>(
        &mut self,
        name: &str,
        otherwise: T,
        holds: &str,
    ) -> T {
        if self.is_object && !self.left.contains_key(name) {
            self.unread.push(format!("the {} have no `{name}`; {holds}", self.what));
        }
        self.read(name, holds).and_then(Result::ok).unwrap_or(otherwise)
    }

    /// What a field says; an error if that cannot be read, `None` if it is not there.
    pub(in crate::log) fn read<T: DeserializeOwned>(
        &mut self,
        name: &str,
        holds: &str,
    ) -> Option<Result<T, Unreadable>> {
        let value = self.left.remove(name)?;
        Some(T::deserialize(&value).map_err(|_| {
            let shown: String = value.to_string().chars().take(SHOWN_CHARS).collect();
            let what = self.what;
            self.unread.push(format!("the {what}: `{name}` cannot be read ({shown}); {holds}"));
            Unreadable
        }))
    }
}

/// That has been told.
pub(in crate::log) struct Unreadable;
