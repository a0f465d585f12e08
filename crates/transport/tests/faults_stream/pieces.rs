//! Where the pieces end, how many events there are, and how many bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{HeaderMap, StatusCode};
use longhaul_testkit::exchange::Course;
use longhaul_testkit::sse::ResponseBuilder;
use longhaul_transport::exchange::{Exchange, ExchangeError, HttpRequest, HttpResponse};
use longhaul_transport::{ErrorCode, Model, ModelError, Provider, ResponsesClient};

use super::support::{attempt, attempt_with, body, completed, delta, events, request, text};

#[tokio::test]
async fn f020_pieces_of_any_size_give_the_same_events() {
    let response = ResponseBuilder::new().reasoning("é", None).text("日 😀").call("c", "t", "{}");
    let body = Bytes::from(format!(": hi\r\n\r\n{}data: [DONE]\n\n", body(&response.completed())));
    let whole = events(body.clone()).await;
    assert!(whole.len() > 10 && whole.last().unwrap().is_terminal());
    for size in (1..100).chain([1_000, body.len() - 1]) {
        let pieces = body.chunks(size).map(|piece| body.slice_ref(piece));
        let (events, error) = attempt(pieces.fold(Course::sse(""), Course::body)).await;
        assert!(error.is_none() && events == whole, "pieces of {size}");
    }
    for cut in 0..body.len() {
        let course = Course::sse(body.slice(..cut)).body(body.slice(cut..));
        let (events, error) = attempt(course).await;
        assert!(error.is_none() && events == whole, "cut at {cut}");
    }
}

#[tokio::test]
async fn f021_ten_thousand_events_in_one_piece_all_come_in_order() {
    let texts: Vec<String> = (0..10_000).map(|index| format!("{index} ")).collect();
    let deltas: Vec<_> = texts.iter().map(|text| delta(text)).collect();
    let events = events(body(&deltas) + &body(&[completed()])).await;
    assert_eq!(events.len(), 10_001);
    assert_eq!(text(&events), texts.concat());
    assert!(events.last().unwrap().is_terminal());
}

/// Gives the same piece for ever and counts the bytes that were taken.
#[derive(Clone)]
struct Endless {
    piece: Bytes,
    taken: Arc<AtomicU64>,
}

impl Endless {
    fn new(piece: impl Into<Bytes>) -> Self {
        Self { piece: piece.into(), taken: Arc::default() }
    }

    fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    /// Reads until the error; how many events there were.
    async fn read(&self, provider: Provider) -> (u64, ModelError) {
        let client = ResponsesClient::with_exchange(provider, Arc::new(self.clone()));
        let mut stream = client.stream(&request()).await.unwrap();
        let mut count = 0;
        loop {
            match stream.next().await.unwrap() {
                Ok(event) => count += u64::from(event.is_progress()),
                Err(error) => return (count, error),
            }
        }
    }
}

#[async_trait]
impl Exchange for Endless {
    async fn send(&self, _: HttpRequest) -> Result<HttpResponse, ExchangeError> {
        let endless = self.clone();
        let body = stream::repeat_with(move || {
            endless.taken.fetch_add(endless.piece.len() as u64, Ordering::Relaxed);
            Ok(endless.piece.clone())
        });
        Ok(HttpResponse::new(StatusCode::OK, HeaderMap::new(), body.boxed()))
    }
}

/// How little memory that takes, the tests of the decoder count.
#[tokio::test]
async fn f049_an_endless_event_line_or_comment_is_an_error_at_the_bound() {
    for piece in ["x", "data: x", "data: x\n", ": ", "event: ping\n"] {
        let endless = Endless::new(piece.repeat(100));
        let mut provider = Provider::neutral();
        provider.max_event_bytes = 1024 * 1024;
        let (count, error) = endless.read(provider).await;
        assert_eq!(count, 0, "{piece:?}");
        assert_eq!((error.code(), error.is_retryable()), (ErrorCode::Protocol, false));
        assert_eq!(error.to_string(), "an event of the server is larger than 1048576 bytes");
        assert!(endless.taken() < 1024 * 1024 * 7 / 6, "{piece:?}: {} bytes", endless.taken());
    }
}

/// Whatever it is that does not end: events, comments, or nothing but line ends.
#[tokio::test]
async fn f050_an_endless_response_is_an_error_at_the_bound() {
    let delta = body(&[delta("x")]);
    for piece in [delta.as_str(), ": ping\n\n", "\n", "data: [DONE]\n\n"] {
        let endless = Endless::new(piece.repeat(100));
        let mut provider = Provider::neutral();
        provider.max_response_bytes = 10_000_000;
        let (count, error) = endless.read(provider).await;
        assert_eq!((error.code(), error.is_retryable()), (ErrorCode::Protocol, false));
        assert_eq!(error.to_string(), "the server sent a response of more than 10000000 bytes");
        let piece_bytes = piece.len() as u64 * 100;
        let whole_pieces = 10_000_000 / piece_bytes;
        assert_eq!(endless.taken(), (whole_pieces + 1) * piece_bytes, "one piece too many");
        let events = if piece == delta { whole_pieces * 100 } else { 0 };
        assert_eq!(count, events, "{piece:?}");
    }
}

#[tokio::test]
async fn f050_a_response_as_large_as_the_bound_is_whole() {
    let body = Bytes::from(body(&[delta("x"), completed()]));
    let mut provider = Provider::neutral();
    provider.max_response_bytes = body.len() as u64;
    assert!(attempt_with(provider.clone(), Course::sse(body.clone())).await.1.is_none());
    provider.max_response_bytes -= 1;
    assert!(attempt_with(provider, Course::sse(body)).await.1.is_some());
    assert_eq!(Provider::neutral().max_response_bytes, 1024 * 1024 * 1024);
}
