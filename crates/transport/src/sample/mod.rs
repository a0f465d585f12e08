//! The loop that repeats failed attempts.

mod trace;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use tokio::time::{Instant, timeout_at};
use tracing::Instrument;

use self::trace::Trace;
use crate::error::Phase;
use crate::retry::{Failures, GiveUp, RetryPolicy, Situation, Verdict, decide};
use crate::{ErrorCode, Model, ModelError, Request, ResponseEvent, ResponseStream};

/// The events of a response, with what happened on the way to it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum SampleEvent {
    /// An event of the response.
    Response(ResponseEvent),
    /// An attempt failed and will be repeated after a wait, which begins now. All events of the
    /// response so far are void.
    Retrying(Retrying),
    /// The server refused the credential; there is a new one, and the request goes out again now.
    Refreshed,
    /// The response is coming again after this many failed attempts.
    Recovered {
        /// Failed attempts in a row.
        attempts: u32,
    },
}

/// A failed attempt that is about to be repeated.
#[derive(Debug, Clone)]
pub struct Retrying {
    /// What went wrong.
    pub error: ModelError,
    /// Which retry of its kind this is, from 1.
    pub attempt: u32,
    /// How many of its kind there may be.
    pub max_attempts: u32,
    /// The wait.
    pub delay: Duration,
}

/// Equal if the plan is; the errors are compared by their codes.
impl PartialEq for Retrying {
    fn eq(&self, other: &Self) -> bool {
        let plan = |r: &Self| (r.error.code(), r.attempt, r.max_attempts, r.delay);
        plan(self) == plan(other)
    }
}

/// What [`sample`] gives.
pub type SampleStream = BoxStream<'static, Result<SampleEvent, ModelError>>;

/// Asks `model`, and asks again as its policy allows, until a response is complete. The only place
/// where anything is retried.
///
/// The stream ends after [`ResponseEvent::Completed`], or after the error that no retry could cure;
/// the error says how many attempts were made. At `deadline` it ends with
/// [`ErrorCode::Timeout`] in [`Phase::Turn`], whatever it waits for; no wait is begun that would
/// pass it.
///
/// A credential that the server refuses (HTTP 401) is replaced once, if the model can; the request
/// that follows counts as no retry.
///
/// Its spans are children of the span that is current when this is called.
///
/// # Cancel safety
///
/// Polling may stop and go on at any time. Dropping the stream closes the connection.
pub fn sample(
    model: Arc<dyn Model>,
    request: Arc<Request>,
    deadline: Option<Instant>,
) -> SampleStream {
    let policy = model.retry_policy();
    if let Some(budget) = &policy.budget {
        budget.deposit();
    }
    let trace = Trace::new(&request, model.server());
    // Boxed, since it is handed on with every event.
    let sampling = Box::new(Sampling {
        model,
        request,
        policy,
        deadline,
        began: Instant::now(),
        failures: Failures::default(),
        in_a_row: 0,
        trace,
    });
    stream::unfold((sampling, State::Connect), |(sampling, state)| sampling.timed(state)).boxed()
}

/// One step on the way to a complete response.
struct Sampling {
    model: Arc<dyn Model>,
    request: Arc<Request>,
    policy: RetryPolicy,
    deadline: Option<Instant>,
    began: Instant,
    failures: Failures,
    /// Failed attempts since the response last came.
    in_a_row: u32,
    trace: Trace,
}

enum State {
    Connect,
    Wait(Instant),
    /// The server refused the credential that the error names.
    Refresh(ModelError, u64),
    /// A response, and an event of it that was held back for [`SampleEvent::Recovered`].
    Read(ResponseStream, Option<ResponseEvent>),
    Done,
}

type Given = Result<SampleEvent, ModelError>;

/// What a state leads to: a further state at once, or something to give.
enum Step {
    On(State),
    Give(Given, State),
}

/// A model owes an error where its stream ends early; one that forgets it is caught here.
fn ended_early() -> ModelError {
    let message = "the stream ended before the response was complete";
    ModelError::new(ErrorCode::StreamIncomplete, message).in_stream()
}

impl Sampling {
    /// The next thing to give, unless the deadline comes first.
    async fn timed(mut self: Box<Self>, state: State) -> Option<(Given, (Box<Self>, State))> {
        let Some(deadline) = self.deadline else {
            let (given, state) = self.next(state).await?;
            return Some((given, (self, state)));
        };
        if let Ok(next) = timeout_at(deadline, self.next(state)).await {
            return next.map(|(given, state)| (given, (self, state)));
        }
        let limit = deadline.saturating_duration_since(self.began);
        let error = self.final_error(ModelError::timeout(Phase::Turn, limit));
        Some((Err(error), (self, State::Done)))
    }

