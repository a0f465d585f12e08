//! The fields of an envelope, in their order.

use std::fmt;

use jiff::Timestamp;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::RecordKind;
use crate::error::{Error, excerpt};

pub(crate) type Field<'a> = (String, &'a RawValue);

/// Takes the one field called `field` out of `fields`.
pub(crate) fn take<'a>(
    fields: &mut Vec<Field<'a>>,
    field: &'static str,
    line: &[u8],
) -> Result<&'a RawValue, Error> {
    let mut found = fields.extract_if(.., |(name, _)| name == field);
    match (found.next(), found.next()) {
        (Some((_, value)), None) => Ok(value),
        (None, _) => Err(Error::MissingField { field, excerpt: excerpt(line) }),
        _ => Err(Error::RepeatedField { field, excerpt: excerpt(line) }),
    }
}

pub(crate) fn read_kind(value: &RawValue) -> Result<RecordKind, Error> {
    serde_json::from_str::<String>(value.get())
        .map(RecordKind::from)
        .map_err(|_| Error::BadType { excerpt: excerpt(value.get().as_bytes()) })
}

pub(super) fn read_timestamp(value: &RawValue) -> Result<Timestamp, Error> {
    serde_json::from_str::<String>(value.get())
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| Error::BadTimestamp { excerpt: excerpt(value.get().as_bytes()) })
}

/// The fields of an object in their order, values untouched.
pub(crate) struct Fields<'a>(pub(crate) Vec<Field<'a>>);

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor).map(Fields)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Vec<Field<'de>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Vec::with_capacity(4);
        while let Some(field) = map.next_entry()? {
            fields.push(field);
        }
        Ok(fields)
    }
}
