//! Each version of the format, by logs that hold every record and every field: what they mean never
//! changes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use longhaul_history::ItemView;
use longhaul_rollout::{OnDamage, Record, Replay, replay};
use serde_json::{Value, json};

const V1: &[u8] = include_bytes!("golden/v1.jsonl");

/// What may stand in a log of version 1, and came later: a turn that goes on, models in parts, messages
/// that are shown.
const V1_CALLS: &[u8] = include_bytes!("golden/v1-calls.jsonl");

fn read(bytes: &[u8]) -> Replay {
    let blobs = std::collections::BTreeMap::from([(
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad".to_owned(),
        b"abc".to_vec(),
    )]);
    replay(&bytes, &blobs, OnDamage::Refuse).unwrap()
}

/// The conversation behind each record: the text, the call id or the type of each item, `^` before those that
/// start a turn.
fn outlines(log: &[u8]) -> Vec<String> {
    let ends = log.iter().enumerate().filter(|(_, b)| **b == b'\n').map(|(at, _)| at + 1);
    let outline = |end: usize| {
        let replay = read(&log[..end]);
        let items = replay.items.iter().map(|it| {
            let text = match it.item.view() {
                ItemView::Message { content, .. } => content[0].text().unwrap().replace('\n', "⏎"),
                _ => it.item.call_id().unwrap_or("hologram").to_owned(),
            };
            if it.starts_turn { format!("^{text}") } else { text }
        });
        let end = replay.next_starts_turn.then(|| "^".to_owned());
        items.chain(end).collect::<Vec<_>>().join(" ")
    };
    ends.map(outline).collect()
}

#[test]
fn each_record_of_version_1_does_what_it_did() {
    let table = [
        (V1, include_str!("golden/v1.outlines")),
        (V1_CALLS, include_str!("golden/v1-calls.outlines")),
    ];
    for (log, expected) in table {
        assert_eq!(outlines(log).join("\n"), expected.trim_end_matches('\n'));
    }
}

#[test]
fn a_log_of_version_1_means_what_it_meant() {
    let replay = read(V1);
    let items: Vec<&str> = replay.items.iter().map(|it| it.item.json()).collect();
    let expected = [
        r#"{"type":"message","role":"user","content":[{"type":"input_text","text":"So far: nothing."}],"longhaul_bridge":{"user_messages":[],"summary":[8,16]}}"#,
        r#"{"type":"function_call","call_id":"call_1","name":"look","arguments":"{}"}"#,
        r#"{"type":"function_call_output","call_id":"call_1","output":"abc"}"#,
        r#"{"type":"message","role":"user","content":[{"type":"input_text","text":"Go on."}],"longhaul_id":"u2"}"#,
        r#"{"type":"hologram","depth":1.500,"half":"\ud800"}"#,
    ];
    assert_eq!(items, expected);
    let expected: Value = serde_json::from_str(include_str!("golden/v1.json")).unwrap();
    assert_eq!(rest(&replay), expected);
}

#[test]
fn what_came_later_in_version_1_means_what_it_meant() {
    let replay = read(V1_CALLS);
    let mut rest = rest(&replay);
    let turn = replay.turn.as_ref().unwrap();
    rest["turn_context"] = json!(turn.context);
    rest["output_schema"] = json!(turn.output_schema);
    rest["shown"] = json!(replay.recent.items);
    rest["is_truncated"] = json!(replay.recent.is_truncated);
    let expected: Value = serde_json::from_str(include_str!("golden/v1-calls.json")).unwrap();
    assert_eq!(rest, expected);
}

/// What a log comes to besides its items.
fn rest(replay: &Replay) -> Value {
    assert!(!replay.is_foreign && replay.torn.is_none() && replay.damage.is_empty());
    let texts = |texts: &[Box<serde_json::value::RawValue>]| {
        texts.iter().map(|it| serde_json::from_str::<Value>(it.get()).unwrap()).collect::<Vec<_>>()
    };
    json!({
        "meta": replay.meta,
        "settings": replay.settings, "surface": replay.surface, "told": replay.told, "token_count": replay.token_count,
        "grants": replay.grants, "inputs": texts(&replay.inputs),
        "turn": replay.turn.as_ref().map(|it| json!([it.turn_id, texts(&it.calls)])),
        "next": [replay.next_ordinal, replay.epoch, replay.good_len],
    })
}

#[test]
fn what_was_sealed_by_version_1_is_sealed_so_again() {
    for log in [V1, V1_CALLS] {
        let mut copy = Vec::new();
        for line in log.split_inclusive(|b| *b == b'\n') {
            let sealed = Record::open(line).unwrap();
            sealed.record.seal(sealed.ordinal, sealed.epoch, &mut copy);
        }
        assert!(copy == log);
    }
}
