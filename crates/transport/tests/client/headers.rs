//! What goes over the wire besides the conversation: address, headers, credential.

use std::collections::BTreeMap;
use std::sync::Arc;

use longhaul_testkit::exchange::{Course, SentRequest};
use longhaul_transport::auth::ApiKey;
use longhaul_transport::{ErrorCode, Model, Provider, Request, Secret, TaskKind, encode};

use super::support::{HELLO, client, failure, keyed, request};

async fn sent(provider: Provider, request: &Request) -> SentRequest {
    let (client, exchange) = client(provider.clone(), [Course::sse(HELLO)]);
    drop(client.stream(request).await.unwrap());
    let sent = exchange.requests().remove(0);
    assert_eq!(sent.body, encode(request, &provider).unwrap());
    assert_eq!(sent.body, client.encode(request).unwrap());
    sent
}

fn headers(sent: &SentRequest) -> BTreeMap<&str, &str> {
    let pairs = sent.headers.iter();
    pairs.map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect()
}

const USER_AGENT: &str = concat!("longhaul/", env!("CARGO_PKG_VERSION"));

const PLAIN: [(&str, &str); 3] = [
    ("accept", "text/event-stream"),
    ("content-type", "application/json"),
    ("user-agent", USER_AGENT),
];

/// The headers of OpenAI's own clients.
const VENDOR: [(&str, &str); 3] = [
    ("openai-beta", "responses=experimental"),
    ("originator", "longhaul"),
    ("version", env!("CARGO_PKG_VERSION")),
];

const SESSION: [(&str, &str); 2] = [("conversation_id", "s-1"), ("session_id", "s-1")];

/// Every header of every profile, by what is set.
#[tokio::test]
async fn each_header_is_sent_where_it_belongs() {
    let azure = "https://x.openai.azure.com/openai/v1";
    let profiles = [
        ("openai", None, "https://api.openai.com/v1/responses"),
        ("openai", Some("https://example.com/v1"), "https://example.com/v1/responses"),
        ("chatgpt", None, "https://chatgpt.com/backend-api/codex/responses"),
        ("azure", Some(azure), "https://x.openai.azure.com/openai/v1/responses"),
        ("mine", Some("https://example.com/v1/"), "https://example.com/v1/responses"),
    ];
    let kinds = [
        (TaskKind::Standard, "standard"),
        (TaskKind::Review, "review"),
        (TaskKind::Compact, "compact"),
    ];
    for (name, url, target) in profiles {
        let is_vendor = matches!(name, "openai" | "chatgpt");
        for (task_kind, kind) in kinds {
            for (has_session, has_key) in
                [(false, false), (false, true), (true, false), (true, true)]
            {
                let mut provider = Provider::named(name, url).unwrap();
                let mut request = request();
                request.task_kind = task_kind;
                let mut expected = BTreeMap::from(PLAIN);
                if is_vendor {
                    expected.extend(VENDOR);
                    expected.insert("codex-task-type", kind);
                }
                if has_session {
                    request.session_id = "s-1".into();
                    expected.extend(SESSION.into_iter().filter(|_| is_vendor));
                }
                if has_key {
                    provider = provider.with_auth(ApiKey(Secret::new("sk-1")));
                    expected.insert("authorization", "Bearer sk-1");
                }
                let sent = sent(provider, &request).await;
                assert_eq!(headers(&sent), expected, "{name} {kind}");
                assert_eq!(sent.url, target);
                let key = has_session.then_some("s-1");
                assert_eq!(sent.json()["prompt_cache_key"].as_str(), key);
                assert_eq!(sent.json()["store"], name == "azure");
            }
        }
    }
}

#[tokio::test]
async fn own_headers_are_sent_and_cannot_break_the_protocol() {
    let mut provider = Provider::named("openai", None).unwrap();
    for (name, value) in
        [("originator", "me"), ("user-agent", "mine/1"), ("accept", "text/html"), ("x-team", "t")]
    {
        provider.add_header(name, value, false).unwrap();
    }
    let sent = sent(provider, &request()).await;
    let headers = headers(&sent);
    let seen = ["originator", "user-agent", "accept", "x-team"].map(|name| headers[name]);
    assert_eq!(seen, ["me", "mine/1", "text/event-stream", "t"]);
}

#[tokio::test]
async fn the_query_is_escaped() {
    let mut provider = Provider::custom("https://example.com/openai").unwrap();
    provider.query =
        vec![("api-version".into(), "2025-04-01 &=#é".into()), ("a/b".into(), String::new())];
    let url =
        "https://example.com/openai/responses?api-version=2025-04-01%20%26%3D%23%C3%A9&a%2Fb=";
    assert_eq!(sent(provider, &request()).await.url, url);
}

