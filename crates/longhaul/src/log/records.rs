//! Changes of a session as records of its log.

use std::borrow::Cow;

use jiff::Timestamp;
use longhaul_rollout::{Record, RecordKind};
use longhaul_state::protocol::{TurnEnd, TurnError};
use longhaul_state::turn::TurnRecord;
use longhaul_state::{Change, EditCause};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use super::payload::{
    self, Call, CompactedPayload, Edited, KnownCall, SettingsPayload, TokenCount, TurnContext,
    Turns, Undone,
};

/// The records of a change, in order.
///
/// # Errors
///
/// What cannot be written as JSON; nothing is today.
pub(super) fn of(change: &Change, now: Timestamp) -> Result<Vec<Record>, serde_json::Error> {
    Writer { now }.records(change)
}

struct Writer {
    now: Timestamp,
}

impl Writer {
    fn records(&self, change: &Change) -> Result<Vec<Record>, serde_json::Error> {
        let record = match change {
            Change::TurnBegan { turn_id, settings, later } => {
                let settings = SettingsPayload::of(settings);
                let context = TurnContext { turn_id, settings, told: true };
                let mut records = vec![self.record(RecordKind::TurnContext, &context)?];
                if let Some(later) = later {
                    records.push(self.record(RecordKind::Settings, &SettingsPayload::of(later))?);
                }
                return Ok(records);
            }
            Change::Opened { differences } => {
                self.record(RecordKind::SessionOpened, &Opened { differences })
            }
            Change::Surface(surface) => self.record(RecordKind::Surface, surface),
            Change::Settings(settings) => {
                self.record(RecordKind::Settings, &SettingsPayload::of(settings))
            }
            Change::Recorded { item, at } => {
                let payload = RawValue::from_string(item.json().to_owned())?;
                let record = Record::new(self.now, RecordKind::ResponseItem, payload);
                Ok(match at {
                    Some(at) => record.with_at(*at),
                    None => record,
                })
            }
            Change::Edited(edit) => {
                let reason = match edit.cause {
                    EditCause::Removed(_) => "removed",
                    EditCause::Repaired => "repaired",
                    _ => "edited",
                };
                let (replaced, parts, turns) =
                    (edit.replaced, &*edit.parts, Turns::of(&edit.turns));
                self.record(RecordKind::Edited, &Edited { replaced, parts, reason, turns })
            }
            Change::Compacted { compacted, told, turns } => {
                let payload = CompactedPayload::of(compacted, told.as_ref(), turns);
                self.record(RecordKind::Compacted, &payload)
            }
            Change::CompactionUndone { turns } => {
                self.record(RecordKind::CompactionUndone, &Undone { turns: Turns::of(turns) })
            }
            Change::Used(known) => self.record(RecordKind::EventMsg, &TokenCount::of(known)),
            Change::Granted(digest) => self.record(RecordKind::Grant, &Granted { digest }),
            Change::GrantsCleared => self.record(RecordKind::Grant, &Cleared { cleared: true }),
            Change::Call { turn_id, record } => {
                let turn_id = Cow::Borrowed(&**turn_id);
                self.record(RecordKind::Call, &Call { turn_id, known: known_call(record) })
            }
            Change::TurnEnded { turn_id, end, last_message } => {
                self.record(RecordKind::EventMsg, &ended(turn_id, end, last_message.as_deref()))
            }
            // A later version's.
            _ => return Ok(Vec::new()),
        };
        Ok(vec![record?])
    }

    fn record(
        &self,
        kind: RecordKind,
        payload: &impl Serialize,
    ) -> Result<Record, serde_json::Error> {
        to_raw_value(payload).map(|payload| Record::new(self.now, kind, payload))
    }
}

#[derive(Serialize)]
struct Opened<'a> {
    differences: &'a [String],
}

#[derive(Serialize)]
struct Granted<T> {
    digest: T,
}

#[derive(Serialize)]
struct Cleared {
    cleared: bool,
}

fn known_call(record: &TurnRecord) -> KnownCall<'_> {
    match record {
        TurnRecord::Response { items, usage } => {
            let calls = items.iter().filter(|item| item.kind().call().is_some());
            let calls = calls.filter(|item| item.call_id().is_some()).count();
            KnownCall::Response { calls, usage: *usage }
        }
        TurnRecord::Asked { position, arguments } => {
            KnownCall::Asked { position: *position, arguments: Cow::Borrowed(arguments) }
        }
        TurnRecord::Allowed { position, arguments } => KnownCall::Allowed {
            position: *position,
            arguments: arguments.as_deref().map(Cow::Borrowed),
        },
        TurnRecord::Denied { position, reason } => {
            KnownCall::Denied { position: *position, reason: Cow::Borrowed(reason) }
        }
        TurnRecord::Started { position } => KnownCall::Started { position: *position },
        TurnRecord::Answered { position } => KnownCall::Answered { position: *position },
        _ => KnownCall::Unknown,
    }
}

fn ended<'a>(
    turn_id: &'a str,
    end: &Result<TurnEnd, TurnError>,
    last_agent_message: Option<&'a str>,
) -> payload::TurnEnd<'a> {
    let (r#type, reason, error) = match end {
        Ok(TurnEnd::Aborted(reason)) => ("turn_aborted", Some(reason.as_str()), None),
        Ok(_) => ("task_complete", None, None),
        Err(error) => ("task_complete", None, Some(error.code())),
    };
    payload::TurnEnd { r#type, turn_id, last_agent_message, reason, error }
}
