//! What is known of models, by their slugs: a table that its user extends or overrides.
//!
//! ```
//! use longhaul_transport::models::{ModelInfo, ModelTable};
//!
//! let mut mine = ModelInfo::default();
//! mine.context_window = Some(32_768);
//! mine.reasoning = Some(true);
//! let table = ModelTable::builtin().with("my-model", mine);
//! assert_eq!(table.find("my-model-large").context_window, Some(32_768));
//! assert_eq!(table.find("gpt-5-codex").context_window, Some(272_000));
//! assert_eq!(table.find("something-else"), ModelInfo::default());
//!
//! // The same from a file.
//! let rows = r#"{"my-model": {"context_window": 32768, "reasoning": true}}"#;
//! let rows: ModelTable = serde_json::from_str(rows)?;
//! assert_eq!(ModelTable::builtin().with_all(&rows), table);
//! # Ok::<(), serde_json::Error>(())
//! ```

mod builtin;
mod table;
#[cfg(test)]
mod tests;
mod window;

use serde::{Deserialize, Serialize};

pub use table::ModelTable;
pub(crate) use table::known;
pub use window::{ContextWindow, DEFAULT_CONTEXT_WINDOW, WindowConfig, WindowSource};

/// The share of a context window that is used, in percent, unless a table says otherwise. The rest
/// is a reserve for what the server adds.
pub const EFFECTIVE_WINDOW_PERCENT: u8 = 95;

/// What is known of a model. What is `None` is not known: then the model gets what its user set, and
/// nothing is set for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ModelInfo {
    /// The raw context window in tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context_window: Option<u64>,
    /// The longest answer in tokens. For budgets of the caller's; it is never sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<u64>,
    /// The share of the window that is used, in percent, at most 100. Default:
    /// [`EFFECTIVE_WINDOW_PERCENT`].
    pub effective_window_percent: u8,
    /// From how many tokens on a conversation is to be compacted. It counts with the window of this
    /// row only. Default: 90 % of the raw window.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auto_compact_token_limit: Option<u64>,
    /// Whether it reasons and knows `reasoning`. `false`: the field is never sent to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<bool>,
    /// Whether it knows `text.verbosity`. `false`: the field is never sent to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verbosity: Option<bool>,
    /// Whether it may make several calls in one response. `false`: it is told not to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parallel_calls: Option<bool>,
    /// Whether it takes images. `false`: a text stands in the place of each.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub images: Option<bool>,
}

impl ModelInfo {
    const UNKNOWN: Self = Self {
        context_window: None,
        max_output_tokens: None,
        effective_window_percent: EFFECTIVE_WINDOW_PERCENT,
        auto_compact_token_limit: None,
        reasoning: None,
        verbosity: None,
        parallel_calls: None,
        images: None,
    };
}

impl Default for ModelInfo {
    fn default() -> Self {
        Self::UNKNOWN
    }
}
