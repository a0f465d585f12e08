//! Items with other fields.

use super::Item;
use crate::json;

impl Item {
    /// The item with other values for the fields called `key`; `None` if nothing changes.
    pub(crate) fn with_field(
        &self,
        key: &str,
        edit: impl Fn(&str) -> Option<String>,
    ) -> Option<Self> {
        json::with_field(&self.text(), key, edit).map(|json| Self::from_object(&json))
    }

    /// The item with `value` in the field `key`. A new field comes last.
    pub(crate) fn set_field(&self, key: &str, value: &str) -> Self {
        let text = self.text();
        let changed = json::with_field(&text, key, |_| Some(value.to_owned()));
        Self::from_object(&changed.unwrap_or_else(|| json::with_new_field(&text, key, value)))
    }
}
