//! Somebody asks for a compaction while nothing runs.

use std::time::Duration;

use longhaul::compaction::Report;
use longhaul::history::{HistoryConfig, ReasoningFilter};
use longhaul::prelude::*;
use longhaul::state::protocol::TurnEnd;
use longhaul::transport::rate_limits::RateLimitWindow;
use longhaul::transport::{ErrorCode, ModelError, RateLimits, ResponseEvent};
use longhaul_testkit::ScriptedModel;
use longhaul_testkit::check;
use longhaul_testkit::model::{Answer, StreamEnd};
use longhaul_testkit::sse::{ResponseBuilder, Usage};
use serde_json::json;
use tokio::time::Instant;

use super::support::{bridge, end, kinds, open, prompt, reports, say, sent, words};
use crate::support::{Probe, conversation, lines, scripted};

#[tokio::test]
async fn the_next_request_starts_from_what_the_model_summed_up() {
    let model = ScriptedModel::new().text("FIRST_REPLY").text("SUMMARY").text("done");
    let agent = scripted(&model).instructions("Be brief.").tool(Probe::echo("echo"));
    let session = open(agent).await;
    say(&session, "hello world").await;
    let (events, result) = end(session.compact().unwrap()).await;
    assert_eq!(
        events,
        [
            "started",
            "compacting manual",
            "tokens 30",
            "item+ compaction",
            "item= compaction",
            "compacted manual summarise requests 1",
            "tokens 30",
            "complete -",
        ]
    );
    let mut expected = TurnResult::empty(TurnEnd::Complete);
    (expected.attempts, expected.usage.input) = (1, 10);
    (expected.usage.output, expected.usage.total) = (5, 15);
    assert_eq!(result.unwrap(), expected);
    say(&session, "next turn").await;

    assert_eq!(kinds(&model), ["standard", "compact", "standard"]);
    assert_eq!(sent(&model, 1), ["user hello world", "assistant FIRST_REPLY", &prompt()]);
    let bridge = bridge(&["hello world"], "SUMMARY");
    assert_eq!(sent(&model, 2), [bridge.clone(), "user next turn".into()]);
    assert_eq!(conversation(&session.history()), [&bridge, "user next turn", "assistant done"]);
    model.assert_complete();
}

#[tokio::test]
async fn the_request_extends_the_one_before_and_differs_in_nothing_but_the_choice_of_tools() {
    let model = ScriptedModel::new()
        .reasoned_calls("look", [("c1", "echo", "{}")])
        .reasoned_text("think", "FIRST_REPLY")
        .text("SUMMARY");
    let agent = scripted(&model).instructions("Be brief.").tool(Probe::echo("echo"));
    let session = open(agent).await;
    let schema = json!({"type": "object"});
    let turn = session.prompt(Input::from("hello").output_schema(schema)).await.unwrap();
    turn.await.unwrap();
    session.compact().unwrap().await.unwrap();
    let requests = model.requests();
    let (mut before, mut compaction) = (requests[1].body.clone(), requests[2].body.clone());
    // What the server cached begins both, up to the schema of an answer that a summary is not.
    let input = compaction["input"].as_array().unwrap();
    let old = before["input"].as_array().unwrap();
    assert_eq!(input[..old.len()], *old);
    assert_eq!(input.len(), old.len() + 3, "reasoning, the answer, and the prompt");
    assert_eq!(compaction["tool_choice"], "none");
    assert_eq!(before["text"]["format"]["name"], "codex_output_schema");
    for (body, changed) in [(&mut before, "auto"), (&mut compaction, "none")] {
        let body = body.as_object_mut().unwrap();
        assert_eq!(body.remove("tool_choice").unwrap(), changed);
        body.remove("input");
        body.remove("text");
    }
    assert_eq!(before, compaction);

    // Byte for byte where there was no schema.
    let model = ScriptedModel::new()
        .reasoned_calls("look", [("c1", "echo", "{}")])
        .reasoned_text("think", "FIRST_REPLY")
        .text("SUMMARY");
    let session = open(scripted(&model).instructions("Be brief.").tool(Probe::echo("echo"))).await;
    say(&session, "hello").await;
    session.compact().unwrap().await.unwrap();
    let requests = model.requests();
    check::prefix(&requests[1].bytes, &requests[2].bytes).unwrap();
}

