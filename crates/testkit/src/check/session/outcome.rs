//! I9, and I25 of requests: a turn that says it went well did, and one that was interrupted asks nothing more.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::view::{Answer, View};
use super::{Entry, EventKind, Found, InputEnd};

pub(super) fn check(view: &View, found: &mut Found) {
    let ends = ends(view);
    responses(view, &ends, found);
    inputs(view, &ends, found);
    interrupts(view, found);
}

/// How the events say that each turn ended.
fn ends<'a>(view: &View<'a>) -> HashMap<&'a str, InputEnd> {
    let ends = view.entries.iter().filter_map(|entry| {
        let Entry::Event { turn_id, event, .. } = entry else {
            return None;
        };
        let end = match event {
            EventKind::TurnComplete { failed: false } => InputEnd::Completed,
            EventKind::TurnComplete { failed: true } => InputEnd::Failed,
            EventKind::TurnAborted => InputEnd::Aborted,
            _ => return None,
        };
        Some((turn_id.as_str(), end))
    });
    ends.collect()
}

fn responses(view: &View, ends: &HashMap<&str, InputEnd>, found: &mut Found) {
    let answers = view.turn_requests().filter_map(|it| Some((it.turn?, it.answer)));
    // The last of each turn.
    let answers: BTreeMap<&str, Answer> = answers.collect();
    for (turn, answer) in answers {
        let is_complete = matches!(answer, Answer::Completed { .. });
        if ends.get(turn) == Some(&InputEnd::Completed) && !is_complete {
            let what = format!("Turn `{turn}` ended well, and its last response was not complete.");
            found.add("I9", what);
        }
    }
}

/// The input that a turn is named after ends as the turn does.
fn inputs(view: &View, ends: &HashMap<&str, InputEnd>, found: &mut Found) {
    for entry in view.entries {
        if let Entry::Settled { input, end } = entry
            && ends.get(input.as_str()).is_some_and(|told| told != end)
        {
            let what = format!("Input `{input}` was told another end than the turn it began.");
            found.add("I9", what);
        }
    }
}

fn interrupts(view: &View, found: &mut Found) {
    let mut interrupted = HashSet::new();
    let mut exchanges = view.exchanges.iter();
    for entry in view.entries {
        match entry {
            Entry::InterruptReturned { turn_id } => {
                interrupted.insert(turn_id.as_str());
            }
            Entry::Request { .. } => {
                let turn = exchanges.next().and_then(|exchange| exchange.turn);
                if let Some(turn) = turn.filter(|turn| interrupted.contains(turn)) {
                    found.add("I25", format!("Turn `{turn}` sent a request after its interrupt."));
                }
            }
            _ => {}
        }
    }
}
