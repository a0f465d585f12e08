//! The events of one response, each in its time.

use std::time::Duration;

use bytes::{Buf, Bytes};
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};
use tokio::time::{Instant, timeout_at};

use super::attempt::Attempt;
use crate::error::{ModelError, Phase};
use crate::event::{self, ResponseEvent};
use crate::exchange::{DoneSignal, ExchangeError, HttpResponse};
use crate::sse::{self, SseError};
use crate::{ErrorCode, Provider, RateLimits, ResponseStream};

/// While bytes come that bring no event, the caller is told at most this often, by
/// [`ResponseEvent::KeepAlive`].
pub const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(1);

/// The events of a response; its last is the terminal one, and then the connection is let go.
pub(super) fn read(
    attempt: Attempt,
    response: HttpResponse,
    request_id: Option<String>,
) -> ResponseStream {
    let limits = RateLimits::from_headers(&response.headers);
    let head = stream::iter(limits.map(|limits| Ok(ResponseEvent::RateLimits(limits))));
    let reader = Box::new(Reader::new(attempt, response, request_id));
    let events = stream::unfold(Some(reader), async |reader| {
        let mut reader = reader?;
        let event = reader.next().await.map_err(|error| reader.finish(error));
        let goes_on = event.as_ref().is_ok_and(|event| !event.is_terminal());
        Some((event, goes_on.then_some(reader)))
    });
    head.chain(events).boxed()
}

/// Reads one response.
struct Reader {
    attempt: Attempt,
    request_id: Option<String>,
    body: BoxStream<'static, Result<Bytes, ExchangeError>>,
    done: DoneSignal,
    /// What is left of the last piece.
    piece: Bytes,
    lines: sse::Decoder,
    events: event::Decoder,
    received_bytes: u64,
    wait: Wait,
}

/// The wait for an event. Only the time in which the server was waited for counts.
struct Wait {
    phase: Phase,
    /// So long already, before the present call.
    passed: Duration,
    /// Of that, when the caller was last told that bytes come.
    told: Duration,
}

impl Wait {
    fn limit(&self, provider: &Provider) -> Duration {
        match self.phase {
            Phase::FirstEvent => provider.deadlines.first_event,
            _ => provider.deadlines.idle,
        }
    }
}

impl Reader {
    fn new(attempt: Attempt, response: HttpResponse, request_id: Option<String>) -> Self {
        Self {
            lines: sse::Decoder::new(attempt.provider.max_event_bytes),
            attempt,
            request_id,
            body: response.body,
            done: response.done,
            piece: Bytes::new(),
            events: event::Decoder::default(),
            received_bytes: 0,
            wait: Wait { phase: Phase::FirstEvent, passed: Duration::ZERO, told: Duration::ZERO },
        }
    }

    /// The next event, or word that bytes come.
    async fn next(&mut self) -> Result<ResponseEvent, ModelError> {
        if let Some(event) = self.decode()? {
            return Ok(event);
        }
        let limit = self.wait.limit(&self.attempt.provider);
        let start = Instant::now();
        let deadline = start.checked_add(limit.saturating_sub(self.wait.passed));
        loop {
            let piece = match deadline {
                Some(deadline) => timeout_at(deadline, self.body.try_next())
                    .await
                    .map_err(|_| ModelError::timeout(self.wait.phase, limit))?,
                None => self.body.try_next().await,
            };
            self.take(piece.map_err(broken)?.ok_or_else(ended)?)?;
            if let Some(event) = self.decode()? {
                return Ok(event);
            }
            let passed = self.wait.passed + start.elapsed();
            if passed >= limit {
                return Err(ModelError::timeout(self.wait.phase, limit));
            }
            if passed.saturating_sub(self.wait.told) >= KEEP_ALIVE_INTERVAL {
                self.wait.passed = passed;
                self.wait.told = passed;
                return Ok(ResponseEvent::KeepAlive { received_bytes: self.received_bytes });
            }
        }
    }

    fn take(&mut self, piece: Bytes) -> Result<(), ModelError> {
        self.received_bytes = self.received_bytes.saturating_add(piece.len() as u64);
        let limit = self.attempt.provider.max_response_bytes;
        if self.received_bytes > limit {
            let message = format!("the server sent a response of more than {limit} bytes");
            return Err(ModelError::new(ErrorCode::Protocol, message).retryable(false));
        }
        self.piece = piece;
        Ok(())
    }

    /// The next event of the piece. `None`: the piece is used up.
    fn decode(&mut self) -> Result<Option<ResponseEvent>, ModelError> {
        while !self.piece.is_empty() {
            let mut rest = &self.piece[..];
            let data = self.lines.next_event(&mut rest).map_err(|e| undecodable(&e))?;
            let event = data.map_or(Ok(None), |data| self.events.decode(data));
            // A failure that the server reports is the end of what it says, too.
            if event.as_ref().is_err_and(|error| error.code() != ErrorCode::Protocol) {
                self.done.done();
            }
            let event = event?;
            let taken = self.piece.len() - rest.len();
            self.piece.advance(taken);
            if let Some(event) = event {
                self.wait =
                    Wait { phase: Phase::Idle, passed: Duration::ZERO, told: Duration::ZERO };
                if event.is_terminal() {
                    self.done.done();
                }
                return Ok(Some(event));
            }
        }
        Ok(None)
    }

    fn finish(&self, error: ModelError) -> ModelError {
        self.attempt.finish(error.in_stream().with_request_id(self.request_id.clone()))
    }
}

fn broken(error: ExchangeError) -> ModelError {
    let message = format!("the stream ended before the response was complete: {error}");
    ModelError::new(ErrorCode::StreamIncomplete, message).with_source(error)
}

fn ended() -> ModelError {
    let message = "the stream ended before the response was complete";
    ModelError::new(ErrorCode::StreamIncomplete, message)
}

fn undecodable(error: &SseError) -> ModelError {
    // An event that is too large comes again as large; bytes may come in order the next time.
    let is_retryable = !matches!(error, SseError::TooLarge { .. });
    ModelError::new(ErrorCode::Protocol, error.to_string()).retryable(is_retryable)
}
