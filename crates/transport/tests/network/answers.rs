//! Answers that are no response, or not yet one.

use longhaul_testkit::raw::{Course, RawServer};
use longhaul_testkit::server::{Cut, Framing, Reply, Script};
use longhaul_transport::error::{MAX_SERVER_TEXT_BYTES, Stage};
use longhaul_transport::{ErrorCode, ModelError, Phase, ResponsesClient, Secret, auth::ApiKey};

use super::support::{
    BOTH, MOMENT, TRUNCATED, assert_timeout, attempt, begun, client, fail, hello, provider,
    sampled, succeed, verdict,
};

const KEY: &str = "sk-canary-0123456789";

/// What a person and a log may see of an error: bounded, one line, without the key.
fn assert_presentable(error: &ModelError) {
    for text in [error.to_string(), format!("{error:?}")] {
        assert!(text.len() < MAX_SERVER_TEXT_BYTES + 512, "{} bytes", text.len());
        assert!(!text.contains(KEY), "{text}");
        assert!(!text.chars().any(char::is_control), "{text}");
    }
}

#[tokio::test]
async fn f018_proxies_and_portals_are_typed_bounded_and_redacted() {
    // As large as a portal's page, and it echoes what it was sent.
    let page = |begin: &str| format!("{begin} Bearer {KEY}\r\n\u{1b}[31m{}", "x".repeat(1 << 20));
    let table = [
        (407, page("<html>"), ErrorCode::InvalidRequest, false),
        (407, page("log in first"), ErrorCode::InvalidRequest, false),
        (502, page("<html>"), ErrorCode::ServerError, true),
        (502, page("bad gateway"), ErrorCode::ServerError, true),
        (200, page("<html>"), ErrorCode::Protocol, false),
    ];
    for protocol in BOTH {
        for (status, page, code, retryable) in table.clone() {
            let reply = Reply::sse().header("content-type", "text/html; charset=utf-8");
            let reply = reply.framing(Framing::ContentLength).status(status).bytes(page);
            let server = protocol.server(reply).await;
            let provider = provider(&server.base_url()).with_auth(ApiKey(Secret::new(KEY)));
            let (events, error) = attempt(&protocol.client(provider)).await;
            let error = error.unwrap();
            assert!(events.is_empty());
            assert_eq!((error.code(), error.is_retryable()), (code, retryable), "{status}");
            assert_eq!(error.status(), (status != 200).then_some(status));
            assert_presentable(&error);
        }
    }
}

#[tokio::test]
async fn f034_statuses_over_the_wire() {
    let retryable = [408, 409, 425, 429, 500, 502, 503, 504, 520, 524, 529, 530, 599];
    let last = [301, 304, 400, 402, 405, 410, 415, 421, 422, 431, 451, 499];
    let all = retryable.iter().map(|status| (*status, true));
    let all: Vec<_> = all.chain(last.iter().map(|status| (*status, false))).collect();
    for protocol in BOTH {
        let replies = all.iter().map(|(status, _)| Reply::sse().status(*status));
        let (_server, client) = protocol.pair(replies.collect::<Script>()).await;
        for &(status, retryable) in &all {
            let error = fail(&client).await;
            assert_eq!((error.status(), error.stage()), (Some(status), Stage::Request));
            assert_eq!(error.is_retryable(), retryable, "{status}");
        }
        // A success without a response is none.
        for (status, code) in [
            (200, ErrorCode::StreamIncomplete),
            (204, ErrorCode::Protocol),
            (206, ErrorCode::Protocol),
        ] {
            let (_server, client) = protocol.pair(Reply::sse().status(status)).await;
            assert_eq!(fail(&client).await.code(), code, "{status}");
        }
    }
}

#[tokio::test]
async fn f034_endless_interim_answers_meet_the_deadline_of_the_head() {
    let interim = "HTTP/1.1 102 Processing\r\n\r\n".repeat(1000);
    let course = Course::new().read_request().flood(interim, u64::MAX);
    let server = RawServer::start([course]).await.unwrap();
    let mut provider = provider(&server.base_url());
    provider.deadlines.headers = MOMENT;
    assert_timeout(&fail(&ResponsesClient::new(provider).unwrap()).await, Phase::Headers);
    server.connection_closed(0).await;
}

