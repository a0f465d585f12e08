//! The conversation: items in their order, ready for the wire.

mod config;
mod difference;
mod edit;
mod mend;
mod open_calls;
mod pairing;
mod part;
mod persistent;
mod prompt;
mod rebuild;
mod repair;
mod segment;
mod segments;
mod shorten;
mod sound;
#[cfg(test)]
mod tests;
mod totals;

use std::ops::Range;
use std::sync::Arc;

use pairing::{Flaw, FlawKind, Pairing, is_kept};
use rebuild::Rebuild;
use segment::Entry;
use segments::Segments;
use totals::Totals;

use crate::{Item, WireFormat};

pub use config::{HistoryConfig, MAX_ITEM_BYTES};
pub use edit::EditError;
pub use part::Part;
pub use prompt::{Prompt, ReasoningFilter};
pub use repair::{Repair, RepairKind};

/// A conversation.
///
/// Recording an item encodes it for the wire, counts its tokens, pairs it with its call or output,
/// and adds it to the hash of what is sent: once, and nothing of that is done again. Cloning costs
/// one reference count, at any length; what is recorded or edited later in one never shows in the
/// other.
///
/// Indexes count items from 0 in conversation order. What each operation costs stands in
/// `docs/history.md`.
#[derive(Clone)]
pub struct History(Arc<State>);

/// All that a history is. A copy shares the items.
#[derive(Clone)]
struct State {
    segments: Segments,
    pairing: Pairing,
    /// Where the current turn began.
    turn: Option<Mark>,
    /// Turns begin where they are marked, not with each message of the user.
    is_marked: bool,
    /// The item that is recorded next begins a turn.
    starts_turn: bool,
    last_user_message: Option<usize>,
}

/// A place in the conversation.
#[derive(Clone, Copy)]
struct Mark {
    index: usize,
    /// What is known of the items before it.
    before: Totals,
}

impl Default for History {
    fn default() -> Self {
        Self::with_config(HistoryConfig::default())
    }
}

impl History {
    /// An empty conversation for a provider that wants items in `format`.
    pub fn new(format: WireFormat) -> Self {
        Self::with_config(HistoryConfig { format, ..HistoryConfig::default() })
    }

    /// An empty conversation.
    pub fn with_config(config: HistoryConfig) -> Self {
        Self(Arc::new(State {
            segments: Segments::new(Arc::new(config)),
            pairing: Pairing::default(),
            turn: None,
            is_marked: false,
            starts_turn: false,
            last_user_message: None,
        }))
    }

    /// How the conversation is kept.
    pub fn config(&self) -> &HistoryConfig {
        self.0.segments.config()
    }

    /// Marks the start of a turn: reasoning from before this point is no longer sent (see
    /// [`ReasoningFilter::CurrentTurn`]). Messages that arrive during the turn do not move it, so
    /// that the requests of one turn extend each other.
    pub fn begin_turn(&mut self) {
        let state = Arc::make_mut(&mut self.0);
        state.is_marked = true;
        state.starts_turn = true;
        state.turn = Some(state.mark(state.segments.len()));
    }

    /// Turns begin with [`begin_turn`](Self::begin_turn) alone from now on, also the first: no longer with
    /// each message of the user. Those that have begun stay.
    pub fn mark_turns(&mut self) {
        Arc::make_mut(&mut self.0).is_marked = true;
    }

    /// Appends an item.
    ///
    /// An output is cut to the limits of the configuration. The item that was given is shared, not
    /// changed: it holds the full output, for the log and for those who watch.
    pub fn record(&mut self, item: Item) {
        let state = Arc::make_mut(&mut self.0);
        let item = state.segments.config().limited(item);
        let (index, noted) = (state.segments.len(), item.clone());
        state.push(item);
        state.pairing.note(&noted, index, state.segments.config());
    }

    /// Records an output right after the call that it answers: the first call since the current turn
    /// began with its id and of a matching kind that has no output yet (else the nearest before), so
    /// that outputs which come in the order of their calls find them even where calls share an id.
    /// Where there is none, the output is appended, and the next [`normalise`](Self::normalise)
    /// removes and reports it.
    ///
    /// Gives the index of the output. Costs what stands behind the call. The output is cut as
    /// [`record`](Self::record) does.
    pub fn record_output(&mut self, output: Item) -> usize {
        let state = Arc::make_mut(&mut self.0);
        let output = state.segments.config().limited(output);
        let from = state.turn.map_or(0, |turn| turn.index);
        let is_kept = is_kept(&output, state.segments.config());
        let call = is_kept.then(|| state.pairing.answer(&output, from)).flatten();
        let Some(call) = call else {
            self.record(output);
            return self.len() - 1;
        };
        state.insert(call + 1, output);
        call + 1
    }

