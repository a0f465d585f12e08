//! A scripted HTTP exchange for virtual time: deadlines and retries without a socket.
//!
//! A [`ScriptedExchange`] stands where a client's connection pool stands. Each request takes the next [`Course`]:
//! waits, a head, pieces of body, failures, in the order in which they were added. All waits are tokio's, so that
//! under its paused clock they pass at once and in order.

use std::collections::VecDeque;
use std::fmt;
use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use longhaul_transport::exchange::{
    Exchange, ExchangeError, ExchangeErrorKind, HttpRequest, HttpResponse, SentSignal,
};
use serde_json::Value;
use tokio::time::{Instant, sleep};

/// Exchanges by a script: the n-th request takes the n-th course. Clones share script and log.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// use longhaul_history::Prompt;
/// use longhaul_testkit::exchange::{Course, ScriptedExchange};
/// use longhaul_transport::{Model, Phase, Provider, Request, ResponsesClient};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let exchange = ScriptedExchange::new([Course::new().wait(Duration::from_secs(5)).sent().hang()]);
/// let client = ResponsesClient::with_exchange(Provider::neutral(), Arc::new(exchange.clone()));
///
/// let error = client.stream(&Request::new("m", Prompt::default())).await.err().unwrap();
/// assert_eq!(error.phase(), Some(Phase::Headers));
/// assert_eq!(exchange.requests()[0].url, "http://localhost/v1/responses");
/// exchange.assert_complete();
/// # }
/// ```
#[derive(Clone, Default)]
#[must_use]
pub struct ScriptedExchange {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    courses: VecDeque<Course>,
    requests: Vec<SentRequest>,
    too_many: usize,
}

/// One request as it was sent.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SentRequest {
    /// Where to.
    pub url: String,
    /// All headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// When, on tokio's clock.
    pub at: Instant,
}

impl SentRequest {
    /// The body as JSON; `Null` if it is not JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

impl ScriptedExchange {
    /// Exchanges that take these courses in turn.
    pub fn new(courses: impl IntoIterator<Item = Course>) -> Self {
        let exchange = Self::default();
        exchange.lock().courses.extend(courses);
        exchange
    }

    /// The requests so far, in order.
    pub fn requests(&self) -> Vec<SentRequest> {
        self.lock().requests.clone()
    }

    /// Asserts that as many requests came as courses were scripted.
    ///
    /// # Panics
    ///
    /// If more came, or fewer.
    #[track_caller]
    pub fn assert_complete(&self) {
        let state = self.lock();
        let (left, too_many) = (state.courses.len(), state.too_many);
        drop(state);
        assert_eq!(
            (left, too_many),
            (0, 0),
            "courses that no request took, and requests without a course"
        );
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a request and gives its course.
    fn take(&self, request: &HttpRequest) -> Option<Course> {
        let mut state = self.lock();
        state.requests.push(SentRequest {
            url: request.url.to_string(),
            headers: request.headers.clone(),
            body: request.body.clone(),
            at: Instant::now(),
        });
        let course = state.courses.pop_front();
        state.too_many += usize::from(course.is_none());
        course
    }
}

#[async_trait]
impl Exchange for ScriptedExchange {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, ExchangeError> {
        let course = self.take(&request).unwrap_or_default();
        course.run(&request.sent).await
    }
}

impl fmt::Debug for ScriptedExchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScriptedExchange")
            .field("requests", &self.requests())
            .finish_non_exhaustive()
    }
}

/// How one exchange goes, step by step. Without a head it breaks.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Course {
    steps: VecDeque<Step>,
}

#[derive(Clone, Debug)]
enum Step {
    Wait(Duration),
    Connected,
    Sent,
    Head(StatusCode, HeaderMap),
    Body(Bytes),
    Fail(ExchangeErrorKind),
    Hang,
}

impl Course {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The request is sent, and an event stream with this body comes back whole.
    pub fn sse(body: impl Into<Bytes>) -> Self {
        Self::new().sent().event_stream().body(body)
    }

