//! A turn out of its log.

use longhaul_history::Item;
use longhaul_history::usage::TokenUsage;

use super::calls::Known;
use super::{Action, Phase, Ruling, Turn, TurnLimits, Verdict, wording};
use crate::budget::Spent;
use crate::protocol::Settings;

/// What a log knows of a turn, in the order in which it was written.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum TurnRecord {
    /// Whoever goes on with the turn does so under these settings, in place of those with which it began.
    Settings {
        /// All of them.
        settings: Settings,
    },
    /// A response was recorded.
    Response {
        /// Its items in order.
        items: Vec<Item>,
        /// What it cost.
        usage: Option<TokenUsage>,
        /// What the turn had spent with it, all told; `None` if the log does not say.
        spent: Option<Spent>,
    },
    /// The newest response is over: all its calls are answered, or the conversation no longer has them all.
    /// The model is asked next.
    Over,
    /// The turn has spent so much, all told.
    Spent {
        /// How much. A request that was on its way is not in it: it is sent anew.
        spent: Spent,
        /// The conversation was compacted because the server found this step's request too long.
        has_shrunk: bool,
    },
    /// Somebody was asked whether a call may run.
    Asked {
        /// The call's place among those of the response.
        position: usize,
        /// What its tool would get.
        arguments: String,
    },
    /// A call may run: somebody said yes, or the host's policy put other arguments in its place.
    Allowed {
        /// The call's place among those of the response.
        position: usize,
        /// What its tool gets in place of what was there before.
        arguments: Option<String>,
    },
    /// A call may not run: somebody said no, or nobody anything in time, or the host's policy denied it.
    Denied {
        /// The call's place among those of the response.
        position: usize,
        /// What the model is told.
        reason: String,
    },
    /// A call is about to start.
    Started {
        /// The call's place among those of the response.
        position: usize,
    },
    /// The output of a call was recorded.
    Answered {
        /// The call's place among those of the response.
        position: usize,
    },
}

impl Ruling {
    /// What a log keeps of it for the call at `position`. Nothing, if it allows the call as it is, which
    /// may be ruled on again; and nothing, if somebody is asked, which is a record of its own.
    pub fn record(&self, position: usize) -> Option<TurnRecord> {
        match self {
            Self::Allow { arguments: None } | Self::Ask { .. } => None,
            Self::Allow { arguments } => {
                Some(TurnRecord::Allowed { position, arguments: arguments.clone() })
            }
            Self::Deny { reason } => {
                Some(TurnRecord::Denied { position, reason: wording::denied(reason) })
            }
        }
    }
}

impl Verdict {
    /// What a log keeps of it for the call at `position`.
    pub fn record(&self, position: usize) -> TurnRecord {
        match self.denial() {
            None => TurnRecord::Allowed { position, arguments: None },
            Some(reason) => TurnRecord::Denied { position, reason },
        }
    }

    /// What the model is told if it is a no.
    pub(super) fn denial(&self) -> Option<String> {
        match self {
            Self::Approved => None,
            Self::Denied { reason } => Some(wording::rejected(reason.as_deref())),
            Self::Unanswered { seconds } => Some(wording::unanswered(*seconds)),
        }
    }
}

impl Turn {
    /// The turn that a log speaks of, after a crash, and what is to be done so that it goes on.
    ///
    /// What waited for approval waits again. What was allowed runs, and what was denied is answered so,
    /// without anybody being asked again. A call that had started and left no output is run again
    /// if its tool allows that; else the model is told that its effect is unknown. Nothing else runs
    /// twice. Records that do not fit the turn are passed over: a log is outside input.
    pub fn resume(
        limits: TurnLimits,
        records: impl IntoIterator<Item = TurnRecord>,
    ) -> (Self, Vec<Action>) {
        let mut turn = Self::new(limits);
        for record in records {
            turn.restore(record);
        }
        let actions = match &mut turn.phase {
            Phase::RunningTools(calls) => {
                let actions = calls.resume();
                turn.go_on(actions)
            }
            Phase::Done => Vec::new(),
            _ => turn.prepare(),
        };
        (turn, actions)
    }

    fn restore(&mut self, record: TurnRecord) {
        let (position, known) = match record {
            TurnRecord::Response { items, usage, spent } => {
                return self.restore_response(items, usage, spent);
            }
            TurnRecord::Over => {
                self.phase = Phase::New;
                return;
            }
            TurnRecord::Spent { spent, has_shrunk } => {
                (self.spent, self.has_shrunk) = (spent, has_shrunk);
                return;
            }
            // What the turn is run with, its limits have of them.
            TurnRecord::Settings { .. } => return,
            TurnRecord::Asked { position, arguments } => (position, Known::Asked { arguments }),
            TurnRecord::Allowed { position, arguments } => (position, Known::Ready { arguments }),
            TurnRecord::Denied { position, reason } => (position, Known::Denied { reason }),
            TurnRecord::Started { position } => (position, Known::Started),
            TurnRecord::Answered { position } => (position, Known::Answered),
        };
        if let Phase::RunningTools(calls) = &mut self.phase {
            calls.restore(position, known);
        }
    }

    fn restore_response(
        &mut self,
        items: Vec<Item>,
        usage: Option<TokenUsage>,
        spent: Option<Spent>,
    ) {
        self.spent.model_calls += 1;
        self.spent.attempts += 1;
        let response = super::Response::new(items, usage);
        // What there is to do now, the records that follow say.
        let _ = self.complete(response);
        self.spent = spent.unwrap_or(self.spent);
    }

    /// What the turn has spent so far, for its log. Whoever goes on with the turn sends anew what is on
    /// its way or about to be repeated, and counts it then.
    pub fn spending(&self) -> TurnRecord {
        let mut spent = self.spent;
        let (steps, requests) = match &self.phase {
            Phase::Sampling | Phase::BackingOff => (1, 1),
            Phase::Compacting(_, Some(_)) => (1, 0),
            _ => (0, 0),
        };
        spent.model_calls = spent.model_calls.saturating_sub(steps);
        spent.attempts = spent.attempts.saturating_sub(requests);
        // Not before it has become shorter.
        let is_shorter = !matches!(self.phase, Phase::Compacting(..));
        TurnRecord::Spent { spent, has_shrunk: self.has_shrunk && is_shorter }
    }
}
