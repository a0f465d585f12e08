//! Calls that wait for somebody's answer.

use super::TurnQueue;
use crate::protocol::{AbortReason, ApprovalDecision, CallDigest, PendingApproval};

/// The calls of a turn that wait, each by itself, and the answers that the turn has not heard.
#[derive(Default)]
pub(super) struct Approvals {
    pending: Vec<(usize, PendingApproval)>,
    answers: Vec<(usize, ApprovalDecision)>,
}

impl<I> TurnQueue<I> {
    /// The running turn waits for an answer for the call at `position` among those of its response. Says
    /// whether there may be one: not after [`nobody_answers`](Self::nobody_answers).
    pub fn ask(&self, position: usize, approval: PendingApproval) -> bool {
        let mut inner = self.lock();
        if inner.unattended {
            return false;
        }
        if let Some(active) = &mut inner.active {
            active.state.approvals.pending.push((position, approval));
        }
        true
    }

    /// Nobody is left who could answer: what waits is denied for `reason`, and nothing more is asked.
    pub fn nobody_answers(&self, reason: &str) {
        let mut inner = self.lock();
        inner.unattended = true;
        if let Some(active) = &mut inner.active {
            let Approvals { pending, answers } = &mut active.state.approvals;
            let denied = || ApprovalDecision::Denied { reason: Some(reason.to_owned()) };
            answers.extend(pending.drain(..).map(|(position, _)| (position, denied())));
        }
    }

    /// The calls that wait for an answer, oldest first.
    pub fn pending_approvals(&self) -> Vec<PendingApproval> {
        let inner = self.lock();
        let waiting = inner.active.iter().filter(|active| !active.cancel.is_cancelled());
        let pending = waiting.flat_map(|active| &active.state.approvals.pending);
        pending.map(|(_, approval)| approval.clone()).collect()
    }

    /// Answers for the oldest waiting call of this id, and of this digest if one is named. Gives what
    /// was answered; `None` if no such call waits, or its turn is being ended.
    pub fn answer(
        &self,
        call_id: &str,
        digest: Option<CallDigest>,
        decision: ApprovalDecision,
    ) -> Option<PendingApproval> {
        let mut inner = self.lock();
        let active = inner.active.as_mut().filter(|active| !active.cancel.is_cancelled())?;
        let approvals = &mut active.state.approvals;
        let is_meant = |(_, pending): &(usize, PendingApproval)| {
            pending.call_id == call_id && digest.is_none_or(|digest| digest == pending.digest)
        };
        let index = approvals.pending.iter().position(is_meant)?;
        let (position, answered) = approvals.pending.remove(index);
        if decision == ApprovalDecision::Abort {
            active.abort(AbortReason::Interrupted);
        } else {
            approvals.answers.push((position, decision));
        }
        Some(answered)
    }

    /// The answers that the running turn has not heard yet, oldest first.
    pub fn take_answers(&self) -> Vec<(usize, ApprovalDecision)> {
        let mut inner = self.lock();
        let active = inner.active.as_mut();
        active.map(|active| std::mem::take(&mut active.state.approvals.answers)).unwrap_or_default()
    }

    /// The running turn waits for no answer any more.
    pub fn stop_asking(&self) {
        if let Some(active) = &mut self.lock().active {
            active.state.approvals = Approvals::default();
        }
    }

    /// The call at `position` is no longer waited for; says whether it was.
    pub fn expire(&self, position: usize) -> bool {
        let mut inner = self.lock();
        let Some(active) = &mut inner.active else {
            return false;
        };
        let pending = &mut active.state.approvals.pending;
        let before = pending.len();
        pending.retain(|(waiting, _)| *waiting != position);
        pending.len() < before
    }
}
