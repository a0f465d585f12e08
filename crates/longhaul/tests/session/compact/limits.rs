//! Conversations are compacted by themselves when the last response says that the limit is reached.

use longhaul::prelude::*;
use longhaul::state::protocol::TurnError;
use longhaul_testkit::ScriptedModel;
use longhaul_testkit::sse::ResponseBuilder;
use serde_json::Value;

use super::support::{all, bridge, end, kinds, last_sent, open, prompt, say, sent, told};
use crate::support::{line, scripted};

const COMPACTED: [&str; 3] =
    ["item+ compaction", "item= compaction", "compacted auto summarise requests 1"];

#[tokio::test]
async fn the_limit_is_seen_in_the_last_response_and_acted_on_before_the_next_request() {
    let model = ScriptedModel::new()
        .usage(70_000, 0)
        .text("one")
        .usage(330_000, 0)
        .text("two")
        .usage(200, 0)
        .text("SUMMARY")
        .usage(300, 0)
        .text("three");
    let agent = scripted(&model).instructions("Be brief.").context_window(1_000_000);
    let session = open(agent.auto_compact_token_limit(200_000)).await;
    say(&session, "first").await;
    let events = told(&session, "second").await;
    assert_eq!(events.last().unwrap(), "complete two");
    assert_eq!(kinds(&model), ["standard"; 2], "an answer is an answer, however long");
    let events = told(&session, "third").await;
    let mut expected = vec!["started", "item+ user", "item= user third", "compacting auto"];
    expected.push("tokens 400200");
    expected.extend(COMPACTED);
    expected.extend(["tokens 400200", "item+ agent", "text three", "item= agent three"]);
    expected.extend(["tokens 400500", "complete three"]);
    assert_eq!(events, expected, "no events of a turn within the turn");

    assert_eq!(kinds(&model), ["standard", "standard", "compact", "standard"]);
    let whole = ["user first", "assistant one", "user second", "assistant two", "user third"];
    assert_eq!(sent(&model, 2), [&whole[..], &[&prompt()]].concat(), "with what is pending");
    let bridge = bridge(&["first", "second"], "SUMMARY");
    assert_eq!(sent(&model, 3), [&bridge, "user third"], "which stays as it is");
    let requests = model.requests();
    assert_eq!(requests[2].body["instructions"], "Be brief.");
    let (info, _) = session.token_count();
    let info = info.unwrap();
    assert_eq!((info.total_token_usage.total, info.last_token_usage.total), (400_500, 300));
    assert_eq!(info.model_context_window, Some(950_000));
    model.assert_complete();
}

#[tokio::test]
async fn a_limit_is_reached_by_the_last_token_and_not_by_reasoning() {
    let usage = |input: u64, output: u64, reasoning: u64| longhaul_testkit::sse::Usage {
        input_tokens: input,
        output_tokens: output,
        reasoning_tokens: reasoning,
        ..longhaul_testkit::sse::Usage::default()
    };
    let table = [
        (usage(190, 9, 0), false),
        (usage(190, 10, 0), true),
        (usage(190, 100, 91), false),
        (usage(190, 100, 90), true),
        (usage(0, 0, 0), false),
    ];
    for (usage, is_reached) in table {
        let model = ScriptedModel::new().usage_full(usage).text("one").usage(9, 0).text("x");
        let model = model.repeat_last();
        let session = open(scripted(&model).auto_compact_token_limit(200)).await;
        say(&session, "first").await;
        say(&session, "second").await;
        let compaction = is_reached.then_some("compact");
        let expected: Vec<_> =
            ["standard"].into_iter().chain(compaction).chain(["standard"]).collect();
        assert_eq!(kinds(&model), expected, "{usage:?}");
    }
}

/// A server that reports nothing, or 0, never reaches a limit.
#[tokio::test]
async fn without_usage_no_limit_is_reached() {
    let silent = || {
        let mut events = ResponseBuilder::new().text("x").completed();
        events.last_mut().unwrap()["response"]["usage"] = Value::Null;
        events
    };
    let zero = || ResponseBuilder::new().text("x").usage(0, 0).completed();
    for answer in [silent(), zero()] {
        let model = ScriptedModel::new().respond(answer).repeat_last();
        let session = open(scripted(&model).auto_compact_token_limit(1)).await;
        for _ in 0..5 {
            say(&session, "go on").await;
        }
        assert_eq!(kinds(&model), ["standard"; 5]);
    }
}

/// The usage of the last response alone counts: one that says nothing leaves the limit unreached.
#[tokio::test]
async fn what_an_earlier_response_said_does_not_count() {
    let mut silent = ResponseBuilder::new().text("two").completed();
    silent.last_mut().unwrap()["response"]["usage"] = Value::Null;
    let model = ScriptedModel::new().usage(500, 0).text("one").respond(ResponseBuilder::new());
    let model = model.respond(silent).text("three");
    let session = open(scripted(&model).auto_compact_token_limit(200)).await;
    for turn in ["first", "second", "third"] {
        say(&session, turn).await;
    }
    assert_eq!(kinds(&model), ["standard", "compact", "standard", "standard"]);
    model.assert_complete();
}

/// The limit is still reached right after a compaction.
fn still_above(last: ResponseBuilder) -> ScriptedModel {
    ScriptedModel::new()
        .usage(495, 5)
        .call("c1", "nothing", "{}")
        .usage(45, 5)
        .text("SUMMARY")
        .respond(last.usage(495, 5))
        .usage(95, 5)
        .text("go on")
}

