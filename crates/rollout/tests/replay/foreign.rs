//! Logs of other programs.

use longhaul_history::{BridgeParts, Item};
use longhaul_rollout::{Error, Flaw, OnDamage, ReadError, Replay, Torn, replay};
use serde_json::{Value, json};

use crate::log::{ID, outline, record, text};

const PLAIN: &str = include_str!("../fixtures/plain.jsonl");
const TOOLS: &str = include_str!("../fixtures/tools.jsonl");
const COMPACTED: &str = include_str!("../fixtures/compacted.jsonl");

fn read(log: &str) -> Replay {
    replay(&log.as_bytes(), &(), OnDamage::Refuse).unwrap()
}

fn value(json: &str) -> Value {
    serde_json::from_str(json).unwrap()
}

/// One line of a log as the seed wrote it.
fn line(kind: &str, payload: &Value) -> String {
    let mut line = Vec::new();
    record(kind, &payload.to_string()).encode(&mut line);
    String::from_utf8(line).unwrap()
}

fn user(text: &str) -> String {
    line("response_item", &value(Item::user(text).json()))
}

fn meta() -> String {
    line("session_meta", &json!({"id": ID, "timestamp": "then", "cwd": 7, "cli_version": "0.1"}))
}

fn payloads<'a>(log: &'a str, kind: &'a str) -> impl Iterator<Item = Value> + 'a {
    let records = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    records.filter(move |it| it["type"] == kind).map(|mut it| it["payload"].take())
}

#[test]
fn logs_of_codex_are_read() {
    for log in [PLAIN, TOOLS] {
        let replay = read(log);
        let items: Vec<Value> =
            replay.items.iter().map(|it| serde_json::to_value(&it.item).unwrap()).collect();
        assert_eq!(items, payloads(log, "response_item").collect::<Vec<_>>());
        assert!(replay.is_foreign && replay.turn.is_none() && replay.damage.is_empty());
        assert_eq!((replay.epoch, replay.next_ordinal), (0, log.lines().count() as u64));
        assert_eq!(replay.good_len, log.len() as u64);
        let usage = payloads(log, "event_msg").filter(|it| it["type"] == "token_count").last();
        assert_eq!(replay.token_count.map(|it| value(it.get())), usage);
    }
}

#[test]
fn a_compaction_of_codex_leaves_the_list_that_it_holds() {
    let replay = read(COMPACTED);
    let compacted = payloads(COMPACTED, "compacted").next().unwrap();
    let mut expected = compacted["replacement_history"].as_array().unwrap().clone();
    expected.extend(payloads(COMPACTED, "response_item").last());
    let items: Vec<Value> =
        replay.items.iter().map(|it| serde_json::to_value(&it.item).unwrap()).collect();
    assert_eq!(items, expected);
    let meta = replay.meta.unwrap();
    assert_eq!((meta.id.as_str(), meta.originator.as_deref()), (ID, Some("codex_exec")));
    assert_eq!((meta.format_version, meta.source.as_deref()), (None, Some("exec")));
}

#[test]
fn a_compaction_of_the_seed_leaves_a_bridge() {
    let mut log = meta() + &user("<environment_context>\n</environment_context>") + &user("a");
    log += &(user("b") + &line("compacted", &json!({"message": "so far"})) + &user("c"));
    let parts = |replay: &Replay| replay.items[0].item.bridge_parts().unwrap();
    let user_messages = |texts: &[&str]| texts.iter().map(|it| (*it).to_owned()).collect();
    let read_once = read(&log);
    let expected =
        BridgeParts { user_messages: user_messages(&["a", "b"]), summary: "so far".into() };
    assert_eq!((read_once.items.len(), parts(&read_once)), (2, expected));
    assert!(text(&read_once.items[0].item).ends_with("\n\na\n\nb\n\nAnother model worked on it until here, with the same tools and in the same place. Build on its work and repeat none of it. This is its summary:\n\nso far"));

    log += &line("compacted", &json!({"message": ""}));
    let expected =
        BridgeParts { user_messages: user_messages(&["a", "b", "c"]), summary: String::new() };
    let read_twice = read(&log);
    assert_eq!((read_twice.items.len(), parts(&read_twice)), (1, expected));
    assert!(text(&read_twice.items[0].item).ends_with("\n\n(no summary available)"));
    let empty = read(&(meta() + &line("compacted", &json!({"message": "x"}))));
    assert!(text(&empty.items[0].item).contains("\n\n(none)\n\n"));
}

