//! Accepting what a session is to do, and taking it back.

use std::sync::Arc;

use longhaul_history::Item;
use longhaul_state::protocol::{ApprovalDecision, CallDigest, SettingsUpdate, TurnError};
use longhaul_state::{MAX_WAITING, QueueError, Steered};

use super::{Inner, Submission, Work};
use crate::agent::WhileRunning;
#[cfg(feature = "coding")]
use crate::coding::review::Review;
use crate::task::{Compact, Continue, SessionTask};
use crate::{Input, TurnHandle};

/// What the model is told of a call that waits for an approval which nobody can give any more.
pub(crate) const UNATTENDED: &str = "nobody is left who could approve it";

/// A turn is named after the submission that starts it.
pub(super) fn turn_of(submission: &Submission) -> String {
    submission.id.to_string()
}

fn refusal(error: QueueError) -> TurnError {
    match error {
        QueueError::Full => TurnError::Busy { limit: MAX_WAITING },
        QueueError::Closed => TurnError::Closed,
    }
}

impl Inner {
    /// Makes a submission of `input`.
    pub(super) async fn accept(
        self: &Arc<Self>,
        input: Input,
    ) -> Result<(Submission, TurnHandle), TurnError> {
        input.check()?;
        self.check_settings(&input.settings)?;
        let id: Arc<str> = input.id.clone().unwrap_or_else(new_id).into();
        let item_id = format!("msg_{}", uuid::Uuid::now_v7().simple());
        let settings = input.settings.clone();
        let schema = input.output_schema.clone();
        let task = input.task.clone().unwrap_or_else(|| Arc::clone(&self.task));
        let message = input.into_message(&item_id).await;
        let work = Work::input(message, item_id, schema);
        Ok(Submission::new(self, id, work, settings, task))
    }

    /// Accepts input for a turn of its own.
    pub(super) async fn prompt(self: &Arc<Self>, input: Input) -> Result<TurnHandle, TurnError> {
        let (mut submission, handle) = self.accept(input).await?;
        let noted = submission.note_accepted(self);
        match self.while_running {
            WhileRunning::Queue => self.queue.submit(submission).map_err(refusal)?,
            WhileRunning::Refuse => self.queue.submit_if_idle(submission).map_err(|e| match e {
                QueueError::Full => TurnError::Busy { limit: 0 },
                error @ QueueError::Closed => refusal(error),
            })?,
        }
        self.wake.notify_one();
        self.acknowledge(noted).await?;
        Ok(handle)
    }

    /// Accepts input for the turn that runs.
    pub(crate) async fn steer(self: &Arc<Self>, input: Input) -> Result<TurnHandle, TurnError> {
        let (mut submission, mut handle) = self.accept(input).await?;
        let noted = submission.note_accepted(self);
        match self.queue.steer(submission, turn_of).map_err(refusal)? {
            Steered::Running { turn_id } => handle.steers = Some(turn_id),
            Steered::Queued => self.wake.notify_one(),
        }
        self.acknowledge(noted).await?;
        Ok(handle)
    }

    /// Completes when an input that waits is kept. Its turn begins meanwhile: what that changes shares
    /// the sync. An input that cannot be kept is taken back, unless a turn has taken it, which will
    /// tell; so is one that the caller no longer waits for.
    async fn acknowledge(&self, noted: Option<Arc<str>>) -> Result<(), TurnError> {
        let (Some(id), Some(keeper)) = (noted, &self.keeper) else {
            return Ok(());
        };
        let mut waiting = Unacknowledged { session: self, id: Some(id) };
        let kept = keeper.kept().await;
        if kept.is_err() && waiting.take_back() {
            return kept;
        }
        waiting.id = None;
        Ok(())
    }

    /// Accepts a compaction.
    pub(super) fn compact(self: &Arc<Self>, id: Option<&str>) -> Result<TurnHandle, TurnError> {
        let task = Arc::new(Compact);
        let (submission, mut handle) = self.without_input(id, Work::Compaction, task);
        match self.queue.steer(submission, turn_of).map_err(refusal)? {
            Steered::Running { turn_id } => handle.steers = Some(turn_id),
            Steered::Queued => self.wake.notify_one(),
        }
        Ok(handle)
    }

    /// Accepts a task in the place of the turn that runs.
    pub(super) fn replace(
        self: &Arc<Self>,
        id: Option<&str>,
        task: Arc<dyn SessionTask>,
    ) -> Result<TurnHandle, TurnError> {
        let (submission, handle) = self.without_input(id, Work::Task, task);
        self.queue.replace(submission).map_err(refusal)?;
        self.wake.notify_one();
        Ok(handle)
    }

    /// Accepts to go on with the turn that was cut off.
    pub(super) fn continue_turn(self: &Arc<Self>) -> Result<TurnHandle, TurnError> {
        let turn_id = self.open_turn_id();
        if turn_id.is_none() && self.queue.kept(|_| Some(())).is_empty() {
            return Err(TurnError::InvalidInput(
                "no turn was cut off and no input waits, or another turn has begun".into(),
            ));
        }
        self.check_open_turn()?;
        let task = Arc::new(Continue);
        let (submission, handle) = self.without_input(turn_id.as_deref(), Work::Continuing, task);
        self.queue.replace(submission).map_err(refusal)?;
        self.wake.notify_one();
        Ok(handle)
    }

