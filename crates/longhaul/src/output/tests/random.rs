//! Random schemas.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Map, Value, json};

use super::instance::instance;
use super::naive::{Nulls, complaints, fits};
use crate::output::{SchemaProblem, strict};

const DEFINITIONS: [&str; 3] = ["a", "b", "c"];

/// What says nothing of the values that fit.
fn notes() -> impl Strategy<Value = Map<String, Value>> {
    let notes = vec![
        ("description", json!("What it is.")),
        ("title", json!("T")),
        ("examples", json!([1])),
        ("deprecated", json!(true)),
        ("x-mine", json!({"type": "none"})),
        ("format", json!("uint32")),
        ("format", json!("date")),
    ];
    let entry = |(name, value): (&str, Value)| (name.to_owned(), value);
    subsequence(notes, 0..3).prop_map(move |notes| notes.into_iter().map(entry).collect())
}

fn scalar() -> impl Strategy<Value = Value> {
    let bounded = |of: &'static str, least: &'static str, most: &'static str| {
        (-2..3_i64, 0..4_i64, 0..4_usize).prop_map(move |(low, more, which)| {
            let low = if of == "string" { low.max(0) } else { low };
            let mut schema = json!({"type": of});
            if which & 1 == 1 {
                schema[least] = low.into();
            }
            if which & 2 == 2 {
                schema[most] = (low + more).into();
            }
            schema
        })
    };
    prop_oneof![
        bounded("string", "minLength", "maxLength"),
        bounded("integer", "minimum", "maximum"),
        bounded("number", "minimum", "maximum"),
        Just(json!({"type": "boolean"})),
        Just(json!({"type": "null"})),
        Just(json!({"type": ["string", "integer"]})),
        Just(json!({"type": ["null", "boolean"]})),
        Just(json!({"const": "c"})),
        Just(json!({"type": "string", "const": "c"})),
        Just(json!({"enum": ["a", 1, true]})),
        Just(json!({"type": "string", "enum": ["a", "b"]})),
        Just(json!({"type": ["string", "null"], "enum": ["a", null]})),
    ]
}

/// A reference, which stands in a property or a list only: so every value comes to an end.
fn reference() -> impl Strategy<Value = Value> {
    let to = |name: &str| match name {
        "" => json!({"$ref": "#"}),
        name => json!({"$ref": format!("#/$defs/{name}")}),
    };
    select(["", "a", "b", "c"].as_slice()).prop_map(to)
}

fn slot(schema: BoxedStrategy<Value>) -> impl Strategy<Value = Value> {
    prop_oneof![
        6 => schema,
        1 => reference().prop_map(|it| json!({"anyOf": [it, {"type": "null"}]})),
        1 => reference(),
    ]
}

/// An object: of each property, what it is, whether it is required, and whether it has a default.
fn open(schema: BoxedStrategy<Value>) -> impl Strategy<Value = Value> {
    let property = (slot(schema), any::<bool>(), 0..8_u8);
    btree_map("[a-z]{1,2}", property, 0..4).prop_map(|all| {
        let names = all.iter().filter(|(_, (_, is_required, _))| *is_required);
        let required: Vec<String> = names.map(|(name, _)| name.clone()).collect();
        let property = |(name, (mut schema, _, default)): (String, (Value, bool, u8))| {
            let default = [json!("d"), Value::Null].into_iter().nth(default.into());
            if let (Some(keywords), Some(default)) = (schema.as_object_mut(), default) {
                keywords.insert("default".into(), default);
            }
            (name, schema)
        };
        let properties: Value = all.into_iter().map(property).collect();
        json!({"type": "object", "properties": properties, "required": required})
    })
}

fn tagged(parts: Vec<Value>) -> Value {
    let tagged = |(index, mut part): (usize, Value)| {
        part["properties"]["kind"] = json!({"const": index});
        part["required"] = json!(["kind"]);
        part
    };
    let part = |part| json!({"type": "object", "properties": {"is": part}});
    let parts = parts.into_iter().map(part);
    json!({"oneOf": parts.enumerate().map(tagged).collect::<Vec<_>>()})
}

fn list_of(items: &Value, least: Option<u8>, closed: bool) -> Value {
    let types = if closed { json!("array") } else { json!(["array", "null"]) };
    let mut schema = json!({"type": types, "items": items});
    if let Some(least) = least {
        schema["minItems"] = least.into();
        schema["maxItems"] = (least + 1).into();
    }
    schema
}

