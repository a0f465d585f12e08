//! Changes of a session as records of its log.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use longhaul_history::Item;
use longhaul_rollout::{Record, RecordKind};
use longhaul_state::protocol::{Settings, TurnEnd, TurnError};
use longhaul_state::turn::TurnRecord;
use longhaul_state::{Change, Edit, EditCause, Known, KnownModel};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use super::breaker::BreakerPayload;
use super::payload::{
    self, Call, CompactedPayload, Edited, GoneInput, Input, KnownCall, MoreModels, SettingsPayload,
    SpentPayload, TokenCount, TurnContext, Turns, Undone,
};

/// So many models are told of in one record, so that none is long.
const MODELS_A_RECORD: usize = 4;

/// Makes records of changes. What was said stands in a log once, so that a record refers to what
/// earlier ones hold.
#[derive(Debug, Clone, Default)]
pub(super) struct Writer {
    now: Timestamp,
    /// What the calls of the newest response gave to their tools.
    arguments: Arc<[String]>,
    /// Those of them that somebody was asked about.
    asked: BTreeSet<usize>,
    /// What the log says of models.
    models: Arc<BTreeMap<String, KnownModel>>,
}

impl Writer {
    /// Goes on with a log that says this of models, and whose open turn has these records.
    pub(super) fn behind(models: BTreeMap<String, KnownModel>, records: &[TurnRecord]) -> Self {
        let mut writer = Self { models: Arc::new(models), ..Self::default() };
        for record in records {
            writer.is_news(record);
        }
        writer
    }

    /// The records of a change that was made at `now`, in order.
    ///
    /// # Errors
    ///
    /// What cannot be written as JSON; nothing is today.
    pub(super) fn records(
        &mut self,
        change: &Change,
        now: Timestamp,
    ) -> Result<Vec<Record>, serde_json::Error> {
        self.now = now;
        let record = match change {
            Change::TurnBegan { turn_id, settings, later } => {
                return self.turn_began(turn_id, settings, later.as_ref());
            }
            Change::Opened { differences } => {
                self.record(RecordKind::SessionOpened, &Opened { differences })
            }
            Change::Surface(surface) => self.record(RecordKind::Surface, surface),
            Change::Settings(settings) => {
                self.record(RecordKind::Settings, &SettingsPayload::of(settings))
            }
            Change::Recorded { item, at, input } => self.recorded(item, *at, input.as_deref()),
            Change::InputAccepted(input) => self.record(RecordKind::Input, &Input::of(input)?),
            Change::InputGone(id) => {
                self.record(RecordKind::Input, &GoneInput { id, state: "withdrawn" })
            }
            Change::Edited(edit) => self.record(RecordKind::Edited, &edited(edit)),
            Change::Compacted { compacted, told, turns } => {
                let payload = CompactedPayload::of(compacted, told.as_ref(), turns);
                self.record(RecordKind::Compacted, &payload)
            }
            Change::CompactionUndone { turns } => {
                self.record(RecordKind::CompactionUndone, &Undone { turns: Turns::of(turns) })
            }
            Change::Used(known) => return self.used(known),
            Change::Breaker(memory) => {
                self.record(RecordKind::Breaker, &BreakerPayload::of(memory))
            }
            Change::Granted(digest) => self.record(RecordKind::Grant, &Granted { digest }),
            Change::GrantsCleared => self.record(RecordKind::Grant, &Cleared { cleared: true }),
            Change::Call { turn_id, record } => {
                if !self.is_news(record) {
                    return Ok(Vec::new());
                }
                let known = known_call(record, &self.arguments);
                self.record(RecordKind::Call, &Call { turn_id: Cow::Borrowed(turn_id), known })
            }
            Change::TurnEnded { turn_id, end, .. } => {
                self.record(RecordKind::EventMsg, &ended(turn_id, end))
            }
            // A later version's.
            _ => return Ok(Vec::new()),
        };
        Ok(vec![record?])
    }

    fn turn_began(
        &self,
        turn_id: &str,
        settings: &Settings,
        later: Option<&Settings>,
    ) -> Result<Vec<Record>, serde_json::Error> {
        let settings = SettingsPayload::of(settings);
        let context = TurnContext { turn_id, settings, told: true };
        let mut records = vec![self.record(RecordKind::TurnContext, &context)?];
        if let Some(later) = later {
            records.push(self.record(RecordKind::Settings, &SettingsPayload::of(later))?);
        }
        Ok(records)
    }