#[tokio::test]
async fn where_there_is_nothing_to_leave_out_nothing_is_asked() {
    let model = ScriptedModel::new().text("one").text("SUMMARY");
    let session = open(scripted(&model)).await;
    let nothing =
        ["started", "background there is nothing to leave out of the conversation", "complete -"];
    let (events, result) = end(session.compact().unwrap()).await;
    assert_eq!(events, nothing);
    assert_eq!(result.unwrap(), TurnResult::empty(TurnEnd::Complete));
    say(&session, "hello").await;
    session.compact().unwrap().await.unwrap();
    let before = session.history();
    let (events, result) = end(session.compact().unwrap()).await;
    assert_eq!(events, nothing, "a bridge alone is not summed up again");
    assert_eq!(result.unwrap(), TurnResult::empty(TurnEnd::Complete));
    assert_eq!(session.history(), before);
    model.assert_complete();
}

#[tokio::test]
async fn the_report_says_what_was_done() {
    let model = ScriptedModel::new().reasoned_text(&words(50), "one").text("two").text("SUMMARY");
    let instructions = words(500);
    let session = open(scripted(&model).instructions(instructions.as_str())).await;
    let events = session.events();
    say(&session, "hello").await;
    say(&session, "again").await;
    // What an earlier turn thought is not sent, and counts nothing.
    let sent = |session: &Session| session.history().prompt(ReasoningFilter::CurrentTurn).tokens();
    let before = sent(&session);
    assert!(before + 50 < session.history().tokens());
    session.compact().unwrap().await.unwrap();
    let after = sent(&session);
    let counter = HistoryConfig::default().counter;
    let own = counter.count_json_string(&serde_json::to_string(&instructions).unwrap());
    let (info, _) = session.token_count();
    assert_eq!(info.unwrap().last_token_usage.total, own + after, "what the context takes now");
    let [report]: [Report; 1] = reports(&session, events).await.try_into().unwrap();
    let json = serde_json::to_value(&report).unwrap();
    let expected = json!({"trigger": "manual", "strategy": "summarise",
        "tokens_before": own + before, "tokens_after": own + after, "kept_items": 0,
        "dropped_items": 5, "trimmed_items": 0, "cut_tokens": 0, "requests": 1,
        "duration_ms": json["duration_ms"]});
    assert_eq!(json, expected);
}

/// Each bridge is shown under an id of its own, which the conversation remembers.
#[tokio::test]
async fn a_bridge_is_shown_under_its_id() {
    let model = ScriptedModel::new().text("one").text("SUMMARY").text("SUMMARY");
    let session = open(scripted(&model)).await;
    say(&session, "hello").await;
    let mut ids = Vec::new();
    for _ in 0..2 {
        let mut compact = session.compact().unwrap();
        let mut shown = Vec::new();
        while let Some(event) = compact.next().await {
            if let Event::ItemStarted(item) | Event::ItemCompleted(item) = event {
                shown.push(item.id);
            }
        }
        let history = session.history();
        let id = history.get(0).unwrap().shown_id().unwrap();
        assert_eq!(shown, [&*id, &*id]);
        ids.push(id.into_owned());
        assert!(session.undo_compaction().await.unwrap());
    }
    assert_ne!(ids[0], ids[1]);
}

#[tokio::test(start_paused = true)]
async fn attempts_that_broke_leave_nothing_behind_and_are_counted() {
    let half = ResponseBuilder::new().text("HALF A SUMMARY");
    let broken = ModelError::new(ErrorCode::StreamIncomplete, "cut");
    let usage = Usage { input_tokens: 700, cached_tokens: 600, ..Usage::default() };
    let model = ScriptedModel::new()
        .text("one")
        .break_after(half, broken)
        .fail(ModelError::new(ErrorCode::ServerError, "sorry"))
        .usage_full(usage)
        .text("SUMMARY");
    let session = open(scripted(&model)).await;
    say(&session, "hello").await;
    let begun = Instant::now();
    let (events, result) = end(session.compact().unwrap()).await;
    assert_eq!(
        events,
        [
            "started",
            "compacting manual",
            "retry 1/5 stream_incomplete",
            "retry 1/4 server_error",
            "recovered 2",
            "tokens 720",
            "item+ compaction",
            "item= compaction",
            "compacted manual summarise requests 1",
            "tokens 720",
            "complete -",
        ]
    );
    let result = result.unwrap();
    assert_eq!((result.attempts, result.usage.total, result.usage.cached_input), (3, 705, 600));
    assert!(begun.elapsed() > Duration::from_millis(300), "virtual waits");
    let requests = model.requests();
    assert!(requests[1].bytes == requests[2].bytes && requests[2].bytes == requests[3].bytes);
    assert_eq!(conversation(&session.history()), [bridge(&["hello"], "SUMMARY")]);
    model.assert_complete();
}

