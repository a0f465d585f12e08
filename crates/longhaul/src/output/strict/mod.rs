//! Making schemas strict.

mod keywords;
mod null;
mod shapes;

use serde_json::{Map, Value};

use super::{SchemaError, SchemaProblem, limits};

type Schema = Map<String, Value>;

/// Makes a JSON schema (draft 2020-12, as schemars writes them) one that strict servers take.
///
/// Objects are closed and all their properties required. A property that could be left out may be
/// null instead, unless it has a default: then it is always written. `oneOf` becomes `anyOf`, and an
/// `allOf` of one schema that schema. Notes are left out (titles, defaults, examples, formats that
/// servers do not know), but descriptions stay. The order of properties stays as it is, and a schema
/// that is strict already stays the same.
///
/// No value gets in that the schema kept out, but for these: null in place of what was left out, and
/// what fits two alternatives of a `oneOf`.
///
/// ```
/// use longhaul::output::strict;
/// use serde_json::json;
///
/// let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}});
/// assert_eq!(strict(schema)?, json!({
///     "type": "object",
///     "properties": {"city": {"type": ["string", "null"]}},
///     "required": ["city"],
///     "additionalProperties": false,
/// }));
/// # Ok::<(), longhaul::output::SchemaError>(())
/// ```
///
/// # Errors
///
/// [`SchemaError`] says where there is something without a counterpart, and what to write instead; so
/// it does if the schema is larger than servers take.
pub fn strict(schema: Value) -> Result<Value, SchemaError> {
    close(schema, LeftOut::Null)
}

/// The same for the schema of a Rust type, in which what may be null says so already.
pub(crate) fn strict_of_type(schema: Value) -> Result<Value, SchemaError> {
    close(schema, LeftOut::Written)
}

/// What becomes of a property that could be left out and has no default.
#[derive(Clone, Copy, PartialEq)]
enum LeftOut {
    /// It may be null.
    Null,
    /// It is always written.
    Written,
}

/// A schema on its way, whose references lead to these definitions.
struct Closing<'a> {
    definitions: &'a Schema,
    left_out: LeftOut,
}

fn close(schema: Value, left_out: LeftOut) -> Result<Value, SchemaError> {
    let mut root = keywords::of(schema)?;
    let definitions = keywords::take_named(&mut root, "$defs")?;
    let closing = Closing { definitions: &definitions, left_out };
    let mut strict = closing.schema(closing.root(root)?)?;
    if strict.get("type").is_none_or(|of| of != "object") {
        return Err(SchemaError::here(SchemaProblem::Root));
    }
    if !definitions.is_empty() {
        strict.insert("$defs".into(), closing.definitions()?.into());
    }
    limits::check(&strict)?;
    Ok(strict.into())
}

impl Closing<'_> {
    /// The root itself where it is a reference to one of the definitions.
    fn root(&self, mut root: Schema) -> Result<Schema, SchemaError> {
        let Some(reference) = root.get("$ref") else {
            return Ok(root);
        };
        keywords::alone(&root, "$ref")?;
        let definition = self.definition(reference).cloned();
        let mut target = keywords::of(definition.ok_or_else(|| leads_nowhere(reference))?)?;
        target.extend(root.remove_entry("description"));
        Ok(target)
    }

    fn definitions(&self) -> Result<Schema, SchemaError> {
        let strict = |(name, schema): (&String, &Value)| match self.value(schema.clone()) {
            Ok(schema) => Ok((name.clone(), schema.into())),
            Err(error) => Err(error.within(name).within("$defs")),
        };
        self.definitions.iter().map(strict).collect()
    }

    fn value(&self, schema: Value) -> Result<Schema, SchemaError> {
        self.schema(keywords::of(schema)?)
    }

    fn schema(&self, schema: Schema) -> Result<Schema, SchemaError> {
        keywords::refuse_unsupported(&schema)?;
        let has = |keyword| schema.contains_key(keyword);
        if has("allOf") {
            let inner = |error: SchemaError| error.within("0").within("allOf");
            self.schema(keywords::only_part(schema)?).map_err(inner)
        } else if has("$ref") {
            self.reference(schema)
        } else if has("anyOf") {
            self.alternatives(schema, "anyOf")
        } else if has("oneOf") {
            self.alternatives(schema, "oneOf")
        } else {
            self.plain(schema)
        }
    }

    /// The definition that `reference` names.
    fn definition(&self, reference: &Value) -> Option<&Value> {
        let name = reference.as_str()?.strip_prefix("#/$defs/")?;
        self.definitions.get(&name.replace("~1", "/").replace("~0", "~"))
    }
}

fn leads_nowhere(reference: &Value) -> SchemaError {
    let reference = reference.as_str().unwrap_or_default().to_owned();
    SchemaError::at("$ref", SchemaProblem::Reference(reference))
}
