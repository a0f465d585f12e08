//! How often a turn waits for the disk.

use std::sync::Arc;

use longhaul_testkit::ScriptedModel;
use longhaul_testkit::model::Answer;
use longhaul_testkit::sse::ResponseBuilder;
use longhaul_transport::rate_limits::RateLimitWindow;
use longhaul_transport::{RateLimits, ResponseEvent};

use super::full::Full;
use super::support::{Probe, Yielding};

/// A response whose headers tell limits; others run while it is on its way.
fn with_limits(percent: f64, response: ResponseBuilder) -> Answer {
    let window = RateLimitWindow { used_percent: percent, window_minutes: None, resets_at: None };
    let limits = RateLimits { primary: Some(window), ..RateLimits::default() };
    Answer::from(vec![ResponseEvent::RateLimits(limits)]).then(response)
}

/// What a turn of such responses appends, each with a sync of its own.
async fn appends(responses: Vec<ResponseBuilder>, has_limits: bool) -> Vec<Vec<String>> {
    let mut model = ScriptedModel::new();
    for (percent, response) in (0..).map(f64::from).zip(responses) {
        let answer =
            if has_limits { with_limits(percent, response) } else { Answer::from(response) };
        model = model.respond(answer);
    }
    let store = Full::default();
    let agent = longhaul::Agent::builder("test-model", Arc::new(Yielding(model)));
    let agent = agent.tool(Probe::echo("look")).store(store.clone()).build().unwrap();
    let session = agent.session().start().await.unwrap();
    store.appends.lock().unwrap().clear();
    session.prompt("go").await.unwrap().await.unwrap();
    let appends = store.appends.lock().unwrap().clone();
    session.shutdown().await.unwrap();
    assert_eq!(*store.appends.lock().unwrap(), appends, "all is kept when the turn has ended");
    appends
}

fn text() -> ResponseBuilder {
    ResponseBuilder::new().text("done")
}

fn call() -> ResponseBuilder {
    ResponseBuilder::new().call("c1", "look", "{}")
}

#[tokio::test]
async fn an_answer_costs_two_syncs_and_a_tool_two_more_whatever_limits_the_server_tells() {
    let begins = vec!["turn_context", "response_item"];
    let ends = vec!["response_item", "call", "event_msg", "event_msg"];
    let starts = vec!["response_item", "call", "event_msg", "call"];
    let answered = vec!["response_item", "call"];
    for has_limits in [false, true] {
        assert_eq!(appends(vec![text()], has_limits).await, [begins.clone(), ends.clone()]);
        assert_eq!(
            appends(vec![call(), text()], has_limits).await,
            [begins.clone(), starts.clone(), answered.clone(), ends.clone()]
        );
    }
}
