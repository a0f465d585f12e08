//! Logs for other programs.

use std::collections::BTreeSet;

use jiff::Timestamp;
use longhaul_history::{Item, Role};
use longhaul_rollout::{ReadError, Replay, ReplayConfig, ReplayItem, SessionMeta, replay};
use longhaul_testkit::strategies;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::log::{ID, Log, new, raw, record};

const PLAIN: &str = include_str!("../fixtures/plain.jsonl");
const COMPACTED: &str = include_str!("../fixtures/compacted.jsonl");

fn now() -> Timestamp {
    "2026-11-28T11:30:00+01:00".parse().unwrap()
}

/// With the times of its items.
fn read(log: &[u8]) -> Replay {
    let mut config = ReplayConfig::default();
    config.times = true;
    replay(&log, &(), config).unwrap()
}

fn lines(log: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(log).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn items(replay: &Replay) -> Vec<Item> {
    replay.items.iter().map(|it| it.item.clone()).collect()
}

#[test]
fn a_session_is_told_in_the_words_of_the_format() {
    let mut log = Log::new();
    let settings = |id: &str, policy: &str| {
        json!({"turn_id": id, "model": "m", "approval_policy": policy, "cwd": "/w",
            "effort": "low", "verbosity": "high", "told": true})
    };
    log.add("turn_context", settings("1", "on_request"));
    log.user("<environment_context>\n</environment_context>").user("look");
    log.item(&Item::function_call("c1", "look", "{}"));
    log.item(&Item::function_call_output("c1", longhaul_history::CallOutput::text("no")).failed());
    log.item(&Item::assistant("seen").pinned());
    log.add("event_msg", json!({"type": "task_complete", "turn_id": "1"}));
    log.add("turn_context", settings("2", "always"));
    let image = r#"{"type":"message","role":"user","content":[{"type":"input_text","text":"and "},{"type":"input_image","image_url":"data:x"},{"type":"input_text","text":"this?"}]}"#;
    log.item(&Item::from_json(image).unwrap());
    let reasoning = r#"{"type":"reasoning","summary":[{"type":"summary_text","text":"hm"},{"type":"summary_text","text":"ah"}],"encrypted_content":"e"}"#;
    log.item(&Item::from_json(reasoning).unwrap());
    log.add("event_msg", json!({"type": "token_count", "info": {"a": 1}, "cost": 2, "models": {}}));
    let told = lines(&read(&log.bytes).export(now()).unwrap());

    assert!(told.iter().all(|line| line["timestamp"] == "2026-11-28T10:00:00.000Z"));
    let fields = |line: &Value| line.as_object().unwrap().len();
    assert!(told.iter().all(|line| fields(line) == 3), "nothing but the envelope");
    let context = |policy: &str| {
        let sandbox = json!({"mode": "danger-full-access", "type": "danger-full-access"});
        json!({"cwd": "/w", "approval_policy": policy, "sandbox_policy": sandbox, "model": "m",
            "summary": "none", "effort": "low"})
    };
    let value = |json: &str| serde_json::from_str::<Value>(json).unwrap();
    let user = |text: &str| value(Item::user(text).json());
    let output = json!({"type": "function_call_output", "call_id": "c1", "output": "no"});
    let expected = [
        (
            "session_meta",
            json!({"id": ID, "timestamp": "2026-11-28T10:00:00.000Z", "cwd": "",
            "originator": "longhaul", "cli_version": env!("CARGO_PKG_VERSION"),
            "source": "unknown"}),
        ),
        ("turn_context", context("on-request")),
        ("response_item", user("<environment_context>\n</environment_context>")),
        ("response_item", user("look")),
        ("event_msg", json!({"type": "user_message", "message": "look"})),
        ("response_item", value(Item::function_call("c1", "look", "{}").json())),
        ("response_item", output),
        ("response_item", value(Item::assistant("seen").json())),
        ("event_msg", json!({"type": "agent_message", "message": "seen"})),
        ("turn_context", context("untrusted")),
        ("response_item", value(image)),
        (
            "event_msg",
            json!({"type": "user_message", "message": "and this?", "images": ["data:x"]}),
        ),
        ("response_item", value(reasoning)),
        ("event_msg", json!({"type": "agent_reasoning", "text": "hm"})),
        ("event_msg", json!({"type": "agent_reasoning", "text": "ah"})),
        ("event_msg", json!({"type": "token_count", "info": {"a": 1}, "rate_limits": null})),
    ];
    let found: Vec<(&str, Value)> =
        told.iter().map(|it| (it["type"].as_str().unwrap(), it["payload"].clone())).collect();
    assert_eq!(found, expected);
}

/// The fields of the payloads of a type, of all lines together.
fn fields(lines: &[Value], kind: &str) -> BTreeSet<String> {
    let payloads = lines.iter().filter(|line| line["type"] == kind).map(|line| &line["payload"]);
    payloads.flat_map(|it| it.as_object().unwrap().keys().cloned()).collect()
}

#[test]
fn what_is_exported_has_the_fields_that_codex_writes() {
    let mut log = Log::new();
    log.add("turn_context", json!({"turn_id": "1", "model": "m", "cwd": "/w"})).user("a");
    log.add("event_msg", json!({"type": "token_count", "info": null}));
    let mut replay = log.read().unwrap();
    let meta = replay.meta.as_mut().unwrap();
    (meta.cwd, meta.model_provider) = (Some("/w".into()), Some("openai".into()));
    let ours = lines(&replay.export(now()).unwrap());
    let theirs = lines(PLAIN.as_bytes());
    for kind in ["session_meta", "turn_context"] {
        let (ours, theirs) = (fields(&ours, kind), fields(&theirs, kind));
        assert!(!ours.is_empty() && ours.is_subset(&theirs), "{kind}: {ours:?} {theirs:?}");
    }
    let count = |lines: &[Value]| {
        lines.iter().map(|it| &it["payload"]).find(|it| it["type"] == "token_count").cloned()
    };
    let keys = |value: Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(count(&ours).unwrap()), keys(count(&theirs).unwrap()));
}