#[test]
fn turns_start_with_what_the_user_says() {
    let log = meta() + &user("<user_instructions>x</user_instructions>") + &user("a");
    let log = log + &line("turn_context", &json!({"model": "m"}));
    let log = log + &line("response_item", &value(Item::assistant("b").json())) + &user("c");
    let replay = read(&log);
    assert_eq!(outline(&replay), "<user_instructions>x</user_instructions> ^a b ^c ");
    assert_eq!(replay.settings.unwrap().get(), r#"{"model":"m"}"#);
}

#[test]
fn what_codex_rolled_back_is_gone() {
    let rolled_back =
        |n: u64| line("event_msg", &json!({"type": "thread_rolled_back", "num_turns": n}));
    let log = meta() + &user("<user_instructions>x</user_instructions>") + &user("a") + &user("b");
    let table = [(0, "^a ^b "), (1, "^a "), (2, ""), (3, "")];
    for (n, left) in table {
        let replay = read(&(log.clone() + &rolled_back(n)));
        let expected = format!("<user_instructions>x</user_instructions> {left}");
        assert_eq!(outline(&replay), expected, "{n}");
    }
}

#[test]
fn the_first_record_names_the_session() {
    let second = line("session_meta", &json!({"id": "parent"}));
    let log = user("a") + &meta() + &second;
    let meta = read(&log).meta.unwrap();
    assert_eq!((meta.id.as_str(), meta.timestamp, meta.cwd), (ID, None, None));
    assert_eq!(meta.cli_version.as_deref(), Some("0.1"));
    let nameless = replay(&user("a").as_bytes(), &(), OnDamage::Refuse);
    assert!(matches!(nameless, Err(ReadError::NoMeta { torn: None })));
}

#[test]
fn what_is_no_record_is_named() {
    let log = meta() + &user("a") + "{\"timestamp\":\n" + &user("b");
    let offset = (log.len() - user("b").len() - 14) as u64;
    let Err(ReadError::Damaged(damage)) = replay(&log.as_bytes(), &(), OnDamage::Refuse) else {
        panic!("{log}");
    };
    assert_eq!((damage.line, damage.offset), (3, offset));
    assert!(matches!(damage.flaw, Flaw::Line(Error::NotJson { column: 13, .. })), "{damage}");
    let salvaged = replay(&log.as_bytes(), &(), OnDamage::Salvage).unwrap();
    assert_eq!((outline(&salvaged).as_str(), salvaged.damage), ("^a ^b ", vec![damage]));
}

#[test]
fn odd_records_of_others_are_skipped() {
    let mut log = meta() + &user("a");
    for kind in ["session_meta", "turn_context", "compacted", "event_msg", "call", "edited"] {
        log += &line(kind, &json!(7));
        log += &line(kind, &json!({}));
    }
    log += "{\"payload\":{\"x\": 1},\"at\":\"now\",\"ordinal\":-1,\"type\":\"world_state\"}\n";
    log += &user("b");
    let replay = read(&log);
    assert_eq!(outline(&replay), "^a ^b ");
    // A `turn_context` is settings, whatever it says; a second `session_meta` is a parent's.
    let skipped =
        [("call", 2), ("compacted", 2), ("edited", 2), ("event_msg", 2), ("world_state", 1)];
    assert_eq!(replay.skipped, skipped.map(|(kind, count)| (kind.to_owned(), count)).into());
}

#[test]
fn of_any_number_of_unknown_types_a_bounded_number_is_named() {
    let kinds = (0..100).map(|n| line(&format!("kind {n:02}"), &json!({})));
    let skipped = read(&(meta() + &kinds.collect::<String>())).skipped;
    assert_eq!((skipped.len(), skipped["kind 31"], skipped["…"]), (33, 1, 68));
    let named = read(&(meta() + &line(&"x".repeat(1000), &json!({})))).skipped;
    assert_eq!(named.keys().map(String::len).collect::<Vec<_>>(), [80]);
}

#[test]
fn a_line_without_its_newline_is_torn() {
    let log = meta() + &user("a");
    let whole = log.len() as u64;
    let log = log + user("b").trim_end();
    let replay = read(&log);
    let torn = Torn { line: 3, offset: whole, len: log.len() as u64 - whole };
    assert_eq!(
        (outline(&replay).as_str(), replay.torn, replay.good_len),
        ("^a ", Some(torn), whole)
    );
}
