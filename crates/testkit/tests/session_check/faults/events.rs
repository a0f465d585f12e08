//! I8, I9, I10 in events, I26, I27, and I28 of turns.

use std::collections::HashSet;

use longhaul_testkit::check::session::{Entry, EventKind, InputEnd};

use super::{Fault, fault, is_end, is_event, is_turn_request, places, renumber, spoil};

pub(super) const FAULTS: [Fault; 13] = [
    fault("a turn ends twice", "I8", second_end),
    fault("a turn says something after its end", "I8", after_end),
    fault("a turn starts twice", "I8", second_start),
    fault("a turn never says that it starts", "I8", no_start),
    fault("a turn has no end, and another starts", "I8", no_end),
    fault("a turn ends well though its last response failed", "I9", failed_response),
    fault("a turn ends well though its last response never came", "I9", no_response),
    fault("an input is told another end than its turn", "I9", other_end),
    fault("a message begins with text of a failed attempt", "I10", ghost_in_message),
    fault("a failed attempt is not told", "I10", untold_failure),
    fault("an event is missing", "I26", gap),
    fault("a measure is over its cap", "I27", over_cap),
    fault("the last turn is open at the end", "I28", open_turn),
];

fn events(entries: &[Entry], wanted: impl Fn(&EventKind) -> bool) -> Vec<usize> {
    places(entries, |entry| is_event(entry, &wanted))
}

fn turn_of(entry: &Entry) -> String {
    match entry {
        Entry::Event { turn_id, .. } => turn_id.clone(),
        entry => panic!("no event: {entry:?}"),
    }
}

fn insert(entries: &mut Vec<Entry>, at: usize, turn_id: String, event: EventKind) {
    entries.insert(at, Entry::Event { number: 0, turn_id, event });
    renumber(entries);
}

fn second_end(entries: &mut Vec<Entry>, number: usize) -> bool {
    spoil(&events(entries, is_end), number, |at| {
        insert(entries, at + 1, turn_of(&entries[at]), EventKind::TurnAborted);
    })
}

/// Right after it, or much later.
fn after_end(entries: &mut Vec<Entry>, number: usize) -> bool {
    spoil(&events(entries, is_end), number, |at| {
        let late = at + 1 + number % (entries.len() - at);
        let event = EventKind::Other("late".to_owned());
        insert(entries, late, turn_of(&entries[at]), event);
    })
}

fn second_start(entries: &mut Vec<Entry>, number: usize) -> bool {
    spoil(&events(entries, |event| *event == EventKind::TurnStarted), number, |at| {
        insert(entries, at, turn_of(&entries[at]), EventKind::TurnStarted);
    })
}

fn no_start(entries: &mut Vec<Entry>, number: usize) -> bool {
    spoil(&events(entries, |event| *event == EventKind::TurnStarted), number, |at| {
        entries.remove(at);
        renumber(entries);
    })
}

fn no_end(entries: &mut Vec<Entry>, number: usize) -> bool {
    let mut ends = events(entries, is_end);
    ends.pop();
    spoil(&ends, number, |at| {
        entries.remove(at);
        renumber(entries);
    })
}

/// The places of responses without calls to requests of the conversation: the last of their turns.
fn last_responses(entries: &[Entry]) -> Vec<usize> {
    let mut of_turn = false;
    let mut places = Vec::new();
    for (at, entry) in entries.iter().enumerate() {
        match entry {
            Entry::Request { .. } => of_turn = is_turn_request(entry),
            Entry::ResponseCompleted { calls } if of_turn && calls.is_empty() => places.push(at),
            _ => {}
        }
    }
    places
}

fn failed_response(entries: &mut Vec<Entry>, number: usize) -> bool {
    spoil(&last_responses(entries), number, |at| entries[at] = Entry::ResponseFailed)
}

fn no_response(entries: &mut Vec<Entry>, number: usize) -> bool {
    spoil(&last_responses(entries), number, |at| {
        entries.remove(at);
    })
}

fn other_end(entries: &mut Vec<Entry>, number: usize) -> bool {
    let turns: HashSet<String> = events(entries, |event| *event == EventKind::TurnStarted)
        .into_iter()
        .map(|at| turn_of(&entries[at]))
        .collect();
    let settled = places(
        entries,
        |entry| matches!(entry, Entry::Settled { input, .. } if turns.contains(input)),
    );
    spoil(&settled, number, |at| {
        if let Entry::Settled { end, .. } = &mut entries[at] {
            let is_good = *end == InputEnd::Completed;
            *end = if is_good { InputEnd::Failed } else { InputEnd::Completed };
        }
    })
}

fn is_message(event: &EventKind) -> bool {
    matches!(event, EventKind::ItemCompleted { text: Some(_), is_user: false })
}

fn ghost_in_message(entries: &mut Vec<Entry>, number: usize) -> bool {
    spoil(&events(entries, is_message), number, |at| {
        if let Entry::Event { event: EventKind::ItemCompleted { text: Some(text), .. }, .. } =
            &mut entries[at]
        {
            text.insert_str(0, "text 0");
        }
    })
}

/// One that is followed by a message: what ends otherwise is void anyway.
fn untold_failure(entries: &mut Vec<Entry>, number: usize) -> bool {
    let settles =
        |event: &EventKind| is_message(event) || is_end(event) || *event == EventKind::StreamError;
    let order = events(entries, settles);
    let told: Vec<usize> = order
        .windows(2)
        .filter(|pair| is_event(&entries[pair[0]], |event| *event == EventKind::StreamError))
        .filter(|pair| is_event(&entries[pair[1]], is_message))
        .map(|pair| pair[0])
        .collect();
    spoil(&told, number, |at| {
        entries.remove(at);
        renumber(entries);
    })
}

fn gap(entries: &mut Vec<Entry>, number: usize) -> bool {
    let mut inner = events(entries, |_| true);
    inner.pop();
    inner.remove(0);
    spoil(&inner, number, |at| {
        entries.remove(at);
    })
}

fn over_cap(entries: &mut Vec<Entry>, number: usize) -> bool {
    spoil(&places(entries, |entry| matches!(entry, Entry::Sample { .. })), number, |at| {
        if let Entry::Sample { value, cap, .. } = &mut entries[at] {
            *value = *cap + 1;
        }
    })
}

fn open_turn(entries: &mut Vec<Entry>, _: usize) -> bool {
    let last = events(entries, is_end).pop();
    spoil(last.as_slice(), 0, |at| {
        entries.remove(at);
        renumber(entries);
    })
}