    /// Number of items.
    pub fn len(&self) -> usize {
        self.0.segments.len()
    }

    /// Whether nothing is recorded.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The item at `index`.
    pub fn get(&self, index: usize) -> Option<&Item> {
        self.0.segments.get(index).map(|entry| &entry.item)
    }

    /// The items in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Item> {
        self.0.segments.entries(0..self.len()).map(|entry| &entry.item)
    }

    /// Tokens of all items as they are sent, as the configured counter counts them. Each was counted
    /// when it was recorded; this looks at none.
    pub fn tokens(&self) -> u64 {
        self.0.segments.totals().all.tokens
    }

    /// Tokens of the items before `index`, as they are sent. Looks at no item's JSON.
    pub fn tokens_before(&self, index: usize) -> u64 {
        self.0.segments.totals_before(index).all.tokens
    }

    /// The items at `range`, as far as there are such items, each with the tokens for which it was
    /// counted when it was recorded: as it is sent, and 0 if it never is. Looks at no item's JSON.
    ///
    /// ```
    /// use longhaul_history::{History, Item};
    ///
    /// let mut history = History::default();
    /// history.extend(["one", "two words", "three words here"].map(Item::user));
    /// let tokens: Vec<u64> = history.measured(1..3).map(|(_, tokens)| tokens).collect();
    /// assert_eq!(tokens.iter().sum::<u64>(), history.tokens() - history.tokens_before(1));
    /// ```
    pub fn measured(&self, range: Range<usize>) -> impl DoubleEndedIterator<Item = (&Item, u64)> {
        self.0.segments.measured(range).map(|(entry, tokens)| (&entry.item, tokens))
    }

    /// Tokens of the items before `index` that a prompt with this filter has.
    pub fn sent_tokens_before(&self, index: usize, filter: ReasoningFilter) -> u64 {
        let before = self.0.segments.totals_before(index);
        let (all, without_reasoning) = (before.all.tokens, before.without_reasoning.tokens);
        match (filter, self.0.turn) {
            (ReasoningFilter::DropAll, _) => without_reasoning,
            (ReasoningFilter::CurrentTurn, Some(turn)) if index <= turn.index => without_reasoning,
            (ReasoningFilter::CurrentTurn, Some(turn)) => {
                turn.before.without_reasoning.tokens + (all - turn.before.all.tokens)
            }
            _ => all,
        }
    }

    /// Whether the conversation begins with the items of `prefix`. Segments that both share are
    /// known to be equal and not looked at, so that for a fork it costs a pointer for each.
    pub fn starts_with(&self, prefix: &Self) -> bool {
        prefix.len() <= self.len()
            && self.0.segments.unshared(&prefix.0.segments).all(|(item, other)| item == other)
    }

    /// Number of turns that have begun and hold an item. A turn begins where
    /// [`begin_turn`](Self::begin_turn) was called; before the first call, with each message of the
    /// user, unless turns [are marked](Self::mark_turns).
    pub fn turn_count(&self) -> usize {
        self.0.segments.totals().turns
    }

    /// Number of messages of the user; context messages (see
    /// [`turn_item::is_context`](crate::turn_item::is_context)) do not count.
    pub fn user_message_count(&self) -> usize {
        self.0.segments.totals().user_messages
    }

    /// Where the `n`-th message of the user stands, both counted from 0.
    pub fn user_message(&self, n: usize) -> Option<usize> {
        let segments = &self.0.segments;
        segments.nth(n, |totals| totals.user_messages, |entry| entry.is_user_message)
    }

    /// Where the last message of the user stands.
    pub fn last_user_message(&self) -> Option<usize> {
        self.0.last_user_message
    }

    /// Where the current turn began: the index of its first item, or of the next item if it has none
    /// yet.
    pub fn turn_start(&self) -> Option<usize> {
        self.0.turn.map(|turn| turn.index)
    }

    /// The indexes of the items that begin a turn, in order, from `start` on.
    pub fn turn_starts(&self, start: usize) -> impl Iterator<Item = usize> {
        let entries = self.0.segments.entries(start..self.len());
        (start..).zip(entries).filter(|(_, entry)| entry.starts_turn).map(|(index, _)| index)
    }

    /// Whether the item that is recorded next begins a turn.
    pub fn awaits_turn(&self) -> bool {
        self.0.starts_turn
    }

    /// Makes the stored conversation well formed and says what that took, in the order of the items.
    ///
    /// Deterministic, and idempotent: a second call finds nothing to do. Costs nothing where nothing
    /// is broken, else what stands behind the first repair.
    pub fn normalise(&mut self) -> Vec<Repair> {
        if self.0.pairing.is_settled() {
            return Vec::new();
        }
        let (rebuild, repairs) = repair::repair(&self.0);
        self.replace(rebuild, Pairing::default());
        repairs
    }

    /// The conversation as a model is to see it, always well formed: what
    /// [`normalise`](Self::normalise) would repair is repaired in the view.
    ///
    /// Costs one reference count, at any length, if there is nothing to repair.
    pub fn prompt(&self, filter: ReasoningFilter) -> Prompt {
        let mut whole = self.clone();
        whole.normalise();
        Prompt::new(whole.0, filter)
    }

    /// Writes items in another format from now on, those that stand too. Each segment is encoded
    /// once for each format, and remembers it: going back costs a pointer for each.
    ///
    /// Where the new format leaves images out that the old one sent, the next
    /// [`normalise`](Self::normalise) reports it.
    pub fn set_format(&mut self, format: WireFormat) {
        if format == self.config().format {
            return;
        }
        let state = Arc::make_mut(&mut self.0);
        let before = state.segments.config();
        let sent_images = before.format.images;
        let config = HistoryConfig { format, ..before.clone() };
        state.segments = state.segments.encoded_as(Arc::new(config));
        state.turn = state.turn.map(|turn| state.mark(turn.index));
        if format.images {
            state.pairing.forget_if(|flaw| flaw.kind == FlawKind::ImageLeftOut);
        } else if sent_images {
            self.flag_images();
        }
    }

    /// Notes the images that the format leaves out.
    fn flag_images(&mut self) {
        let items = self.iter().enumerate().filter(|(_, item)| item.has_images());
        let flaws = items.map(|(index, _)| Flaw { index, kind: FlawKind::ImageLeftOut });
        let flaws: Vec<Flaw> = flaws.collect();
        let state = Arc::make_mut(&mut self.0);
        for flaw in flaws {
            state.pairing.add_flaw(flaw);
        }
    }
}

