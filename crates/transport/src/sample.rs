//! The loop that repeats failed attempts.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, BoxStream};
use futures_util::{Stream, StreamExt};
use tokio::time::Instant;

use crate::retry::{Failures, Verdict, decide};
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
/// The stream ends after [`ResponseEvent::Completed`], or after the error that no retry could cure.
/// No wait is begun that would pass `deadline`.
///
/// # Cancel safety
///
/// Polling may stop and go on at any time. Dropping the stream closes the connection.
pub fn sample(
    model: Arc<dyn Model>,
    request: Arc<Request>,
    deadline: Option<Instant>,
) -> SampleStream {
    let sampling =
        Sampling { model, request, deadline, failures: Failures::default(), in_a_row: 0 };
    attempts(sampling).boxed()
}

/// One step on the way to a complete response.
struct Sampling {
    model: Arc<dyn Model>,
    request: Arc<Request>,
    deadline: Option<Instant>,
    failures: Failures,
    /// Failed attempts since the response last came.
    in_a_row: u32,
}

enum State {
    Connect,
    Wait(Duration),
    /// A response, and an event of it that was held back for [`SampleEvent::Recovered`].
    Read(ResponseStream, Option<ResponseEvent>),
    Done,
}

type Step = Option<(Result<SampleEvent, ModelError>, (Sampling, State))>;

fn attempts(sampling: Sampling) -> impl Stream<Item = Result<SampleEvent, ModelError>> {
    stream::unfold((sampling, State::Connect), |(sampling, state)| sampling.step(state))
}

/// A model owes an error where its stream ends early; one that forgets it is caught here.
fn ended_early() -> ModelError {
    let message = "the stream ended before the response was complete";
    ModelError::new(ErrorCode::StreamIncomplete, message).in_stream()
}

impl Sampling {
    async fn step(mut self, mut state: State) -> Step {
        loop {
            state = match state {
                State::Done => return None,
                State::Wait(wait) => {
                    tokio::time::sleep(wait).await;
                    State::Connect
                }
                State::Connect => match self.model.stream(&self.request).await {
                    Ok(response) => State::Read(response, None),
                    Err(error) => return Some(self.fail(error)),
                },
                State::Read(response, Some(event)) => return Some(self.give(event, response)),
                State::Read(mut response, None) => match response.next().await {
                    Some(Ok(event)) if self.in_a_row > 0 && event.is_progress() => {
                        let attempts = std::mem::take(&mut self.in_a_row);
                        let state = State::Read(response, Some(event));
                        return Some((Ok(SampleEvent::Recovered { attempts }), (self, state)));
                    }
                    Some(Ok(event)) => return Some(self.give(event, response)),
                    Some(Err(error)) => return Some(self.fail(error)),
                    None => return Some(self.fail(ended_early())),
                },
            };
        }
    }

    fn give(
        self,
        event: ResponseEvent,
        response: ResponseStream,
    ) -> (Result<SampleEvent, ModelError>, (Self, State)) {
        let state = if event.is_terminal() { State::Done } else { State::Read(response, None) };
        (Ok(SampleEvent::Response(event)), (self, state))
    }

    fn fail(mut self, error: ModelError) -> (Result<SampleEvent, ModelError>, (Self, State)) {
        self.failures.count(error.stage());
        self.in_a_row += 1;
        let remaining = self.deadline.map(|end| end.saturating_duration_since(Instant::now()));
        let policy = self.model.retry_policy();
        let jitter = fastrand::f64();
        tracing::debug!(code = %error.code(), failures = ?self.failures, "an attempt failed");
        match decide(&policy, &error, self.failures, remaining, jitter) {
            Verdict::GiveUp => (Err(error), (self, State::Done)),
            Verdict::Retry { after, attempt, max_attempts } => {
                let retrying = Retrying { error, attempt, max_attempts, delay: after };
                (Ok(SampleEvent::Retrying(retrying)), (self, State::Wait(after)))
            }
        }
    }
}