/// A schema that can be made strict, whatever else `leaf` gives.
fn schema(leaf: BoxedStrategy<Value>) -> BoxedStrategy<Value> {
    leaf.prop_recursive(4, 24, 4, |inner| {
        let inner = inner.boxed();
        let parts = vec(inner.clone(), 1..4);
        let shape = prop_oneof![
            4 => open(inner.clone()),
            2 => (slot(inner.clone()), proptest::option::of(0..3_u8), any::<bool>())
                .prop_map(|(items, least, closed)| list_of(&items, least, closed)),
            1 => parts.clone().prop_map(|parts| json!({"anyOf": parts})),
            1 => parts.prop_map(tagged),
            1 => inner.prop_map(|part| json!({"allOf": [part]})),
        ];
        (shape, notes()).prop_map(|(mut shape, notes)| {
            shape.as_object_mut().unwrap().extend(notes);
            shape
        })
    })
    .boxed()
}

fn root(leaf: BoxedStrategy<Value>) -> impl Strategy<Value = Value> {
    let schema = schema(leaf);
    let definitions = vec(schema.clone(), DEFINITIONS.len());
    (open(schema), definitions, notes()).prop_map(|(mut root, definitions, notes)| {
        let definitions = DEFINITIONS.iter().map(ToString::to_string).zip(definitions);
        root["$defs"] = definitions.collect();
        root.as_object_mut().unwrap().extend(notes);
        root
    })
}

/// What nobody can make strict, and some of what one can.
fn wild() -> impl Strategy<Value = Value> {
    let text = json!({"type": "string"});
    let wild = vec![
        json!(true),
        json!(false),
        json!(7),
        json!({}),
        json!({"type": "object"}),
        json!({"type": "object", "additionalProperties": text}),
        json!({"type": "object", "minProperties": 1}),
        json!({"type": "array", "prefixItems": [text]}),
        json!({"type": "array", "items": text, "uniqueItems": true}),
        json!({"not": text}),
        json!({"allOf": [text, text]}),
        json!({"anyOf": [text], "type": "string"}),
        json!({"oneOf": []}),
        json!({"$ref": "#/$defs/nobody"}),
        json!({"$ref": "#/$defs/a", "minLength": 1}),
        json!({"const": {}}),
        json!({"type": "object", "required": ["nobody"]}),
    ];
    prop_oneof![20 => scalar(), 1 => select(wild)]
}

/// Whether `path` leads from `schema` to a keyword or a part of it, or to what is missing in one.
fn leads_somewhere(schema: &Value, path: &str) -> bool {
    let mut steps: Vec<&str> = path.split('.').collect();
    steps.pop();
    let step = |schema: &Value, step: &&str| match step.parse::<usize>() {
        Ok(index) if schema.is_array() => schema.get(index).cloned(),
        _ => schema.get(step).cloned(),
    };
    steps.iter().try_fold(schema.clone(), |schema, next| step(&schema, next)).is_some()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn what_can_be_strict_becomes_strict_and_stays_so(schema in root(scalar().boxed())) {
        let made = strict(schema).unwrap();
        prop_assert_eq!(complaints(&made), [""; 0]);
        prop_assert_eq!(strict(made.clone()), Ok(made));
    }

    /// Values of the strict schema fit the one that was given, and those that have all properties
    /// the other way round.
    #[test]
    fn a_strict_schema_lets_no_other_values_in(
        schema in root(scalar().boxed()),
        choices in vec(any::<u8>(), 0..40),
    ) {
        let made = strict(schema.clone()).unwrap();
        let value = instance(&made, choices.clone());
        if fits(&made, &made, &value, Nulls::Null) {
            prop_assert!(fits(&schema, &schema, &value, Nulls::Absent), "{} in {}", value, schema);
        }
        let value = instance(&schema, choices);
        if fits(&schema, &schema, &value, Nulls::Null) {
            prop_assert!(fits(&made, &made, &value, Nulls::Null), "{} in {}", value, made);
        }
    }

    #[test]
    fn any_schema_becomes_strict_or_is_refused_somewhere(schema in root(wild().boxed())) {
        match strict(schema.clone()) {
            Ok(made) => {
                prop_assert_eq!(complaints(&made), [""; 0]);
                prop_assert_eq!(strict(made.clone()), Ok(made));
            }
            Err(error) => {
                let is_large = matches!(error.problem, SchemaProblem::TooLarge { .. });
                prop_assert!(is_large || leads_somewhere(&schema, &error.path), "{}", error);
            }
        }
    }
}
