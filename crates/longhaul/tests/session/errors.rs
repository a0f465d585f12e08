//! A turn that ends with an error is never `Ok`, and the error says all that is known.

use std::error::Error;
use std::time::{Duration, SystemTime};

use longhaul::compaction::Compaction;
use longhaul::prelude::*;
use longhaul::state::protocol::SettingsUpdate;
use longhaul::transport::RetryPolicy;
use longhaul_testkit::ScriptedModel;
use longhaul_testkit::server::{Cut, Reply, Script, Server};
use longhaul_testkit::sse::ResponseBuilder;
use serde_json::{Value, json};

use super::support::{conversation, lines, provider, scripted};

fn refusal(status: u16, kind: &str, code: &str, message: &str) -> Reply {
    let error = json!({"type": kind, "code": code, "message": message});
    Reply::error(status, &json!({"error": error})).header("x-request-id", "req_7")
}

/// What is known of an error: code, retryable, reason.
fn facts(error: &TurnError) -> (&'static str, bool, Option<String>) {
    (error.code(), error.is_retryable(), error.reason().map(str::to_owned))
}

/// Code, whether it may pass, and why the response ended early.
type Facts = (&'static str, bool, Option<&'static str>);

async fn session_without_retries(server: &Server) -> Session {
    let mut provider = provider(server);
    provider.retry = RetryPolicy::new(0, 0);
    let agent = longhaul::Agent::builder("test-model", provider);
    let agent = agent.compaction(Compaction::Off).build().unwrap();
    agent.session().start().await.unwrap()
}

#[tokio::test]
async fn every_failure_has_its_code_and_the_session_lives() {
    let text = || ResponseBuilder::new().text("x");
    let table: Vec<(Reply, Facts)> = vec![
        (refusal(400, "invalid_request_error", "bad", "no"), ("invalid_request", false, None)),
        (
            refusal(400, "invalid_request_error", "context_length_exceeded", "too long"),
            ("context_window_exceeded", false, None),
        ),
        (refusal(401, "authentication_error", "x", "no"), ("unauthorized", false, None)),
        (refusal(403, "x", "usage_not_included", "no"), ("usage_not_included", false, None)),
        (refusal(429, "x", "usage_limit_reached", "no"), ("usage_limit_reached", false, None)),
        (refusal(429, "x", "rate_limit_exceeded", "slow"), ("rate_limited", true, None)),
        (refusal(500, "server_error", "x", "sorry"), ("server_error", true, None)),
        (refusal(503, "x", "x", "busy"), ("server_error", true, None)),
        (Reply::sse().events(text().failed("server_error", "sorry")), ("server_error", true, None)),
        (
            Reply::sse().events(text().failed("context_length_exceeded", "long")),
            ("context_window_exceeded", false, None),
        ),
        (
            Reply::sse().events(text().incomplete("max_output_tokens")),
            ("response_incomplete", false, Some("max_output_tokens")),
        ),
        (Reply::sse().events(text().unfinished()), ("stream_incomplete", true, None)),
        (Reply::sse().events(text().unfinished()).cut(Cut::Rst), ("stream_incomplete", true, None)),
        (Reply::sse().bytes("data: {nonsense\n\n"), ("protocol", true, None)),
        (Reply::json(&Value::Null), ("protocol", false, None)),
        (Reply::sse().without_head().cut(Cut::Fin), ("connection_failed", true, None)),
    ];
    let replies = table.iter().map(|(reply, _)| reply.clone());
    let script: Script = replies.chain([Reply::text("fine")]).collect();
    let server = Server::start(script).await.unwrap();
    let session = session_without_retries(&server).await;
    for (number, (_, (code, retryable, reason))) in table.iter().enumerate() {
        let mut turn = session.prompt(format!("{number}")).await.unwrap();
        let events = lines(&mut turn).await;
        let end = [format!("error {code}"), "complete -".into()];
        assert_eq!(events[events.len() - 2..], end, "{number}");
        assert!(!events.iter().any(|event| event.starts_with("retry")), "{number}");
        let error = turn.await.unwrap_err();
        assert_eq!(facts(&error), (*code, *retryable, reason.map(Into::into)), "{number} {error}");
        assert!(error.session_can_go_on());
        assert!(!error.to_string().is_empty());
    }
    session.prompt("last").await.unwrap().await.unwrap();
    // Nothing of a response that failed is in the conversation.
    let said = conversation(&session.history());
    assert_eq!(said.len(), table.len() + 2);
    assert_eq!(said.last().unwrap(), "assistant fine");
    server.assert_complete();
}

