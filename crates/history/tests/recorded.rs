//! G11 (lossless), G1 (sendable): items of real servers and sessions, as they were recorded, survive record and encode.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::path::Path;

use longhaul_history::{History, Item, ItemKind, ReasoningFilter, WireFormat};
use longhaul_testkit::check;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// A line of a stream or of a session that holds an item.
#[derive(Deserialize)]
struct Line<'a> {
    r#type: String,
    #[serde(borrow)]
    item: Option<&'a RawValue>,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
}

/// The items of each recording in this folder of another crate, file by file.
fn recordings(folder: &str, ending: &str) -> Vec<Vec<String>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder);
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|found| found == ending));
    files.map(|path| items(&std::fs::read_to_string(path).unwrap())).collect()
}

fn items(recording: &str) -> Vec<String> {
    let lines = recording.lines().map(|line| line.strip_prefix("data: ").unwrap_or(line));
    let lines = lines.filter_map(|line| serde_json::from_str::<Line<'_>>(line).ok());
    let items = lines.filter_map(|line| match &*line.r#type {
        "response.output_item.done" => line.item,
        "response_item" => line.payload,
        _ => None,
    });
    items.map(|item| item.get().to_owned()).collect()
}

fn all() -> Vec<Vec<String>> {
    let streams = recordings("transport/tests/fixtures", "sse");
    let sessions = recordings("rollout/tests/fixtures", "jsonl");
    [streams, sessions].concat()
}

/// What may be left out of a known item, or of a part of it.
fn is_left_out(key: &str, value: &Value) -> bool {
    value.is_null()
        || ["id", "status", "annotations", "logprobs", "call_id", "success"].contains(&key)
}

fn check_sent(item: &Item) {
    let mut sent = Vec::new();
    assert!(item.encode_wire(WireFormat::default(), &mut sent), "{item:?}");
    let (whole, sent): (Value, Value) =
        (serde_json::from_str(item.json()).unwrap(), serde_json::from_slice(&sent).unwrap());
    for (key, value) in whole.as_object().unwrap() {
        match (&sent[key], value) {
            (Value::Null, value) => {
                let is_hidden = item.kind() == ItemKind::Reasoning && key == "content";
                assert!(is_left_out(key, value) || is_hidden, "{key} of {item:?}");
            }
            (Value::Array(sent), Value::Array(parts)) => {
                assert_eq!(sent.len(), parts.len());
                for (sent, part) in sent.iter().zip(parts) {
                    let mut part = part.clone();
                    part.as_object_mut().unwrap().retain(|key, value| !is_left_out(key, value));
                    assert_eq!(*sent, part);
                }
            }
            (sent, value) => assert_eq!(sent, value, "{key} of {item:?}"),
        }
    }
}

#[test]
fn recorded_items_come_back_and_are_sent_whole() {
    let recordings = all();
    let mut count = 0;
    for text in recordings.iter().flatten() {
        let item = Item::from_json(text).unwrap();
        let given: Value = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::from_str::<Value>(item.json()).unwrap(), given);
        assert_ne!(item.kind(), ItemKind::Other, "{text}");
        check_sent(&item);
        count += 1;
    }
    assert!(recordings.len() >= 20 && count >= 40, "{count} items in {}", recordings.len());
}

#[test]
fn a_recording_is_a_conversation() {
    for recording in all() {
        let mut history = History::default();
        history.extend(recording.iter().map(|text| Item::from_json(text).unwrap()));
        history.normalise();
        assert_eq!(history.normalise(), []);
        let sent = history.prompt(ReasoningFilter::KeepAll).to_json();
        let sent: Vec<Value> = serde_json::from_str(&sent).unwrap();
        assert_eq!(check::pairing(&sent), Ok(()));
    }
}
