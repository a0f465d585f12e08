//! Interrupts and shutdowns during compactions: the old conversation or the new one, nothing between.

use std::sync::Arc;

use longhaul::history::Item;
use longhaul::prelude::*;
use longhaul::state::protocol::TurnEnd;
use longhaul_testkit::ScriptedModel;
use longhaul_testkit::model::{Answer, Recorded};
use longhaul_testkit::server::Gate;
use longhaul_testkit::sse::ResponseBuilder;

use super::support::{bridge, end, open, say, summary, two_voices};
use crate::support::{Probe, Yielding, conversation, ends, line, lines, scripted, yield_twice};

/// A call after a question, with which the limit is reached; an answer after that.
fn ordinary(request: &Recorded) -> Answer {
    let input = request.input();
    let last = input.last().unwrap();
    let is_question = last["content"][0]["text"].as_str() == Some("go");
    let response = ResponseBuilder::new();
    if is_question {
        response.text("look").call("c1", "look", "{}").usage(100, 0).into()
    } else {
        response.text("so it is").usage(10, 0).into()
    }
}

fn model() -> ScriptedModel {
    two_voices(ordinary, summary)
}

/// A session in which every state of a turn can be seen.
async fn slow(model: &ScriptedModel) -> Session {
    let look = Probe::new("look", |_, _| async {
        yield_twice().await;
        ToolOutput::text("seen")
    });
    let agent = longhaul::Agent::builder("test-model", Arc::new(Yielding(model.clone())));
    open(agent.context_window(100_000).auto_compact_token_limit(50).tool(look)).await
}

/// Whether the events tell of a compaction just where the conversation holds one.
fn is_told(events: &[String], session: &Session) -> bool {
    let is_bridge = |line: &String| *line == bridge(&["go"], "SUMMARY");
    let told = events.iter().filter(|event| event.starts_with("compacted")).count();
    let said = conversation(&session.history());
    told == said.iter().filter(|line| is_bridge(line)).count()
}

#[tokio::test]
async fn an_interrupt_at_any_event_of_a_turn_that_compacts() {
    let (mut interrupted, mut compacted) = (0, 0);
    for index in 0.. {
        let model = model();
        let session = slow(&model).await;
        let mut turn = session.prompt("go").await.unwrap();
        let mut seen = Vec::new();
        while let Some(event) = turn.next().await {
            if seen.len() == index {
                session.interrupt();
            }
            seen.push(line(&event));
        }
        let reached = seen.len() > index;
        assert_eq!(ends(&seen), 1, "{index}: {seen:?}");
        let result = turn.await.unwrap();
        let last = if result.is_interrupted() { "aborted" } else { "complete so it is" };
        assert_eq!(seen.last().unwrap(), last, "{index}");
        assert!(is_told(&seen, &session), "{index}: {seen:?}");
        interrupted += usize::from(result.is_interrupted());
        compacted += usize::from(seen.iter().any(|event| event.starts_with("compacted")));

        let result = say(&session, "and now?").await;
        assert_eq!(result.end, TurnEnd::Complete, "{index}");
        assert_eq!(model.problems(), [""; 0], "{index}");
        let said = conversation(&session.history());
        let go = said.iter().filter(|line| line.contains("go")).count();
        assert!(go >= 1, "{index}: {said:?}");
        assert_eq!(said[said.len() - 2..], ["user and now?", "assistant so it is"], "{index}");
        if !reached {
            break;
        }
    }
    assert!(interrupted > 12 && compacted > 3, "{interrupted} {compacted}");
}

#[tokio::test]
async fn an_interrupt_at_any_event_of_a_compaction_by_hand() {
    let mut interrupted = 0;
    for index in 0.. {
        let model = two_voices(|_| ResponseBuilder::new().text("one").into(), summary);
        let session = slow(&model).await;
        say(&session, "go").await;
        let before = session.history();
        let mut compact = session.compact().unwrap();
        let mut seen = Vec::new();
        while let Some(event) = compact.next().await {
            if seen.len() == index {
                session.interrupt();
            }
            seen.push(line(&event));
        }
        let reached = seen.len() > index;
        assert_eq!(ends(&seen), 1, "{index}: {seen:?}");
        let result = compact.await.unwrap();
        assert!(is_told(&seen, &session), "{index}: {seen:?}");
        let is_compacted = seen.iter().any(|event| event.starts_with("compacted"));
        assert_eq!(session.history() == before, !is_compacted, "{index}");
        assert!(result.is_interrupted() || is_compacted, "{index}");
        interrupted += usize::from(result.is_interrupted());
        say(&session, "and now?").await;
        assert_eq!(model.problems(), [""; 0], "{index}");
        if !reached {
            break;
        }
    }
    assert!(interrupted >= 2, "{interrupted}");
}

