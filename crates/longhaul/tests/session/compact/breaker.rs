//! Compactions that lead nowhere stop, say so, and start again later.

use longhaul::prelude::*;
use longhaul::transport::{ErrorCode, ModelError};
use longhaul_testkit::ScriptedModel;
use longhaul_testkit::sse::ResponseBuilder;

use super::support::{end, kinds, open, say, told, too_long, words};
use crate::support::{Probe, scripted};

/// The warnings and errors among the lines of events.
fn warned(events: &[String]) -> Vec<&str> {
    let is_warning = |event: &&str| event.starts_with("warning") || event.starts_with("error");
    events.iter().map(String::as_str).filter(is_warning).collect()
}

fn calls(id: &str, arguments: &str) -> ResponseBuilder {
    ResponseBuilder::new().call(id, "echo", arguments).usage(500, 0)
}

/// A session whose second turn has failed to compact twice: the breaker is open.
async fn stopped(model: ScriptedModel, window: u64) -> (Session, ScriptedModel) {
    let empty = ResponseBuilder::new().usage(9, 0);
    let model = model
        .respond(calls("c1", "1"))
        .respond(empty.clone())
        .respond(calls("c2", "2"))
        .respond(empty)
        .respond(ResponseBuilder::new().text("one").usage(9, 0));
    let agent = scripted(&model).context_window(window).auto_compact_token_limit(200);
    let session = open(agent.tool(Probe::echo("echo"))).await;
    let events = told(&session, "go").await;
    let both =
        ["warning compaction_failed", "warning compaction_failed", "warning still_above_limit"];
    assert_eq!(warned(&events), both);
    (session, model)
}

#[tokio::test]
async fn failures_stop_them_and_some_turns_later_they_are_tried_again() {
    let empty = ResponseBuilder::new();
    let model = ScriptedModel::new().usage(495, 5).text("one");
    let model = model.respond(empty.clone()).text("two");
    let model = model.respond(empty).text("three").text("SUMMARY").repeat_last();
    let session = open(scripted(&model).auto_compact_token_limit(200)).await;
    say(&session, "1").await;
    let events = told(&session, "2").await;
    assert_eq!(warned(&events), ["warning compaction_failed"]);
    assert_eq!(events.last().unwrap(), "complete two", "the turn goes on");
    let events = told(&session, "3").await;
    assert_eq!(warned(&events), ["warning compaction_failed", "warning still_above_limit"]);
    assert_eq!(events.last().unwrap(), "complete three");
    // Two turns more without.
    for turn in ["4", "5"] {
        assert_eq!(warned(&told(&session, turn).await), [""; 0]);
    }
    let before = kinds(&model).len();
    let events = told(&session, "6").await;
    assert!(events.contains(&"compacted auto summarise requests 1".into()), "{events:?}");
    assert_eq!(kinds(&model)[before..], ["compact", "standard"]);
}

/// The work may go on although it cannot be summed up: the turn is warned, once, where the next
/// compaction would have been.
#[tokio::test]
async fn a_turn_goes_on_where_compactions_fail() {
    let empty = ResponseBuilder::new();
    let model = ScriptedModel::new()
        .respond(calls("c1", "1"))
        .respond(empty.clone())
        .respond(calls("c2", "2"))
        .respond(empty)
        .respond(calls("c3", "3"))
        .respond(calls("c4", "4"))
        .text("answer");
    let session =
        open(scripted(&model).auto_compact_token_limit(200).tool(Probe::echo("echo"))).await;
    let (events, result) = end(session.prompt("go").await.unwrap()).await;
    let expected =
        ["warning compaction_failed", "warning compaction_failed", "warning still_above_limit"];
    assert_eq!(warned(&events), expected);
    let at = |what: &str| events.iter().position(|event| event == what).unwrap();
    assert_eq!(at("warning still_above_limit"), at("end c3 ok 3") + 1);
    assert_eq!(result.unwrap().last_message.as_deref(), Some("answer"));
    model.assert_complete();
}

/// The same call with the same result again and again is no progress, however often it is summed up.
#[tokio::test]
async fn work_in_circles_is_not_summed_up_for_ever() {
    let model = ScriptedModel::new();
    let model = (0..20).fold(model, |model, n| {
        let id = format!("c{n}");
        let summary = ResponseBuilder::new().text("SUMMARY").usage(9, 0);
        let under = ResponseBuilder::new().call(&format!("d{n}"), "echo", "0").usage(90, 0);
        model.respond(under).respond(calls(&id, "0")).respond(summary)
    });
    let session =
        open(scripted(&model).auto_compact_token_limit(200).tool(Probe::echo("echo"))).await;
    let (events, result) = end(session.prompt("go").await.unwrap()).await;
    assert_eq!(result.unwrap_err().code(), "still_above_limit");
    let compacted = events.iter().filter(|event| event.starts_with("compacted")).count();
    assert_eq!(compacted, 2, "{events:?}");
    assert_eq!(warned(&events), ["error still_above_limit"]);
}

