//! One conversation with two tools, an approval and a compaction, cut at every place.

use std::pin::Pin;
use std::task::Poll;

use longhaul::approval::{ApprovalDecision, Approvals};
use longhaul::prelude::*;
use longhaul::state::protocol::TurnEnd;
use longhaul_testkit::ScriptedModel;
use longhaul_testkit::model::{Answer, Recorded};
use longhaul_testkit::sse::ResponseBuilder;

use super::observer::Observer;
use super::support::{Probe, Yielding, conversation, ends, items, line};

/// Calls two tools, then answers; where there is a prompt for a summary, sums up.
fn respond(request: &Recorded) -> Answer {
    let input = request.input();
    let last = items(&input).pop().unwrap_or_default();
    let answer = match &*last {
        "user go" => ResponseBuilder::new()
            .text("let me see")
            .call("c1", "look", "1")
            .call("c2", "change", "2")
            .usage(950, 5),
        output if output.starts_with("output c2") => {
            ResponseBuilder::new().text("so it is").usage(100, 5)
        }
        summed if summed.starts_with("user") && request.body["tool_choice"] == "none" => {
            ResponseBuilder::new().text("WHAT WAS").usage(90, 5)
        }
        _ => ResponseBuilder::new().text("fine").usage(100, 5),
    };
    Answer::from(answer)
}

/// A session of that conversation, over a model that lets others run before each of its events.
async fn open() -> (Session, ScriptedModel) {
    let (session, model, _) = open_observed().await;
    (session, model)
}

async fn open_observed() -> (Session, ScriptedModel, Observer) {
    let model = ScriptedModel::new().respond_with(respond).repeat_last();
    let observer = Observer::default();
    let agent = longhaul::Agent::builder("test-model", observer.model(Yielding(model.clone())))
        .context_window(100_000)
        .auto_compact_token_limit(900)
        .tool(observer.tool(Probe::echo("look")))
        .tool(observer.tool(Probe::echo("change").write().asks()))
        .approvals(Approvals::answered());
    (agent.build().unwrap().session().start().await.unwrap(), model, observer)
}

/// Approves whatever asks.
async fn approve(session: &Session, event: &Event) {
    if let Event::ApprovalRequest { call_id, .. } = event {
        // Too late where the turn is being ended.
        let _ = session.answer(call_id, None, ApprovalDecision::Approved).await;
    }
}

/// A session that something was done to in mid-turn is whole: its conversation is paired, and goes on.
async fn goes_on(session: &Session, model: &ScriptedModel, place: &str) -> TurnResult {
    let history = conversation(&session.history());
    let count = |what: &str| history.iter().filter(|item| item.starts_with(what)).count();
    assert_eq!(count("call c"), count("output c"), "{place}: {history:?}");
    let next = Input::from("and now?").id("next");
    let result = session.prompt(next).await.unwrap().await.unwrap();
    assert_eq!(result.last_message.as_deref(), Some("fine"), "{place}");
    assert_eq!(model.problems(), [""; 0], "{place}");
    result
}

#[tokio::test]
async fn an_interrupt_at_any_event_ends_the_turn_once_and_the_conversation_goes_on() {
    let mut ended = [0, 0];
    for index in 0.. {
        let (session, model, observer) = open_observed().await;
        let reading = observer.read(&session);
        let mut turn = session.prompt(Input::from("go").id("go")).await.unwrap();
        observer.seen().accepted("go", "go", false);
        let mut seen = Vec::new();
        while let Some(event) = turn.next().await {
            if seen.len() == index {
                session.interrupt();
            }
            seen.push(line(&event));
            if let Event::ApprovalRequest { call_id, arguments, .. } = &event {
                observer.seen().answered(call_id, arguments, true);
            }
            approve(&session, &event).await;
        }
        let place = format!("at {index} of {seen:?}");
        assert_eq!(ends(&seen), 1, "{place}");
        let count = |what: &str| seen.iter().filter(|line| line.starts_with(what)).count();
        assert_eq!(count("begin "), count("end "), "{place}");
        assert!(count("begin c2") <= count("ask c2"), "{place}");
        let result = turn.await;
        observer.settled("go", &result);
        let is_interrupted = result.unwrap().end == TurnEnd::INTERRUPTED;
        assert_eq!(seen.last().unwrap() == "aborted", is_interrupted, "{place}");
        ended[usize::from(is_interrupted)] += 1;
        observer.seen().accepted("next", "and now?", false);
        let result = goes_on(&session, &model, &place).await;
        observer.settled("next", &Ok(result));
        session.shutdown().await.unwrap();
        reading.await.unwrap();
        observer.seen().end();
        observer.check(&["change"]);
        if seen.len() <= index {
            assert!(count("compacted auto") == 1 && count("ask c2") == 1, "{place}");
            break;
        }
    }
    assert!(ended[1] > 20, "{ended:?}");
}

/// Polls a future so often and drops it; gives what it gave, if it did.
async fn dropped_after<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    let mut future = std::pin::pin!(future);
    for _ in 0..polls {
        let polled = std::future::poll_fn(|context| Poll::Ready(future.as_mut().poll(context)));
        if let Poll::Ready(output) = polled.await {
            return Some(output);
        }
        // Others go on; the future is polled again whether or not it was woken.
        tokio::task::yield_now().await;
    }
    None
}

