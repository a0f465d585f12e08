//! What servers say when they refuse, over the wire: how many requests it costs, and what is told of it. Every form
//! of each refusal is held without a network in `client/refusals`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use longhaul_testkit::server::{Reply, Script, Server};
use longhaul_transport::auth::{Auth, Credential};
use longhaul_transport::{ErrorCode, ModelError, Secret};
use serde_json::{Value, json};
use url::Url;

use super::support::{BOTH, Protocol, Sampled, hello, provider, sampled};

/// As often as `support::provider` repeats.
const RETRIES: usize = 2;

/// A refusal that asks for the shortest wait.
fn refusal(status: u16, error: &Value) -> Reply {
    Reply::error(status, &json!({ "error": error })).header("retry-after-ms", "1")
}

/// A failure in a response, as the `failed` event and as the `error` event, at once and after an item.
fn in_stream(error: &Value) -> Vec<Reply> {
    let failed =
        json!({"type": "response.failed", "response": {"status": "failed", "error": error}});
    let reported = json!({"type": "error", "error": error});
    let replies = [failed, reported].into_iter().flat_map(|event| {
        [Reply::sse(), Reply::sse().events(hello().unfinished())].map(|reply| reply.event(&event))
    });
    replies.collect()
}

/// What came of it, and how many requests it took.
async fn run(protocol: Protocol, replies: impl Into<Script>) -> (Sampled, Server) {
    let (server, client) = protocol.pair(replies).await;
    (sampled(&client).await, server)
}

/// The error that one request brings, though the next one would succeed.
async fn refused_once(protocol: Protocol, reply: Reply) -> ModelError {
    let what = format!("{protocol:?} {reply:?}");
    let (ended, server) = run(protocol, [reply, Reply::text("hello")]).await;
    assert_eq!((ended.retried.len(), server.requests().len()), (0, 1), "{what}");
    let error = ended.error.unwrap();
    assert_eq!((error.is_retryable(), error.attempts()), (false, 1), "{what}");
    error
}

#[tokio::test]
async fn f030_a_used_up_quota_costs_one_request_over_the_wire() {
    let quotas = [
        json!({"code": "insufficient_quota", "message": "used up"}),
        json!({"type": "usage_limit_reached", "message": "used up", "plan_type": "plus"}),
    ];
    for protocol in BOTH {
        for quota in &quotas {
            for reply in in_stream(quota).into_iter().chain([refusal(429, quota)]) {
                let error = refused_once(protocol, reply).await;
                assert_eq!(error.code(), ErrorCode::UsageLimitReached, "{protocol:?}");
            }
        }
    }
}

#[tokio::test]
async fn f031_after_k_failures_there_are_k_plus_1_requests_over_the_wire() {
    for protocol in BOTH {
        for status in [500, 502, 503, 529] {
            for k in 0..=RETRIES + 1 {
                let failing = refusal(status, &json!({"message": "down"}));
                let failing = failing.header("x-request-id", "req_1");
                let script = Script::new().repeat(k, failing).reply(Reply::text("hello"));
                let (ended, server) = run(protocol, script).await;
                let retries = k.min(RETRIES);
                let seen = (ended.retried.len(), server.requests().len());
                assert_eq!(seen, (retries, retries + 1), "{protocol:?} {status} {k}");
                assert_eq!(ended.error.is_some(), k > RETRIES);
                for error in ended.retried.iter().chain(&ended.error) {
                    let seen = (error.status(), error.request_id());
                    assert_eq!(seen, (Some(status), Some("req_1")));
                }
            }
        }
    }
}

#[tokio::test]
async fn f033_what_the_server_says_of_a_repetition_counts_over_the_wire() {
    let all = RETRIES + 1;
    let table = [
        (400, "true", all),
        (400, "false", 1),
        (400, "yes", 1),
        (503, "true", all),
        (503, "false", 1),
        (503, "yes", all),
    ];
    for protocol in BOTH {
        for (status, word, requests) in table {
            let reply = refusal(status, &json!({"message": "m"})).header("x-should-retry", word);
            let (ended, server) = run(protocol, Script::new().repeat(all + 2, reply)).await;
            assert_eq!(ended.error.unwrap().status(), Some(status));
            assert_eq!(server.requests().len(), requests, "{protocol:?} {status} {word}");
        }
        let refused = refusal(400, &json!({"message": "m"})).header("x-should-retry", "true");
        let (ended, server) = run(protocol, [refused, Reply::text("hello")]).await;
        assert!(ended.error.is_none());
        server.assert_complete();
    }
}

