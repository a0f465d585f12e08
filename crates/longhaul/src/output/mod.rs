//! Answers that are values: the schema that a server holds the model to, and reading what it wrote.
//!
//! ```no_run
//! use longhaul::output::{read, strict_schema_of};
//! use longhaul::{Input, Session};
//!
//! #[derive(serde::Deserialize, schemars::JsonSchema)]
//! struct Forecast {
//!     /// In degrees Celsius.
//!     high: f64,
//!     /// Null if nobody knows.
//!     rain_mm: Option<f64>,
//! }
//!
//! # async fn run(session: &Session) -> Result<(), Box<dyn std::error::Error>> {
//! let schema = strict_schema_of::<Forecast>()?;
//! let input = Input::from("Oslo tomorrow?").output_schema(schema);
//! let result = session.prompt(input).await?.await?;
//! let forecast: Forecast = read(&result.last_message.unwrap_or_default())?;
//! # Ok(())
//! # }
//! ```
//!
//! # What strict servers take
//!
//! The rules are those of OpenAI's guide to structured outputs: the root is an object, every object
//! is closed and lists all its properties as required, and only a part of JSON Schema is there.
//! Maps, tuples, sets and values of any kind are not; [`SchemaError`] says where one is, and what to
//! write in its place. Lengths, patterns, ranges and formats are sent, as models take them that were
//! not fine-tuned.
//!
//! # Order
//!
//! A model writes properties in the order of the schema. `serde_json` sorts them by name unless its
//! feature `preserve_order` is on, which is for the program to decide: switch it on there where one
//! field has to be written before another. Nothing here changes the order that it finds.

mod answer;
mod error;
mod limits;
mod repair;
mod strict;
#[cfg(test)]
mod tests;
mod typed;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Value;

pub use answer::{AnswerError, read};
pub use error::{SchemaError, SchemaProblem};
pub use strict::strict;
pub(crate) use strict::strict_of_type;
pub use typed::{OutputError, TypedTurn};

/// The strict schema of `T`, with references where the type is recursive and none elsewhere.
///
/// Every field is written. An `Option` may be null; what else serde may do without (a default, an
/// optional struct that is flattened) keeps its type, because it does not read null.
///
/// ```
/// use longhaul::output::strict_schema_of;
///
/// #[derive(schemars::JsonSchema)]
/// struct City {
///     name: String,
///     country: Option<String>,
/// }
///
/// let schema = strict_schema_of::<City>()?;
/// assert_eq!(schema, serde_json::json!({
///     "type": "object",
///     "properties": {"name": {"type": "string"}, "country": {"type": ["string", "null"]}},
///     "required": schema["required"],
///     "additionalProperties": false,
/// }));
/// assert!(strict_schema_of::<Vec<City>>().is_err()); // a struct that holds the list would do
/// # Ok::<(), longhaul::output::SchemaError>(())
/// ```
///
/// # Errors
///
/// [`SchemaError`] as for [`strict`]: among others if `T` is not written as a JSON object, or is an
/// enum.
pub fn strict_schema_of<T: JsonSchema>() -> Result<Value, SchemaError> {
    strict_of_type(schema_of::<T>())
}

/// The JSON schema of `T`, without references where it can be: some servers do not follow them.
pub(crate) fn schema_of<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    settings.into_generator().into_root_schema_for::<T>().to_value()
}
