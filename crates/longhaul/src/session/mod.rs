//! A conversation that takes input and runs turns.

mod accept;
mod builder;
mod claim;
mod inner;
mod runner;
mod submission;
mod submit;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use longhaul_history::usage::TokenUsageInfo;
use longhaul_history::{History, Item};
use longhaul_rollout::RecentMessages;
use longhaul_state::protocol::{
    ApprovalDecision, CallDigest, PendingApproval, Settings, SettingsUpdate, TurnError,
};
use longhaul_transport::RateLimits;
use longhaul_transport::models::ContextWindow;

use crate::events::SessionEvents;
use crate::log::{self, Imported, Keeper, Resumed};
use crate::task::SessionTask;
use crate::tool::Tool;
use crate::{BuildError, Input, TurnHandle};

pub(crate) use accept::UNATTENDED;
pub use builder::SessionBuilder;
pub(crate) use claim::Claim;
pub(crate) use inner::Inner;
pub(crate) use submission::{Reply, Submission, Work};
pub use submit::Accepted;

/// A conversation. Turns run one at a time, in the order in which their inputs came. Cloning gives
/// another handle of the same session; when the last is dropped, what was accepted is finished and
/// the session ends; approvals are denied then, since nobody could give them.
#[derive(Clone)]
pub struct Session {
    inner: Arc<Inner>,
    _open: Arc<CloseOnDrop>,
}

impl Session {
    fn new(inner: Arc<Inner>) -> Self {
        let open = CloseOnDrop(Arc::clone(&inner));
        Self { inner, _open: Arc::new(open) }
    }

    /// What a turn does that ordinary input starts.
    pub(crate) fn task(&self) -> Arc<dyn SessionTask> {
        Arc::clone(&self.inner.task)
    }

    /// The session's id: the prompt cache key of its requests.
    pub fn id(&self) -> &str {
        &self.inner.id
    }

    /// Accepts input for a turn of its own, which begins when the turns before it have ended. Whether it
    /// waits for them or is refused while one runs says
    /// [`AgentBuilder::prompt_while_running`](crate::AgentBuilder::prompt_while_running).
    ///
    /// Where the session is kept in a log, this completes when the log has the input: from then on no
    /// crash loses it. The turn begins meanwhile.
    ///
    /// # Errors
    ///
    /// [`TurnError::InvalidInput`], [`TurnError::Busy`], [`TurnError::Closed`], or
    /// [`TurnError::Storage`] if it waits and cannot be kept; nothing has happened then. If its turn has
    /// begun before that is known, the handle's result says so.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future before it is ready accepts nothing, unless a turn has taken the input while
    /// it was being kept: then the turn goes on.
    pub async fn prompt(&self, input: impl Into<Input>) -> Result<TurnHandle, TurnError> {
        self.inner.prompt(input.into()).await
    }

    /// Accepts input for the turn that runs, or that was accepted and has not begun: its next request
    /// carries it, exactly once. A request that is being repeated is the same request; the one after it
    /// counts. If the turn ends first, or there is none, the input starts a turn (inputs that came too
    /// late start one together); after an interrupt it waits for the next one.
    /// [`TurnHandle::steers`] says which turn it was given to.
    ///
    /// The handle gives the result of whichever turn takes the input. Its events are those of the
    /// input alone, unless it starts the turn.
    ///
    /// # Errors
    ///
    /// As [`prompt`](Self::prompt).
    ///
    /// # Cancel safety
    ///
    /// As [`prompt`](Self::prompt).
    pub async fn steer(&self, input: impl Into<Input>) -> Result<TurnHandle, TurnError> {
        self.inner.steer(input.into()).await
    }

    /// Takes an accepted input back, by its id: it reaches no model, and its handle says
    /// [`TurnEnd::Withdrawn`](longhaul_state::protocol::TurnEnd::Withdrawn). That is possible until the
    /// conversation has it, which is right before the request that carries it.
    ///
    /// # Errors
    ///
    /// [`TurnError::UnknownInput`] if no such input waits.
    pub fn withdraw(&self, input_id: &str) -> Result<(), TurnError> {
        self.inner.withdraw(input_id)
    }

    /// Runs a task in the place of the turn that runs, which ends with the reason `replaced`. Inputs
    /// that wait do so until the task is over, and so do those that the turn had not taken. Of two tasks
    /// given while a turn ends, the second replaces the first.
    ///
    /// # Errors
    ///
    /// [`TurnError::Busy`] or [`TurnError::Closed`]; the turn runs on then.
    pub fn replace(&self, task: impl SessionTask + 'static) -> Result<TurnHandle, TurnError> {
        self.inner.replace(None, Arc::new(task))
    }

    /// Has something reviewed by a model that has not seen the conversation, in the place of the turn
    /// that runs. See [`Review`](crate::coding::review::Review).
    ///
    /// # Errors
    ///
    /// [`TurnError::InvalidInput`] if the prompt is empty; else as [`replace`](Self::replace).
    #[cfg(feature = "coding")]
    pub fn review(&self, prompt: impl Into<String>) -> Result<TurnHandle, TurnError> {
        self.replace(self.inner.review(prompt.into())?)
    }

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

    /// The calls of the running turn that wait for somebody's approval, oldest first. Each is told by
    /// an [`Event::ApprovalRequest`](longhaul_state::protocol::Event::ApprovalRequest) too; this is for
    /// who was not there then.
    pub fn pending_approvals(&self) -> Vec<PendingApproval> {
        self.inner.queue.pending_approvals()
    }

