//! Values that fit a schema.

use serde_json::Value;

use super::naive::{list, object};

/// After so many parts, a value that recurs without end is cut off; it does not fit then.
const MAX_PARTS: usize = 300;

/// A value that fits `root`, in which every property is there. `choices` decides wherever there is a
/// choice; when it is used up, what is shortest is taken.
pub(super) fn instance(root: &Value, choices: Vec<u8>) -> Value {
    Instance { root, choices, parts: 0 }.of(root)
}

struct Instance<'a> {
    root: &'a Value,
    choices: Vec<u8>,
    parts: usize,
}

impl<'a> Instance<'a> {
    fn of(&mut self, schema: &'a Value) -> Value {
        self.parts += 1;
        if self.parts > MAX_PARTS {
            return Value::Null;
        }
        if let Some(reference) = schema["$ref"].as_str() {
            return self.of(self.root.pointer(&reference[1..]).unwrap());
        }
        if let [part] = list(&schema["allOf"]) {
            return self.of(part);
        }
        let alternatives = [list(&schema["anyOf"]), list(&schema["oneOf"])].concat();
        if !alternatives.is_empty() {
            let index = self.choose(alternatives.len(), |index| {
                !alternatives[index].to_string().contains("$ref")
            });
            let keyword = if schema["anyOf"].is_null() { "oneOf" } else { "anyOf" };
            return self.of(&schema[keyword][index]);
        }
        if let Some(constant) = schema.get("const") {
            return constant.clone();
        }
        match list(&schema["enum"]) {
            [] => self.typed(schema),
            constants => constants[self.choose(constants.len(), |_| true)].clone(),
        }
    }

    fn typed(&mut self, schema: &'a Value) -> Value {
        let types = list(&schema["type"]);
        let of = match types {
            [] => &schema["type"],
            types => &types[self.choose(types.len(), |index| types[index] == "null")],
        };
        match of.as_str().unwrap() {
            "null" => Value::Null,
            "boolean" => Value::Bool(self.choose(2, |_| true) == 0),
            "string" => "é".repeat(self.size(schema, "minLength", "maxLength")).into(),
            "array" => {
                let length = self.size(schema, "minItems", "maxItems");
                (0..length).map(|_| self.of(&schema["items"])).collect()
            }
            "object" => {
                let properties = object(schema, "properties");
                properties.map(|(name, of)| (name.clone(), self.of(of))).collect()
            }
            _ => {
                let least = schema["minimum"].as_i64().unwrap_or(-3);
                let most = schema["maximum"].as_i64().unwrap_or(i64::MAX);
                let more = i64::try_from(self.choose(7, |_| true)).unwrap();
                Value::from((least + more).min(most))
            }
        }
    }

    fn size(&mut self, schema: &Value, least: &str, most: &str) -> usize {
        let bound = |keyword: &str| Some(usize::try_from(schema[keyword].as_u64()?).unwrap());
        let size = bound(least).unwrap_or(0) + self.choose(3, |_| true);
        size.min(bound(most).unwrap_or(size))
    }

    /// One of `number`; the first that is `short` when there is nothing left to choose with.
    fn choose(&mut self, number: usize, short: impl Fn(usize) -> bool) -> usize {
        match self.choices.pop() {
            Some(choice) => usize::from(choice) % number,
            None => (0..number).find(|index| short(*index)).unwrap_or(0),
        }
    }
}
