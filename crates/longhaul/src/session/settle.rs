//! What becomes of what was accepted: it is kept, taken back, answered, or refused in the end.

use std::sync::Arc;

use longhaul_state::protocol::{ApprovalDecision, CallDigest, TurnError};

use super::{Inner, Submission, UNATTENDED};
use crate::TurnHandle;

impl Inner {
    /// Nothing is accepted that could not be kept: what the log is behind with is tried once more, and an
    /// input comes in when that is kept. So what waits for a log that cannot be written does not grow with
    /// each input.
    pub(super) async fn catch_up(&self) -> Result<(), TurnError> {
        self.check_open()?;
        match &self.keeper {
            Some(keeper) => keeper.caught_up().await,
            None => Ok(()),
        }
    }

    /// Completes when an input that waits is kept. Its turn begins meanwhile: what that changes shares
    /// the sync. An input that cannot be kept is taken back, and so is one that the caller no longer waits
    /// for. One that a turn has taken goes its way: the turn sends nothing before it is kept, and fails if
    /// that cannot be.
    pub(super) async fn acknowledge(
        &self,
        noted: Option<Arc<str>>,
        handle: &mut TurnHandle,
    ) -> Result<(), TurnError> {
        let (Some(id), Some(keeper)) = (noted, &self.keeper) else {
            return Ok(());
        };
        let count = self.state.change_count();
        let mut waiting = Unacknowledged { session: self, id: Some(id) };
        let kept = keeper.kept().await;
        if kept.is_ok() {
            waiting.id = None;
            return kept;
        }
        if waiting.take_back() {
            return kept;
        }
        // The turn may have tried again, and go on. So what is told here is what becomes of it.
        tokio::select! {
            biased;
            () = keeper.kept_at_last(count) => Ok(()),
            () = handle.settled() => keeper.outcome_of(count),
        }
    }

    /// Takes back an input that waits, in memory.
    pub(super) fn withdraw(&self, input_id: &str) -> Result<(), TurnError> {
        if self.take_back(|waiting| *waiting.id == *input_id) {
            return self.check_open();
        }
        Err(TurnError::UnknownInput { input_id: input_id.to_owned() })
    }

    /// Takes back the inputs that wait and are meant, and says whether there was one.
    fn take_back(&self, is_meant: impl Fn(&Submission) -> bool) -> bool {
        let taken_back = self.queue.withdraw(is_meant);
        let is_any = !taken_back.is_empty();
        for submission in taken_back {
            submission.withdraw();
        }
        is_any
    }

    /// Answers an approval request, in memory. Says whether the answer holds longer than the call, so that
    /// it is to be kept.
    pub(super) fn answer(
        &self,
        call_id: &str,
        digest: Option<CallDigest>,
        decision: ApprovalDecision,
    ) -> Result<bool, TurnError> {
        let holds = decision == ApprovalDecision::ApprovedForSession;
        let Some(answered) = self.queue.answer(call_id, digest, decision) else {
            return Err(TurnError::UnknownApproval { call_id: call_id.to_owned() });
        };
        if holds {
            // Before the call goes on: that it starts shares the sync.
            self.state.grant(answered.digest, answered.scope);
        }
        self.answered.notify_one();
        Ok(holds)
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
