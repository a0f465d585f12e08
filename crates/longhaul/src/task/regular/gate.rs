//! Which calls may run: the host's policy, and whoever answers approval requests.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use longhaul_state::protocol::{ApprovalDecision, CallDigest, Event, PendingApproval};
use longhaul_state::turn::{Fact, PlannedCall, Ruling, TurnRecord, Verdict};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;

use super::tools;
use super::wait::until;
use crate::approval::{CallInQuestion, Policy};
use crate::session::UNATTENDED;
use crate::task::TaskScope;
use crate::tool::{ToolCall, may_ask};

/// The calls of a response that are not allowed to run yet. Dropping it asks nobody any more.
pub(super) struct Gate {
    /// What is known, and not told yet.
    facts: VecDeque<Fact>,
    /// Calls that the policy rules on.
    judging: JoinSet<Ruling>,
    judged: BTreeMap<Id, PlannedCall>,
    /// Calls that somebody is asked about, by position.
    asked: BTreeMap<usize, Asked>,
    /// When those are no longer waited for.
    expiries: VecDeque<(Instant, usize)>,
}

/// What tells a call that somebody is asked about from others of its id.
struct Asked {
    call_id: String,
    digest: CallDigest,
}

impl Gate {
    pub(super) fn new() -> Self {
        Self {
            facts: VecDeque::new(),
            judging: JoinSet::new(),
            judged: BTreeMap::new(),
            asked: BTreeMap::new(),
            expiries: VecDeque::new(),
        }
    }

    /// Finds out which of these calls may run.
    pub(super) fn judge(&mut self, scope: &TaskScope, calls: Vec<PlannedCall>) {
        for call in calls {
            match &scope.gatekeeping().policy {
                Some(policy) if tools::could_run(scope.tools(), &call) => {
                    let ruling = rule(Arc::clone(policy), in_question(scope, &call));
                    let task = self.judging.spawn(ruling);
                    self.judged.insert(task.id(), call);
                }
                _ => self.ruled(scope, &call, by_default(scope, &call)),
            }
        }
    }

    /// Asks somebody about a call, unless that was answered for the whole session since it was ruled on:
    /// by the answer for another call, or before the session was opened again.
    pub(super) fn ask(&mut self, scope: &TaskScope, call: PlannedCall) {
        let PlannedCall { position, call_id, name, arguments, .. } = call;
        let turn_id = scope.context().turn_id.to_string();
        let mut approval = PendingApproval::new(turn_id, call_id, name, arguments);
        approval.scope = scope.context().grants;
        scope.note(TurnRecord::Asked { position, arguments: approval.arguments.clone() });
        if scope.is_granted(approval.digest) {
            return self.settle(scope, position, Verdict::Approved);
        }
        // First, so that whoever hears the event can answer.
        if !scope.queue().ask(position, approval.clone()) {
            let verdict = Verdict::Denied { reason: Some(UNATTENDED.into()) };
            return self.settle(scope, position, verdict);
        }
        let PendingApproval { call_id, name, arguments, digest, .. } = approval;
        self.asked.insert(position, Asked { call_id: call_id.clone(), digest });
        scope.emit(Event::ApprovalRequest { call_id, name, arguments, digest });
        let timeout = scope.gatekeeping().approvals.timeout;
        if let Some(expiry) = timeout.and_then(|timeout| Instant::now().checked_add(timeout)) {
            self.expiries.push_back((expiry, position));
        }
    }

    /// Nobody is asked any more.
    pub(super) fn close(&mut self, scope: &TaskScope) {
        scope.queue().stop_asking();
        *self = Self::new();
    }

    /// Whether there is a call of which something is still to become known.
    pub(super) fn is_open(&self) -> bool {
        !self.facts.is_empty() || !self.judging.is_empty() || !self.asked.is_empty()
    }