#[tokio::test]
async fn where_a_compaction_does_not_help_the_answer_is_given_and_the_limit_told() {
    let model = still_above(ResponseBuilder::new().text("answer"));
    let session = open(scripted(&model).auto_compact_token_limit(200)).await;
    let mut turn = session.prompt("go").await.unwrap();
    let mut events = Vec::new();
    let mut told = None;
    while let Some(event) = turn.next().await {
        events.push(line(&event));
        if let Event::Warning(TurnError::StillAboveLimit { tokens, limit }) = event {
            told = Some((tokens, limit));
        }
    }
    let end = ["tokens 1050", "warning still_above_limit", "complete answer"];
    assert_eq!(events[events.len() - 3..], end);
    assert_eq!(told, Some((500, 200)));
    assert_eq!(turn.await.unwrap().last_message.as_deref(), Some("answer"));
    assert_eq!(kinds(&model), ["standard", "compact", "standard"], "three requests in all");

    let events = self::told(&session, "next").await;
    assert_eq!(events.last().unwrap(), "complete go on");
    assert!(!events.iter().any(|event| event.contains("warning")), "told once: {events:?}");
    assert_eq!(kinds(&model), ["standard", "compact", "standard", "standard"]);
    model.assert_complete();
}

#[tokio::test]
async fn where_a_compaction_does_not_help_a_turn_that_would_go_on_ends() {
    let model = still_above(ResponseBuilder::new().call("c2", "nothing", "{}"));
    let session = open(scripted(&model).auto_compact_token_limit(200)).await;
    let (events, result) = end(session.prompt("go").await.unwrap()).await;
    let last = ["end c2 failed unsupported call: nothing", "error still_above_limit", "complete -"];
    assert_eq!(events[events.len() - 3..], last);
    let error = result.unwrap_err();
    assert_eq!((error.code(), error.is_retryable()), ("still_above_limit", false));
    let message = error.to_string();
    assert!(message.contains("500") && message.contains("200"), "{message}");
    assert_eq!(kinds(&model), ["standard", "compact", "standard"]);

    let events = told(&session, "next").await;
    assert_eq!(events.last().unwrap(), "complete go on");
    assert!(!events.iter().any(|event| event.contains("still_above")), "{events:?}");
    assert_eq!(kinds(&model)[3..], ["standard"], "without a compaction");
    model.assert_complete();
}

#[tokio::test]
async fn several_compactions_of_one_turn_carry_what_the_tools_gave() {
    let model = ScriptedModel::new()
        .usage(495, 5)
        .call("c1", "unsupported_tool", "1")
        .usage(45, 5)
        .text("FIRST SUMMARY")
        .usage(145, 5)
        .call("c2", "unsupported_tool", "2")
        .usage(445, 5)
        .call("c3", "unsupported_tool", "3")
        .usage(55, 5)
        .text("SECOND SUMMARY")
        .usage(115, 5)
        .text("answer");
    let session = open(scripted(&model).auto_compact_token_limit(200)).await;
    let events = session.events();
    let result = say(&session, "go").await;
    assert_eq!(result.last_message.as_deref(), Some("answer"));
    assert_eq!((result.model_calls, result.attempts, result.usage.total), (4, 6, 1330));
    let shown = all(&session, events).await;
    let count = |what: &str| shown.iter().filter(|event| event.ends_with(what)).count();
    assert_eq!((count("started"), count("complete answer")), (1, 1), "{shown:?}");
    assert_eq!(count("compacted auto summarise requests 1"), 2);
    let turn = shown[0].strip_suffix("started").unwrap();
    assert!(shown.iter().all(|event| event.starts_with(turn)), "one turn, one id: {shown:?}");

    let expected = ["standard", "compact", "standard", "standard", "compact", "standard"];
    assert_eq!(kinds(&model), expected);
    let output = |n: u32| format!("output c{n} unsupported call: unsupported_tool");
    let call = |n: u32| format!("call c{n} unsupported_tool {n}");
    let first = bridge(&["go"], "FIRST SUMMARY");
    assert_eq!(sent(&model, 1), ["user go", &call(1), &output(1), &prompt()]);
    assert_eq!(sent(&model, 2), std::slice::from_ref(&first));
    assert_eq!(sent(&model, 3), [first.clone(), call(2), output(2)]);
    assert_eq!(
        sent(&model, 4),
        [first, call(2), output(2), call(3), output(3), prompt()],
        "the old bridge is seen once more, and then gone"
    );
    assert_eq!(sent(&model, 5), [bridge(&["go"], "SECOND SUMMARY")]);
    model.assert_complete();
}

#[tokio::test]
async fn the_outputs_of_tools_come_before_the_compaction() {
    let model = ScriptedModel::new()
        .usage(45, 5)
        .call("c1", "unsupported_tool", "{}")
        .usage(91, 5)
        .call("c2", "unsupported_tool", "{}")
        .usage(9, 1)
        .text("SUMMARY")
        .text("answer");
    let agent = scripted(&model).context_window(100).auto_compact_token_limit(90);
    let session = open(agent).await;
    let (events, result) = end(session.prompt("go").await.unwrap()).await;
    assert_eq!(result.unwrap().last_message.as_deref(), Some("answer"));
    let at = |what: &str| events.iter().position(|event| event == what).unwrap();
    let output = at("end c2 failed unsupported call: unsupported_tool");
    assert_eq!(at("compacting auto"), output + 1, "{events:?}");
    assert_eq!(kinds(&model), ["standard", "standard", "compact", "standard"]);
    let output = |n: u32| format!("output c{n} unsupported call: unsupported_tool");
    assert_eq!(sent(&model, 1)[2], output(1));
    assert_eq!(sent(&model, 2)[4..], [output(2), prompt()]);
    assert_eq!(last_sent(&model), [bridge(&["go"], "SUMMARY")]);
    model.assert_complete();
}
