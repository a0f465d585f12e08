//! Schemas that are given as JSON, and what becomes of them.

use serde_json::{Value, json};

use super::naive::complaints;
use crate::output::strict;

/// A closed object of one property.
fn closed(it: &Value) -> Value {
    json!({
        "type": "object",
        "properties": {"it": it},
        "required": ["it"],
        "additionalProperties": false,
    })
}

/// What becomes of the property `it`, and of the same if it could be left out.
fn made(it: &Value) -> (Value, Value) {
    let required = json!({"type": "object", "properties": {"it": it}, "required": ["it"]});
    let optional = json!({"type": "object", "properties": {"it": it}});
    let made = |schema| {
        let schema = strict(schema).unwrap();
        assert_eq!(complaints(&schema), [""; 0]);
        assert_eq!(schema, closed(&schema["properties"]["it"]));
        schema["properties"]["it"].clone()
    };
    (made(required), made(optional))
}

#[test]
fn a_property_that_could_be_left_out_may_be_null() {
    let only_null = json!({"type": "null"});
    let root = json!({"$ref": "#"});
    let table = [
        (json!({"type": "string"}), json!({"type": ["string", "null"]})),
        (
            json!({"type": ["string", "integer"], "description": "x"}),
            json!({"type": ["string", "integer", "null"], "description": "x"}),
        ),
        (
            json!({"type": "string", "enum": ["a"]}),
            json!({"type": ["string", "null"], "enum": ["a", null]}),
        ),
        (
            json!({"type": ["string", "null"], "enum": ["a"]}),
            json!({"type": ["string", "null"], "enum": ["a", null]}),
        ),
        (
            json!({"type": "string", "const": "a", "description": "x"}),
            json!({"type": ["string", "null"], "enum": ["a", null], "description": "x"}),
        ),
        (
            json!({"type": "array", "items": {"type": "string"}, "minItems": 1}),
            json!({"type": ["array", "null"], "items": {"type": "string"}, "minItems": 1}),
        ),
        (closed(&only_null), {
            let mut nullable = closed(&only_null);
            nullable["type"] = json!(["object", "null"]);
            nullable
        }),
        (root.clone(), json!({"anyOf": [root, only_null]})),
        (
            json!({"anyOf": [root], "description": "x"}),
            json!({"anyOf": [root, only_null], "description": "x"}),
        ),
    ];
    for (given, nullable) in table {
        assert_eq!(made(&given), (given, nullable));
    }
}

#[test]
fn what_may_be_null_already_stays_as_it_is() {
    let table = [
        json!({"type": "null"}),
        json!({"type": ["null", "string"]}),
        json!({"type": ["string", "null"], "enum": ["a", null]}),
        json!({"type": "null", "const": null}),
        json!({"anyOf": [{"type": "string"}, {"type": "null"}]}),
        json!({"anyOf": [{"anyOf": [{"type": "null"}]}], "description": "x"}),
    ];
    for given in table {
        assert_eq!(made(&given), (given.clone(), given));
    }
    let schema = |a: Value| {
        let properties = json!({"a": {"$ref": "#/$defs/a"}});
        json!({"type": "object", "properties": properties, "$defs": {
            "a": a,
            "b": {"type": ["string", "null"]},
        }})
    };
    let reference = json!({"$ref": "#/$defs/a"});
    let or_null = json!({"anyOf": [reference, {"type": "null"}]});
    let table = [
        (json!({"$ref": "#/$defs/b"}), &reference),
        (json!({"oneOf": [{"$ref": "#/$defs/b"}, {"type": "integer"}]}), &reference),
        (json!({"enum": [1, null]}), &reference),
        (json!({"enum": [1]}), &or_null),
        (json!({"anyOf": [{"$ref": "#/$defs/a"}, {"type": "integer"}]}), &or_null),
    ];
    for (a, expected) in table {
        assert_eq!(strict(schema(a)).unwrap()["properties"]["a"], *expected);
    }
}

/// Each definition refers twice to the next one: whoever follows every path is not done today.
#[test]
fn definitions_that_refer_to_one_another_many_times_are_looked_at_once() {
    let reference = |index: usize| json!({"$ref": format!("#/$defs/d{index}")});
    let twice = |index: usize| json!({"anyOf": [reference(index + 1), reference(index + 1)]});
    let mut definitions: Value =
        (0..64).map(|index: usize| (format!("d{index}"), twice(index))).collect();
    definitions["d64"] = json!({"type": "string"});
    let schema = json!({"properties": {"a": reference(0)}, "$defs": definitions});
    let expected = json!({"anyOf": [reference(0), {"type": "null"}]});
    assert_eq!(strict(schema).unwrap()["properties"]["a"], expected);
}

