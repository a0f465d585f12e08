//! What changes a session beside its turns: its conversation, its settings, its tools.
//!
//! A change holds in memory at once. Whoever made it is told when it is kept, and waits for that alone:
//! nobody else does.

use std::sync::{Arc, PoisonError};

use longhaul_history::Item;
use longhaul_state::protocol::{SettingsUpdate, TurnError};

use super::{Inner, Session};
use crate::agent::check_model_and_cwd;
use crate::log;
use crate::tool::{Tool, ToolSet};
use crate::{BuildError, TurnHandle};

impl Session {
    /// Puts the work tree back as it was before the last turn that has a snapshot, in the place of the
    /// turn that runs. See [`Snapshots`](crate::coding::Snapshots) and [`Undo`](crate::coding::Undo).
    ///
    /// # Errors
    ///
    /// As [`replace`](Self::replace). What goes wrong later is told by
    /// [`Event::UndoCompleted`](longhaul_state::protocol::Event::UndoCompleted).
    #[cfg(feature = "coding")]
    pub fn undo(&self) -> Result<TurnHandle, TurnError> {
        self.replace(crate::coding::Undo)
    }

    /// Adds an item to the conversation that every compaction keeps as it is. Of a call and its output
    /// both are kept if one is pinned. Pins take room for ever, so that all together may have a quarter of
    /// the effective context window, by the local count. Completes when the log, if there is one, has it.
    ///
    /// # Errors
    ///
    /// [`TurnError::InvalidInput`] if there is no room for it; [`TurnError::Closed`]. Nothing is recorded
    /// then. [`TurnError::Storage`] if it cannot be kept: the conversation has it, and it is kept with what
    /// is kept next.
    ///
    /// # Cancel safety
    ///
    /// Once polled, the item is recorded; a future that is dropped later only does not wait until it is
    /// kept.
    pub async fn pin(&self, item: &Item) -> Result<(), TurnError> {
        self.inner.pin(item)?;
        self.inner.kept().await
    }

    /// Changes the settings of later turns. Completes when the log, if there is one, has them.
    ///
    /// # Errors
    ///
    /// [`TurnError::InvalidInput`] if the folder is relative, or if tools would have to ask for
    /// approval; [`TurnError::Closed`]. Nothing has changed then. [`TurnError::Storage`] if they cannot be
    /// kept: they hold, and are kept with what is kept next.
    ///
    /// # Cancel safety
    ///
    /// Once polled, the settings hold; a future that is dropped later only does not wait until they are
    /// kept.
    pub async fn configure(&self, change: SettingsUpdate) -> Result<(), TurnError> {
        self.inner.configure(change)?;
        self.inner.kept().await
    }

    /// Gives later turns other tools; the running turn keeps its own. Completes when the log, if there is
    /// one, has what differs, and that what was approved for the session's length no longer is.
    ///
    /// # Errors
    ///
    /// [`BuildError`] if they cannot be used, or the session is shut down; nothing has changed then.
    /// [`BuildError::Store`] if the change cannot be kept: later turns have the tools, and it is kept with
    /// what is kept next.
    ///
    /// # Cancel safety
    ///
    /// Once polled, later turns have the tools; a future that is dropped later only does not wait until
    /// that is kept.
    pub async fn set_tools(&self, tools: &[Arc<dyn Tool>]) -> Result<(), BuildError> {
        self.inner.set_tools(tools)?;
        let kept = self.inner.kept().await;
        kept.map_err(|error| BuildError::Store(error.to_string()))
    }

    /// Accepts a compaction of the conversation: at the next step of the running turn, as part of it;
    /// as a turn of its own if none runs, or if that one ends first. Input that arrives meanwhile is
    /// answered in the next turn.
    ///
    /// The handle's result comes as soon as the compaction is over. What it did is told by
    /// [`Event::ContextCompacted`](longhaul_state::protocol::Event::ContextCompacted). If it fails the
    /// conversation is as it was, and a turn that runs goes on. One that has not begun is nothing that was
    /// said, and in no log: after a crash, ask for it again.
    ///
    /// # Errors
    ///
    /// [`TurnError::Busy`] or [`TurnError::Closed`]; nothing has changed then.
    pub fn compact(&self) -> Result<TurnHandle, TurnError> {
        self.inner.compact(None)
    }

