//! JSON text handled without losing a byte of meaning: objects with their key order, and compaction
//! of insignificant white space.
//!
//! An item's text is validated once, by `serde_json`, when the item is made. What reads it later
//! relies on that: it goes from quote to quote, and would find nonsense, never panic, in a text
//! that is not JSON.

use std::borrow::Cow;

use memchr::{memchr, memmem};

/// The fields of a JSON object in their order, values untouched.
pub(crate) struct RawObject<'a>(pub(crate) Vec<(Cow<'a, str>, &'a str)>);

impl<'a> RawObject<'a> {
    /// Reads an object without white space between its tokens; `None` if `json` is anything else.
    pub(crate) fn parse(json: &'a str) -> Option<Self> {
        fields(json).map(|fields| Self(fields.collect()))
    }

    /// The raw text of the first field called `key`.
    pub(crate) fn field(&self, key: &str) -> Option<&'a str> {
        let (_, value) = self.0.iter().find(|(name, _)| name == key)?;
        Some(value)
    }

    /// Whether the first field called `key` holds anything but null or the empty text.
    pub(crate) fn has(&self, key: &str) -> bool {
        !matches!(self.field(key), None | Some("null" | "\"\""))
    }
}

/// The fields of a JSON object without white space between its tokens, values untouched; `None` if
/// `json` is anything else.
pub(crate) fn fields(json: &str) -> Option<impl Iterator<Item = (Cow<'_, str>, &str)>> {
    raw_fields(json).map(|fields| fields.map(|(key, value)| (unquote(key), value)))
}

/// The same with names as they are written, quotes included.
fn raw_fields(json: &str) -> Option<impl Iterator<Item = (&str, &str)>> {
    let mut rest = json.strip_prefix('{')?;
    Some(std::iter::from_fn(move || {
        if !rest.starts_with('"') {
            return None;
        }
        let (key, after) = rest.split_at(string_len(rest));
        let (value, after) = take_value(after.strip_prefix(':')?);
        rest = after;
        Some((key, value))
    }))
}

/// What becomes of a value.
pub(crate) enum Change {
    To(String),
    Gone,
}

/// `object` with other values for the fields called `key`, everything else as it was; `None` if
/// nothing changes.
pub(crate) fn with_field(
    object: &str,
    key: &str,
    edit: impl Fn(&str) -> Option<String>,
) -> Option<String> {
    change_field(object, key, |value| edit(value).map(Change::To))
}

/// The same for an edit that may also remove the fields.
pub(crate) fn change_field(
    object: &str,
    key: &str,
    change: impl Fn(&str) -> Option<Change>,
) -> Option<String> {
    let mut is_changed = false;
    let kept = fields(object)?.filter_map(|(name, value)| {
        let change = if name == key { change(value) } else { None };
        let value = changed(value, change, &mut is_changed)?;
        Some(format!("{}:{value}", quoted(&name)))
    });
    let kept = kept.collect::<Vec<_>>().join(",");
    is_changed.then(|| format!("{{{kept}}}"))
}

/// `list` with another element at `position`, or without it; `None` if nothing changes.
pub(crate) fn change_element(
    list: &str,
    position: usize,
    change: impl Fn(&str) -> Option<Change>,
) -> Option<String> {
    let mut is_changed = false;
    let kept = elements(list)?.enumerate().filter_map(|(at, value)| {
        let change = if at == position { change(value) } else { None };
        changed(value, change, &mut is_changed)
    });
    let kept = kept.collect::<Vec<_>>().join(",");
    is_changed.then(|| format!("[{kept}]"))
}

fn changed<'a>(
    value: &'a str,
    change: Option<Change>,
    is_changed: &mut bool,
) -> Option<Cow<'a, str>> {
    *is_changed |= change.is_some();
    match change {
        None => Some(Cow::Borrowed(value)),
        Some(Change::To(value)) => Some(Cow::Owned(value)),
        Some(Change::Gone) => None,
    }
}

/// `object` with a field more, behind the others.
pub(crate) fn with_new_field(object: &str, key: &str, value: &str) -> String {
    let fields = object.strip_suffix('}').unwrap_or(object);
    let comma = if fields == "{" { "" } else { "," };
    format!("{fields}{comma}{}:{value}}}", quoted(key))
}

