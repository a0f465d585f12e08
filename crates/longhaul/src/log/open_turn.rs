//! A turn that was cut off, out of the log.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use longhaul_history::turn_item::is_context;
use longhaul_history::{CallKind, CallOutput, Item, ItemKind, ItemView, Role};
use longhaul_rollout::{Replay, ReplayItem};
use longhaul_state::SessionState;
use longhaul_state::protocol::{Settings, SettingsUpdate};
use longhaul_state::turn::{TurnLimits, TurnRecord};
use serde_json::Value;

use super::payload::{Call, KnownCall};
use super::records::call_arguments;
use super::went_on;

/// A turn that was cut off.
pub(crate) struct OpenTurn {
    pub(crate) turn_id: Arc<str>,
    /// Its own; `None` if the log does not say.
    pub(crate) settings: Option<Settings>,
    /// What its final message has to follow.
    pub(crate) output_schema: Option<Arc<Value>>,
    /// What became of the calls of its newest response.
    pub(crate) records: Vec<TurnRecord>,
    /// What the log does not say yet: that calls are answered, as their outputs say (behind the next
    /// response nobody could tell its calls from them), and settings that it has from now on.
    unsaid: Vec<TurnRecord>,
    calls: Vec<OpenCall>,
    /// Calls of a response that was recorded in part, as the end of the log was torn.
    torn: Vec<OpenCall>,
}

/// A call that has no output.
struct OpenCall {
    item: Item,
    kind: CallKind,
    had_started: bool,
    /// What the model is told instead, where it may not run.
    denial: Option<String>,
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

    /// Who opens the session wants other settings, of this turn too, whoever goes on with it.
    pub(crate) fn update_settings(&mut self, changes: &[SettingsUpdate]) {
        let Some(settings) = &mut self.settings else {
            return;
        };
        let before = settings.clone();
        for change in changes {
            settings.update(change.clone());
        }
        if *settings != before {
            self.unsaid.push(TurnRecord::Settings { settings: settings.clone() });
        }
    }

    /// The outputs of its calls where nobody goes on with it.
    pub(crate) fn outputs(&self) -> Vec<Item> {
        self.calls.iter().map(OpenCall::output).collect()
    }

    /// Says what the log does not: what is answered, that calls of a response in part never run (the model
    /// is asked again), and which settings are new.
    pub(crate) fn mend(&self, state: &SessionState) {
        for record in &self.unsaid {
            state.note_call(&self.turn_id, record.clone());
        }
        for call in &self.torn {
            state.record_output(call.output());
        }
    }
}

impl OpenCall {
    fn output(&self) -> Item {
        let aborted = longhaul_state::turn::aborted(self.had_started);
        let denial = self.denial.as_deref().filter(|_| !self.had_started);
        let text = denial.unwrap_or(aborted);
        let call_id = self.item.call_id().unwrap_or_default();
        Item::output(self.kind, call_id, CallOutput::text(text)).failed()
    }
}

