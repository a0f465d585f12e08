//! Sessions out of their logs.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use longhaul_compaction::Report;
use longhaul_history::turn_item::is_context;
use longhaul_history::{CallKind, CallOutput, Item, ItemKind, ItemView, Role};
use longhaul_rollout::{
    Damage, LogRef, LogWriter, OnDamage, ReadError, RecentMessages, Replay, Store, StoreError,
};
use longhaul_state::protocol::{Settings, SettingsUpdate};
use longhaul_state::turn::{TurnLimits, TurnRecord};
use longhaul_state::{AcceptedInput, Known, PastCompaction, Snapshot};
use serde_json::Value;
use serde_json::value::RawValue;

use super::Left;
use super::payload::{Call, Input, KnownCall, SettingsPayload, TokenCount};
use super::records::call_arguments;
use super::went_on;
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
    /// Inputs that were accepted and that no turn had taken, by the ids of their submissions, oldest
    /// first: the next turn takes them. [`Session::continue_turn`](crate::Session::continue_turn) begins
    /// one, if nobody says more.
    pub inputs: Vec<String>,
    /// What differs from the session as it was left; nothing of it is refused.
    pub differences: Vec<String>,
}

/// A session that was opened again.
pub(crate) struct Reopened {
    pub(crate) id: String,
    pub(crate) snapshot: Snapshot,
    /// What it had when it was left.
    pub(crate) left: Left,
    pub(crate) writer: Box<dyn LogWriter>,
    pub(crate) resumed: Resumed,
    pub(crate) open_turn: Option<OpenTurn>,
    /// What no turn had taken.
    pub(crate) inputs: Vec<AcceptedInput>,
    pub(crate) recent: RecentMessages,
}

/// A turn that was cut off.
pub(crate) struct OpenTurn {
    pub(crate) turn_id: Arc<str>,
    /// Those that it began with; `None` if the log does not say.
    pub(crate) settings: Option<Settings>,
    /// What its final message has to follow.
    pub(crate) output_schema: Option<Arc<Value>>,
    /// What became of the calls of its newest response.
    pub(crate) records: Vec<TurnRecord>,
    calls: Vec<OpenCall>,
    /// Calls of a response that was recorded in part, as the end of the log was torn.
    torn: Vec<OpenCall>,
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

    /// Who opens the session wants other settings, of this turn too.
    pub(crate) fn update_settings(&mut self, change: &SettingsUpdate) {
        self.settings.iter_mut().for_each(|settings| settings.update(change.clone()));
    }

    /// The outputs of its calls where nobody goes on with it.
    pub(crate) fn outputs(&self) -> Vec<Item> {
        self.calls.iter().map(OpenCall::output).collect()
    }

    /// The outputs of calls that never run: the model is asked again.
    pub(crate) fn torn_outputs(&self) -> Vec<Item> {
        self.torn.iter().map(OpenCall::output).collect()
    }
}

impl OpenCall {
    fn output(&self) -> Item {
        let text = longhaul_state::turn::aborted(self.had_started);
        let call_id = self.item.call_id().unwrap_or_default();
        Item::output(self.kind, call_id, CallOutput::text(text)).failed()
    }
}

/// Opens a session again. `settings` are those of one whose log knows none.
pub(crate) async fn open(
    store: &dyn Store,
    which: &LogRef,
    on_damage: OnDamage,
    settings: &Settings,
) -> Result<Reopened, BuildError> {
    let opened = store.open(which, on_damage).await.map_err(refused)?;
    let mut replay = opened.replay;
    let recent = std::mem::take(&mut replay.recent);
    let open_turn = cut_off(&replay);
    let (inputs, unreadable) = waiting(&replay);
    let resumed = Resumed {
        torn_bytes: replay.torn.as_ref().map_or(0, |torn| torn.len),
        damage: replay.damage.clone(),
        open_turn: open_turn.as_ref().map(|turn| turn.turn_id.to_string()),
        unknown_calls: Vec::new(),
        inputs: inputs.iter().map(|input| input.submission_id.to_string()).collect(),
        differences: unreadable,
    };
    let id = opened.writer.session_id().to_owned();
    let left = Left::of(&replay);
    let mut snapshot = snapshot(replay, settings);
    snapshot.surface.clone_from(&left.surface);
    let writer = opened.writer;
    Ok(Reopened { id, snapshot, left, writer, resumed, open_turn, inputs, recent })
}

