//! I12, and I28 of inputs.

use std::collections::{HashMap, HashSet};

use longhaul_testkit::check::session::{Entry, InputEnd};
use serde_json::{Value, json};

use super::{Fault, fault, is_turn_request, is_user, item_places, items, places, spoil};

pub(super) const FAULTS: [Fault; 8] = [
    fault("an input is sent nowhere", "I12", lost),
    fault("the input of an interrupted turn is sent nowhere", "I12", lost_by_interrupt),
    fault("an input is sent twice", "I12", twice),
    fault("two inputs are swapped", "I12", swapped),
    fault("an input is sent that was taken back", "I12", withdrawn),
    fault("an input is told two ends", "I12", second_end),
    fault("an input is told no end", "I28", no_end),
    fault("two inputs have one text", "I12", one_text),
];

fn message(text: &str) -> Value {
    json!({"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]})
}

fn texts(entries: &[Entry]) -> HashMap<String, (String, bool)> {
    let accepted = entries.iter().filter_map(|entry| match entry {
        Entry::Accepted { input, text, steers } => Some((input.clone(), (text.clone(), *steers))),
        _ => None,
    });
    accepted.collect()
}

fn settled(entries: &[Entry], wanted: InputEnd) -> Vec<(usize, String)> {
    let settled = entries.iter().enumerate().filter_map(|(at, entry)| match entry {
        Entry::Settled { input, end } if *end == wanted => Some((at, input.clone())),
        _ => None,
    });
    settled.collect()
}

fn forget(entries: &mut [Entry], input: &str) {
    let text = texts(entries)[input].0.clone();
    for entry in entries {
        if let Entry::Request { items, .. } = entry {
            items.retain(|item| item["content"][0]["text"] != *text);
        }
    }
}

fn lost(entries: &mut Vec<Entry>, number: usize) -> bool {
    spoil(&settled(entries, InputEnd::Completed), number, |(_, input)| forget(entries, &input))
}

/// One that no compaction can have made a part of something else.
fn lost_by_interrupt(entries: &mut Vec<Entry>, number: usize) -> bool {
    let last_edit = places(entries, |entry| {
        super::is_event(entry, |event| {
            use longhaul_testkit::check::session::EventKind;
            matches!(event, EventKind::Compacted | EventKind::Undone)
        })
    })
    .pop();
    let last_request = places(entries, is_turn_request).pop();
    let accepted: HashSet<&str> = entries
        .iter()
        .enumerate()
        .filter_map(|(at, entry)| match entry {
            Entry::Accepted { input, .. } if last_edit < Some(at) => Some(input.as_str()),
            _ => None,
        })
        .collect();
    let cut: Vec<_> = settled(entries, InputEnd::Aborted)
        .into_iter()
        .filter(|(at, input)| last_request > Some(*at) && accepted.contains(input.as_str()))
        .collect();
    spoil(&cut, number, |(_, input)| forget(entries, &input))
}

fn twice(entries: &mut Vec<Entry>, number: usize) -> bool {
    let said = item_places(entries, is_user);
    spoil(&said, number, |(at, place)| {
        let items = items(&mut entries[at]).unwrap();
        items.push(items[place].clone());
    })
}

/// Two prompts, or two steers.
fn swapped(entries: &mut Vec<Entry>, number: usize) -> bool {
    let steers: HashMap<String, bool> = texts(entries).into_values().collect();
    let mut pairs = Vec::new();
    for (at, entry) in entries.iter_mut().enumerate() {
        let items = items(entry).map(|items| items.clone()).unwrap_or_default();
        let kind = |place: usize| {
            let text = items[place]["content"][0]["text"].as_str()?;
            steers.get(text)
        };
        let said: Vec<usize> = (0..items.len()).filter(|place| kind(*place).is_some()).collect();
        for pair in said.windows(2).filter(|pair| kind(pair[0]) == kind(pair[1])) {
            pairs.push((at, pair[0], pair[1]));
        }
    }
    spoil(&pairs, number, |(at, one, other)| items(&mut entries[at]).unwrap().swap(one, other))
}

/// Before or after it was taken back: it was not to be sent at all.
fn withdrawn(entries: &mut Vec<Entry>, number: usize) -> bool {
    let inputs = settled(entries, InputEnd::Withdrawn);
    let requests = places(entries, is_turn_request);
    spoil(&inputs, number, |(_, input)| {
        let text = texts(entries)[&input].0.clone();
        let at = requests[number / 7 % requests.len()];
        items(&mut entries[at]).unwrap().push(message(&text));
    })
}

fn ends(entries: &[Entry]) -> Vec<usize> {
    places(entries, |entry| matches!(entry, Entry::Settled { .. }))
}

fn second_end(entries: &mut Vec<Entry>, number: usize) -> bool {
    spoil(&ends(entries), number, |at| entries.insert(at, entries[at].clone()))
}

fn no_end(entries: &mut Vec<Entry>, number: usize) -> bool {
    spoil(&ends(entries), number, |at| {
        entries.remove(at);
    })
}

fn one_text(entries: &mut Vec<Entry>, number: usize) -> bool {
    let accepted = places(entries, |entry| matches!(entry, Entry::Accepted { .. }));
    spoil(&accepted[1..], number, |at| {
        let Entry::Accepted { text: first, .. } = entries[accepted[0]].clone() else {
            return;
        };
        if let Entry::Accepted { text, .. } = &mut entries[at] {
            *text = first;
        }
    })
}
