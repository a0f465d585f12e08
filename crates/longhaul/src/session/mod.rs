//! A conversation that takes input and runs turns.

mod builder;
mod inner;
mod runner;
mod submission;

use std::sync::Arc;

use bytes::Bytes;
use longhaul_history::usage::TokenUsageInfo;
use longhaul_history::{History, Item};
use longhaul_state::Steered;
use longhaul_state::protocol::{Op, SettingsUpdate, TurnError};
use longhaul_transport::RateLimits;
use longhaul_transport::models::ContextWindow;

use crate::events::SessionEvents;
use crate::tool::Tool;
use crate::{BuildError, Input, TurnHandle};

pub use builder::SessionBuilder;
pub(crate) use inner::Inner;
pub(crate) use submission::{Reply, Submission, Work};

/// A conversation. Turns run one at a time, in the order in which their inputs came. Cloning gives
/// another handle of the same session; when the last is dropped, what was accepted is finished and
/// the session ends.
#[derive(Clone)]
pub struct Session {
    inner: Arc<Inner>,
    _open: Arc<CloseOnDrop>,
}

/// What [`Session::submit`] did.
#[derive(Debug)]
#[non_exhaustive]
pub enum Accepted {
    /// The input is accepted; its turn has a handle.
    Turn(TurnHandle),
    /// It is done.
    Done,
}

impl Session {
    fn new(inner: Arc<Inner>) -> Self {
        let open = CloseOnDrop(Arc::clone(&inner));
        Self { inner, _open: Arc::new(open) }
    }

    /// The session's id: the prompt cache key of its requests.
    pub fn id(&self) -> &str {
        &self.inner.id
    }

    /// Accepts input for a turn of its own, which begins when the turns before it have ended.
    ///
    /// # Errors
    ///
    /// [`TurnError::InvalidInput`], [`TurnError::Busy`] or [`TurnError::Closed`]; nothing has
    /// happened then.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future before it is ready accepts nothing.
    pub async fn prompt(&self, input: impl Into<Input>) -> Result<TurnHandle, TurnError> {
        let (submission, handle) = self.inner.accept(input.into()).await?;
        self.inner.queue.submit(submission).map_err(inner::refusal)?;
        self.inner.wake.notify_one();
        Ok(handle)
    }

    /// Accepts input for the running turn: its next request carries it, exactly once. A request that
    /// is being repeated is the same request; the one after it counts. If the turn ends first, or
    /// none runs, the input starts a turn (inputs that came too late start one together); after an
    /// interrupt it waits for the next one.
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
    /// Dropping the future before it is ready accepts nothing.
    pub async fn steer(&self, input: impl Into<Input>) -> Result<TurnHandle, TurnError> {
        let (submission, handle) = self.inner.accept(input.into()).await?;
        let settings = submission.settings.clone();
        match self.inner.queue.steer(submission).map_err(inner::refusal)? {
            Steered::Running { .. } => self.inner.state.update_settings(settings),
            Steered::Queued => self.inner.wake.notify_one(),
        }
        Ok(handle)
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
    /// behind it, and says whether there was one. Once for each compaction.
    pub fn undo_compaction(&self) -> bool {
        self.inner.state.undo_compaction()
    }

    /// Adds an item to the conversation that every compaction keeps as it is. Of a call and its output
    /// both are kept if one is pinned. Pins take room for ever, so that all together may have a quarter of
    /// the effective context window, by the local count.
    ///
    /// # Errors
    ///
    /// [`TurnError::InvalidInput`] if there is no room for it; nothing is recorded then.
    pub fn pin(&self, item: &Item) -> Result<(), TurnError> {
        self.inner.pin(item)
    }

    /// Ends the running turn, or the one that is about to begin, and says whether there is one.
    /// What its input says stays in the conversation.
    pub fn interrupt(&self) -> bool {
        self.inner.queue.interrupt()
    }

    /// Changes the settings of later turns.
    ///
    /// # Errors
    ///
    /// [`TurnError::InvalidInput`] if the folder is relative, or if tools would have to ask for
    /// approval; nothing has changed then.
    pub fn configure(&self, change: SettingsUpdate) -> Result<(), TurnError> {
        self.inner.check_settings(&change)?;
        self.inner.state.update_settings(change);
        Ok(())
    }

    /// Gives later turns other tools; the running turn keeps its own.
    ///
    /// # Errors
    ///
    /// [`BuildError`] if they cannot be used; nothing has changed then.
    pub fn set_tools(&self, tools: &[Arc<dyn Tool>]) -> Result<(), BuildError> {
        self.inner.set_tools(tools)
    }

    /// All events of the session from now on.
    pub fn events(&self) -> SessionEvents {
        self.inner.subscribers.subscribe()
    }

    /// The conversation so far; a snapshot.
    pub fn history(&self) -> History {
        self.inner.state.history()
    }

    /// What the session has used, and the newest limits that the server stated.
    pub fn token_count(&self) -> (Option<TokenUsageInfo>, Option<RateLimits>) {
        self.inner.state.token_count()
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

    /// Performs an operation under `id`. Operations that this version does not know are
    /// [`TurnError::Unsupported`].
    ///
    /// # Errors
    ///
    /// What the operation's own method gives.
    ///
    /// # Cancel safety
    ///
    /// As the operation's own method.
    pub async fn submit(&self, id: &str, op: Op) -> Result<Accepted, TurnError> {
        match op {
            Op::UserInput { items } => {
                let handle = self.steer(Input::from(items).id(id)).await?;
                Ok(Accepted::Turn(handle))
            }
            Op::UserTurn(turn) => {
                let handle = self.steer(Input::from(turn).id(id)).await?;
                Ok(Accepted::Turn(handle))
            }
            Op::OverrideTurnContext(change) => self.configure(change).map(|()| Accepted::Done),
            Op::Interrupt => {
                self.interrupt();
                Ok(Accepted::Done)
            }
            Op::Compact => self.inner.compact(Some(id)).map(Accepted::Turn),
            Op::Shutdown => self.shutdown().await.map(|()| Accepted::Done),
            op => Err(TurnError::Unsupported(op.name())),
        }
    }

    /// Ends the session: accepts nothing more, interrupts the running turn, settles inputs that
    /// wait with [`TurnError::Closed`], and waits until all is done. A second call only waits.
    ///
    /// # Errors
    ///
    /// None today; the session log will have some.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the session ending.
    pub async fn shutdown(&self) -> Result<(), TurnError> {
        self.inner.stop();
        self.inner.ended.cancelled().await;
        Ok(())
    }
}

/// Lets a session end when its last handle is gone.
struct CloseOnDrop(Arc<Inner>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("id", &self.id()).finish_non_exhaustive()
    }
}
