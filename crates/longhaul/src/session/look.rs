//! What is known of a session.

use std::path::Path;

use bytes::Bytes;
use longhaul_history::History;
use longhaul_history::usage::TokenUsageInfo;
use longhaul_rollout::RecentMessages;
use longhaul_state::protocol::{Settings, TurnError};
use longhaul_transport::RateLimits;
use longhaul_transport::models::ContextWindow;

use super::Session;
use crate::Input;
use crate::log::{self, Imported, Resumed};

impl Session {
    /// The settings of the next turn.
    pub fn settings(&self) -> Settings {
        self.inner.state.settings()
    }

    /// What was found when the session was opened again; `None` if it is a new one.
    pub fn resumed(&self) -> Option<&Resumed> {
        self.inner.resumed.as_ref()
    }

    /// What became of the log that the session was taken over from, if another program wrote it.
    pub fn imported(&self) -> Option<&Imported> {
        self.inner.imported.as_ref()
    }

    /// What was said before the session was opened, for a user interface that shows it again: the
    /// newest messages of the whole log, also those that a compaction took out of the conversation,
    /// and of a fork those before its place. What an edit took back is not among them. They are
    /// given once; a new session has none.
    pub fn take_recent_messages(&self) -> RecentMessages {
        self.inner.take_recent()
    }

    /// The file of the session's log, if it is kept in one.
    pub fn log_path(&self) -> Option<&Path> {
        self.inner.keeper.as_ref()?.path()
    }

    /// The ordinal of the newest record of the session's log that is kept; `None` if it has no log. A
    /// fork [behind](crate::ForkPoint::Behind) it has the conversation as the log says it there: what
    /// was changed since, and is still to be kept, is not in it.
    pub fn log_position(&self) -> Option<u64> {
        Some(self.inner.keeper.as_ref()?.ordinal())
    }

    /// The conversation as a log in the plain format of the Codex client's sessions, JSON lines in UTC:
    /// settings before each turn, items, the messages that follow from them, and what was used.
    /// [`Replay::export`](crate::rollout::Replay::export) does the same with a log that no session has
    /// open. The session may run meanwhile, and needs no log.
    ///
    /// Each line bears the time of its record in the session's log, as [`Replay::export`] says; the log is
    /// read for that. Without a log, or where it cannot be read, the session began when it was opened, and
    /// its items bear the time of this call.
    ///
    /// [`Replay::export`]: crate::rollout::Replay::export
    ///
    /// # Errors
    ///
    /// [`TurnError::Internal`] if something of it cannot be written as JSON; nothing is today.
    ///
    /// # Cancel safety
    ///
    /// Safe: nothing is changed.
    pub async fn export(&self) -> Result<Vec<u8>, TurnError> {
        let inner = &self.inner;
        let said = match &inner.keeper {
            Some(keeper) => keeper.said().await,
            None => None,
        };
        let mut meta = log::meta(&inner.id, &inner.state);
        meta.timestamp = Some(inner.opened_at);
        meta.model_provider = inner.services.model.server().map(|provider| provider.name.clone());
        let exported = log::export(meta, inner.state.snapshot(), said);
        exported.map_err(|error| TurnError::Internal(error.to_string()))
    }

    /// The conversation so far; a snapshot.
    pub fn history(&self) -> History {
        self.inner.state.history()
    }

    /// What the session has used, and the newest limits that the server stated.
    pub fn token_count(&self) -> (Option<TokenUsageInfo>, Option<RateLimits>) {
        self.inner.state.token_count()
    }

    /// What the session has cost by the agent's [prices](crate::AgentBuilder::prices); 0 where those
    /// know none.
    pub fn cost(&self) -> f64 {
        self.inner.state.cost()
    }

    /// The context window of the model that the next turn uses, and on whose word it is that large.
    pub fn context_window(&self) -> ContextWindow {
        self.inner.window(&self.inner.state.settings().model)
    }

    /// The exact bytes that [`prompt`](Self::prompt) would send first for `input`, if the session
    /// does nothing else before, a compaction for one. Nothing is recorded.
    ///
    /// # Errors
    ///
    /// [`TurnError::InvalidInput`] if the input could not be sent.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    pub async fn preview_request(&self, input: impl Into<Input>) -> Result<Bytes, TurnError> {
        self.inner.preview(input.into()).await
    }
}