    /// Brings back the conversation as it was before the last compaction, with what was recorded since
    /// behind it, and says whether there was one. Once for each compaction, and not where what it left was
    /// edited since. Of a session that was opened again the log is read once more, since the old
    /// conversation is not in memory.
    ///
    /// # Errors
    ///
    /// [`TurnError::Closed`]; [`TurnError::Storage`] if the log cannot be read, or it cannot be kept that the
    /// old conversation stands again. [`history`](Self::history) says which: in the second case it does.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future either has no effect, or the old conversation stands again and that is kept with
    /// what is kept next.
    pub async fn undo_compaction(&self) -> Result<bool, TurnError> {
        self.inner.undo_compaction().await
    }
}

impl Inner {
    /// Nothing is changed in a session that accepts nothing more. What is changed just when it ends may come
    /// too late for its log: so that is asked again behind each change.
    pub(super) fn check_open(&self) -> Result<(), TurnError> {
        if self.queue.is_closed() { Err(TurnError::Closed) } else { Ok(()) }
    }

    pub(super) fn check_settings(&self, change: &SettingsUpdate) -> Result<(), TurnError> {
        check_model_and_cwd(change.model.as_deref(), change.cwd.as_deref())
            .map_err(|error| TurnError::InvalidInput(error.to_string()))?;
        let Some(policy) = change.approval_policy else {
            return Ok(());
        };
        let checked = self.gatekeeping.check(&self.tools(), policy);
        checked.map_err(|error| TurnError::InvalidInput(format!("`approval_policy`: {error}")))
    }

    /// Changes the settings of later turns, in memory.
    pub(super) fn configure(&self, change: SettingsUpdate) -> Result<(), TurnError> {
        self.check_open()?;
        self.check_settings(&change)?;
        self.state.update_settings(change);
        self.check_open()
    }

    /// Records an item that every compaction keeps, if there is room for it.
    fn pin(&self, item: &Item) -> Result<(), TurnError> {
        self.check_open()?;
        let history = self.state.history();
        let measured = history.measured(0..history.len());
        let pinned: u64 =
            measured.filter(|(item, _)| item.is_pinned()).map(|(_, tokens)| tokens).sum();
        let tokens = history.config().counter.count_item(item);
        let most = self.window(&self.state.settings().model).effective_tokens / 4;
        if pinned.saturating_add(tokens) > most {
            return Err(TurnError::InvalidInput(format!(
                "the item takes {tokens} tokens and what is pinned already {pinned}: all together may \
                 have {most}, a quarter of the context window; pin less"
            )));
        }
        self.state.record([item.pinned()]);
        self.check_open()
    }

    fn set_tools(&self, tools: &[Arc<dyn Tool>]) -> Result<(), BuildError> {
        if self.queue.is_closed() {
            return Err(BuildError::Closed);
        }
        let tools = ToolSet::new(tools)?.with_hosted(&self.hosted_tools)?;
        tools.check_features(self.services.model.features())?;
        self.gatekeeping.check(&tools, self.state.settings().approval_policy)?;
        {
            let mut held = self.tools.lock().unwrap_or_else(PoisonError::into_inner);
            *held = tools;
            // Under the lock: of two that change the tools at once, the log names those that stay.
            self.note_surface(&held);
        }
        // What was approved was to be done by others.
        self.state.clear_grants();
        if self.queue.is_closed() { Err(BuildError::Closed) } else { Ok(()) }
    }

    /// The log knows what the session works with.
    fn note_surface(&self, tools: &ToolSet) {
        if self.keeper.is_some() {
            let (provider, instructions) =
                (self.services.model.server(), self.instructions.as_ref());
            self.state.set_surface(log::surface(provider, instructions, tools));
        }
    }

    async fn undo_compaction(&self) -> Result<bool, TurnError> {
        self.check_open()?;
        if let Some(keeper) = &self.keeper
            && self.state.has_compaction_in_log()
        {
            self.state.recall_compaction(keeper.past_compaction().await?);
        }
        let is_undone = self.state.undo_compaction();
        self.check_open()?;
        if is_undone {
            self.kept().await?;
        }
        Ok(is_undone)
    }
}
