//! Runs the turns of a session, one after the other.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use longhaul_state::protocol::{Event, TurnEnd, TurnError, TurnResult};
use longhaul_state::{Begun, Kept, Start};
use longhaul_transport::models::WindowSource;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::accept::turn_of;
use super::{Inner, Submission};
use crate::events::Emitter;
use crate::task::{SessionTask, TaskScope};

/// A task that does not end by itself is stopped this long after it was told to: its tools' grace
/// period, and as much again for what it has left to record. In steps: where the machine stood still, much time
/// has passed of which the task had none.
const STOP_AFTER: [Duration; 20] = [Duration::from_millis(10); 20];

/// An undo that is putting the work tree back when the session ends has this long to finish: a program
/// that ends then would kill git half way.
#[cfg(feature = "coding")]
const RESTORE_LIMIT: Duration = Duration::from_secs(10);

/// The life of a session. It ends when the session is closed and nothing waits.
pub(super) async fn run(inner: Arc<Inner>) {
    let _ending = Ending(Arc::clone(&inner));
    loop {
        inner.settle_cancelled();
        // Before the look at what waits: what is accepted between the two is begun.
        let is_closed = inner.queue.is_closed();
        match inner.queue.begin(|submission| start(&inner, submission)) {
            Some(begun) => run_and_listen(&inner, begun).await,
            None if is_closed => break,
            None => inner.wake.notified().await,
        }
    }
    // Before the log is closed: what nobody takes any more does not wait in it either.
    inner.settle_waiting();
    #[cfg(feature = "coding")]
    if tokio::time::timeout(RESTORE_LIMIT, inner.work_tree.lock()).await.is_err() {
        tracing::warn!("the session ends while an undo is still at work");
    }
    if let Some(keeper) = &inner.keeper {
        keeper.finish().await;
    }
}

/// Tells everybody that the session has ended, also where its runtime goes away in mid-turn.
struct Ending(Arc<Inner>);

impl Drop for Ending {
    fn drop(&mut self) {
        // What is accepted from now on would never be begun.
        self.0.queue.close();
        // What a turn that was cut off with its runtime had not taken.
        self.0.queue.end(true, |_| true);
        self.0.settle_waiting();
        self.0.tell_shutdown();
        self.0.ended.cancel();
    }
}

/// Runs a turn, and meanwhile settles inputs that are taken back while they wait.
async fn run_and_listen(inner: &Arc<Inner>, begun: Begun<Submission>) {
    let mut turn = std::pin::pin!(run_turn(inner, begun));
    loop {
        tokio::select! {
            biased;
            () = &mut turn => return,
            () = inner.wake.notified() => inner.settle_cancelled(),
        }
    }
}

/// Nobody goes on with a turn that was cut off once an input begins another: it is over before anybody can.
fn start(inner: &Inner, submission: &Submission) -> Start {
    let kept = match (submission.continues(), submission.item()) {
        (true, _) if inner.open_turn_id().is_some() => Kept::Steers,
        (true, _) | (false, Some(_)) => Kept::Starts,
        (false, None) => Kept::Waits,
    };
    if submission.item().is_some() {
        inner.end_open_turn();
    }
    Start { turn_id: turn_of(submission), cancel: submission.reply.cancel.token(), kept }
}

async fn run_turn(inner: &Arc<Inner>, begun: Begun<Submission>) {
    for input in begun.kept.iter().chain([&begun.input]) {
        inner.state.update_settings(input.settings.clone());
    }
    let span = tracing::info_span!(
        parent: &begun.input.span,
        "invoke_agent",
        otel.kind = "internal",
        gen_ai.operation.name = "invoke_agent",
        gen_ai.conversation.id = &*inner.id,
        gen_ai.request.model = inner.settings_for(&begun.input).model,
        longhaul.turn_id = &*begun.input.id,
        error.type = tracing::field::Empty,
    );
    run_begun(inner, begun).instrument(span).await;
}

