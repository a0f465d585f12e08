//! Accepting what a session is to do.

use std::sync::Arc;

use longhaul_state::protocol::{SettingsUpdate, TurnError};
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
        self.catch_up().await?;
        let (mut submission, mut handle) = self.accept(input).await?;
        let noted = submission.note_accepted(self);
        match self.while_running {
            WhileRunning::Queue => self.queue.submit(submission).map_err(refusal)?,
            WhileRunning::Refuse => self.queue.submit_if_idle(submission).map_err(|e| match e {
                QueueError::Full => TurnError::Busy { limit: 0 },
                error @ QueueError::Closed => refusal(error),
            })?,
        }
        self.wake.notify_one();
        self.acknowledge(noted, &mut handle).await?;
        Ok(handle)
    }

    /// Accepts input for the turn that runs.
    pub(crate) async fn steer(self: &Arc<Self>, input: Input) -> Result<TurnHandle, TurnError> {
        self.catch_up().await?;
        let (mut handle, noted) = self.steer_in_memory(input).await?;
        self.acknowledge(noted, &mut handle).await?;
        Ok(handle)
    }

    /// The same, but for [keeping](Self::acknowledge) it: that is for whoever asked for it to wait for.
    pub(super) async fn steer_in_memory(
        self: &Arc<Self>,
        input: Input,
    ) -> Result<(TurnHandle, Option<Arc<str>>), TurnError> {
        let (mut submission, mut handle) = self.accept(input).await?;
        let noted = submission.note_accepted(self);
        match self.queue.steer(submission, turn_of).map_err(refusal)? {
            Steered::Running { turn_id } => handle.steers = Some(turn_id),
            Steered::Queued => self.wake.notify_one(),
        }
        Ok((handle, noted))
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

    /// Accepts to go on with the turn that was cut off, once.
    pub(super) fn continue_turn(self: &Arc<Self>) -> Result<TurnHandle, TurnError> {
        let turn_id = self.open_turn_id();
        self.check_open_turn()?;
        let task = Arc::new(Continue);
        let (submission, handle) = self.without_input(turn_id.as_deref(), Work::Continuing, task);
        let checked = self
            .queue
            .replace_if(submission, |standing| self.check_goes_on(turn_id.as_ref(), &standing));
        checked.map_err(refusal)??;
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
}

fn new_id() -> String {
    uuid::Uuid::now_v7().to_string()
}
