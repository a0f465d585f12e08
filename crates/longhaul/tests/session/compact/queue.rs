//! Where a compaction that somebody asks for takes its place.

use std::sync::Arc;

use longhaul::prelude::*;
use longhaul::state::protocol::{Op, TurnEnd};
use longhaul_testkit::ScriptedModel;
use longhaul_testkit::server::Gate;
use tokio::sync::Barrier;

use super::support::{all, bridge, end, held, kinds, last_sent, open, prompt, say, sent};
use crate::support::{conversation, lines, scripted};

const NOTHING: &str = "background there is nothing to leave out of the conversation";

#[tokio::test]
async fn during_a_turn_it_comes_at_the_next_step_without_events_of_a_turn() {
    let model = ScriptedModel::new().call("c1", "held", "{}").text("SUMMARY").text("answer");
    let barrier = Arc::new(Barrier::new(2));
    let session = open(scripted(&model).tool(held(&barrier))).await;
    let events = session.events();
    let turn = session.prompt(Input::from("go").id("1")).await.unwrap();
    barrier.wait().await;
    let accepted = session.submit("2", Op::Compact).await.unwrap();
    let longhaul::Accepted::Turn(compact) = accepted else { panic!("a compaction has a handle") };
    assert_eq!(compact.id(), "2");
    assert_eq!(model.requests().len(), 1, "it waits for the step");
    barrier.wait().await;
    let (own, result) = end(compact).await;
    let expected = [
        "compacting manual",
        "tokens 30",
        "item+ compaction",
        "item= compaction",
        "compacted manual summarise requests 1",
        "tokens 30",
    ];
    assert_eq!(own, expected);
    let result = result.unwrap();
    assert_eq!((result.model_calls, result.attempts, result.usage.total), (0, 1, 15));
    let result = turn.await.unwrap();
    assert_eq!((result.model_calls, result.attempts, result.usage.total), (2, 3, 45));
    let shown = all(&session, events).await;
    let at = shown.iter().position(|event| event.contains("end c1")).unwrap();
    let expected: Vec<_> = own.iter().map(|event| format!("2 in 1: {event}")).collect();
    assert_eq!(shown[at + 1..at + 1 + own.len()], expected);
    assert_eq!(kinds(&model), ["standard", "compact", "standard"]);
    assert_eq!(sent(&model, 1), ["user go", "call c1 held {}", "output c1 done", &prompt()]);
    assert_eq!(sent(&model, 2), [bridge(&["go"], "SUMMARY")]);
    model.assert_complete();
}

#[tokio::test]
async fn behind_a_final_answer_it_is_a_turn_of_its_own() {
    let gate = Gate::new("answer");
    let model = ScriptedModel::new().hold(&gate).text("one").text("SUMMARY").text("two");
    let session = open(scripted(&model)).await;
    let turn = session.prompt(Input::from("go").id("1")).await.unwrap();
    gate.reached().await;
    let waiting = session.prompt("waiting").await.unwrap();
    let mut compact = session.compact().unwrap();
    gate.open();
    assert_eq!(turn.await.unwrap().last_message.as_deref(), Some("one"));
    let events = lines(&mut compact).await;
    assert_eq!((events[0].as_str(), events.last().unwrap().as_str()), ("started", "complete -"));
    compact.await.unwrap();
    waiting.await.unwrap();
    assert_eq!(kinds(&model), ["standard", "compact", "standard"], "before what waits");
    assert_eq!(last_sent(&model), [&bridge(&["go"], "SUMMARY"), "user waiting"]);
}

#[tokio::test]
async fn while_one_runs_another_waits_and_finds_nothing_to_do() {
    let gate = Gate::new("summary");
    let model = ScriptedModel::new().text("one").hold(&gate).text("SUMMARY");
    let session = open(scripted(&model)).await;
    say(&session, "go").await;
    let first = session.compact().unwrap();
    gate.reached().await;
    let second = session.compact().unwrap();
    gate.open();
    let (events, result) = end(first).await;
    assert_eq!((events.last().unwrap().as_str(), result.unwrap().attempts), ("complete -", 1));
    let (events, result) = end(second).await;
    assert_eq!(events, ["started", NOTHING, "complete -"]);
    assert_eq!(result.unwrap().attempts, 0);
    model.assert_complete();
}

#[tokio::test]
async fn two_at_one_step_are_one_and_one_that_comes_during_it_waits_for_the_next() {
    let gate = Gate::new("summary");
    let model = ScriptedModel::new()
        .call("c1", "held", "{}")
        .hold(&gate)
        .text("FIRST")
        .call("c2", "held", "{}")
        .text("SECOND")
        .text("answer");
    let barrier = Arc::new(Barrier::new(2));
    let session = open(scripted(&model).tool(held(&barrier))).await;
    let turn = session.prompt("go").await.unwrap();
    barrier.wait().await;
    let pair = [session.compact().unwrap(), session.compact().unwrap()];
    barrier.wait().await;
    gate.reached().await;
    let third = session.compact().unwrap();
    gate.open();
    let [first, second] = pair;
    let (first, second) = (first.await.unwrap(), second.await.unwrap());
    assert_eq!((first.attempts, first), (1, second));
    barrier.wait().await;
    barrier.wait().await;
    assert_eq!(third.await.unwrap().attempts, 1);
    turn.await.unwrap();
    let expected = ["standard", "compact", "standard", "compact", "standard"];
    assert_eq!(kinds(&model), expected);
    assert_eq!(last_sent(&model), [bridge(&["go"], "SECOND")]);
    model.assert_complete();
}

