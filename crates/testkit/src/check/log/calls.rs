//! I3 to I5: what tools did, and what the log says of it.

use std::collections::{BTreeMap, BTreeSet};

use super::{Found, Line, Note, View};

/// What a log says of a call that did not start, and of one that had.
const NOT_STARTED: &str = "not started";
const UNKNOWN: &str = "effect unknown";

/// That a call starts, as the log says it.
struct Intent<'a> {
    call_id: &'a str,
    tool: &'a str,
    epoch: u64,
    end: u64,
}

/// Checks all calls; gives how many the model was told of that their effect is unknown after a crash.
pub(super) fn check(view: &View<'_>, found: &mut Found) -> usize {
    let intents = intents(&view.lines);
    starts(view, found);
    order(view, &intents, found);
    let calls: BTreeSet<&str> = intents.iter().map(|intent| intent.call_id).collect();
    let unknown = calls.iter().filter(|call_id| {
        let of_call: Vec<_> = intents.iter().filter(|it| it.call_id == **call_id).collect();
        is_unknown(view, &of_call, found)
    });
    unknown.count()
}

/// Each `started`, with the call of the newest response that its position names.
fn intents(lines: &[Line]) -> Vec<Intent<'_>> {
    let (mut calls, mut newest, mut intents) = (Vec::new(), Vec::new(), Vec::new());
    for line in lines {
        let payload = &line.payload;
        match (&*line.kind, payload["state"].as_str()) {
            ("response_item", _) if payload["type"] == "function_call" => {
                calls.push((payload["call_id"].as_str(), payload["name"].as_str()));
            }
            ("call", Some("response")) => {
                let count = payload["calls"].as_u64().and_then(|it| usize::try_from(it).ok());
                newest = calls[calls.len().saturating_sub(count.unwrap_or(0))..].to_vec();
            }
            ("call", Some("started")) => {
                let position = payload["position"].as_u64().and_then(|it| usize::try_from(it).ok());
                if let Some(&(Some(call_id), Some(tool))) = newest.get(position.unwrap_or(0)) {
                    intents.push(Intent { call_id, tool, epoch: line.epoch, end: line.end });
                }
            }
            _ => {}
        }
    }
    intents
}

/// I3: how often tools start.
fn starts(view: &View<'_>, found: &mut Found) {
    let (mut here, mut ever) = (BTreeSet::new(), BTreeSet::new());
    for note in view.notes() {
        match note {
            Note::Run => here.clear(),
            Note::Start { call_id, tool, .. } => {
                let is_again = !ever.insert(call_id) && !view.evidence.may_run_again.contains(tool);
                if !here.insert(call_id) || is_again {
                    found.add("I3", format!("The tool of call `{call_id}` started twice."));
                }
            }
            _ => {}
        }
    }
}

/// I4: intent, start, end, result, request.
fn order(view: &View<'_>, intents: &[Intent<'_>], found: &mut Found) {
    let mut running = BTreeMap::new();
    let has_output = |call_id: &str, durable: u64| {
        view.outputs(call_id).iter().any(|output| output.end <= durable)
    };
    for note in view.notes() {
        match note {
            Note::Start { call_id, nonce, durable, .. } => {
                let is_kept = |it: &Intent<'_>| it.call_id == *call_id && it.end <= *durable;
                if !intents.iter().any(is_kept) {
                    found.add(
                        "I4",
                        format!("Call `{call_id}` started before that it starts was durable."),
                    );
                }
                running.insert(nonce, call_id);
            }
            Note::End { call_id, nonce, durable, .. } => {
                if running.remove(nonce) != Some(call_id) {
                    found.add("I4", format!("The tool of call `{call_id}` ended before it began."));
                }
                if has_output(call_id, *durable) {
                    found
                        .add("I4", format!("Call `{call_id}` had a result before its tool ended."));
                }
            }
            Note::Request { outputs, durable, .. } => {
                for call_id in outputs.iter().filter(|call_id| !has_output(call_id, *durable)) {
                    found.add(
                        "I4",
                        format!(
                            "A request says the result of call `{call_id}` before it was durable."
                        ),
                    );
                }
            }
            _ => {}
        }
    }
}

/// I5 of one call. Whether its output tells, in a later epoch, that its effect is unknown.
fn is_unknown(view: &View<'_>, intents: &[&Intent<'_>], found: &mut Found) -> bool {
    let Some(first) = intents.first() else { return false };
    let call_id = first.call_id;
    let outputs = view.outputs(call_id);
    let [output] = outputs[..] else {
        found.add("I5", format!("Call `{call_id}` had started and has {} outputs.", outputs.len()));
        return false;
    };
    let says = output.output_text();
    if says.contains(NOT_STARTED) && says.starts_with("aborted") {
        found.add("I5", format!("Call `{call_id}` is told as not started, and it had."));
    }
    if output.epoch == first.epoch {
        return false;
    }
    told(view, call_id, found);
    let is_unknown = says.starts_with("aborted") && says.contains(UNKNOWN);
    if !is_unknown && !view.evidence.may_run_again.contains(first.tool) {
        found.add("I5", format!("The effect of call `{call_id}` is unknown, and it is not told."));
    }
    is_unknown
}

/// The first request of the last process says the output, once.
fn told(view: &View<'_>, call_id: &str, found: &mut Found) {
    let notes: Vec<_> = view.notes().collect();
    let last = notes.iter().rposition(|note| **note == Note::Run).unwrap_or(0);
    let mut requests = notes[last..].iter().filter_map(|note| match note {
        Note::Request { outputs, .. } => Some(outputs),
        _ => None,
    });
    let count = requests.next().map(|outputs| outputs.iter().filter(|it| *it == call_id).count());
    if count.is_some_and(|count| count != 1) {
        let count = count.unwrap_or(0);
        found.add(
            "I5",
            format!(
                "The request behind the crash says the output of call `{call_id}` {count} times."
            ),
        );
    }
}
