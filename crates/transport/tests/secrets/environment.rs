//! Headers whose values are in the environment. A process cannot change its own safely, so this one is started again.

use std::env;
use std::process::Command;

use longhaul_testkit::patience;
use longhaul_testkit::server::{Reply, Script, Server};
use longhaul_transport::{Provider, ResponsesClient, RetryPolicy};
use serde_json::json;

use crate::{assert_secret, said, traced, traces};

const VARIABLE: &str = "LONGHAUL_TEST_HEADER";
const OF_VARIABLE: &str = "env-canary-42d0";
const OF_PROFILE: &str = "org-canary-b6f3";

/// The test by its full name.
const NAME: &str = "environment::no_error_event_or_trace_holds_a_header_of_the_environment";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_error_event_or_trace_holds_a_header_of_the_environment() {
    if env::var_os(VARIABLE).is_some() {
        return exchange_stays_secret().await;
    }
    let mut again = Command::new(env::current_exe().unwrap());
    again
        .args([NAME, "--exact", "--nocapture"])
        .env(VARIABLE, OF_VARIABLE)
        .env("OPENAI_ORGANIZATION", OF_PROFILE);
    let again = patience::output(&mut again).unwrap();
    let said = String::from_utf8_lossy(&again.stdout).into_owned();
    assert!(again.status.success() && said.contains("1 passed"), "{again:?}");
    assert_secret(&said, "standard output");
    assert_secret(&String::from_utf8_lossy(&again.stderr), "standard error");
}

async fn exchange_stays_secret() {
    traces();
    let echo = format!("{OF_VARIABLE} {OF_PROFILE}");
    let refused = Reply::error(500, &json!({"error": {"message": echo}}));
    let script = Script::new().reply(refused).reply(Reply::text("hello"));
    let server = Server::start(script).await.unwrap();
    let mut provider = Provider::named("openai", Some(&server.base_url())).unwrap();
    provider.add_env_header("x-from-environment", VARIABLE).unwrap();
    provider.add_profile_env_headers().unwrap();
    provider.retry = RetryPolicy::new(1, 1);
    assert_secret(&format!("{provider:?} {:?}", provider.headers), "debug output");
    let (errors, events) = said(ResponsesClient::new(provider).unwrap()).await;
    assert!(errors.contains("500") && events.contains("Completed"), "{errors} {events}");
    assert_secret(&errors, "errors");
    assert_secret(&events, "events");
    for request in server.requests() {
        assert_eq!(request.header("x-from-environment"), Some(OF_VARIABLE));
        assert_eq!(request.header("openai-organization"), Some(OF_PROFILE));
    }
    assert_secret(&traced(&["hyper_util::", "reqwest::"]), "traces");
}
