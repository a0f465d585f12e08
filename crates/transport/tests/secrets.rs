//! G9 (secrets): a credential goes to the origin that its user configured, and nowhere else: not into errors, not into
//! debug output, not into the traces of any crate in the tree, not after a redirect.
//!
//! One program by itself, because it listens to the traces of the whole process.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

#[path = "secrets/environment.rs"]
mod environment;
#[path = "secrets/login.rs"]
mod login;

use std::fmt::{Debug, Display, Write as _};
use std::io;
use std::sync::{Arc, Mutex, Once};

use futures_util::StreamExt;
use longhaul_history::{History, Item, ReasoningFilter};
use longhaul_testkit::server::{Cut, Reply, Script, Server};
use longhaul_testkit::sse::ResponseBuilder;
use longhaul_testkit::tls::Authority;
use longhaul_transport::auth::ApiKey;
use longhaul_transport::{Model, ModelError, Provider, Request, ResponsesClient, Secret, sample};
use serde_json::json;
use tracing_subscriber::fmt::MakeWriter;

const KEY: &str = "sk-canary-5f1e9c";
const HEADER_SECRET: &str = "hdr-canary-77aa";
const QUERY_SECRET: &str = "qry-canary-31c4";

/// The middle of all, so that a secret that was cut or changed in case is found too.
const TRACE_OF_A_SECRET: &str = "canary";

/// Everything that was traced.
#[derive(Clone, Default)]
struct Traces(Arc<Mutex<Vec<u8>>>);

impl io::Write for Traces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Traces {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// Listens to all crates at their most talkative, from the first call on.
fn traces() -> Traces {
    static TRACES: Mutex<Option<Traces>> = Mutex::new(None);
    static LISTEN: Once = Once::new();
    let traces = TRACES.lock().unwrap().get_or_insert_default().clone();
    LISTEN.call_once(|| {
        tracing_subscriber::fmt()
            .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
            .with_writer(traces.clone())
            .init();
    });
    traces
}

fn provider(server: &Server) -> Provider {
    let mut provider = Provider::named("openai", Some(&server.base_url())).unwrap();
    provider.add_header("x-gateway-key", HEADER_SECRET, true).unwrap();
    provider.query.push(("key".into(), QUERY_SECRET.into()));
    provider.with_auth(ApiKey(Secret::new(KEY)))
}

fn request() -> Request {
    let mut history = History::default();
    history.record(Item::user("hello"));
    Request::new("m", history.prompt(ReasoningFilter::CurrentTurn))
}

/// Everything that can be printed of an error and its causes.
fn printed(error: &ModelError) -> String {
    let mut all = format!("{error} {error:?} {:?} {:?}", error.reason(), error.request_id());
    let mut cause: Option<&dyn std::error::Error> = std::error::Error::source(error);
    while let Some(error) = cause {
        write!(all, " {error} {error:?}").unwrap();
        cause = error.source();
    }
    all
}

/// The printed errors of one sampling, retries included, and its printed events.
async fn said(client: ResponsesClient) -> (String, String) {
    let client: Arc<dyn Model> = Arc::new(client);
    let mut events = sample(client, Arc::new(request()), None);
    let (mut all, mut given) = (String::new(), String::new());
    while let Some(event) = events.next().await {
        match event {
            Ok(longhaul_transport::SampleEvent::Retrying(retrying)) => {
                all += &printed(&retrying.error);
                write!(all, " {retrying:?}").unwrap();
            }
            Ok(event) => write!(given, " {event:?} {event:#?}").unwrap(),
            Err(error) => all += &printed(&error),
        }
    }
    (all, given)
}

fn assert_secret(text: &str, of: &str) {
    let lower = text.to_ascii_lowercase();
    let found = lower.find(TRACE_OF_A_SECRET);
    let around = found.map(|at| {
        String::from_utf8_lossy(&lower.as_bytes()[at.saturating_sub(200)..]).into_owned()
    });
    assert_eq!(around.map(|text| text.chars().take(300).collect::<String>()), None, "{of}");
}

/// Replies that hold both secrets wherever a server can put them, and broken connections.
fn echoing_replies() -> Vec<(&'static str, Reply)> {
    let echo = format!("Incorrect API key provided: {KEY}, {HEADER_SECRET}, {QUERY_SECRET}.");
    let body = json!({"error": {"message": echo, "code": "invalid_api_key"}});
    let failed = || ResponseBuilder::new().text("x").failed("server_error", &echo);
    let incomplete = ResponseBuilder::new().incomplete(&echo);
    vec![
        ("401", Reply::error(401, &body)),
        ("500", Reply::error(500, &body)),
        (
            "a page",
            Reply::sse().status(403).header("content-type", "text/html").bytes(echo.clone()),
        ),
        ("request id", Reply::error(500, &json!({})).header("x-request-id", echo.clone())),
        ("redirect", Reply::error(302, &json!({})).header("location", format!("/{KEY}"))),
        ("not a stream", Reply::json(&body)),
        ("content type", Reply::sse().header("content-type", echo.clone())),
        ("failed", Reply::sse().events(failed())),
        ("incomplete", Reply::sse().events(incomplete)),
        ("not JSON", Reply::sse().bytes(format!("data: {echo}\n\n"))),
        ("reset", Reply::text("x").cut_after(100, Cut::Rst)),
        ("not HTTP", Reply::sse().bytes(echo.clone()).without_head()),
        ("half a head", Reply::sse().bytes(format!("HTTP/1.1 200 OK\r\nx: {KEY}")).without_head()),
        (
            "bad header",
            Reply::sse().bytes(format!("HTTP/1.1 200 OK\r\n{KEY} x: y\r\n\r\n")).without_head(),
        ),
        ("success", Reply::text("hello")),
    ]
}

/// A client that trusts `authority` alone, and speaks HTTP/2 without asking first if told to.
fn client(provider: Provider, over_http2: bool, authority: Option<&Authority>) -> ResponsesClient {
    let provider_of_tls = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    if let Some(authority) = authority {
        roots.add(authority.certificate_der().into()).unwrap();
    }
    let mut tls = rustls::ClientConfig::builder_with_provider(provider_of_tls)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut client = reqwest::Client::builder().no_proxy();
    if over_http2 {
        tls.alpn_protocols = vec![b"h2".to_vec()];
        client = client.http2_prior_knowledge();
    }
    let client = client.tls_backend_preconfigured(tls);
    ResponsesClient::with_client(provider, client.build().unwrap())
}

/// What was traced until now, after making sure that these crates were listened to.
fn traced(of_crates: &[&str]) -> String {
    let traced = String::from_utf8_lossy(&traces().0.lock().unwrap()).into_owned();
    for of_crate in of_crates {
        assert!(traced.contains(of_crate), "nothing of {of_crate} was traced");
    }
    traced
}

/// Real exchanges of all kinds, with the server telling the secrets back; then everything that was said about them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_error_and_no_trace_of_any_crate_holds_a_credential() {
    traces();
    for over_http2 in [false, true] {
        for (what, reply) in echoing_replies() {
            let what = format!("{what}, HTTP/2: {over_http2}");
            let script = Script::new().reply(reply).repeat_last();
            let builder = Server::builder();
            let builder = if over_http2 { builder.http2() } else { builder };
            let server = builder.start(script).await.unwrap();
            let mut provider = provider(&server);
            provider.retry = longhaul_transport::RetryPolicy::new(1, 1);
            let client = if over_http2 {
                client(provider, true, None)
            } else {
                ResponsesClient::new(provider).unwrap()
            };
            let (errors, events) = said(client).await;
            assert_eq!(errors.is_empty(), what.starts_with("success"), "{what}");
            assert_secret(&errors, &what);
            assert_secret(&events, &what);
            let sent = &server.requests()[0];
            assert_eq!(sent.header("authorization"), Some("Bearer sk-canary-5f1e9c"), "{what}");
            assert_eq!(sent.header("x-gateway-key"), Some(HEADER_SECRET), "{what}");
            assert!(sent.target.ends_with("?key=qry-canary-31c4"), "{what}");
        }
    }
    assert_secret(&traced(&["hyper_util::", "reqwest::", "h2::"]), "traces");
}

