//! Null in place of what could be left out.

use serde_json::{Value, json};

use super::{Closing, Schema, keywords};

impl Closing<'_> {
    /// What fits `schema`, which is strict, or null.
    pub(super) fn or_null(&self, mut schema: Schema) -> Schema {
        if self.takes_null(&schema, &mut Vec::new()) {
            return schema;
        }
        let only_null = json!({"type": "null"});
        if let Some(Value::Array(alternatives)) = schema.get_mut("anyOf") {
            alternatives.push(only_null);
            return schema;
        }
        if schema.contains_key("$ref") {
            return Schema::from_iter([("anyOf".to_owned(), json!([schema, only_null]))]);
        }
        plain_or_null(schema)
    }

    /// Whether null fits already. `seen`: the references followed so far.
    fn takes_null<'s>(&'s self, schema: &'s Schema, seen: &mut Vec<&'s Value>) -> bool {
        if let Some(reference) = schema.get("$ref") {
            if seen.contains(&reference) {
                return false;
            }
            seen.push(reference);
            let target = self.definition(reference).and_then(Value::as_object);
            return target.is_some_and(|target| self.takes_null(target, seen));
        }
        let alternatives = schema.get("anyOf").or_else(|| schema.get("oneOf"));
        if let Some(alternatives) = alternatives.and_then(Value::as_array) {
            let mut alternatives = alternatives.iter().filter_map(Value::as_object);
            return alternatives.any(|schema| self.takes_null(schema, seen));
        }
        match keywords::constants(schema) {
            Some(constants) => constants.contains(&Value::Null),
            None => schema.get("type").is_some_and(|types| keywords::names(types, "null")),
        }
    }
}

fn plain_or_null(mut schema: Schema) -> Schema {
    let types = schema.remove("type").unwrap_or_default();
    schema.insert("type".into(), with(types, "null".into()));
    let (constant, listed) = (schema.remove("const"), schema.remove("enum"));
    if let Some(constants) = constant.or(listed) {
        schema.insert("enum".into(), with(constants, Value::Null));
    }
    schema
}

/// `list`, which is a list or its only entry, with `value` in it.
fn with(list: Value, value: Value) -> Value {
    let mut list = match list {
        Value::Array(list) => list,
        one => vec![one],
    };
    if !list.contains(&value) {
        list.push(value);
    }
    list.into()
}
