//! The keywords of JSON Schema, as strict servers know them.

use std::slice;

use serde_json::Value;

use super::Schema;
use crate::output::{SchemaError, SchemaProblem};

/// The types of JSON values.
const TYPES: [&str; 7] = ["string", "number", "integer", "boolean", "object", "array", "null"];

/// The formats that strict servers know. Others, such as the `uint32` of schemars, are notes: the
/// bounds beside them say what counts.
const FORMATS: [&str; 9] =
    ["date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"];

/// Bounds, which go out as they stand.
const BOUNDS: [&str; 12] = [
    "enum",
    "const",
    "pattern",
    "minLength",
    "maxLength",
    "multipleOf",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "minItems",
    "maxItems",
];

/// What else says which values fit.
const SHAPES: [&str; 9] = [
    "properties",
    "items",
    "$ref",
    "allOf",
    "anyOf",
    "oneOf",
    "type",
    "required",
    "additionalProperties",
];

/// What strict servers have nothing for. A keyword that stands nowhere in this file is a note.
const UNSUPPORTED: [&str; 14] = [
    "not",
    "if",
    "then",
    "else",
    "dependencies",
    "dependentRequired",
    "dependentSchemas",
    "propertyNames",
    "minProperties",
    "maxProperties",
    "contains",
    "unevaluatedItems",
    "$dynamicRef",
    "$recursiveRef",
];

/// The keywords of a schema.
pub(super) fn of(schema: Value) -> Result<Schema, SchemaError> {
    let problem = match schema {
        Value::Object(keywords) => return Ok(keywords),
        Value::Bool(true) => SchemaProblem::Anything,
        Value::Bool(false) => SchemaProblem::Nothing,
        _ => SchemaProblem::Malformed("it must be an object"),
    };
    Err(SchemaError::here(problem))
}

pub(super) fn refuse_unsupported(schema: &Schema) -> Result<(), SchemaError> {
    let problem = |(keyword, value): (&String, &Value)| match keyword.as_str() {
        "patternProperties" => Some(SchemaProblem::Map),
        "additionalProperties" | "unevaluatedProperties" if *value != false => {
            Some(SchemaProblem::Map)
        }
        "prefixItems" => Some(SchemaProblem::Tuple),
        "items" if value.is_array() => Some(SchemaProblem::Tuple),
        "uniqueItems" if *value != false => Some(SchemaProblem::Set),
        other => UNSUPPORTED.into_iter().find(|it| *it == other).map(SchemaProblem::Keyword),
    };
    let mut found = schema.iter().filter_map(|it| Some(SchemaError::at(it.0, problem(it)?)));
    found.next().map_or(Ok(()), Err)
}

/// Refuses what would have to hold beside `keyword`, which servers take alone.
pub(super) fn alone(schema: &Schema, keyword: &'static str) -> Result<(), SchemaError> {
    let mut others = SHAPES.into_iter().chain(BOUNDS).filter(|other| *other != keyword);
    match others.find(|other| schema.contains_key(*other)) {
        None => Ok(()),
        Some(beside) => Err(SchemaError::at(keyword, SchemaProblem::Beside { keyword, beside })),
    }
}

/// The only schema of an `allOf`, with the description of the whole.
pub(super) fn only_part(mut schema: Schema) -> Result<Schema, SchemaError> {
    let several = || SchemaError::at("allOf", SchemaProblem::AllOf);
    alone(&schema, "allOf").map_err(|_| several())?;
    let Some(Value::Array(parts)) = schema.remove("allOf") else {
        return Err(SchemaError::at("allOf", SchemaProblem::Malformed("it must be a list")));
    };
    let [part] = <[Value; 1]>::try_from(parts).map_err(|_| several())?;
    let mut part = of(part).map_err(|error| error.within("0").within("allOf"))?;
    part.extend(schema.remove_entry("description"));
    Ok(part)
}

/// Schemas by name, in the order of the schema; none if `keyword` is not there.
pub(super) fn take_named(schema: &mut Schema, keyword: &str) -> Result<Schema, SchemaError> {
    match schema.remove(keyword) {
        None => Ok(Schema::new()),
        Some(Value::Object(named)) => Ok(named),
        Some(_) => Err(SchemaError::at(keyword, SchemaProblem::Malformed("it must be an object"))),
    }
}

/// The names of the properties that have to be there.
pub(super) fn required(schema: &Schema) -> Result<Vec<&str>, SchemaError> {
    let Some(required) = schema.get("required") else {
        return Ok(Vec::new());
    };
    let names = required.as_array().and_then(|names| names.iter().map(Value::as_str).collect());
    let problem = SchemaProblem::Malformed("it must be a list of names");
    names.ok_or_else(|| SchemaError::at("required", problem))
}

/// The types that the schema names, or that follow from what else it says.
pub(super) fn types(schema: &Schema) -> Result<Value, SchemaError> {
    let Some(types) = schema.get("type") else {
        return implied_types(schema).ok_or_else(|| SchemaError::here(SchemaProblem::Anything));
    };
    let is_known = |name: &Value| name.as_str().is_some_and(|name| TYPES.contains(&name));
    let list = types.as_array().map_or(slice::from_ref(types), Vec::as_slice);
    if list.is_empty() || !list.iter().all(is_known) {
        let problem = SchemaProblem::Malformed("it must name types of JSON");
        return Err(SchemaError::at("type", problem));
    }
    Ok(types.clone())
}

fn implied_types(schema: &Schema) -> Option<Value> {
    if schema.contains_key("properties") {
        return Some("object".into());
    }
    if schema.contains_key("items") {
        return Some("array".into());
    }
    let mut types = Vec::new();
    for constant in constants(schema)? {
        let of = type_of(constant);
        if !types.contains(&of) {
            types.push(of);
        }
    }
    Some(match types.as_slice() {
        [only] => Value::from(*only),
        _ => Value::from(types),
    })
}

fn type_of(constant: &Value) -> &'static str {
    match constant {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Whether `types`, one or a list, names `of`.
pub(super) fn names(types: &Value, of: &str) -> bool {
    types == of || types.as_array().is_some_and(|types| types.iter().any(|it| it == of))
}

/// The values that fit, where the schema counts them up.
pub(super) fn constants(schema: &Schema) -> Option<&[Value]> {
    match schema.get("const") {
        Some(constant) => Some(slice::from_ref(constant)),
        None => Some(schema.get("enum")?.as_array()?),
    }
}

pub(super) fn check_constants(schema: &Schema) -> Result<(), SchemaError> {
    let keyword = if schema.contains_key("const") { "const" } else { "enum" };
    let problem = match constants(schema) {
        None if schema.contains_key(keyword) => SchemaProblem::Malformed("it must be a list"),
        Some([]) => SchemaProblem::Nothing,
        Some(values) if values.iter().any(|it| it.is_array() || it.is_object()) => {
            SchemaProblem::Constant
        }
        _ => return Ok(()),
    };
    Err(SchemaError::at(keyword, problem))
}

/// Whether a keyword of a schema without parts goes out as it stands.
pub(super) fn is_kept((keyword, value): &(String, Value)) -> bool {
    match keyword.as_str() {
        "description" => true,
        "format" => value.as_str().is_some_and(|format| FORMATS.contains(&format)),
        bound => BOUNDS.contains(&bound),
    }
}
