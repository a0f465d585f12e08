//! What a turn waits for.

use futures_util::future::BoxFuture;
use longhaul_state::protocol::TurnError;
use longhaul_state::turn::{CompactionEnd, Fact};
use tokio::time::Instant;

use super::Driver;
use super::sampling::Sampling;
use crate::task::TaskScope;

impl Driver<'_> {
    /// Waits for whatever happens next.
    pub(super) async fn next_fact(&mut self) -> Fact {
        let deadline = self.deadline;
        let limit_ms = self.scope.turn_limit().unwrap_or_default().as_millis();
        tokio::select! {
            biased;
            () = self.scope.cancelled(), if !self.interrupt_told => {
                self.interrupt_told = true;
                (self.sampling, self.compacting) = (None, None);
                Fact::Interrupted
            }
            () = until(deadline) => {
                (self.sampling, self.compacting) = (None, None);
                Fact::Failed(TurnError::Timeout { limit_ms })
            }
            end = end_of(&mut self.compacting) => {
                self.compacting = None;
                Fact::CompactionEnded(end)
            }
            fact = next_of_sampling(&mut self.sampling, self.scope) => fact,
            fact = self.gate.next(self.scope), if self.gate.is_open() => fact,
            (position, end) = self.tools.next() => Fact::ToolFinished { position, end },
        }
    }
}

/// Waits until all that was done is kept, and says whether to go on: not if the turn is to end.
pub(super) async fn kept(scope: &TaskScope, deadline: Option<Instant>) -> Result<bool, TurnError> {
    tokio::select! {
        biased;
        kept = scope.kept() => kept.map(|()| true),
        () = scope.cancelled() => Ok(false),
        () = until(deadline) => Ok(false),
    }
}

pub(super) async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// How the compaction ends; never, if there is none.
async fn end_of(compacting: &mut Option<BoxFuture<'_, CompactionEnd>>) -> CompactionEnd {
    match compacting {
        Some(compacting) => compacting.await,
        None => std::future::pending().await,
    }
}

/// The next fact that the response brings; never, if none is coming.
async fn next_of_sampling(sampling: &mut Option<Sampling>, scope: &TaskScope) -> Fact {
    match sampling {
        Some(sampling) => sampling.next_fact(scope).await,
        None => std::future::pending().await,
    }
}
