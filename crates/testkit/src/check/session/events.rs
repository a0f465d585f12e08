//! I8, I10, I26 and I28: the events of a session tell of whole turns.

use std::collections::HashSet;

use super::items::message_texts;
use super::view::View;
use super::{Entry, EventKind, Found};

pub(super) fn check(view: &View, found: &mut Found) {
    let mut reader = Reader::default();
    for entry in view.entries {
        if let Entry::Event { number, turn_id, event } = entry {
            reader.number(*number, event, found);
            if !turn_id.is_empty() {
                reader.turn(turn_id, event, found);
            }
            reader.text(event, found);
        }
    }
    if let Some(turn) = reader.open.filter(|_| view.is_whole) {
        found.add("I28", format!("Turn `{turn}` has no end."));
    }
    ghosts(view, &reader.void, found);
}

/// What a reader knows at one event.
#[derive(Default)]
struct Reader<'a> {
    /// The number that the next event has to have.
    next: Option<u64>,
    open: Option<&'a str>,
    over: HashSet<&'a str>,
    /// Events were missed, so a turn may be open whose start was not seen.
    may_be_open: bool,
    /// The deltas since the last message, or since a new attempt.
    streamed: String,
    /// Events were missed, so these deltas may not be all.
    is_partial: bool,
    /// What was streamed and became no message.
    void: Vec<String>,
}

impl<'a> Reader<'a> {
    /// I26
    fn number(&mut self, number: u64, event: &EventKind, found: &mut Found) {
        let (first, last) = match event {
            EventKind::Missed { first, last } => (*first, *last),
            _ => (number, number),
        };
        if let Some(next) = self.next.filter(|next| *next != first) {
            found.add("I26", format!("Event {first} came where {next} is due."));
        }
        if last < first {
            found.add(
                "I26",
                format!("The events from {first} to {last} were missed, which are none."),
            );
        }
        self.next = Some(last.max(first).saturating_add(1));
    }

    /// I8
    fn turn(&mut self, turn: &'a str, event: &EventKind, found: &mut Found) {
        let is_open = self.open == Some(turn);
        if self.over.contains(turn) {
            found.add("I8", format!("Turn `{turn}` had ended before this: {event:?}."));
        } else if *event == EventKind::TurnStarted {
            if let Some(open) = self.open.replace(turn) {
                found.add("I8", format!("Turn `{turn}` started before turn `{open}` ended."));
            }
        } else if !is_open && !self.may_be_open && !matches!(event, EventKind::Other(_)) {
            found.add("I8", format!("Turn `{turn}` had not started before this: {event:?}."));
        }
        if is_end(event) {
            self.over.insert(turn);
            self.open = self.open.filter(|open| *open != turn);
        }
        // From a start or an end on, the reader knows again.
        self.may_be_open &= *event != EventKind::TurnStarted && !is_end(event);
    }

    /// I10: a message is what was streamed of it.
    fn text(&mut self, event: &EventKind, found: &mut Found) {
        match event {
            EventKind::TextDelta(delta) => self.streamed.push_str(delta),
            EventKind::ItemCompleted { text: Some(text), is_user: false } => {
                if let Some(rest) = self.streamed.strip_prefix(text.as_str()) {
                    self.streamed = rest.to_owned();
                } else {
                    if !self.is_partial && !self.streamed.is_empty() {
                        let streamed = std::mem::take(&mut self.streamed);
                        found.add(
                            "I10",
                            format!("The message `{text}` was streamed as `{streamed}`."),
                        );
                    }
                    self.streamed.clear();
                }
            }
            EventKind::Missed { .. } => {
                (self.open, self.may_be_open) = (None, true);
                (self.streamed, self.is_partial) = (String::new(), true);
            }
            _ if *event == EventKind::StreamError || is_end(event) => self.abandon(),
            _ => {}
        }
    }

    fn abandon(&mut self) {
        let text = std::mem::take(&mut self.streamed);
        if !text.trim().is_empty() && !self.is_partial {
            self.void.push(text);
        }
        self.is_partial = false;
    }
}

fn is_end(event: &EventKind) -> bool {
    matches!(event, EventKind::TurnComplete { .. } | EventKind::TurnAborted)
}

/// I10: what became no message is in no request as one. A text that some message has by right is not held against it.
fn ghosts(view: &View, void: &[String], found: &mut Found) {
    let rightful: HashSet<&str> = view
        .events()
        .filter_map(|(_, event)| match event {
            EventKind::ItemCompleted { text: Some(text), is_user: false } => Some(text.as_str()),
            _ => None,
        })
        .collect();
    let sent: HashSet<&str> = view
        .turn_requests()
        .flat_map(|exchange| exchange.items)
        .flat_map(|item| message_texts(item, "assistant"))
        .collect();
    for text in void.iter().filter(|text| !rightful.contains(text.as_str())) {
        if sent.contains(text.as_str()) {
            found.add("I10", format!("`{text}` was sent, and is of a response that is void."));
        }
    }
}
