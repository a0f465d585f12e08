//! Sessions out of their logs, and into them.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use longhaul_history::{CallKind, CallOutput, Item, ItemView};
use longhaul_rollout::{
    Damage, ForkedFrom, LogRef, LogWriter, OnDamage, RecentMessages, Record, RecordKind, Replay,
    SessionMeta, Store,
};
use longhaul_state::protocol::{Settings, TurnEnd};
use longhaul_state::turn::{TurnLimits, TurnRecord};
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
    /// The turn that was cut off, if one was: see
    /// [`Session::continue_turn`](crate::Session::continue_turn).
    pub open_turn: Option<String>,
    /// Its calls that had started and left no output, and that may not run again: the model is told that
    /// their effect is unknown.
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
    pub(crate) open_turn: Option<OpenTurn>,
    pub(crate) recent: RecentMessages,
}

/// A turn that was cut off.
pub(crate) struct OpenTurn {
    pub(crate) turn_id: Arc<str>,
    /// What became of the calls of its newest response.
    pub(crate) records: Vec<TurnRecord>,
    calls: Vec<OpenCall>,
}

/// A call that has no output.
struct OpenCall {
    item: Item,
    kind: CallKind,
    had_started: bool,
}

impl OpenTurn {
    /// The ids of calls that had started, and that may not run again.
    pub(crate) fn unknown(&self, limits: &TurnLimits) -> Vec<String> {
        let may_run_again = |call: &OpenCall| match call.item.view() {
            ItemView::FunctionCall { name, .. } | ItemView::CustomToolCall { name, .. } => {
                limits.handling_of(&name).may_run_again
            }
            _ => false,
        };
        let unknown = self.calls.iter().filter(|call| call.had_started && !may_run_again(call));
        unknown.filter_map(|call| call.item.call_id().map(str::to_owned)).collect()
    }

    /// The outputs of its calls where nobody goes on with it.
    pub(crate) fn outputs(&self) -> Vec<Item> {
        let output = |call: &OpenCall| {
            let text = longhaul_state::turn::aborted(call.had_started);
            let call_id = call.item.call_id().unwrap_or_default();
            Item::output(call.kind, call_id, CallOutput::text(text)).failed()
        };
        self.calls.iter().map(output).collect()
    }
}

/// Opens a session again. `settings` are those of one whose log knows none.
pub(crate) async fn open(
    store: &dyn Store,
    which: &LogRef,
    on_damage: OnDamage,
    settings: &Settings,
) -> Result<Reopened, BuildError> {
    let opened = store.open(which, on_damage).await.map_err(|error| refused(&error))?;
    let mut replay = opened.replay;
    let recent = std::mem::take(&mut replay.recent);
    let open_turn = cut_off(&replay);
    let resumed = Resumed {
        torn_bytes: replay.torn.as_ref().map_or(0, |torn| torn.len),
        damage: replay.damage.clone(),
        open_turn: open_turn.as_ref().map(|turn| turn.turn_id.to_string()),
        unknown_calls: Vec::new(),
        differences: Vec::new(),
    };
    let id = opened.writer.session_id().to_owned();
    let snapshot = snapshot(replay, settings);
    Ok(Reopened { id, snapshot, writer: opened.writer, resumed, open_turn, recent })
}

/// What a session takes over of a log.
pub(crate) struct Forked {
    pub(crate) snapshot: Snapshot,
    pub(crate) from: Option<ForkedFrom>,
    pub(crate) recent: RecentMessages,
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
    let recent = std::mem::take(&mut replay.recent);
    Ok(Forked { snapshot: snapshot(replay, settings), from, recent })
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

/// The turn that was cut off, and what became of the calls of its newest response.
fn cut_off(replay: &Replay) -> Option<OpenTurn> {
    let turn = replay.turn.as_ref()?;
    let known = turn
        .calls
        .iter()
        .filter_map(|call| Some(serde_json::from_str::<Call<'_>>(call.get()).ok()?.known));
    let (mut calls, mut records, mut started) = (Vec::new(), Vec::new(), BTreeSet::new());
    for known in known {
        match known {
            KnownCall::Response { calls: count, usage } => {
                calls = newest_calls(&replay.items, count);
                started.clear();
                let items = calls.iter().map(|(item, _)| item.clone()).collect();
                records = vec![TurnRecord::Response { items, usage }];
            }
            KnownCall::Started { position } => {
                started.insert(position);
                records.push(TurnRecord::Started { position });
            }
            KnownCall::Asked { position, arguments } => {
                let arguments = arguments.into_owned();
                records.push(TurnRecord::Asked { position, arguments });
            }
            KnownCall::Answered { position } => records.push(TurnRecord::Answered { position }),
            _ => {}
        }
    }
    let open = calls.into_iter().enumerate().filter(|(_, it)| !is_answered(&replay.items, &it.0));
    let open = open.map(|(position, (item, kind))| {
        let had_started = started.contains(&position);
        OpenCall { item, kind, had_started }
    });
    Some(OpenTurn { turn_id: turn.turn_id.as_str().into(), records, calls: open.collect() })
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
