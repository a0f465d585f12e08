//! Compactions: as a turn of their own, and between the steps of another.

mod ask;
mod compacting;
mod due;
mod scope;

use async_trait::async_trait;
use longhaul_compaction::Cause;
use longhaul_state::budget::Spent;
use longhaul_state::protocol::{Event, TurnEnd, TurnError, TurnResult};
use longhaul_state::turn::CompactionEnd;

use self::compacting::Compacting;
use super::{SessionTask, TaskScope};
use crate::session::Submission;

pub(super) use due::{due, tell_breaker};

/// The task of a compaction that somebody asked for while nothing ran.
pub(crate) struct Compact;

#[async_trait]
impl SessionTask for Compact {
    async fn run(&self, scope: &TaskScope) -> Result<TurnResult, TurnError> {
        let compaction = async {
            let mut compacting = Compacting::new(scope, Cause::Manual, scope.spent());
            compacting.run().await.map(|()| compaction_result(compacting.end))
        };
        tokio::select! {
            biased;
            () = scope.cancelled() => Ok(TurnResult::empty(TurnEnd::INTERRUPTED)),
            result = compaction => result,
        }
    }
}

/// What became of a compaction, for who asked for it.
fn compaction_result(end: CompactionEnd) -> TurnResult {
    let mut result = TurnResult::empty(TurnEnd::Complete);
    (result.usage, result.attempts, result.cost) = (end.usage, end.attempts, end.cost);
    result
}

/// Compacts between the steps of a turn that has spent so much, and tells who is to be told.
pub(super) async fn between_steps(scope: &TaskScope, cause: Cause, spent: Spent) -> CompactionEnd {
    if cause == Cause::Manual {
        return on_demand(scope, spent).await;
    }
    let mut compacting = Compacting::new(scope, cause, spent).in_turn();
    let outcome = compacting.run().await;
    tell(scope, &outcome);
    compacting.end
}

/// Compacts for those who wait for it. They wait in the turn, so that whatever ends it meanwhile settles
/// them too. Where the first of them takes it back, it is done for the next.
async fn on_demand(scope: &TaskScope, mut spent: Spent) -> CompactionEnd {
    let mut sum = CompactionEnd::default();
    while let Some(scope) = scope.on_behalf_of_the_first() {
        let mut compacting = Compacting::new(&scope, Cause::Manual, spent).in_turn();
        let outcome = tokio::select! {
            biased;
            () = scope.compaction_unwanted() => None,
            outcome = compacting.run() => Some(outcome),
        };
        let end = compacting.end;
        sum.add(&end);
        spent = compacting.spent();
        let Some(outcome) = outcome else {
            scope.awaits_compaction();
            continue;
        };
        tell(&scope, &outcome);
        // Whoever hears of it relies on it.
        let outcome = match outcome {
            Ok(()) => scope.kept().await,
            failed => failed,
        };
        for Submission { reply, .. } in scope.take_compactions() {
            reply.settle(outcome.clone().map(|()| compaction_result(end)));
        }
        return sum;
    }
    sum
}

/// Tells why a compaction failed, if it did.
fn tell(scope: &TaskScope, outcome: &Result<(), TurnError>) {
    if let Err(error) = outcome {
        scope.emit(Event::Warning(error.clone()));
    }
}