#[test]
fn a_property_with_a_default_keeps_its_type() {
    let text = json!({"type": "string"});
    let nullable = json!({"type": ["string", "null"]});
    assert_eq!(made(&json!({"type": "string", "default": "a"})), (text.clone(), text.clone()));
    assert_eq!(made(&json!({"type": "string", "default": null})), (text, nullable));
}

#[test]
fn other_forms_become_those_that_servers_know() {
    let text = json!({"type": "string"});
    let reference = json!({"$ref": "#"});
    let table = [
        (json!({"oneOf": [text, reference]}), json!({"anyOf": [text, reference]})),
        (json!({"allOf": [text]}), text.clone()),
        (
            json!({"allOf": [{"type": "string", "description": "in"}], "description": "out"}),
            json!({"type": "string", "description": "out"}),
        ),
        (
            json!({"allOf": [{"$ref": "#"}], "description": "out", "default": {}}),
            json!({"anyOf": [reference], "description": "out"}),
        ),
        (
            json!({"$ref": "#", "description": "x", "title": "T", "format": "y"}),
            json!({"anyOf": [reference], "description": "x"}),
        ),
        (json!({"$ref": "#", "title": "T", "examples": [{}]}), reference.clone()),
        (json!({"const": "a"}), json!({"type": "string", "const": "a"})),
        (
            json!({"enum": [1, "a", 2, true, null, 0.5]}),
            json!({
                "type": ["integer", "string", "boolean", "null", "number"],
                "enum": [1, "a", 2, true, null, 0.5],
            }),
        ),
        (json!({"items": text}), json!({"type": "array", "items": text})),
        (json!({"properties": {"it": text}, "required": ["it"]}), closed(&text)),
        (
            json!({"type": "object", "unevaluatedProperties": false, "properties": {"it": text},
                "required": ["it"]}),
            closed(&text),
        ),
        (
            json!({"type": "object"}),
            json!({"type": "object", "properties": {}, "required": [], "additionalProperties": false}),
        ),
        (
            json!({"$schema": "x", "$id": "y", "$comment": "z", "title": "t", "default": "d",
                "examples": ["e"], "deprecated": true, "readOnly": true, "writeOnly": true,
                "contentEncoding": "base64", "x-mine": 1, "format": "uint32", "uniqueItems": false,
                "type": "string", "properties": {"a": true}, "items": true, "required": ["b"],
                "$defs": {"a": true}, "additionalProperties": false}),
            text.clone(),
        ),
        (
            json!({"type": "number", "multipleOf": 2, "exclusiveMinimum": 0, "exclusiveMaximum": 9,
                "format": "double"}),
            json!({"type": "number", "multipleOf": 2, "exclusiveMinimum": 0, "exclusiveMaximum": 9}),
        ),
    ];
    for (given, expected) in table {
        assert_eq!(made(&given).0, expected);
    }
    for format in "date-time time date duration email hostname ipv4 ipv6 uuid".split(' ') {
        let given = json!({"type": "string", "format": format});
        assert_eq!(made(&given).0, given);
    }
}

#[test]
fn a_root_that_is_a_reference_is_what_it_refers_to() {
    let node = json!({"properties": {"it": {"$ref": "#/$defs/a~1b~0"}}, "description": "in"});
    let mut closed = closed(&json!({"anyOf": [{"$ref": "#/$defs/a~1b~0"}, {"type": "null"}]}));
    for (description, expected) in [(json!("out"), "out"), (Value::Null, "in")] {
        let mut schema = json!({"$ref": "#/$defs/a~1b~0", "$defs": {"a/b~": node}, "title": "T"});
        if !description.is_null() {
            schema["description"] = description;
        }
        let schema = strict(schema).unwrap();
        assert_eq!(complaints(&schema), [""; 0]);
        closed["description"] = json!("in");
        let mut root = closed.clone();
        root["description"] = json!(expected);
        root["$defs"] = json!({"a/b~": closed});
        assert_eq!(schema, root);
    }
}

/// Holds whatever order `serde_json` gives the properties: that of names, or, with its feature
/// `preserve_order`, the one they were written in.
#[test]
fn properties_stay_in_their_order() {
    let properties = json!({
        "z": {"type": "string"}, "a": {"type": "object", "properties": {"y": {"const": 1},
        "b": {"type": "null"}, "x": {"type": "null"}}}, "m": {"const": 1}, "b": {"type": "null"},
    });
    let names = |properties: &Value| -> Vec<String> {
        properties.as_object().unwrap().keys().cloned().collect()
    };
    let given = json!({"properties": properties, "required": ["m"], "$defs": properties});
    let made = strict(given).unwrap();
    assert_eq!(names(&made["properties"]), names(&properties));
    assert_eq!(names(&made["$defs"]), names(&properties));
    assert_eq!(made["required"], json!(names(&properties)));
    let (inner, given) = (&made["properties"]["a"], &properties["a"]["properties"]);
    assert_eq!(names(&inner["properties"]), names(given));
    assert_eq!(inner["required"], json!(names(given)));
}
