//! What a session has used: tokens of requests and of the conversation, cost, and the limits that
//! servers state.

use std::sync::Arc;

use longhaul_history::usage::{TokenUsage, TokenUsageInfo};
use longhaul_transport::request::TaskKind;
use longhaul_transport::{RateLimits, Request};

use super::{Inner, Known, SessionState};

impl SessionState {
    /// Takes note of what is about to be asked, so that the usage that its server reports shows how
    /// far the counts of tokens are off. Gives its tokens by the local count.
    pub fn note_request(&self, request: &Request) -> u64 {
        let counter = Arc::clone(&self.lock().history.config().counter);
        let tokens = request.estimate_tokens(&*counter);
        let mut inner = self.lock();
        inner.asked = Some((request.model.clone(), tokens));
        if request.task_kind != TaskKind::Compact {
            inner.sent_items = Some(inner.history.len());
        }
        tokens
    }

    /// So many items of the conversation were in the last request of a turn; `None` before the first,
    /// and where the conversation was replaced since.
    pub fn sent_items(&self) -> Option<usize> {
        self.lock().sent_items
    }

    /// Tokens of the conversation, as the server of `model` is expected to count them.
    pub fn context_tokens(&self, model: &str) -> u64 {
        let tokens = self.lock().history.tokens();
        self.calibration(model).apply(tokens)
    }

    /// Takes note of a response of a turn, and of what it cost if it says so. Its usage alone is held
    /// against `limit`, from how many tokens on the conversation is to be compacted.
    pub fn record_response(
        &self,
        usage: Option<TokenUsage>,
        model_context_window: Option<u64>,
        limit: u64,
    ) {
        self.change(|inner| {
            let used = usage.map(|usage| usage.in_context()).filter(|used| *used > 0);
            let before = std::mem::replace(&mut inner.used, used);
            match usage {
                Some(usage) => inner.record_usage(usage, model_context_window),
                None if before.is_some() => inner.note_used(),
                None => {}
            }
            inner.change_breaker(|breaker| breaker.measured(used, limit));
        });
    }

    /// Adds what a response cost, also one that is no step of a turn.
    pub fn record_usage(&self, usage: TokenUsage, model_context_window: Option<u64>) {
        self.change(|inner| inner.record_usage(usage, model_context_window));
    }

    /// Adds what requests cost.
    pub fn add_cost(&self, cost: f64) {
        self.change(|inner| {
            inner.cost += cost;
            inner.note_used();
        });
    }

    /// What the session has cost, by the agent's prices; 0 where those know none.
    pub fn cost(&self) -> f64 {
        self.lock().cost
    }

    /// What the last response says that the conversation takes, in tokens; `None` if it said nothing
    /// or the conversation was compacted since.
    pub fn used_tokens(&self) -> Option<u64> {
        self.lock().used
    }

    /// The server says that the conversation fills the context window of `tokens`. What the session
    /// has used so far stays as it is.
    pub fn mark_window_full(&self, tokens: u64) {
        self.change(|inner| {
            inner.usage.get_or_insert_default().mark_window_full(tokens);
            inner.note_used();
        });
    }

    /// Takes note of limits that the server states; those that it leaves out stay known. Whoever keeps
    /// changes gets them with the next one.
    pub fn record_rate_limits(&self, rate_limits: RateLimits) {
        let mut inner = self.lock();
        inner.rate_limits.get_or_insert_default().update(rate_limits);
        inner.note_limits();
    }

    /// What the session has used, and what it knows of models.
    pub fn known(&self) -> Known {
        self.lock().known()
    }

    /// What the session has used, and the newest limits.
    pub fn token_count(&self) -> (Option<TokenUsageInfo>, Option<RateLimits>) {
        let inner = self.lock();
        (inner.usage, inner.rate_limits)
    }
}

impl Inner {
    fn record_usage(&mut self, usage: TokenUsage, model_context_window: Option<u64>) {
        if let Some((model, tokens)) = self.asked.take()
            && let Some(remembered) = self.remember(&model)
        {
            remembered.calibration.observe(tokens, usage.input);
        }
        let info = self.usage.get_or_insert_default();
        info.record(usage, model_context_window);
        self.note_used();
    }
}
