//! What cannot be made strict, where it is, and what to do.

use serde_json::{Value, json};

use super::types::*;
use crate::output::{SchemaError, strict, strict_schema_of};

const MAP: &str = "maps are not supported by strict servers: use a list of key and value";
const TUPLE: &str = "tuples are not supported by strict servers: use a struct";
const SET: &str =
    "sets are not supported by strict servers: use a list, and make it a set once read";
const ROOT: &str = "the root must be an object, and no enum: wrap it in a struct";
const ANYTHING: &str = "strict servers want to know the type of every value: say what it may be";
const NOTHING: &str = "no value fits this: take it out";

#[test]
fn a_type_that_cannot_be_strict_is_refused_where_it_cannot() {
    let table = [
        (strict_schema_of::<Map>(), "properties.it.additionalProperties", MAP),
        (strict_schema_of::<NumberedMap>(), "properties.it.patternProperties", MAP),
        (strict_schema_of::<FlatMap>(), "additionalProperties", MAP),
        (strict_schema_of::<Pair>(), "properties.it.prefixItems", TUPLE),
        (strict_schema_of::<Set>(), "properties.it.uniqueItems", SET),
        (strict_schema_of::<Holds<Value>>(), "properties.it", ANYTHING),
        (strict_schema_of::<Holds<Option<Vec<Value>>>>(), "properties.it.items", ANYTHING),
        (
            strict_schema_of::<Holds<WithPair>>(),
            "properties.it.oneOf.1.properties.Pair.prefixItems",
            TUPLE,
        ),
        (
            strict_schema_of::<FlatEnum>(),
            "oneOf",
            "on strict servers `oneOf` cannot stand beside `properties`: give one of them a field of \
             its own",
        ),
        (strict_schema_of::<Unit>(), "", ROOT),
        (strict_schema_of::<Told>(), "", ROOT),
        (strict_schema_of::<Internal>(), "", ROOT),
        (strict_schema_of::<Tree>(), "", ROOT),
        (strict_schema_of::<Vec<Place>>(), "", ROOT),
        (strict_schema_of::<Option<Place>>(), "", ROOT),
        (strict_schema_of::<u8>(), "", ROOT),
        (strict_schema_of::<()>(), "", ROOT),
    ];
    for (schema, path, problem) in table {
        assert_eq!(told(&schema.unwrap_err()), (path, problem.to_owned()));
    }
}

fn told(error: &SchemaError) -> (&str, String) {
    (&error.path, error.problem.to_string())
}

/// A schema as the property `it` of the root.
fn held(schema: &Value) -> Value {
    json!({"type": "object", "properties": {"it": schema}, "required": ["it"]})
}

