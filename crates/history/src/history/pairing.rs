//! What of a conversation waits for something, or is in the way: kept as items are recorded.

use super::config::HistoryConfig;
use super::open_calls::OpenCalls;
use super::sound::{is_oversize, sound};
use crate::item::CallRole;
use crate::{Item, ItemKind, Role};

/// The calls that wait for an output, the reasoning that waits for what it led to, and the items
/// that cannot be sent as they are.
///
/// All of it is short: in a well-formed conversation there is nothing, and while a response's tools
/// run there are its calls.
#[derive(Clone, Default)]
pub(super) struct Pairing {
    open: OpenCalls,
    /// Reasoning that nothing which decides about it has come behind yet.
    trailing: Vec<usize>,
    /// In the order of their items.
    flaws: Vec<Flaw>,
}

/// Why an item cannot be sent as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Flaw {
    pub(super) index: usize,
    pub(super) kind: FlawKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FlawKind {
    /// A call or an output without an id, or without another part that it must have.
    Incomplete,
    /// An output that no call before it waits for.
    Unanswerable,
    /// Reasoning with something behind it that is not the model's.
    Unfollowed,
    /// Longer than any server takes.
    Oversize,
    /// With an image that no model reads.
    UnreadableImage,
    /// With an image that the format leaves out.
    ImageLeftOut,
}

impl Pairing {
    /// What is to be known of these items.
    pub(super) fn of<'a>(items: impl Iterator<Item = &'a Item>, config: &HistoryConfig) -> Self {
        let mut pairing = Self::default();
        items.enumerate().for_each(|(index, item)| pairing.note(item, index, config));
        pairing
    }

    /// Takes note of an item that is appended at `index`.
    pub(super) fn note(&mut self, item: &Item, index: usize, config: &HistoryConfig) {
        if item.is_incomplete() {
            self.flaws.push(Flaw { index, kind: FlawKind::Incomplete });
            return;
        }
        for kind in content_flaws(item, config) {
            self.flaws.push(Flaw { index, kind });
        }
        if !is_kept(item, config) {
            return;
        }
        match item.call_role() {
            Some(CallRole::Call(kind, call_id)) => {
                self.open.push(index, kind, call_id);
            }
            Some(CallRole::Output(..)) if self.open.take_last(item).is_none() => {
                self.flaws.push(Flaw { index, kind: FlawKind::Unanswerable });
                return;
            }
            _ => {}
        }
        self.follow(item, index);
    }

    /// Decides about the reasoning before an item that is sent.
    fn follow(&mut self, item: &Item, index: usize) {
        match item.kind() {
            ItemKind::GhostSnapshot => {}
            ItemKind::Reasoning => self.trailing.push(index),
            _ if is_of_the_model(item) => self.trailing.clear(),
            _ => {
                for index in std::mem::take(&mut self.trailing) {
                    self.add_flaw(Flaw { index, kind: FlawKind::Unfollowed });
                }
            }
        }
    }

    /// Adds a flaw of an item that may not be the last one.
    pub(super) fn add_flaw(&mut self, flaw: Flaw) {
        let at = self.flaws.partition_point(|other| other.index <= flaw.index);
        self.flaws.insert(at, flaw);
    }

    /// Forgets some flaws.
    pub(super) fn forget_if(&mut self, is_forgotten: impl Fn(&Flaw) -> bool) {
        self.flaws.retain(|flaw| !is_forgotten(flaw));
    }

    /// Settles the first open call from index `from` on that `output` answers, else the nearest
    /// before, and says where it is. Outputs are given in the order of their calls, so that calls of
    /// one response may share an id; `from` keeps those of earlier turns out.
    pub(super) fn answer(&mut self, output: &Item, from: usize) -> Option<usize> {
        self.open.take_first(output, from).or_else(|| self.open.take_last(output))
    }

    /// An output was inserted at `index`, behind its call.
    pub(super) fn note_inserted(&mut self, output: &Item, index: usize, config: &HistoryConfig) {
        self.open.shift(index);
        let flaws = self.flaws.iter_mut().map(|flaw| &mut flaw.index);
        for later in flaws.chain(&mut self.trailing).filter(|i| **i >= index) {
            *later += 1;
        }
        for kind in content_flaws(output, config) {
            self.add_flaw(Flaw { index, kind });
        }
    }

    /// Whether there is nothing to repair.
    pub(super) fn is_settled(&self) -> bool {
        self.open.is_empty() && self.trailing.is_empty() && self.flaws.is_empty()
    }

    /// The calls without an output.
    pub(super) fn open(&self) -> &OpenCalls {
        &self.open
    }

    /// The reasoning that nothing followed, in order.
    pub(super) fn trailing(&self) -> &[usize] {
        &self.trailing
    }

    /// What else is to be repaired, in the order of its items.
    pub(super) fn flaws(&self) -> &[Flaw] {
        &self.flaws
    }
}

/// The calls that have an output, each with it, as indexes; in the order of the outputs. `items` are
/// those of a normalised conversation: others may not be kept.
pub(super) fn pairs<'a>(items: impl Iterator<Item = &'a Item>) -> Vec<(usize, usize)> {
    let mut waiting = OpenCalls::default();
    let mut pairs = Vec::new();
    for (index, item) in items.enumerate() {
        match item.call_role() {
            Some(CallRole::Call(kind, call_id)) => {
                waiting.push(index, kind, call_id);
            }
            Some(CallRole::Output(..)) => {
                pairs.extend(waiting.take_last(item).map(|call| (call, index)));
            }
            None => {}
        }
    }
    pairs
}

/// What is wrong with what an item holds, whatever stands around it.
fn content_flaws(item: &Item, config: &HistoryConfig) -> impl Iterator<Item = FlawKind> {
    let oversize = is_oversize(item, config).then_some(FlawKind::Oversize);
    let unreadable = item.has_unreadable_images().then_some(FlawKind::UnreadableImage);
    let left_out = item.has_images() && !config.format.images;
    let left_out = left_out.then_some(FlawKind::ImageLeftOut);
    [oversize, unreadable, left_out].into_iter().flatten()
}

/// Whether a repair leaves the item in its place, as it is or changed, so that it takes part in
/// pairing and may follow reasoning.
pub(super) fn is_kept(item: &Item, config: &HistoryConfig) -> bool {
    sound(item, config).is_some()
}

/// Whether the model made the item, so that reasoning may have led to it.
fn is_of_the_model(item: &Item) -> bool {
    match item.kind() {
        ItemKind::Message(role) => role == Role::Assistant,
        kind => !kind.is_output(),
    }
}
