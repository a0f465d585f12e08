//! I2 to I7 and I25: what tools do.

use longhaul_testkit::check::session::{Call, Entry};
use serde_json::json;

use super::super::sound::RISKY;
use super::{Fault, behind, fault, is_sent, is_turn_request, items, places, spoil};

pub(super) const FAULTS: [Fault; 16] = [
    fault("a tool starts with other arguments", "I2", other_arguments),
    fault("another tool starts", "I2", other_tool),
    fault("a tool starts twice", "I3", start_twice),
    fault("a tool ends before it starts", "I4", end_first),
    fault("an output is sent before its tool has ended", "I4", end_late),
    fault("a tool starts after its output was sent", "I4", start_late),
    fault("a call that had started is told as not started", "I5", not_started),
    fault("a tool starts for a call that no response has", "I6", no_call),
    fault("a tool starts before its response is complete", "I6", start_early),
    fault("a tool starts with arguments that are no JSON", "I6", no_json),
    fault("a denied call runs", "I7", run_denied),
    fault("a call runs that nobody answered", "I7", unanswered),
    fault("a yes is for other arguments", "I7", other_yes),
    fault("a tool ends after the interrupt of its turn", "I25", end_after_interrupt),
    fault("a tool starts after the interrupt of its turn", "I25", start_after_interrupt),
    fault("a turn sends a request after its interrupt", "I25", request_after_interrupt),
];

fn starts(entries: &[Entry], wanted: impl Fn(&Call) -> bool) -> Vec<usize> {
    places(entries, |entry| matches!(entry, Entry::EffectStart(call) if wanted(call)))
}

fn call(entries: &[Entry], at: usize) -> Call {
    match &entries[at] {
        Entry::EffectStart(call) | Entry::Asked(call) => call.clone(),
        entry => panic!("no call: {entry:?}"),
    }
}

fn end_of(entries: &[Entry], id: &str) -> Option<usize> {
    entries.iter().position(|entry| matches!(entry, Entry::EffectEnd { call_id } if call_id == id))
}

fn is_interrupt(entry: &Entry) -> bool {
    matches!(entry, Entry::InterruptReturned { .. })
}

fn other_arguments(entries: &mut Vec<Entry>, number: usize) -> bool {
    spoil(&starts(entries, |call| call.name != RISKY), number, |at| {
        let call = call(entries, at);
        entries[at] = Entry::EffectStart(Call { arguments: "{\"n\":0}".to_owned(), ..call });
    })
}

fn other_tool(entries: &mut Vec<Entry>, number: usize) -> bool {
    spoil(&starts(entries, |_| true), number, |at| {
        let call = call(entries, at);
        entries[at] = Entry::EffectStart(Call { name: "other".to_owned(), ..call });
    })
}

fn start_twice(entries: &mut Vec<Entry>, number: usize) -> bool {
    spoil(&starts(entries, |_| true), number, |at| entries.insert(at, entries[at].clone()))
}

fn end_first(entries: &mut Vec<Entry>, number: usize) -> bool {
    let starts = starts(entries, |call| end_of(entries, &call.call_id).is_some());
    spoil(&starts, number, |at| {
        let end = end_of(entries, &call(entries, at).call_id).unwrap();
        entries.swap(at, end);
    })
}

fn end_late(entries: &mut Vec<Entry>, number: usize) -> bool {
    let starts = starts(entries, |call| {
        end_of(entries, &call.call_id)
            .is_some_and(|at| is_sent(entries, at, &call.call_id).is_some())
    });
    spoil(&starts, number, |at| {
        let id = call(entries, at).call_id;
        let end = end_of(entries, &id).unwrap();
        let sent = is_sent(entries, end, &id).unwrap();
        let end = entries.remove(end);
        entries.insert(sent, end);
    })
}

fn start_late(entries: &mut Vec<Entry>, number: usize) -> bool {
    let denied: Vec<usize> = places(entries, |entry| match entry {
        Entry::Asked(call) => end_of(entries, &call.call_id).is_none(),
        _ => false,
    });
    let sent: Vec<(usize, usize)> = denied
        .into_iter()
        .filter_map(|at| Some((at, is_sent(entries, at, &call(entries, at).call_id)?)))
        .collect();
    spoil(&sent, number, |(at, sent)| {
        let call = call(entries, at);
        entries.insert(sent + 1, Entry::EffectStart(call));
    })
}

