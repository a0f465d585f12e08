//! Logs for tests.

use std::fmt::Write;

use longhaul_history::Item;
use longhaul_rollout::{
    OnDamage, OpenTurn, ReadError, Record, RecordKind, Replay, ReplayItem, SessionMeta, replay,
};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};

pub(crate) const ID: &str = "01a20298-0571-7a40-bd9c-36a08a0bd337";

/// A log of ours that is being written.
#[derive(Clone)]
pub(crate) struct Log {
    pub(crate) bytes: Vec<u8>,
    pub(crate) ordinal: u64,
    pub(crate) epoch: u64,
}

pub(crate) fn record(kind: &str, payload: &str) -> Record {
    let at = "2026-11-28T10:00:00Z".parse().unwrap();
    Record::new(at, RecordKind::from(kind), RawValue::from_string(payload.into()).unwrap())
}

pub(crate) fn raw(value: &Value) -> Box<RawValue> {
    to_raw_value(value).unwrap()
}

impl Log {
    /// Without a record.
    pub(crate) fn empty() -> Self {
        Self { bytes: Vec::new(), ordinal: 0, epoch: 1 }
    }

    /// With its first record.
    pub(crate) fn new() -> Self {
        let meta = SessionMeta::new(ID, "2026-11-28T10:00:00Z".parse().unwrap());
        let mut log = Self::empty();
        log.add("session_meta", serde_json::to_value(meta).unwrap());
        log
    }

    pub(crate) fn add(&mut self, kind: &str, payload: Value) -> &mut Self {
        self.seal(&record(kind, &payload.to_string()))
    }

    pub(crate) fn seal(&mut self, record: &Record) -> &mut Self {
        record.seal(self.ordinal, self.epoch, &mut self.bytes);
        self.ordinal += 1;
        self
    }

    pub(crate) fn item(&mut self, item: &Item) -> &mut Self {
        self.seal(&record("response_item", item.json()))
    }

    pub(crate) fn user(&mut self, text: &str) -> &mut Self {
        self.item(&Item::user(text))
    }

    pub(crate) fn item_at(&mut self, at: usize, text: &str) -> &mut Self {
        self.seal(&record("response_item", Item::user(text).json()).with_at(at))
    }

    /// The input with this id is taken.
    pub(crate) fn taken(&mut self, id: &str) -> &mut Self {
        self.seal(&record("response_item", "{}").with_input(id))
    }

    pub(crate) fn turn(&mut self, id: &str) -> &mut Self {
        self.add("turn_context", json!({"turn_id": id, "model": "m", "told": false}))
    }

    pub(crate) fn read(&self) -> Result<Replay, ReadError> {
        replay(&self.bytes, &(), OnDamage::Refuse)
    }

    pub(crate) fn salvage(&self) -> Replay {
        replay(&self.bytes, &(), OnDamage::Salvage).unwrap()
    }
}

/// A new item, as a part of a replacement.
pub(crate) fn new(text: &str) -> Value {
    json!({"new": serde_json::from_str::<Value>(Item::user(text).json()).unwrap()})
}

/// The conversation in one line: each item's text, `^` before each that starts a turn, also before
/// the one that is to come.
pub(crate) fn outline(replay: &Replay) -> String {
    let mut outline = String::new();
    for ReplayItem { item, starts_turn, .. } in &replay.items {
        let text = text(item);
        write!(outline, "{}{text} ", if *starts_turn { "^" } else { "" }).unwrap();
    }
    outline + if replay.next_starts_turn { "^" } else { "" }
}

pub(crate) fn text(item: &Item) -> String {
    let value: Value = serde_json::from_str(item.json()).unwrap();
    value["content"][0]["text"].as_str().unwrap_or_default().to_owned()
}

/// All that a replay says, to be compared.
pub(crate) fn whole(replay: &Replay) -> Value {
    let Replay { meta, items, next_starts_turn, settings, told, token_count, .. } = replay;
    let Replay { grants, inputs, turn, next_ordinal, epoch, good_len, is_foreign, .. } = replay;
    let items: Vec<Value> = items.iter().map(|it| json!([it.item, it.starts_turn])).collect();
    let turn = turn.as_ref().map(|OpenTurn { turn_id, calls, .. }| json!([turn_id, calls]));
    json!({
        "meta": meta, "items": items, "next_starts_turn": next_starts_turn,
        "settings": settings, "told": told, "token_count": token_count, "grants": grants,
        "inputs": inputs, "turn": turn, "next_ordinal": next_ordinal, "epoch": epoch,
        "good_len": good_len, "is_foreign": is_foreign,
    })
}
