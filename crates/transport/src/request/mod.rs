//! What is asked of a model.

mod encode;
#[cfg(test)]
mod tests;
mod tools;

use std::collections::BTreeMap;
use std::sync::Arc;

use longhaul_history::Prompt;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::auth::Auth;

pub use encode::{OWN_FIELDS, encode};
pub use tools::{ToolForm, ToolList, ToolSpec};

/// One request to a model. What is not set is not sent.
#[derive(Clone)]
#[non_exhaustive]
pub struct Request {
    /// The model's slug.
    pub model: String,
    /// Base instructions.
    pub instructions: Option<Arc<str>>,
    /// The conversation.
    pub input: Prompt,
    /// The tools that the model may call.
    pub tools: ToolList,
    /// Whether it may call them. Default: as it likes.
    pub tool_choice: ToolChoice,
    /// How much the model is to reason.
    pub reasoning: Option<Reasoning>,
    /// How much the model is to say.
    pub verbosity: Option<Verbosity>,
    /// A JSON schema that the final message has to follow.
    pub output_schema: Option<Arc<Value>>,
    /// Further parameters.
    pub options: RequestOptions,
    /// The session: sent as prompt cache key, and in headers that identify the conversation where
    /// the provider knows them. Empty: not sent.
    pub session_id: String,
    /// What the request is for.
    pub task_kind: TaskKind,
    /// A credential for this request in place of the provider's.
    pub auth: Option<Arc<dyn Auth>>,
}

impl Request {
    /// A request with nothing but a model and a conversation.
    pub fn new(model: impl Into<String>, input: Prompt) -> Self {
        Self {
            model: model.into(),
            instructions: None,
            input,
            tools: ToolList::default(),
            tool_choice: ToolChoice::default(),
            reasoning: None,
            verbosity: None,
            output_schema: None,
            options: RequestOptions::default(),
            session_id: String::new(),
            task_kind: TaskKind::default(),
            auth: None,
        }
    }
}

/// Whether the model may call tools.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ToolChoice {
    /// As it likes.
    #[default]
    Auto,
    /// No.
    None,
    /// It must.
    Required,
}

/// What a request is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TaskKind {
    /// A step of an ordinary turn.
    #[default]
    Standard,
    /// A step of a review.
    Review,
    /// A compaction.
    Compact,
}

impl TaskKind {
    /// The value of the task-kind header.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Review => "review",
            Self::Compact => "compact",
        }
    }
}

/// How much the model is to reason. Values are the server's; it says which it knows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reasoning {
    /// `minimal`, `low`, `medium`, `high`, or what the model knows besides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effort: Option<String>,
    /// `auto`, `concise`, `detailed` or `none`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
}

/// How much the model is to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Verbosity {
    /// Little.
    Low,
    /// As usual.
    Medium,
    /// Much.
    High,
}

/// Further parameters of a request, each sent only if it is set.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct RequestOptions {
    /// The longest answer, in tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<u64>,
    /// Sampling temperature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Nucleus sampling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f64>,
    /// The server's class of service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_tier: Option<String>,
    /// Labels that the server stores with the response.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// Any other fields, merged last. A field that a [`Request`] has of its own is refused.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub extra: Map<String, Value>,
}

impl RequestOptions {
    /// The first key of `extra` that a request has of its own.
    pub fn collision(&self) -> Option<&str> {
        let mut keys = self.extra.keys().map(String::as_str);
        keys.find(|key| OWN_FIELDS.contains(key))
    }
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request")
            .field("model", &self.model)
            .field("items", &self.input.item_count())
            .field("task_kind", &self.task_kind)
            .finish_non_exhaustive()
    }
}
