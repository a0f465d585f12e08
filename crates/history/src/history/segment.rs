//! Some items in a row, with their wire bytes.

use std::ops::Range;
use std::sync::OnceLock;

use super::config::HistoryConfig;
use super::totals::{Sum, Totals};
use crate::turn_item::is_user_message;
use crate::{Item, ItemKind, WireFormat};

/// A segment is full when it holds this many wire bytes: a copy of one costs microseconds, and a
/// body of megabytes is some tens of copies.
const FULL_BYTES: usize = 64 * 1024;

/// A segment is full when it holds this many items, so that finding one in it stays cheap.
const FULL_ITEMS: usize = 512;

/// A segment of this many wire bytes that is shared is not copied to add to it, but closed, and
/// another begun: the copy would cost more than one more segment does.
const SHARED_BYTES: usize = 16 * 1024;

/// Or of this many items.
const SHARED_ITEMS: usize = 64;

/// Some items in a row.
#[derive(Clone, Default)]
pub(super) struct Segment {
    entries: Vec<Entry>,
    /// Which entries are reasoning, as positions in this segment.
    reasoning: Vec<usize>,
    turns: usize,
    user_messages: usize,
    /// The wire form in each format that was ever asked for, by the format's number.
    wires: [OnceLock<Wire>; WireFormat::COUNT],
}

/// An item and its part in the conversation.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) item: Item,
    pub(super) starts_turn: bool,
    pub(super) is_user_message: bool,
}

/// All items of a segment in one format, each with a comma behind it. Reasoning lies apart, so that
/// what is sent of earlier turns, which is all but that, lies together.
#[derive(Clone, Default)]
struct Wire {
    spoken: Vec<u8>,
    reasoning: Vec<u8>,
    marks: Vec<Mark>,
    all: Sum,
    without_reasoning: Sum,
}

#[derive(Clone, Copy, Default)]
struct Mark {
    /// How much is spoken up to here, the item included.
    spoken: usize,
    /// How much reasoning there is.
    reasoning: usize,
    tokens: u64,
    /// As in [`Sum`]; the rest of that is in the wire form itself.
    hash: u64,
}

/// An entry as it is on the wire.
#[derive(Clone, Copy)]
pub(super) struct Encoded<'a> {
    pub(super) entry: &'a Entry,
    /// A comma is behind it; empty if it does not go to models.
    wire: &'a [u8],
    sum: Sum,
}

impl Entry {
    pub(super) fn new(item: Item) -> Self {
        let is_user_message = is_user_message(&item);
        Self { item, starts_turn: false, is_user_message }
    }
}

impl<'a> Encoded<'a> {
    /// The same item with another part in the conversation.
    pub(super) fn of(self, entry: &'a Entry) -> Self {
        Self { entry, ..self }
    }
}

impl Segment {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub(super) fn is_full(&self, format: WireFormat) -> bool {
        self.entries.len() >= FULL_ITEMS || self.bytes(format) >= FULL_BYTES
    }

    /// Whether it is cheaper to share it than to copy it.
    pub(super) fn is_large(&self, format: WireFormat) -> bool {
        self.entries.len() >= SHARED_ITEMS || self.bytes(format) >= SHARED_BYTES
    }

    fn bytes(&self, format: WireFormat) -> usize {
        self.wires[format.number()].get().map_or(0, |wire| wire.all.bytes)
    }

    /// Adds an item.
    pub(super) fn push(&mut self, entry: Entry, config: &HistoryConfig) {
        self.change_wire(config, |wire| wire.encode(&entry.item, config, None));
        self.push_entry(entry);
    }

    /// Adds an item as it is in another segment, of the same format.
    pub(super) fn push_encoded(&mut self, encoded: Encoded<'_>, config: &HistoryConfig) {
        self.change_wire(config, |wire| {
            wire.of_kind(&encoded.entry.item).extend_from_slice(encoded.wire);
            wire.mark(&encoded.entry.item, encoded.sum);
        });
        self.push_entry(encoded.entry.clone());
    }

    fn push_entry(&mut self, entry: Entry) {
        if entry.item.kind() == ItemKind::Reasoning {
            self.reasoning.push(self.entries.len());
        }
        self.turns += usize::from(entry.starts_turn);
        self.user_messages += usize::from(entry.is_user_message);
        self.entries.push(entry);
    }

    /// Changes the wire form in one format. Those in others are forgotten.
    fn change_wire(&mut self, config: &HistoryConfig, change: impl FnOnce(&mut Wire)) {
        let number = config.format.number();
        let known = self.wires[number].take();
        let mut wire = known.unwrap_or_else(|| Wire::of(&self.entries, config, None));
        change(&mut wire);
        self.wires = Default::default();
        self.wires[number] = OnceLock::from(wire);
    }

    /// What is known of all its items together.
    pub(super) fn totals(&self, config: &HistoryConfig) -> Totals {
        let wire = self.wire(config);
        Totals {
            len: self.entries.len(),
            turns: self.turns,
            user_messages: self.user_messages,
            all: wire.all,
            without_reasoning: wire.without_reasoning,
        }
    }

    /// What is known of its first items together, this many.
    pub(super) fn totals_of_first(&self, count: usize, config: &HistoryConfig) -> Totals {
        if count == self.len() {
            return self.totals(config);
        }
        let mut totals = Totals::default();
        for Encoded { entry, sum, .. } in self.encoded(0..count, config) {
            totals.len += 1;
            totals.turns += usize::from(entry.starts_turn);
            totals.user_messages += usize::from(entry.is_user_message);
            totals.all = totals.all.plus(sum);
            if entry.item.kind() != ItemKind::Reasoning {
                totals.without_reasoning = totals.without_reasoning.plus(sum);
            }
        }
        totals
    }