    /// The next that becomes known of a call; never, if nobody is asked. While tools are held nothing
    /// does, but answers are told all the same.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub(super) async fn next(&mut self, scope: &TaskScope) -> Fact {
        loop {
            let expiry = self.expiries.front().map(|(expiry, _)| *expiry);
            tokio::select! {
                biased;
                () = scope.tools_released(), if !self.facts.is_empty() => {
                    if let Some(fact) = self.facts.pop_front() {
                        return fact;
                    }
                }
                Some(joined) = self.judging.join_next_with_id(), if !self.judging.is_empty() => {
                    self.take_ruling(scope, joined);
                }
                () = scope.answered() => {
                    for (position, decision) in scope.queue().take_answers() {
                        self.settle(scope, position, verdict(decision));
                    }
                }
                () = until(expiry) => self.expire(scope),
            }
        }
    }

    /// A call waits no more: that is kept, and then told, before anything follows from it.
    fn settle(&mut self, scope: &TaskScope, position: usize, verdict: Verdict) {
        // The next response has calls at the same places.
        self.expiries.retain(|(_, waiting)| *waiting != position);
        scope.note(verdict.record(position));
        if let Some(Asked { call_id, digest }) = self.asked.remove(&position) {
            let approved = verdict == Verdict::Approved;
            scope.emit(Event::ApprovalAnswered { call_id, digest, approved });
        }
        self.facts.push_back(Fact::ApprovalAnswered { position, verdict });
    }

    fn take_ruling(&mut self, scope: &TaskScope, joined: Result<(Id, Ruling), JoinError>) {
        let (id, ruling) = match joined {
            Ok((id, ruling)) => (id, ruling),
            Err(error) => {
                let reason = "the host's policy failed".into();
                (error.id(), Ruling::Deny { reason })
            }
        };
        if let Some(call) = self.judged.remove(&id) {
            self.ruled(scope, &call, ruling);
        }
    }

    /// The ruling stands, unless what is to be asked was answered for the whole session already, or
    /// nobody would answer.
    fn ruled(&mut self, scope: &TaskScope, call: &PlannedCall, ruling: Ruling) {
        let ruling = match ruling {
            Ruling::Ask { arguments } => {
                let shown = arguments.as_deref().unwrap_or(&call.arguments);
                let digest = CallDigest::of(&call.name, shown);
                if scope.is_granted(digest) {
                    Ruling::Allow { arguments }
                } else if scope.gatekeeping().approvals.are_answered {
                    Ruling::Ask { arguments }
                } else {
                    Ruling::Deny { reason: "nobody answers approval requests here".into() }
                }
            }
            ruling => ruling,
        };
        ruling.record(call.position).into_iter().for_each(|record| scope.note(record));
        self.facts.push_back(Fact::CallJudged { position: call.position, ruling });
    }

    /// The oldest that waits has waited long enough, unless it was answered.
    fn expire(&mut self, scope: &TaskScope) {
        let Some((_, position)) = self.expiries.pop_front() else {
            return;
        };
        if scope.queue().expire(position) {
            let timeout = scope.gatekeeping().approvals.timeout;
            let seconds = timeout.as_ref().map_or(0, Duration::as_secs);
            self.settle(scope, position, Verdict::Unanswered { seconds });
        }
    }
}

async fn rule(policy: Arc<dyn Policy>, call: CallInQuestion) -> Ruling {
    policy.rule(&call).await
}

fn in_question(scope: &TaskScope, call: &PlannedCall) -> CallInQuestion {
    let context = scope.context();
    CallInQuestion {
        session_id: Arc::clone(&context.session_id),
        turn_id: Arc::clone(&context.turn_id),
        call: ToolCall::new(&call.call_id, &call.name, &call.arguments),
        asks_by_default: asks_by_default(scope, call),
        cwd: context.settings.cwd.clone(),
        data: scope.data(),
    }
}

/// What happens to a call if no policy says otherwise. One that cannot run is answered with why.
fn by_default(scope: &TaskScope, call: &PlannedCall) -> Ruling {
    if asks_by_default(scope, call) && tools::could_run(scope.tools(), call) {
        Ruling::Ask { arguments: None }
    } else {
        Ruling::Allow { arguments: None }
    }
}

fn asks_by_default(scope: &TaskScope, call: &PlannedCall) -> bool {
    let policy = scope.context().settings.approval_policy;
    scope.tools().get(&call.name).is_some_and(|entry| may_ask(&*entry.tool, policy))
}

fn verdict(decision: ApprovalDecision) -> Verdict {
    match decision {
        ApprovalDecision::Approved | ApprovalDecision::ApprovedForSession => Verdict::Approved,
        ApprovalDecision::Denied { reason } => Verdict::Denied { reason },
        // Whoever aborts ends the turn; what is not known is not allowed.
        _ => Verdict::Denied { reason: None },
    }
}
