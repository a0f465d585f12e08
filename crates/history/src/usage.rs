//! Token usage as a server reports it, and its sums over a session.

use serde::{Deserialize, Serialize};

/// Tokens of one model call, or a sum of several.
///
/// `total` is what the server says it is; it is not derived from the other counts, because servers
/// differ in what they include. A count that the server left out is 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TokenUsage {
    /// Tokens of the request.
    #[serde(rename = "input_tokens")]
    pub input: u64,
    /// Of those, tokens that the provider's prompt cache held.
    #[serde(rename = "cached_input_tokens")]
    pub cached_input: u64,
    /// Tokens of the answer, reasoning included.
    #[serde(rename = "output_tokens")]
    pub output: u64,
    /// Of those, reasoning tokens.
    #[serde(rename = "reasoning_output_tokens")]
    pub reasoning_output: u64,
    /// All tokens.
    #[serde(rename = "total_tokens")]
    pub total: u64,
}

impl TokenUsage {
    /// Adds `other`, count by count; a sum that would overflow stays at the largest number.
    pub fn add(&mut self, other: &TokenUsage) {
        self.input = self.input.saturating_add(other.input);
        self.cached_input = self.cached_input.saturating_add(other.cached_input);
        self.output = self.output.saturating_add(other.output);
        self.reasoning_output = self.reasoning_output.saturating_add(other.reasoning_output);
        self.total = self.total.saturating_add(other.total);
    }

    /// What came to `earlier` until this, count by count; nothing where that is more.
    #[must_use]
    pub fn since(&self, earlier: &TokenUsage) -> Self {
        Self {
            input: self.input.saturating_sub(earlier.input),
            cached_input: self.cached_input.saturating_sub(earlier.cached_input),
            output: self.output.saturating_sub(earlier.output),
            reasoning_output: self.reasoning_output.saturating_sub(earlier.reasoning_output),
            total: self.total.saturating_sub(earlier.total),
        }
    }

    /// Tokens that stay in the context window for the next call: all but the reasoning.
    pub fn in_context(&self) -> u64 {
        self.total.saturating_sub(self.reasoning_output)
    }
}

/// What a session has used so far.
///
/// A plain value: written to the log and read back, it says the same.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TokenUsageInfo {
    /// The sum over all responses of the session. It only grows.
    pub total_token_usage: TokenUsage,
    /// The usage of the last response alone, or what is known to fill the context since: see
    /// [`TokenUsageInfo::mark_window_full`] and [`TokenUsageInfo::set_context_tokens`].
    pub last_token_usage: TokenUsage,
    /// The effective context window of the model in use, in tokens, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_context_window: Option<u64>,
}

/// Tokens of instructions and tools that every request has, whatever the user does: they count
/// neither as used nor as usable in [`TokenUsageInfo::percent_left`]. The number is that of the Codex
/// client.
pub const BASELINE_TOKENS: u64 = 12_000;

impl TokenUsageInfo {
    /// Takes the usage of one more response into account. `model_context_window` is that of the model
    /// which gave it: after a change of model, the new one's.
    pub fn record(&mut self, last: TokenUsage, model_context_window: Option<u64>) {
        self.total_token_usage.add(&last);
        self.last_token_usage = last;
        self.model_context_window = model_context_window;
    }

    /// The server says that the conversation fills the context window of `window` tokens. Shows it as
    /// full; what the session has used so far stays as it is, since the request was refused.
    pub fn mark_window_full(&mut self, window: u64) {
        self.model_context_window = Some(window);
        self.set_context_tokens(window);
    }

    /// The conversation was made shorter, or otherwise changed, and now takes about `tokens` in the
    /// context. What the session has used so far stays as it is.
    pub fn set_context_tokens(&mut self, tokens: u64) {
        self.last_token_usage = TokenUsage { total: tokens, ..TokenUsage::default() };
    }

    /// Tokens that the conversation takes in the context, as far as is known.
    pub fn context_tokens(&self) -> u64 {
        self.last_token_usage.in_context()
    }