/// The inputs that no turn had taken, and a sentence for each that cannot be read.
fn waiting(replay: &Replay) -> (Vec<AcceptedInput>, Vec<String>) {
    let (mut inputs, mut unreadable) = (Vec::new(), Vec::new());
    for json in &replay.inputs {
        match serde_json::from_str::<Input<'_>>(json.get()).map(Input::into_accepted) {
            Ok(Some(input)) => inputs.push(input),
            _ => unreadable.push("an input that waited cannot be read; it is left out".to_owned()),
        }
    }
    (inputs, unreadable)
}

/// What the session log is refused for.
pub(super) fn refused(error: StoreError) -> BuildError {
    match error {
        StoreError::Foreign { path } => BuildError::Foreign { path },
        StoreError::Unreadable {
            source: ReadError::NoSuchOrdinal { asked, available }, ..
        } => BuildError::NoSuchPlace { what: "record", asked, available },
        error => BuildError::Store(error.to_string()),
    }
}

pub(super) fn settings_of(json: &str) -> Option<Settings> {
    Some(serde_json::from_str::<SettingsPayload<'_>>(json).ok()?.into_settings())
}

/// A session out of its log. `settings` are those of one whose log knows none.
pub(super) fn snapshot(replay: Replay, settings: &Settings) -> Snapshot {
    let own = replay.settings.as_ref().and_then(|json| settings_of(json.get()));
    let mut snapshot = Snapshot::new(own.unwrap_or_else(|| settings.clone()));
    snapshot.items = replay.items.into_iter().map(|it| (it.item, it.starts_turn)).collect();
    snapshot.next_starts_turn = replay.next_starts_turn;
    snapshot.told = told(&replay.told);
    snapshot.has_compaction = replay.has_compaction;
    snapshot.known = replay.token_count.map(|json| known(json.get())).unwrap_or_default();
    let digest = |digest: &String| serde_json::from_value(digest.as_str().into()).ok();
    snapshot.grants = replay.grants.iter().filter_map(digest).collect();
    snapshot
}

fn told(told: &[(usize, Box<RawValue>)]) -> Vec<(usize, Settings)> {
    told.iter().filter_map(|(index, json)| Some((*index, settings_of(json.get())?))).collect()
}

/// The last compaction, if it can be taken back.
pub(super) fn compaction(replay: Replay) -> Option<PastCompaction> {
    let exchanged = replay.exchanged?;
    let report: Option<Report> =
        exchanged.report.and_then(|json| serde_json::from_str(json.get()).ok());
    let mut compaction = PastCompaction::default();
    compaction.before = exchanged.before.into_iter().map(|it| (it.item, it.starts_turn)).collect();
    compaction.after = exchanged.after;
    compaction.told_before = told(&exchanged.told_before);
    compaction.told_after = told(&exchanged.told_after);
    compaction.freed_tokens =
        report.map_or(0, |report| report.tokens_before.saturating_sub(report.tokens_after));
    Some(compaction)
}

/// What a `token_count` of ours says.
pub(super) fn known(json: &str) -> Known {
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
    let turn = replay.turn.as_ref().filter(|turn| !turn.calls.is_empty() || asks(replay))?;
    let known: Vec<_> = turn
        .calls
        .iter()
        .filter_map(|call| Some(serde_json::from_str::<Call<'_>>(call.get()).ok()?.known))
        .collect();
    let partial = torn_calls(&replay.items, &known);
    let (mut calls, mut records, mut started) = (Vec::new(), Vec::new(), BTreeSet::new());
    for known in known {
        match known {
            KnownCall::Response { calls: count, .. } => {
                calls = newest_calls(&replay.items, count, partial);
                started.clear();
                let items = calls.iter().map(|(item, _)| item.clone()).collect();
                records = vec![went_on::response(&known, items, replay)];
            }
            KnownCall::Spent { spent, has_shrunk } => {
                records.push(TurnRecord::Spent { spent: spent.into_spent(), has_shrunk });
            }
            KnownCall::Started { position } => {
                started.insert(position);
                records.push(TurnRecord::Started { position });
            }
            KnownCall::Asked { position, arguments } => {
                let given = || calls.get(position).map(|(item, _)| call_arguments(item));
                let arguments = arguments.map(Cow::into_owned).or_else(given).unwrap_or_default();
                records.push(TurnRecord::Asked { position, arguments });
            }
            _ => {}
        }
    }
    // That a call is answered is what its output says: a torn end may have that alone.
    let answered = calls.iter().enumerate().filter(|(_, it)| is_answered(&replay.items, &it.0));
    records.extend(answered.map(|(position, _)| TurnRecord::Answered { position }));
    let open = calls.into_iter().enumerate().filter(|(_, it)| !is_answered(&replay.items, &it.0));
    let open = open.map(|(position, (item, kind))| {
        let had_started = started.contains(&position);
        OpenCall { item, kind, had_started }
    });
    let partial = newest_calls(&replay.items, partial, 0).into_iter();
    let partial = partial.map(|(item, kind)| OpenCall { item, kind, had_started: false });
    Some(OpenTurn {
        turn_id: turn.turn_id.as_str().into(),
        settings: went_on::settings(turn),
        output_schema: went_on::output_schema(turn),
        records,
        calls: open.collect(),
        torn: partial.collect(),
    })
}

/// Whether the newest turn has something to ask. Where the end of a log was torn, its beginning may be
/// there without its input, which was never acknowledged then.
fn asks(replay: &Replay) -> bool {
    let items = &replay.items;
    let start = items.iter().rposition(|it| it.starts_turn).filter(|_| !replay.next_starts_turn);
    let is_input = |item: &Item| item.kind() == ItemKind::Message(Role::User) && !is_context(item);
    items[start.unwrap_or(items.len())..].iter().any(|it| is_input(&it.item))
        || items.last().is_some_and(|it| it.item.bridge_parts().is_some())
}

/// How many calls at the end belong to a response of which it is not recorded that it is whole. A
/// response comes when all calls of the one before are answered.
fn torn_calls(items: &[longhaul_rollout::ReplayItem], known: &[KnownCall<'_>]) -> usize {
    let is_response = |it: &KnownCall<'_>| matches!(it, KnownCall::Response { .. });
    let newest = known.iter().rposition(is_response);
    let count = newest.map_or(0, |at| match known[at] {
        KnownCall::Response { calls, .. } => calls,
        _ => 0,
    });
    let since = &known[newest.unwrap_or(0)..];
    let answered = since.iter().filter(|it| matches!(it, KnownCall::Answered { .. })).count();
    if answered < count {
        return 0;
    }
    let calls = items.iter().rev().filter(|it| it.item.kind().call().is_some());
    calls.take_while(|it| !is_answered(items, &it.item)).count()
}

/// The last so many calls but for `skipped` at the end, in order.
fn newest_calls(
    items: &[longhaul_rollout::ReplayItem],
    count: usize,
    skipped: usize,
) -> Vec<(Item, CallKind)> {
    let calls = items.iter().rev().filter_map(|it| Some((it.item.clone(), it.item.kind().call()?)));
    let mut calls: Vec<_> = calls.skip(skipped).take(count).collect();
    calls.reverse();
    calls
}

/// Outputs stand right behind their calls.
fn is_answered(items: &[longhaul_rollout::ReplayItem], call: &Item) -> bool {
    let place = items.iter().rposition(|it| it.item == *call);
    let next = place.and_then(|place| items.get(place + 1));
    next.is_some_and(|it| it.item.kind().is_output() && it.item.call_id() == call.call_id())
}
