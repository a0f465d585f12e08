//! I13 and I14: what was acknowledged is there, and only what was submitted.

use std::collections::VecDeque;

use serde_json::Value;

use super::lines::Line;
use super::{Ack, Found, Note, View};

pub(super) fn check(view: &View<'_>, found: &mut Found) {
    let acks = view.notes().filter_map(|note| match note {
        Note::Acked { ack, .. } => Some(ack),
        _ => None,
    });
    let acks: Vec<_> = acks.collect();
    for ack in &acks {
        acknowledged(view, ack, found);
    }
    for (ack, kind) in [(Ack::Compacted, "compacted"), (Ack::Granted, "grant")] {
        let acknowledged = acks.iter().filter(|it| **it == &ack).count();
        let recorded = view.lines.iter().filter(|line| line.kind == kind).count();
        if recorded < acknowledged {
            let missing = format!("Acknowledged {acknowledged} times, and {recorded} times there:");
            found.add("I13", format!("{missing} {kind}"));
        }
    }
    submitted(view, found);
}

fn acknowledged(view: &View<'_>, ack: &Ack, found: &mut Found) {
    let (what, count) = match ack {
        Ack::Message { text } => {
            let is_it = |(_, said): (&str, String)| said == *text;
            (shown(text), view.lines.iter().filter(|it| it.message().is_some_and(is_it)).count())
        }
        Ack::Output { call_id, text } => {
            let outputs = view.outputs(call_id);
            let count = outputs.iter().filter(|it| it.output_text() == *text).count();
            (format!("of call `{call_id}`: {}", shown(text)), count)
        }
        Ack::Ended { turn_id } => {
            let is_end = |kind: &str| matches!(kind, "task_complete" | "turn_aborted");
            let ends = view.lines.iter().filter(|line| {
                line.kind == "event_msg"
                    && line.payload["type"].as_str().is_some_and(is_end)
                    && line.payload["turn_id"] == **turn_id
            });
            (format!("end of turn `{turn_id}`"), ends.count())
        }
        Ack::Withdrawn { text } => (format!("withdrawn: {}", shown(text)), withdrawals(view, text)),
        Ack::Moved { cwd } => {
            let is_there = |line: &Line| {
                matches!(&*line.kind, "settings" | "turn_context") && line.payload["cwd"] == **cwd
            };
            // Each turn says it again.
            (format!("moved to {}", shown(cwd)), view.lines.iter().any(is_there).into())
        }
        Ack::Compacted | Ack::Granted => return,
    };
    if count != 1 {
        found.add("I13", format!("Acknowledged, and {count} times in the log: {what}"));
    }
}

/// How often the log says that the input with this text waits no more.
fn withdrawals(view: &View<'_>, text: &str) -> usize {
    let inputs = || view.lines.iter().filter(|line| line.kind == "input").map(|it| &it.payload);
    let is_meant = |it: &&Value| it["item"]["content"][0]["text"] == *text;
    let Some(accepted) = inputs().find(is_meant) else {
        return 0;
    };
    inputs().filter(|it| it["state"] == "withdrawn" && it["id"] == accepted["id"]).count()
}

fn shown(text: &str) -> String {
    format!("`{}` ({} bytes)", text.chars().take(40).collect::<String>(), text.len())
}

/// The log's messages of the user are, for each process, a beginning of what it submitted.
fn submitted(view: &View<'_>, found: &mut Found) {
    let mut runs: VecDeque<VecDeque<&str>> = VecDeque::new();
    let mut inherited = 0;
    for note in view.notes() {
        match note {
            Note::Run => runs.push_back(VecDeque::new()),
            Note::Submitted { text, .. } => {
                if let Some(run) = runs.back_mut() {
                    run.push_back(text);
                }
            }
            // No turn has it from then on. Where the process was gone before that was heard, it may.
            Note::Acked { ack: Ack::Withdrawn { text }, .. } => {
                if let Some(run) = runs.back_mut() {
                    run.retain(|it| it != text);
                }
            }
            Note::Forked { session, items, .. } if *session == view.evidence.session => {
                inherited = items.len();
            }
            _ => {}
        }
    }
    let messages = view.items().skip(inherited).filter_map(|line| line.message());
    for (_, text) in messages.filter(|(role, _)| *role == "user") {
        while runs.front().is_some_and(|run| run.front() != Some(&&*text)) {
            runs.pop_front();
        }
        match runs.front_mut() {
            Some(run) => drop(run.pop_front()),
            None => found.add("I14", format!("Not submitted, or not then: {}", shown(&text))),
        }
    }
}