#[test]
fn a_log_of_codex_goes_out_as_it_came_in() {
    for log in [PLAIN, COMPACTED] {
        let first = read(log.as_bytes());
        let again = read(&first.export(now()).unwrap());
        assert_eq!(again.items, first.items);
        let id = |replay: &Replay| replay.meta.clone().unwrap().id;
        assert_eq!(id(&again), id(&first));
        let setting = |replay: &Replay, field: &str| -> Value {
            serde_json::from_str::<Value>(replay.settings.as_ref().unwrap().get()).unwrap()[field]
                .clone()
        };
        for field in ["model", "cwd", "approval_policy", "summary"] {
            assert_eq!(setting(&again, field), setting(&first, field), "{field}");
        }
    }
}

#[test]
fn what_was_compacted_away_is_not_in_it_and_a_bridge_is_nobodys_message() {
    let mut log = Log::new();
    log.user("a").user("b");
    log.add("compacted", json!({"replaced": 2, "parts": [new("x"), {"keep": [1, 2]}]}));
    let told = lines(&read(&log.bytes).export(now()).unwrap());
    let items: Vec<_> = told.iter().filter(|it| it["type"] == "response_item").collect();
    let text = |it: &&Value| it["payload"]["content"][0]["text"].as_str().unwrap().to_owned();
    assert_eq!(items.iter().map(text).collect::<Vec<_>>(), ["x", "b"]);
}

/// Of each line, the minute and what it is.
fn minutes(log: &[u8]) -> Vec<String> {
    let minute = |line: &Value| line["timestamp"].as_str().unwrap()[14..16].to_owned();
    let event = |line: &Value| line["payload"]["type"].as_str().unwrap_or_default().to_owned();
    let told = |line: Value| {
        format!("{} {} {}", minute(&line), line["type"].as_str().unwrap(), event(&line))
    };
    lines(log).into_iter().map(told).collect()
}

