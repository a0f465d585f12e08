//! How far the things are that cells show.

use std::time::Duration;

use longhaul_compaction::Report;
use longhaul_state::protocol::{CallDigest, TurnError};

/// How far an item is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ItemState {
    /// It is coming.
    Coming,
    /// It is whole.
    Complete,
    /// No more of it comes: its turn ended before it did, or its end was missed.
    CutOff,
}

/// What becomes of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ToolState {
    /// It waits for somebody's approval.
    Waiting {
        /// What an approval holds for.
        digest: CallDigest,
    },
    /// It waits for its turn: to start, or to be told as denied. Nobody can answer it any more.
    Answered {
        /// Whether it may run.
        approved: bool,
    },
    /// It was denied and does not run.
    Denied {
        /// What the model is told.
        reason: String,
    },
    /// It runs.
    Running {
        /// What it said last of how far it is.
        progress: Option<String>,
    },
    /// It has ended.
    Ended {
        /// Whether it did what it should.
        success: bool,
        /// Its output as text.
        output: String,
        /// How long it ran; `None` in a conversation, which does not say.
        duration: Option<Duration>,
    },
    /// Its turn ended before it did.
    Stopped {
        /// Whether it ran by then.
        had_started: bool,
    },
    /// What became of it is not known: that was missed, or the conversation does not say.
    Unknown,
}

impl ToolState {
    /// Whether somebody was asked, and neither its beginning nor its denial is told.
    pub(super) fn is_asked(&self) -> bool {
        matches!(self, Self::Waiting { .. } | Self::Answered { .. })
    }

    /// Whether it will not run.
    pub(super) fn is_refused(&self) -> bool {
        matches!(self, Self::Answered { approved: false } | Self::Denied { .. })
    }
}

/// What becomes of a compaction.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CompactionState {
    /// It is on its way.
    Running,
    /// Another conversation is in the place of the old one.
    Done {
        /// What was done; `None` if the server did it, or if a conversation tells of it.
        report: Option<Report>,
    },
    /// It failed; the conversation is as it was.
    Failed(Problem),
    /// It is over, and nothing is known to have come of it: there was nothing to do, it was cut off,
    /// or its end was missed.
    GivenUp,
}

/// What becomes of an undo.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UndoState {
    /// The snapshot is being restored.
    Running,
    /// It was restored.
    Done,
    /// It could not be.
    Failed,
    /// It was cut off, or its end was missed.
    CutOff,
}

/// What went wrong: a [`TurnError`](longhaul_state::protocol::TurnError) as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// The stable code, in `snake_case`.
    pub code: &'static str,
    /// In words.
    pub message: String,
}

impl Problem {
    pub(super) fn of(error: &TurnError) -> Self {
        Self { code: error.code(), message: error.to_string() }
    }
}