fn not_started(entries: &mut Vec<Entry>, number: usize) -> bool {
    let cut = starts(entries, |call| end_of(entries, &call.call_id).is_none());
    let cut: Vec<usize> = cut
        .into_iter()
        .filter(|at| is_sent(entries, *at, &call(entries, *at).call_id).is_some())
        .collect();
    spoil(&cut, number, |at| {
        let id = call(entries, at).call_id;
        for item in entries.iter_mut().filter_map(items).flatten() {
            if item["type"] == "function_call_output" && item["call_id"] == *id {
                item["output"] = json!([{"type": "input_text", "text": "aborted: not started"}]);
            }
        }
    })
}

fn no_call(entries: &mut Vec<Entry>, number: usize) -> bool {
    spoil(&starts(entries, |_| true), number, |at| {
        let id = call(entries, at).call_id;
        for entry in entries {
            if let Entry::ResponseCompleted { calls } = entry {
                calls.retain(|call| call.call_id != id);
            }
        }
    })
}

fn start_early(entries: &mut Vec<Entry>, number: usize) -> bool {
    spoil(&starts(entries, |_| true), number, |at| {
        let id = call(entries, at).call_id;
        let complete = places(entries, |entry| match entry {
            Entry::ResponseCompleted { calls } => calls.iter().any(|call| call.call_id == id),
            _ => false,
        });
        let start = entries.remove(at);
        entries.insert(complete[0], start);
    })
}

/// Everywhere alike.
fn no_json(entries: &mut Vec<Entry>, number: usize) -> bool {
    spoil(&starts(entries, |_| true), number, |at| {
        let spoiled = call(entries, at).arguments;
        for entry in entries {
            match entry {
                Entry::EffectStart(Call { arguments, .. })
                | Entry::Asked(Call { arguments, .. })
                | Entry::Answered { arguments, .. } => cut(arguments, &spoiled),
                Entry::ResponseCompleted { calls } => {
                    for call in calls {
                        cut(&mut call.arguments, &spoiled);
                    }
                }
                Entry::Request { items, .. } => {
                    for item in items.iter_mut().filter(|item| item["arguments"] == *spoiled) {
                        item["arguments"] = json!("{");
                    }
                }
                _ => {}
            }
        }
    })
}

fn cut(arguments: &mut String, spoiled: &str) {
    if arguments == spoiled {
        "{".clone_into(arguments);
    }
}

fn run_denied(entries: &mut Vec<Entry>, number: usize) -> bool {
    let denied = places(entries, |entry| matches!(entry, Entry::Answered { yes: false, .. }));
    spoil(&denied, number, |at| {
        let asked = entries[..at].iter().rposition(|entry| matches!(entry, Entry::Asked(_)));
        let call = call(entries, asked.unwrap());
        let call_id = call.call_id.clone();
        entries.insert(at + 1, Entry::EffectEnd { call_id });
        entries.insert(at + 1, Entry::EffectStart(call));
    })
}

fn yeses(entries: &[Entry]) -> Vec<usize> {
    places(entries, |entry| matches!(entry, Entry::Answered { yes: true, .. }))
}

fn unanswered(entries: &mut Vec<Entry>, number: usize) -> bool {
    spoil(&yeses(entries), number, |at| {
        entries.remove(at);
    })
}

fn other_yes(entries: &mut Vec<Entry>, number: usize) -> bool {
    spoil(&yeses(entries), number, |at| {
        if let Entry::Answered { arguments, .. } = &mut entries[at] {
            "{\"n\":0}".clone_into(arguments);
        }
    })
}

/// What still runs when its turn is interrupted.
fn cut_starts(entries: &[Entry]) -> Vec<(usize, usize)> {
    let cut = starts(entries, |call| end_of(entries, &call.call_id).is_none());
    cut.into_iter().map(|at| (at, behind(entries, at, is_interrupt).unwrap())).collect()
}

fn end_after_interrupt(entries: &mut Vec<Entry>, number: usize) -> bool {
    spoil(&cut_starts(entries), number, |(at, interrupt)| {
        let call_id = call(entries, at).call_id;
        entries.insert(interrupt + 1, Entry::EffectEnd { call_id });
    })
}

fn start_after_interrupt(entries: &mut Vec<Entry>, number: usize) -> bool {
    spoil(&cut_starts(entries), number, |(at, interrupt)| {
        let start = entries.remove(at);
        entries.insert(interrupt, start);
    })
}

fn request_after_interrupt(entries: &mut Vec<Entry>, number: usize) -> bool {
    spoil(&cut_starts(entries), number, |(at, interrupt)| {
        let request = entries[..at].iter().rfind(|entry| is_turn_request(entry)).unwrap().clone();
        entries.insert(interrupt + 1, request);
    })
}
