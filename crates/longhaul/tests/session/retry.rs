//! Failed attempts are repeated by one owner, and every wait is told before it begins.

use std::time::Duration;

use longhaul::prelude::*;
use longhaul::transport::rate_limits::{RateLimitWindow, RateLimits};
use longhaul::transport::{ErrorCode, ModelError, RetryPolicy};
use longhaul_testkit::ScriptedModel;
use longhaul_testkit::server::{Cut, Reply, Server};
use longhaul_testkit::sse::ResponseBuilder;
use serde_json::json;
use tokio::time::Instant;

use super::support::{Probe, conversation, line, lines, over_http, scripted};

fn busy() -> ModelError {
    ModelError::new(ErrorCode::ServerError, "busy")
}

#[tokio::test(start_paused = true)]
async fn each_wait_is_told_before_it_begins_and_the_recovery_after_it() {
    let advised = busy().with_retry_after(Some(Duration::from_secs(7)));
    let model = ScriptedModel::new()
        .fail(busy())
        .fail(advised)
        .break_after(ResponseBuilder::new().text("half"), busy())
        .text("whole");
    let session = scripted(&model).build().unwrap().session().start().await.unwrap();
    let mut turn = session.prompt("go").await.unwrap();
    let (mut told, mut events) = (Vec::new(), Vec::new());
    let mut waiting: Option<(Instant, Duration)> = None;
    while let Some(event) = turn.next().await {
        if let Some((since, delay)) = waiting.take() {
            // Virtual time: nothing passes but the wait itself.
            let over = since.elapsed().checked_sub(delay).unwrap();
            assert!(over < Duration::from_millis(2), "{over:?}");
        }
        if let Event::StreamError { delay, .. } = &event {
            told.push(*delay);
            waiting = Some((Instant::now(), *delay));
        }
        events.push(line(&event));
    }
    assert_eq!(
        events[3..],
        [
            "retry 1/4 server_error",
            "retry 2/4 server_error",
            "recovered 2",
            "item+ agent",
            "text half",
            "retry 1/5 server_error",
            "recovered 1",
            "item+ agent",
            "text whole",
            "item= agent whole",
            "tokens 15",
            "complete whole",
        ]
    );
    let jittered = Duration::from_millis(180)..=Duration::from_millis(220);
    assert!(jittered.contains(&told[0]) && jittered.contains(&told[2]), "{told:?}");
    assert_eq!(told[1], Duration::from_secs(7));
    let result = turn.await.unwrap();
    assert_eq!((result.model_calls, result.attempts), (1, 4));
    assert_eq!(conversation(&session.history()), ["user go", "assistant whole"]);
    model.assert_complete();
}

#[tokio::test(start_paused = true)]
async fn the_budgets_of_a_step_add_up_and_the_next_step_has_its_own() {
    let broken = || (ResponseBuilder::new().text("half"), busy());
    let mut model = ScriptedModel::new().retry_policy(RetryPolicy::new(1, 2));
    for step in 0..2 {
        model = model.fail(busy());
        for _ in 0..2 {
            let (text, error) = broken();
            model = model.break_after(text, error);
        }
        if step == 0 {
            model = model.call("c1", "echo", "{}");
        }
    }
    let (text, error) = broken();
    model = model.break_after(text, error);
    let agent = scripted(&model).tool(Probe::echo("echo")).build().unwrap();
    let session = agent.session().start().await.unwrap();
    let mut turn = session.prompt("go").await.unwrap();
    let events = lines(&mut turn).await;
    let retries: Vec<_> = events.iter().filter(|line| line.starts_with("retry")).collect();
    let step = ["retry 1/1 server_error", "retry 1/2 server_error", "retry 2/2 server_error"];
    assert_eq!(retries, [step, step].concat());
    assert_eq!(events[events.len() - 2..], ["error server_error", "complete -"]);
    assert_eq!(turn.await.unwrap_err().code(), "server_error");
    assert_eq!(model.requests().len(), 8);
    model.assert_complete();
}

