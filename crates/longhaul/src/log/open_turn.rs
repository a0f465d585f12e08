//! A turn that was cut off, out of the log.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use longhaul_history::turn_item::is_context;
use longhaul_history::{CallKind, CallOutput, Item, ItemKind, ItemView, Role};
use longhaul_rollout::{Replay, ReplayItem};
use longhaul_state::turn::{TurnLimits, TurnRecord};

use super::payload::{Call, KnownCall};
use super::records::call_arguments;

/// A turn that was cut off.
pub(crate) struct OpenTurn {
    pub(crate) turn_id: Arc<str>,
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

/// The turn that was cut off, and what became of the calls of its newest response.
pub(super) fn cut_off(replay: &Replay) -> Option<OpenTurn> {
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
            KnownCall::Response { calls: count, usage } => {
                calls = newest_calls(&replay.items, count, partial);
                started.clear();
                let items = calls.iter().map(|(item, _)| item.clone()).collect();
                records = vec![TurnRecord::Response { items, usage }];
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
    let calls = items.iter().rev().filter(|it| it.item.kind().call().is_some());
    calls.take_while(|it| !is_answered(items, &it.item)).count()
}

/// The last so many calls but for `skipped` at the end, in order.
fn newest_calls(items: &[ReplayItem], count: usize, skipped: usize) -> Vec<(Item, CallKind)> {
    let calls = items.iter().rev().filter_map(|it| Some((it.item.clone(), it.item.kind().call()?)));
    let mut calls: Vec<_> = calls.skip(skipped).take(count).collect();
    calls.reverse();
    calls
}

/// Outputs stand right behind their calls.
fn is_answered(items: &[ReplayItem], call: &Item) -> bool {
    let place = items.iter().rposition(|it| it.item == *call);
    let next = place.and_then(|place| items.get(place + 1));
    next.is_some_and(|it| it.item.kind().is_output() && it.item.call_id() == call.call_id())
}