/// `object` without the fields whose names `is_gone` takes; the others byte for byte.
pub(crate) fn without_fields(object: &str, is_gone: impl Fn(&str) -> bool) -> String {
    let mut kept = String::with_capacity(object.len());
    for (key, value) in raw_fields(object).into_iter().flatten() {
        if !is_gone(&unquote(key)) {
            kept.extend([if kept.is_empty() { "{" } else { "," }, key, ":", value]);
        }
    }
    kept.push_str(if kept.is_empty() { "{}" } else { "}" });
    kept
}

/// The elements of a JSON array without white space between its tokens, untouched; `None` if `json`
/// is anything else.
pub(crate) fn elements(json: &str) -> Option<impl Iterator<Item = &str>> {
    let mut rest = json.strip_prefix('[')?;
    Some(std::iter::from_fn(move || {
        if rest.is_empty() || rest.starts_with(']') {
            return None;
        }
        let (value, after) = take_value(rest);
        rest = after;
        Some(value).filter(|value| !value.is_empty())
    }))
}

/// The value that `json` begins with, and what follows the comma behind it.
fn take_value(json: &str) -> (&str, &str) {
    let (value, after) = json.split_at(value_len(json));
    (value, after.strip_prefix(',').unwrap_or(after))
}

fn value_len(json: &str) -> usize {
    match json.as_bytes().first() {
        Some(b'"') => string_len(json),
        Some(b'{' | b'[') => container_len(json),
        _ => json.find([',', '}', ']']).unwrap_or(json.len()),
    }
}

/// The length of the object or array that `json` begins with.
fn container_len(json: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while let Some(byte) = json.as_bytes().get(at) {
        match byte {
            b'"' => {
                at += string_len(&json[at..]);
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
        if depth == 0 {
            break;
        }
    }
    at
}

/// What stands between the quotes of a JSON string, escapes as they are.
pub(crate) fn between_quotes(json: &str) -> &str {
    json.get(1..json.len().saturating_sub(1)).unwrap_or_default()
}

/// What a JSON string says; as it stands there if that is no text.
fn unquote(json: &str) -> Cow<'_, str> {
    string(json).unwrap_or_else(|| Cow::Borrowed(between_quotes(json)))
}

/// What a JSON value says, if it is a string that is text.
pub(crate) fn string(json: &str) -> Option<Cow<'_, str>> {
    let inner = json.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') {
        return serde_json::from_str(json).ok().map(Cow::Owned);
    }
    Some(Cow::Borrowed(inner))
}

/// The same for a value that was not [mended](mend).
pub(crate) fn mended_string(json: &str) -> Option<Cow<'_, str>> {
    match mend(json) {
        Cow::Borrowed(json) => string(json),
        Cow::Owned(mended) => string(&mended).map(|text| Cow::Owned(text.into_owned())),
    }
}

/// Removes white space between tokens, so that the text is one line. Strings are not touched.
pub(crate) fn compact(json: &str) -> Cow<'_, str> {
    if !spans(json).any(|(tokens, _)| tokens.bytes().any(is_space)) {
        return Cow::Borrowed(json);
    }
    let mut compacted = String::with_capacity(json.len());
    for (tokens, string) in spans(json) {
        compacted.extend(tokens.chars().filter(|c| !c.is_ascii() || !is_space(*c as u8)));
        compacted.push_str(string);
    }
    Cow::Owned(compacted)
}

const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// Each string of a valid JSON text, quotes included, with the tokens before it. The last is empty.
fn spans(json: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = json;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let quote = rest.bytes().position(|byte| byte == b'"').unwrap_or(rest.len());
        let (tokens, from_string) = rest.split_at(quote);
        let (string, after) = from_string.split_at(string_len(from_string));
        rest = after;
        Some((tokens, string))
    })
}

/// The length of the string that `json` begins with, quotes included.
///
/// It ends at the first quote with an even number of backslashes before it. Looking for quotes alone
/// passes over the many escapes of line ends in one go.
pub(crate) fn string_len(json: &str) -> usize {
    let bytes = json.as_bytes();
    let mut at = 1;
    while let Some(quote) = bytes.get(at..).and_then(next_quote) {
        at += quote;
        let backslashes = bytes[..at].iter().rev().take_while(|byte| **byte == b'\\');
        at += 1;
        if backslashes.count() % 2 == 0 {
            return at;
        }
    }
    json.len()
}

