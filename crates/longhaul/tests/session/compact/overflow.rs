//! A server finds a request too long: the conversation is compacted, once, and the step is repeated.

use std::sync::Arc;

use longhaul::compaction::{Budget, Config, Progress, Step, Strategy, View};
use longhaul::history::Part;
use longhaul::prelude::*;
use longhaul::state::protocol::TurnError;
use longhaul::transport::{ErrorCode, ModelError};
use longhaul_testkit::ScriptedModel;
use longhaul_testkit::server::{Reply, Server};
use longhaul_testkit::sse::ResponseBuilder;
use serde_json::json;

use super::support::{bridge, end, kinds, open, prompt, say, sent, told, too_long, words};
use crate::support::{Probe, WINDOW, conversation, line, lines, scripted};

#[tokio::test]
async fn the_step_is_repeated_over_less() {
    let model = ScriptedModel::new()
        .text(words(400))
        .text("two")
        .fail(too_long())
        .text("SUMMARY")
        .text("three");
    let session = open(scripted(&model)).await;
    say(&session, "first").await;
    say(&session, "second").await;
    let (events, result) = end(session.prompt("third").await.unwrap()).await;
    let trimmed = "background Trimmed 2 older conversation item(s) before compacting so that the \
        request fits the context window";
    assert_eq!(
        events,
        [
            "started",
            "item+ user",
            "item= user third",
            "compacting auto",
            "tokens 45",
            trimmed,
            "item+ compaction",
            "item= compaction",
            "compacted auto summarise requests 1",
            "tokens 45",
            "item+ agent",
            "text three",
            "item= agent three",
            "tokens 60",
            "complete three",
        ]
    );
    let result = result.unwrap();
    assert_eq!((result.model_calls, result.attempts, result.usage.total), (1, 3, 30));
    let half = ["user second", "assistant two", "user third", &prompt()];
    assert_eq!(sent(&model, 3), half, "not the request that was just refused");
    assert_eq!(sent(&model, 4), [&bridge(&["first", "second"], "SUMMARY"), "user third"]);
    model.assert_complete();
}

#[tokio::test]
async fn if_that_does_not_help_the_window_is_shown_full_and_the_turn_fails() {
    let model = ScriptedModel::new()
        .text("one")
        .fail(too_long())
        .text("SUMMARY")
        .fail(too_long())
        .text("go on");
    let session = open(scripted(&model)).await;
    say(&session, "first").await;
    let mut turn = session.prompt("second").await.unwrap();
    let (mut events, mut counts) = (Vec::new(), Vec::new());
    while let Some(event) = turn.next().await {
        events.push(line(&event));
        if let Event::TokenCount { info, .. } = event {
            counts.push(info.unwrap());
        }
    }
    assert_eq!(
        events[events.len() - 4..],
        ["tokens 30", "tokens 30", "error context_window_exceeded", "complete -",]
    );
    let full = counts.last().unwrap();
    assert_eq!((full.last_token_usage.total, full.model_context_window), (95_000, Some(95_000)));
    assert_eq!((full.percent_left(), full.total_token_usage.total), (Some(0), 30));
    let error = turn.await.unwrap_err();
    assert!(matches!(&error, TurnError::Model(_)), "{error:?}");
    assert_eq!(kinds(&model), ["standard", "standard", "compact", "standard"]);
    say(&session, "third").await;
    model.assert_complete();
}

/// A rung that leaves out the oldest item, each time anew.
struct Shave;

impl Strategy for Shave {
    fn name(&self) -> &'static str {
        "shave"
    }

    fn next(&self, view: &View, _: &Budget, _: &Progress) -> Step {
        Step::Install(vec![Part::Keep(1..view.prefix_len())].into())
    }
}

/// Once, also where more could be left out.
#[tokio::test]
async fn a_step_is_repeated_once() {
    let mut config = Config::default();
    config.rungs = vec![Arc::new(Shave)];
    let model = ScriptedModel::new().text("one").text("two").fail(too_long()).fail(too_long());
    let session = open(scripted(&model).compaction_config(config)).await;
    say(&session, "first").await;
    say(&session, "second").await;
    let (events, result) = end(session.prompt("third").await.unwrap()).await;
    assert_eq!(result.unwrap_err().code(), "context_window_exceeded");
    let compacted = events.iter().filter(|event| event.starts_with("compacted auto shave"));
    assert_eq!(compacted.count(), 1, "{events:?}");
    let expected = ["assistant one", "user second", "assistant two", "user third"];
    assert_eq!(conversation(&session.history()), expected);
    model.assert_complete();
}

/// An overflow in the middle of a turn, and one more in a later step.
#[tokio::test]
async fn each_step_has_its_own_repetition() {
    let model = ScriptedModel::new()
        .call("c1", "echo", "1")
        .fail(too_long())
        .text("FIRST")
        .call("c2", "echo", "2")
        .fail(too_long())
        .text("SECOND")
        .text("answer");
    let session = open(scripted(&model).tool(Probe::echo("echo"))).await;
    let result = say(&session, "go").await;
    assert_eq!((result.model_calls, result.attempts), (3, 7));
    assert_eq!(conversation(&session.history()), [&bridge(&["go"], "SECOND"), "assistant answer"]);
    model.assert_complete();
}

