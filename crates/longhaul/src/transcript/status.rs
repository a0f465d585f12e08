//! What a user interface shows beside the cells.

use std::sync::Arc;
use std::time::Duration;

use longhaul_history::usage::TokenUsageInfo;
use longhaul_transport::RateLimits;

use super::{CellKind, CompactionState, Problem, ToolState, Transcript};

/// What a user interface shows beside the cells.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Status {
    /// The turn that runs.
    pub turn_id: Option<Arc<str>>,
    /// The attempt that failed, while the next one is waited for. It is gone with the first event of
    /// the next response, and with the turn.
    pub retry: Option<Retry>,
    /// What the session has used, and what its context takes, once a response has said so. What is
    /// said during a review speaks of the review's own context and is not shown.
    pub usage: Option<TokenUsageInfo>,
    /// The newest limits that the server stated.
    pub rate_limits: Option<RateLimits>,
    /// The effective context window of the model of the last turn that began, in tokens, if known.
    pub model_context_window: Option<u64>,
    /// Whether the session has ended.
    pub has_ended: bool,
}

/// A failed attempt that is about to be repeated.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Retry {
    /// Which retry of its kind it is, from 1.
    pub attempt: u32,
    /// How many of its kind there may be.
    pub max_attempts: u32,
    /// The wait before it, from when it was told.
    pub delay: Duration,
    /// What went wrong.
    pub problem: Problem,
}

/// What a session is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Activity {
    /// Nothing: no turn runs.
    Idle,
    /// It waits for the model, of whose next response nothing has come.
    Model,
    /// A response is coming.
    Response,
    /// It waits to repeat an attempt: see [`Status::retry`].
    Retry,
    /// Somebody is to approve a call; others may run meanwhile.
    Approval {
        /// Where the cell of the oldest such call is.
        cell: usize,
    },
    /// Tools run.
    Tools,
    /// The conversation is being compacted.
    Compaction,
    /// A snapshot is being restored.
    Undo,
}

impl Transcript {
    /// What a user interface shows beside the cells.
    pub fn status(&self) -> &Status {
        &self.status
    }

    /// What the session is doing. Looks at the cells of the running turn to which more is to come.
    pub fn activity(&self) -> Activity {
        if self.status.turn_id.is_none() {
            return Activity::Idle;
        }
        let kinds = || {
            let open = self.running.open.iter();
            open.filter_map(|index| Some((*index, &self.cells.get(*index)?.kind)))
        };
        let any = |is: fn(&CellKind) -> bool| kinds().any(|(_, kind)| kind.is_open() && is(kind));
        if let Some((cell, _)) = kinds().find(|(_, kind)| is_waiting(kind)) {
            Activity::Approval { cell }
        } else if any(|kind| matches!(kind, CellKind::Tool { .. })) {
            Activity::Tools
        } else if self.status.retry.is_some() {
            Activity::Retry
        } else if any(is_compacting) {
            Activity::Compaction
        } else if any(|kind| matches!(kind, CellKind::Undo { .. })) {
            Activity::Undo
        } else if any(|kind| !matches!(kind, CellKind::Review { .. })) {
            Activity::Response
        } else {
            Activity::Model
        }
    }
}

fn is_waiting(kind: &CellKind) -> bool {
    matches!(kind, CellKind::Tool { state: ToolState::Waiting { .. }, .. })
}

/// Whether the client compacts; a server does so in a response.
fn is_compacting(kind: &CellKind) -> bool {
    matches!(kind, CellKind::Compaction { trigger: Some(_), state: CompactionState::Running })
}
