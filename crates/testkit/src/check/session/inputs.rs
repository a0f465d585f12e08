//! I12 and I28: every input is sent once, in order, or taken back, and its handle tells which.

use std::collections::{HashMap, HashSet};

use super::view::{View, said};
use super::{Entry, EventKind, Found, InputEnd, RequestKind};

pub(super) fn check(view: &View, found: &mut Found) {
    let inputs = accepted(view, found);
    settled(view, &inputs, found);
    sent(view, &inputs, found);
    lost(view, &inputs, found);
}

/// What the session owes an input.
struct Input<'a> {
    id: &'a str,
    /// When it was accepted: its place in the log.
    at: usize,
    steers: bool,
    /// When its handle told which end.
    end: Option<(usize, InputEnd)>,
    is_withdrawn: bool,
}

fn accepted<'a>(view: &View<'a>, found: &mut Found) -> Vec<Input<'a>> {
    let mut inputs = Vec::new();
    let (mut ids, mut texts) = (HashSet::new(), HashSet::new());
    for (at, entry) in view.entries.iter().enumerate() {
        if let Entry::Accepted { input, text, steers } = entry {
            if !ids.insert(input) || !texts.insert(text) {
                let what = format!("Input `{input}` has the id or the text of an earlier one.");
                found.add("I12", what);
            }
            let (id, steers) = (input.as_str(), *steers);
            inputs.push(Input { id, at, steers, end: None, is_withdrawn: false });
        }
    }
    let places: HashMap<&str, usize> =
        inputs.iter().enumerate().map(|(place, input)| (input.id, place)).collect();
    for (at, entry) in view.entries.iter().enumerate() {
        let (input, end) = match entry {
            Entry::Withdrawn { input } => (input, None),
            Entry::Settled { input, end } => (input, Some((at, *end))),
            _ => continue,
        };
        if let Some(place) = places.get(input.as_str()) {
            let input: &mut Input = &mut inputs[*place];
            input.end = input.end.or(end);
            input.is_withdrawn |= end.is_none_or(|(_, end)| end == InputEnd::Withdrawn);
        }
    }
    inputs
}

/// Every handle tells one end.
fn settled(view: &View, inputs: &[Input], found: &mut Found) {
    let mut told = HashSet::new();
    for entry in view.entries {
        if let Entry::Settled { input, .. } = entry
            && !told.insert(input)
        {
            found.add("I12", format!("Input `{input}` was told a second end."));
        }
    }
    for input in inputs.iter().filter(|input| view.is_whole && input.end.is_none()) {
        found.add("I28", format!("Input `{}` was never told its end.", input.id));
    }
}

/// No request carries an input twice, in a wrong place, or after it was taken back. Prompts keep their order, and
/// steers keep theirs; a steer may overtake prompts that wait.
fn sent(view: &View, inputs: &[Input], found: &mut Found) {
    let places: HashMap<&str, usize> =
        inputs.iter().enumerate().map(|(place, input)| (input.id, place)).collect();
    let mut wrong = HashSet::new();
    for exchange in &view.exchanges {
        let said: Vec<usize> =
            said(&view.inputs, exchange.items).iter().map(|id| places[id]).collect();
        wrong.extend(
            said.iter()
                .filter(|at| inputs[**at].is_withdrawn)
                .map(|at| (*at, "was sent though it was taken back")),
        );
        if exchange.kind != RequestKind::Turn {
            continue;
        }
        let mut once = HashSet::new();
        wrong.extend(said.iter().filter(|at| !once.insert(**at)).map(|at| (*at, "was sent twice")));
        for steers in [false, true] {
            let kind: Vec<usize> =
                said.iter().copied().filter(|at| inputs[*at].steers == steers).collect();
            let late = kind.windows(2).filter(|pair| pair[0] > pair[1]);
            wrong.extend(late.map(|pair| (pair[1], "was sent after a later one")));
        }
    }
    let mut wrong: Vec<_> = wrong.into_iter().collect();
    wrong.sort_unstable();
    for (at, what) in wrong {
        found.add("I12", format!("Input `{}` {what}.", inputs[at].id));
    }
}

/// What a turn answered, it was sent. What a turn was cut off from or failed at is in the next request of any turn; a
/// compaction may have made it a part of something else.
fn lost(view: &View, inputs: &[Input], found: &mut Found) {
    let requests = || view.exchanges.iter();
    let sent: HashSet<&str> =
        requests().flat_map(|exchange| said(&view.inputs, exchange.items)).collect();
    let last = view.turn_requests().last().map(|exchange| exchange.at);
    let compacted = view.events().rfind(|(_, event)| {
        matches!(event, EventKind::Compacted | EventKind::Undone | EventKind::Missed { .. })
    });
    for input in inputs.iter().filter(|input| !input.is_withdrawn && !sent.contains(input.id)) {
        let is_due = match input.end {
            Some((_, InputEnd::Completed)) => true,
            Some((at, _)) => {
                last > Some(at) && compacted.is_none_or(|(compacted, _)| compacted < input.at)
            }
            None => false,
        };
        if is_due {
            found.add("I12", format!("Input `{}` was never sent.", input.id));
        }
    }
}
