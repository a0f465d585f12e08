//! Why a turn failed.

use std::time::SystemTime;

use longhaul_transport::ModelError;

use crate::budget::Exceeded;

/// Why a turn failed, or was not accepted.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum TurnError {
    /// The model could not be asked, or did not answer. The error says why and what to do.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The turn asked the model as often as it may. The model keeps calling tools; raise
    /// `max_model_calls` if that is what it should do.
    #[error("the turn made {limit} model calls, its limit, and the model still asks for tools")]
    TooManyModelCalls {
        /// The limit.
        limit: u32,
    },
    /// The turn used what it may use. Raise its budget, or ask for less at a time.
    #[error("the turn {0}, its budget; raise the budget, or ask for less in one turn")]
    BudgetExceeded(Exceeded),
    /// The whole turn took longer than it may.
    #[error("the turn did not end within {limit_ms} ms")]
    Timeout {
        /// Its deadline in milliseconds.
        limit_ms: u128,
    },
    /// The conversation could not be compacted; it is as it was. The error says why.
    #[error("the conversation could not be compacted: {0}")]
    CompactionFailed(#[source] longhaul_compaction::Error),
    /// Compacting the conversation does not bring it below its limit. What must be kept is too much
    /// for it: begin a new session, say less at a time, or raise the limit. Later turns go on without
    /// compaction for a while, as far as the window allows.
    #[error(
        "the conversation takes {tokens} tokens, its limit is {limit}, and compacting it does not \
         help: begin a new session, give shorter input, or raise the limit"
    )]
    StillAboveLimit {
        /// What the last response says that the conversation takes, in tokens.
        tokens: u64,
        /// From how many tokens on it is to be compacted.
        limit: u64,
    },
    /// The input cannot be sent. The caller is at fault.
    #[error("{0}")]
    InvalidInput(String),
    /// This version does not know the operation.
    #[error("`{0}` is not supported by this version")]
    Unsupported(&'static str),
    /// A turn runs, and as many inputs wait already as may. Try again when it has ended, or steer it.
    #[error("a turn is running and {limit} inputs wait, as many as may; wait for it to end")]
    Busy {
        /// How many may wait.
        limit: usize,
    },
    /// No call of this id waits for approval: it never did, was answered, or its turn is over.
    #[error("no call `{call_id}` is waiting for approval: it was answered, or its turn is over")]
    UnknownApproval {
        /// The id.
        call_id: String,
    },
    /// No input of this id waits: it never did, or the conversation has it already.
    #[error("no input `{input_id}` is waiting: the conversation has it already, or never came to")]
    UnknownInput {
        /// The id.
        input_id: String,
    },
    /// The session is shut down. Open another.
    #[error("the session is shut down")]
    Closed,
    /// The session log could not be written: what the turn did is not kept. The error says why; when
    /// that is mended, the next turn writes what is missing.
    #[error("the session log cannot be written: {0}")]
    Storage(String),
    /// A fault of this library or of a task that the embedder brought.
    #[error("internal error: {0}")]
    Internal(String),
}

impl TurnError {
    /// The stable code, in `snake_case`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Model(error) => error.code().as_str(),
            Self::TooManyModelCalls { .. } => "too_many_model_calls",
            Self::BudgetExceeded(_) => "budget_exceeded",
            Self::Timeout { .. } => "timeout",
            Self::CompactionFailed(_) => "compaction_failed",
            Self::StillAboveLimit { .. } => "still_above_limit",
            Self::InvalidInput(_) => "invalid_submission",
            Self::Unsupported(_) => "unsupported",
            Self::Busy { .. } => "busy",
            Self::UnknownApproval { .. } => "unknown_approval",
            Self::UnknownInput { .. } => "unknown_input",
            Self::Closed => "closed",
            Self::Storage(_) => "storage",
            Self::Internal(_) => "internal",
        }
    }

    /// Whether the same input may succeed if it is sent again.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Model(error) => error.is_retryable(),
            Self::Busy { .. } | Self::Timeout { .. } | Self::Storage(_) => true,
            _ => false,
        }
    }

    /// When it may succeed, if the server said so.
    pub fn retry_at(&self) -> Option<SystemTime> {
        self.model()?.retry_at()
    }

    /// The server's name for the request that failed.
    pub fn request_id(&self) -> Option<&str> {
        self.model()?.request_id()
    }

    /// The deadline that passed, for the code `timeout`.
    pub fn phase(&self) -> Option<&'static str> {
        match self {
            Self::Timeout { .. } => Some("turn"),
            _ => Some(self.model()?.phase()?.as_str()),
        }
    }

    /// Why the response ended early, for the code `response_incomplete`.
    pub fn reason(&self) -> Option<&str> {
        self.model()?.reason()
    }

    /// Whether the session can take further input.
    pub fn session_can_go_on(&self) -> bool {
        !matches!(self, Self::Closed)
    }

    fn model(&self) -> Option<&ModelError> {
        match self {
            Self::Model(error) => Some(error),
            _ => None,
        }
    }
}
