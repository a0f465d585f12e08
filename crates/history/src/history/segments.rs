//! All segments of a conversation, in order.

use std::iter::from_fn;
use std::ops::Range;
use std::sync::Arc;

use super::config::HistoryConfig;
use super::persistent::PersistentList;
use super::segment::{Encoded, Entry, Segment};
use super::totals::Totals;
use crate::Item;

/// The items of a conversation. A copy shares them all.
#[derive(Clone)]
pub(super) struct Segments {
    config: Arc<HistoryConfig>,
    /// The segments that take no more items.
    closed: PersistentList<Placed>,
    /// The one that does.
    open: Placed,
}

/// A segment, and what is before it.
#[derive(Clone, Default)]
pub(super) struct Placed {
    pub(super) before: Totals,
    pub(super) segment: Arc<Segment>,
}

impl Placed {
    /// Which of the items at `range` of the conversation are in this segment, as positions in it.
    fn part(&self, range: &Range<usize>) -> Range<usize> {
        let inside = |index: usize| index.saturating_sub(self.before.len).min(self.segment.len());
        inside(range.start)..inside(range.end)
    }

    /// The index behind its last item.
    fn end(&self) -> usize {
        self.before.len + self.segment.len()
    }

    fn entries(&self, range: &Range<usize>) -> &[Entry] {
        self.segment.entries().get(self.part(range)).unwrap_or_default()
    }

    /// The items at `range` of the conversation and those of another there; none if both are in the
    /// same segment.
    fn beside<'a>(
        &'a self,
        other: &'a Self,
        range: Range<usize>,
    ) -> impl Iterator<Item = (&'a Item, &'a Item)> {
        let is_shared =
            self.before.len == other.before.len && Arc::ptr_eq(&self.segment, &other.segment);
        let range = if is_shared { range.end..range.end } else { range };
        let pairs = self.entries(&range).iter().zip(other.entries(&range));
        pairs.map(|(one, two)| (&one.item, &two.item))
    }
}

impl Segments {
    pub(super) fn new(config: Arc<HistoryConfig>) -> Self {
        Self { config, closed: PersistentList::default(), open: Placed::default() }
    }

    pub(super) fn config(&self) -> &HistoryConfig {
        &self.config
    }

    pub(super) fn len(&self) -> usize {
        self.open.before.len + self.open.segment.len()
    }

    pub(super) fn totals(&self) -> Totals {
        self.open.before.plus(&self.open.segment.totals(&self.config))
    }

    /// All segments in order; the last one may be empty.
    pub(super) fn placed(&self) -> impl DoubleEndedIterator<Item = &Placed> {
        self.placed_from(0)
    }

    /// The segments that hold the items from `index` on.
    fn placed_from(&self, index: usize) -> impl DoubleEndedIterator<Item = &Placed> {
        let first = self.position(index);
        self.closed.iter_range(first..self.closed.len()).chain([&self.open])
    }

    /// The segments that hold the items at `range`.
    pub(super) fn placed_in(
        &self,
        range: Range<usize>,
    ) -> impl DoubleEndedIterator<Item = &Placed> {
        let first = self.position(range.start);
        let behind = self.closed.partition_point(|placed| placed.before.len < range.end).max(first);
        let open = Some(&self.open).filter(move |open| open.before.len < range.end);
        self.closed.iter_range(first..behind).chain(open)
    }

    /// Which of the closed segments holds the item at `index`; their number if the open one does.
    fn position(&self, index: usize) -> usize {
        if index >= self.open.before.len {
            return self.closed.len();
        }
        self.closed.partition_point(|placed| placed.before.len <= index).saturating_sub(1)
    }

    /// The segment that holds the item at `index`; the open one if there is none.
    fn at(&self, index: usize) -> &Placed {
        self.closed.get(self.position(index)).unwrap_or(&self.open)
    }

    /// The items at `range`.
    pub(super) fn entries(&self, range: Range<usize>) -> impl DoubleEndedIterator<Item = &Entry> {
        let placed = self.placed_in(range.clone());
        placed.flat_map(move |placed| placed.entries(&range))
    }

    /// The items at `range`, each with its tokens.
    pub(super) fn measured(
        &self,
        range: Range<usize>,
    ) -> impl DoubleEndedIterator<Item = (&Entry, u64)> {
        let placed = self.placed_in(range.clone());
        placed.flat_map(move |placed| placed.segment.measured(placed.part(&range), &self.config))
    }

