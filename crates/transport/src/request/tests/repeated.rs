//! No body has a key twice: servers differ in which of the two they read.

use std::collections::BTreeSet;
use std::fmt;

use proptest::prelude::*;
use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::*;

/// JSON in which no object has a key twice.
struct Unrepeated;

impl<'de> Deserialize<'de> for Unrepeated {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Unrepeated;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Unrepeated, A::Error> {
        let mut keys = BTreeSet::new();
        while let Some((key, _)) = map.next_entry::<String, Unrepeated>()? {
            if !keys.insert(key.clone()) {
                return Err(A::Error::custom(format!("`{key}` is there twice")));
            }
        }
        Ok(Unrepeated)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Unrepeated, A::Error> {
        while list.next_element::<Unrepeated>()?.is_some() {}
        Ok(Unrepeated)
    }

    fn visit_str<E>(self, _: &str) -> Result<Unrepeated, E> {
        Ok(Unrepeated)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Unrepeated, E> {
        Ok(Unrepeated)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Unrepeated, E> {
        Ok(Unrepeated)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Unrepeated, E> {
        Ok(Unrepeated)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Unrepeated, E> {
        Ok(Unrepeated)
    }

    fn visit_unit<E>(self) -> Result<Unrepeated, E> {
        Ok(Unrepeated)
    }
}

fn read(json: &str) -> Result<(), String> {
    serde_json::from_str::<Unrepeated>(json).map(|_| ()).map_err(|error| error.to_string())
}

#[test]
fn the_reader_sees_what_is_there_twice() {
    assert!(read(r#"{"a":[{"b":1,"b":2}]}"#).unwrap_err().contains("`b`"));
    assert!(read(r#"{"mod\u0065l":1,"model":2}"#).unwrap_err().contains("`model`"));
    assert_eq!(read(r#"{"a":{"a":[null,1.5,-1,true,"a"]}}"#), Ok(()));
}

/// Names of own fields, names near them, and others.
fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(OWN_FIELDS).prop_map(str::to_owned),
        prop::sample::select(OWN_FIELDS).prop_map(|field| format!("{field}.x")),
        prop::sample::select(OWN_FIELDS).prop_map(str::to_uppercase),
        "[a-z._]{0,12}",
        ".{0,4}",
    ]
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<i32>().prop_map(|number| json!(number)),
        ".{0,8}".prop_map(|text| json!(text)),
        "[a-z]{0,4}".prop_map(|text| json!({"verbosity": [text]})),
    ]
}

proptest! {
    #[test]
    fn further_fields_never_repeat_a_key(
        extra in prop::collection::btree_map(key(), value(), 0..6),
        is_full in any::<bool>(),
    ) {
        let mut request = if is_full { full() } else { request("gpt-5") };
        request.options.extra = extra.clone().into_iter().collect();
        let own = |key: &&String| OWN_FIELDS.contains(&key.split('.').next().unwrap());
        match encode(&request, &Provider::neutral()) {
            Ok(body) => {
                prop_assert_eq!(extra.keys().find(own), None);
                let body = std::str::from_utf8(&body).unwrap();
                prop_assert_eq!(read(body), Ok(()));
                let body: Value = serde_json::from_str(body).unwrap();
                for (key, value) in &extra {
                    let sent = Some(value).filter(|value| !value.is_null());
                    prop_assert_eq!(body.get(key), sent);
                }
            }
            Err(error) => {
                prop_assert_eq!(error.code(), ErrorCode::InvalidRequest);
                let named = extra.keys().filter(own).any(|key| error.to_string().contains(key));
                prop_assert!(named, "{}", error);
            }
        }
    }
}
