//! Further parameters of a request, each sent only if it is set.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{OWN_FIELDS, ToolChoice};

/// Further parameters of a request, each sent only if it is set.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct RequestOptions {
    /// The longest answer, in tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<u64>,
    /// Sampling temperature.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Nucleus sampling.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f64>,
    /// The server's class of service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_tier: Option<String>,
    /// A stable name of the end user, for the server's search for misuse. Send no personal data:
    /// a hash will do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub safety_identifier: Option<String>,
    /// Labels that the server stores with the response.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// Whether the model may call tools. Default: as it likes, which is sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_choice: Option<ToolChoice>,
    /// What the server's prompt cache is asked by. Default: the session's id. Sessions with long
    /// common beginnings may share one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt_cache_key: Option<String>,
    /// The name of the schema that the final message follows; sent with a schema only. Default:
    /// `codex_output_schema`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_schema_name: Option<String>,
    /// Any other fields, merged last; one that is null is left out. A field that a
    /// [`Request`](super::Request) has of its own is refused, and so is a path into one
    /// (`text.verbosity`).
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub extra: Map<String, Value>,
}

/// Why options cannot be sent. The caller is at fault; the message names the option.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OptionsError {
    /// A further field collides with one that a request has of its own. Use that one.
    #[error("`extra.{0}`: the request has a field of that name; use it instead")]
    Collision(String),
    /// A number has no form in JSON.
    #[error("`{0}` is not a finite number: set one, or leave it out")]
    NotFinite(&'static str),
}

impl RequestOptions {
    /// Whether a request with these can be sent.
    ///
    /// # Errors
    ///
    /// [`OptionsError`] for the first that cannot.
    pub fn check(&self) -> Result<(), OptionsError> {
        for (name, number) in [("temperature", self.temperature), ("top_p", self.top_p)] {
            if number.is_some_and(|number| !number.is_finite()) {
                return Err(OptionsError::NotFinite(name));
            }
        }
        match self.extra.keys().find(|key| is_own(key)) {
            Some(key) => Err(OptionsError::Collision(crate::error::clean(key))),
            None => Ok(()),
        }
    }
}

/// Whether `key` is a field of a request, or a path into one.
fn is_own(key: &str) -> bool {
    let field = key.split_once('.').map_or(key, |(field, _)| field);
    OWN_FIELDS.contains(&field)
}
