//! Items and their wire bytes in contiguous segments that snapshots share.

use std::ops::Range;
use std::sync::Arc;

use crate::{Item, ItemKind, WireFormat};

/// A segment is full when it holds this many wire bytes: a copy of one costs microseconds, and a
/// body of megabytes is some tens of copies.
const SEGMENT_BYTES: usize = 64 * 1024;

/// A segment is full when it holds this many items, so that finding one in it stays cheap.
const SEGMENT_ITEMS: usize = 512;

/// All segments in order. Cloning shares them.
#[derive(Clone, Default)]
pub(super) struct Segments {
    list: Vec<Placed>,
    len: usize,
}

/// A segment and the index of its first item.
#[derive(Clone)]
pub(super) struct Placed {
    pub(super) first: usize,
    pub(super) segment: Arc<Segment>,
}

/// Some items in a row.
#[derive(Clone, Default)]
pub(super) struct Segment {
    entries: Vec<Entry>,
    /// The wire form of each item, each followed by a comma.
    wire: Vec<u8>,
    /// Which entries are reasoning, as positions in this segment.
    reasoning: Vec<usize>,
    /// How many entries have a wire form.
    on_wire: usize,
}

#[derive(Clone)]
pub(super) struct Entry {
    item: Item,
    /// Its wire form and the comma behind it; empty if the item does not go to models.
    wire: Range<usize>,
}

impl Segments {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn placed(&self) -> &[Placed] {
        &self.list
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &Item> {
        let entries = self.list.iter().flat_map(|placed| &placed.segment.entries);
        entries.map(|entry| &entry.item)
    }

    pub(super) fn get(&self, index: usize) -> Option<&Item> {
        let placed = &self.list[self.position(index)?];
        let entry = placed.segment.entries.get(index - placed.first)?;
        Some(&entry.item)
    }

    /// Which segment holds the item at `index`, if it exists.
    fn position(&self, index: usize) -> Option<usize> {
        if index >= self.len {
            return None;
        }
        let after = self.list.partition_point(|placed| placed.first <= index);
        after.checked_sub(1)
    }

    pub(super) fn push(&mut self, item: Item, format: WireFormat) {
        self.open().push_with(item, |item, wire| item.encode_wire(format, wire));
        self.len += 1;
    }

    /// Appends items that were encoded before, by copying their bytes.
    pub(super) fn append(&mut self, other: &Segments) {
        for (item, wire) in other.list.iter().flat_map(|placed| placed.segment.encoded()) {
            self.push_encoded(item.clone(), wire);
        }
    }

    /// Appends an item with the wire form (comma included) that it has elsewhere.
    fn push_encoded(&mut self, item: Item, bytes: &[u8]) {
        let encoded = bytes.strip_suffix(b",");
        self.open().push_with(item, |_, wire| {
            wire.extend_from_slice(encoded.unwrap_or_default());
            encoded.is_some()
        });
        self.len += 1;
    }

    /// The segment that takes the next item, made writable: copied if a snapshot shares it.
    fn open(&mut self) -> &mut Segment {
        if self.list.last().is_none_or(|last| last.segment.is_full()) {
            self.list.push(Placed { first: self.len, segment: Arc::default() });
        }
        let last = self.list.len() - 1;
        Arc::make_mut(&mut self.list[last].segment)
    }

    /// Cuts the items from `index` on off, and gives them back.
    pub(super) fn split_off(&mut self, index: usize) -> Segments {
        let mut tail = Segments::default();
        let Some(position) = self.position(index) else {
            return tail;
        };
        let moved = self.list.split_off(position);
        self.len = moved.first().map_or(self.len, |placed| placed.first);
        for (item, wire) in moved.iter().flat_map(|placed| placed.segment.encoded()) {
            let side = if self.len < index { &mut *self } else { &mut tail };
            side.push_encoded(item.clone(), wire);
        }
        tail
    }
}

impl Segment {
    fn is_full(&self) -> bool {
        self.wire.len() >= SEGMENT_BYTES || self.entries.len() >= SEGMENT_ITEMS
    }

    /// The items with their wire forms, commas included.
    fn encoded(&self) -> impl Iterator<Item = (&Item, &[u8])> {
        let wire = |entry: &Entry| &self.wire[entry.wire.clone()];
        self.entries.iter().map(move |entry| (&entry.item, wire(entry)))
    }

    /// Adds an item; `encode` appends its wire form and says whether it has one.
    fn push_with(&mut self, item: Item, encode: impl FnOnce(&Item, &mut Vec<u8>) -> bool) {
        let start = self.wire.len();
        if encode(&item, &mut self.wire) {
            self.wire.push(b',');
            self.on_wire += 1;
        }
        if item.kind() == ItemKind::Reasoning {
            self.reasoning.push(self.entries.len());
        }
        let wire = start..self.wire.len();
        self.entries.push(Entry { item, wire });
    }

    /// The wire bytes of all items but the reasoning among the first `before`, as ranges in order,
    /// and how many items that leaves.
    pub(super) fn without_reasoning(&self, before: usize) -> (Vec<Range<usize>>, usize) {
        let mut ranges = Vec::new();
        let mut start = 0;
        let dropped = self.reasoning.partition_point(|&position| position < before);
        for &position in &self.reasoning[..dropped] {
            let reasoning = &self.entries[position].wire;
            ranges.push(start..reasoning.start);
            start = reasoning.end;
        }
        ranges.push(start..self.wire.len());
        ranges.retain(|range| !range.is_empty());
        (ranges, self.on_wire - dropped)
    }

    pub(super) fn wire(&self, range: Range<usize>) -> &[u8] {
        &self.wire[range]
    }
}
