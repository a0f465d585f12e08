//! Input during a turn is in its next request exactly once, or starts a new turn. Nothing is lost.

use std::sync::Arc;

use longhaul::TurnHandle;
use longhaul::prelude::*;
use longhaul::transport::{ErrorCode, ModelError};
use longhaul_state::MAX_WAITING;
use longhaul_state::protocol::SettingsUpdate;
use longhaul_testkit::ScriptedModel;
use longhaul_testkit::model::{Answer, Recorded};
use longhaul_testkit::server::Gate;
use longhaul_testkit::sse::ResponseBuilder;
use serde_json::json;
use tokio::sync::Barrier;

use super::support::{
    Probe, Yielding, conversation, ends, items, line, lines, scripted, yield_twice,
};

/// A tool that waits for the test, twice: when it has begun, and before it ends.
fn held(barrier: &Arc<Barrier>) -> Probe {
    let barrier = Arc::clone(barrier);
    Probe::new("held", move |_, _| {
        let barrier = Arc::clone(&barrier);
        async move {
            barrier.wait().await;
            barrier.wait().await;
            ToolOutput::text("done")
        }
    })
}

async fn steered(session: &Session, texts: &[&str]) -> Vec<TurnHandle> {
    let mut handles = Vec::new();
    for text in texts {
        handles.push(session.steer(Input::from(*text).id(*text)).await.unwrap());
    }
    handles
}

#[tokio::test]
async fn a_steer_is_in_the_next_request_exactly_once_and_shares_the_result() {
    let model = ScriptedModel::new().call("c1", "held", "{}").text("one").text("two");
    let barrier = Arc::new(Barrier::new(2));
    let agent = scripted(&model).tool(held(&barrier)).build().unwrap();
    let session = agent.session().start().await.unwrap();
    let mut events = session.events();
    let turn = session.prompt(Input::from("go").id("1")).await.unwrap();
    barrier.wait().await;
    let mut handles = steered(&session, &["left", "right"]).await;
    assert_eq!(model.requests().len(), 1, "a steer sends nothing by itself");
    barrier.wait().await;
    let result = turn.await.unwrap();
    let own = lines(&mut handles[0]).await;
    assert_eq!(own, ["item+ user", "item= user left"], "the steer's own events");
    for handle in handles {
        assert_eq!(handle.await.unwrap(), result);
    }
    let mut shown = Vec::new();
    while let Some(event) = events.next().await {
        assert_eq!(&*event.turn_id, "1");
        shown.push(format!("{}: {}", event.submission_id, line(&event.event)));
        if shown.last().unwrap().contains("complete") {
            break;
        }
    }
    assert_eq!(
        shown[4..],
        [
            "1: begin c1 held {}",
            "1: end c1 ok done",
            "left: item+ user",
            "left: item= user left",
            "right: item+ user",
            "right: item= user right",
            "1: item+ agent",
            "1: text one",
            "1: item= agent one",
            "1: tokens 30",
            "1: complete one",
        ]
    );
    session.prompt("next").await.unwrap().await.unwrap();
    let expected = [
        "user go",
        "call c1 held {}",
        "output c1 done",
        "user left",
        "user right",
        "assistant one",
        "user next",
    ];
    let requests = model.requests();
    assert_eq!(items(&requests[1].input()), expected[..5]);
    assert_eq!(items(&requests[2].input()), expected);
    model.assert_complete();
}

#[tokio::test]
async fn a_steer_that_comes_too_late_starts_a_turn_before_what_waits() {
    let gate = Gate::new("last answer");
    let model = ScriptedModel::new().hold(&gate).text("one").text("two").text("three");
    let session = scripted(&model).build().unwrap().session().start().await.unwrap();
    let turn = session.prompt("go").await.unwrap();
    gate.reached().await;
    let waiting = session.prompt("waiting").await.unwrap();
    let mut handles = steered(&session, &["late"]).await;
    gate.open();
    assert_eq!(turn.await.unwrap().last_message.as_deref(), Some("one"));
    let mut late = handles.remove(0);
    let events = lines(&mut late).await;
    assert_eq!((events[0].as_str(), ends(&events)), ("started", 1));
    assert_eq!(late.await.unwrap().last_message.as_deref(), Some("two"));
    assert_eq!(waiting.await.unwrap().last_message.as_deref(), Some("three"));
    assert_eq!(
        conversation(&session.history()),
        [
            "user go",
            "assistant one",
            "user late",
            "assistant two",
            "user waiting",
            "assistant three",
        ]
    );
}

