//! The conversation: items in their order, ready for the wire.

mod pairing;
mod prompt;
mod repair;
mod segment;
#[cfg(test)]
mod tests;

use pairing::Pairing;
use segment::Segments;

use crate::{Item, ItemKind, Role, WireFormat};

pub use prompt::{Prompt, ReasoningFilter};
pub use repair::{Repair, RepairKind};

/// A conversation.
///
/// Recording an item encodes it once for the wire and pairs it with its call or output. Cloning
/// shares everything recorded so far (a clone costs one pointer per 64 KiB of conversation); what
/// is recorded later in one never shows in the other.
///
/// Indexes count items from 0 in conversation order.
#[derive(Clone, Default)]
pub struct History {
    format: WireFormat,
    segments: Segments,
    pairing: Pairing,
    /// Where the current turn began, if [`History::begin_turn`] was ever called.
    turn_start: Option<usize>,
    last_user: Option<usize>,
}

impl History {
    /// An empty conversation for a provider that wants items in `format`.
    pub fn new(format: WireFormat) -> Self {
        Self { format, ..Self::default() }
    }

    /// Marks the start of a turn: reasoning from before this point is no longer sent (see
    /// [`ReasoningFilter::CurrentTurn`]). Messages that arrive during the turn do not move it, so
    /// that the requests of one turn extend each other.
    pub fn begin_turn(&mut self) {
        self.turn_start = Some(self.len());
    }

    /// Appends an item.
    pub fn record(&mut self, item: Item) {
        self.pairing.note(&item, self.len());
        self.append(item);
    }

    /// Appends an item whose pairing is settled.
    fn append(&mut self, item: Item) {
        self.note_user_message(&item, self.len());
        self.segments.push(item, self.format);
    }

    /// Records an output right after the call that it answers: the first call since the
    /// last user message with its id and of a matching kind that has no output yet (else the nearest
    /// before), so that outputs which come in the order of their calls find them even where calls
    /// share an id. Where there is none, the output is appended, and the
    /// next [`normalise`](Self::normalise) removes and reports it.
    pub fn record_output(&mut self, output: Item) {
        match self.pairing.answer(&output, self.last_user.unwrap_or(0)) {
            Some(call) => self.insert(call + 1, output),
            None => self.record(output),
        }
    }

    /// Inserts an item whose pairing is settled.
    fn insert(&mut self, index: usize, item: Item) {
        self.pairing.shift(index);
        for mark in [&mut self.turn_start, &mut self.last_user].into_iter().flatten() {
            if *mark >= index {
                *mark += 1;
            }
        }
        let tail = self.segments.split_off(index);
        self.segments.push(item, self.format);
        self.segments.append(&tail);
    }

    fn note_user_message(&mut self, item: &Item, index: usize) {
        if item.kind() == ItemKind::Message(Role::User) {
            self.last_user = Some(index);
        }
    }

    /// Number of items.
    pub fn len(&self) -> usize {
        self.segments.len()
    }

    /// Whether nothing is recorded.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The item at `index`.
    pub fn get(&self, index: usize) -> Option<&Item> {
        self.segments.get(index)
    }

    /// The items in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Item> {
        self.segments.iter()
    }

    /// Makes the stored conversation well formed and says what that took.
    ///
    /// A call without an output gets the output `aborted` right after it; an output without a call
    /// is removed. Deterministic, and idempotent: a second call finds nothing to do. Costs nothing
    /// where nothing is broken.
    pub fn normalise(&mut self) -> Vec<Repair> {
        if self.pairing.is_settled() {
            return Vec::new();
        }
        let (repaired, repairs) = repair::repair(self);
        *self = repaired;
        repairs
    }

    /// The conversation as a model is to see it, always well formed: what
    /// [`normalise`](Self::normalise) would repair is repaired in the view.
    ///
    /// Costs a few pointers per 64 KiB and per filtered reasoning item; no item is copied, encoded
    /// or looked at.
    pub fn prompt(&self, filter: ReasoningFilter) -> Prompt {
        if self.pairing.is_settled() {
            return prompt::view(self, filter);
        }
        let (repaired, _) = repair::repair(self);
        prompt::view(&repaired, filter)
    }

    /// The first index whose reasoning belongs to the current turn.
    fn reasoning_start(&self) -> usize {
        self.turn_start.or(self.last_user).unwrap_or(0)
    }
}

impl std::fmt::Debug for History {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Two conversations are equal if their items are.
impl PartialEq for History {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

impl Eq for History {}

impl Extend<Item> for History {
    fn extend<I: IntoIterator<Item = Item>>(&mut self, items: I) {
        items.into_iter().for_each(|item| self.record(item));
    }
}
