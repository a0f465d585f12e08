//! A conversation as a compaction sees it.

use longhaul_history::{History, Item, ItemKind, Part, ReasoningFilter, Role};

use crate::assemble;
use crate::keep::{Keep, Tail};
use crate::layout::Layout;
use crate::quote::{Quota, last_text};
use crate::{Budget, Error, Replacement};

/// What the words of a bridge take besides what it quotes, generously.
const BRIDGE_TOKENS: u64 = 256;

/// A conversation as a compaction sees it: a snapshot, put right, with what must be kept.
///
/// What the user said and no model has answered yet, the *pending* part at the end, is not compacted:
/// it stays as it is behind whatever replaces the rest. It is treated like everything else only where
/// that is too long by itself, or all there is in a conversation that cannot be sent.
#[derive(Debug, Clone)]
pub struct View {
    history: History,
    context: Vec<Item>,
    keep: Keep,
    filter: ReasoningFilter,
    layout: Layout,
    pending: usize,
}

impl View {
    /// The view of `history`, which is put right first.
    ///
    /// `context` is the initial context as it would be written today. If it is empty, the messages at
    /// the beginning that are context (or of the developer or the system) are kept as they are.
    pub fn new(
        mut history: History,
        context: Vec<Item>,
        keep: Keep,
        filter: ReasoningFilter,
        budget: &Budget,
    ) -> Self {
        history.normalise();
        let layout = Layout::of(&history);
        let mut view = Self { pending: layout.answered, history, context, keep, filter, layout };
        if view.pending_is_too_long(budget) || (budget.is_required() && view.is_all_pending()) {
            view.pending = view.history.len();
        }
        view
    }

    /// The conversation.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// How many items a compaction may replace: all that stand before what is pending.
    pub fn prefix_len(&self) -> usize {
        self.pending
    }

    /// What is kept besides the context and pinned items.
    pub fn keep(&self) -> &Keep {
        &self.keep
    }

    /// Tokens of the whole conversation as it is sent.
    pub fn sent_tokens(&self) -> u64 {
        self.history.prompt(self.filter).tokens()
    }

    /// Whether there is nothing that a bridge would stand for.
    pub fn is_compact(&self, budget: &Budget) -> bool {
        !self.has_more_than_kept(self.tail_start(self.keep.tail, budget))
    }

    /// The usual result: the initial context, pinned items, a bridge with the user's messages and
    /// `summary`, ghost snapshots, and the tail.
    ///
    /// # Errors
    ///
    /// [`Error::Render`]: see there.
    pub fn bridge(&self, summary: &str, budget: &Budget) -> Result<Replacement, Error> {
        let tail = self.tail_start(self.keep.tail, budget);
        let mut quota = self.quota(budget);
        if let Some(ceiling) = budget.ceiling() {
            let room = budget.items_within(ceiling);
            let summary = self.history.config().counter.count_text(summary);
            let others = self.fixed_tokens(tail) + summary + BRIDGE_TOKENS;
            let last = self.last_message_tokens().min(quota.last);
            quota.messages = quota.messages.min(room.saturating_sub(others + last));
        }
        assemble::bridged(self, summary, quota, tail)
    }

    /// Tokens of what is kept as it is: the context, pinned items, the tail, and what is pending.
    fn fixed_tokens(&self, tail: usize) -> u64 {
        let pinned = self.layout.pinned.iter().filter(|index| **index < tail);
        let pinned: u64 = pinned.map(|index| self.item_tokens(*index)).sum();
        let context = self.tokens(0..self.layout.context.min(tail));
        context + pinned + self.tokens(tail..self.history.len())
    }

    /// How much a bridge may quote of the user.
    pub(crate) fn quota(&self, budget: &Budget) -> Quota {
        let messages = budget.quarter(self.keep.user_message_tokens);
        let images = budget.quarter(self.keep.image_tokens);
        Quota { last: messages, messages, images }
    }

    fn pending_is_too_long(&self, budget: &Budget) -> bool {
        let fixed = self.fixed_tokens(self.pending);
        budget.room().is_some_and(|room| fixed > room / 4 * 3)
    }

    fn is_all_pending(&self) -> bool {
        self.layout.bridges.is_empty() && !self.has_more_than_kept(self.pending)
    }