#[tokio::test]
async fn steers_that_come_too_late_start_one_turn_together() {
    let gate = Gate::new("last answer");
    let model = ScriptedModel::new().hold(&gate).text("one").text("two").text("three");
    let session = scripted(&model).build().unwrap().session().start().await.unwrap();
    let turn = session.prompt("go").await.unwrap();
    gate.reached().await;
    let waiting = session.prompt("waiting").await.unwrap();
    let handles = steered(&session, &["left", "right"]).await;
    gate.open();
    turn.await.unwrap();
    for handle in handles {
        assert_eq!(handle.await.unwrap().last_message.as_deref(), Some("two"));
    }
    waiting.await.unwrap();
    assert_eq!(
        items(&model.requests()[1].input()),
        ["user go", "assistant one", "user left", "user right"]
    );
    model.assert_complete();
}

#[tokio::test]
async fn the_settings_and_the_schema_of_a_steer_hold_from_the_next_request_or_turn() {
    let model = ScriptedModel::new().call("c1", "held", "{}").text("{}").text("two");
    let barrier = Arc::new(Barrier::new(2));
    let session =
        scripted(&model).tool(held(&barrier)).build().unwrap().session().start().await.unwrap();
    let turn = session.prompt("go").await.unwrap();
    barrier.wait().await;
    let mut settings = SettingsUpdate::default();
    settings.model = Some("other-model".into());
    let schema = json!({"type": "object"});
    let input = Input::from("as JSON").output_schema(schema.clone()).settings(settings);
    let steered = session.steer(input).await.unwrap();
    barrier.wait().await;
    turn.await.unwrap();
    steered.await.unwrap();
    session.prompt("next").await.unwrap().await.unwrap();
    let facts: Vec<_> = model
        .requests()
        .iter()
        .map(|r| json!([r.body["model"], r.body["text"]["format"]["schema"]]))
        .collect();
    assert_eq!(
        facts,
        [json!(["test-model", null]), json!(["test-model", schema]), json!(["other-model", null]),]
    );
}

#[tokio::test]
async fn a_steer_with_nothing_to_steer_starts_a_turn() {
    let model = ScriptedModel::new().text("one");
    let session = scripted(&model).build().unwrap().session().start().await.unwrap();
    let mut turn = session.steer("go").await.unwrap();
    let events = lines(&mut turn).await;
    assert_eq!((events[0].as_str(), events.last().unwrap().as_str()), ("started", "complete one"));
    assert_eq!(turn.await.unwrap().model_calls, 1);
}

#[tokio::test]
async fn a_steer_outlives_the_error_of_its_turn() {
    let too_many = ScriptedModel::new().call("c1", "held", "{}").text("fine");
    let failing = ScriptedModel::new()
        .call("c1", "held", "{}")
        .fail(ModelError::new(ErrorCode::InvalidRequest, "no"))
        .text("fine");
    for (model, limit, taken) in [(too_many, 1, false), (failing, 9, true)] {
        let barrier = Arc::new(Barrier::new(2));
        let agent = scripted(&model).tool(held(&barrier)).max_model_calls(limit);
        let session = agent.build().unwrap().session().start().await.unwrap();
        let turn = session.prompt("go").await.unwrap();
        barrier.wait().await;
        let mut handles = steered(&session, &["left"]).await;
        barrier.wait().await;
        assert!(turn.await.is_err());
        // One that a request carried shares its fate; the other one starts a turn.
        assert_eq!(handles.remove(0).await.is_err(), taken);
        if taken {
            session.prompt("more").await.unwrap().await.unwrap();
        }
        let sent = items(&model.requests().last().unwrap().input());
        let mut expected = vec!["user go", "call c1 held {}", "output c1 done", "user left"];
        expected.extend(taken.then_some("user more"));
        assert_eq!(sent, expected);
        model.assert_complete();
    }
}

