//! Input while a conversation is compacted: in one next request, once, word for word.

use std::sync::Arc;

use longhaul::compaction::Config;
use longhaul::prelude::*;
use longhaul_testkit::ScriptedModel;
use longhaul_testkit::model::{Answer, Recorded};
use longhaul_testkit::server::Gate;
use longhaul_testkit::sse::ResponseBuilder;
use tokio::sync::Barrier;

use super::support::{
    bridge, held, is_compaction, last_sent, open, say, sent, summary, too_long, two_voices,
};
use crate::support::{Probe, Yielding, conversation, ends, items, line, scripted, yield_twice};

/// Three words that stand nowhere else.
const STEER: &str = "and mind the gap";

fn ordinary(request: &Recorded) -> Answer {
    match request.input().last().unwrap()["content"][0]["text"].as_str() {
        Some("go") => ResponseBuilder::new().call("c1", "look", "{}").usage(100, 0).into(),
        _ => ResponseBuilder::new().text("so it is").usage(10, 0).into(),
    }
}

/// How often a request says what was steered.
fn mentions(request: &Recorded) -> usize {
    items(&request.input()).iter().map(|line| line.matches(STEER).count()).sum()
}

#[tokio::test]
async fn a_steer_at_any_event_of_a_turn_that_compacts_is_sent_exactly_once() {
    let mut quoted = 0;
    for index in 0.. {
        let model = two_voices(ordinary, summary);
        let look = Probe::new("look", |_, _| async {
            yield_twice().await;
            ToolOutput::text("seen")
        });
        let yielding = Arc::new(Yielding(model.clone()));
        let agent = longhaul::Agent::builder("test-model", yielding).context_window(100_000);
        let session = open(agent.auto_compact_token_limit(50).tool(look)).await;
        let mut turn = session.prompt("go").await.unwrap();
        let (mut seen, mut handle) = (Vec::new(), None);
        while let Some(event) = turn.next().await {
            if seen.len() == index {
                handle = Some(session.steer(STEER).await.unwrap());
            }
            seen.push(line(&event));
        }
        assert_eq!(ends(&seen), 1, "{index}: {seen:?}");
        turn.await.unwrap();
        let Some(handle) = handle else {
            assert!(index > 12, "every event had its turn");
            break;
        };
        handle.await.unwrap();
        let requests = model.requests();
        let ordinary: Vec<_> = requests.iter().filter(|request| !is_compaction(request)).collect();
        let mentions: Vec<_> = ordinary.iter().map(|request| mentions(request)).collect();
        let first = mentions.iter().position(|count| *count > 0).unwrap();
        assert!(mentions[first..].iter().all(|count| *count == 1), "{index}: {mentions:?}");
        assert!(ordinary.len() - first <= 2, "{index}: in a next request, {mentions:?}");
        let lines = items(&ordinary[ordinary.len() - 1].input());
        let is_quoted = lines[0] == bridge(&["go", STEER], "SUMMARY");
        assert!(is_quoted || lines.contains(&format!("user {STEER}")), "{index}: {lines:?}");
        quoted += usize::from(is_quoted);
        assert_eq!(model.problems(), [""; 0], "{index}");
    }
    // What no model has answered yet is not put into a bridge.
    assert_eq!(quoted, 0);
}

/// The next request of a turn carries what came while it was being made room for.
#[tokio::test]
async fn a_steer_during_a_compaction_is_in_the_request_right_after_it() {
    let gate = Gate::new("summary");
    let limit = ScriptedModel::new()
        .usage(100, 0)
        .call("c1", "echo", "{}")
        .usage(10, 0)
        .hold(&gate)
        .text("SUMMARY")
        .text("answer");
    let other = Gate::new("summary");
    let refused = ScriptedModel::new()
        .call("c1", "echo", "{}")
        .fail(too_long())
        .hold(&other)
        .text("SUMMARY")
        .text("answer");
    for (model, gate) in [(limit, gate), (refused, other)] {
        let agent = scripted(&model).auto_compact_token_limit(50).tool(Probe::echo("echo"));
        let session = open(agent).await;
        let turn = session.prompt("go").await.unwrap();
        gate.reached().await;
        let steers = [session.steer("left").await.unwrap(), session.steer("right").await.unwrap()];
        gate.open();
        let result = turn.await.unwrap();
        assert_eq!(result.last_message.as_deref(), Some("answer"));
        for steer in steers {
            assert_eq!(steer.await.unwrap(), result);
        }
        assert_eq!(last_sent(&model), [&bridge(&["go"], "SUMMARY"), "user left", "user right"]);
        model.assert_complete();
    }
}

/// A step that fails takes nothing with it that came too late.
#[tokio::test]
async fn a_steer_during_a_compaction_that_does_not_help_starts_a_turn() {
    let gate = Gate::new("summary");
    let model = ScriptedModel::new()
        .text("one")
        .fail(too_long())
        .hold(&gate)
        .fail(longhaul::transport::ModelError::new(
            longhaul::transport::ErrorCode::InvalidRequest,
            "no",
        ))
        .text("two");
    let agent = scripted(&model).last_rung(longhaul::compaction::LastRung::Refuse);
    let session = open(agent).await;
    say(&session, "first").await;
    let turn = session.prompt("second").await.unwrap();
    gate.reached().await;
    let steer = session.steer("left").await.unwrap();
    gate.open();
    assert_eq!(turn.await.unwrap_err().code(), "context_window_exceeded");
    assert_eq!(steer.await.unwrap().last_message.as_deref(), Some("two"));
    let expected = ["user first", "assistant one", "user second", "user left"];
    assert_eq!(last_sent(&model), expected);
    model.assert_complete();
}

