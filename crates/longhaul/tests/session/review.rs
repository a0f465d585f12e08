//! Reviews, over a conversation of their own.

use std::sync::Arc;

use longhaul::coding::CodingContext;
use longhaul::coding::review::RUBRIC;
use longhaul::prelude::*;
use longhaul::state::protocol::{AbortReason, TurnEnd};
use longhaul_testkit::ScriptedModel;
use longhaul_testkit::model::Answer;
use longhaul_testkit::server::Gate;
use longhaul_testkit::sse::ResponseBuilder;
use serde_json::json;

use super::support::{Probe, Yielding, conversation, ends, items, line, lines, scripted, until};

const FINDING: &str = r#"{"findings":[{"title":"Prefer Stylize helpers","body":"Use them.",
    "confidence_score":0.9,"priority":1,"code_location":
    {"absolute_file_path":"/tmp/file.rs","line_range":{"start":10,"end":20}}}],
    "overall_correctness":"patch is correct","overall_explanation":"All good.",
    "overall_confidence_score":0.8}"#;

#[tokio::test]
async fn t085_a_review_tells_its_result_once_and_leaves_a_note() {
    let model = ScriptedModel::new()
        .text("hello")
        .respond(ResponseBuilder::new().reasoning("looking", None).text(FINDING))
        .text("done");
    let agent = scripted(&model)
        .instructions("be brief")
        .context(CodingContext::new(Some("always rhyme".into())))
        .review_model("reviewer")
        .hosted_tool(json!({"type": "web_search"}))
        .cwd("/work");
    let session = agent.build().unwrap().session().start().await.unwrap();
    session.prompt("hi").await.unwrap().await.unwrap();
    let mut turn = session.review("look at the last commit").unwrap();
    let mut outputs = Vec::new();
    let mut seen = Vec::new();
    while let Some(event) = turn.next().await {
        seen.push(line(&event));
        if let Event::ExitedReviewMode { output } = event {
            outputs.push(output.unwrap());
        }
    }
    assert_eq!(outputs.len(), 1);
    assert_eq!(
        serde_json::to_value(&outputs[0]).unwrap(),
        serde_json::from_str::<serde_json::Value>(FINDING).unwrap()
    );
    assert_eq!(seen[..2], ["started", "EnteredReviewMode { prompt: \"look at the last commit\" }"]);
    assert!(seen.iter().any(|line| line == "item= reasoning"), "what it thinks is shown: {seen:?}");
    let says = |line: &String| line.starts_with("text") || line.starts_with("item= agent");
    assert!(!seen.iter().any(says), "what it says is not: {seen:?}");
    assert_eq!(turn.await.unwrap().last_message.as_deref(), Some(FINDING));

    // T89: a history of its own, and its own instructions and model.
    assert_eq!(model.requests()[0].body["tools"][0]["type"], "web_search");
    let request = model.requests()[1].clone();
    let body = &request.body;
    assert!(body["tools"].as_array().is_none_or(Vec::is_empty), "the server runs nothing for it");
    assert_eq!(
        (&body["model"], &body["instructions"], &body["reasoning"]["effort"]),
        (&json!("reviewer"), &json!(RUBRIC), &json!("low"))
    );
    let input = items(&request.input());
    assert_eq!((input.len(), &*input[1]), (2, "user look at the last commit"));
    assert!(input[0].starts_with("user <environment_context>"), "{input:?}");

    // T90: of it all the session's model learns the note.
    session.prompt("thanks").await.unwrap().await.unwrap();
    let input = items(&model.requests()[2].input());
    let note = &input[input.len() - 2];
    assert!(note.contains("- Prefer Stylize helpers — /tmp/file.rs:10-20"), "{note}");
    assert_eq!(input.last().unwrap(), "user thanks");
    assert_eq!(input.len(), 6, "context, hi, hello, note, thanks: {input:?}");
    assert!(!input.iter().any(|item| item.contains("look at the last commit")));
    assert_eq!(session.history().user_message_count(), 2, "the note is not the user's");
    let total = session.token_count().0.unwrap().total_token_usage.total;
    assert_eq!(total, 45, "what it used is the session's");
    model.assert_complete();
}

#[tokio::test]
async fn t086_a_plain_text_is_the_explanation() {
    let model = ScriptedModel::new().text("just words");
    let session = scripted(&model).build().unwrap().session().start().await.unwrap();
    let mut turn = session.review("look").unwrap();
    let mut seen = None;
    while let Some(event) = turn.next().await {
        if let Event::ExitedReviewMode { output } = event {
            seen = output;
        }
    }
    assert_eq!(seen.unwrap().overall_explanation, "just words");
    assert_eq!(session.review(" ").err().unwrap().code(), "invalid_submission");
}

