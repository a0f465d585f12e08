//! JSON text handled without losing a byte of meaning: objects with their key order, and compaction
//! of insignificant white space.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;

/// The fields of a JSON object in their order, values untouched.
pub(crate) struct RawObject<'a>(pub(crate) Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> RawObject<'a> {
    /// Reads an object; `None` if `json` is anything else.
    pub(crate) fn parse(json: &'a str) -> Option<Self> {
        serde_json::from_str(json).ok()
    }

    /// The raw text of the first field called `key`.
    pub(crate) fn field(&self, key: &str) -> Option<&'a str> {
        let (_, value) = self.0.iter().find(|(name, _)| name == key)?;
        Some(value.get())
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for RawObject<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = RawObject<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::with_capacity(8);
                while let Some((Key(key), value)) = map.next_entry()? {
                    fields.push((key, value));
                }
                Ok(RawObject(fields))
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

/// A key, borrowed where it has no escapes.
#[derive(Deserialize)]
#[serde(transparent)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

/// The elements of a JSON array, untouched; `None` if `json` is anything else.
pub(crate) fn elements(json: &str) -> Option<Vec<&RawValue>> {
    serde_json::from_str(json).ok()
}

/// Removes white space between tokens, so that the text is one line. Strings are not touched.
pub(crate) fn compact(json: &str) -> Cow<'_, str> {
    if !has_space_between_tokens(json) {
        return Cow::Borrowed(json);
    }
    let mut strings = Strings::default();
    let kept = json
        .chars()
        .filter(|c| strings.inside(*c) || !is_space(*c))
        .collect();
    Cow::Owned(kept)
}

fn has_space_between_tokens(json: &str) -> bool {
    let mut strings = Strings::default();
    json.chars().any(|c| !strings.inside(c) && is_space(c))
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}

/// Follows the quotes of a valid JSON text.
#[derive(Default)]
struct Strings {
    open: bool,
    escaped: bool,
}

impl Strings {
    /// Whether `next` belongs to a string, its quotes included.
    fn inside(&mut self, next: char) -> bool {
        let was_open = self.open;
        if self.escaped {
            self.escaped = false;
        } else if self.open && next == '\\' {
            self.escaped = true;
        } else if next == '"' {
            self.open = !self.open;
        }
        was_open || self.open
    }
}

/// Appends `text` as a JSON string, quotes included.
pub(crate) fn push_string(out: &mut Vec<u8>, text: &str) {
    let plain = |byte: u8| byte >= 0x20 && byte != b'"' && byte != b'\\';
    if text.bytes().all(plain) {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else {
        out.extend_from_slice(serde_json::Value::from(text).to_string().as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compaction_keeps_what_strings_hold() {
        let pretty = "{ \"a b\" : [ 1.50 ,\n\t\"x \\\" y\\\\\" , null ] }\r\n";
        assert_eq!(compact(pretty), r#"{"a b":[1.50,"x \" y\\",null]}"#);
        assert!(matches!(compact(r#"{"a":" b"}"#), Cow::Borrowed(_)));
    }

    #[test]
    fn objects_keep_their_order_and_their_numbers() {
        let object = RawObject::parse(r#"{"z":1e400,"a":12345678901234567890123,"z":2}"#).unwrap();
        let fields: Vec<_> = object.0.iter().map(|(k, v)| (&**k, v.get())).collect();
        assert_eq!(
            fields,
            [("z", "1e400"), ("a", "12345678901234567890123"), ("z", "2")]
        );
        assert!(RawObject::parse("[1]").is_none());
    }
}
