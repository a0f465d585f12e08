//! A compaction that only the log has is taken back as one that the session has made.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use longhaul_compaction::Compacted;
use longhaul_history::{History, Item};
use longhaul_state::protocol::Settings;
use longhaul_state::{PastCompaction, SessionState, Snapshot};
use serde_json::{Value, json};

fn texts(state: &SessionState) -> Vec<String> {
    let json = |item: &Item| serde_json::from_str::<Value>(item.json()).unwrap();
    let text = |item: &Item| json(item)["content"][0]["text"].as_str().unwrap().to_owned();
    state.history().iter().map(text).collect()
}

/// A session as it is opened again: the log knows what stood in the place of `b`.
fn opened() -> SessionState {
    let mut snapshot = Snapshot::new(Settings::new("m"));
    snapshot.items = vec![(Item::user("b"), false), (Item::user("c"), true)];
    snapshot.has_compaction = true;
    snapshot.restore(History::default())
}

fn past() -> PastCompaction {
    let mut past = PastCompaction::default();
    past.before = vec![(Item::user("a"), true), (Item::user("aa"), false)];
    past.after = vec![Item::user("b")];
    past.freed_tokens = 7;
    past
}

/// Puts `with` in the place of the whole conversation.
fn compact(state: &SessionState, with: &str) {
    let base = state.history();
    let report = json!({"trigger": "manual", "strategy": "s", "tokens_before": 9,
        "tokens_after": 1, "kept_items": 0, "dropped_items": 0, "trimmed_items": 0,
        "cut_tokens": 0, "requests": 1, "duration_ms": 1});
    let new: Value = serde_json::from_str(Item::user(with).json()).unwrap();
    let compacted = json!({"replaced": base.len(), "report": report, "parts": [{"new": new}]});
    let compacted: Compacted = serde_json::from_value(compacted).unwrap();
    state.install(&base, &compacted, None).unwrap();
}

#[test]
fn it_is_taken_back_once_it_is_recalled_and_once() {
    let state = opened();
    assert!(state.snapshot().has_compaction && state.has_compaction_in_log());
    assert!(!state.undo_compaction(), "it is not here");
    assert!(state.has_compaction_in_log(), "and not lost");
    state.recall_compaction(Some(past()));
    assert!(!state.has_compaction_in_log() && state.undo_compaction());
    assert_eq!(texts(&state), ["a", "aa", "c"]);
    assert_eq!(state.history().turn_starts(0).collect::<Vec<_>>(), [0, 2]);
    assert_eq!(state.token_count().0.unwrap().context_tokens(), 7);
    state.recall_compaction(Some(past()));
    assert!(!state.undo_compaction() && !state.snapshot().has_compaction);
}

#[test]
fn one_that_was_made_since_stands() {
    let state = opened();
    compact(&state, "d");
    assert!(!state.has_compaction_in_log());
    state.recall_compaction(Some(past()));
    assert!(state.undo_compaction());
    assert_eq!(texts(&state), ["b", "c"]);
    state.recall_compaction(Some(past()));
    assert!(!state.undo_compaction(), "the one before was over with it");
}

#[test]
fn it_is_gone_where_the_log_has_none_or_the_conversation_is_another() {
    let state = opened();
    state.recall_compaction(None);
    assert!(!state.has_compaction_in_log() && !state.undo_compaction());
    let state = opened();
    assert!(state.remove(0, &Item::user("b")));
    state.recall_compaction(Some(past()));
    assert!(!state.undo_compaction());
    assert_eq!(texts(&state), ["c"]);
}
