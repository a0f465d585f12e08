//! The scripted exchange keeps its course and its time.

use std::time::Duration;

use futures_util::StreamExt;
use http::HeaderMap;
use longhaul_testkit::exchange::{Course, ScriptedExchange};
use longhaul_transport::Provider;
use longhaul_transport::exchange::{
    Exchange, ExchangeErrorKind, HttpRequest, HttpResponse, SentSignal,
};
use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);

fn request() -> HttpRequest {
    HttpRequest {
        url: Provider::neutral().base_url,
        headers: HeaderMap::new(),
        body: "{\"a\":1}".into(),
        sent: SentSignal::default(),
    }
}

/// The pieces of a body, or its failure, each with the second in which it came.
async fn pieces(response: HttpResponse, start: Instant) -> Vec<(u64, Result<String, String>)> {
    let pieces = response.body.map(|piece| {
        let piece = piece.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        (start.elapsed().as_secs(), piece.map_err(|e| e.to_string()))
    });
    pieces.collect().await
}

#[tokio::test(start_paused = true)]
async fn a_course_is_kept_step_by_step() {
    let course = Course::new()
        .wait(SECOND)
        .head(503)
        .header("retry-after", "7")
        .body("a")
        .wait(2 * SECOND)
        .body("b")
        .fail(ExchangeErrorKind::Broken)
        .body("never");
    let exchange = ScriptedExchange::new([course]);
    let start = Instant::now();
    let response = exchange.send(request()).await.unwrap();
    assert_eq!((response.status.as_u16(), start.elapsed()), (503, SECOND));
    assert_eq!(response.headers["retry-after"], "7");
    let broken = "the connection to the server broke: as scripted".to_owned();
    assert_eq!(
        pieces(response, start).await,
        [(1, Ok("a".into())), (3, Ok("b".into())), (3, Err(broken))]
    );
    let sent = &exchange.requests()[0];
    assert_eq!(sent.url, "http://localhost/v1");
    assert_eq!(sent.json()["a"], 1);
    exchange.assert_complete();
}

#[tokio::test(start_paused = true)]
async fn failures_before_the_head_keep_the_response_from_starting() {
    let exchange = ScriptedExchange::new([
        Course::new().fail(ExchangeErrorKind::ConnectTimeout),
        Course::new(),
        Course::new().hang(),
    ]);
    let kind = |error: Option<longhaul_transport::exchange::ExchangeError>| error.unwrap().kind();
    let first = exchange.send(request()).await.err();
    assert_eq!(kind(first), ExchangeErrorKind::ConnectTimeout);
    let second = exchange.send(request()).await.err();
    assert_eq!(kind(second), ExchangeErrorKind::Broken);
    let third = tokio::time::timeout(1000 * SECOND, exchange.send(request())).await;
    assert!(third.is_err());
}

#[tokio::test]
#[should_panic(expected = "requests without a course")]
async fn one_request_too_many_fails_the_test() {
    let exchange = ScriptedExchange::new([]);
    assert!(exchange.send(request()).await.is_err());
    exchange.assert_complete();
}