    /// The items that both have in the same place, but for those in segments that they share.
    pub(super) fn unshared<'a>(
        &'a self,
        other: &'a Self,
    ) -> impl Iterator<Item = (&'a Item, &'a Item)> {
        let len = self.len().min(other.len());
        let mut at = 0;
        let runs = from_fn(move || {
            let start = at;
            let (one, two) = (self.at(start), other.at(start));
            at = one.end().min(two.end()).min(len);
            (start < len).then(|| one.beside(two, start..at))
        });
        runs.flatten()
    }

    pub(super) fn get(&self, index: usize) -> Option<&Entry> {
        let placed = self.at(index);
        placed.segment.entries().get(index.checked_sub(placed.before.len)?)
    }

    /// What is known of the items before `index`.
    pub(super) fn totals_before(&self, index: usize) -> Totals {
        let placed = self.at(index);
        let count = placed.part(&(0..index)).len();
        placed.before.plus(&placed.segment.totals_of_first(count, &self.config))
    }

    /// The index of the `n`-th item, from 0, that `count` counts and `is_counted` is true for.
    pub(super) fn nth(
        &self,
        n: usize,
        count: impl Fn(&Totals) -> usize,
        is_counted: impl Fn(&Entry) -> bool,
    ) -> Option<usize> {
        let after = self.closed.partition_point(|placed| count(&placed.before) <= n);
        let is_open = count(&self.open.before) <= n;
        let position = if is_open { self.closed.len() } else { after.saturating_sub(1) };
        let placed = self.closed.get(position).unwrap_or(&self.open);
        let entries = placed.segment.entries().iter().enumerate();
        let mut counted = entries.filter(|(_, entry)| is_counted(entry));
        let (position, _) = counted.nth(n - count(&placed.before))?;
        Some(placed.before.len + position)
    }

    /// Adds an item.
    pub(super) fn push(&mut self, entry: Entry) {
        self.make_room();
        Arc::make_mut(&mut self.open.segment).push(entry, &self.config);
    }

    /// Adds an item as it is in other segments, of the same format.
    fn push_encoded(&mut self, encoded: Encoded<'_>) {
        self.make_room();
        Arc::make_mut(&mut self.open.segment).push_encoded(encoded, &self.config);
    }

    /// Closes the open segment if it is full, or would have to be copied at some cost.
    fn make_room(&mut self) {
        let segment = &mut self.open.segment;
        let format = self.config.format;
        let is_shared = segment.is_large(format) && Arc::get_mut(segment).is_none();
        if is_shared || segment.is_full(format) {
            self.close();
        }
    }

    fn close(&mut self) {
        if self.open.segment.len() == 0 {
            return;
        }
        if let Some(segment) = Arc::get_mut(&mut self.open.segment) {
            segment.shrink();
        }
        let next = Placed { before: self.totals(), segment: Arc::default() };
        self.closed.push(std::mem::replace(&mut self.open, next));
    }

    /// Adds the items at `range` of `from`, which has the same format. Large segments that lie in
    /// it whole are shared.
    pub(super) fn append(&mut self, from: &Segments, range: Range<usize>) {
        if range.is_empty() {
            return;
        }
        for placed in from.placed_in(range.clone()) {
            let part = placed.part(&range);
            let is_whole = part.len() == placed.segment.len();
            if is_whole && placed.segment.is_large(self.config.format) {
                self.share(placed);
            } else {
                let items = placed.segment.encoded(part, &self.config);
                items.for_each(|item| self.push_encoded(item));
            }
        }
    }

    /// Adds the item at `index` of `from`, which has the same format, as the first of a turn.
    pub(super) fn append_as_turn(&mut self, from: &Segments, index: usize) {
        let Some(placed) = from.placed_from(index).next() else {
            return;
        };
        let items = placed.segment.encoded(placed.part(&(index..index + 1)), &self.config);
        for item in items {
            let entry = Entry { starts_turn: true, ..item.entry.clone() };
            self.push_encoded(item.of(&entry));
        }
    }

    fn share(&mut self, placed: &Placed) {
        self.close();
        self.open.segment = Arc::clone(&placed.segment);
        self.close();
    }

    /// Keeps the items before `index`.
    pub(super) fn truncate(&mut self, index: usize) {
        if index >= self.len() {
            return;
        }
        let position = self.position(index);
        let last = self.at(index).clone();
        self.closed.truncate(position);
        self.open = Placed { before: last.before, segment: Arc::default() };
        let kept = last.segment.encoded(last.part(&(0..index)), &self.config);
        kept.for_each(|item| self.push_encoded(item));
    }

    /// Puts an item before the one at `index`.
    pub(super) fn insert(&mut self, index: usize, entry: Entry) {
        if index == self.len() {
            return self.push(entry);
        }
        let before = self.clone();
        self.truncate(index);
        self.push(entry);
        self.append(&before, index..before.len());
    }

    /// The same items under another configuration. Each segment is encoded once per format, and
    /// remembers it.
    pub(super) fn encoded_as(&self, config: Arc<HistoryConfig>) -> Self {
        let mut segments = Self::new(config);
        for placed in self.closed.iter_range(0..self.closed.len()) {
            segments.share(placed);
        }
        segments.open.segment = Arc::clone(&self.open.segment);
        segments
    }
}