    /// How much of the context window is left, from 0 to 100, rounded; `None` if the window is not
    /// known. [`BASELINE_TOKENS`] are taken off both what is used and the window; of a window that is
    /// no larger, nothing is left.
    ///
    /// ```
    /// use longhaul_history::usage::{TokenUsage, TokenUsageInfo};
    ///
    /// let mut info = TokenUsageInfo::default();
    /// let usage = TokenUsage { total: 62_000, ..TokenUsage::default() };
    /// info.record(usage, Some(212_000));
    /// assert_eq!(info.percent_left(), Some(75));
    /// info.mark_window_full(212_000);
    /// assert_eq!((info.percent_left(), info.percent_used()), (Some(0), Some(100)));
    /// ```
    pub fn percent_left(&self) -> Option<u8> {
        let usable = self.model_context_window?.saturating_sub(BASELINE_TOKENS);
        let used = self.context_tokens().saturating_sub(BASELINE_TOKENS);
        let left = u128::from(usable.saturating_sub(used));
        let usable = u128::from(usable.max(1));
        u8::try_from((left * 200 + usable) / (usable * 2)).ok()
    }

    /// The rest to 100 of [`TokenUsageInfo::percent_left`].
    pub fn percent_used(&self) -> Option<u8> {
        self.percent_left().map(|left| 100 - left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_saturate_and_last_is_last() {
        let big = TokenUsage { total: u64::MAX, ..TokenUsage::default() };
        let small = TokenUsage {
            input: 2,
            output: 3,
            reasoning_output: 1,
            total: 5,
            ..TokenUsage::default()
        };
        let mut info = TokenUsageInfo::default();
        info.record(big, Some(100));
        info.record(small, Some(200));
        assert_eq!(info.total_token_usage.total, u64::MAX);
        assert_eq!(info.total_token_usage.input, 2);
        assert_eq!(info.last_token_usage, small);
        assert_eq!(info.last_token_usage.in_context(), 4);
        assert_eq!(info.model_context_window, Some(200));
    }

    fn used(total: u64, reasoning_output: u64) -> TokenUsage {
        TokenUsage { reasoning_output, total, ..TokenUsage::default() }
    }

    #[test]
    fn a_full_window_erases_no_counters() {
        let mut info = TokenUsageInfo::default();
        info.record(used(70_000, 1_000), Some(100_000));
        info.record(used(90_000, 2_000), Some(100_000));
        info.mark_window_full(95_000);
        let full = TokenUsageInfo {
            total_token_usage: used(160_000, 3_000),
            last_token_usage: used(95_000, 0),
            model_context_window: Some(95_000),
        };
        assert_eq!((info, info.percent_left()), (full, Some(0)));
    }

    #[test]
    fn a_shorter_conversation_frees_the_window_and_costs_nothing() {
        let mut info = TokenUsageInfo::default();
        info.record(used(90_000, 0), Some(112_000));
        info.set_context_tokens(37_000);
        let shorter = TokenUsageInfo { last_token_usage: used(37_000, 0), ..info };
        assert_eq!(info, shorter);
        assert_eq!(info.total_token_usage, used(90_000, 0));
        assert_eq!((info.context_tokens(), info.percent_left()), (37_000, Some(75)));
    }

    #[test]
    fn percentages_leave_the_baseline_out_and_are_rounded() {
        let percent = |total, window| {
            let mut info = TokenUsageInfo::default();
            info.record(used(total, 0), window);
            (info.percent_left(), info.percent_used())
        };
        let table = [
            (0, None, None),
            (0, Some(212_000), Some(100)),
            (12_000, Some(212_000), Some(100)),
            (12_999, Some(212_000), Some(100)),
            (13_001, Some(212_000), Some(99)),
            (112_000, Some(212_000), Some(50)),
            (211_001, Some(212_000), Some(0)),
            (u64::MAX, Some(212_000), Some(0)),
            (0, Some(12_000), Some(0)),
            (5, Some(0), Some(0)),
            (0, Some(u64::MAX), Some(100)),
        ];
        for (total, window, left) in table {
            assert_eq!(percent(total, window), (left, left.map(|left| 100 - left)));
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let mut info = TokenUsageInfo::default();
        info.record(TokenUsage { input: 7, cached_input: 3, output: 2, ..used(9, 1) }, Some(50));
        info.mark_window_full(40);
        for info in [TokenUsageInfo::default(), info] {
            let json = serde_json::to_string(&info).unwrap();
            assert_eq!(serde_json::from_str::<TokenUsageInfo>(&json).unwrap(), info);
        }
        assert_eq!(
            serde_json::from_str::<TokenUsageInfo>("{}").unwrap(),
            TokenUsageInfo::default()
        );
    }
}