async fn run_begun(inner: &Arc<Inner>, Begun { kept, input }: Begun<Submission>) {
    let turn_id = Arc::clone(&input.id);
    let emitter = input.reply.emitter.clone();
    let cancel = input.reply.cancel.token();
    let task = input.task.clone();
    // Before the tools: if they change between the two, nothing is granted.
    let grants = inner.state.grant_scope();
    let tools = inner.tools();
    let context = inner.context_for(grants, &input, &tools);
    tracing::debug!("a turn begins");
    tell_start(inner, &context.settings.model, &emitter);
    let continues = input.continues();
    let mut inputs = kept;
    inputs.push(input);
    let scope = TaskScope::new(Arc::clone(inner), context, tools, emitter.clone(), cancel.clone());
    let replies = scope.replies();
    let result = match can_be_kept(inner, &inputs).await {
        Ok(()) => {
            if !continues {
                inner.end_open_turn();
            }
            let result = run_task(task, scope, inputs, &cancel).await;
            keep_end(inner, &turn_id, result.map(|result| with_reason(inner, result))).await
        }
        Err(error) => {
            // They hear of it.
            scope.take(inputs);
            Err(error)
        }
    };
    let interrupted = result.as_ref().is_ok_and(TurnResult::is_interrupted);
    // An interrupt that met the end of the turn still means quiet.
    inner.queue.end(interrupted || cancel.is_cancelled(), |it| it.item().is_some());
    tell_end(&emitter, &result);
    for reply in replies.take() {
        reply.settle(result.clone());
    }
}

/// A task that nobody said anything for does not begin while the log cannot be written, since not even its
/// end could be kept. What was said and accepted has been kept, and comes into the conversation.
async fn can_be_kept(inner: &Inner, inputs: &[Submission]) -> Result<(), TurnError> {
    let says_nothing = |input: &Submission| input.item().is_none() && !input.continues();
    match &inner.keeper {
        Some(keeper) if inputs.iter().all(says_nothing) => keeper.caught_up().await,
        _ => Ok(()),
    }
}

/// A turn has ended well only if that is kept.
async fn keep_end(
    inner: &Inner,
    turn_id: &Arc<str>,
    result: Result<TurnResult, TurnError>,
) -> Result<TurnResult, TurnError> {
    if inner.keeper.is_none() {
        return result;
    }
    let end = result.as_ref().map(|result| result.end.clone()).map_err(Clone::clone);
    let last_message = result.as_ref().ok().and_then(|result| result.last_message.clone());
    inner.state.note_end(turn_id, end, last_message);
    match inner.kept().await {
        Ok(()) => result,
        Err(error) => result.and(Err(error)),
    }
}

/// The result of a turn that was cut off says why.
fn with_reason(inner: &Inner, mut result: TurnResult) -> TurnResult {
    if let TurnEnd::Aborted(reason) = &mut result.end {
        *reason = inner.queue.abort_reason();
    }
    result
}

/// Tells that a turn begins, and once per model that its context window is assumed.
fn tell_start(inner: &Inner, model: &str, emitter: &Emitter) {
    let window = inner.window(model);
    emitter.emit(Event::TurnStarted { model_context_window: window.known_tokens() });
    if window.source == WindowSource::Assumed && inner.state.take_window_warning(model) {
        let tokens = window.raw_tokens;
        tracing::info!(model, tokens, "the context window is assumed");
        emitter.emit(Event::Background(format!(
            "the context window of `{model}` is not known; {tokens} tokens are assumed: \
             set `context_window`"
        )));
    }
}

/// Runs a task where neither its panic nor its stubbornness reaches the session. In the session's own
/// tokio task: another one would cost two changes of thread a turn.
async fn run_task(
    task: Arc<dyn SessionTask>,
    scope: TaskScope,
    inputs: Vec<Submission>,
    cancel: &CancellationToken,
) -> Result<TurnResult, TurnError> {
    // Whole, before anything can stop it, so that no interrupt loses an input.
    catch_unwind(AssertUnwindSafe(|| scope.take(inputs))).map_err(|_| crash())?;
    let running = AssertUnwindSafe(task.run(&scope)).catch_unwind();
    let stubborn = async {
        cancel.cancelled().await;
        for step in STOP_AFTER {
            tokio::time::sleep(step).await;
        }
    };
    tokio::select! {
        biased;
        result = running => result.unwrap_or_else(|_| Err(crash())),
        () = stubborn => Ok(TurnResult::empty(TurnEnd::INTERRUPTED)),
    }
}

fn crash() -> TurnError {
    TurnError::Internal("the task panicked".into())
}

fn tell_end(emitter: &Emitter, result: &Result<TurnResult, TurnError>) {
    let error = result.as_ref().err().map(TurnError::code);
    if let Some(code) = error {
        tracing::Span::current().record("error.type", code);
    }
    tracing::debug!(error, "a turn ends");
    emitter.emit_last(match result {
        Ok(TurnResult { end: TurnEnd::Aborted(reason), .. }) => {
            Event::TurnAborted { reason: *reason }
        }
        Ok(result) => Event::TurnComplete { last_agent_message: result.last_message.clone() },
        Err(error) => {
            emitter.emit(Event::Error(error.clone()));
            Event::TurnComplete { last_agent_message: None }
        }
    });
}
