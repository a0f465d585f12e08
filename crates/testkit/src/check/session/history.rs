//! I1, I11, and I2 in requests: what is sent is sound, and goes on from what was sent before.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::items::{count_calls, outputs};
use super::view::{Answer, Exchange, View};
use super::{Call, Entry, EventKind, Found, RequestKind};
use crate::check::pairing;

pub(super) fn check(view: &View, found: &mut Found) {
    pairs(view, found);
    answers(view, found);
    identity(view, found);
    prefix(view, found);
}

/// The items of `later` begin with those of `earlier`, reasoning left out, which providers drop and we may.
pub(super) fn continues(earlier: &[Value], later: &[Value]) -> bool {
    let mut later = lasting(later);
    lasting(earlier).all(|item| later.next() == Some(item))
}

fn lasting(items: &[Value]) -> impl Iterator<Item = &Value> {
    items.iter().filter(|item| item["type"] != "reasoning")
}

/// Each exchange of the conversation with the next.
pub(super) fn neighbours<'v, 'a>(
    view: &'v View<'a>,
) -> impl Iterator<Item = (&'v Exchange<'a>, &'v Exchange<'a>)> {
    view.turn_requests().zip(view.turn_requests().skip(1))
}

fn pairs(view: &View, found: &mut Found) {
    for (number, exchange) in view.exchanges.iter().enumerate() {
        for violation in pairing(exchange.items).err().unwrap_or_default() {
            found.add("I1", format!("Request {number}: {violation}"));
        }
    }
}

/// Each call of a response is in the next request with its output. A request that does not go on from the one before
/// is not asked: its conversation is another. Nor is one behind a compaction, which may come to the same
/// again.
fn answers(view: &View, found: &mut Found) {
    for (earlier, later) in neighbours(view) {
        let Answer::Completed { at, calls } = earlier.answer else {
            continue;
        };
        let is_other = !continues(earlier.items, later.items)
            || lies_between(view, RequestKind::Compact, earlier, later);
        if is_other || may_be_dropped(view, at, calls, earlier, later) {
            continue;
        }
        for Call { call_id, .. } in calls {
            let made = calls.iter().filter(|call| call.call_id == *call_id).count();
            let due = outputs(earlier.items, call_id).len() + made;
            if outputs(later.items, call_id).len() < due {
                found.add("I1", format!("A request left without the output of call `{call_id}`."));
            }
        }
    }
}

/// A response whose end came together with an interrupt may be lost, but only as a whole.
fn may_be_dropped(
    view: &View,
    at: usize,
    calls: &[Call],
    earlier: &Exchange,
    later: &Exchange,
) -> bool {
    let is_cut = view.entries[at..].iter().any(|entry| {
        matches!(
            entry,
            Entry::InterruptReturned { .. } | Entry::Event { event: EventKind::TurnAborted, .. }
        )
    });
    is_cut
        && calls.iter().all(|Call { call_id, .. }| {
            count_calls(later.items, call_id) == count_calls(earlier.items, call_id)
        })
}

/// Every function call in a request has the name and the arguments that a response gave it. Those of the first request
/// are from before the log.
fn identity(view: &View, found: &mut Found) {
    let mut known: HashMap<&str, HashSet<(&str, &str)>> = HashMap::new();
    for (number, exchange) in view.exchanges.iter().enumerate() {
        for (call_id, name, arguments) in exchange.items.iter().filter_map(function_call) {
            let call = (name, arguments);
            if number == 0 {
                known.entry(call_id).or_default().insert(call);
            } else if known.get(call_id).is_some_and(|calls| !calls.contains(&call)) {
                let what = format!("Request {number} has call `{call_id}` as {name} {arguments}.");
                found.add("I2", what);
            }
        }
        if let Answer::Completed { calls, .. } = exchange.answer {
            for call in calls {
                let known = known.entry(&call.call_id).or_default();
                known.insert((&call.name, &call.arguments));
            }
        }
    }
}

fn function_call(item: &Value) -> Option<(&str, &str, &str)> {
    let field = |name| item.get(name).and_then(Value::as_str);
    (item["type"] == "function_call")
        .then(|| Some((field("call_id")?, field("name")?, field("arguments")?)))?
}

/// Where the conversation breaks off, a compaction, a review or an undo has to lie between. Their requests tell their
/// place. Their events come late: each explains one break before it, so the last break takes the last event.
fn prefix(view: &View, found: &mut Found) {
    let missed = view.events().rfind(|(_, event)| matches!(event, EventKind::Missed { .. }));
    let mut edits: Vec<usize> = view
        .events()
        .filter(|(_, event)| matches!(event, EventKind::Compacted | EventKind::Undone))
        .map(|(at, _)| at)
        .collect();
    let pairs: Vec<_> = neighbours(view).collect();
    for (earlier, later) in pairs.into_iter().rev() {
        if continues(earlier.items, later.items)
            || lies_between(view, RequestKind::Review, earlier, later)
        {
            continue;
        }
        let is_told = edits.pop_if(|at| *at > earlier.at).is_some()
            || missed.is_some_and(|(at, _)| at > earlier.at);
        if !is_told && !lies_between(view, RequestKind::Compact, earlier, later) {
            let (from, to) = (earlier.items.len(), later.items.len());
            let what =
                format!("A request of {to} items does not continue the one of {from} before it.");
            found.add("I11", what);
        }
    }
}

fn lies_between(view: &View, kind: RequestKind, earlier: &Exchange, later: &Exchange) -> bool {
    view.exchanges
        .iter()
        .any(|exchange| exchange.kind == kind && (earlier.at..later.at).contains(&exchange.at))
}
