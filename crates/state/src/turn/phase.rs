//! Where a turn is.

use longhaul_compaction::Cause;

use super::calls::Calls;
use crate::protocol::TurnError;

/// Where a turn is, and what it has there.
#[derive(Debug)]
pub(super) enum Phase {
    /// Nothing has happened yet.
    New,
    /// The next request is being prepared.
    Preparing,
    /// The conversation is being compacted, for this reason; and what the server said of the request,
    /// if it was refused.
    Compacting(Cause, Option<TurnError>),
    /// A request is on its way, or its response is coming.
    Sampling,
    /// An attempt failed; the next one waits.
    BackingOff,
    /// The tools of a response run, or wait for somebody's approval.
    RunningTools(Calls),
    /// Tools are being stopped: the user interrupted, or this error ends the turn.
    Aborting(Calls, Option<TurnError>),
    /// Over.
    Done,
}

/// Where a turn is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TurnPhase {
    /// Nothing has happened yet.
    New,
    /// The next request is being prepared.
    Preparing,
    /// The conversation is being compacted.
    Compacting,
    /// A request is on its way, or its response is coming.
    Sampling,
    /// An attempt failed; the next one waits.
    BackingOff,
    /// The tools of a response run.
    RunningTools,
    /// Nothing runs until somebody answers.
    WaitingForApproval,
    /// Tools are being stopped.
    Aborting,
    /// It is over.
    Done,
}

impl Phase {
    /// The same without what the turn has there.
    pub(super) fn kind(&self) -> TurnPhase {
        match self {
            Self::New => TurnPhase::New,
            Self::Preparing => TurnPhase::Preparing,
            Self::Compacting(..) => TurnPhase::Compacting,
            Self::Sampling => TurnPhase::Sampling,
            Self::BackingOff => TurnPhase::BackingOff,
            Self::RunningTools(calls) if calls.wait_for_approval() => TurnPhase::WaitingForApproval,
            Self::RunningTools(_) => TurnPhase::RunningTools,
            Self::Aborting(..) => TurnPhase::Aborting,
            Self::Done => TurnPhase::Done,
        }
    }
}

impl TurnPhase {
    /// The phase in words.
    pub fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Preparing => "preparing",
            Self::Compacting => "compacting",
            Self::Sampling => "sampling",
            Self::BackingOff => "backing off",
            Self::RunningTools => "running tools",
            Self::WaitingForApproval => "waiting for approval",
            Self::Aborting => "aborting",
            Self::Done => "done",
        }
    }
}
