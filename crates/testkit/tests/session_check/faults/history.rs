//! I1, I2 in requests, I10 in requests, I11.

use longhaul_testkit::check::session::{Entry, EventKind, RequestKind};
use serde_json::json;

use super::{Fault, fault, is_event, is_sent, is_turn_request, item_places, items, places, spoil};

pub(super) const FAULTS: [Fault; 8] = [
    fault("an output is dropped", "I1", drop_output),
    fault("an output comes twice", "I1", double_output),
    fault("a call and its output are dropped everywhere", "I1", forget_call),
    fault("a call in a request has other arguments", "I2", other_arguments),
    fault("text of a failed attempt is in a request", "I10", ghost),
    fault("an item of an earlier request is edited", "I11", edit_item),
    fault("an item of an earlier request is gone", "I11", drop_item),
    fault("a compaction is not told", "I11", untold_compaction),
];

fn drop_output(entries: &mut Vec<Entry>, number: usize) -> bool {
    let outputs = item_places(entries, |item| item["type"] == "function_call_output");
    spoil(&outputs, number, |(at, place)| {
        items(&mut entries[at]).unwrap().remove(place);
    })
}

fn double_output(entries: &mut Vec<Entry>, number: usize) -> bool {
    let outputs = item_places(entries, |item| item["type"] == "function_call_output");
    spoil(&outputs, number, |(at, place)| {
        let items = items(&mut entries[at]).unwrap();
        items.push(items[place].clone());
    })
}

/// One of several calls: a response that is lost as a whole may have come together with an interrupt.
fn forget_call(entries: &mut Vec<Entry>, number: usize) -> bool {
    let sites: Vec<String> = entries
        .iter()
        .enumerate()
        .filter_map(|(at, entry)| match entry {
            Entry::ResponseCompleted { calls } if calls.len() > 1 => Some((at, &calls[0].call_id)),
            _ => None,
        })
        .filter(|(at, id)| is_sent(entries, *at, id).is_some())
        .map(|(_, id)| id.clone())
        .collect();
    spoil(&sites, number, |id| {
        for items in entries.iter_mut().filter_map(items) {
            items.retain(|item| item["call_id"] != *id);
        }
    })
}

fn other_arguments(entries: &mut Vec<Entry>, number: usize) -> bool {
    let calls = item_places(entries, |item| item["type"] == "function_call");
    spoil(&calls, number, |(at, place)| {
        items(&mut entries[at]).unwrap()[place]["arguments"] = json!("{\"n\":0}");
    })
}

fn ghost(entries: &mut Vec<Entry>, number: usize) -> bool {
    let events: Vec<&EventKind> = entries
        .iter()
        .filter_map(|entry| match entry {
            Entry::Event { event, .. } => Some(event),
            _ => None,
        })
        .collect();
    let mut void = Vec::new();
    for pair in events.windows(2) {
        if let [EventKind::TextDelta(text), EventKind::StreamError | EventKind::TurnAborted] = pair
        {
            void.push(text.clone());
        }
    }
    let request = places(entries, is_turn_request).pop();
    spoil(&void, number, |text| {
        let ghost = json!({"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]});
        items(&mut entries[request.unwrap()]).unwrap().push(ghost);
    })
}

/// Requests that have to continue the one before them: no edit is told behind that one.
fn bound(entries: &[Entry]) -> Vec<usize> {
    let edited = places(entries, |entry| {
        is_event(entry, |event| matches!(event, EventKind::Compacted | EventKind::Undone))
    });
    let requests = places(entries, |entry| matches!(entry, Entry::Request { .. }));
    let is_bound = |pair: &&[usize]| {
        pair.iter().all(|at| is_turn_request(&entries[*at]))
            && edited.last().is_none_or(|edit| *edit < pair[0])
    };
    requests.windows(2).filter(is_bound).map(|pair| pair[1]).collect()
}

fn edit_item(entries: &mut Vec<Entry>, number: usize) -> bool {
    let bound = bound(entries);
    spoil(&bound, number, |at| {
        items(&mut entries[at]).unwrap()[0]["content"] = json!("edited");
    })
}

fn drop_item(entries: &mut Vec<Entry>, number: usize) -> bool {
    let bound = bound(entries);
    spoil(&bound, number, |at| {
        items(&mut entries[at]).unwrap().remove(0);
    })
}

/// The only one that nothing but its event tells.
fn untold_compaction(entries: &mut Vec<Entry>, _: usize) -> bool {
    let silent = places(entries, |entry| {
        matches!(entry, Entry::Request { kind: RequestKind::Compact | RequestKind::Review, .. })
    });
    entries.retain(|entry| {
        !is_event(entry, |event| matches!(event, EventKind::Compacted | EventKind::Undone))
            && !matches!(
                entry,
                Entry::Request { kind: RequestKind::Compact | RequestKind::Review, .. }
            )
    });
    super::renumber(entries);
    !silent.is_empty()
}