/// A compaction that somebody asked for in a turn, and an interrupt at any event of that turn: who
/// waits for it is told, at once or by the next turn.
#[tokio::test]
async fn who_waits_for_a_compaction_is_told_whatever_becomes_of_the_turn() {
    let (mut with_turn, mut with_next) = (0, 0);
    for index in 0.. {
        let model = two_voices(
            |request| match request.input().last().unwrap()["content"][0]["text"].as_str() {
                Some("go") => ResponseBuilder::new().call("c1", "look", "{}").into(),
                _ => ResponseBuilder::new().text("so it is").into(),
            },
            summary,
        );
        let session = slow(&model).await;
        let mut events = session.events();
        let turn = session.prompt("go").await.unwrap();
        let (mut seen, mut compact) = (Vec::new(), None);
        while ends(&seen) == 0 {
            let event = line(&events.next().await.unwrap().event);
            if event.starts_with("begin") {
                compact = Some(session.compact().unwrap());
            }
            if compact.is_some() && seen.len() == index {
                session.interrupt();
            }
            seen.push(event);
        }
        if index < seen.iter().position(|event| event.starts_with("begin")).unwrap() {
            drop(turn);
            continue;
        }
        let reached = seen.len() > index;
        let is_interrupted = turn.await.unwrap().is_interrupted();
        assert!(is_told(&seen, &session), "{index}: {seen:?}");
        let had_begun = seen.iter().any(|event| event.starts_with("compacting"));
        let compact = compact.unwrap();
        if is_interrupted && !had_begun {
            with_next += 1;
        } else {
            with_turn += 1;
        }
        say(&session, "and now?").await;
        let (own, result) = end(compact).await;
        let result = result.unwrap_or_else(|error| panic!("{index}: {error:?} {seen:?} {own:?}"));
        let was_done = seen.iter().chain(&own).any(|event| event.starts_with("compacted"));
        assert_eq!(result.is_interrupted(), !was_done, "{index}: {seen:?} {own:?}");
        assert_eq!(model.problems(), [""; 0], "{index}");
        if !reached {
            break;
        }
    }
    assert!(with_turn > 3 && with_next > 0, "{with_turn} {with_next}");
}

#[tokio::test]
async fn a_compaction_in_a_turn_that_is_interrupted_is_interrupted_too() {
    let gate = Gate::new("summary");
    let model = ScriptedModel::new().call("c1", "held", "{}").hold(&gate).text("S").text("next");
    let barrier = Arc::new(tokio::sync::Barrier::new(2));
    let session = open(scripted(&model).tool(super::support::held(&barrier))).await;
    let turn = session.prompt("go").await.unwrap();
    barrier.wait().await;
    let compacts = [session.compact().unwrap(), session.compact().unwrap()];
    barrier.wait().await;
    gate.reached().await;
    let before = session.history();
    assert!(session.interrupt());
    assert!(turn.await.unwrap().is_interrupted());
    for compact in compacts {
        let result = compact.await.unwrap();
        assert!(result.is_interrupted(), "{result:?}");
    }
    assert_eq!(session.history(), before);
    say(&session, "next").await;
    model.assert_complete();
}

/// Cancelling the handle of a compaction ends what it has become.
#[tokio::test]
async fn a_compaction_can_be_cancelled_while_it_waits_and_while_it_runs() {
    let (first, second) = (Gate::new("answer"), Gate::new("summary"));
    let model = ScriptedModel::new().hold(&first).text("one").hold(&second).text("S").text("two");
    let session = open(scripted(&model)).await;
    let turn = session.prompt("go").await.unwrap();
    first.reached().await;
    let compact = session.compact().unwrap();
    compact.cancel();
    assert!(compact.await.unwrap().is_interrupted(), "at once");
    first.open();
    assert!(!turn.await.unwrap().is_interrupted());

    let before = session.history();
    let compact = session.compact().unwrap();
    second.reached().await;
    compact.cancel();
    assert!(compact.await.unwrap().is_interrupted());
    assert_eq!(session.history(), before);
    say(&session, "next").await;
    model.assert_complete();
}

/// Who takes a compaction back takes back nothing else: the turn goes on.
#[tokio::test]
async fn a_compaction_between_steps_is_cancelled_alone() {
    let (tool, summary) = (Gate::new("tool"), Gate::new("summary"));
    let model = ScriptedModel::new()
        .text("one")
        .hold(&tool)
        .call("c1", "echo", "{}")
        .hold(&summary)
        .text("SUMMARY")
        .text("two");
    let session = open(scripted(&model).tool(Probe::echo("echo"))).await;
    say(&session, "first").await;
    let turn = session.prompt("second").await.unwrap();
    tool.reached().await;
    let compact = session.compact().unwrap();
    tool.open();
    summary.reached().await;
    compact.cancel();
    assert!(compact.await.unwrap().is_interrupted());
    let result = turn.await.unwrap();
    assert_eq!(result.last_message.as_deref(), Some("two"));
    assert!(!session.history().iter().any(Item::is_bridge));
    model.assert_complete();
}

#[tokio::test]
async fn a_shutdown_during_a_compaction_settles_everything() {
    let gate = Gate::new("summary");
    let model = ScriptedModel::new().text("one").hold(&gate).text("SUMMARY");
    let session = open(scripted(&model)).await;
    say(&session, "go").await;
    let before = session.history();
    let mut running = session.compact().unwrap();
    gate.reached().await;
    let steered = session.steer("left").await.unwrap();
    let waiting = session.prompt("later").await.unwrap();
    let second = session.compact().unwrap();
    session.shutdown().await.unwrap();
    assert_eq!(lines(&mut running).await, ["started", "compacting manual", "aborted"]);
    assert!(running.await.unwrap().is_interrupted());
    for turn in [steered, waiting, second] {
        assert_eq!(turn.await.unwrap_err().code(), "closed");
    }
    assert_eq!(session.compact().unwrap_err().code(), "closed");
    assert_eq!(session.history(), before);
    model.assert_complete();
}