/// So it is where a server finds the requests too long.
#[tokio::test]
async fn a_server_that_refuses_in_circles_is_asked_for_no_more_summaries() {
    let mut model = ScriptedModel::new();
    let summaries = ["FIRST", "SECOND"].map(Some).into_iter().chain([None]);
    for (n, summary) in summaries.enumerate() {
        let id = format!("c{n}");
        let long = ResponseBuilder::new().text(words(6_000)).call(&id, "echo", "0");
        model = model.respond(long).fail(too_long());
        if let Some(summary) = summary {
            model = model.text(summary);
        }
    }
    let model = model.text("answer");
    let session = open(scripted(&model).tool(Probe::echo("echo"))).await;
    let events = told(&session, "go").await;
    let compacted: Vec<_> =
        events.iter().filter(|event| event.starts_with("compacted")).map(String::as_str).collect();
    let (asked, taken) =
        ("compacted auto summarise requests 1", "compacted auto extract requests 0");
    assert_eq!(compacted, [asked, asked, taken]);
    assert_eq!(events.last().unwrap(), "complete answer");
    model.assert_complete();
}

/// What cannot be sent is made to fit without a model then.
#[tokio::test]
async fn where_they_have_stopped_only_what_needs_no_model_is_tried() {
    let (session, model) = stopped(ScriptedModel::new(), 20_000).await;
    let model = model.text("two").text("three");
    say(&session, &words(10_000)).await;
    let asked = kinds(&model).len();
    let events = told(&session, &words(10_000)).await;
    assert!(
        events.contains(&"compacted auto extract requests 0".to_owned()),
        "{:?}",
        warned(&events)
    );
    assert_eq!(kinds(&model)[asked..], ["standard"]);
    model.assert_complete();
}

#[tokio::test]
async fn where_they_have_stopped_a_refused_step_asks_no_model_either() {
    let (session, model) = stopped(ScriptedModel::new(), 100_000).await;
    let model = model.text(words(500)).fail(too_long()).text("three");
    say(&session, "more").await;
    let asked = kinds(&model).len();
    let events = told(&session, "and more").await;
    assert!(events.contains(&"compacted auto extract requests 0".to_owned()), "{events:?}");
    assert_eq!(kinds(&model)[asked..], ["standard", "standard"]);
    model.assert_complete();
}

/// What somebody asks for in vain says nothing of what comes by itself.
#[tokio::test]
async fn failures_by_hand_do_not_stop_them() {
    let empty = ResponseBuilder::new();
    let model = ScriptedModel::new()
        .respond(ResponseBuilder::new().text("one").usage(500, 0))
        .respond(empty.clone())
        .respond(empty.clone())
        .respond(empty)
        .text("SUMMARY")
        .text("two");
    let session = open(scripted(&model).auto_compact_token_limit(200)).await;
    say(&session, "first").await;
    for _ in 0..3 {
        session.compact().unwrap().await.unwrap_err();
    }
    let events = told(&session, "second").await;
    assert_eq!(warned(&events), [""; 0]);
    assert_eq!(kinds(&model)[4..], ["compact", "standard"]);
    model.assert_complete();
}

/// What was compacted by hand is not due any more by what the last response said before.
#[tokio::test]
async fn a_limit_that_was_reached_before_a_compaction_by_hand_is_not_reached_after_it() {
    let refused = ModelError::new(ErrorCode::InvalidRequest, "no");
    let model = ScriptedModel::new()
        .respond(ResponseBuilder::new().text("one").usage(500, 0))
        .text("SUMMARY")
        .fail(refused.clone())
        .fail(refused.clone())
        .fail(refused)
        .text("two");
    let session = open(scripted(&model).auto_compact_token_limit(200)).await;
    say(&session, "first").await;
    session.compact().unwrap().await.unwrap();
    for _ in 0..3 {
        assert_eq!(warned(&told(&session, "again").await), ["error invalid_request"]);
    }
    assert_eq!(warned(&told(&session, "at last").await), [""; 0]);
    model.assert_complete();
}
