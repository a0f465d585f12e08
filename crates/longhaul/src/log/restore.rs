//! Sessions out of their logs, and into them.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use longhaul_history::{CallKind, CallOutput, Item};
use longhaul_rollout::{
    Damage, ForkedFrom, LogRef, LogWriter, OnDamage, Record, RecordKind, Replay, SessionMeta, Store,
};
use longhaul_state::protocol::{Settings, TurnEnd};
use longhaul_state::{Change, Known, SessionState, Snapshot};
use serde_json::value::to_raw_value;

use super::payload::{Call, KnownCall, SettingsPayload, TokenCount};
use super::records;
use crate::BuildError;

/// What was found when a session was opened again.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Resumed {
    /// Bytes at the end of the log that were never acknowledged, and were set aside.
    pub torn_bytes: u64,
    /// Lines that were left out; empty unless the log was salvaged.
    pub damage: Vec<Damage>,
    /// The turn that was cut off, if one was.
    pub open_turn: Option<String>,
    /// Calls that had started and whose effect is unknown: the model is told so.
    pub unknown_calls: Vec<String>,
    /// What differs from the session as it was left; nothing of it is refused.
    pub differences: Vec<String>,
}

/// A session that was opened again.
pub(crate) struct Reopened {
    pub(crate) id: String,
    pub(crate) snapshot: Snapshot,
    pub(crate) writer: Box<dyn LogWriter>,
    pub(crate) resumed: Resumed,
    /// To be recorded first: outputs of the calls of a turn that was cut off.
    pub(crate) outputs: Vec<Item>,
}

/// Opens a session again. `settings` are those of one whose log knows none.
pub(crate) async fn open(
    store: &dyn Store,
    which: &LogRef,
    on_damage: OnDamage,
    settings: &Settings,
) -> Result<Reopened, BuildError> {
    let opened = store.open(which, on_damage).await.map_err(|error| refused(&error))?;
    let replay = opened.replay;
    let (open_turn, outputs, unknown_calls) = cut_off(&replay);
    let resumed = Resumed {
        torn_bytes: replay.torn.as_ref().map_or(0, |torn| torn.len),
        damage: replay.damage.clone(),
        open_turn,
        unknown_calls,
        differences: Vec::new(),
    };
    let id = opened.writer.session_id().to_owned();
    let snapshot = snapshot(replay, settings);
    Ok(Reopened { id, snapshot, writer: opened.writer, resumed, outputs })
}

/// What a session takes over of a log.
pub(crate) struct Forked {
    pub(crate) snapshot: Snapshot,
    pub(crate) from: Option<ForkedFrom>,
}

/// Reads what stands before the `before`-th message of the user.
pub(crate) async fn fork(
    store: &dyn Store,
    which: &LogRef,
    before: usize,
    settings: &Settings,
) -> Result<Forked, BuildError> {
    let mut replay = store.read(which, OnDamage::Refuse).await.map_err(|error| refused(&error))?;
    replay.cut_before_user_message(before).map_err(|error| BuildError::Store(error.to_string()))?;
    let path = match which {
        LogRef::Path(path) => Some(path.to_string_lossy().into_owned()),
        _ => None,
    };
    let ordinal = replay.next_ordinal.saturating_sub(1);
    let from = replay.meta.as_ref().map(|meta| ForkedFrom { id: meta.id.clone(), path, ordinal });
    Ok(Forked { snapshot: snapshot(replay, settings), from })
}

fn refused(error: &longhaul_rollout::StoreError) -> BuildError {
    BuildError::Store(error.to_string())
}

fn settings_of(json: &str) -> Option<Settings> {
    Some(serde_json::from_str::<SettingsPayload<'_>>(json).ok()?.into_settings())
}

fn snapshot(replay: Replay, settings: &Settings) -> Snapshot {
    let own = replay.settings.as_ref().and_then(|json| settings_of(json.get()));
    let mut snapshot = Snapshot::new(own.unwrap_or_else(|| settings.clone()));
    snapshot.items = replay.items.into_iter().map(|it| (it.item, it.starts_turn)).collect();
    snapshot.next_starts_turn = replay.next_starts_turn;
    let told = replay.told.iter();
    snapshot.told =
        told.filter_map(|(index, json)| Some((*index, settings_of(json.get())?))).collect();
    snapshot.known = replay.token_count.map(|json| known(json.get())).unwrap_or_default();
    let digest = |digest: &String| serde_json::from_value(digest.as_str().into()).ok();
    snapshot.grants = replay.grants.iter().filter_map(digest).collect();
    snapshot
}

fn known(json: &str) -> Known {
    let Ok(count) = serde_json::from_str::<TokenCount<'_>>(json) else {
        return Known::default();
    };
    let mut known = Known::default();
    (known.usage, known.cost, known.rate_limits) = (count.info, count.cost, count.rate_limits);
    known.models = count.models.into_iter().map(|(slug, it)| (slug, it.into_known())).collect();
    known
}

