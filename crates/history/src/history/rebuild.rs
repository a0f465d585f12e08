//! A conversation made anew from parts of what it was, sharing what stays.

use std::collections::BTreeMap;
use std::ops::Range;

use super::segment::Entry;
use super::segments::Segments;
use super::{Part, State};
use crate::Item;

/// What comes in the place of one item.
#[derive(Default)]
pub(super) struct Edit {
    pub(super) is_removed: bool,
    /// Instead of the item; nothing if it stays as it is.
    pub(super) instead: Option<Item>,
    /// Right behind it.
    pub(super) behind: Option<Item>,
}

/// A conversation in the making.
///
/// Where the first item of a turn goes, the one that comes next begins the turn.
pub(super) struct Rebuild {
    old: Segments,
    new: Segments,
    /// The next item begins a turn.
    starts_turn: bool,
    /// Turns begin where they are marked, not with each message of the user.
    is_marked: bool,
}

impl Rebuild {
    /// Begins with the first `kept` items.
    pub(super) fn keeping(state: &State, kept: usize) -> Self {
        let mut new = state.segments.clone();
        new.truncate(kept);
        let is_marked = state.is_marked;
        Self { old: state.segments.clone(), new, starts_turn: false, is_marked }
    }

    /// Begins with the items of `first`, which has the same format; what is kept comes from `state`.
    pub(super) fn behind(first: &State, state: &State) -> Self {
        let is_marked = first.is_marked || state.is_marked;
        let (old, new) = (state.segments.clone(), first.segments.clone());
        Self { old, new, starts_turn: false, is_marked }
    }

    /// All items, some of them edited.
    pub(super) fn with_edits(state: &State, edits: BTreeMap<usize, Edit>) -> Self {
        let len = state.segments.len();
        let mut at = edits.first_key_value().map_or(len, |(first, _)| *first);
        let mut rebuild = Self::keeping(state, at);
        for (index, edit) in edits {
            rebuild.keep(at..index);
            rebuild.edit(index, edit);
            at = index + 1;
        }
        rebuild.keep(at..len);
        rebuild
    }

    /// `parts` in the place of the first `count` items; what they keep is in order.
    pub(super) fn with_parts(state: &State, count: usize, parts: Vec<Part>) -> Self {
        let mut rebuild = Self::keeping(state, 0);
        let mut at = 0;
        for part in parts {
            match part {
                Part::Keep(range) => {
                    rebuild.remove(at..range.start);
                    at = range.end;
                    rebuild.keep(range);
                }
                Part::New(item) => rebuild.insert(item),
            }
        }
        rebuild.remove(at..count);
        rebuild.keep(count..state.segments.len());
        rebuild
    }

    /// The items at `range` come next.
    pub(super) fn keep(&mut self, mut range: Range<usize>) {
        if !range.is_empty() && std::mem::take(&mut self.starts_turn) {
            self.new.append_as_turn(&self.old, range.start);
            range.start += 1;
        }
        self.new.append(&self.old, range);
    }

    /// The items at `range` do not come again.
    pub(super) fn remove(&mut self, range: Range<usize>) {
        let turns_before = |index| self.old.totals_before(index).turns;
        self.starts_turn |= turns_before(range.end) > turns_before(range.start);
    }

    fn edit(&mut self, index: usize, edit: Edit) {
        match edit.instead {
            Some(item) => {
                let starts_turn = self.old.get(index).is_some_and(|entry| entry.starts_turn);
                self.push(Entry { starts_turn, ..Entry::new(item) });
            }
            None if edit.is_removed => self.remove(index..index + 1),
            None => self.keep(index..index + 1),
        }
        if let Some(item) = edit.behind {
            self.push(Entry::new(item));
        }
    }

    /// An item comes next that was not there before, and begins no turn in the place of one that
    /// was.
    fn insert(&mut self, item: Item) {
        let starts_turn = std::mem::take(&mut self.starts_turn);
        self.push(Entry::new(item));
        self.starts_turn = starts_turn;
    }

    /// An item comes next that takes the place of others.
    fn push(&mut self, entry: Entry) {
        let is_start = entry.starts_turn || (entry.is_user_message && !self.is_marked);
        let starts_turn = std::mem::take(&mut self.starts_turn) || is_start;
        self.new.push(Entry { starts_turn, ..entry });
    }

    /// The items of the conversation so far.
    pub(super) fn items(&self) -> impl Iterator<Item = &Item> {
        self.new.entries(0..self.new.len()).map(|entry| &entry.item)
    }

    /// The item at `index` of the conversation so far.
    pub(super) fn item(&self, index: usize) -> Option<&Item> {
        self.new.get(index).map(|entry| &entry.item)
    }

    /// The conversation, and whether the item that is recorded next begins a turn.
    pub(super) fn finish(self) -> (Segments, bool) {
        (self.new, self.starts_turn)
    }
}