#[tokio::test]
async fn f035_a_poisoned_item_costs_one_request_and_the_client_goes_on() {
    let error = json!({"type": "invalid_request_error", "code": "invalid_value",
        "message": "Invalid value.", "param": "input[3].content"});
    for protocol in BOTH {
        let script = Script::new().repeat(3, refusal(400, &error)).reply(Reply::text("hello"));
        let (server, client) = protocol.pair(script).await;
        for times in 1..=3 {
            let ended = sampled(&client).await;
            let error = ended.error.unwrap();
            assert_eq!((error.code(), ended.retried.len()), (ErrorCode::InvalidRequest, 0));
            assert!(error.to_string().contains("input[3].content"), "{error}");
            assert_eq!(server.requests().len(), times);
        }
        assert!(sampled(&client).await.error.is_none());
        server.assert_complete();
    }
}

/// Each refresh gives another token.
#[derive(Clone, Default)]
struct Renewing(Arc<AtomicU64>);

#[async_trait]
impl Auth for Renewing {
    async fn credential(&self, _: &Url) -> Result<Option<Credential>, ModelError> {
        let generation = self.0.load(Ordering::Relaxed);
        let mut credential = Credential::new(Secret::new(format!("token-{generation}")));
        credential.generation = generation;
        Ok(Some(credential))
    }

    async fn refresh(&self, generation: u64) -> Result<bool, ModelError> {
        self.0.store(generation + 1, Ordering::Relaxed);
        Ok(true)
    }
}

#[tokio::test]
async fn f036_a_401_is_answered_with_another_token_once_over_the_wire() {
    let table: [(&[u16], &[&str], Option<u16>); 3] = [
        (&[401], &["Bearer token-0", "Bearer token-1"], None),
        (&[401, 401, 401], &["Bearer token-0", "Bearer token-1"], Some(401)),
        (&[403], &["Bearer token-0"], Some(403)),
    ];
    for protocol in BOTH {
        for (statuses, bearers, last) in table {
            let refused = statuses.iter().map(|status| refusal(*status, &json!({"message": "m"})));
            let replies = refused.chain([Reply::text("hello")]);
            let server = protocol.server(replies.collect::<Script>()).await;
            let auth = Renewing::default();
            let client = protocol.client(provider(&server.base_url()).with_auth(auth.clone()));
            let ended = sampled(&client).await;
            assert!(ended.retried.is_empty(), "a refresh is no retry");
            let code = ended.error.as_ref().map(ModelError::code);
            assert_eq!(code, last.map(|_| ErrorCode::Unauthorized), "{protocol:?} {statuses:?}");
            assert_eq!(ended.error.and_then(|error| error.status()), last);
            let requests = server.requests();
            let sent: Vec<_> =
                requests.iter().filter_map(|request| request.header("authorization")).collect();
            assert_eq!(sent, bearers, "{protocol:?} {statuses:?}");
            assert_eq!(auth.0.load(Ordering::Relaxed), bearers.len() as u64 - 1);
        }
    }
}

#[tokio::test]
async fn f037_a_missing_earlier_response_costs_one_request_over_the_wire() {
    let error = json!({"type": "invalid_request_error", "code": "previous_response_not_found",
        "message": "Previous response with id 'r' not found.", "param": "previous_response_id"});
    for protocol in BOTH {
        let refusals = [400, 404].map(|status| refusal(status, &error));
        for reply in in_stream(&error).into_iter().chain(refusals) {
            let error = refused_once(protocol, reply).await;
            assert_eq!(error.code(), ErrorCode::InvalidRequest, "{protocol:?}");
        }
    }
}

#[tokio::test]
async fn f038_an_overflow_costs_one_request_over_the_wire() {
    let error = json!({"code": "context_length_exceeded", "message": "too long"});
    for protocol in BOTH {
        let refusals = [400, 413].map(|status| refusal(status, &error));
        for reply in in_stream(&error).into_iter().chain(refusals) {
            let error = refused_once(protocol, reply).await;
            assert_eq!(error.code(), ErrorCode::ContextWindowExceeded, "{protocol:?}");
        }
    }
}