    async fn next(&mut self, mut state: State) -> Option<(Given, State)> {
        loop {
            let span = self.trace.span(matches!(state, State::Connect));
            let step = match state {
                State::Done => return None,
                State::Wait(until) => {
                    tokio::time::sleep_until(until).await;
                    Step::On(State::Connect)
                }
                // Boxed, or each event would carry room for them.
                State::Connect => Box::pin(self.connect().instrument(span)).await,
                State::Refresh(error, generation) => {
                    Box::pin(self.refresh(error, generation).instrument(span)).await
                }
                State::Read(response, held) => self.read(response, held).instrument(span).await,
            };
            state = match step {
                Step::On(state) => state,
                Step::Give(given, state) => return Some((given, state)),
            };
        }
    }

    async fn connect(&mut self) -> Step {
        match self.model.stream(&self.request).await {
            Ok(response) => Step::On(State::Read(response, None)),
            Err(error) => self.fail(error),
        }
    }

    async fn read(&mut self, mut response: ResponseStream, held: Option<ResponseEvent>) -> Step {
        let event = match held {
            Some(event) => event,
            None => match response.next().await {
                Some(Ok(event)) if self.in_a_row > 0 && event.is_progress() => {
                    let attempts = std::mem::take(&mut self.in_a_row);
                    let recovered = SampleEvent::Recovered { attempts };
                    return Step::Give(Ok(recovered), State::Read(response, Some(event)));
                }
                Some(Ok(event)) => event,
                Some(Err(error)) => return self.fail(error),
                None => return self.fail(ended_early()),
            },
        };
        self.trace.event(&event);
        let state = if event.is_terminal() { State::Done } else { State::Read(response, None) };
        Step::Give(Ok(SampleEvent::Response(event)), state)
    }

    async fn refresh(&mut self, refused: ModelError, generation: u64) -> Step {
        match self.model.refresh_auth(&self.request, generation).await {
            Ok(true) => Step::Give(Ok(SampleEvent::Refreshed), State::Connect),
            Ok(false) => self.give_up(refused, GiveUp::Final),
            Err(error) => self.give_up(error, GiveUp::Final),
        }
    }

    /// Decides what becomes of a failed attempt. One whose credential is replaced counts as no
    /// failure.
    fn fail(&mut self, error: ModelError) -> Step {
        let mut failures = self.failures;
        failures.count(error.stage());
        let verdict = self.verdict(&error, failures);
        self.trace.failed(&error, &verdict);
        match verdict {
            Verdict::RefreshAuth { generation } => {
                self.failures.refreshed += 1;
                Step::On(State::Refresh(error, generation))
            }
            Verdict::Retry { after, attempt, max_attempts } => {
                self.failures = failures;
                self.in_a_row += 1;
                let error = error.with_attempts(self.trace.attempts());
                let retrying = Retrying { error, attempt, max_attempts, delay: after };
                Step::Give(Ok(SampleEvent::Retrying(retrying)), State::Wait(Instant::now() + after))
            }
            Verdict::GiveUp(why @ GiveUp::WaitTooLong { advised }) => {
                let retry_at = error.retry_at().or(SystemTime::now().checked_add(advised));
                self.give_up(error.with_retry_at(retry_at), why)
            }
            Verdict::GiveUp(why) => self.give_up(error, why),
        }
    }

    fn verdict(&self, error: &ModelError, failures: Failures) -> Verdict {
        let now = Instant::now();
        let verdict = decide(
            &self.policy,
            &Situation {
                error,
                failures,
                elapsed: now.saturating_duration_since(self.began),
                remaining: self.deadline.map(|end| end.saturating_duration_since(now)),
                jitter: fastrand::f64(),
            },
        );
        let budget = self.policy.budget.as_ref();
        match verdict {
            Verdict::Retry { .. } if budget.is_some_and(|budget| !budget.withdraw()) => {
                Verdict::GiveUp(GiveUp::BudgetUsedUp)
            }
            verdict => verdict,
        }
    }

    fn give_up(&self, error: ModelError, why: GiveUp) -> Step {
        tracing::debug!(code = %error.code(), ?why, "no further attempt");
        Step::Give(Err(self.final_error(error)), State::Done)
    }

    fn final_error(&self, error: ModelError) -> ModelError {
        self.trace.ended(&error);
        error.with_attempts(self.trace.attempts())
    }
}