impl State {
    fn push(&mut self, item: Item) {
        let mut entry = Entry::new(item);
        let index = self.segments.len();
        let is_user_message = entry.is_user_message;
        let mark = (is_user_message && !self.is_marked).then(|| self.mark(index));
        entry.starts_turn = self.starts_turn || mark.is_some();
        // First what asks the counter of tokens, which is not ours.
        self.segments.push(entry);
        self.starts_turn = false;
        self.turn = mark.or(self.turn);
        if is_user_message {
            self.last_user_message = Some(index);
        }
    }

    /// Inserts the output of the call before `index`.
    fn insert(&mut self, index: usize, output: Item) {
        self.pairing.note_inserted(&output, index, self.segments.config());
        self.segments.insert(index, Entry::new(output));
        self.last_user_message =
            self.last_user_message.map(|user| user + usize::from(user >= index));
        if let Some(turn) = self.turn.filter(|turn| turn.index >= index) {
            self.turn = Some(self.mark(turn.index + 1));
        }
    }

    fn mark(&self, index: usize) -> Mark {
        Mark { index, before: self.segments.totals_before(index) }
    }

    /// Takes other items.
    fn replace(&mut self, rebuild: Rebuild, pairing: Pairing) {
        let (segments, starts_turn) = rebuild.finish();
        self.segments = segments;
        self.pairing = pairing;
        self.starts_turn |= starts_turn;
        let Totals { turns, user_messages, .. } = self.segments.totals();
        let last_turn = turns.checked_sub(1);
        let last_turn =
            last_turn.and_then(|n| self.segments.nth(n, |t| t.turns, |entry| entry.starts_turn));
        let turn = if self.starts_turn { Some(self.segments.len()) } else { last_turn };
        self.turn = turn.map(|index| self.mark(index));
        let last_user = user_messages.checked_sub(1);
        self.last_user_message = last_user
            .and_then(|n| self.segments.nth(n, |t| t.user_messages, |entry| entry.is_user_message));
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
