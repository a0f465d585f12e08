//! The log, with requests put together with their answers and their turns.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::items::message_texts;
use super::{Call, Entry, EventKind, Log, RequestKind};

/// What all checks read.
pub(super) struct View<'a> {
    pub(super) entries: &'a [Entry],
    pub(super) exchanges: Vec<Exchange<'a>>,
    /// Id of each accepted input by its text.
    pub(super) inputs: HashMap<&'a str, &'a str>,
    /// The log says that all is at rest.
    pub(super) is_whole: bool,
}

/// A request and what came of it.
pub(super) struct Exchange<'a> {
    /// The place of the request in the log.
    pub(super) at: usize,
    pub(super) kind: RequestKind,
    pub(super) items: &'a [Value],
    /// The turn that asked, if the inputs tell it.
    pub(super) turn: Option<&'a str>,
    pub(super) answer: Answer<'a>,
}

/// What came of a request.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Answer<'a> {
    /// Nothing: it was dropped, or still runs.
    None,
    Failed,
    Completed {
        /// The place in the log.
        at: usize,
        calls: &'a [Call],
    },
}

impl<'a> View<'a> {
    pub(super) fn new(log: &'a Log) -> Self {
        let entries = &log.entries[..];
        let inputs = entries.iter().filter_map(|entry| match entry {
            Entry::Accepted { input, text, .. } => Some((text.as_str(), input.as_str())),
            _ => None,
        });
        let mut view = Self {
            entries,
            exchanges: exchanges(entries),
            inputs: inputs.collect(),
            is_whole: entries.contains(&Entry::End),
        };
        view.attribute();
        view
    }

    /// The requests of the conversation, in order.
    pub(super) fn turn_requests(&self) -> impl Iterator<Item = &Exchange<'a>> {
        self.exchanges.iter().filter(|exchange| exchange.kind == RequestKind::Turn)
    }

    /// The events with their places in the log.
    pub(super) fn events(&self) -> impl DoubleEndedIterator<Item = (usize, &'a EventKind)> {
        self.entries.iter().enumerate().filter_map(|(at, entry)| match entry {
            Entry::Event { event, .. } => Some((at, event)),
            _ => None,
        })
    }

    /// A turn begins with the first request that carries the input it is named after, and lasts until the next does.
    fn attribute(&mut self) {
        let starters: HashSet<&str> = started(self.entries).collect();
        let (mut seen, mut turn) = (HashSet::new(), None);
        for exchange in self.exchanges.iter_mut().filter(|it| it.kind == RequestKind::Turn) {
            let said = said(&self.inputs, exchange.items).into_iter();
            let fresh = said.filter(|input| seen.insert(*input));
            turn = fresh.filter(|input| starters.contains(input)).last().or(turn);
            exchange.turn = turn;
        }
    }
}

/// The ids of the inputs that these items carry, in order.
pub(super) fn said<'a>(inputs: &HashMap<&'a str, &'a str>, items: &[Value]) -> Vec<&'a str> {
    let texts = items.iter().flat_map(|item| message_texts(item, "user"));
    texts.filter_map(|text| inputs.get(text).copied()).collect()
}

fn started(entries: &[Entry]) -> impl Iterator<Item = &str> {
    entries.iter().filter_map(|entry| match entry {
        Entry::Event { turn_id, event: EventKind::TurnStarted, .. } => Some(turn_id.as_str()),
        _ => None,
    })
}

fn exchanges(entries: &[Entry]) -> Vec<Exchange<'_>> {
    let mut exchanges: Vec<Exchange> = Vec::new();
    for (at, entry) in entries.iter().enumerate() {
        let answer = match entry {
            Entry::Request { kind, items } => {
                let (kind, turn, answer) = (*kind, None, Answer::None);
                exchanges.push(Exchange { at, kind, items, turn, answer });
                continue;
            }
            Entry::ResponseCompleted { calls } => Answer::Completed { at, calls },
            Entry::ResponseFailed => Answer::Failed,
            _ => continue,
        };
        if let Some(last) = exchanges.last_mut() {
            last.answer = answer;
        }
    }
    exchanges
}