#[tokio::test]
async fn nothing_that_holds_a_credential_prints_it() {
    fn texts(value: impl Debug) -> String {
        format!("{value:?} {value:#?}")
    }
    fn shown(value: impl Display + Debug) -> String {
        format!("{value} {}", texts(&value))
    }
    let server = Server::start(Script::new()).await.unwrap();
    let provider = provider(&server);
    let bearer = provider
        .auth
        .credential(&provider.base_url)
        .await
        .unwrap()
        .map(|credential| credential.bearer);
    for text in [
        texts(Secret::new(KEY)),
        texts(ApiKey(Secret::new(KEY))),
        texts(bearer),
        texts(&provider),
        texts(provider.clone().headers),
    ] {
        assert!(!text.is_empty());
        assert_secret(&text, "debug output");
    }
    for url in [
        "https://canary:canary@x/v1",
        "https://canary@x/v1",
        "https://x/v1?key=canary",
        "https://x/v1#canary",
    ] {
        assert_secret(&shown(Provider::custom(url).unwrap_err()), url);
    }
    let header = provider.clone().add_header("x", "canary\n", true).unwrap_err();
    assert_secret(&shown(header), "header");
}

/// A redirect is not followed, whoever it leads to, so no second server ever sees the credential or the conversation.
#[tokio::test]
async fn redirects_are_not_followed() {
    for status in [301, 302, 303, 307, 308] {
        let thief = Server::start(Script::new()).await.unwrap();
        for target in [
            format!("{}/responses", thief.base_url()),
            "/v1/elsewhere".into(),
            format!("//{}/x", thief.addr()),
        ] {
            let reply = Reply::error(status, &json!({})).header("location", target.clone());
            let server = Server::start(reply).await.unwrap();
            let client = ResponsesClient::new(provider(&server)).unwrap();
            let error = client.stream(&request()).await.err().unwrap();
            assert_eq!((error.status(), error.is_retryable()), (Some(status), false));
            assert_eq!(server.requests().len(), 1, "{status} to {target}");
            assert!(server.other_requests().is_empty(), "{status} to {target}");
        }
        assert!(thief.requests().is_empty() && thief.other_requests().is_empty(), "{status}");
    }
}

/// Two clients, two servers: each key to its own.
#[tokio::test]
async fn a_credential_goes_to_its_own_origin_alone() {
    let servers = [
        Server::start(Reply::text("a")).await.unwrap(),
        Server::start(Reply::text("b")).await.unwrap(),
    ];
    for (server, key) in servers.iter().zip(["sk-one", "sk-two"]) {
        let provider = Provider::custom(&server.base_url()).unwrap();
        let client = ResponsesClient::new(provider.with_auth(ApiKey(Secret::new(key)))).unwrap();
        drop(client.stream(&request()).await.unwrap());
    }
    let seen = servers.each_ref().map(|server| {
        let requests = server.requests();
        requests
            .iter()
            .map(|request| request.header("authorization").unwrap().to_owned())
            .collect::<Vec<_>>()
    });
    assert_eq!(seen, [["Bearer sk-one"], ["Bearer sk-two"]]);
}
