//! One way each to spoil a sound log. A fault says where it can be planted, and is planted at one of these places.

mod effects;
mod events;
mod history;
mod inputs;

use longhaul_testkit::check::session::{Entry, EventKind, RequestKind};
use serde_json::Value;

/// A fault: its name, the invariant that it breaks, and how to plant it.
pub(crate) struct Fault {
    pub(crate) name: &'static str,
    pub(crate) invariant: &'static str,
    /// Plants it at the place that the number picks; false if there is no place for it.
    pub(crate) plant: fn(&mut Vec<Entry>, usize) -> bool,
}

const fn fault(
    name: &'static str,
    invariant: &'static str,
    plant: fn(&mut Vec<Entry>, usize) -> bool,
) -> Fault {
    Fault { name, invariant, plant }
}

/// All of them.
pub(crate) fn all() -> impl Iterator<Item = &'static Fault> {
    [&history::FAULTS[..], &effects::FAULTS, &events::FAULTS, &inputs::FAULTS].into_iter().flatten()
}

/// The places of entries that `wanted` accepts.
fn places(entries: &[Entry], wanted: impl Fn(&Entry) -> bool) -> Vec<usize> {
    (0..entries.len()).filter(|at| wanted(&entries[*at])).collect()
}

/// One of them.
fn pick<T: Clone>(places: &[T], number: usize) -> Option<T> {
    (!places.is_empty()).then(|| places[number % places.len()].clone())
}

/// Picks a place, spoils it, and says whether there was one.
fn spoil<T: Clone>(places: &[T], number: usize, how: impl FnOnce(T)) -> bool {
    pick(places, number).map(how).is_some()
}

/// The items of a request of the conversation.
fn items(entry: &mut Entry) -> Option<&mut Vec<Value>> {
    match entry {
        Entry::Request { kind: RequestKind::Turn, items } => Some(items),
        _ => None,
    }
}

/// The first entry of this kind behind a place.
fn behind(entries: &[Entry], at: usize, wanted: impl Fn(&Entry) -> bool) -> Option<usize> {
    entries[at..].iter().position(wanted).map(|more| at + more)
}

/// The next request, if it has the output of the call and goes on from the one before.
fn is_sent(entries: &[Entry], from: usize, id: &str) -> Option<usize> {
    let is_request = |entry: &Entry| matches!(entry, Entry::Request { .. });
    let at = behind(entries, from, is_request)?;
    let earlier = lasting(entries[..from].iter().rfind(|entry| is_turn_request(entry))?);
    let later = lasting(&entries[at]);
    let has_output =
        later.iter().any(|item| item["type"] == "function_call_output" && item["call_id"] == *id);
    (has_output && later.starts_with(&earlier)).then_some(at)
}

/// The items that the next request has to have too.
fn lasting(request: &Entry) -> Vec<&Value> {
    match request {
        Entry::Request { kind: RequestKind::Turn, items } => {
            items.iter().filter(|item| item["type"] != "reasoning").collect()
        }
        _ => Vec::new(),
    }
}

fn is_turn_request(entry: &Entry) -> bool {
    matches!(entry, Entry::Request { kind: RequestKind::Turn, .. })
}

fn is_event(entry: &Entry, wanted: impl Fn(&EventKind) -> bool) -> bool {
    matches!(entry, Entry::Event { event, .. } if wanted(event))
}

fn is_end(event: &EventKind) -> bool {
    matches!(event, EventKind::TurnComplete { .. } | EventKind::TurnAborted)
}

/// The places of the items of this type: entry and item.
fn item_places(entries: &mut [Entry], wanted: impl Fn(&Value) -> bool) -> Vec<(usize, usize)> {
    let mut places = Vec::new();
    for (at, entry) in entries.iter_mut().enumerate() {
        let items = items(entry).into_iter().flatten().enumerate();
        places.extend(items.filter(|(_, item)| wanted(item)).map(|(place, _)| (at, place)));
    }
    places
}

fn is_user(item: &Value) -> bool {
    item["role"] == "user" && item["content"].is_array()
}

/// Events are numbered anew, so that a planted or removed one leaves no gap.
fn renumber(entries: &mut [Entry]) {
    let mut next = 0;
    for entry in entries {
        if let Entry::Event { number, .. } = entry {
            next += 1;
            *number = next;
        }
    }
}