#[tokio::test]
async fn a_request_for_a_summary_that_is_too_long_is_repeated_over_less() {
    let model = ScriptedModel::new().text("FIRST_REPLY").fail(too_long()).text("SUMMARY");
    let session = open(scripted(&model)).await;
    say(&session, "hello").await;
    let (events, result) = end(session.compact().unwrap()).await;
    let trimmed = events.iter().filter(|event| event.starts_with("background"));
    let trimmed: Vec<_> = trimmed.collect();
    let expected = "background Trimmed 1 older conversation item(s) before compacting so that the \
        request fits the context window";
    assert_eq!(trimmed, [expected], "once, with the total");
    assert_eq!(events.iter().filter(|event| *event == "compacting manual").count(), 1);
    assert_eq!(events.last().unwrap(), "complete -");
    assert_eq!(result.unwrap().attempts, 2);
    assert_eq!(sent(&model, 1), ["user hello", "assistant FIRST_REPLY", &prompt()]);
    assert_eq!(sent(&model, 2), ["user hello", &prompt()], "what the user said last stays");
    model.assert_complete();
}

/// What the server says of sizes is believed: the request for a summary fits at the first try.
#[tokio::test]
async fn the_sizes_that_the_server_states_are_used() {
    let stated = too_long().with_tokens(Some(40_000), Some(20_000));
    let text = "some words ".repeat(50);
    let model = ScriptedModel::new().text(text).repeat(8, ResponseBuilder::new().text("x"));
    let model = model.fail(stated).text("SUMMARY").text("answer").text("more");
    let session = open(crate::support::scripted(&model)).await;
    for number in 0..9 {
        say(&session, &format!("{number} {}", "some words ".repeat(100))).await;
    }
    let before = super::support::count(&model.requests()[8]);
    say(&session, "go").await;
    let asked = super::support::count(&model.requests()[10]);
    // 20,000 of 40,000, less a tenth.
    assert!(asked * 100 <= before * 46 && asked * 100 >= before * 30, "{asked} of {before}");
    assert_eq!(kinds(&model)[9..], ["standard", "compact", "standard"]);
    // A window that the user did not set would be this one from now on.
    assert_eq!(session.context_window().raw_tokens, crate::support::WINDOW);
}

/// So they are where the request for the summary is the one that is too long.
#[tokio::test]
async fn the_sizes_that_the_server_states_of_a_summary_are_used() {
    let stated = too_long().with_tokens(Some(40_000), Some(10_000));
    let model = ScriptedModel::new().repeat(9, ResponseBuilder::new().text("x"));
    let model = model.fail(stated).text("SUMMARY");
    let session = open(scripted(&model)).await;
    for number in 0..9 {
        say(&session, &format!("{number} {}", words(200))).await;
    }
    session.compact().unwrap().await.unwrap();
    let [first, second] = [9, 10].map(|n: usize| super::support::count(&model.requests()[n]));
    // 10,000 of 40,000, less a tenth.
    assert!(second * 1000 <= first * 230, "{second} of {first}");
    model.assert_complete();
}

#[tokio::test]
async fn a_learned_window_holds_from_the_compaction_on() {
    let stated = too_long().with_tokens(Some(40_000), Some(20_000));
    let model = ScriptedModel::new().text("one").fail(stated).text("SUMMARY").text("two");
    let agent = longhaul::Agent::builder("test-model", Arc::new(model.clone()));
    let session = open(agent).await;
    say(&session, "first").await;
    say(&session, "second").await;
    let window = session.context_window();
    assert_eq!((window.raw_tokens, window.effective_tokens), (20_000, 19_000));
    assert_eq!(session.token_count().0.unwrap().model_context_window, Some(19_000));
    model.assert_complete();
}

/// An overflow that comes after pieces of the answer voids them.
#[tokio::test]
async fn an_overflow_within_a_response_is_one_too() {
    let failed = ResponseBuilder::new().text("half").failed("context_length_exceeded", "long");
    let model = ScriptedModel::new().text(words(400)).respond(failed).text("SUMMARY").text("two");
    let session = open(scripted(&model)).await;
    say(&session, "first").await;
    let events = told(&session, "second").await;
    assert_eq!(events.last().unwrap(), "complete two");
    let bridge = bridge(&["first"], "SUMMARY");
    assert_eq!(conversation(&session.history()), [&bridge, "user second", "assistant two"]);
    model.assert_complete();
}

/// The same over HTTP, with what the request is for in its header.
#[tokio::test]
async fn over_http_each_request_says_what_it_is_for() {
    let refused = || {
        let error = json!({"code": "context_length_exceeded", "message": "too long",
            "type": "invalid_request_error"});
        Reply::error(400, &json!({"error": error}))
    };
    let text = Reply::text;
    let server =
        Server::start([text("one"), refused(), text("SUMMARY"), text("two"), text("AGAIN")]);
    let server = server.await.unwrap();
    let mut provider = Provider::named("openai", Some(&server.base_url())).unwrap();
    provider.allow_plain_http = true;
    let session =
        open(longhaul::Agent::builder("test-model", provider).context_window(WINDOW)).await;
    say(&session, "first").await;
    say(&session, "second").await;
    session.compact().unwrap().await.unwrap();
    let kinds: Vec<_> =
        server.requests().iter().map(|r| r.task_kind().map(str::to_owned)).collect();
    let expected = ["standard", "standard", "compact", "standard", "compact"];
    assert_eq!(kinds, expected.map(|kind| Some(kind.to_owned())));
    server.assert_complete();
}

/// A failure that is no overflow is none.
#[tokio::test]
async fn other_failures_compact_nothing() {
    let model = ScriptedModel::new()
        .text("one")
        .fail(ModelError::new(ErrorCode::InvalidRequest, "too long, in a way"))
        .text("two");
    let session = open(scripted(&model)).await;
    say(&session, "first").await;
    let mut turn = session.prompt("second").await.unwrap();
    let events = lines(&mut turn).await;
    assert_eq!(events[3..], ["error invalid_request", "complete -"]);
    say(&session, "third").await;
    assert_eq!(kinds(&model), ["standard"; 3]);
}