/// What became of the calls of a turn that was cut off: the turn, the outputs that its calls lack, and
/// which of them had started.
fn cut_off(replay: &Replay) -> (Option<String>, Vec<Item>, Vec<String>) {
    let Some(turn) = &replay.turn else {
        return (None, Vec::new(), Vec::new());
    };
    let (mut started, mut count) = (BTreeSet::new(), 0);
    for call in &turn.calls {
        match serde_json::from_str::<Call<'_>>(call.get()).map(|call| call.known) {
            Ok(KnownCall::Response { calls, .. }) => {
                started.clear();
                count = calls;
            }
            Ok(KnownCall::Started { position }) => drop(started.insert(position)),
            _ => {}
        }
    }
    let (mut outputs, mut unknown) = (Vec::new(), Vec::new());
    for (position, (item, kind)) in newest_calls(&replay.items, count).into_iter().enumerate() {
        let Some(call_id) = item.call_id().filter(|_| !is_answered(&replay.items, &item)) else {
            continue;
        };
        let had_started = started.contains(&position);
        let output = longhaul_state::turn::aborted(had_started);
        outputs.push(Item::output(kind, call_id, CallOutput::text(output)).failed());
        if had_started {
            unknown.push(call_id.to_owned());
        }
    }
    (Some(turn.turn_id.clone()), outputs, unknown)
}

/// The last so many calls, in order.
fn newest_calls(items: &[longhaul_rollout::ReplayItem], count: usize) -> Vec<(Item, CallKind)> {
    let calls = items.iter().rev().filter_map(|it| Some((it.item.clone(), it.item.kind().call()?)));
    let mut calls: Vec<_> = calls.take(count).collect();
    calls.reverse();
    calls
}

/// Outputs stand right behind their calls.
fn is_answered(items: &[longhaul_rollout::ReplayItem], call: &Item) -> bool {
    let place = items.iter().rposition(|it| it.item == *call);
    let next = place.and_then(|place| items.get(place + 1));
    next.is_some_and(|it| it.item.kind().is_output() && it.item.call_id() == call.call_id())
}

/// Begins the log of a session that is like `state`.
pub(crate) async fn create(
    store: &dyn Store,
    id: &str,
    state: &SessionState,
    model_provider: Option<String>,
    forked_from: Option<ForkedFrom>,
) -> Result<Box<dyn LogWriter>, BuildError> {
    let snapshot = state.snapshot();
    let mut meta = SessionMeta::new(id, Timestamp::now());
    meta.cwd = snapshot.settings.cwd.as_ref().map(|cwd| cwd.to_string_lossy().into_owned());
    (meta.model_provider, meta.forked_from) = (model_provider, forked_from);
    let records = records_of(&meta, &snapshot).map_err(|it| BuildError::Store(it.to_string()))?;
    store.create(records).await.map_err(|error| refused(&error))
}

/// The first records of a log: which session it is, and what it begins with.
fn records_of(meta: &SessionMeta, snapshot: &Snapshot) -> Result<Vec<Record>, serde_json::Error> {
    let now = meta.timestamp.unwrap_or_else(Timestamp::now);
    let meta = to_raw_value(meta)?;
    let mut records = vec![Record::new(now, RecordKind::SessionMeta, meta)];
    for change in changes_of(snapshot) {
        records.extend(records::of(&change, now)?);
    }
    Ok(records)
}

/// Changes that make a session like this.
fn changes_of(snapshot: &Snapshot) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut told = snapshot.told.iter().peekable();
    let nobody: Arc<str> = Arc::from("");
    let mut last = snapshot.settings.clone();
    for (index, (item, starts_turn)) in snapshot.items.iter().enumerate() {
        let now_told = told.next_if(|(at, _)| *at <= index).map(|(_, settings)| settings.clone());
        if *starts_turn || now_told.is_some() {
            last = now_told.unwrap_or(last);
            let (turn_id, settings) = (Arc::clone(&nobody), last.clone());
            changes.push(Change::TurnBegan { turn_id, settings, later: None });
        }
        changes.push(Change::Recorded { item: item.clone(), at: None });
    }
    if !changes.is_empty() {
        let (turn_id, end) = (nobody, Ok(TurnEnd::Complete));
        changes.push(Change::TurnEnded { turn_id, end, last_message: None });
    }
    changes.push(Change::Settings(snapshot.settings.clone()));
    changes.push(Change::Used(Box::new(snapshot.known.clone())));
    changes.extend(snapshot.grants.iter().map(|digest| Change::Granted(*digest)));
    changes
}