/// Nobody polls as often as this before something happens.
const ALL: usize = 200;

#[tokio::test]
async fn events_are_lost_by_no_drop_of_the_reader_after_any_poll() {
    let whole = {
        let (session, _) = open().await;
        let mut events = session.events();
        let mut turn = session.prompt("go").await.unwrap();
        let mut seen = Vec::new();
        while let Some(event) = turn.next().await {
            seen.push(line(&event));
            approve(&session, &event).await;
        }
        for expected in &seen {
            assert_eq!(line(&events.next().await.unwrap().event), *expected);
        }
        seen
    };
    for polls in 1..6 {
        let (session, _) = open().await;
        let mut events = session.events();
        let mut turn = session.prompt("go").await.unwrap();
        let (mut seen, mut all) = (Vec::new(), Vec::new());
        while seen.last() != whole.last() {
            if let Some(Some(event)) = dropped_after(polls, turn.next()).await {
                seen.push(line(&event));
                approve(&session, &event).await;
            }
            if let Some(Some(event)) = dropped_after(polls, events.next()).await {
                all.push(line(&event.event));
            }
        }
        while let Some(Some(event)) = dropped_after(ALL, events.next()).await {
            all.push(line(&event.event));
            if all.len() == whole.len() {
                break;
            }
        }
        assert_eq!((&seen, &all), (&whole, &whole), "{polls} polls");
    }
}

/// What a caller does that may be given up.
type Call = for<'a> fn(&'a Session) -> Pin<Box<dyn Future<Output = bool> + 'a>>;

/// An image in a file is read elsewhere, so that accepting it takes several polls.
fn slow_input(text: &str) -> Input {
    Input::from(text).local_image("/nowhere/at/all.png")
}

#[tokio::test]
async fn a_caller_that_gives_up_after_any_poll_leaves_a_session_that_goes_on() {
    let calls: [(&str, Call); 4] = [
        ("prompt", |session| Box::pin(async { session.prompt(slow_input("p")).await.is_ok() })),
        ("steer", |session| Box::pin(async { session.steer(slow_input("p")).await.is_ok() })),
        ("preview", |session| {
            Box::pin(async {
                session.preview_request(slow_input("p")).await.unwrap();
                false
            })
        }),
        ("submit", |session| {
            Box::pin(async {
                let op = r#"{"type":"user_input","items":[{"type":"text","text":"p"},
                    {"type":"local_image","path":"/nowhere/at/all.png"}]}"#;
                session.submit("7", serde_json::from_str(op).unwrap()).await.is_ok()
            })
        }),
    ];
    for (name, call) in calls {
        let mut reached = false;
        for polls in 0..ALL {
            let (session, model) = open().await;
            let mut turn = session.prompt("go").await.unwrap();
            let given = dropped_after(polls, call(&session)).await;
            while let Some(event) = turn.next().await {
                approve(&session, &event).await;
            }
            turn.await.unwrap();
            let place = format!("{name} after {polls} polls");
            goes_on(&session, &model, &place).await;
            let history = conversation(&session.history());
            let said = history.iter().filter(|item| item.starts_with("user p|")).count();
            assert_eq!(said, usize::from(given == Some(true)), "{place}: {history:?}");
            if given.is_some() {
                reached = true;
                break;
            }
        }
        assert!(reached, "{name} is ready within {ALL} polls");
    }
}

#[tokio::test]
async fn a_turn_whose_result_nobody_waits_for_after_any_poll_runs_to_its_end() {
    for polls in 0.. {
        let (session, model) = open().await;
        let mut events = session.events();
        let turn = session.prompt("hello").await.unwrap();
        let given = dropped_after(polls, turn.into_future()).await;
        let mut seen = Vec::new();
        while ends(&seen) == 0 {
            seen.push(line(&events.next().await.unwrap().event));
        }
        assert_eq!(seen.last().unwrap(), "complete fine", "{polls}");
        goes_on(&session, &model, &format!("after {polls} polls")).await;
        if given.is_some() {
            assert!(polls > 5, "{polls}");
            break;
        }
    }
}

#[tokio::test]
async fn a_shutdown_that_is_given_up_after_any_poll_goes_on() {
    for drains in [false, true] {
        for polls in 0.. {
            let (session, model) = open().await;
            let mut turn = session.prompt("go").await.unwrap();
            model.wait_for_requests(1).await;
            let mut events = session.events();
            let given = if drains {
                dropped_after(polls, session.drain(std::time::Duration::ZERO)).await
            } else {
                dropped_after(polls, session.shutdown()).await
            };
            if polls == 0 {
                continue;
            }
            if drains {
                // Closed, but not stopped: it finishes what it has, unless somebody ends it.
                assert_eq!(session.prompt("late").await.err().unwrap().code(), "closed");
                session.shutdown().await.unwrap();
            }
            let mut seen = Vec::new();
            while let Some(event) = turn.next().await {
                seen.push(line(&event));
            }
            assert_eq!(ends(&seen), 1, "{polls}: {seen:?}");
            assert!(turn.await.unwrap().is_interrupted());
            let mut last = None;
            while let Some(event) = events.next().await {
                last = Some(event.event);
            }
            assert!(matches!(last, Some(Event::ShutdownComplete)), "{polls}");
            session.shutdown().await.unwrap();
            if given.is_some() {
                break;
            }
        }
    }
}
