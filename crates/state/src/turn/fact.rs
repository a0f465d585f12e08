//! What a turn is told, and what it asks for.

use longhaul_compaction::{Cause, Refused};
use longhaul_history::usage::TokenUsage;
use longhaul_history::{CallOutput, Item};

use super::calls::{PlannedCall, ToolEnd};
use crate::protocol::{TurnError, TurnResult};

/// Something that happened.
#[derive(Debug)]
#[non_exhaustive]
pub enum Fact {
    /// The turn's input is recorded.
    Started,
    /// All input that has come is recorded, and the conversation need not be compacted.
    Ready,
    /// All input that has come is recorded, and the conversation is to be compacted before the next
    /// request, for this reason.
    CompactionDue(Cause),
    /// A compaction is over.
    CompactionEnded(CompactionEnd),
    /// The server found the request too long.
    TooLong {
        /// What it said.
        error: TurnError,
        /// What it said of sizes.
        refused: Refused,
    },
    /// An attempt failed and will be repeated.
    AttemptFailed,
    /// The response is coming again.
    StreamRecovered,
    /// A response is complete.
    ResponseCompleted(Response),
    /// The host's policy has ruled on a call.
    CallJudged {
        /// The call's place among those of the response.
        position: usize,
        /// What it says.
        ruling: Ruling,
    },
    /// Somebody has answered whether a call may run, or too long nobody has.
    ApprovalAnswered {
        /// The call's place among those of the response.
        position: usize,
        /// The answer.
        verdict: Verdict,
    },
    /// A tool has ended.
    ToolFinished {
        /// The call's place among those of the response.
        position: usize,
        /// How it ended.
        end: ToolEnd,
    },
    /// All tools that were running have ended or been stopped.
    ToolsStopped,
    /// The turn is to end now.
    Interrupted,
    /// An error that no retry could cure.
    Failed(TurnError),
}

/// What the host's policy says of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ruling {
    /// It runs.
    Allow {
        /// What its tool gets in place of what the model wrote.
        arguments: Option<String>,
    },
    /// Somebody is asked first.
    Ask {
        /// What its tool gets in place of what the model wrote. This is what is shown and approved.
        arguments: Option<String>,
    },
    /// It does not run.
    Deny {
        /// Why, for the model.
        reason: String,
    },
}

/// Somebody's answer to whether a call may run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It runs.
    Approved,
    /// It does not.
    Denied {
        /// Why, for the model.
        reason: Option<String>,
    },
    /// Nobody has answered.
    Unanswered {
        /// For so many seconds.
        seconds: u64,
    },
}

/// How a compaction ended.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct CompactionEnd {
    /// Whether there is another conversation in the place of the old one.
    pub is_installed: bool,
    /// What its responses cost.
    pub usage: TokenUsage,
    /// Requests that it sent, repeated ones included.
    pub attempts: u32,
    /// What they cost, by the price of the model that was asked.
    pub cost: f64,
}

impl CompactionEnd {
    /// Adds one that came after.
    pub fn add(&mut self, later: &Self) {
        self.is_installed |= later.is_installed;
        self.usage.add(&later.usage);
        self.attempts = self.attempts.saturating_add(later.attempts);
        self.cost += later.cost;
    }
}

/// A complete response.
#[derive(Debug)]
pub struct Response {
    /// Its items in order.
    pub items: Vec<Item>,
    /// What it cost.
    pub usage: Option<TokenUsage>,
}

impl Response {
    /// A response with these items.
    pub fn new(items: Vec<Item>, usage: Option<TokenUsage>) -> Self {
        Self { items, usage }
    }
}

/// Something to do.
#[derive(Debug)]
#[non_exhaustive]
pub enum Action {
    /// Record input that has come, see whether the conversation is to be compacted, and say so.
    Prepare,
    /// Compact the conversation and report how that ended.
    Compact(Cause),
    /// Send the next request and report its response.
    Sample,
    /// Record a response: its items together, and what it cost.
    Commit(Response),
    /// Say of each of these calls whether it may run.
    Judge(Vec<PlannedCall>),
    /// Ask somebody whether this call may run, and report the answer.
    Ask(PlannedCall),
    /// Start these calls together and report each one's end.
    RunTools(Vec<PlannedCall>),
    /// Record the output of a call, right after the call.
    Answer(Answer),
    /// Stop the tools that run, and then say so.
    StopTools,
    /// The turn is over.
    Finish(TurnResult),
    /// The turn is over, by an error.
    Fail(TurnError),
}

/// The output of a call.
#[derive(Debug)]
pub struct Answer {
    /// The call.
    pub call: PlannedCall,
    /// What it gave back.
    pub output: CallOutput,
    /// What became of it.
    pub end: CallEnd,
}

/// What became of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CallEnd {
    /// Its tool ran to its end.
    Ran {
        /// Whether it did what it should.
        success: bool,
    },
    /// Its tool was stopped: what it did is unknown.
    Stopped,
    /// It was not allowed to run.
    Denied {
        /// What the model is told.
        reason: String,
    },
    /// The turn was cut off before it began.
    NotStarted,
}

/// A fact that cannot happen in the turn's present state. The driver is at fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a turn that is {phase} cannot take the fact {fact}")]
pub struct IllegalFact {
    phase: &'static str,
    fact: &'static str,
}

impl IllegalFact {
    pub(super) fn new(phase: &'static str, fact: &Fact) -> Self {
        Self { phase, fact: fact.name() }
    }
}

impl Fact {
    fn name(&self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Ready => "ready",
            Self::CompactionDue(_) => "compaction due",
            Self::CompactionEnded(_) => "compaction ended",
            Self::TooLong { .. } => "too long",
            Self::AttemptFailed => "attempt failed",
            Self::StreamRecovered => "stream recovered",
            Self::ResponseCompleted(_) => "response completed",
            Self::CallJudged { .. } => "call judged",
            Self::ApprovalAnswered { .. } => "approval answered",
            Self::ToolFinished { .. } => "tool finished",
            Self::ToolsStopped => "tools stopped",
            Self::Interrupted => "interrupted",
            Self::Failed(_) => "failed",
        }
    }
}
