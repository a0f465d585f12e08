//! Failures within a response, over the wire. Every form of each is held without a network in `client/refusals` and
//! `faults_stream`.

use std::sync::Arc;

use futures_util::StreamExt;
use longhaul_testkit::server::{Cut, Gate, Reply, ReplyOutcome};
use longhaul_testkit::sse::ResponseBuilder;
use longhaul_transport::error::Stage;
use longhaul_transport::{
    ErrorCode, Provider, ResponseEvent, RetryPolicy, SampleEvent, Secret, auth::ApiKey, sample,
};
use serde_json::json;

use super::support::{BOTH, Protocol, begun, hello, provider, request, sampled, succeed};

/// The connection is cut once the caller has the call: what it has is void, and the call comes once more.
#[tokio::test]
async fn f012_a_call_of_a_broken_response_is_void_and_comes_once_more() {
    let call = || ResponseBuilder::new().call("c1", "count", "{}");
    for protocol in BOTH {
        for cut in [Cut::Fin, Cut::HalfClose, Cut::Rst, Cut::Stream(2), Cut::GoAway(0)] {
            let seen = Gate::new("the call is seen");
            let broken = Reply::sse().events(call().unfinished()).gate(&seen).cut(cut);
            let replies = [broken, Reply::sse().events(call().completed())];
            let (server, client) = protocol.pair(replies).await;
            let mut events = sample(Arc::new(client), Arc::new(request()), None);
            let mut story = Vec::new();
            while let Some(event) = events.next().await {
                match event.unwrap() {
                    SampleEvent::Response(ResponseEvent::ItemDone(_)) => {
                        seen.open();
                        story.push("call");
                    }
                    SampleEvent::Response(ResponseEvent::Completed(_)) => story.push("completed"),
                    SampleEvent::Retrying(retrying) => {
                        assert_eq!(retrying.error.code(), ErrorCode::StreamIncomplete);
                        story.push("void");
                    }
                    _ => {}
                }
            }
            assert_eq!(story, ["call", "void", "call", "completed"], "{protocol:?} {cut:?}");
            assert_eq!(server.requests().len(), 2);
        }
    }
}

/// A client that repeats nothing, of a server that says one thing and stays.
async fn ended_at_once(
    protocol: Protocol,
    reply: Reply,
    set: impl FnOnce(&mut Provider),
) -> longhaul_transport::ModelError {
    let server = protocol.server(reply.keep_open()).await;
    let mut provider = provider(&server.base_url()).with_auth(ApiKey(Secret::new("sk-1")));
    set(&mut provider);
    let ended = sampled(&protocol.client(provider)).await;
    assert_eq!(server.requests().len(), 1, "{protocol:?}");
    let end = server.wait_until_reply_ended(0).await;
    assert!(matches!(end, ReplyOutcome::ClientClosed { .. }), "{protocol:?}: {end:?}");
    ended.error.unwrap()
}

/// The server never ends its stream: what it said is the error, and nothing is waited for.
#[tokio::test]
async fn f040_each_failure_in_the_stream_is_told_at_once_over_the_wire() {
    let table = [
        ("context_length_exceeded", ErrorCode::ContextWindowExceeded, false),
        ("insufficient_quota", ErrorCode::UsageLimitReached, false),
        ("usage_not_included", ErrorCode::UsageNotIncluded, false),
        ("rate_limit_exceeded", ErrorCode::RateLimited, true),
        ("invalid_prompt", ErrorCode::InvalidRequest, false),
        ("unsupported_parameter", ErrorCode::Unsupported, false),
        ("invalid_api_key", ErrorCode::Unauthorized, false),
        ("server_error", ErrorCode::ServerError, true),
        ("something_new", ErrorCode::ResponseFailed, true),
        ("", ErrorCode::ResponseFailed, true),
    ];
    let never = |provider: &mut Provider| provider.retry = RetryPolicy::new(0, 0);
    for protocol in BOTH {
        let cases = table.iter().flat_map(|case| {
            let error = json!({"code": case.0, "message": "first\nsecond"});
            let response = json!({"status": "failed", "error": error});
            let failed = json!({"type": "response.failed", "response": response});
            let reported = json!({"type": "error", "error": error});
            [failed, reported].map(|event| (case, begun().event(&event)))
        });
        let attempts = cases.map(async |(&(name, code, retryable), reply)| {
            let error = ended_at_once(protocol, reply, never).await;
            assert_eq!((error.code(), error.is_retryable()), (code, retryable), "{name}");
            assert_eq!(
                (error.stage(), error.to_string().as_str()),
                (Stage::Stream, "first second")
            );
        });
        futures_util::future::join_all(attempts).await;
    }
}

