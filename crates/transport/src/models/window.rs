//! How large a model's context window is taken to be, and on whose word.

use super::ModelInfo;

/// The context window of a model that nobody knows, in tokens: what most current models have at
/// least. One that has less says so in its first error, and is believed.
pub const DEFAULT_CONTEXT_WINDOW: u64 = 128_000;

/// What a user configured. It belongs to the session, not to a model: it wins over every table and
/// every server, and stays when the model changes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WindowConfig {
    /// The raw context window in tokens.
    pub context_window: Option<u64>,
    /// From how many tokens on a conversation is to be compacted. Larger than the window: only where
    /// the window leaves no choice.
    pub auto_compact_token_limit: Option<u64>,
}

/// A context window, resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ContextWindow {
    /// All of it, in tokens.
    pub raw_tokens: u64,
    /// The part that is used, in tokens.
    pub effective_tokens: u64,
    /// From how many tokens on a conversation is to be compacted.
    pub auto_compact_tokens: u64,
    /// On whose word.
    pub source: WindowSource,
}

/// On whose word a context window is what it is, the strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WindowSource {
    /// The user's.
    Configured,
    /// The server's, which named it in an error.
    Learned,
    /// The model table's.
    Table,
    /// Nobody's: it is [`DEFAULT_CONTEXT_WINDOW`].
    Assumed,
}

impl ContextWindow {
    /// The window of a model of which `info` is known. The server's word is stronger than the
    /// table's: the same model is served with windows of many sizes.
    pub(super) fn resolve(info: &ModelInfo, config: WindowConfig, learned: Option<u64>) -> Self {
        let sources = [
            (config.context_window, WindowSource::Configured),
            (learned, WindowSource::Learned),
            (info.context_window, WindowSource::Table),
        ];
        let known = sources.into_iter().find_map(|(tokens, source)| Some((tokens?, source)));
        let (raw, source) = known.unwrap_or((DEFAULT_CONTEXT_WINDOW, WindowSource::Assumed));
        let of_row = info.auto_compact_token_limit.filter(|_| source == WindowSource::Table);
        Self {
            raw_tokens: raw,
            effective_tokens: percent(raw, info.effective_window_percent),
            auto_compact_tokens: config
                .auto_compact_token_limit
                .or(of_row)
                .unwrap_or_else(|| percent(raw, 90)),
            source,
        }
    }

    /// The part that is used, in tokens, unless the window is only assumed.
    pub fn known_tokens(&self) -> Option<u64> {
        (self.source != WindowSource::Assumed).then_some(self.effective_tokens)
    }
}

fn percent(tokens: u64, percent: u8) -> u64 {
    let share = u128::from(tokens) * u128::from(percent.min(100)) / 100;
    // A share is no larger than the whole.
    u64::try_from(share).unwrap_or(tokens)
}
