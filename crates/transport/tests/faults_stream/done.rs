//! The exchange learns that its caller has all that it wants: after the terminal event, and not before.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::task::{Context, Poll};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use http::{HeaderMap, StatusCode};
use longhaul_transport::exchange::{
    DoneSignal, Exchange, ExchangeError, HttpRequest, HttpResponse,
};
use longhaul_transport::{Model, Provider, ResponsesClient};
use serde_json::json;

use super::support::{body, completed, delta, request};

/// One response, and what was known of it when its body was dropped.
#[derive(Clone)]
struct Watched {
    pieces: Vec<Bytes>,
    done: Arc<Mutex<Option<DoneSignal>>>,
    at_drop: Arc<Mutex<Option<bool>>>,
}

impl Watched {
    fn new(pieces: impl IntoIterator<Item = String>) -> Self {
        let pieces = pieces.into_iter().map(Bytes::from).collect();
        Self { pieces, done: Arc::default(), at_drop: Arc::default() }
    }

    fn is_done(&self) -> bool {
        self.done.lock().unwrap().as_ref().unwrap().is_done()
    }

    /// Whether the caller had all when it dropped the body.
    fn at_drop(&self) -> Option<bool> {
        *self.at_drop.lock().unwrap()
    }

    /// Takes so many events, then drops the stream.
    async fn take(&self, count: usize) {
        let client = ResponsesClient::with_exchange(Provider::neutral(), Arc::new(self.clone()));
        let mut stream = client.stream(&request()).await.unwrap();
        for _ in 0..count {
            assert!(!self.is_done());
            stream.next().await.unwrap().ok();
        }
    }
}

#[async_trait]
impl Exchange for Watched {
    async fn send(&self, _: HttpRequest) -> Result<HttpResponse, ExchangeError> {
        let pieces = stream::iter(self.pieces.clone()).map(Ok).chain(stream::pending()).boxed();
        let body = Body { pieces, watched: self.clone() };
        let response = HttpResponse::new(StatusCode::OK, HeaderMap::new(), body.boxed());
        *self.done.lock().unwrap() = Some(response.done.clone());
        Ok(response)
    }
}

struct Body {
    pieces: Pin<Box<dyn Stream<Item = Result<Bytes, ExchangeError>> + Send>>,
    watched: Watched,
}

impl Stream for Body {
    type Item = Result<Bytes, ExchangeError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.pieces.as_mut().poll_next(cx)
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        let is_done = self.watched.is_done();
        *self.watched.at_drop.lock().unwrap() = Some(is_done);
    }
}

#[tokio::test]
async fn the_terminal_event_is_told_before_the_body_is_dropped() {
    let end = body(&[completed()]);
    for end in [end.clone(), format!("{end}data: [DONE]\n\n")] {
        for pieces in [vec![body(&[delta("a")]), end.clone()], vec![body(&[delta("a")]) + &end]] {
            let watched = Watched::new(pieces);
            watched.take(2).await;
            assert_eq!(watched.at_drop(), Some(true));
        }
    }
}

#[tokio::test]
async fn a_stream_dropped_before_its_end_tells_nothing() {
    let pieces = vec![body(&[delta("a"), delta("b"), completed()])];
    for count in 0..=2 {
        let watched = Watched::new(pieces.clone());
        watched.take(count).await;
        assert_eq!(watched.at_drop(), Some(false), "after {count} events");
    }
}

/// A failure that the server reports is an end, too; what cannot be understood is none.
#[tokio::test]
async fn a_reported_failure_is_told_and_a_broken_stream_is_not() {
    let failed =
        json!({"type": "response.failed", "response": {"error": {"code": "server_error"}}});
    let incomplete = json!({"type": "response.incomplete"});
    let error = json!({"type": "error", "message": "m"});
    let ends = [failed, incomplete, error].map(|end| (body(&[end]), true));
    for (end, is_told) in ends.into_iter().chain([("data: {\n\n".to_owned(), false)]) {
        let watched = Watched::new([end]);
        watched.take(1).await;
        assert_eq!(watched.at_drop(), Some(is_told));
    }
}
