//! References, alternatives, and values of one type.

use serde_json::{Value, json};

use super::{Closing, LeftOut, Schema, keywords, leads_nowhere};
use crate::output::{SchemaError, SchemaProblem};

impl Closing<'_> {
    /// Servers refuse whatever stands beside a reference: a description goes around it.
    pub(super) fn reference(&self, mut schema: Schema) -> Result<Schema, SchemaError> {
        keywords::alone(&schema, "$ref")?;
        let target = schema.remove("$ref").unwrap_or_default();
        if target != "#" && self.definition(&target).is_none() {
            return Err(leads_nowhere(&target));
        }
        if schema.contains_key("description") {
            return Ok(described(schema, "anyOf", json!([{"$ref": target}])));
        }
        Ok(Schema::from_iter([("$ref".to_owned(), target)]))
    }

    /// `keyword`: `anyOf`, or `oneOf`, which servers do not know.
    pub(super) fn alternatives(
        &self,
        mut schema: Schema,
        keyword: &'static str,
    ) -> Result<Schema, SchemaError> {
        keywords::alone(&schema, keyword)?;
        let within = |error: SchemaError| error.within(keyword);
        let alternatives = schema.remove(keyword).unwrap_or_default();
        let strict = self.each(alternatives).map_err(within)?;
        Ok(described(schema, "anyOf", strict))
    }

    fn each(&self, alternatives: Value) -> Result<Value, SchemaError> {
        let Value::Array(alternatives) = alternatives else {
            return Err(SchemaError::here(SchemaProblem::Malformed("it must be a list")));
        };
        if alternatives.is_empty() {
            return Err(SchemaError::here(SchemaProblem::Nothing));
        }
        let strict = |(index, schema): (usize, Value)| match self.value(schema) {
            Ok(schema) => Ok(Value::Object(schema)),
            Err(error) => Err(error.within(&index.to_string())),
        };
        alternatives.into_iter().enumerate().map(strict).collect()
    }

    /// Values whose types are known.
    pub(super) fn plain(&self, mut schema: Schema) -> Result<Schema, SchemaError> {
        keywords::check_constants(&schema)?;
        let types = keywords::types(&schema)?;
        let mut strict = Schema::new();
        if keywords::names(&types, "object") {
            self.object(&mut schema, &mut strict)?;
        }
        if keywords::names(&types, "array") {
            let items = schema.remove("items").unwrap_or(Value::Bool(true));
            let items = self.value(items).map_err(|error| error.within("items"))?;
            strict.insert("items".into(), items.into());
        }
        strict.insert("type".into(), types);
        strict.extend(schema.into_iter().filter(keywords::is_kept));
        Ok(strict)
    }

    fn object(&self, schema: &mut Schema, strict: &mut Schema) -> Result<(), SchemaError> {
        let properties = keywords::take_named(schema, "properties")?;
        let required = keywords::required(schema)?;
        if let Some(name) = required.iter().find(|name| !properties.contains_key(**name)) {
            let problem = SchemaProblem::Unlisted((*name).to_owned());
            return Err(SchemaError::at("required", problem));
        }
        // Collected anew: taking entries out of a map may change the order of the others.
        let closed = properties.into_iter().map(|(name, property)| {
            match self.property(property, required.contains(&name.as_str())) {
                Ok(property) => Ok((name, property.into())),
                Err(error) => Err(error.within(&name).within("properties")),
            }
        });
        let closed = closed.collect::<Result<Schema, _>>()?;
        strict.insert("required".into(), closed.keys().cloned().collect());
        strict.insert("properties".into(), closed.into());
        strict.insert("additionalProperties".into(), Value::Bool(false));
        Ok(())
    }

    fn property(&self, property: Value, is_required: bool) -> Result<Schema, SchemaError> {
        let has_default = property.get("default").is_some_and(|value| !value.is_null());
        let property = self.value(property)?;
        if is_required || has_default || self.left_out == LeftOut::Written {
            return Ok(property);
        }
        Ok(self.or_null(property))
    }
}

/// The description of `schema`, if there is one, and `value` beside it.
fn described(mut schema: Schema, keyword: &str, value: Value) -> Schema {
    let description = schema.remove_entry("description");
    description.into_iter().chain([(keyword.to_owned(), value)]).collect()
}