/// What comes while a compaction runs as a turn of its own waits for the next turn.
#[tokio::test]
async fn input_during_a_compaction_by_hand_is_answered_in_the_next_turn() {
    let gate = Gate::new("summary");
    let model =
        ScriptedModel::new().text("one").hold(&gate).text("SUMMARY").text("two").text("three");
    let session = open(scripted(&model)).await;
    say(&session, "first").await;
    let compact = session.compact().unwrap();
    gate.reached().await;
    let waiting = session.prompt("waiting").await.unwrap();
    let steers = [session.steer("left").await.unwrap(), session.steer("right").await.unwrap()];
    gate.open();
    compact.await.unwrap();
    for steer in steers {
        assert_eq!(steer.await.unwrap().last_message.as_deref(), Some("two"));
    }
    waiting.await.unwrap();
    let bridge = bridge(&["first"], "SUMMARY");
    assert_eq!(sent(&model, 2), [&bridge, "user left", "user right"]);
    let last = [&bridge, "user left", "user right", "assistant two", "user waiting"];
    assert_eq!(sent(&model, 3), last);
    model.assert_complete();
}

/// A steer that came before the compaction is in the conversation that is compacted, and stays.
#[tokio::test]
async fn a_steer_before_a_compaction_stays_word_for_word_behind_the_bridge() {
    let model = ScriptedModel::new().call("c1", "held", "{}").text("SUMMARY").text("answer");
    let barrier = Arc::new(Barrier::new(2));
    let session = open(scripted(&model).tool(held(&barrier))).await;
    let turn = session.prompt("go").await.unwrap();
    barrier.wait().await;
    let steer = session.steer("left").await.unwrap();
    let compact = session.compact().unwrap();
    barrier.wait().await;
    compact.await.unwrap();
    turn.await.unwrap();
    steer.await.unwrap();
    assert_eq!(last_sent(&model), [&bridge(&["go"], "SUMMARY"), "user left"]);
    assert_eq!(conversation(&session.history()).last().unwrap(), "assistant answer");
    model.assert_complete();
}

/// Few enough that all may wait at once, with two compactions each.
const CLIENTS: usize = 7;
const INPUTS: usize = 6;

/// Inputs, steers, compactions and interrupts from all sides on all cores: each is settled, and what
/// was said is in the conversation exactly once, as an item or in a bridge.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_lost_in_a_crowd_that_compacts() {
    let model = two_voices(
        |request| {
            let response = ResponseBuilder::new().usage(request.order as u64 % 3 * 50, 0);
            let is_output = |item: &serde_json::Value| item["type"] == "function_call_output";
            match request.input().last() {
                Some(last) if is_output(last) => response.text("so it is").into(),
                _ => response.call("c1", "echo", request.order).into(),
            }
        },
        summary,
    );
    let yielding = Arc::new(Yielding(model.clone()));
    // Room for however many ticks there will be.
    let mut config = Config::default();
    config.keep.user_message_tokens = u64::MAX;
    let agent = longhaul::Agent::builder("test-model", yielding).context_window(1_000_000_000);
    let agent = agent.auto_compact_token_limit(100).compaction_config(config);
    let session = open(agent.tool(Probe::echo("echo"))).await;
    let mut clients = tokio::task::JoinSet::new();
    for client in 0..CLIENTS {
        let session = session.clone();
        clients.spawn(async move {
            let mut compacts = Vec::new();
            for number in 0..INPUTS {
                let text = format!("<{client} {number}>");
                let turn = match number % 3 {
                    0 => session.prompt(text).await.unwrap(),
                    _ => session.steer(text).await.unwrap(),
                };
                match number % 4 {
                    0 => compacts.push(session.compact().unwrap()),
                    1 => drop(session.interrupt()),
                    2 => drop(turn.await),
                    _ => tokio::task::yield_now().await,
                }
            }
            compacts
        });
    }
    // What interrupted turns left waits for the next turn: there is always one more.
    let ticker = {
        let session = session.clone();
        tokio::spawn(async move {
            loop {
                let _ = session.prompt("tick").await.unwrap().await;
            }
        })
    };
    let mut compacts = Vec::new();
    while let Some(client) = clients.join_next().await {
        compacts.extend(client.unwrap());
    }
    for compact in compacts {
        let result = compact.await;
        assert!(result.is_ok(), "{result:?}");
    }
    ticker.abort();
    let _ = ticker.await;
    say(&session, "last").await;
    let said = conversation(&session.history()).concat();
    for client in 0..CLIENTS {
        for number in 0..INPUTS {
            let wanted = format!("<{client} {number}>");
            assert_eq!(said.matches(&wanted).count(), 1, "{wanted}: {said}");
        }
    }
    assert_eq!(model.problems(), [""; 0]);
}