#[tokio::test]
async fn f039_a_success_that_is_no_stream_is_an_error() {
    let json =
        |text: &str| Reply::sse().header("content-type", "application/json").bytes(text.to_owned());
    let table = [
        (
            json(r#"{"error":{"message":"m","code":"insufficient_quota"}}"#),
            ErrorCode::UsageLimitReached,
        ),
        (json(r#"{"id":"r","status":"completed","output":[]}"#), ErrorCode::Protocol),
        (json(""), ErrorCode::Protocol),
        (Reply::sse().header("content-type", "text/plain").bytes("ok"), ErrorCode::Protocol),
        (Reply::sse(), ErrorCode::StreamIncomplete),
        (Reply::sse().bytes(r#"{"id":"r","status":"completed"}"#), ErrorCode::StreamIncomplete),
    ];
    for protocol in BOTH {
        for (reply, code) in table.clone() {
            let (_server, client) = protocol.pair(reply).await;
            assert_eq!(fail(&client).await.code(), code);
        }
    }
    // Without any content type.
    let bare = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
    let server = RawServer::start([Course::new().read_request().write(bare)]).await.unwrap();
    assert_eq!(verdict(&fail(&client(&server.base_url())).await), TRUNCATED);
}

#[tokio::test]
async fn f042_a_clean_end_without_a_terminal_event_is_incomplete() {
    let endings =
        [begun(), begun().bytes("data: [DONE]\n\n"), Reply::sse().bytes("data: [DONE]\n\n")];
    for protocol in BOTH {
        for reply in endings.clone() {
            let framings = [Framing::Chunked, Framing::ContentLength, Framing::Close];
            for framing in framings {
                let (server, client) = protocol.pair(reply.clone().framing(framing)).await;
                assert_eq!(verdict(&fail(&client).await), TRUNCATED, "{protocol:?} {framing:?}");
                server.assert_complete();
            }
        }
    }
}

/// A whole response, compressed by `gzip`.
const GZIPPED: &[u8] = &[
    31, 139, 8, 0, 0, 0, 0, 0, 2, 3, 75, 73, 44, 73, 180, 82, 168, 86, 42, 169, 44, 72, 85, 178,
    82, 42, 74, 45, 46, 200, 207, 43, 78, 213, 75, 206, 207, 45, 200, 73, 45, 73, 77, 81, 210, 129,
    11, 42, 89, 85, 43, 101, 166, 128, 84, 41, 213, 214, 114, 113, 1, 0, 210, 225, 142, 37, 59, 0,
    0, 0,
];

#[tokio::test]
async fn f051_compression_is_not_asked_for_and_not_undone() {
    for protocol in BOTH {
        let plain = Reply::text("hello");
        let gzipped = Reply::sse().header("content-encoding", "gzip").bytes(GZIPPED);
        let corrupt = Reply::sse().header("content-encoding", "gzip").bytes(&GZIPPED[..20]);
        let (server, client) = protocol.pair([plain, gzipped, corrupt]).await;
        succeed(&client).await;
        assert_eq!(server.requests()[0].header("accept-encoding"), None, "{protocol:?}");
        for _ in 0..2 {
            let (events, error) = attempt(&client).await;
            let error = error.unwrap();
            assert!(events.is_empty());
            let code = error.code();
            assert!(matches!(code, ErrorCode::Protocol | ErrorCode::StreamIncomplete), "{error:?}");
            assert_presentable(&error);
        }
    }
}

#[tokio::test]
async fn f052_header_bombs_are_refused() {
    let many = (0..10_000).fold(Reply::text("x"), |reply, n| reply.header(&format!("x-{n}"), "v"));
    let long = Reply::text("x").header("x-long", "v".repeat(1 << 20));
    for protocol in BOTH {
        for bomb in [many.clone(), long.clone()] {
            let (_server, client) = protocol.pair([bomb, Reply::text("hello")]).await;
            let error = fail(&client).await;
            assert_eq!(error.code(), ErrorCode::ConnectionFailed, "{protocol:?}: {error:?}");
            assert_presentable(&error);
            succeed(&client).await;
        }
    }
}

#[tokio::test]
async fn f052_a_request_id_is_fit_for_a_log_or_left_out() {
    let ids = [("req_1", Some("req_1")), ("req\t1", Some("req 1")), ("r\u{e9}q", None), ("", None)];
    for protocol in BOTH {
        for (id, seen) in ids {
            let reply = Reply::sse().status(500).header("x-request-id", id);
            let (_server, client) = protocol.pair(reply).await;
            let error = fail(&client).await;
            assert_eq!(error.request_id().filter(|id| !id.is_empty()), seen, "{id:?}");
            assert_presentable(&error);
        }
    }
    // What would end the line ends the connection, or is part of no header that is seen.
    for id in ["a\u{1b}[31m", "a\rb", "a\0b"] {
        let head = format!("HTTP/1.1 500 Oh\r\nx-request-id: {id}\r\ncontent-length: 0\r\n\r\n");
        let server = RawServer::start([Course::new().read_request().write(head)]).await.unwrap();
        let error = fail(&client(&server.base_url())).await;
        assert_eq!(error.request_id(), None, "{id:?}");
        assert_presentable(&error);
    }
}

/// The server did the work twice; what is given counts once.
#[tokio::test]
async fn f055_a_request_served_twice_gives_one_response() {
    for protocol in BOTH {
        let (_server, one) = protocol.pair(Reply::text("second")).await;
        let (whole, _) = attempt(&one).await;
        // All of the first response but its end.
        let first = Reply::sse().events(hello().unfinished());
        for cut in [Cut::Fin, Cut::Rst, Cut::Stream(2)] {
            let replies = [first.clone().cut(cut), Reply::text("second")];
            let (server, client) = protocol.pair(replies).await;
            let ended = sampled(&client).await;
            assert_eq!((ended.retried.len(), ended.events == whole), (1, true), "{cut:?}");
            let bodies: Vec<_> =
                server.requests().into_iter().map(|request| request.body).collect();
            assert_eq!(bodies.len(), 2);
            assert_eq!(bodies[0], bodies[1], "the same request");
        }
    }
}