    /// The task of a review.
    #[cfg(feature = "coding")]
    pub(super) fn review(&self, prompt: String) -> Result<Review, TurnError> {
        if prompt.trim().is_empty() {
            let message = "`prompt` is empty: say what is to be reviewed".into();
            return Err(TurnError::InvalidInput(message));
        }
        let review = Review::of(prompt);
        Ok(match &self.review_model {
            Some(model) => review.by(model),
            None => review,
        })
    }

    fn without_input(
        self: &Arc<Self>,
        id: Option<&str>,
        work: Work,
        task: Arc<dyn SessionTask>,
    ) -> (Submission, TurnHandle) {
        let id: Arc<str> = id.map_or_else(new_id, str::to_owned).into();
        Submission::new(self, id, work, SettingsUpdate::default(), task)
    }

    /// Takes back an input that waits.
    pub(super) fn withdraw(&self, input_id: &str) -> Result<(), TurnError> {
        if self.take_back(|waiting| *waiting.id == *input_id) {
            return Ok(());
        }
        Err(TurnError::UnknownInput { input_id: input_id.to_owned() })
    }

    /// Takes back the inputs that wait and are meant, and says whether there was one.
    fn take_back(&self, is_meant: impl Fn(&Submission) -> bool) -> bool {
        let taken_back = self.queue.withdraw(is_meant);
        let is_any = !taken_back.is_empty();
        for submission in taken_back {
            submission.reply.withdraw();
        }
        is_any
    }

    /// Answers an approval request.
    pub(super) fn answer(
        &self,
        call_id: &str,
        digest: Option<CallDigest>,
        decision: ApprovalDecision,
    ) -> Result<(), TurnError> {
        let holds = decision == ApprovalDecision::ApprovedForSession;
        let Some(answered) = self.queue.answer(call_id, digest, decision) else {
            return Err(TurnError::UnknownApproval { call_id: call_id.to_owned() });
        };
        if holds {
            self.state.grant(answered.digest, answered.scope);
        }
        self.answered.notify_one();
        Ok(())
    }

    /// Nothing is changed in a session that accepts nothing more.
    pub(super) fn check_open(&self) -> Result<(), TurnError> {
        if self.queue.is_closed() { Err(TurnError::Closed) } else { Ok(()) }
    }

    pub(super) fn check_settings(&self, change: &SettingsUpdate) -> Result<(), TurnError> {
        if let Some(cwd) = change.cwd.as_ref().filter(|cwd| !cwd.is_absolute()) {
            let message = format!("`cwd` is relative: `{}`; give an absolute path", cwd.display());
            return Err(TurnError::InvalidInput(message));
        }
        if change.model.as_ref().is_some_and(|model| model.trim().is_empty()) {
            return Err(TurnError::InvalidInput("`model` is empty: name one".into()));
        }
        let Some(policy) = change.approval_policy else {
            return Ok(());
        };
        let checked = self.gatekeeping.check(&self.tools(), policy);
        checked.map_err(|error| TurnError::InvalidInput(format!("`approval_policy`: {error}")))
    }

    /// Records an item that every compaction keeps, if there is room for it.
    pub(super) fn pin(&self, item: &Item) -> Result<(), TurnError> {
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
        Ok(())
    }

    /// No handle of the session is left: its turns go on without approvals.
    pub(super) fn leave_unattended(&self) {
        self.queue.nobody_answers(UNATTENDED);
        self.answered.notify_one();
    }

    pub(super) fn close(&self) {
        self.queue.close();
        self.wake.notify_one();
    }

    /// Accepts nothing more, ends the running turn, and tells inputs that no turn will take them.
    pub(super) fn stop(&self) {
        refuse(self.queue.stop());
        self.wake.notify_one();
    }

    /// Settles the inputs that were cancelled while they waited.
    pub(super) fn settle_cancelled(&self) {
        self.take_back(|input| input.reply.cancel.is_cancelled());
    }

    /// Inputs that no turn will take are told so.
    pub(super) fn settle_waiting(&self) {
        refuse(self.queue.drain());
    }
}

/// An input whose client waits to hear that it is kept.
struct Unacknowledged<'a> {
    session: &'a Inner,
    id: Option<Arc<str>>,
}

impl Unacknowledged<'_> {
    /// Says whether the input still waited.
    fn take_back(&mut self) -> bool {
        let Some(id) = self.id.take() else {
            return false;
        };
        self.session.take_back(|waiting| waiting.is_input(&id))
    }
}

impl Drop for Unacknowledged<'_> {
    fn drop(&mut self) {
        self.take_back();
    }
}

fn refuse(submissions: Vec<Submission>) {
    submissions.into_iter().for_each(Submission::refuse);
}

fn new_id() -> String {
    uuid::Uuid::now_v7().to_string()
}