#[tokio::test]
async fn f041_an_incomplete_response_is_final_over_the_wire() {
    for protocol in BOTH {
        for reason in ["max_output_tokens", "content_filter", "something_new"] {
            let whole = || ResponseBuilder::new().call("c1", "count", "{}");
            let reply = Reply::sse().events(whole().incomplete(reason));
            let error = ended_at_once(protocol, reply, |_| {}).await;
            let seen = (error.code(), error.is_retryable(), error.reason());
            assert_eq!(seen, (ErrorCode::ResponseIncomplete, false, Some(reason)), "{protocol:?}");
        }
    }
}

#[tokio::test]
async fn f049_an_endless_event_ends_at_the_bound_over_the_wire() {
    for protocol in BOTH {
        for piece in ["x", "data: x\n", ": "] {
            let reply = begun().bytes(piece.repeat(50_000));
            let error =
                ended_at_once(protocol, reply, |provider| provider.max_event_bytes = 10_000).await;
            assert_eq!((error.code(), error.is_retryable()), (ErrorCode::Protocol, false));
            assert_eq!(error.to_string(), "an event of the server is larger than 10000 bytes");
        }
    }
}

#[tokio::test]
async fn f050_an_endless_response_ends_at_the_bound_over_the_wire() {
    for protocol in BOTH {
        for piece in [": ping\n\n", "\n", "data: [DONE]\n\n"] {
            let reply = begun().bytes(piece.repeat(50_000 / piece.len()));
            let error =
                ended_at_once(protocol, reply, |provider| provider.max_response_bytes = 10_000)
                    .await;
            assert_eq!((error.code(), error.is_retryable()), (ErrorCode::Protocol, false));
            assert_eq!(error.to_string(), "the server sent a response of more than 10000 bytes");
        }
    }
}

/// A lost event may be a lost letter: the response is broken, though the rest of it comes.
#[tokio::test]
async fn f058_a_broken_event_is_not_skipped_over_the_wire() {
    for protocol in BOTH {
        for broken in ["data: {\n\n", "data: {\"type\":\"response.output_text.delta\"\n\n"] {
            let mut rest = hello().completed();
            let first = rest.remove(0);
            let reply = Reply::sse().event(&first).bytes(broken).events(rest);
            let (server, client) = protocol.pair([reply, Reply::text("hello")]).await;
            let ended = sampled(&client).await;
            assert!(ended.error.is_none(), "{:?}", ended.error);
            let codes: Vec<_> =
                ended.retried.iter().map(longhaul_transport::ModelError::code).collect();
            assert_eq!(codes, [ErrorCode::Protocol], "{protocol:?} {broken:?}");
            server.assert_complete();
        }
        let (server, client) =
            protocol.pair([begun().bytes("data: {\n\n").keep_open(), Reply::text("hello")]).await;
        assert!(super::support::fail(&client).await.is_retryable());
        let end = server.wait_until_reply_ended(0).await;
        assert!(matches!(end, ReplyOutcome::ClientClosed { .. }), "{protocol:?}: {end:?}");
        succeed(&client).await;
    }
}