#[tokio::test]
async fn after_an_interrupt_steers_wait_for_the_next_turn() {
    let model = ScriptedModel::new().call("c1", "held", "{}").text("fine");
    let barrier = Arc::new(Barrier::new(2));
    let session =
        scripted(&model).tool(held(&barrier)).build().unwrap().session().start().await.unwrap();
    let turn = session.prompt("go").await.unwrap();
    barrier.wait().await;
    let handles = steered(&session, &["left", "right"]).await;
    assert!(session.interrupt());
    assert!(turn.await.unwrap().is_interrupted());
    assert!(!session.interrupt(), "an interrupt starts nothing");
    let result = session.steer("next").await.unwrap().await.unwrap();
    for handle in handles {
        assert_eq!(handle.await.unwrap(), result);
    }
    assert_eq!(
        items(&model.requests()[1].input()),
        [
            "user go",
            "call c1 held {}",
            "output c1 aborted: had started, effect unknown",
            "user left",
            "user right",
            "user next",
        ]
    );
    model.assert_complete();
}

#[tokio::test]
async fn a_steer_that_is_cancelled_in_time_is_sent_nowhere() {
    let model = ScriptedModel::new().call("c1", "held", "{}").text("one").text("two");
    let barrier = Arc::new(Barrier::new(2));
    let session =
        scripted(&model).tool(held(&barrier)).build().unwrap().session().start().await.unwrap();
    let turn = session.prompt("go").await.unwrap();
    barrier.wait().await;
    let mut handles = steered(&session, &["left", "right"]).await;
    let left = handles.remove(0);
    left.cancel();
    assert!(left.await.unwrap().is_interrupted(), "at once");
    barrier.wait().await;
    assert!(!turn.await.unwrap().is_interrupted(), "the turn went on");
    assert_eq!(
        items(&model.requests()[1].input()),
        ["user go", "call c1 held {}", "output c1 done", "user right"]
    );
}

#[tokio::test]
async fn what_an_interrupted_turn_left_can_be_taken_back_while_nothing_runs() {
    let gate = Gate::new("held");
    let model = ScriptedModel::new().hold(&gate).text("never").text("fine");
    let session = scripted(&model).build().unwrap().session().start().await.unwrap();
    let turn = session.prompt("go").await.unwrap();
    gate.reached().await;
    let mut handles = steered(&session, &["left", "right"]).await;
    session.interrupt();
    turn.await.unwrap();
    let left = handles.remove(0);
    left.cancel();
    assert!(left.await.unwrap().is_interrupted(), "at once, not with the next turn");
    session.prompt("next").await.unwrap().await.unwrap();
    assert_eq!(items(&model.requests()[1].input()), ["user go", "user right", "user next"]);
}

#[tokio::test]
async fn waiting_inputs_are_bounded_and_the_bound_never_locks_a_session() {
    let gate = Gate::new("held");
    let model = ScriptedModel::new().hold(&gate).text("never").text("fine");
    let session = scripted(&model).build().unwrap().session().start().await.unwrap();
    let turn = session.prompt("go").await.unwrap();
    gate.reached().await;
    let mut handles = Vec::new();
    for number in 0..MAX_WAITING {
        handles.push(session.steer(format!("{number}")).await.unwrap());
    }
    for refused in [session.steer("too many").await, session.prompt("too many").await] {
        let error = refused.err().unwrap();
        assert_eq!((error.code(), error.is_retryable()), ("busy", true));
    }
    session.interrupt();
    turn.await.unwrap();
    session.prompt("next").await.unwrap().await.unwrap();
    for handle in handles {
        handle.await.unwrap();
    }
    let sent = items(&model.requests()[1].input());
    let steers = (0..MAX_WAITING).map(|number| format!("user {number}"));
    let expected: Vec<_> =
        std::iter::once("user go".into()).chain(steers).chain(["user next".into()]).collect();
    assert_eq!(sent, expected);
}