    /// Gives back what was reserved for more items.
    pub(super) fn shrink(&mut self) {
        self.entries.shrink_to_fit();
        for wire in &mut self.wires {
            if let Some(wire) = wire.get_mut() {
                wire.spoken.shrink_to_fit();
                wire.reasoning.shrink_to_fit();
                wire.marks.shrink_to_fit();
            }
        }
    }

    /// The wire form in a format; made when it is asked for first, and then shared by all copies.
    fn wire(&self, config: &HistoryConfig) -> &Wire {
        self.wires[config.format.number()].get_or_init(|| {
            let other = self.wires.iter().find_map(OnceLock::get);
            Wire::of(&self.entries, config, other)
        })
    }

    /// The items at these positions as they are on the wire.
    pub(super) fn encoded<'a>(
        &'a self,
        range: Range<usize>,
        config: &HistoryConfig,
    ) -> impl Iterator<Item = Encoded<'a>> + use<'a> {
        let wire = self.wire(config);
        let entries = self.entries.get(range.clone()).unwrap_or_default();
        range.zip(entries).map(|(position, entry)| {
            let bytes = wire.item(entry, position);
            Encoded { entry, wire: bytes, sum: wire.marks[position].sum(bytes) }
        })
    }

    /// The items at these positions, each with its tokens.
    pub(super) fn measured(
        &self,
        range: Range<usize>,
        config: &HistoryConfig,
    ) -> impl DoubleEndedIterator<Item = (&Entry, u64)> {
        let entries = self.entries.get(range.clone()).unwrap_or_default();
        let marks = self.wire(config).marks.get(range).unwrap_or_default();
        entries.iter().zip(marks).map(|(entry, mark)| (entry, mark.tokens))
    }

    /// The wire bytes of all items but the reasoning among the first `before`, in runs of whole
    /// items.
    pub(super) fn without_reasoning(
        &self,
        before: usize,
        config: &HistoryConfig,
    ) -> impl Iterator<Item = &[u8]> {
        let wire = self.wire(config);
        let dropped = self.reasoning.partition_point(|&position| position < before);
        let mut spoken = 0;
        let runs = self.reasoning[dropped..].iter().flat_map(move |&position| {
            let before = &wire.spoken[spoken..wire.marks[position].spoken];
            spoken += before.len();
            [before, &wire.reasoning[wire.reasoning_at(position)]]
        });
        let last = self.reasoning[dropped..].last().map_or(0, |&last| wire.marks[last].spoken);
        runs.chain([&wire.spoken[last..]]).filter(|run| !run.is_empty())
    }
}

impl Mark {
    /// What is known of the item, whose wire form these bytes are.
    fn sum(self, wire: &[u8]) -> Sum {
        let Self { tokens, hash, .. } = self;
        Sum { items: usize::from(!wire.is_empty()), bytes: wire.len(), tokens, hash }
    }
}

impl Wire {
    /// Encodes `entries`. What was counted for another format is not counted again, unless it had
    /// other images.
    fn of(entries: &[Entry], config: &HistoryConfig, other: Option<&Wire>) -> Self {
        let mut wire = Self::default();
        for (position, entry) in entries.iter().enumerate() {
            let counted = other.filter(|_| !entry.item.has_images());
            let counted = counted.map(|other| other.marks[position].tokens);
            wire.encode(&entry.item, config, counted);
        }
        wire
    }

    fn encode(&mut self, item: &Item, config: &HistoryConfig, counted: Option<u64>) {
        let bytes = self.of_kind(item);
        let start = bytes.len();
        let is_sent = item.encode_wire(config.format, bytes);
        if is_sent {
            bytes.push(b',');
        }
        let tokens = if is_sent { counted.unwrap_or_else(|| config.count(item)) } else { 0 };
        let sum = Sum::of(&bytes[start..], tokens);
        self.mark(item, sum);
    }

    /// Where the bytes of `item` belong.
    fn of_kind(&mut self, item: &Item) -> &mut Vec<u8> {
        match item.kind() {
            ItemKind::Reasoning => &mut self.reasoning,
            _ => &mut self.spoken,
        }
    }

    /// The bytes behind the last mark are those of `item`.
    fn mark(&mut self, item: &Item, sum: Sum) {
        let (spoken, reasoning) = (self.spoken.len(), self.reasoning.len());
        self.marks.push(Mark { spoken, reasoning, tokens: sum.tokens, hash: sum.hash });
        self.all = self.all.plus(sum);
        if item.kind() != ItemKind::Reasoning {
            self.without_reasoning = self.without_reasoning.plus(sum);
        }
    }

    fn before(&self, position: usize) -> Mark {
        position.checked_sub(1).map(|before| self.marks[before]).unwrap_or_default()
    }

    fn reasoning_at(&self, position: usize) -> Range<usize> {
        self.before(position).reasoning..self.marks[position].reasoning
    }

    fn item(&self, entry: &Entry, position: usize) -> &[u8] {
        match entry.item.kind() {
            ItemKind::Reasoning => &self.reasoning[self.reasoning_at(position)],
            _ => &self.spoken[self.before(position).spoken..self.marks[position].spoken],
        }
    }
}