/// Where the next quote is. JSON within a string has them every few bytes, so the first ones are
/// looked for without the start-up cost of a search for long runs.
fn next_quote(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    while let Some(word) = bytes[at..].first_chunk().filter(|_| at < 32) {
        let found = quotes(u64::from_le_bytes(*word));
        if found != 0 {
            return Some(at + (found.trailing_zeros() / 8) as usize);
        }
        at += 8;
    }
    memchr(b'"', &bytes[at..]).map(|found| at + found)
}

/// The high bit of the first byte of `word` that is a quote; of bytes behind it, bits may be set
/// that mean nothing.
const fn quotes(word: u64) -> u64 {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    let differing = word ^ (ONES * b'"' as u64);
    differing.wrapping_sub(ONES) & !differing & (ONES * 0x80)
}

/// Replaces escapes of half a surrogate pair (`\ud83d` alone) by that of the replacement character.
/// JSON's grammar allows them, but they are no text, and strict readers refuse the whole document.
pub(crate) fn mend(json: &str) -> Cow<'_, str> {
    if memmem::find(json.as_bytes(), b"\\u").is_none() {
        return Cow::Borrowed(json);
    }
    let mut mended: Option<String> = None;
    let mut at = 0;
    while let Some(offset) = json.get(at..).and_then(|rest| rest.find('\\')) {
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

/// `text` as a JSON string.
pub(crate) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Appends `text` as a JSON string, quotes included.
pub(crate) fn push_string(out: &mut Vec<u8>, text: &str) {
    let plain = |byte: u8| byte >= 0x20 && byte != b'"' && byte != b'\\';
    if text.bytes().all(plain) {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else {
        out.extend_from_slice(quoted(text).as_bytes());
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
    fn a_string_ends_at_its_quote_wherever_that_is() {
        for before in 0..100 {
            for escape in ["\\\"", "\\\\", "\\\\\\\"", "\\\"\\\\", "\\n", "é", "a", ""] {
                for behind in 0..10 {
                    let (before, behind) = ("x".repeat(before), "[".repeat(behind));
                    let string = format!("\"{before}{escape}{behind}\"");
                    assert_eq!(string_len(&format!("{string},\"x\\\"\"")), string.len());
                }
            }
        }
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
    fn what_is_not_changed_keeps_its_text() {
        let change = |value: &str| match value {
            "1" => Some(Change::Gone),
            "2" => Some(Change::To("[3]".into())),
            _ => None,
        };
        let (object, list) = (r#"{"a":1,"b":1e400,"a":2,"\u0061":0}"#, "[1,1e400,2,0]");
        let field = |key| change_field(object, key, change);
        assert_eq!(field("a").as_deref(), Some(r#"{"b":1e400,"a":[3],"a":0}"#));
        assert_eq!(field("b"), None);
        assert_eq!(change_field(list, "a", change), None);
        let element = |position| change_element(list, position, change);
        assert_eq!(element(0).as_deref(), Some("[1e400,2,0]"));
        assert_eq!(element(2).as_deref(), Some("[1,1e400,[3],0]"));
        assert_eq!([1, 3, 4].map(element), [None, None, None]);
        assert_eq!(change_element(object, 0, change), None);
        assert_eq!(change_element("[1]", 0, change).as_deref(), Some("[]"));
        assert_eq!(change_field(r#"{"a":1}"#, "a", change).as_deref(), Some("{}"));
        let other = |key: &str| key == "a";
        assert_eq!(without_fields(object, other), r#"{"b":1e400}"#);
        assert_eq!(
            without_fields(r#"{"\u0062":1,"a":0,"\/":[2, 3]}"#, other),
            r#"{"\u0062":1,"\/":[2, 3]}"#
        );
        assert_eq!(without_fields(r#"{"a":1}"#, other), "{}");
        assert_eq!(with_new_field("{}", "k\"", "1"), r#"{"k\"":1}"#);
        assert_eq!(with_new_field(r#"{"a":1}"#, "a", "2"), r#"{"a":1,"a":2}"#);
    }

    #[test]
    fn objects_keep_their_order_and_their_numbers() {
        let object = RawObject::parse(r#"{"z":1e400,"a":12345678901234567890123,"z":2}"#).unwrap();
        let fields: Vec<_> = object.0.iter().map(|(k, v)| (&**k, *v)).collect();
        assert_eq!(fields, [("z", "1e400"), ("a", "12345678901234567890123"), ("z", "2")]);
        assert!(RawObject::parse("[1]").is_none());
    }
}
