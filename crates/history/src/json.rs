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
    if !spans(json).any(|(tokens, _)| tokens.contains(is_space)) {
        return Cow::Borrowed(json);
    }
    let mut compacted = String::with_capacity(json.len());
    for (tokens, string) in spans(json) {
        compacted.extend(tokens.chars().filter(|c| !is_space(*c)));
        compacted.push_str(string);
    }
    Cow::Owned(compacted)
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}

/// Each string of a valid JSON text, quotes included, with the tokens before it. The last is empty.
fn spans(json: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = json;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (tokens, from_string) = rest.split_at(rest.find('"').unwrap_or(rest.len()));
        let (string, after) = from_string.split_at(string_len(from_string));
        rest = after;
        Some((tokens, string))
    })
}

/// The length of the string that `json` begins with, quotes included.
fn string_len(json: &str) -> usize {
    let mut quotes = json.match_indices('"').map(|(quote, _)| quote).skip(1);
    let is_escaped = |quote: &usize| {
        let before = json.as_bytes()[..*quote].iter().rev();
        before.take_while(|byte| **byte == b'\\').count() % 2 == 1
    };
    let end = quotes.find(|quote| !is_escaped(quote));
    end.map_or(json.len(), |quote| quote + 1)
}

/// Replaces escapes of half a surrogate pair (`\ud83d` alone) by that of the replacement character.
/// JSON's grammar allows them, but they are no text, and strict readers refuse the whole document.
pub(crate) fn mend(json: &str) -> Cow<'_, str> {
    if !json.contains("\\u") {
        return Cow::Borrowed(json);
    }
    let mut mended: Option<String> = None;
    let mut at = 0;
    while let Some(offset) = json[at..].find('\\') {
        at += offset;
        let rest = &json[at..];
        let (length, is_half) = match (surrogate(rest), rest.get(6..).and_then(surrogate)) {
            (Some(0xD800..0xDC00), Some(0xDC00..0xE000)) => (12, false),
            (Some(_), _) => (6, true),
            (None, _) => (2, false),
        };
        if is_half {
            let text = mended.get_or_insert_with(|| json.to_owned());
            text.replace_range(at..at + length, "\\ufffd");
        }
        at += length;
    }
    mended.map_or(Cow::Borrowed(json), Cow::Owned)
}

/// The surrogate that `json` begins with as an escape.
fn surrogate(json: &str) -> Option<u16> {
    let digits = json.strip_prefix("\\u")?.get(..4)?;
    let unit = u16::from_str_radix(digits, 16).ok()?;
    (0xD800..0xE000).contains(&unit).then_some(unit)
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
        let pretty =
            "{ \"a b\" : [ 1.50 ,\n\t\"x \\\" y\\\\\" , \"\\\\\\\" é\" , \"\" , null ] }\r\n";
        let compacted = r#"{"a b":[1.50,"x \" y\\","\\\" é","",null]}"#;
        assert_eq!(compact(pretty), compacted);
        assert!(matches!(compact(compacted), Cow::Borrowed(_)));
        assert!(matches!(compact(r#"{"a":" b"}"#), Cow::Borrowed(_)));
    }

    #[test]
    fn half_a_surrogate_pair_is_replaced_and_nothing_else() {
        let table = [
            (r"\ud83d\ude00 é \\ \n", r"\ud83d\ude00 é \\ \n"),
            (r"\ud83d", r"\ufffd"),
            (r"\uDE00\uD83D x", r"\ufffd\ufffd x"),
            (r"\ud83d\ud83d\ude00", r"\ufffd\ud83d\ude00"),
            (r"\\ud83d \u00e9", r"\\ud83d \u00e9"),
        ];
        for (text, expected) in table {
            let (json, expected) = (format!("\"{text}\""), format!("\"{expected}\""));
            assert_eq!(mend(&json), expected);
            assert!(serde_json::from_str::<String>(&expected).is_ok());
        }
    }

    #[test]
    fn objects_keep_their_order_and_their_numbers() {
        let object = RawObject::parse(r#"{"z":1e400,"a":12345678901234567890123,"z":2}"#).unwrap();
        let fields: Vec<_> = object.0.iter().map(|(k, v)| (&**k, v.get())).collect();
        assert_eq!(fields, [("z", "1e400"), ("a", "12345678901234567890123"), ("z", "2")]);
        assert!(RawObject::parse("[1]").is_none());
    }
}