#[test]
fn what_is_exported_says_when_it_was_recorded() {
    let mut log = Log::new();
    let at = |minute: u8, kind: &str, payload: &Value| {
        let mut record = record(kind, &payload.to_string());
        record.timestamp = format!("2026-11-28T10:{minute:02}:00Z").parse().unwrap();
        record
    };
    let message = |text: &str| serde_json::from_str::<Value>(Item::user(text).json()).unwrap();
    log.seal(&at(1, "turn_context", &json!({"turn_id": "1", "model": "m", "told": false})));
    log.seal(&at(2, "response_item", &message("gone")));
    log.seal(&at(3, "response_item", &message("kept")));
    let input = json!({"id": "i", "state": "accepted", "item": message("waited")});
    log.seal(&at(4, "input", &input));
    log.seal(&at(5, "compacted", &json!({"replaced": 2, "parts": [new("new"), {"keep": [1, 2]}]})));
    log.seal(&at(6, "turn_context", &json!({"turn_id": "2", "model": "m", "told": false})));
    log.seal(&at(7, "response_item", &json!({})).with_input("i"));
    log.seal(&at(8, "event_msg", &json!({"type": "token_count", "info": null})));
    assert_eq!(log.read().unwrap().times, []);
    let replay = read(&log.bytes);
    let minute = |it: &Option<Timestamp>| it.unwrap().strftime("%M").to_string();
    assert_eq!(replay.times.iter().map(minute).collect::<Vec<_>>(), ["05", "03", "04"]);
    let exported = replay.export(now()).unwrap();
    let expected = [
        "00 session_meta ",
        "05 response_item message",
        "05 event_msg user_message",
        "03 turn_context ",
        "03 response_item message",
        "03 event_msg user_message",
        "04 turn_context ",
        "04 response_item message",
        "04 event_msg user_message",
        "04 event_msg token_count",
    ];
    assert_eq!(minutes(&exported), expected);
    let again = read(&exported);
    assert_eq!(again.times, replay.times);

    // What does not say so is of now, also where the time is not the first thing that is said.
    let mut unknown = replay;
    unknown.times[1] = None;
    let exported = unknown.export(now()).unwrap();
    assert_eq!(minutes(&exported)[3..5], ["30 turn_context ", "30 response_item message"]);
    let moved = format!(
        "{{\"type\":\"response_item\",\"payload\":{},\"timestamp\":\"2026-11-28T10:00:00Z\"}}\n",
        message("a")
    );
    let log = [PLAIN.as_bytes(), moved.as_bytes()].concat();
    let times = read(&log).times;
    assert!(times[..times.len() - 1].iter().all(Option::is_some) && times.last() == Some(&None));
}

#[test]
fn a_log_that_names_no_session_is_not_exported() {
    let error = Replay::default().export(now()).unwrap_err();
    assert!(matches!(error, ReadError::NoMeta { torn: None }));
}

fn is_user(item: &Item) -> bool {
    item.kind() == longhaul_history::ItemKind::Message(Role::User)
        && !longhaul_history::turn_item::is_context(item)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn what_is_exported_reads_back_to_the_same_items(
        conversation in strategies::marked_conversation(0..20),
        starts in any::<u32>(),
        settings in strategies::json_object_text(),
    ) {
        let mut session = Replay::default();
        session.meta = Some(SessionMeta::new(ID, now()));
        session.settings = Some(raw(&json!({"model": "m"})));
        session.told = vec![(1, serde_json::value::RawValue::from_string(settings).unwrap())];
        let starts_turn = |index: usize| starts & (1 << (index % 32)) != 0;
        session.items = conversation
            .iter()
            .enumerate()
            .map(|(index, item)| ReplayItem {
                item: item.clone(),
                starts_turn: starts_turn(index),
            })
            .collect();
        session.times = (0..conversation.len()).map(|index| (index % 2 == 0).then(now)).collect();
        let log = session.export(now()).unwrap();
        let again = read(&log);
        prop_assert!(again.is_foreign && again.damage.is_empty() && again.torn.is_none());
        prop_assert!(again.skipped.is_empty());
        let plain: Vec<Item> = conversation.iter().map(Item::unmarked).collect();
        prop_assert_eq!(items(&again), &plain[..]);
        let starts: Vec<bool> = again.items.iter().map(|it| it.starts_turn).collect();
        prop_assert_eq!(starts, plain.iter().map(is_user).collect::<Vec<_>>());
    }
}
