//! How large a schema may be: the limits of OpenAI's guide to structured outputs.

use serde_json::{Map, Value};

use super::{SchemaError, SchemaProblem};

/// Properties of all objects together.
const MAX_PROPERTIES: usize = 5_000;

/// Objects in one another, the root included. What a reference leads to is not counted through: the
/// guide allows recursion.
const MAX_DEPTH: usize = 10;

/// Values of all enums together.
const MAX_ENUM_VALUES: usize = 1_000;

/// Names of properties and definitions, and texts of enums and constants, together.
const MAX_CHARACTERS: usize = 120_000;

/// From more values than this on, the texts of one enum have a limit of their own.
const LONG_ENUM_VALUES: usize = 250;

/// Texts of one long enum.
const MAX_LONG_ENUM_CHARACTERS: usize = 15_000;

/// Checks a strict schema.
pub(super) fn check(schema: &Map<String, Value>) -> Result<(), SchemaError> {
    Size::default().add(schema, 1)
}

/// What was seen so far.
#[derive(Default)]
struct Size {
    properties: usize,
    enum_values: usize,
    characters: usize,
}

impl Size {
    fn add(&mut self, schema: &Map<String, Value>, depth: usize) -> Result<(), SchemaError> {
        if let Some(values) = schema.get("enum").and_then(Value::as_array) {
            self.add_enum(values).map_err(|error| error.within("enum"))?;
        }
        if let Some(constant) = schema.get("const").and_then(Value::as_str) {
            self.add_text(constant).map_err(|error| error.within("const"))?;
        }
        if schema.contains_key("properties") {
            at_most(MAX_DEPTH, depth, "levels of objects in one another")?;
        }
        self.add_named(schema, "properties", depth + 1)?;
        self.add_named(schema, "$defs", 1)?;
        if let Some(items) = schema.get("items").and_then(Value::as_object) {
            self.add(items, depth).map_err(|error| error.within("items"))?;
        }
        self.add_alternatives(schema, depth)
    }

    fn add_named(
        &mut self,
        schema: &Map<String, Value>,
        keyword: &str,
        depth: usize,
    ) -> Result<(), SchemaError> {
        for (name, schema) in schema.get(keyword).and_then(Value::as_object).into_iter().flatten() {
            self.add_name(name, keyword == "properties")
                .and_then(|()| schema.as_object().map_or(Ok(()), |schema| self.add(schema, depth)))
                .map_err(|error| error.within(name).within(keyword))?;
        }
        Ok(())
    }

    fn add_name(&mut self, name: &str, is_property: bool) -> Result<(), SchemaError> {
        self.properties += usize::from(is_property);
        at_most(MAX_PROPERTIES, self.properties, "properties in all")?;
        self.add_text(name)
    }

    fn add_alternatives(
        &mut self,
        schema: &Map<String, Value>,
        depth: usize,
    ) -> Result<(), SchemaError> {
        let alternatives = schema.get("anyOf").and_then(Value::as_array).into_iter().flatten();
        for (index, schema) in alternatives.enumerate() {
            if let Some(schema) = schema.as_object() {
                self.add(schema, depth)
                    .map_err(|error| error.within(&index.to_string()).within("anyOf"))?;
            }
        }
        Ok(())
    }

    fn add_enum(&mut self, values: &[Value]) -> Result<(), SchemaError> {
        self.enum_values += values.len();
        at_most(MAX_ENUM_VALUES, self.enum_values, "values of enums in all")?;
        let before = self.characters;
        values.iter().filter_map(Value::as_str).try_for_each(|text| self.add_text(text))?;
        if values.len() > LONG_ENUM_VALUES {
            let of = "characters in the values of an enum of more than 250";
            at_most(MAX_LONG_ENUM_CHARACTERS, self.characters - before, of)?;
        }
        Ok(())
    }

    fn add_text(&mut self, text: &str) -> Result<(), SchemaError> {
        self.characters += text.chars().count();
        at_most(MAX_CHARACTERS, self.characters, "characters of names and values in all")
    }
}

fn at_most(limit: usize, number: usize, of: &'static str) -> Result<(), SchemaError> {
    if number <= limit {
        return Ok(());
    }
    Err(SchemaError::here(SchemaProblem::TooLarge { of, limit }))
}
