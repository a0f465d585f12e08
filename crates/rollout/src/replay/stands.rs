//! Where the newest messages and the conversation meet: a fork before a message shows what was said
//! before that one, and keeps what its conversation does not have.

use std::collections::BTreeMap;
use std::ops::Range;

use longhaul_history::turn_item::{TurnItem, TurnItemKind};

/// An item of the conversation that is a message which was found.
#[derive(Debug, Clone, Copy)]
struct Stand {
    /// Of the item.
    index: usize,
    /// Of the message; of one that could not be read, of the next.
    place: usize,
    is_shown: bool,
}

/// Where items of the conversation stand.
#[derive(Debug, Clone, Default)]
struct Met {
    found: Vec<Stand>,
    /// The indices of such as stand before all messages that were found. They may be as many as the
    /// conversation has items, but follow on one another.
    older: Vec<Range<usize>>,
}

/// Which messages the conversation has; by default all.
#[derive(Debug, Clone, Default)]
pub(super) struct Stands(Option<Met>);

/// Where the messages are, by their places in the log.
pub(super) struct Places {
    messages: BTreeMap<u64, (usize, bool)>,
    /// Before this place in the log are only such as are too old to be shown.
    oldest: u64,
    met: Met,
}

impl Met {
    fn add_older(&mut self, index: usize) {
        match self.older.last_mut() {
            Some(range) if range.end == index => range.end += 1,
            _ => self.older.push(index..index + 1),
        }
    }

    /// The place of the message that this item is.
    fn place_of(&self, index: usize) -> Option<usize> {
        let found = self.found.iter().find(|stand| stand.index == index);
        let is_older = || self.older.iter().any(|range| range.contains(&index));
        found.map(|stand| stand.place).or_else(|| is_older().then_some(0))
    }
}

impl Places {
    /// From messages that were found, the newest first: each with its place in the log, how many
    /// newer ones are shown, and whether it is. `len` are shown.
    pub(super) fn new(found: Vec<(u64, usize, bool)>, len: usize, is_cut: bool) -> Self {
        let oldest = found.last().map_or(u64::MAX, |(text, ..)| *text);
        let place = |newer: usize, is_shown| len - newer - usize::from(is_shown);
        let found = found.into_iter();
        let messages =
            found.map(|(text, newer, is_shown)| (text, (place(newer, is_shown), is_shown)));
        let oldest = if is_cut { oldest } else { 0 };
        Self { messages: messages.collect(), oldest, met: Met::default() }
    }

    /// The item with this index stands there in the log.
    pub(super) fn meet(&mut self, text: u64, index: usize) {
        match self.messages.get(&text) {
            Some((place, is_shown)) => {
                self.met.found.push(Stand { index, place: *place, is_shown: *is_shown });
            }
            None if text < self.oldest => self.met.add_older(index),
            None => {}
        }
    }

    pub(super) fn finish(self) -> Stands {
        Stands(Some(self.met))
    }
}

impl Stands {
    /// Where the message stands that is the first of these of the user in the conversation, which are
    /// all from there to its end.
    ///
    /// One that a compaction has made anew is none that was found. It is as far before the next of them
    /// as the user's messages are.
    pub(super) fn find(&self, users: &[usize], messages: &[TurnItem]) -> Option<usize> {
        let found = self.0.as_ref().and_then(|met| {
            let mut users = users.iter().enumerate();
            users.find_map(|(nth, index)| Some((nth, met.place_of(*index)?)))
        });
        let (nth, place) = found.unwrap_or((users.len(), messages.len()));
        let is_users = |it: &TurnItem| matches!(it.kind, TurnItemKind::UserMessage { .. });
        let before = messages[..place].iter().enumerate().rev().filter(|(_, it)| is_users(it));
        match nth.checked_sub(1) {
            None => Some(place),
            Some(nth) => { before }.nth(nth).map(|(place, _)| place),
        }
    }

    /// The conversation ends before that item.
    pub(super) fn cut(&mut self, len: usize) {
        let Some(met) = &mut self.0 else { return };
        met.found.retain(|stand| stand.index < len);
        met.older.iter_mut().for_each(|range| range.end = range.end.min(len));
    }

    /// The messages that the conversation does not have, each with the item before which it stands.
    pub(super) fn gone<'a>(&self, messages: &'a [TurnItem]) -> Vec<(usize, &'a TurnItem)> {
        let Some(met) = &self.0 else { return Vec::new() };
        let shown = met.found.iter().filter(|stand| stand.is_shown);
        let shown: BTreeMap<usize, usize> = shown.map(|it| (it.place, it.index)).collect();
        let mut gone = Vec::new();
        let mut next = usize::MAX;
        for (place, message) in messages.iter().enumerate().rev() {
            match shown.get(&place) {
                Some(index) => next = next.min(*index),
                None => gone.push((next, message)),
            }
        }
        gone.reverse();
        gone
    }
}
