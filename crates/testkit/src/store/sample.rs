//! Sessions and records to store.

use jiff::{SignedDuration, Timestamp};
use longhaul_rollout::{Record, RecordKind, SessionMeta};
use serde_json::value::{RawValue, to_raw_value};

/// When session 0 starts; each next one starts an hour later.
pub(super) const START: Timestamp = Timestamp::constant(1_795_341_600, 0);

/// The id of the `n`-th session.
pub fn session_id(n: usize) -> String {
    format!("01a20298-0571-7a40-bd9c-{n:012x}")
}

/// When the `n`-th session starts.
pub(super) fn started_at(n: usize) -> Timestamp {
    START + SignedDuration::from_hours(1) * i32::try_from(n).unwrap()
}

/// The first record of the `n`-th session.
pub fn session(n: usize) -> Record {
    first(&SessionMeta::new(session_id(n), started_at(n)))
}

/// The first record of a session.
pub(super) fn first(meta: &SessionMeta) -> Record {
    let at = meta.timestamp.unwrap_or(START);
    Record::new(at, RecordKind::SessionMeta, to_raw_value(meta).unwrap())
}

/// The record of a message of the user, whose text is this JSON between its quotes.
///
/// # Panics
///
/// If it is not.
pub fn item(raw_text: &str) -> Record {
    let json = format!(
        r#"{{"type":"message","role":"user","content":[{{"type":"input_text","text":"{raw_text}"}}]}}"#
    );
    Record::new(START, RecordKind::ResponseItem, RawValue::from_string(json).unwrap())
}

/// The record of an input, with this payload.
pub(super) fn input(payload: &str) -> Record {
    Record::new(START, RecordKind::Input, RawValue::from_string(payload.to_owned()).unwrap())
}
