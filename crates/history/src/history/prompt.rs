//! What a model is to see.

use std::sync::Arc;

use super::State;
use super::config::HistoryConfig;
use super::totals::Sum;
use crate::{History, Item, ItemKind};

/// Which reasoning items are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum ReasoningFilter {
    /// Those since the user message that started the current turn; without
    /// [`History::begin_turn`], since the last user message. The default: servers want the
    /// reasoning behind the calls of a running turn, and none from before. What is recorded during
    /// the turn, a message of the user's too, does not move that point.
    #[default]
    CurrentTurn,
    /// All.
    KeepAll,
    /// None.
    DropAll,
}

/// The input of one request: a snapshot that later records do not change. Cloning shares.
#[derive(Clone)]
pub struct Prompt {
    state: Arc<State>,
    /// Reasoning before this item is not sent.
    reasoning_from: usize,
    /// Items of this prompt alone, each with a comma behind it.
    pushed: Vec<u8>,
    sum: Sum,
}

impl Default for Prompt {
    fn default() -> Self {
        History::default().prompt(ReasoningFilter::KeepAll)
    }
}

impl Prompt {
    /// The view of a state whose pairing is settled.
    pub(super) fn new(state: Arc<State>, filter: ReasoningFilter) -> Self {
        let totals = state.segments.totals();
        let (reasoning_from, sum) = match filter {
            ReasoningFilter::CurrentTurn => match state.turn {
                Some(turn) => {
                    let since = totals.all.behind(turn.before.all);
                    (turn.index, turn.before.without_reasoning.plus(since))
                }
                None => (0, totals.all),
            },
            ReasoningFilter::KeepAll => (0, totals.all),
            ReasoningFilter::DropAll => (totals.len, totals.without_reasoning),
        };
        Self { state, reasoning_from, pushed: Vec::new(), sum }
    }

    /// Number of items that are sent.
    pub fn item_count(&self) -> usize {
        self.sum.items
    }

    /// The items of the history that are sent, in order, each with its index in the history as it is
    /// once it is [normalised](History::normalise). What was [pushed](Self::push) comes behind them,
    /// and is not among them.
    pub fn items(&self) -> impl Iterator<Item = (usize, &Item)> {
        let entries = self.state.segments.entries(0..self.state.segments.len());
        let items = entries.map(|entry| &entry.item).enumerate();
        items.filter(|(index, item)| match item.kind() {
            ItemKind::GhostSnapshot => false,
            ItemKind::Reasoning => *index >= self.reasoning_from,
            _ => true,
        })
    }

    /// Length in bytes of what [`write_json`](Self::write_json) appends.
    pub fn byte_len(&self) -> usize {
        // Two brackets; the last item's comma is not written.
        self.sum.bytes.saturating_sub(1) + 2
    }

    /// Tokens of what is sent, as the history's counter counts them.
    pub fn tokens(&self) -> u64 {
        self.sum.tokens
    }

    /// A hash over the items that are sent, in order: equal for equal items, and for others only by
    /// chance (some 2^-50 for the items of a conversation). It is the same on every machine and in
    /// every process. Not for use against those who choose items to collide.
    ///
    /// Each item's JSON is hashed by XXH3 (64 bits, seed 0), and those hashes are the coefficients of
    /// a polynomial modulo 2^61 - 1.
    pub fn prefix_hash(&self) -> u64 {
        self.sum.hash
    }

    /// Puts an item behind the others, in this prompt alone. What it answers or leaves open is not
    /// looked at.
    pub fn push(&mut self, item: &Item) {
        let config = self.config();
        let start = self.pushed.len();
        let is_sent = item.encode_wire(config.format, &mut self.pushed);
        if is_sent {
            let tokens = self.state.segments.config().count(item);
            self.pushed.push(b',');
            self.sum = self.sum.plus(Sum::of(&self.pushed[start..], tokens));
        }
    }

    fn config(&self) -> &HistoryConfig {
        self.state.segments.config()
    }

    /// The bytes that are sent, as they lie in memory: runs of whole items, each item with a comma
    /// behind it. For who sends pieces and wants no copy.
    pub fn runs(&self) -> impl Iterator<Item = &[u8]> {
        let placed = self.state.segments.placed();
        let recorded = placed.flat_map(|placed| {
            let before = self.reasoning_from.saturating_sub(placed.before.len);
            placed.segment.without_reasoning(before, self.config())
        });
        recorded.chain([&*self.pushed]).filter(|run| !run.is_empty())
    }

    /// Appends the items as a JSON array. Copies bytes and does nothing else.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        out.reserve(self.byte_len() + 1);
        out.push(b'[');
        self.runs().for_each(|run| out.extend_from_slice(run));
        if self.sum.items > 0 {
            out.pop();
        }
        out.push(b']');
    }

    /// The items as a JSON array.
    pub fn to_json(&self) -> String {
        let mut out = Vec::new();
        self.write_json(&mut out);
        String::from_utf8_lossy(&out).into_owned()
    }
}

impl std::fmt::Debug for Prompt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.to_json())
    }
}

/// Two prompts are equal if their bytes are.
impl PartialEq for Prompt {
    fn eq(&self, other: &Self) -> bool {
        self.byte_len() == other.byte_len() && self.to_json() == other.to_json()
    }
}

impl Eq for Prompt {}
