//! Runs the turns of a session, one after the other.

use std::sync::Arc;
use std::time::Duration;

use longhaul_state::Begun;
use longhaul_state::protocol::{Event, TurnEnd, TurnError, TurnResult};
use tokio_util::sync::CancellationToken;

use super::{Inner, Submission};
use crate::events::Emitter;
use crate::task::{self, SessionTask, TaskScope};

/// A task that does not end by itself is stopped this long after it was told to: its tools' grace
/// period, and as much again for what it has left to record.
const STOP_AFTER: Duration = Duration::from_millis(200);

/// The life of a session. It ends when the session is closed and nothing waits.
pub(super) async fn run(inner: Arc<Inner>) {
    loop {
        while let Some(begun) = inner.queue.begin(name) {
            run_turn(&inner, begun).await;
        }
        if inner.queue.is_closed() {
            break;
        }
        inner.wake.notified().await;
    }
    inner.settle_waiting();
    inner.subscribers.close();
    inner.ended.cancel();
}

/// A turn is named after the submission that starts it.
fn name(submission: &Submission) -> (String, CancellationToken) {
    (submission.id.to_string(), submission.reply.cancel.token())
}

async fn run_turn(inner: &Arc<Inner>, begun: Begun<Submission>) {
    let Begun { kept, input } = begun;
    inner.state.update_settings(input.settings.clone());
    let turn_id = Arc::clone(&input.id);
    let emitter = Emitter {
        subscribers: Arc::clone(&inner.subscribers),
        queue: Arc::clone(&input.reply.queue),
        submission_id: Arc::clone(&input.id),
        turn_id: Arc::clone(&turn_id),
    };
    let cancel = input.reply.cancel.token();
    let context = inner.turn_context(&turn_id, input.output_schema.clone());
    emitter.emit(Event::TurnStarted {
        model_context_window: context.model_context_window,
    });
    let mut inputs = kept;
    inputs.push(input);
    let scope = TaskScope::new(Arc::clone(inner), context, emitter.clone(), cancel.clone());
    let replies = scope.replies();
    let result = run_task(scope, inputs, &cancel).await;

    let interrupted = result.as_ref().is_ok_and(TurnResult::is_interrupted);
    inner.queue.end(interrupted);
    tell_end(&emitter, &result);
    for reply in replies.take() {
        reply.settle(result.clone());
    }
}

/// Runs a task where neither its panic nor its stubbornness reaches the session.
async fn run_task(
    scope: TaskScope,
    inputs: Vec<Submission>,
    cancel: &CancellationToken,
) -> Result<TurnResult, TurnError> {
    let mut running = tokio::spawn(async move {
        scope.take(inputs);
        task::Regular.run(&scope).await
    });
    let stubborn = async {
        cancel.cancelled().await;
        tokio::time::sleep(STOP_AFTER).await;
    };
    let joined = tokio::select! {
        biased;
        joined = &mut running => joined,
        () = stubborn => {
            running.abort();
            running.await
        }
    };
    match joined {
        Ok(result) => result,
        Err(error) if error.is_cancelled() && cancel.is_cancelled() => {
            Ok(TurnResult::empty(TurnEnd::INTERRUPTED))
        }
        Err(error) if error.is_panic() => Err(TurnError::Internal("the task panicked".into())),
        Err(_) => Err(TurnError::Internal("the runtime is shutting down".into())),
    }
}

fn tell_end(emitter: &Emitter, result: &Result<TurnResult, TurnError>) {
    match result {
        Ok(TurnResult {
            end: TurnEnd::Aborted(reason),
            ..
        }) => emitter.emit(Event::TurnAborted { reason: *reason }),
        Ok(result) => emitter.emit(Event::TurnComplete {
            last_agent_message: result.last_message.clone(),
        }),
        Err(error) => {
            emitter.emit(Event::Error(error.clone()));
            emitter.emit(Event::TurnComplete {
                last_agent_message: None,
            });
        }
    }
}