/// The turn that was cut off, and what became of the calls of its newest response.
pub(super) fn cut_off(replay: &Replay) -> Option<OpenTurn> {
    let turn = replay.turn.as_ref().filter(|turn| !turn.calls.is_empty() || asks(replay))?;
    let known: Vec<_> = turn
        .calls
        .iter()
        .filter_map(|call| Some(serde_json::from_str::<Call<'_>>(call.get()).ok()?.known))
        .collect();
    let partial = torn_calls(&replay.items, &known);
    let (mut calls, mut records, mut said) = (Vec::new(), Vec::new(), BTreeSet::new());
    for known in known {
        match known {
            KnownCall::Response { calls: count, .. } => {
                calls = newest_calls(&replay.items, count, partial);
                said.clear();
                let items = calls.iter().map(|call| call.item.clone()).collect();
                records = vec![went_on::response(&known, items, replay)];
            }
            KnownCall::Answered { position } => drop(said.insert(position)),
            known => records.extend(record(known, &calls)),
        }
    }
    // That a call is answered is what its output says: a torn end may have that alone.
    let (answered, open): (Vec<_>, Vec<_>) =
        calls.into_iter().enumerate().partition(|(_, call)| call.is_answered(&replay.items));
    let open = open.into_iter().map(|(position, call)| call.open(position, &records)).collect();
    let answered: Vec<usize> = answered.into_iter().map(|(position, _)| position).collect();
    let answer = |position: &usize| TurnRecord::Answered { position: *position };
    let unsaid = answered.iter().filter(|it| !said.contains(it)).map(answer).collect();
    records.extend(answered.iter().map(answer));
    let in_part = newest_calls(&replay.items, partial, 0).into_iter();
    Some(OpenTurn {
        turn_id: turn.turn_id.as_str().into(),
        settings: went_on::settings(turn),
        output_schema: went_on::output_schema(turn),
        records,
        unsaid,
        calls: open,
        torn: in_part.map(|call| call.open(0, &[])).collect(),
    })
}

/// What is known of one of these calls, but for its output.
fn record(known: KnownCall<'_>, calls: &[PlacedCall]) -> Option<TurnRecord> {
    match known {
        KnownCall::Asked { position, arguments } => {
            let given = || calls.get(position).map(|call| call_arguments(&call.item));
            let arguments = arguments.map(Cow::into_owned).or_else(given).unwrap_or_default();
            Some(TurnRecord::Asked { position, arguments })
        }
        KnownCall::Allowed { position, arguments } => {
            Some(TurnRecord::Allowed { position, arguments: arguments.map(Cow::into_owned) })
        }
        KnownCall::Denied { position, reason } => {
            Some(TurnRecord::Denied { position, reason: reason.into_owned() })
        }
        KnownCall::Started { position } => Some(TurnRecord::Started { position }),
        KnownCall::Spent { spent, has_shrunk } => {
            Some(TurnRecord::Spent { spent: spent.into_spent(), has_shrunk })
        }
        KnownCall::Settings(_)
        | KnownCall::Response { .. }
        | KnownCall::Answered { .. }
        | KnownCall::Unknown => None,
    }
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
fn torn_calls(items: &[ReplayItem], known: &[KnownCall<'_>]) -> usize {
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
    newest_first(items).take_while(|call| !call.is_answered(items)).count()
}

/// A call, and where it stands: two of a response may be alike.
struct PlacedCall {
    index: usize,
    item: Item,
    kind: CallKind,
}

impl PlacedCall {
    /// Outputs stand right behind their calls.
    fn is_answered(&self, items: &[ReplayItem]) -> bool {
        let next = items.get(self.index + 1).map(|next| &next.item);
        next.is_some_and(|it| it.kind().is_output() && it.call_id() == self.item.call_id())
    }

    /// The same as one that has no output, with what is known of the call at this position.
    fn open(self, position: usize, records: &[TurnRecord]) -> OpenCall {
        let (mut had_started, mut denial) = (false, None);
        for record in records {
            match record {
                TurnRecord::Started { position: at } if *at == position => had_started = true,
                TurnRecord::Denied { position: at, reason } if *at == position => {
                    denial = Some(reason.clone());
                }
                _ => {}
            }
        }
        OpenCall { item: self.item, kind: self.kind, had_started, denial }
    }
}

/// The last so many calls but for `skipped` at the end, in order.
fn newest_calls(items: &[ReplayItem], count: usize, skipped: usize) -> Vec<PlacedCall> {
    let mut calls: Vec<_> = newest_first(items).skip(skipped).take(count).collect();
    calls.reverse();
    calls
}

fn newest_first(items: &[ReplayItem]) -> impl Iterator<Item = PlacedCall> {
    items.iter().enumerate().rev().filter_map(|(index, it)| {
        Some(PlacedCall { index, item: it.item.clone(), kind: it.item.kind().call()? })
    })
}