/// One that comes during a compaction of the turn's last step is a turn of its own.
#[tokio::test]
async fn one_that_the_turn_has_no_step_for_is_a_turn_of_its_own() {
    let gate = Gate::new("summary");
    let model = ScriptedModel::new()
        .call("c1", "held", "{}")
        .hold(&gate)
        .text("FIRST")
        .text("answer")
        .text("SECOND");
    let barrier = Arc::new(Barrier::new(2));
    let session = open(scripted(&model).tool(held(&barrier))).await;
    let turn = session.prompt("go").await.unwrap();
    barrier.wait().await;
    let first = session.compact().unwrap();
    barrier.wait().await;
    gate.reached().await;
    let steer = session.steer("left").await.unwrap();
    let mut second = session.compact().unwrap();
    gate.open();
    first.await.unwrap();
    assert_eq!(turn.await.unwrap().last_message.as_deref(), Some("answer"));
    steer.await.unwrap();
    let events = lines(&mut second).await;
    assert_eq!((events[0].as_str(), events.last().unwrap().as_str()), ("started", "complete -"));
    second.await.unwrap();
    assert_eq!(conversation(&session.history()), [bridge(&["go", "left"], "SECOND")]);
    model.assert_complete();
}

/// A turn without a further step, because it may ask no more: the compaction is done all the same.
#[tokio::test]
async fn the_error_of_a_turn_takes_no_compaction_with_it() {
    let model = ScriptedModel::new().call("c1", "held", "{}").text("SUMMARY");
    let barrier = Arc::new(Barrier::new(2));
    let session = open(scripted(&model).tool(held(&barrier)).max_model_calls(1)).await;
    let turn = session.prompt("go").await.unwrap();
    barrier.wait().await;
    let compact = session.compact().unwrap();
    barrier.wait().await;
    assert_eq!(turn.await.unwrap_err().code(), "too_many_model_calls");
    let (events, result) = end(compact).await;
    assert_eq!((events[0].as_str(), result.unwrap().attempts), ("started", 1));
    assert_eq!(conversation(&session.history()), [bridge(&["go"], "SUMMARY")]);
}

/// What an interrupted turn left is not swallowed by a compaction.
#[tokio::test]
async fn kept_input_waits_for_a_turn_that_answers_it() {
    let gate = Gate::new("never opened");
    let model =
        ScriptedModel::new().text("one").hold(&gate).text("never").text("SUMMARY").text("two");
    let session = open(scripted(&model)).await;
    say(&session, "first").await;
    let turn = session.prompt("second").await.unwrap();
    gate.reached().await;
    let left = session.steer("left").await.unwrap();
    session.interrupt();
    assert!(turn.await.unwrap().is_interrupted());
    session.compact().unwrap().await.unwrap();
    let bridge = bridge(&["first"], "SUMMARY");
    assert_eq!(conversation(&session.history()), [&bridge, "user second"]);
    let result = say(&session, "third").await;
    assert_eq!(left.await.unwrap(), result);
    assert_eq!(last_sent(&model), [&bridge, "user second", "user left", "user third"]);
    model.assert_complete();
}

/// A compaction that an interrupted turn left is a turn of its own.
#[tokio::test]
async fn an_interrupted_turn_takes_no_compaction_with_it() {
    let gate = Gate::new("never opened");
    let model =
        ScriptedModel::new().text("one").hold(&gate).text("never").text("SUMMARY").text("two");
    let session = open(scripted(&model)).await;
    say(&session, "first").await;
    let turn = session.prompt("second").await.unwrap();
    gate.reached().await;
    let compact = session.compact().unwrap();
    session.interrupt();
    assert!(turn.await.unwrap().is_interrupted());
    assert_eq!(compact.await.unwrap().attempts, 1);
    say(&session, "third").await;
    assert_eq!(kinds(&model)[2..], ["compact", "standard"]);
    let expected = [&bridge(&["first"], "SUMMARY"), "user second", "user third"];
    assert_eq!(last_sent(&model), expected);
    model.assert_complete();
}

#[tokio::test]
async fn where_the_first_of_two_takes_it_back_it_is_done_for_the_second() {
    let model = ScriptedModel::new().call("c1", "held", "{}").hang().text("SUMMARY").text("answer");
    let barrier = Arc::new(Barrier::new(2));
    let session = open(scripted(&model).tool(held(&barrier))).await;
    let turn = session.prompt("go").await.unwrap();
    barrier.wait().await;
    let first = session.compact().unwrap();
    let second = session.compact().unwrap();
    barrier.wait().await;
    model.wait_for_requests(2).await;
    first.cancel();
    assert_eq!(first.await.unwrap().end, TurnEnd::Withdrawn);
    let (events, result) = end(second).await;
    assert!(events.iter().any(|event| event.starts_with("compacted manual")), "{events:?}");
    assert_eq!(result.unwrap().attempts, 1);
    let result = turn.await.unwrap();
    assert_eq!((result.last_message.as_deref(), result.attempts), (Some("answer"), 4));
    assert_eq!(kinds(&model), ["standard", "compact", "compact", "standard"]);
}
