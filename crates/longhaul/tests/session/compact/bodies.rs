//! The whole input of each request of a session with the coding preset, byte for byte where a cache
//! is to find it again.

use longhaul::coding::CodingContext;
use longhaul::compaction::{Bridge, SUMMARIZATION_PROMPT};
use longhaul::prelude::*;
use longhaul::state::protocol::{ApprovalPolicy, Settings};
use longhaul_state::ContextMessages;
use longhaul_state::protocol::SettingsUpdate;
use longhaul_testkit::{ScriptedModel, check};
use serde_json::{Value, json};

use super::support::{open, say};
use crate::support::{Probe, scripted};

fn message(role: &str, text: &str) -> Value {
    let kind = if role == "assistant" { "output_text" } else { "input_text" };
    json!({"type": "message", "role": role, "content": [{"type": kind, "text": text}]})
}

fn bridge(user_messages: &[&str], summary: &str) -> Value {
    let user_messages: Vec<String> = user_messages.iter().map(|text| (*text).into()).collect();
    message("user", &Bridge { user_messages: &user_messages, summary }.render().unwrap())
}

fn coding() -> CodingContext {
    CodingContext::new(Some("British spelling.".into()))
}

/// The context messages for a session in this folder.
fn context(cwd: &str) -> Vec<Value> {
    let mut settings = Settings::new("test-model");
    settings.cwd = Some(cwd.into());
    let items = coding().messages(None, &settings);
    items.iter().map(|item| serde_json::from_str(item.json()).unwrap()).collect()
}

async fn session(model: &ScriptedModel) -> Session {
    let agent = scripted(model).instructions("Be brief.").tool(Probe::echo("echo"));
    open(agent.context(coding()).cwd("/work")).await
}

#[tokio::test]
async fn the_inputs_before_in_and_after_a_compaction() {
    let replies = ["FIRST_REPLY", "SUMMARY", "AFTER_COMPACT_REPLY", "more", "more", "more"];
    let model = replies.into_iter().fold(ScriptedModel::new(), ScriptedModel::text);
    let session = session(&model).await;
    say(&session, "hello world").await;
    session.compact().unwrap().await.unwrap();
    for text in ["AFTER_COMPACT", "AND_AFTER", "AND_AFTER_THAT"] {
        say(&session, text).await;
    }
    let requests = model.requests();
    let inputs: Vec<_> = requests.iter().map(longhaul_testkit::model::Recorded::input).collect();
    let (hello, reply) = (message("user", "hello world"), message("assistant", "FIRST_REPLY"));
    let (prompt, context) = (message("user", SUMMARIZATION_PROMPT), context("/work"));
    assert_eq!(context.len(), 2);
    let first = [hello, reply, prompt];
    assert_eq!(inputs[0], [&context[..], &first[..1]].concat());
    assert_eq!(inputs[1], [&context[..], &first].concat());
    let new = [bridge(&["hello world"], "SUMMARY"), message("user", "AFTER_COMPACT")];
    assert_eq!(inputs[2], [&context[..], &new].concat());

    for (request, choice) in requests.iter().zip(["auto", "none", "auto", "auto", "auto"]) {
        let body = &request.body;
        let key = &requests[0].body["prompt_cache_key"];
        let facts = json!([
            body["instructions"],
            body["tools"][0]["name"],
            body["tool_choice"],
            body["store"],
            body["stream"],
            body["prompt_cache_key"]
        ]);
        assert_eq!(facts, json!(["Be brief.", "echo", choice, false, true, key]));
    }
    // Each continues the one before, but for the first after the compaction.
    for (before, after) in [(0, 1), (2, 3), (3, 4)] {
        check::prefix(&requests[before].bytes, &requests[after].bytes).unwrap();
    }
    check::prefix(&requests[1].bytes, &requests[2].bytes).unwrap_err();
}

/// The context is as it would be written today, once, and nothing of it is told again.
#[tokio::test]
async fn the_context_of_a_compacted_conversation_is_the_present_one() {
    let model = ScriptedModel::new().text("x").repeat_last();
    let session = session(&model).await;
    say(&session, "one").await;
    let cwd = |cwd: &str| {
        let mut change = SettingsUpdate::default();
        change.cwd = Some(cwd.into());
        change
    };
    session.configure(cwd("/other")).await.unwrap();
    say(&session, "two").await;
    session.configure(cwd("/third")).await.unwrap();
    session.compact().unwrap().await.unwrap();
    say(&session, "three").await;
    let input = model.requests().last().unwrap().input();
    let new = [bridge(&["one", "two"], "x"), message("user", "three")];
    assert_eq!(input, [&context("/third")[..], &new].concat());
    // What changes after it is told after it.
    let mut change = SettingsUpdate::default();
    change.approval_policy = Some(ApprovalPolicy::Never);
    session.configure(change).await.unwrap();
    say(&session, "four").await;
    let input = model.requests().last().unwrap().input();
    let told = input[input.len() - 2]["content"][0]["text"].as_str().unwrap().to_owned();
    let policy = "<environment_context>\n  <approval_policy>never</approval_policy>\n\
        </environment_context>";
    assert_eq!(told, policy);
}
