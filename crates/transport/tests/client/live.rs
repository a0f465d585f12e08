//! Over real loopback HTTP: when connections end, and what they carry.

use std::time::Duration;

use futures_util::StreamExt;
use longhaul_testkit::server::{Cut, Framing, Gate, Reply, ReplyOutcome, Script, Server};
use longhaul_testkit::sse::ResponseBuilder;
use longhaul_transport::{Deadlines, ErrorCode, Model, Phase, Provider, ResponsesClient};

use super::support::{attempt, live, request};

fn hello() -> ResponseBuilder {
    ResponseBuilder::new().text("hello")
}

/// G6 (no silent truncation), the other side: the terminal event is the end, whatever the connection does.
#[tokio::test]
async fn the_terminal_event_ends_the_stream_though_the_connection_stays_open() {
    let endings = [
        (hello().completed(), None),
        (hello().failed("server_error", "sorry"), Some(ErrorCode::ServerError)),
        (hello().failed("context_length_exceeded", "long"), Some(ErrorCode::ContextWindowExceeded)),
        (hello().incomplete("max_output_tokens"), Some(ErrorCode::ResponseIncomplete)),
        (
            vec![serde_json::json!({"type": "error", "code": "rate_limit_exceeded"})],
            Some(ErrorCode::RateLimited),
        ),
        (
            vec![serde_json::json!({"error": {"code": 500, "message": "m"}})],
            Some(ErrorCode::ServerError),
        ),
    ];
    for (events, code) in endings {
        let reply = Reply::sse().events(events).keep_open();
        let server = Server::start(reply).await.unwrap();
        let (events, error) = attempt(&live(&server)).await;
        assert_eq!(error.as_ref().map(longhaul_transport::ModelError::code), code);
        assert_eq!(
            events.iter().filter(|event| event.is_terminal()).count(),
            usize::from(code.is_none())
        );
        // And the connection is let go.
        let end = server.wait_until_reply_ended(0).await;
        assert!(matches!(end, ReplyOutcome::ClientClosed { .. }), "{end:?}");
        server.assert_complete();
    }
}

/// What is no end of a response by the server's own word closes the connection at once.
#[tokio::test]
async fn a_connection_is_not_used_again_after_a_broken_response() {
    let gate = Gate::new("never opened");
    let broken = Reply::sse().bytes("data: {\n\n").gate(&gate);
    let server = Server::start([broken, Reply::text("hello")]).await.unwrap();
    let client = live(&server);
    assert_eq!(attempt(&client).await.1.unwrap().code(), ErrorCode::Protocol);
    server.connection_closed(0).await;
    assert!(attempt(&client).await.1.is_none());
    assert_eq!(server.requests()[1].connection, 1);
}

#[tokio::test]
async fn the_body_is_what_the_model_says_it_sends() {
    let server = Server::start(Reply::text("hello")).await.unwrap();
    let client = live(&server);
    assert!(attempt(&client).await.1.is_none());
    let sent = &server.requests()[0];
    assert_eq!(sent.body, client.encode(&request()).unwrap());
    assert_eq!(sent.header("content-length"), Some(sent.body.len().to_string().as_str()));
    assert_eq!(sent.target, "/v1/responses");
}

/// Larger than one piece of the upload, so that it takes several.
#[tokio::test]
async fn a_large_body_arrives_whole() {
    let server = Server::start(Reply::text("hello")).await.unwrap();
    let client = live(&server);
    let mut request = request();
    request.instructions = Some("é".repeat(1_000_000).into());
    let events = client.stream(&request).await.unwrap().collect::<Vec<_>>().await;
    assert!(events.iter().all(Result::is_ok));
    assert_eq!(server.requests()[0].body, client.encode(&request).unwrap());
}

#[tokio::test]
async fn what_is_not_http_is_a_failed_connection() {
    let table = [
        Reply::sse().bytes("hello").without_head(),
        Reply::sse().bytes("").without_head(),
        Reply::text("x").without_head().cut_after(0, Cut::Rst),
        Reply::sse().bytes("HTTP/1.1 200 OK\r\ncontent-le").without_head(),
    ];
    for reply in table {
        let what = format!("{reply:?}");
        let server = Server::start(reply).await.unwrap();
        let error = attempt(&live(&server)).await.1.unwrap();
        assert_eq!(
            (error.code(), error.is_retryable()),
            (ErrorCode::ConnectionFailed, true),
            "{what}"
        );
    }
}

type Shorten = fn(&mut Deadlines);

const MOMENT: Duration = Duration::from_millis(1);

/// The phases are told apart over a real connection too. The server never goes on, so any short time will do.
#[tokio::test]
async fn a_silent_server_is_a_timeout_of_its_phase() {
    let gate = Gate::new("never opened");
    let headers = |deadlines: &mut Deadlines| deadlines.headers = MOMENT;
    let first_event = |deadlines: &mut Deadlines| deadlines.first_event = MOMENT;
    let idle = |deadlines: &mut Deadlines| deadlines.idle = MOMENT;
    let table: [(Reply, Shorten, Phase); 3] = [
        (Reply::text("x").hold_head(&gate), headers, Phase::Headers),
        (Reply::sse().gate(&gate), first_event, Phase::FirstEvent),
        (Reply::sse().events(hello().unfinished()).gate(&gate), idle, Phase::Idle),
    ];
    for (reply, shorten, phase) in table {
        let server = Server::start(reply).await.unwrap();
        let mut provider = Provider::custom(&server.base_url()).unwrap();
        shorten(&mut provider.deadlines);
        let error = attempt(&ResponsesClient::new(provider).unwrap()).await.1;
        assert_eq!(error.unwrap().phase(), Some(phase));
        server.connection_closed(0).await;
    }
}

#[tokio::test]
async fn nobody_listens() {
    let server = Server::start(Script::new()).await.unwrap();
    let client = live(&server);
    server.shutdown().await;
    let error = attempt(&client).await.1.unwrap();
    assert_eq!(error.code(), ErrorCode::ConnectionFailed);
    assert!(error.to_string().starts_with("could not connect to the server: "), "{error}");
}

#[tokio::test]
async fn bodies_of_every_framing() {
    for framing in [Framing::Chunked, Framing::ContentLength, Framing::Close] {
        let server = Server::start(Reply::text("hello").framing(framing)).await.unwrap();
        assert!(attempt(&live(&server)).await.1.is_none(), "{framing:?}");
    }
}