#[test]
fn a_schema_that_cannot_be_strict_is_refused_where_it_cannot() {
    let text = json!({"type": "string"});
    let all_of = "strict servers know no `allOf`: write one schema that says all of it";
    let constant =
        "strict servers take strings, numbers, booleans and null as constants: use these";
    let nowhere = |reference: &str| {
        format!("`{reference}` leads nowhere: refer to `#` or to an entry of the root's `$defs`")
    };
    let beside = |keyword: &str, other: &str| {
        format!(
            "on strict servers `{keyword}` cannot stand beside `{other}`: give one of them a field \
             of its own"
        )
    };
    let no_schema = |why: &str| format!("this is no JSON schema: {why}");
    let table: [(Value, &str, String); 39] = [
        (json!(true), "", ANYTHING.into()),
        (json!({}), "", ANYTHING.into()),
        (json!({"description": "What you like."}), "", ANYTHING.into()),
        (json!({"pattern": "a"}), "", ANYTHING.into()),
        (json!(false), "", NOTHING.into()),
        (json!({"type": "string", "enum": []}), ".enum", NOTHING.into()),
        (json!({"enum": []}), ".enum", NOTHING.into()),
        (json!({"anyOf": []}), ".anyOf", NOTHING.into()),
        (json!({"anyOf": [text, false]}), ".anyOf.1", NOTHING.into()),
        (json!({"type": "array"}), ".items", ANYTHING.into()),
        (json!({"type": ["array", "null"], "items": {}}), ".items", ANYTHING.into()),
        (json!({"items": [text]}), ".items", TUPLE.into()),
        (json!({"items": false, "prefixItems": [text]}), ".prefixItems", TUPLE.into()),
        (json!({"items": text, "uniqueItems": true}), ".uniqueItems", SET.into()),
        (
            json!({"type": "object", "additionalProperties": true}),
            ".additionalProperties",
            MAP.into(),
        ),
        (
            json!({"type": "object", "additionalProperties": text}),
            ".additionalProperties",
            MAP.into(),
        ),
        (
            json!({"properties": {}, "unevaluatedProperties": text}),
            ".unevaluatedProperties",
            MAP.into(),
        ),
        (json!({"patternProperties": {"^a": text}}), ".patternProperties", MAP.into()),
        (json!({"allOf": [text, {"pattern": "a"}]}), ".allOf", all_of.into()),
        (json!({"allOf": [text], "pattern": "a"}), ".allOf", all_of.into()),
        (json!({"allOf": []}), ".allOf", all_of.into()),
        (
            json!({"allOf": [{"allOf": [{"items": true}]}]}),
            ".allOf.0.allOf.0.items",
            ANYTHING.into(),
        ),
        (json!({"allOf": [true]}), ".allOf.0", ANYTHING.into()),
        (json!({"anyOf": [text], "oneOf": [text]}), ".anyOf", beside("anyOf", "oneOf")),
        (
            json!({"anyOf": [text], "additionalProperties": false}),
            ".anyOf",
            beside("anyOf", "additionalProperties"),
        ),
        (json!({"oneOf": [text], "required": ["a"]}), ".oneOf", beside("oneOf", "required")),
        (json!({"type": "string", "oneOf": [text]}), ".oneOf", beside("oneOf", "type")),
        (json!({"$ref": "#", "minLength": 1}), ".$ref", beside("$ref", "minLength")),
        (json!({"$ref": "#/$defs/a"}), ".$ref", nowhere("#/$defs/a")),
        (json!({"$ref": "#/properties/it"}), ".$ref", nowhere("#/properties/it")),
        (json!({"$ref": "other.json"}), ".$ref", nowhere("other.json")),
        (json!({"const": [1]}), ".const", constant.into()),
        (json!({"enum": ["a", {}]}), ".enum", constant.into()),
        (json!({"enum": "a"}), ".enum", no_schema("it must be a list")),
        (json!({"anyOf": {}}), ".anyOf", no_schema("it must be a list")),
        (json!({"type": "text"}), ".type", no_schema("it must name types of JSON")),
        (json!({"type": []}), ".type", no_schema("it must name types of JSON")),
        (
            json!({"type": "object", "properties": []}),
            ".properties",
            no_schema("it must be an object"),
        ),
        (json!([]), "", no_schema("it must be an object")),
    ];
    for (schema, path, problem) in table {
        let error = strict(held(&schema)).unwrap_err();
        assert_eq!(told(&error), (format!("properties.it{path}").as_str(), problem), "{schema}");
    }
}

#[test]
fn keywords_without_a_counterpart_are_refused_by_name() {
    let keywords = "not if then else dependencies dependentRequired dependentSchemas propertyNames \
                    minProperties maxProperties contains unevaluatedItems $dynamicRef $recursiveRef";
    for keyword in keywords.split(' ') {
        let mut schema = json!({"type": "object", "properties": {}});
        schema[keyword] = json!(1);
        assert_eq!(
            strict(schema).unwrap_err().to_string(),
            format!(
                "schema, at `{keyword}`: `{keyword}` is not supported by strict servers: take it \
                 out, and check what is read instead"
            )
        );
    }
}

#[test]
fn a_root_has_rules_of_its_own() {
    let text = json!({"type": "string"});
    let required = json!({"type": "object", "properties": {"a": text}, "required": ["a", "b"]});
    let malformed = "this is no JSON schema: it must be a list of names";
    let table = [
        (json!(true), "", ANYTHING),
        (json!("a"), "", "this is no JSON schema: it must be an object"),
        (json!({"type": ["object", "null"]}), "", ROOT),
        (json!({"anyOf": [{"type": "object"}]}), "", ROOT),
        (json!({"$ref": "#/$defs/a", "$defs": {"a": text}}), "", ROOT),
        (json!({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}), "", ROOT),
        (json!({"type": "object", "$defs": {"a": {"items": true}}}), "$defs.a.items", ANYTHING),
        (required, "required", "`b` is required, but is none of the properties: list it"),
        (json!({"type": "object", "required": [1]}), "required", malformed),
        (json!({"type": "object", "required": "a"}), "required", malformed),
    ];
    for (schema, path, problem) in table {
        let error = strict(schema).unwrap_err();
        assert_eq!(told(&error), (path, problem.to_owned()));
    }
    let error = strict(json!({"anyOf": [{"type": "object"}]})).unwrap_err();
    assert_eq!(error.to_string(), format!("schema: {ROOT}"));
}
