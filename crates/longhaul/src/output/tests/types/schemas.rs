//! The strict schemas of Rust types.

use serde_json::{Map, Value, json};

use super::super::naive::complaints;
use super::*;
use crate::output::{strict, strict_schema_of};

/// A closed object.
fn closed(properties: &Value) -> Value {
    let names: Vec<&String> = properties.as_object().unwrap().keys().collect();
    json!({
        "type": "object",
        "required": names,
        "properties": properties,
        "additionalProperties": false,
    })
}

fn with(schema: Value, keyword: &str, value: impl Into<Value>) -> Value {
    let mut schema: Map<String, Value> = serde_json::from_value(schema).unwrap();
    schema.insert(keyword.into(), value.into());
    schema.into()
}

/// A constant, as it stands for a variant.
fn tag(name: &str) -> Value {
    json!({"type": "string", "const": name})
}

fn place() -> Value {
    let place = closed(&json!({
        "north": {"type": "number", "description": "In degrees."},
        "note": {"type": ["string", "null"]},
    }));
    with(place, "description", "A place.")
}

fn u8() -> Value {
    json!({"type": "integer", "minimum": 0, "maximum": 255})
}

fn tree(itself: &str) -> Value {
    json!([
        {"type": "string", "enum": ["Leaf"]},
        closed(&json!({"Fork": closed(&json!({
            "left": {"anyOf": [{"$ref": itself}], "description": "The one."},
            "right": {"$ref": itself},
        }))})),
    ])
}

fn chain(itself: &str) -> Value {
    closed(&json!({
        "value": u8(),
        "next": {"anyOf": [{"$ref": itself}, {"type": "null"}], "description": "The rest."},
    }))
}

fn told() -> Value {
    json!({"anyOf": [
        {"type": "string", "enum": ["B"]},
        with(tag("A"), "description", "The first."),
    ]})
}

fn enums() -> Value {
    let boolean = json!({"type": "boolean"});
    let named = closed(&json!({"x": boolean}));
    let mut other = place();
    other["properties"] = json!({
        "kind": tag("Other"),
        "north": place()["properties"]["north"],
        "note": place()["properties"]["note"],
    });
    other["required"] = json!(["kind", "north", "note"]);
    closed(&json!({
        "unit": {"type": "string", "enum": ["A", "B"]},
        "no_unit": {"type": ["string", "null"], "enum": ["A", "B", null]},
        "told": told(),
        "no_told": {"anyOf": [told(), {"type": "null"}], "description": "Or nobody."},
        "external": {"anyOf": [
            {"type": "string", "enum": ["Nothing"]},
            closed(&json!({"One": u8()})),
            closed(&json!({
                "Named": closed(&json!({"x": boolean, "y": {"type": ["boolean", "null"]}})),
            })),
            closed(&json!({"Other": place()})),
        ]},
        "internal": {"anyOf": [
            closed(&json!({"kind": tag("Nothing")})),
            closed(&json!({"kind": tag("Named"), "x": boolean})),
            other,
        ]},
        "adjacent": {"anyOf": [
            closed(&json!({"kind": tag("Nothing")})),
            with_tag_first("One", &u8()),
            with_tag_first("Named", &named),
        ]},
        "untagged": {"anyOf": [u8(), named]},
    }))
}

fn with_tag_first(kind: &str, is: &Value) -> Value {
    closed(&json!({"kind": tag(kind), "is": is}))
}

#[test]
fn a_type_has_this_strict_schema() {
    let text = json!({"type": "string"});
    let numbers = json!({"type": "array", "items": u8()});
    let table = [
        (strict_schema_of::<Nothing>(), closed(&json!({}))),
        (strict_schema_of::<Place>(), place()),
        (strict_schema_of::<Newtype>(), place()),
        (
            strict_schema_of::<Scalars>(),
            closed(&json!({
                "a_bool": {"type": "boolean"},
                "b_char": {"type": "string", "minLength": 1, "maxLength": 1},
                "c_u8": u8(),
                "d_i64": {"type": "integer"},
                "e_f32": {"type": "number"},
                "f_unit": {"type": "null"},
                "g_u32": {"type": ["integer", "null"], "minimum": 0},
            })),
        ),
        (
            strict_schema_of::<Nested>(),
            closed(&json!({
                "here": with(place(), "description", "Where it is."),
                "other": with(place(), "type", json!(["object", "null"])),
                "list": {
                    "type": "array",
                    "items": with(place(), "type", json!(["object", "null"])),
                },
                "boxed": {"type": "array", "items": place(), "minItems": 2, "maxItems": 2},
            })),
        ),
        (strict_schema_of::<Enums>(), enums()),
        (strict_schema_of::<Chain>(), chain("#")),
        (
            strict_schema_of::<Forest>(),
            with(
                closed(&json!({
                    "tree": {"anyOf": tree("#/$defs/Tree"), "description": "All of them."},
                    "chain": chain("#/$defs/Chain"),
                })),
                "$defs",
                json!({
                    "Chain": chain("#/$defs/Chain"),
                    "Tree": {"anyOf": tree("#/$defs/Tree")},
                }),
            ),
        ),
        (
            strict_schema_of::<Renamed>(),
            closed(&json!({"firstName": text, "the last": {"type": ["string", "null"]}})),
        ),
        (
            strict_schema_of::<Flat>(),
            with(
                closed(&json!({
                    "name": text,
                    "north": place()["properties"]["north"],
                    "note": place()["properties"]["note"],
                })),
                "description",
                "A place.",
            ),
        ),
        (
            strict_schema_of::<Defaults>(),
            closed(&json!({
                "number": u8(),
                "option": {"type": ["integer", "null"], "minimum": 0, "maximum": 255},
                "list": numbers,
            })),
        ),
        (
            strict_schema_of::<Bounded>(),
            closed(&json!({
                "text": {"type": "string", "minLength": 1, "maxLength": 3, "pattern": "^é"},
                "number": {"type": "number", "minimum": -1, "maximum": 3},
                "list": {
                    "type": "array",
                    "items": {"type": "string", "minLength": 2},
                    "maxItems": 2,
                },
                "note": {"type": "string", "description": "Its title and examples go."},
            })),
        ),
        (
            strict_schema_of::<Formats>(),
            closed(&json!({
                "four": {"type": "string", "format": "ipv4"},
                "any": text,
                "mail": {"type": "string", "format": "email"},
                "link": text,
            })),
        ),
    ];
    for (schema, expected) in table {
        let schema = schema.unwrap();
        assert_eq!(schema, expected);
        assert_eq!(complaints(&schema), [""; 0]);
        assert_eq!(strict(schema.clone()), Ok(schema));
    }
}
