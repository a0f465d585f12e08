//! What fits Rust types, and is read as them.

use std::fmt::Debug;

use proptest::prelude::*;
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::super::instance::instance;
use super::super::naive::{Nulls, fits};
use super::*;
use crate::output::{read, schema_of, strict_schema_of};

/// Values of `T` fit its strict schema and are read again; so is whatever else fits it.
fn holds<T>(values: &[T])
where
    T: JsonSchema + Serialize + DeserializeOwned + PartialEq + Debug,
{
    let (given, schema) = (schema_of::<T>(), strict_schema_of::<T>().unwrap());
    for value in values {
        let json = serde_json::to_value(value).unwrap();
        assert!(fits(&given, &given, &json, Nulls::Null), "{json} as given");
        assert!(fits(&schema, &schema, &json, Nulls::Null), "{json} in {schema}");
        assert_eq!(read::<T>(&json.to_string()).unwrap(), *value);
    }
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(choices in proptest::collection::vec(any::<u8>(), 0..60))| {
        let json = instance(&schema, choices);
        prop_assert!(fits(&schema, &schema, &json, Nulls::Null), "{} in {}", json, schema);
        if let Err(error) = read::<T>(&json.to_string()) {
            prop_assert!(false, "{}: {}", json, error);
        }
    });
}

fn places() -> [Place; 2] {
    [Place { north: -59.5, note: None }, Place { north: 7.0, note: Some("here".into()) }]
}

#[test]
fn what_fits_a_type_fits_its_strict_schema_and_is_read() {
    holds(&[Nothing {}]);
    holds(&places());
    holds(&[Scalars {
        a_bool: true,
        b_char: 'é',
        c_u8: 255,
        d_i64: i64::MIN,
        e_f32: 0.5,
        f_unit: (),
        g_u32: None,
    }]);
    let [one, other] = places();
    holds(&[Nested {
        here: one.clone(),
        other: None,
        list: vec![None, Some(other.clone())],
        boxed: Box::new(places()),
    }]);
    let named = Untagged::Named { x: true };
    holds(&[
        Enums {
            unit: Unit::A,
            no_unit: None,
            told: Told::A,
            no_told: Some(Told::B),
            external: External::Named { x: true, y: None },
            internal: Internal::Other(one.clone()),
            adjacent: Adjacent::One(7),
            untagged: named,
        },
        Enums {
            unit: Unit::B,
            no_unit: Some(Unit::A),
            told: Told::B,
            no_told: None,
            external: External::Other(other),
            internal: Internal::Nothing,
            adjacent: Adjacent::Nothing,
            untagged: Untagged::Number(0),
        },
    ]);
    let chain = Chain { value: 1, next: Some(Box::new(Chain { value: 2, next: None })) };
    holds(std::slice::from_ref(&chain));
    let tree = Tree::Fork { left: Box::new(Tree::Leaf), right: Box::new(Tree::Leaf) };
    holds(&[Forest { tree, chain }]);
    holds(&[Renamed { first_name: "a".into(), last_name: None }]);
    holds(&[Flat { name: "a".into(), place: one }]);
    holds(&[Defaults { number: 7, option: None, list: vec![1], skipped: 0 }]);
}