/// Calls the tool after a question, answers after an output.
fn two_steps(request: &Recorded) -> Answer {
    let input = request.input();
    let since_user = input.iter().rposition(|item| item["role"] == "assistant");
    let open = &input[since_user.map_or(0, |index| index + 1)..];
    let response = ResponseBuilder::new();
    if open.iter().any(|item| item["type"] == "function_call_output") {
        response.text("so it is").into()
    } else {
        response.call("c1", "echo", "{}").call("c2", "echo", "{}").into()
    }
}

/// A steer at every point of a turn: exactly once in what was sent, and never lost.
#[tokio::test]
async fn a_steer_at_any_event_is_sent_exactly_once() {
    for index in 0.. {
        let model = ScriptedModel::new().respond_with(two_steps).repeat_last();
        let echo = Probe::new("echo", |_, _| async {
            yield_twice().await;
            ToolOutput::text("o")
        });
        let yielding = Arc::new(Yielding(model.clone()));
        let agent = longhaul::Agent::builder("test-model", yielding).tool(echo).build().unwrap();
        let session = agent.session().start().await.unwrap();
        let mut turn = session.prompt("go").await.unwrap();
        let mut seen = Vec::new();
        let mut handle = None;
        while let Some(event) = turn.next().await {
            if seen.len() == index {
                handle = Some(session.steer("STEER").await.unwrap());
            }
            seen.push(line(&event));
        }
        assert_eq!(ends(&seen), 1, "{index}");
        assert!(turn.await.is_ok());
        let Some(handle) = handle else {
            assert!(index > 10, "every event had its turn");
            break;
        };
        assert!(handle.await.is_ok(), "{index}");
        let sent = items(&model.requests().last().unwrap().input());
        let count = |lines: &[String]| lines.iter().filter(|line| *line == "user STEER").count();
        assert_eq!(count(&sent), 1, "{index}: {sent:?}");
        assert_eq!(count(&conversation(&session.history())), 1, "{index}");
        assert_eq!(model.problems(), [""; 0], "{index}");
    }
}

/// Few enough that all may wait at once.
const INPUTS: usize = 7;

/// Inputs, steers and interrupts from all sides on all cores: each input is settled, and each that
/// was not taken back is in the conversation exactly once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_lost_in_a_crowd() {
    let model = ScriptedModel::new().respond_with(two_steps).repeat_last();
    let yielding = Arc::new(Yielding(model.clone()));
    let agent =
        longhaul::Agent::builder("test-model", yielding).tool(Probe::echo("echo")).build().unwrap();
    let session = agent.session().start().await.unwrap();
    let mut clients = tokio::task::JoinSet::new();
    for client in 0..8 {
        let session = session.clone();
        clients.spawn(async move {
            for number in 0..INPUTS {
                let text = format!("input {client} {number}");
                let turn = match number % 3 {
                    0 => session.prompt(text).await,
                    _ => session.steer(text).await,
                };
                let turn = turn.unwrap();
                match number % 5 {
                    0 => {
                        session.interrupt();
                        drop(turn);
                    }
                    1 => drop(turn),
                    // The answer may be an interrupt of another client's.
                    2 => drop(turn.await.unwrap()),
                    _ => tokio::task::yield_now().await,
                }
            }
        });
    }
    // Steers of interrupted turns wait for the next turn: there is always one more.
    let ticker = {
        let session = session.clone();
        tokio::spawn(async move {
            loop {
                let _ = session.prompt("tick").await.unwrap().await.unwrap();
            }
        })
    };
    while let Some(client) = clients.join_next().await {
        client.unwrap();
    }
    ticker.abort();
    let _ = ticker.await;
    session.prompt("last").await.unwrap().await.unwrap();
    let said = conversation(&session.history());
    for client in 0..8 {
        for number in 0..INPUTS {
            let wanted = format!("user input {client} {number}");
            assert_eq!(said.iter().filter(|line| **line == wanted).count(), 1, "{wanted}");
        }
    }
    assert_eq!(model.problems(), [""; 0]);
}
