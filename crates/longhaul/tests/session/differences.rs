//! What differs when a kept session is opened again is told, and nothing else is.

use std::sync::Arc;

use async_trait::async_trait;
use longhaul::AgentBuilder;
use longhaul::approval::Approvals;
use longhaul::prelude::*;
use longhaul::rollout::{LogRef, MemoryStore, OnDamage, Record, RecordKind, SessionMeta, Store};
use longhaul::state::protocol::{ApprovalPolicy, SettingsUpdate};
use longhaul::tool::{ToolCall, ToolSpec};
use longhaul_testkit::ScriptedModel;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::value::to_raw_value;
use serde_json::{Value, json};

use super::support::{in_virtual_time, scripted};

/// A tool with a definition that says which version it is.
struct Versioned(&'static str, u8);

#[async_trait]
impl Tool for Versioned {
    fn spec(&self) -> ToolSpec {
        ToolSpec::function(self.0, format!("version {}", self.1), json!({"type": "object"}))
    }

    async fn call(&self, _: ToolCall, _: ToolContext) -> ToolOutput {
        ToolOutput::text("")
    }
}

fn agent(store: &MemoryStore, tools: &[(&'static str, u8)], hosted: &[Value]) -> AgentBuilder {
    let agent = scripted(&ScriptedModel::new()).store(store.clone()).cwd("/a");
    let agent = tools.iter().fold(agent, |agent, it| agent.tool(Versioned(it.0, it.1)));
    hosted.iter().fold(agent, |agent, it| agent.hosted_tool(it.clone()))
}

fn log(store: &MemoryStore, id: &str) -> String {
    String::from_utf8(store.bytes(id).unwrap()).unwrap()
}

/// A session that is left at once; gives its id.
async fn left(agent: AgentBuilder) -> String {
    let session = agent.build().unwrap().session().start().await.unwrap();
    session.shutdown().await.unwrap();
    session.id().to_owned()
}

/// Opens the session again and changes these settings; gives what is told to differ.
async fn differences(
    agent: AgentBuilder,
    id: &str,
    change: impl FnOnce(&mut SettingsUpdate),
) -> Vec<String> {
    let mut update = SettingsUpdate::default();
    change(&mut update);
    let agent = agent.build().unwrap();
    let opening = agent.session().resume(LogRef::Id(id.into()), OnDamage::Refuse);
    let session = opening.settings(update).start().await.unwrap();
    session.shutdown().await.unwrap();
    session.resumed().unwrap().differences.clone()
}

#[tokio::test]
async fn each_difference_is_told_once_and_quotes_no_text() {
    let store = MemoryStore::new();
    let hosted = [json!({"type": "web_search"}), json!({"type": "mcp"})];
    let first = agent(&store, &[("a", 1), ("b", 1), ("c", 1)], &hosted);
    let id = left(first.instructions("the key is s3cret")).await;

    let hosted = [json!({"type": "mcp", "headers": {"key": "s3cret"}}), json!({"type": "x"})];
    let tools = [("d", 1), ("c", 1), ("b", 2)];
    let second = || agent(&store, &tools, &hosted).instructions("the key is an0ther");
    let update = |it: &mut SettingsUpdate| {
        it.model = Some("other".into());
        it.effort = Some(Some("high".into()));
        it.summary = Some("auto".into());
        it.approval_policy = Some(ApprovalPolicy::Never);
        it.cwd = Some("/b".into());
    };
    let expected = [
        "the model is `other`; it was `test-model`",
        "the effort is `high`; it was not set",
        "the summary of reasoning is `auto`; it was not set",
        "the approval policy is `never`; it was `on_request`",
        "the folder is `/b`; it was `/a`",
        "the instructions changed",
        "tool `a` is gone",
        "tool `b` has another definition",
        "tool `d` is new",
        "hosted tool `mcp` has another definition",
        "hosted tool `web_search` is gone",
        "hosted tool `x` is new",
    ];
    assert_eq!(differences(second(), &id, update).await, expected);
    assert_eq!(differences(second(), &id, update).await, [""; 0], "it is as it was left");

    let bare = || agent(&store, &tools, &hosted);
    let told = differences(bare(), &id, |it| it.effort = Some(None)).await;
    assert_eq!(told, ["the effort is not set; it was `high`", "the instructions are gone"]);
    let told = differences(second(), &id, |_| ()).await;
    assert_eq!(told, ["instructions were added"]);
    let log = log(&store, &id);
    assert!(log.contains(
        r#""type":"session_opened","payload":{"differences":["instructions were added"]}"#
    ));
    for secret in ["s3cret", "an0ther"] {
        assert!(!log.contains(secret), "digests alone are kept");
    }
}

#[tokio::test]
async fn tools_that_came_later_are_those_that_it_was_left_with() {
    let store = MemoryStore::new();
    let session = agent(&store, &[("a", 1)], &[]).build().unwrap().session().start().await.unwrap();
    session.set_tools(&[Arc::new(Versioned("b", 1))]).await.unwrap();
    session.shutdown().await.unwrap();
    let told = differences(agent(&store, &[("b", 1)], &[]), session.id(), |_| ()).await;
    assert_eq!(told, [""; 0]);
    let told = differences(agent(&store, &[("a", 1)], &[]), session.id(), |_| ()).await;
    assert_eq!(told, ["tool `b` is gone", "tool `a` is new"]);
}

/// The one who served it last counts, not the one who did first.
#[tokio::test]
async fn another_provider_is_told_once() {
    let store = MemoryStore::new();
    let served = |name: &str| {
        let mut provider = Provider::custom("http://127.0.0.1:9").unwrap();
        provider.name = name.into();
        longhaul::Agent::builder("m", provider).store(store.clone())
    };
    let id = left(served("here")).await;
    let told = differences(served("there"), &id, |_| ()).await;
    assert_eq!(told, ["the provider is `there`; it was `here`"]);
    assert_eq!(differences(served("there"), &id, |_| ()).await, [""; 0]);
}

/// As logs were before they had such a record, and those of a salvage that lost it.
#[tokio::test]
async fn what_a_log_does_not_say_differs_in_nothing() {
    let store = MemoryStore::new();
    let id = "01a20298-0571-7a40-bd9c-36a08a0bd337";
    let now = "2026-11-28T10:00:00Z".parse().unwrap();
    let meta = to_raw_value(&SessionMeta::new(id, now)).unwrap();
    let meta = Record::new(now, RecordKind::SessionMeta, meta);
    store.create(vec![meta]).await.unwrap().close().await.unwrap();
    let agent = || agent(&store, &[("a", 1)], &[]).instructions("brief");
    let told = differences(agent(), id, |it| it.model = Some("m".into())).await;
    assert_eq!(told, [""; 0]);
    let told = differences(agent(), id, |it| it.model = Some("n".into())).await;
    assert_eq!(told, ["the model is `n`; it was `m`"], "now it says");
}

/// As a later version may write it. All that can be read holds.
#[tokio::test]
async fn what_cannot_be_read_is_told_and_an_unknown_policy_asks_for_all() {
    let store = MemoryStore::new();
    let agent = || {
        let agent = agent(&store, &[("a", 1)], &[]).approval_policy(ApprovalPolicy::Never);
        agent.approvals(Approvals::answered())
    };
    let id = left(agent()).await;
    let which = LogRef::Id(id.clone());
    let mut writer = store.open(&which, OnDamage::Refuse).await.unwrap().writer;
    let now = "2026-11-28T10:00:00Z".parse().unwrap();
    let records = [
        (RecordKind::EventMsg, json!({"type": "token_count", "info": 7, "cost": 2.5})),
        (RecordKind::Breaker, json!({"stalls": "some"})),
        (RecordKind::Grant, json!({"digest": "sha-4"})),
        (RecordKind::Surface, json!({"tools": 7})),
        (
            RecordKind::Settings,
            json!({"model": "m", "approval_policy": "at_dawn", "cwd": "/x", "verbosity": 11}),
        ),
    ];
    let record = |(kind, payload)| Record::new(now, kind, to_raw_value(&payload).unwrap());
    writer.append(records.map(record).into()).await.unwrap();
    writer.close().await.unwrap();
    let line = log(&store, &id).lines().count();

    let unread = [
        "which tools and instructions the session had cannot be read; approvals for its length are over"
            .to_owned(),
        format!(
            "the settings in line {line} of the log: `approval_policy` cannot be read (\"at_dawn\"); \
             all calls are asked for"
        ),
        format!(
            "the settings in line {line} of the log: `verbosity` cannot be read (11); \
             what the session is opened with holds"
        ),
        "the sums in the log: `info` cannot be read (7); it is left out".to_owned(),
        "what is remembered of automatic compactions cannot all be read; some that led nowhere may be tried again"
            .to_owned(),
        "an approval for the session's length cannot be read; it is over".to_owned(),
    ];
    let before = log(&store, &id);
    let nobody = self::agent(&store, &[("a", 1)], &[]).build().unwrap();
    let refused = nobody.session().resume(which.clone(), OnDamage::Refuse).start().await;
    let error = refused.unwrap_err().to_string();
    assert!(error.contains(&unread[1]) && error.contains("nobody answers"), "{error}");
    assert_eq!(log(&store, &id), before);

    let opening = agent().build().unwrap().session().resume(which, OnDamage::Refuse);
    let session = opening.start().await.unwrap();
    assert_eq!(session.resumed().unwrap().differences, unread);
    let settings = session.settings();
    let expected = ("m", ApprovalPolicy::Always, Some("/x".into()));
    assert_eq!((&*settings.model, settings.approval_policy, settings.cwd), expected);
    session.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_fork_differs_from_nothing() {
    let store = MemoryStore::new();
    let model = ScriptedModel::new().text("one").text("two");
    let agents = |version| {
        scripted(&model).store(store.clone()).tool(Versioned("a", version)).build().unwrap()
    };
    let session = agents(1).session().start().await.unwrap();
    for text in ["a", "b"] {
        session.prompt(text).await.unwrap().await.unwrap();
    }
    let live = agents(2).session().fork(&session, 1).unwrap().start().await.unwrap();
    session.shutdown().await.unwrap();
    let which = LogRef::Id(session.id().to_owned());
    let kept = agents(2).session().fork_log(which, 1).start().await.unwrap();
    for fork in [live, kept] {
        assert!(fork.resumed().is_none());
        fork.shutdown().await.unwrap();
        let again = agents(2).session().resume(LogRef::Id(fork.id().into()), OnDamage::Refuse);
        let again = again.start().await.unwrap();
        assert_eq!(again.resumed().unwrap().differences, [""; 0], "its own tools, from the start");
    }
}

proptest! {
    /// Whatever the order of the tools, and however often it is opened.
    #[test]
    fn an_unchanged_session_differs_in_nothing(orders in vec(Just(vec![0, 1, 2, 3]).prop_shuffle(), 2..8)) {
        let tools = [("a", 1), ("b", 1), ("c", 1), ("d", 1)];
        // Two of one type.
        let hosted = ["m1", "m2", "n", "o"].map(|it| json!({"type": it[..1], "label": it}));
        in_virtual_time(async {
            let store = MemoryStore::new();
            let ordered = |order: &[usize]| {
                let tools: Vec<_> = order.iter().map(|it| tools[*it]).collect();
                let hosted: Vec<_> = order.iter().map(|it| hosted[*it].clone()).collect();
                agent(&store, &tools, &hosted).instructions("brief")
            };
            let id = left(ordered(&orders[0])).await;
            let before = log(&store, &id).lines().count();
            for order in &orders[1..] {
                assert_eq!(differences(ordered(order), &id, |_| ()).await, [""; 0]);
            }
            let now = log(&store, &id).lines().count();
            assert_eq!(now, before + orders.len() - 1, "each opening is one record");
        });
    }
}