    /// What an input brought is in the log already.
    fn recorded(
        &self,
        item: &Item,
        at: Option<usize>,
        input: Option<&str>,
    ) -> Result<Record, serde_json::Error> {
        let json = if input.is_some() { "{}" } else { item.json() };
        let payload = RawValue::from_string(json.to_owned())?;
        let record = Record::new(self.now, RecordKind::ResponseItem, payload);
        Ok(match (at, input) {
            (Some(at), _) => record.with_at(at),
            (None, Some(input)) => record.with_input(input),
            (None, None) => record,
        })
    }

    /// What has changed: a session may have met with many models.
    fn used(&mut self, known: &Known) -> Result<Vec<Record>, serde_json::Error> {
        let mut count = TokenCount::of(known, &self.models);
        let mut records = Vec::new();
        while count.models.len() > MODELS_A_RECORD {
            let later = count.models.keys().nth(MODELS_A_RECORD).cloned().unwrap_or_default();
            let later = count.models.split_off(&later);
            let models = std::mem::replace(&mut count.models, later);
            let more = MoreModels { r#type: "token_count", models };
            records.push(self.record(RecordKind::EventMsg, &more)?);
        }
        records.push(self.record(RecordKind::EventMsg, &count)?);
        if *self.models != known.models {
            self.models = Arc::new(known.models.clone());
        }
        Ok(records)
    }

    /// Whether the log does not say it yet. What waits for approval is asked for again by each process
    /// that goes on with the turn.
    fn is_news(&mut self, record: &TurnRecord) -> bool {
        match record {
            TurnRecord::Response { items, .. } => {
                self.arguments = items.iter().filter_map(arguments).collect();
                self.asked.clear();
                true
            }
            TurnRecord::Asked { position, .. } => self.asked.insert(*position),
            _ => true,
        }
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

/// What a call gives to its tool; `None` of what is no call that can be answered.
fn arguments(item: &Item) -> Option<String> {
    answerable(item)?;
    Some(call_arguments(item))
}

/// The id of a call that can be answered.
pub(super) fn answerable(item: &Item) -> Option<&str> {
    item.kind().call().and(item.call_id())
}

/// The same of an item that is a call.
pub(super) fn call_arguments(call: &Item) -> String {
    call.view().into_call().map(|(_, arguments)| arguments).unwrap_or_default()
}

/// `given` are the arguments of the calls of the newest response.
fn known_call<'a>(record: &'a TurnRecord, given: &[String]) -> KnownCall<'a> {
    match record {
        TurnRecord::Response { items, usage, spent } => {
            let ids = items.iter().filter_map(answerable);
            let ids = ids.map(|id| Cow::Borrowed(payload::begins(id))).collect();
            let spent = spent.as_ref().map(SpentPayload::of);
            // What was spent has it.
            let usage = usage.filter(|_| spent.is_none());
            KnownCall::Response { calls: given.len(), ids, usage, spent }
        }
        TurnRecord::Settings { settings } => KnownCall::Settings(SettingsPayload::of(settings)),
        TurnRecord::Spent { spent, has_shrunk } => {
            KnownCall::Spent { spent: SpentPayload::of(spent), has_shrunk: *has_shrunk }
        }
        TurnRecord::Asked { position, arguments } => {
            let is_given = given.get(*position) == Some(arguments);
            let arguments = (!is_given).then_some(Cow::Borrowed(&**arguments));
            KnownCall::Asked { position: *position, arguments }
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

fn edited(edit: &Edit) -> Edited<'_> {
    let reason = match edit.cause {
        EditCause::Removed(_) => "removed",
        EditCause::Repaired => "repaired",
        _ => "edited",
    };
    Edited { replaced: edit.replaced, parts: &edit.parts, reason, turns: Turns::of(&edit.turns) }
}

fn ended<'a>(turn_id: &'a str, end: &Result<TurnEnd, TurnError>) -> payload::TurnEnd<'a> {
    let (r#type, reason, error) = match end {
        Ok(TurnEnd::Aborted(reason)) => ("turn_aborted", Some(reason.as_str()), None),
        Ok(_) => ("task_complete", None, None),
        Err(error) => ("task_complete", None, Some(error.code())),
    };
    payload::TurnEnd { r#type, turn_id, reason, error }
}