#[tokio::test]
async fn an_error_tells_its_request_when_to_try_again_and_what_caused_it() {
    let soon = refusal(429, "x", "rate_limit_exceeded", "slow down").header("retry-after", "3600");
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(4_000_000_000);
    let reset = json!({"error": {"type": "usage_limit_reached", "message": "used up",
        "resets_at": 4_000_000_000_u64}});
    let dead = Reply::sse().events(ResponseBuilder::new().text("x").unfinished()).cut(Cut::Rst);
    let server =
        Server::start([soon, Reply::error(429, &reset), dead.header("x-request-id", "req_8")])
            .await
            .unwrap();
    let session = session_without_retries(&server).await;

    let before = SystemTime::now();
    let error = session.prompt("a").await.unwrap().await.unwrap_err();
    assert_eq!(error.request_id(), Some("req_7"));
    assert_eq!(error.to_string(), "slow down (HTTP 429)");
    let retry_at = error.retry_at().unwrap();
    let hour = Duration::from_secs(3600);
    assert!(before + hour <= retry_at && retry_at <= SystemTime::now() + hour);

    let error = session.prompt("b").await.unwrap().await.unwrap_err();
    assert_eq!((error.code(), error.retry_at()), ("usage_limit_reached", Some(at)));
    assert_eq!(error.request_id(), None);

    let error = session.prompt("c").await.unwrap().await.unwrap_err();
    assert_eq!((error.code(), error.request_id()), ("stream_incomplete", Some("req_8")));
    assert!(error.source().is_some(), "what broke the connection");
    let errors: [&dyn Error; 1] = [&error];
    assert!(errors[0].downcast_ref::<TurnError>().is_some());
}

#[tokio::test]
async fn no_server_is_an_error_with_its_cause() {
    let server = Server::start(Script::new()).await.unwrap();
    let session = session_without_retries(&server).await;
    server.shutdown().await;
    let error = session.prompt("a").await.unwrap().await.unwrap_err();
    assert_eq!((error.code(), error.is_retryable()), ("connection_failed", true));
    let mut causes =
        std::iter::successors(error.source(), |cause: &&(dyn Error + 'static)| (*cause).source());
    assert!(causes.any(|cause| cause.downcast_ref::<std::io::Error>().is_some()), "{error:?}");
}

#[tokio::test]
async fn a_credential_shows_in_no_error() {
    let echo = |request: &longhaul_testkit::server::RecordedRequest| {
        let key = request.header("authorization").unwrap_or_default().to_owned();
        Reply::error(401, &json!({"error": {"message": format!("bad key: {key}")}}))
    };
    let server = Server::start(Script::new().reply_with(echo)).await.unwrap();
    let provider =
        provider(&server).with_auth(longhaul::transport::auth::ApiKey(Secret::new("sk-canary")));
    let agent = longhaul::Agent::builder("test-model", provider);
    let agent = agent.compaction(Compaction::Off).build().unwrap();
    let session = agent.session().start().await.unwrap();
    let error = session.prompt("a").await.unwrap().await.unwrap_err();
    assert_eq!(error.code(), "unauthorized");
    assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
    server.assert_complete();
}

/// Neither a log nor the model could be told of it.
#[cfg(unix)]
#[tokio::test]
async fn a_folder_that_is_not_utf8_is_refused_where_it_is_given() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let cwd = std::path::PathBuf::from(OsStr::from_bytes(b"/w\xff"));
    let mut change = SettingsUpdate::default();
    change.cwd = Some(cwd.clone());
    let agent = scripted(&ScriptedModel::new()).build().unwrap();
    let session = agent.session().start().await.unwrap();
    let error = session.configure(change.clone()).await.unwrap_err();
    assert_eq!(error.code(), "invalid_submission");
    assert!(error.to_string().contains("`cwd` is not UTF-8"), "{error}");
    let input = Input::from("go").settings(change.clone());
    assert_eq!(session.prompt(input).await.unwrap_err().code(), "invalid_submission");
    let error = agent.session().settings(change).start().await.unwrap_err();
    assert_eq!(error.to_string(), "`cwd` is not UTF-8: `/w\u{fffd}`; give a folder that is");
    let built = scripted(&ScriptedModel::new()).cwd(cwd).build();
    assert!(matches!(built.map(drop), Err(longhaul::BuildError::CwdNotUtf8(_))));
}
