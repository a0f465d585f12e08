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

    /// Tokens that stay in the context window for the next call: all but the reasoning.
    pub fn in_context(&self) -> u64 {
        self.total.saturating_sub(self.reasoning_output)
    }
}

/// What a session has used so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenUsageInfo {
    /// The sum over all responses of the session.
    pub total_token_usage: TokenUsage,
    /// The usage of the last response alone.
    pub last_token_usage: TokenUsage,
    /// The effective context window of the model in use, in tokens, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_context_window: Option<u64>,
}

impl TokenUsageInfo {
    /// Takes the usage of one more response into account.
    pub fn record(&mut self, last: TokenUsage, model_context_window: Option<u64>) {
        self.total_token_usage.add(&last);
        self.last_token_usage = last;
        self.model_context_window = model_context_window;
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
}