#[tokio::test]
async fn a_failure_that_no_retry_cures_is_not_repeated() {
    let model = ScriptedModel::new()
        .fail(ModelError::new(ErrorCode::InvalidRequest, "no"))
        .fail(busy().with_retry_after(Some(Duration::from_secs(61))));
    let session = scripted(&model).build().unwrap().session().start().await.unwrap();
    for code in ["invalid_request", "server_error"] {
        let mut turn = session.prompt("go").await.unwrap();
        let events = lines(&mut turn).await;
        assert_eq!(events[3..], [format!("error {code}"), "complete -".into()]);
        assert!(turn.await.is_err());
    }
    model.assert_complete();
}

#[tokio::test(start_paused = true)]
async fn an_interrupt_ends_a_wait_at_once() {
    let advised = busy().with_retry_after(Some(Duration::from_secs(60)));
    let model = ScriptedModel::new().fail(advised).text("again");
    let session = scripted(&model).build().unwrap().session().start().await.unwrap();
    let mut turn = session.prompt("go").await.unwrap();
    let begun = Instant::now();
    while let Some(event) = turn.next().await {
        if matches!(event, Event::StreamError { .. }) {
            assert!(session.interrupt());
        }
    }
    let result = turn.await.unwrap();
    assert_eq!((result.is_interrupted(), result.model_calls), (true, 1));
    assert_eq!(begun.elapsed(), Duration::ZERO);
    session.prompt("more").await.unwrap().await.unwrap();
    model.assert_complete();
}

#[tokio::test]
async fn over_http_a_broken_turn_comes_to_its_answer_and_sends_the_same_bytes() {
    let fast = |reply: Reply| reply.header("retry-after-ms", "1");
    let half = Reply::sse().events(ResponseBuilder::new().text("one two").unfinished());
    let server = Server::start([
        fast(Reply::error(500, &json!({"error": {"message": "sorry"}}))),
        Reply::sse().without_head().cut(Cut::Fin),
        half.cut(Cut::Rst),
        Reply::text("one two three"),
    ])
    .await
    .unwrap();
    let session = over_http(&server).build().unwrap().session().start().await.unwrap();
    let mut turn = session.prompt("go").await.unwrap();
    let mut events = lines(&mut turn).await;
    // How much of a response arrives before a reset is the network's affair.
    events.retain(|line| !line.starts_with("text") && !line.starts_with("item"));
    assert_eq!(
        events,
        [
            "started",
            "retry 1/4 server_error",
            "retry 2/4 connection_failed",
            "recovered 2",
            "retry 1/5 stream_incomplete",
            "recovered 1",
            "tokens 15",
            "complete one two three",
        ]
    );
    let result = turn.await.unwrap();
    assert_eq!((result.model_calls, result.attempts), (1, 4));
    let requests = server.requests();
    assert!(requests.iter().all(|request| request.body == requests[0].body));
    server.assert_complete();
}

/// Limits that come with a refusal are known while it is repeated.
#[tokio::test(start_paused = true)]
async fn limits_of_a_repeated_refusal_are_told() {
    let window = RateLimitWindow { used_percent: 99.0, window_minutes: Some(60), resets_at: None };
    let limits = RateLimits { primary: Some(window), secondary: None };
    let refused =
        ModelError::new(ErrorCode::RateLimited, "slow down").with_rate_limits(Some(limits));
    let model = ScriptedModel::new().fail(refused).text("fine");
    let session = scripted(&model).build().unwrap().session().start().await.unwrap();
    let mut turn = session.prompt("hello").await.unwrap();
    let mut before_the_retry = None;
    while let Some(event) = turn.next().await {
        match event {
            Event::TokenCount { rate_limits, .. } => before_the_retry = rate_limits,
            Event::StreamError { .. } => break,
            _ => {}
        }
    }
    assert_eq!(before_the_retry, Some(limits));
}