    pub(crate) fn filter(&self) -> ReasoningFilter {
        self.filter
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Tokens of the item at `index`, if it is sent.
    pub(crate) fn item_tokens(&self, index: usize) -> u64 {
        let item = self.history.measured(index..index + 1).next();
        let (item, tokens) = item.unzip();
        let is_reasoning = item.is_some_and(|item| item.kind() == ItemKind::Reasoning);
        tokens.filter(|_| index >= self.reasoning_from() || !is_reasoning).unwrap_or(0)
    }

    /// Reasoning before this item is not sent.
    pub(crate) fn reasoning_from(&self) -> usize {
        match self.filter {
            ReasoningFilter::KeepAll => 0,
            ReasoningFilter::CurrentTurn => self.history.turn_start().unwrap_or(0),
            _ => self.history.len(),
        }
    }

    /// Tokens of what is sent of the items before `index`.
    pub(crate) fn tokens_before(&self, index: usize) -> u64 {
        self.history.sent_tokens_before(index, self.filter)
    }

    /// Tokens of what is sent of the items at `range`.
    pub(crate) fn tokens(&self, range: std::ops::Range<usize>) -> u64 {
        self.tokens_before(range.end) - self.tokens_before(range.start)
    }

    /// The conversation with `parts` in the place of what may be replaced.
    pub(crate) fn with(&self, parts: &[Part]) -> Result<History, Error> {
        let mut history = self.history.clone();
        history.replace_prefix(self.pending, parts.iter().cloned())?;
        Ok(history)
    }

    /// Whether something before `tail` would go.
    pub(crate) fn has_more_than_kept(&self, tail: usize) -> bool {
        let layout = &self.layout;
        let behind = tail.saturating_sub(layout.context);
        let before = |indexes: &[usize]| indexes.partition_point(|index| *index < tail);
        let kept = before(&layout.pinned) + before(&layout.ghosts);
        behind > kept + before(&layout.bridges).min(1)
    }

    /// Where the tail begins, within half of the room.
    pub(crate) fn tail_start(&self, tail: Tail, budget: &Budget) -> usize {
        let most = budget.room().unwrap_or(u64::MAX).min(budget.items_within(budget.limit)) / 2;
        match tail {
            Tail::None => self.pending,
            Tail::Turns(turns) => self.clean_cut(self.turn_start(turns), most),
            Tail::Tokens(tokens) => self.clean_cut(0, tokens.min(most)),
        }
    }

    /// The first place at or behind `from` where nothing is parted, and behind which (and before what
    /// is pending) there are at most `most` tokens.
    fn clean_cut(&self, from: usize, most: u64) -> usize {
        let after_bridge = self.layout.bridges.last().map_or(0, |bridge| bridge + 1);
        let from = from.max(self.layout.context).max(after_bridge);
        let end = self.tokens_before(self.pending);
        let tokens = |index: usize| end.saturating_sub(self.tokens_before(index));
        let fits = |index: &usize| tokens(*index) <= most;
        let cuts = self.layout.cuts();
        let first = cuts.partition_point(|index| *index < from);
        let behind = &cuts[first..];
        let start = behind.partition_point(|index| !fits(index));
        behind.get(start).map_or(self.pending, |index| (*index).min(self.pending))
    }

    /// Where the last `turns` turns begin.
    fn turn_start(&self, turns: usize) -> usize {
        let Some(nth) = turns.checked_sub(1) else { return self.pending };
        let users = &self.layout.users;
        let is_first = |position: &usize| {
            let before = position.checked_sub(1).map(|before| users[before]);
            before.is_none_or(|before| before + 1 < users[*position])
        };
        let before_pending = users.partition_point(|user| *user < self.pending);
        let starts = (0..before_pending).rev().filter(is_first);
        starts.map(|position| users[position]).nth(nth).unwrap_or(0)
    }

    /// The initial context: as it is to be written, and from which of the old items it is kept.
    pub(crate) fn context_parts(&self) -> Vec<Part> {
        let old = 0..self.layout.context;
        // What the developer or the system says stays, unless that is how context is written; and what
        // is pinned.
        let told_as = |kind| {
            kind == ItemKind::Message(Role::User)
                || self.context.iter().any(|new| new.kind() == kind)
        };
        let is_told = |index: &usize| {
            let item = self.history.get(*index).filter(|item| !item.is_pinned());
            item.is_some_and(|item| told_as(item.kind()))
        };
        let told = old.clone().filter(is_told).filter_map(|index| self.history.get(index));
        if self.context.is_empty() || told.eq(&self.context) {
            return if old.is_empty() { Vec::new() } else { vec![Part::Keep(old)] };
        }
        let is_written = |index: &usize| {
            let item = self.history.get(*index);
            item.is_some_and(|item| self.context.contains(item))
        };
        let others = old.filter(|index| !is_told(index) && !is_written(index));
        let others = others.map(|index| Part::Keep(index..index + 1));
        others.chain(self.context.iter().cloned().map(Part::New)).collect()
    }

    /// The items of the initial context.
    pub(crate) fn context_items(&self) -> Vec<Item> {
        let items = self.context_parts().into_iter().flat_map(|part| match part {
            Part::Keep(range) => {
                range.filter_map(|index| self.history.get(index).cloned()).collect()
            }
            Part::New(item) => vec![item],
        });
        items.collect()
    }

    /// Tokens of what the user said last, as a bridge quotes it; 0 if it stays as it is.
    pub(crate) fn last_message_tokens(&self) -> u64 {
        let last = self.layout.users.last().copied();
        if last.is_some_and(|index| index >= self.pending) {
            return 0;
        }
        let item = last.and_then(|index| Some((index, self.history.get(index)?)));
        if let Some((index, _)) = item.filter(|(_, item)| !item.has_images()) {
            return self.item_tokens(index);
        }
        let text = last_text(self).unwrap_or_default();
        self.history.config().counter.count_text(&text)
    }
}
