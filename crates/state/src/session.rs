//! What a session knows, for as long as it lives.

use std::sync::{Mutex, MutexGuard, PoisonError};

use longhaul_history::usage::{TokenUsage, TokenUsageInfo};
use longhaul_history::{History, Item, Prompt, ReasoningFilter, Repair};
use longhaul_transport::RateLimits;

use crate::ContextMessages;
use crate::protocol::{Settings, SettingsUpdate};

/// The conversation of a session and what is known of it.
///
/// Every method takes the lock for the length of a field access and gives values, never guards.
pub struct SessionState(Mutex<Inner>);

#[derive(Clone)]
struct Inner {
    history: History,
    settings: Settings,
    /// The settings that the context messages in the history speak of.
    told: Option<Settings>,
    usage: Option<TokenUsageInfo>,
    rate_limits: Option<RateLimits>,
}

impl SessionState {
    /// A session that begins with `history`.
    pub fn new(history: History, settings: Settings) -> Self {
        Self(Mutex::new(Inner { history, settings, told: None, usage: None, rate_limits: None }))
    }

    /// Nothing that is done under the lock can leave a value half changed.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A copy that shares the conversation so far.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self(Mutex::new(self.lock().clone()))
    }

    /// The settings of the next turn.
    pub fn settings(&self) -> Settings {
        self.lock().settings.clone()
    }

    /// Changes the settings of later turns.
    pub fn update_settings(&self, change: SettingsUpdate) {
        self.lock().settings.update(change);
    }

    /// Begins a turn: records what `context` has to tell the model about settings that are new to
    /// it. Reasoning of earlier turns is no longer sent.
    pub fn begin_turn(&self, context: &dyn ContextMessages) {
        let (told, now) = {
            let inner = self.lock();
            (inner.told.clone(), inner.settings.clone())
        };
        // Not under the lock: it is the embedder's code, and may look at the session.
        let messages = context.messages(told.as_ref(), &now);
        let mut inner = self.lock();
        inner.history.begin_turn();
        inner.history.extend(messages);
        inner.told = Some(now);
    }

    /// Records items, together.
    pub fn record(&self, items: impl IntoIterator<Item = Item>) {
        self.lock().history.extend(items);
    }

    /// Records the output of a call, right after the call.
    pub fn record_output(&self, output: Item) {
        self.lock().history.record_output(output);
    }

    /// Puts the conversation right and gives what is to be sent of it.
    pub fn prompt(&self, filter: ReasoningFilter) -> (Prompt, Vec<Repair>) {
        let mut inner = self.lock();
        let repairs = inner.history.normalise();
        (inner.history.prompt(filter), repairs)
    }

    /// The conversation so far; a snapshot.
    pub fn history(&self) -> History {
        self.lock().history.clone()
    }

    /// Takes the usage of a response into account.
    pub fn record_usage(&self, usage: TokenUsage, model_context_window: Option<u64>) {
        let mut inner = self.lock();
        let info = inner.usage.get_or_insert_default();
        info.record(usage, model_context_window);
    }

    /// The server says that the conversation fills the context window of `tokens`. What the session
    /// has used so far stays as it is.
    pub fn mark_window_full(&self, tokens: u64) {
        let mut inner = self.lock();
        let info = inner.usage.get_or_insert_default();
        info.model_context_window = Some(tokens);
        info.last_token_usage = TokenUsage { total: tokens, ..TokenUsage::default() };
    }

    /// Takes note of limits that the server states; those that it leaves out stay known.
    pub fn record_rate_limits(&self, rate_limits: RateLimits) {
        self.lock().rate_limits.get_or_insert_default().update(rate_limits);
    }

    /// What the session has used, and the newest limits.
    pub fn token_count(&self) -> (Option<TokenUsageInfo>, Option<RateLimits>) {
        let inner = self.lock();
        (inner.usage, inner.rate_limits)
    }
}
