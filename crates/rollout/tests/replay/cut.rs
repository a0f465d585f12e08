//! From where forks go on.

use longhaul_history::{BridgeParts, ContentPart, EditError, Item};
use longhaul_rollout::{OnDamage, ReadError, Replay, ReplayConfig, replay};
use serde_json::json;

use crate::log::{Log, outline, record, whole};

fn through(log: &[u8], ordinal: u64) -> Result<Replay, ReadError> {
    let mut config = ReplayConfig::default();
    config.through = Some(ordinal);
    replay(&log, &(), config)
}

/// A bridge, a context, and two turns of which the second is open.
fn log() -> Log {
    let text = "so far".to_owned();
    let parts = BridgeParts { user_messages: vec!["a".into()], summary: text.clone() };
    let mut log = Log::new();
    log.add("breaker", json!({"stalls": [0]}));
    log.add("grant", json!({"digest": "g"})).add("input", json!({"id": "1", "state": "accepted"}));
    log.add("turn_context", json!({"turn_id": "1", "model": "m", "told": true}));
    log.item(&Item::bridge(&[ContentPart::InputText { text }], &parts));
    log.user("<environment_context>x</environment_context>").user("b");
    log.item(&Item::assistant("c"));
    log.add("event_msg", json!({"type": "token_count"}));
    log.add("turn_context", json!({"turn_id": "2", "model": "n", "told": true}));
    log.item(&Item::assistant("note")).user("d");
    log
}

#[test]
fn a_fork_keeps_what_stands_before_the_nth_message_of_the_user() {
    let context = "<environment_context>x</environment_context>";
    let table = [
        (0, format!("^so far {context} "), vec![0]),
        (1, format!("^so far {context} b c ^note "), vec![0, 4]),
    ];
    for (n, left, told) in table {
        let mut replay = log().read().unwrap();
        assert_eq!(replay.user_message_count(), 2);
        replay.cut_before_user_message(n).unwrap();
        assert_eq!(outline(&replay), left);
        assert_eq!(replay.told.iter().map(|it| it.0).collect::<Vec<_>>(), told);
        assert!(replay.turn.is_none() && replay.token_count.is_none());
        assert!(replay.grants.is_empty() && replay.inputs.is_empty() && replay.breaker.is_empty());
        assert!(replay.settings.is_some() && replay.meta.is_some());
    }
}

#[test]
fn without_such_a_message_nothing_changes() {
    let mut replay = log().read().unwrap();
    let error = EditError::OutOfRange { what: "user message", asked: 2, available: 2 };
    assert_eq!(replay.cut_before_user_message(2), Err(error));
    assert_eq!(whole(&replay), whole(&log().read().unwrap()));
}

#[test]
fn a_log_read_through_an_ordinal_is_a_log_that_ends_there() {
    let mut log = log();
    log.add("compacted", json!({"replaced": 3, "parts": [], "told": null}));
    log.epoch = 2;
    log.user("e").add("compaction_undone", json!({})).user("f");
    let ends = log.bytes.iter().enumerate().filter(|(_, b)| **b == b'\n').map(|it| it.0 + 1);
    for (ordinal, end) in ends.enumerate() {
        let read = through(&log.bytes, ordinal as u64).unwrap();
        let cut = replay(&&log.bytes[..end], &(), OnDamage::Refuse).unwrap();
        assert_eq!(whole(&read), whole(&cut), "{ordinal}");
        assert_eq!(read.torn, None);
        // What follows is not looked at.
        let damaged = [&log.bytes[..end], b"garbage\n"].concat();
        assert_eq!(whole(&through(&damaged, ordinal as u64).unwrap()), whole(&cut), "{ordinal}");
    }
    let available = log.ordinal;
    let error = through(&log.bytes, available).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("there is no record {available}: the log has {available}")
    );
}

#[test]
fn the_records_of_other_programs_are_counted() {
    let mut log = Vec::new();
    record("session_meta", r#"{"id":"x"}"#).encode(&mut log);
    for text in ["a", "b", "c"] {
        record("response_item", Item::user(text).json()).encode(&mut log);
    }
    assert_eq!(outline(&through(&log, 2).unwrap()), "^a ^b ");
    assert!(matches!(through(&log, 4), Err(ReadError::NoSuchOrdinal { asked: 4, available: 4 })));
}

#[test]
fn a_place_behind_a_lost_record_is_found_by_salvage() {
    let mut log = Log::new();
    log.user("a");
    let lost = log.bytes.len();
    log.user("b").user("c");
    log.bytes[lost + 80] ^= 1;
    let mut config = ReplayConfig::from(OnDamage::Salvage);
    for (ordinal, left) in [(1, "a "), (2, "a "), (3, "a c ")] {
        config.through = Some(ordinal);
        let read = replay(&log.bytes, &(), config);
        match read {
            Ok(read) => assert_eq!(outline(&read), left, "{ordinal}"),
            Err(error) => assert_eq!(
                (ordinal, error.to_string()),
                (2, "there is no record 2: the log has 2".into())
            ),
        }
    }
}