#[tokio::test]
async fn t081_an_interrupted_review_ends_once_with_one_note() {
    let mut interrupted = 0;
    for index in 0.. {
        let answer = |calls| match calls {
            0 => ResponseBuilder::new().reasoning("hm", None).call("c1", "look", "{}"),
            _ => ResponseBuilder::new().text("fine"),
        };
        let model = ScriptedModel::new()
            .respond_with(move |request| {
                let outputs =
                    request.input().iter().filter(|i| i["type"] == "function_call_output").count();
                Answer::from(answer(outputs))
            })
            .repeat_last();
        let agent = longhaul::Agent::builder("m", Arc::new(Yielding(model.clone())));
        let session =
            agent.tool(Probe::echo("look")).build().unwrap().session().start().await.unwrap();
        let mut turn = session.review("look").unwrap();
        let mut seen = Vec::new();
        let mut exits = Vec::new();
        while let Some(event) = turn.next().await {
            if seen.len() == index {
                session.interrupt();
            }
            seen.push(line(&event));
            if let Event::ExitedReviewMode { output } = event {
                exits.push(output.is_some());
            }
        }
        let reached = seen.len() > index;
        assert_eq!((ends(&seen), exits.len()), (1, 1), "{index}: {seen:?}");
        let result = turn.await.unwrap();
        assert_eq!(exits[0], !result.is_interrupted(), "{index}: {seen:?}");
        interrupted += usize::from(result.is_interrupted());
        let history = conversation(&session.history());
        assert_eq!(history.len(), 1, "{index}: {history:?}");
        assert_eq!(history[0].contains("interrupted"), result.is_interrupted(), "{index}");
        session.prompt("and now?").await.unwrap().await.unwrap();
        assert_eq!(model.problems(), [""; 0], "{index}");
        if !reached {
            break;
        }
    }
    assert!(interrupted > 8, "{interrupted}");
}

#[tokio::test]
async fn a_review_replaces_the_running_turn_and_input_waits_for_its_end() {
    let gate = Gate::new("review");
    let model = ScriptedModel::new().hang().hold(&gate).text("fine").text("next");
    let session = scripted(&model).build().unwrap().session().start().await.unwrap();
    let running = session.prompt("a").await.unwrap();
    model.wait_for_requests(1).await;
    let mut review = session.review("look").unwrap();
    assert_eq!(running.await.unwrap().end, TurnEnd::Aborted(AbortReason::Replaced));
    gate.reached().await;
    let steered = session.steer("b").await.unwrap();
    let compaction = session.compact().unwrap();
    gate.open();
    assert!(until(&mut review, |line| line.starts_with("complete")).await.len() > 2);
    assert_eq!(items(&model.requests()[1].input())[1..], ["user look"]);
    assert_eq!(steered.await.unwrap().last_message.as_deref(), Some("next"));
    let _ = compaction.await;
    let history = conversation(&session.history());
    assert!(history.iter().any(|item| item == "user b"), "{history:?}");
}

#[tokio::test]
async fn a_long_review_compacts_its_own_history_alone() {
    let model = ScriptedModel::new()
        .text("hello")
        .usage(95_000, 10)
        .call("c1", "look", "{}")
        .usage(50, 5)
        .text("SUMMARY OF THE REVIEW")
        .usage(100, 5)
        .text("all fine");
    let agent = scripted(&model).tool(Probe::echo("look")).auto_compact_token_limit(90_000);
    let session = agent.build().unwrap().session().start().await.unwrap();
    session.prompt("hi").await.unwrap().await.unwrap();
    let before = conversation(&session.history());
    let mut turn = session.review("look").unwrap();
    let seen = lines(&mut turn).await;
    assert!(seen.iter().any(|l| l.starts_with("compacted auto summarise")), "{seen:?}");
    assert_eq!(turn.await.unwrap().last_message.as_deref(), Some("all fine"));
    let after = conversation(&session.history());
    assert_eq!(after[..2], before[..], "the session's own is untouched");
    assert_eq!(after.len(), 3);
    let last = items(&model.requests()[3].input());
    assert!(last.iter().any(|item| item.contains("SUMMARY OF THE REVIEW")), "{last:?}");
    assert!(!last.iter().any(|item| item == "user hi"), "{last:?}");
    model.assert_complete();
}

#[tokio::test]
async fn a_review_that_fails_says_so_and_leaves_a_note() {
    let model = ScriptedModel::new();
    let session = scripted(&model).build().unwrap().session().start().await.unwrap();
    let mut turn = session.review("look").unwrap();
    let seen = lines(&mut turn).await;
    assert_eq!(
        seen[seen.len() - 3..],
        ["ExitedReviewMode { output: None }", "error invalid_request", "complete -"]
    );
    assert_eq!(conversation(&session.history()).len(), 1);
}