    /// Answers an approval request. Each call is answered by itself, and the first answer counts. Where
    /// two calls with one id wait, the older one is meant; with `digest`, the one that it is of.
    ///
    /// # Errors
    ///
    /// [`TurnError::UnknownApproval`] if no such call waits: it was answered, its turn is over or being
    /// ended, or it asks for something else than `digest` says. Nothing has changed then.
    pub fn answer(
        &self,
        call_id: &str,
        digest: Option<CallDigest>,
        decision: ApprovalDecision,
    ) -> Result<(), TurnError> {
        self.inner.answer(call_id, digest, decision)
    }

    /// Accepts a compaction of the conversation: at the next step of the running turn, as part of it;
    /// as a turn of its own if none runs, or if that one ends first. Input that arrives meanwhile is
    /// answered in the next turn.
    ///
    /// The handle's result comes as soon as the compaction is over. What it did is told by
    /// [`Event::ContextCompacted`](longhaul_state::protocol::Event::ContextCompacted). If it fails the
    /// conversation is as it was, and a turn that runs goes on.
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

    /// Adds an item to the conversation that every compaction keeps as it is. Of a call and its output
    /// both are kept if one is pinned. Pins take room for ever, so that all together may have a quarter of
    /// the effective context window, by the local count.
    ///
    /// # Errors
    ///
    /// [`TurnError::InvalidInput`] if there is no room for it; [`TurnError::Closed`]. Nothing is recorded
    /// then.
    pub fn pin(&self, item: &Item) -> Result<(), TurnError> {
        self.inner.pin(item)
    }

    /// Ends the running turn, or the one that is about to begin, and says whether there is one.
    /// What its input says stays in the conversation.
    pub fn interrupt(&self) -> bool {
        self.inner.queue.interrupt()
    }

    /// The settings of the next turn.
    pub fn settings(&self) -> Settings {
        self.inner.state.settings()
    }

    /// Changes the settings of later turns.
    ///
    /// # Errors
    ///
    /// [`TurnError::InvalidInput`] if the folder is relative, or if tools would have to ask for
    /// approval; [`TurnError::Closed`]. Nothing has changed then.
    pub fn configure(&self, change: SettingsUpdate) -> Result<(), TurnError> {
        self.inner.check_open()?;
        self.inner.check_settings(&change)?;
        self.inner.state.update_settings(change);
        Ok(())
    }

    /// Gives later turns other tools; the running turn keeps its own.
    ///
    /// # Errors
    ///
    /// [`BuildError`] if they cannot be used, or the session is shut down; nothing has changed then.
    pub fn set_tools(&self, tools: &[Arc<dyn Tool>]) -> Result<(), BuildError> {
        self.inner.set_tools(tools)
    }

    /// All events of the session from now on.
    pub fn events(&self) -> SessionEvents {
        SessionEvents::from_now(Arc::clone(&self.inner.events))
    }

    /// The events of the session from the number `from` on: those that are kept, then those that come,
    /// without a gap between the two. Any number of readers may read; none holds a turn up.
    ///
    /// If events from that number on are no longer kept, the first is an
    /// [`Event::Missed`](longhaul_state::protocol::Event::Missed) that says which.
    pub fn subscribe(&self, from: u64) -> SessionEvents {
        SessionEvents::from(Arc::clone(&self.inner.events), from)
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

    /// Goes on with the turn that was cut off before the session was opened again, under its id: what
    /// waited for approval asks again; a call that had started and left no output runs again if its tool
    /// [may](crate::tool::Tool::may_run_again), and else the model is told that its effect is unknown; what
    /// had not started is judged and run; then the model is asked. Its next request carries the
    /// [inputs](Resumed::inputs) that had waited; if no turn was cut off, they start one together.
    ///
    /// # Errors
    ///
    /// [`TurnError::InvalidInput`] if there is neither, or another turn has begun;
    /// [`TurnError::Busy`], [`TurnError::Closed`].
    pub fn continue_turn(&self) -> Result<TurnHandle, TurnError> {
        self.inner.continue_turn()
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

    /// Ends the session: accepts nothing more, interrupts the running turn, settles inputs that
    /// wait with [`TurnError::Closed`], and waits until all is done. A second call only waits.
    ///
    /// # Errors
    ///
    /// [`TurnError::Storage`] if the log could not be written to its end. The session has ended then, too.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the session ending.
    pub async fn shutdown(&self) -> Result<(), TurnError> {
        self.inner.stop();
        self.inner.ended.cancelled().await;
        self.inner.keeper.as_ref().map_or(Ok(()), Keeper::outcome)
    }

    /// Ends the session, but lets it finish what it has accepted, for `limit` at most: accepts nothing
    /// more, and after that time does what [`shutdown`](Self::shutdown) does.
    ///
    /// # Errors
    ///
    /// As [`shutdown`](Self::shutdown).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the session closed: it ends when what it accepted is done.
    pub async fn drain(&self, limit: Duration) -> Result<(), TurnError> {
        self.inner.close();
        // Who is not done in time is stopped.
        let _ = tokio::time::timeout(limit, self.inner.ended.cancelled()).await;
        self.shutdown().await
    }
}

/// Lets a session end when its last handle is gone.
struct CloseOnDrop(Arc<Inner>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.close();
        self.0.leave_unattended();
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("id", &self.id()).finish_non_exhaustive()
    }
}
