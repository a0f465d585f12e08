//! The events of one response, each in its time.

use std::time::Duration;

use futures_util::stream::{self, BoxStream};
use futures_util::{Stream, StreamExt};
use tokio::time::{Instant, timeout_at};

use super::attempt::Attempt;
use crate::error::{ModelError, Phase};
use crate::event::{self, ResponseEvent};
use crate::exchange::{DoneSignal, ExchangeError, HttpResponse};
use crate::sse::{self, SseError};
use crate::{ErrorCode, RateLimits, ResponseStream};

/// The events of a response; its last is the terminal one, and then the connection is let go.
pub(super) fn read(
    attempt: Attempt,
    response: HttpResponse,
    request_id: Option<String>,
) -> ResponseStream {
    let limits = RateLimits::from_headers(&response.headers);
    let head = stream::iter(limits.map(|limits| Ok(ResponseEvent::RateLimits(limits))));
    let data = sse::events(response.body, attempt.provider.max_event_bytes).boxed();
    let done = response.done;
    let reader = Reader { waiting: Phase::FirstEvent, attempt, data, done };
    let events = stream::unfold(Some(reader), move |reader| {
        let request_id = request_id.clone();
        async move {
            let mut reader = reader?;
            let event = reader.next().await;
            let event = event.map_err(|error| {
                let error = error.in_stream().with_request_id(request_id);
                reader.attempt.finish(error)
            });
            let goes_on = event.as_ref().is_ok_and(|event| !event.is_terminal());
            Some((event, goes_on.then_some(reader)))
        }
    });
    head.chain(events).boxed()
}

/// Reads one response.
struct Reader {
    attempt: Attempt,
    waiting: Phase,
    data: BoxStream<'static, Result<String, SseError<ExchangeError>>>,
    done: DoneSignal,
}

impl Reader {
    async fn next(&mut self) -> Result<ResponseEvent, ModelError> {
        let limit = self.limit();
        let deadline = Instant::now().checked_add(limit);
        let event = next_event(&mut self.data);
        let event = match deadline {
            Some(deadline) => timeout_at(deadline, event)
                .await
                .map_err(|_| ModelError::timeout(self.waiting, limit))?,
            None => event.await,
        };
        self.waiting = Phase::Idle;
        if is_last(&event) {
            self.done.done();
        }
        event.map_err(End::explain)
    }

    fn limit(&self) -> Duration {
        match self.waiting {
            Phase::FirstEvent => self.attempt.provider.deadlines.first_event,
            _ => self.attempt.provider.deadlines.idle,
        }
    }
}

/// Why there is no next event.
enum End {
    Reported(ModelError),
    Sse(SseError<ExchangeError>),
    Closed,
}

impl End {
    fn explain(self) -> ModelError {
        match self {
            Self::Reported(error) => error,
            Self::Sse(SseError::Body(error)) => {
                let message = format!("the stream ended before the response was complete: {error}");
                ModelError::new(ErrorCode::StreamIncomplete, message).with_source(error)
            }
            Self::Sse(error @ SseError::TooLarge { .. }) => {
                ModelError::new(ErrorCode::Protocol, error.to_string()).retryable(false)
            }
            Self::Sse(error) => ModelError::new(ErrorCode::Protocol, error.to_string()),
            Self::Closed => {
                let message = "the stream ended before the response was complete";
                ModelError::new(ErrorCode::StreamIncomplete, message)
            }
        }
    }
}

/// Whether the server has said all that it will.
fn is_last(event: &Result<ResponseEvent, End>) -> bool {
    match event {
        Ok(event) => event.is_terminal(),
        Err(End::Reported(error)) => error.code() != ErrorCode::Protocol,
        Err(_) => false,
    }
}

async fn next_event(
    data: &mut (impl Stream<Item = Result<String, SseError<ExchangeError>>> + Unpin),
) -> Result<ResponseEvent, End> {
    loop {
        let data = data.next().await.ok_or(End::Closed)?.map_err(End::Sse)?;
        if let Some(event) = event::decode(&data).map_err(End::Reported)? {
            return Ok(event);
        }
    }
}