#[tokio::test]
async fn the_credential_is_a_sensitive_bearer_header() {
    let keyed = sent(keyed(" sk-1\n"), &request()).await;
    assert_eq!(headers(&keyed)["authorization"], "Bearer sk-1");
    assert!(keyed.headers["authorization"].is_sensitive());
    for provider in [Provider::neutral(), super::support::keyed("")] {
        assert!(!headers(&sent(provider, &request()).await).contains_key("authorization"));
    }
    let mut own = request();
    own.auth = Some(Arc::new(ApiKey(Secret::new("sk-2"))));
    let own = sent(super::support::keyed("sk-1"), &own).await;
    assert_eq!(headers(&own)["authorization"], "Bearer sk-2");
}

#[tokio::test]
async fn a_credential_that_cannot_be_sent_ends_the_attempt_before_it_begins() {
    let (client, exchange) = client(keyed("sk\nx"), []);
    let error = client.stream(&request()).await.err().unwrap();
    assert_eq!((error.code(), error.is_retryable()), (ErrorCode::Unauthorized, false));
    assert_eq!(exchange.requests().len(), 0);
}

/// Over plain http a secret goes to this machine only, unless the provider says otherwise; what is
/// no secret goes anywhere.
#[tokio::test]
async fn a_secret_is_not_sent_in_the_clear_to_another_machine() {
    type Set = fn(&mut Provider);
    let none: Set = |_| {};
    let key: Set = |provider| *provider = provider.clone().with_auth(ApiKey(Secret::new("sk-1")));
    let header: Set = |provider| provider.add_header("x-api-key", "v", true).unwrap();
    let plain: Set = |provider| provider.add_header("x-team", "t", false).unwrap();
    let allowed: Set = |provider| {
        *provider = provider.clone().with_auth(ApiKey(Secret::new("sk-1")));
        provider.allow_plain_http = true;
    };
    let here = [
        "http://localhost:1/v1",
        "http://LocalHost./v1",
        "http://api.localhost/v1",
        "http://127.0.0.1:8080/v1",
        "http://127.9.9.9/v1",
        "http://[::1]/v1",
        "http://[::ffff:127.0.0.1]/v1",
        "https://example.com/v1",
    ];
    let elsewhere = [
        "http://example.com/v1",
        "http://localhost.example.com/v1",
        "http://notlocalhost/v1",
        "http://127.0.0.1.example.com/v1",
        "http://10.0.0.1/v1",
        "http://128.0.0.1/v1",
        "http://0.0.0.0/v1",
        "http://[::2]/v1",
    ];
    for (url, is_here) in
        here.map(|url| (url, true)).into_iter().chain(elsewhere.map(|url| (url, false)))
    {
        for (set, is_secret) in
            [(none, false), (plain, false), (allowed, false), (key, true), (header, true)]
        {
            let mut provider = Provider::custom(url).unwrap();
            set(&mut provider);
            let (client, exchange) = client(provider, [Course::sse(HELLO)]);
            let refused = client.stream(&request()).await.err();
            assert_eq!(exchange.requests().len(), usize::from(refused.is_none()));
            assert_eq!(refused.is_some(), is_secret && !is_here, "{url}");
            if let Some(error) = refused {
                assert_eq!((error.code(), error.is_retryable()), (ErrorCode::Unauthorized, false));
                assert!(!error.may_have_been_processed());
                assert!(error.to_string().contains("plain http"), "{error}");
            }
        }
    }
}

/// G9 (secrets): what a server echoes is redacted, whole or cut, wherever an error holds it.
#[tokio::test]
async fn an_echoed_credential_is_redacted() {
    let key = "sk-canary-0123456789";
    let mut provider = keyed(key);
    provider.add_header("x-api-key", "hdr-canary-987", true).unwrap();
    for padding in 980..1030 {
        let message = format!("{} {key} and hdr-canary-987", "x".repeat(padding));
        let body = format!(r#"{{"error":{{"message":"{message}"}}}}"#);
        let event = format!("data: {{\"type\":\"error\",\"message\":\"{message}\"}}\n\n");
        let reason = format!(
            "data: {{\"type\":\"response.incomplete\",\"response\":{{\"incomplete_details\":{{\"reason\":\"{message}\"}}}}}}\n\n"
        );
        for course in [
            Course::json(401, body.clone()),
            Course::json(200, body),
            Course::new().head(500).body(message.clone()),
            Course::new().head(302).header("location", &message),
            Course::new().head(500).header("x-request-id", &message),
            Course::sse(event),
            Course::sse(reason),
        ] {
            let error = failure(provider.clone(), course).await;
            let shown = format!("{error} {error:?} {:?} {:?}", error.reason(), error.request_id());
            assert!(!shown.contains("sk-can") && !shown.contains("hdr-can"), "{shown}");
            assert!(padding > 1000 || shown.contains("[redacted]"), "{shown}");
        }
    }
}
