//! A conversation that takes input and runs turns.

mod accept;
mod builder;
mod change;
mod claim;
mod inner;
mod look;
mod runner;
mod settle;
mod submission;
mod submit;
mod went_on;

use std::sync::Arc;
use std::time::Duration;

use longhaul_state::protocol::{ApprovalDecision, CallDigest, PendingApproval, TurnError};

use crate::events::SessionEvents;
use crate::log::Keeper;
use crate::task::SessionTask;
use crate::{Input, TurnHandle};

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
    /// [`TurnError::Storage`] if it cannot be kept; nothing has happened then. But where a turn had taken
    /// the input before that was known, this comes when that turn has ended, for the same reason and
    /// before a request: the conversation [has](Self::history) the input, and it is kept with what is kept
    /// next. While the log cannot be written, what it lacks is tried once more for each input, and the
    /// input refused if that fails.
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
    /// Where the session is kept in a log, this completes when the log knows, and so does the handle: from
    /// then on it does not come again.
    ///
    /// # Errors
    ///
    /// [`TurnError::UnknownInput`] if no such input waits. [`TurnError::Storage`], also from the handle, if
    /// the log cannot be told: the input is taken back, and that is kept with what is kept next; if the
    /// process ends before, the input waits again.
    ///
    /// # Cancel safety
    ///
    /// Once polled, the input is taken back; a future that is dropped later only does not wait until that
    /// is kept.
    pub async fn withdraw(&self, input_id: &str) -> Result<(), TurnError> {
        self.inner.withdraw(input_id)?;
        self.inner.kept().await
    }

    /// Runs a task in the place of the turn that runs, which ends with the reason `replaced`. Inputs
    /// that wait do so until the task is over, and so do those that the turn had not taken. Of two tasks
    /// given while a turn ends, the second replaces the first. Where the log cannot be written, and one
    /// more attempt fails, the task does not begin, and its handle says [`TurnError::Storage`].
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

    /// The calls of the running turn that wait for somebody's approval, oldest first. Each is told by
    /// an [`Event::ApprovalRequest`](longhaul_state::protocol::Event::ApprovalRequest) too; this is for
    /// who was not there then.
    pub fn pending_approvals(&self) -> Vec<PendingApproval> {
        self.inner.queue.pending_approvals()
    }

    /// Answers an approval request. Each call is answered by itself, and the first answer counts. Where
    /// two calls with one id wait, the older one is meant; with `digest`, the one that it is of.
    ///
    /// An answer for the length of the session completes when the log, if there is one, has it; what starts
    /// the call shares the sync. Any other holds for its call alone, and completes at once: it is kept when
    /// [`Event::ApprovalAnswered`](longhaul_state::protocol::Event::ApprovalAnswered) comes, and before the
    /// tool starts. If the process ends before, whoever goes on with the turn asks again.
    ///
    /// # Errors
    ///
    /// [`TurnError::UnknownApproval`] if no such call waits: it was answered, its turn is over or being
    /// ended, or it asks for something else than `digest` says. Nothing has changed then.
    /// [`TurnError::Storage`] if an answer for the length of the session cannot be kept: it holds while the
    /// session is open, and is kept with what is kept next.
    ///
    /// # Cancel safety
    ///
    /// Once polled, the call is answered; a future that is dropped later only does not wait until that is
    /// kept.
    pub async fn answer(
        &self,
        call_id: &str,
        digest: Option<CallDigest>,
        decision: ApprovalDecision,
    ) -> Result<(), TurnError> {
        let is_kept = self.inner.answer(call_id, digest, decision)?;
        if is_kept { self.inner.kept().await } else { Ok(()) }
    }

    /// Ends the running turn, or the one that is about to begin, and says whether there is one.
    /// What its input says stays in the conversation.
    pub fn interrupt(&self) -> bool {
        self.inner.queue.interrupt()
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

    /// Goes on with the turn that was cut off before the session was opened again, under its id: what
    /// waited for approval asks again; a call that had started and left no output runs again if its tool
    /// [may](crate::tool::Tool::may_run_again), and else the model is told that its effect is unknown; what
    /// had not started is judged and run; then the model is asked. The turn goes on under the settings with
    /// which it began, but for those that [`SessionBuilder::settings`] changed when the session was opened,
    /// and with the schema that its final message has to follow; its bounds, its budget and the sums of
    /// its result are over all of it, as far as the log knows. Its deadline begins anew. Its next request
    /// carries the [inputs](crate::Resumed::inputs) that had waited; if no turn was cut off, they start one
    /// together.
    ///
    /// # Errors
    ///
    /// [`TurnError::InvalidInput`] if there is neither, it goes on already, another turn has begun, or
    /// today's tools would have to ask for approvals under the turn's policy and nobody can be asked;
    /// [`TurnError::Busy`], [`TurnError::Closed`].
    pub fn continue_turn(&self) -> Result<TurnHandle, TurnError> {
        self.inner.continue_turn()
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