    /// The request is sent, and an answer of JSON with this status comes back.
    pub fn json(status: u16, body: impl Into<Bytes>) -> Self {
        let head = Self::new().sent().head(status);
        head.header("content-type", "application/json").body(body)
    }

    /// Waits.
    pub fn wait(self, time: Duration) -> Self {
        self.step(Step::Wait(time))
    }

    /// Tells the client that there is a connection. The request's having been sent tells so too.
    pub fn connected(self) -> Self {
        self.step(Step::Connected)
    }

    /// Tells the client that its request has been sent. A head tells so too.
    pub fn sent(self) -> Self {
        self.step(Step::Sent)
    }

    /// The head of the response. What comes before it keeps the response from starting, what comes after it is body.
    ///
    /// # Panics
    ///
    /// If `status` is none that HTTP allows.
    pub fn head(self, status: u16) -> Self {
        #[expect(clippy::expect_used, reason = "scripts are written by hand")]
        let status = StatusCode::from_u16(status).expect("a status of three digits");
        self.step(Step::Head(status, HeaderMap::new()))
    }

    /// The head of an event stream.
    pub fn event_stream(self) -> Self {
        self.head(200).header("content-type", "text/event-stream")
    }

    /// Adds a header to the head.
    ///
    /// # Panics
    ///
    /// If there is no head yet, or HTTP does not allow the header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let parsed = (name.parse::<HeaderName>(), HeaderValue::from_str(value));
        let head = self.steps.iter_mut().find_map(|step| match step {
            Step::Head(_, headers) => Some(headers),
            _ => None,
        });
        let (Some(headers), (Ok(name), Ok(value))) = (head, parsed) else {
            #[expect(clippy::panic, reason = "scripts are written by hand")]
            {
                panic!("`{name}: {value}` is no header, or there is no head for it");
            }
        };
        headers.append(name, value);
        self
    }

    /// A piece of body.
    pub fn body(self, piece: impl Into<Bytes>) -> Self {
        self.step(Step::Body(piece.into()))
    }

    /// Fails here.
    pub fn fail(self, kind: ExchangeErrorKind) -> Self {
        self.step(Step::Fail(kind))
    }

    /// Nothing comes after this, and there is no end.
    pub fn hang(self) -> Self {
        self.step(Step::Hang)
    }

    fn step(mut self, step: Step) -> Self {
        self.steps.push_back(step);
        self
    }

    async fn run(mut self, sent: &SentSignal) -> Result<HttpResponse, ExchangeError> {
        while let Some(step) = self.steps.pop_front() {
            match step {
                Step::Wait(time) => sleep(time).await,
                Step::Connected => sent.connected(),
                Step::Sent => sent.sent(),
                Step::Head(status, headers) => {
                    sent.sent();
                    return Ok(self.response(status, headers));
                }
                Step::Body(_) => return Err(failure(ExchangeErrorKind::Broken)),
                Step::Fail(kind) => return Err(failure(kind)),
                Step::Hang => pending().await,
            }
        }
        Err(failure(ExchangeErrorKind::Broken))
    }

    fn response(self, status: StatusCode, headers: HeaderMap) -> HttpResponse {
        let body = stream::unfold(self.steps, |mut steps| async {
            loop {
                match steps.pop_front()? {
                    Step::Wait(time) => sleep(time).await,
                    Step::Body(piece) => return Some((Ok(piece), steps)),
                    Step::Fail(kind) => return Some((Err(failure(kind)), VecDeque::new())),
                    Step::Hang => pending().await,
                    Step::Connected | Step::Sent | Step::Head(..) => {}
                }
            }
        });
        HttpResponse::new(status, headers, body.boxed())
    }
}

fn failure(kind: ExchangeErrorKind) -> ExchangeError {
    ExchangeError::new(kind, "as scripted")
}
