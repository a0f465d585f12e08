//! What a session tells while it works.

use std::time::Duration;

use longhaul_compaction::{Report, Trigger};
use longhaul_history::Repair;
use longhaul_history::turn_item::TurnItem;
use longhaul_history::usage::{TokenUsage, TokenUsageInfo};
use longhaul_transport::RateLimits;
use serde::Serialize;

use super::{CallDigest, ReviewOutput, TurnError};

/// One event of a turn.
///
/// A turn begins with [`TurnStarted`](Event::TurnStarted) and ends with exactly one of
/// [`TurnComplete`](Event::TurnComplete) and [`TurnAborted`](Event::TurnAborted).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// The turn begins.
    TurnStarted {
        /// The effective context window of its model in tokens, if known.
        model_context_window: Option<u64>,
    },
    /// An item begins; pieces of it follow.
    ItemStarted(TurnItem),
    /// An item is finished and recorded.
    ItemCompleted(TurnItem),
    /// A piece of the model's message.
    TextDelta(String),
    /// A piece of the model's reasoning, summarised or raw.
    ReasoningDelta(String),
    /// The server searches the web.
    WebSearchBegin {
        /// The search.
        call_id: String,
    },
    /// The server has searched.
    WebSearchEnd {
        /// The search.
        call_id: String,
        /// What for.
        query: String,
    },
    /// A call waits for somebody's approval, and its tool has not started.
    ApprovalRequest {
        /// The call.
        call_id: String,
        /// The tool.
        name: String,
        /// What the tool would get: what the model wrote, or what the host's policy made of it.
        arguments: String,
        /// The digest of tool and arguments that an approval holds for: what is approved, and
        /// nothing else, is what runs.
        digest: CallDigest,
    },
    /// A call waits for nobody's approval any more: somebody answered, or nobody did in time. It comes
    /// after the call's [`ApprovalRequest`](Event::ApprovalRequest) and before the call begins or is
    /// told to be denied, which may be much later where calls run one after the other. There is none
    /// for calls that still wait when their turn ends. In a session with a store the answer is kept by
    /// then: no process asks for the call again. Where it cannot be kept, this is not sent.
    ApprovalAnswered {
        /// The call.
        call_id: String,
        /// The digest that its request named: calls of one id are told apart by it.
        digest: CallDigest,
        /// Whether it may run.
        approved: bool,
    },
    /// A call was denied, by somebody or by the host's policy; its tool does not run.
    ToolCallDenied {
        /// The call.
        call_id: String,
        /// The tool.
        name: String,
        /// What the tool would have got: what the model wrote, or what the host's policy made of it.
        arguments: String,
        /// What the model is told.
        reason: String,
    },
    /// A tool starts.
    ToolCallBegin {
        /// The call.
        call_id: String,
        /// The tool.
        name: String,
        /// What the tool gets.
        arguments: String,
    },
    /// A tool says how far it is.
    ToolProgress {
        /// The call.
        call_id: String,
        /// What it says.
        message: String,
    },
    /// A tool has ended and its output is recorded.
    ToolCallEnd {
        /// The call.
        call_id: String,
        /// Whether it did what it should.
        success: bool,
        /// Its output as text.
        output: String,
        /// How long it ran.
        duration: Duration,
    },
    /// What the session has used, and the limits that the server states.
    TokenCount {
        /// Usage, once a response has stated any.
        info: Option<TokenUsageInfo>,
        /// The newest limits.
        rate_limits: Option<RateLimits>,
    },
    /// An attempt failed and will be repeated. What was streamed of its response is void.
    StreamError {
        /// Which retry of its kind this is, from 1.
        attempt: u32,
        /// How many of its kind there may be.
        max_attempts: u32,
        /// The wait before it.
        delay: Duration,
        /// What went wrong.
        error: TurnError,
    },
    /// The response is coming again.
    StreamRecovered {
        /// Failed attempts in a row before it.
        attempts: u32,
    },
    /// Broken history was put right.
    HistoryRepaired(Vec<Repair>),
    /// A model is about to be asked for a summary of the conversation; that may take a while.
    CompactionStarted {
        /// Who wanted it.
        trigger: Trigger,
    },
    /// The conversation was compacted, and that is recorded.
    ContextCompacted(Report),
    /// A review begins: what the model says until its end is no part of the conversation.
    EnteredReviewMode {
        /// What is reviewed.
        prompt: String,
    },
    /// The review is over.
    ExitedReviewMode {
        /// What it found; `None` if it was cut off.
        output: Option<ReviewOutput>,
    },
    /// A snapshot is being restored.
    UndoStarted {
        /// Which.
        message: Option<String>,
    },
    /// A snapshot was restored, or could not be.
    UndoCompleted {
        /// Whether it was.
        success: bool,
        /// Which, or why not.
        message: Option<String>,
    },
    /// Something that a person may want to know.
    Background(String),
    /// Something failed, and the turn goes on: a compaction that the next request can do without.
    Warning(TurnError),
    /// The turn failed; its end follows.
    Error(TurnError),
    /// The turn has ended, well or after an error.
    TurnComplete {
        /// The model's last message.
        last_agent_message: Option<String>,
    },
    /// The turn was cut off.
    TurnAborted {
        /// Why.
        reason: AbortReason,
    },
    /// To one reader alone, which fell behind: the events with these numbers are no longer kept. To all,
    /// where too much waited for the log: it has one number then, however much was let go.
    Missed {
        /// The first of them.
        first: u64,
        /// The last of them.
        last: u64,
    },
    /// The session has ended. Its last event; it belongs to no turn.
    ShutdownComplete,
}

/// Why a turn was cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AbortReason {
    /// The user, the embedder or a shutdown interrupted it.
    Interrupted,
    /// Another task took its place.
    Replaced,
}

impl AbortReason {
    /// The reason in `snake_case`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Interrupted => "interrupted",
            Self::Replaced => "replaced",
        }
    }
}

/// How a turn ended, if not by an error.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TurnEnd {
    /// The model gave its final answer.
    Complete,
    /// The turn was cut off.
    Aborted(AbortReason),
    /// There was none: its input was taken back before one began.
    Withdrawn,
}

/// What became of a turn.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct TurnResult {
    /// How it ended.
    pub end: TurnEnd,
    /// The sum over its responses.
    pub usage: TokenUsage,
    /// Responses that it asked for.
    pub model_calls: u32,
    /// Requests that it sent, repeated ones included.
    pub attempts: u32,
    /// What it cost by the agent's price table; 0 where that knows no price.
    pub cost: f64,
    /// The model's last message.
    pub last_message: Option<String>,
}

impl TurnEnd {
    /// The turn was interrupted.
    pub const INTERRUPTED: Self = Self::Aborted(AbortReason::Interrupted);
}

impl TurnResult {
    /// The result of a turn that asked nothing of a model.
    pub fn empty(end: TurnEnd) -> Self {
        Self {
            end,
            usage: TokenUsage::default(),
            model_calls: 0,
            attempts: 0,
            cost: 0.0,
            last_message: None,
        }
    }

    /// Whether it was cut off, or never began.
    pub fn is_interrupted(&self) -> bool {
        matches!(self.end, TurnEnd::Aborted(_) | TurnEnd::Withdrawn)
    }
}
