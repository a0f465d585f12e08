//! Where the newest messages and the conversation meet: a fork before a message shows what was said
//! before that one, and keeps what its conversation does not have.

use std::collections::BTreeMap;

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

/// Which messages the conversation has; by default all.
#[derive(Debug, Clone, Default)]
pub(super) struct Stands(Option<Vec<Stand>>);

/// Where the messages are, by their places in the log.
pub(super) struct Places {
    messages: BTreeMap<u64, (usize, bool)>,
    /// Before this place in the log are only such as are too old to be shown.
    oldest: u64,
    stands: Vec<Stand>,
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
        Self { messages: messages.collect(), oldest, stands: Vec::new() }
    }

    /// The item with this index stands there in the log.
    pub(super) fn meet(&mut self, text: u64, index: usize) {
        let is_older = text < self.oldest;
        let message = self.messages.get(&text).copied().or(is_older.then_some((0, false)));
        self.stands.extend(message.map(|(place, is_shown)| Stand { index, place, is_shown }));
    }

    pub(super) fn finish(self) -> Stands {
        Stands(Some(self.stands))
    }
}

impl Stands {
    /// Where the message stands that is the first of these of the user in the conversation, which are
    /// all from there to its end.
    ///
    /// One that a compaction has made anew is none that was found. It is as far before the next of them
    /// as the user's messages are.
    pub(super) fn find(&self, users: &[usize], messages: &[TurnItem]) -> Option<usize> {
        let stands = self.0.as_deref().unwrap_or_default();
        let found = users.iter().enumerate().find_map(|(nth, index)| {
            let stand = stands.iter().find(|stand| stand.index == *index)?;
            Some((nth, stand.place))
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
        self.0.iter_mut().for_each(|stands| stands.retain(|stand| stand.index < len));
    }

    /// The messages that the conversation does not have, each with the item before which it stands.
    pub(super) fn gone<'a>(&self, messages: &'a [TurnItem]) -> Vec<(usize, &'a TurnItem)> {
        let Some(stands) = &self.0 else { return Vec::new() };
        let shown = stands.iter().filter(|stand| stand.is_shown);
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
