//! Base instructions, encoded once.

use std::fmt;
use std::sync::Arc;

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

/// Base instructions as JSON: every request copies the bytes. Cloning shares.
///
/// ```
/// use longhaul_transport::request::Instructions;
///
/// let instructions = Instructions::from("Be \"brief\".");
/// assert_eq!(instructions.as_json(), r#""Be \"brief\".""#);
/// ```
#[derive(Clone)]
pub struct Instructions(Arc<RawValue>);

impl Instructions {
    /// The text as a JSON string.
    pub fn as_json(&self) -> &str {
        self.0.get()
    }
}

impl From<&str> for Instructions {
    fn from(text: &str) -> Self {
        // A string always serialises.
        let json = serde_json::value::to_raw_value(text);
        Self(Arc::from(json.unwrap_or_else(|_| RawValue::NULL.to_owned())))
    }
}

impl From<String> for Instructions {
    fn from(text: String) -> Self {
        text.as_str().into()
    }
}

impl From<Arc<str>> for Instructions {
    fn from(text: Arc<str>) -> Self {
        (&*text).into()
    }
}

impl PartialEq for Instructions {
    fn eq(&self, other: &Self) -> bool {
        self.as_json() == other.as_json()
    }
}

impl Eq for Instructions {}

impl Serialize for Instructions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl fmt::Debug for Instructions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Instructions").field(&self.as_json()).finish()
    }
}
