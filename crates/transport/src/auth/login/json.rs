//! JSON that holds secrets: read without copies that stay behind, written without losing what is
//! not understood.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

/// A string that is wiped when dropped.
pub(super) struct Text(pub(super) Zeroizing<String>);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Zeroizing::new(text)))
    }
}

/// The members of an object in their order, their values as they are written.
pub(super) struct Members<'a>(pub(super) Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;

        impl<'de> Visitor<'de> for Collect {
            type Value = Vec<(String, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(members)
            }
        }

        deserializer.deserialize_map(Collect).map(Members)
    }
}

/// A value to be written.
pub(super) enum Part<'a> {
    Raw(&'a str),
    Text(&'a str),
    Object(Vec<(String, Part<'a>)>),
}

/// Puts `part` in the place of the member `name`, or at the end.
pub(super) fn put<'a>(members: &mut Vec<(String, Part<'a>)>, name: &str, part: Part<'a>) {
    match members.iter_mut().find(|(key, _)| key == name) {
        Some((_, value)) => *value = part,
        None => members.push((name.into(), part)),
    }
}

/// The members of an object, to be written as they were.
pub(super) fn parts(members: Members<'_>) -> Vec<(String, Part<'_>)> {
    members.0.into_iter().map(|(name, raw)| (name, Part::Raw(raw.get()))).collect()
}

/// Writes an object, indented. `room_bytes` is reserved first, so that no copy of a secret stays
/// behind when the buffer grows.
pub(super) fn write(members: &[(String, Part<'_>)], room_bytes: usize) -> Zeroizing<Vec<u8>> {
    let mut out = Zeroizing::new(Vec::with_capacity(room_bytes));
    write_object(&mut out, members, 1);
    out.push(b'\n');
    out
}

fn write_object(out: &mut Vec<u8>, members: &[(String, Part<'_>)], depth: usize) {
    out.push(b'{');
    for (index, (name, part)) in members.iter().enumerate() {
        out.extend_from_slice(if index == 0 { b"\n" } else { b",\n" });
        out.extend(std::iter::repeat_n(b' ', 2 * depth));
        write_text(out, name);
        out.extend_from_slice(b": ");
        match part {
            Part::Raw(raw) => out.extend_from_slice(raw.as_bytes()),
            Part::Text(text) => write_text(out, text),
            Part::Object(members) => write_object(out, members, depth + 1),
        }
    }
    out.push(b'\n');
    out.extend(std::iter::repeat_n(b' ', 2 * (depth - 1)));
    out.push(b'}');
}

fn write_text(out: &mut Vec<u8>, text: &str) {
    // Writing a string to memory cannot fail.
    let _ = serde_json::to_writer(out, text);
}