/// What a server says of its limits while it sums up is known at once.
#[tokio::test]
async fn limits_are_learned_while_a_summary_is_written() {
    let window = RateLimitWindow { used_percent: 42.0, window_minutes: Some(5), resets_at: None };
    let limits = RateLimits { primary: Some(window), ..RateLimits::default() };
    let answer = Answer::from(vec![ResponseEvent::RateLimits(limits)]);
    let answer = answer.then(ResponseBuilder::new().text("SUMMARY"));
    let model = ScriptedModel::new().text("one").respond(answer);
    let session = open(scripted(&model)).await;
    say(&session, "hello").await;
    let (events, _) = end(session.compact().unwrap()).await;
    let counts = ["tokens 15", "tokens 30", "item+ compaction"];
    assert_eq!(events[2..5], counts, "told when they come, and again with the usage");
    assert_eq!(session.token_count().1, Some(limits));
}

#[tokio::test]
async fn all_texts_of_an_answer_are_the_summary_and_nothing_else() {
    let answer = ResponseBuilder::new()
        .reasoning("hm", Some("gAAAA"))
        .text("first part")
        .call("c1", "echo", "{}")
        .text(" ")
        .text("second part");
    let model = ScriptedModel::new().text("one").respond(answer);
    let session = open(scripted(&model).tool(Probe::echo("echo"))).await;
    say(&session, "hello").await;
    let (events, _) = end(session.compact().unwrap()).await;
    assert!(!events.iter().any(|event| event.starts_with("begin")), "{events:?}");
    let expected = bridge(&["hello"], "first part\n\nsecond part");
    assert_eq!(conversation(&session.history()), [expected]);
}

/// An interrupt costs no grace period, and the turn ends once.
#[tokio::test(start_paused = true)]
async fn an_interrupt_ends_it_at_once() {
    let model = ScriptedModel::new().text("one").hang().text("two");
    let session = open(scripted(&model)).await;
    say(&session, "hello").await;
    let before = session.history();
    let mut compact = session.compact().unwrap();
    model.wait_for_requests(2).await;
    let begun = Instant::now();
    assert!(session.interrupt());
    assert_eq!(lines(&mut compact).await, ["started", "compacting manual", "aborted"]);
    assert_eq!(compact.await.unwrap(), TurnResult::empty(TurnEnd::INTERRUPTED));
    assert_eq!(begun.elapsed(), Duration::ZERO);
    assert_eq!(model.wait_until_ended(1).await, StreamEnd::Dropped);
    assert_eq!(session.history(), before);
    assert!(!session.interrupt());
    assert_eq!(say(&session, "next").await.last_message.as_deref(), Some("two"));
    model.assert_complete();
}

#[tokio::test(start_paused = true)]
async fn the_deadline_of_a_turn_holds_for_it_too() {
    let model = ScriptedModel::new().text("one").respond(Answer::never()).text("two");
    let session = open(scripted(&model).turn_deadline(Duration::from_secs(5))).await;
    say(&session, "hello").await;
    let before = session.history();
    let begun = Instant::now();
    let (events, result) = end(session.compact().unwrap()).await;
    let shown = ["started", "compacting manual", "error timeout", "complete -"];
    assert_eq!(events, shown);
    assert_eq!(result.unwrap_err().code(), "timeout");
    assert_eq!(begun.elapsed(), Duration::from_secs(5));
    assert_eq!(session.history(), before);
    say(&session, "next").await;
}
