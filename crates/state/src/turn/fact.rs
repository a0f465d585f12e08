//! What a turn is told, and what it asks for.

use std::collections::BTreeMap;

use longhaul_compaction::{Cause, Refused};
use longhaul_history::usage::TokenUsage;
use longhaul_history::{CallOutput, Item};

use super::calls::{Effect, PlannedCall, ToolEnd};
use crate::protocol::{TurnError, TurnResult};

/// The bounds of a turn, and what is known of its tools.
#[derive(Debug, Clone)]
pub struct TurnLimits {
    /// Responses that the turn may ask for. Default: 200.
    pub max_model_calls: u32,
    /// The effect of each tool by its name. A tool that is missing here does not exist.
    pub effects: BTreeMap<String, Effect>,
}

impl TurnLimits {
    /// These bounds.
    pub fn new(max_model_calls: u32, effects: BTreeMap<String, Effect>) -> Self {
        Self { max_model_calls, effects }
    }
}

impl Default for TurnLimits {
    fn default() -> Self {
        Self { max_model_calls: 200, effects: BTreeMap::new() }
    }
}

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

/// How a compaction ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CompactionEnd {
    /// Whether there is another conversation in the place of the old one.
    pub is_installed: bool,
    /// What its responses cost.
    pub usage: TokenUsage,
    /// Requests that it sent, repeated ones included.
    pub attempts: u32,
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
    /// Whether it did what it should.
    pub success: bool,
    /// Whether it had been started.
    pub had_started: bool,
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
            Self::ToolFinished { .. } => "tool finished",
            Self::ToolsStopped => "tools stopped",
            Self::Interrupted => "interrupted",
            Self::Failed(_) => "failed",
        }
    }
}
