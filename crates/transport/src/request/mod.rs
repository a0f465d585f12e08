//! What is asked of a model.

mod choice;
mod encode;
mod instructions;
mod options;
#[cfg(test)]
mod tests;
mod tools;

use std::sync::Arc;

use longhaul_history::tokens::TokenCounter;
use longhaul_history::{Item, Prompt};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::auth::Auth;
use crate::models::ModelInfo;

pub use choice::ToolChoice;
pub use encode::{OWN_FIELDS, encode};
pub use instructions::Instructions;
pub use options::{OptionsError, RequestOptions};
pub use tools::{ToolForm, ToolList, ToolSpec};

/// One request to a model. What is not set is not sent.
#[derive(Clone)]
#[non_exhaustive]
pub struct Request {
    /// The model's slug.
    pub model: String,
    /// What is known of the model, which decides what is sent to it. Default: what the built-in
    /// table knows.
    pub model_info: Option<ModelInfo>,
    /// Base instructions.
    pub instructions: Option<Instructions>,
    /// The conversation.
    pub input: Prompt,
    /// The tools that the model may call.
    pub tools: ToolList,
    /// How much the model is to reason. Sent unless the model or the provider does not know it.
    pub reasoning: Option<Reasoning>,
    /// How much the model is to say. Sent unless the model or the provider does not know it.
    pub verbosity: Option<Verbosity>,
    /// A JSON schema that the final message has to follow.
    pub output_schema: Option<Arc<Value>>,
    /// Further parameters.
    pub options: RequestOptions,
    /// The session: sent as prompt cache key unless the options name another, and in headers that
    /// identify the conversation where the provider knows them. Empty: not sent.
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
            model_info: None,
            instructions: None,
            input,
            tools: ToolList::default(),
            reasoning: None,
            verbosity: None,
            output_schema: None,
            options: RequestOptions::default(),
            session_id: String::new(),
            task_kind: TaskKind::default(),
            auth: None,
        }
    }

    /// The request that has the model sum this conversation up: `prompt` is its last item, and no
    /// tool may be called. Model, instructions, tools and the items before stay as they are, byte for
    /// byte, so that the server's prompt cache still has them. A schema for the final message is left
    /// out: a summary is not that message.
    #[must_use]
    pub fn compaction(&self, prompt: &str) -> Self {
        let mut request = self.clone();
        request.input.push(&Item::user(prompt));
        request.options.tool_choice = Some(ToolChoice::None);
        request.output_schema = None;
        request.task_kind = TaskKind::Compact;
        request
    }

    /// Tokens of instructions, tools and conversation, by `counter`; those of the conversation were
    /// counted when it was recorded. What a server adds is not among them: a
    /// [`Calibration`](longhaul_history::tokens::Calibration) learns that.
    pub fn estimate_tokens(&self, counter: &dyn TokenCounter) -> u64 {
        let instructions = self.instructions.as_ref().map(Instructions::as_json);
        let instructions = instructions.map_or(0, |json| counter.count_json_string(json));
        let tools = if self.tools.is_empty() { "" } else { self.tools.as_json() };
        self.input.tokens() + instructions + counter.count_text(tools)
    }

    /// What is known of the model.
    fn info(&self) -> ModelInfo {
        self.model_info.unwrap_or_else(|| crate::models::known(&self.model))
    }
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

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request")
            .field("model", &self.model)
            .field("items", &self.input.item_count())
            .field("task_kind", &self.task_kind)
            .finish_non_exhaustive()
    }
}
