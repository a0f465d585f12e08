//! Changes of what was recorded, for compaction, undo and forks.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ops::Range;
use std::sync::Arc;

use super::open_calls::OpenCalls;
use super::pairing::{FlawKind, Pairing, is_kept};
use super::rebuild::{Edit, Rebuild};
use super::{History, Part, Repair, RepairKind, State, part};
use crate::item::CallRole;
use crate::{ImageEdit, Item, ItemKind};

/// Why an edit cannot be made. The history is as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EditError {
    /// There is no such turn, user message or item. The caller is at fault; ask
    /// [`History::turn_count`], [`History::user_message_count`] or [`History::len`] first.
    #[error("there is no {what} {asked}: the history has {available}")]
    OutOfRange {
        /// What was asked for: `turn`, `user message` or `item`.
        what: &'static str,
        /// Its number, or how many of them.
        asked: usize,
        /// How many there are.
        available: usize,
    },
    /// What is to be kept does not lie in increasing order, without overlap, within the items that
    /// are replaced. The caller is at fault.
    #[error("items {start}..{end} cannot be kept: kept ranges are in order and within 0..{count}")]
    NotInOrder {
        /// The first index of the range that is at fault.
        start: usize,
        /// The index behind its last.
        end: usize,
        /// How many items are replaced.
        count: usize,
    },
}

impl EditError {
    fn unless(
        is_there: bool,
        what: &'static str,
        asked: usize,
        available: usize,
    ) -> Result<(), Self> {
        if is_there { Ok(()) } else { Err(Self::OutOfRange { what, asked, available }) }
    }
}

impl History {
    /// Removes the oldest item, `count` times; with a call its output goes too, and counts with it, as
    /// does with an output the call that stands behind it. Says how many items are gone.
    ///
    /// What is left is as well paired as it was. Costs what is removed, the distance to the outputs
    /// of removed calls, and a pointer per 64 KiB that stay; no item is encoded again.
    pub fn remove_oldest(&mut self, count: usize) -> usize {
        let (frontier, counterparts) = oldest(&self.0, count);
        let mut rebuild = Rebuild::keeping(&self.0, 0);
        rebuild.remove(0..frontier);
        let mut at = frontier;
        for index in counterparts {
            rebuild.keep(at..index);
            rebuild.remove(index..index + 1);
            at = index + 1;
        }
        let before = self.len();
        rebuild.keep(at..before);
        if self.0.pairing.is_settled() {
            // Whole pairs go, from the front: that leaves no other item without its counterpart.
            self.replace(rebuild, Pairing::default());
        } else {
            self.look_anew(rebuild);
        }
        before - self.len()
    }

    /// Puts `parts` in the place of the first `count` items: new items, and ranges of those that were
    /// there, in their order. Calls and outputs that the cut separates are for
    /// [`normalise`](Self::normalise) to report.
    ///
    /// A turn whose first item goes begins with the next of the old items that stays, never with a
    /// new item before it; if none stays, with the item that is recorded next.
    ///
    /// Costs the encoding of what is new, one look at each item that stays, and a pointer per 64 KiB
    /// of them. Nothing that stays is encoded or counted again.
    ///
    /// ```
    /// use longhaul_history::{History, Item, Part};
    ///
    /// let mut history = History::default();
    /// history.extend(["a", "b", "c", "d"].map(Item::user));
    /// let parts = [Part::New(Item::assistant("a and b")), Part::Keep(2..3)];
    /// history.replace_prefix(3, parts)?;
    /// let left: Vec<Item> = history.iter().cloned().collect();
    /// assert_eq!(left, [Item::assistant("a and b"), Item::user("c"), Item::user("d")]);
    /// # Ok::<(), longhaul_history::EditError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`EditError::OutOfRange`] if there are fewer than `count` items;
    /// [`EditError::NotInOrder`] if the kept ranges overlap, go back, or reach behind `count`.
    pub fn replace_prefix(
        &mut self,
        count: usize,
        parts: impl IntoIterator<Item = impl Into<Part>>,
    ) -> Result<(), EditError> {
        EditError::unless(count <= self.len(), "item", count, self.len())?;
        let parts: Vec<Part> = parts.into_iter().map(Into::into).collect();
        part::check(&parts, count)?;
        let rebuild = Rebuild::with_parts(&self.0, count, parts);
        self.look_anew(rebuild);
        Ok(())
    }

    /// A conversation of these parts only, as [`replace_prefix`](Self::replace_prefix) of all items
    /// would leave it; this one stays as it is. Costs the same.
    ///
    /// # Errors
    ///
    /// [`EditError::NotInOrder`] if the kept ranges overlap, go back, or reach behind the end.
    pub fn composed(
        &self,
        parts: impl IntoIterator<Item = impl Into<Part>>,
    ) -> Result<Self, EditError> {
        let mut composed = self.clone();
        composed.replace_prefix(self.len(), parts)?;
        Ok(composed)
    }

    /// Puts the items of `first` in the place of the first `count`: how a compaction is undone. Costs
    /// one look at each item, and a pointer per 64 KiB; nothing is encoded or counted again.
    ///
    /// # Errors
    ///
    /// [`EditError::OutOfRange`] if there are fewer than `count` items.
    pub fn exchange_prefix(&mut self, count: usize, first: &Self) -> Result<(), EditError> {
        EditError::unless(count <= self.len(), "item", count, self.len())?;
        let mut first = first.clone();
        first.set_format(self.config().format);
        let mut rebuild = Rebuild::behind(&first.0, &self.0);
        rebuild.keep(count..self.len());
        Arc::make_mut(&mut self.0).is_marked |= first.0.is_marked;
        self.look_anew(rebuild);
        Ok(())
    }

    /// Forgets the last `count` turns, and with each what was recorded in it. Says how many items
    /// are gone.
    ///
    /// A turn begins where [`begin_turn`](Self::begin_turn) was called; before the first call, with
    /// each message of the user, unless turns [are marked](Self::mark_turns). What stands before the
    /// first turn stays.
    ///
    /// # Errors
    ///
    /// [`EditError::OutOfRange`] if there are fewer turns.
    pub fn drop_last_turns(&mut self, count: usize) -> Result<usize, EditError> {
        let turns = self.turn_count();
        EditError::unless(count <= turns, "turn", count, turns)?;
        let first = self.0.segments.nth(turns - count, |totals| totals.turns, |e| e.starts_turn);
        Ok(self.cut(first.unwrap_or(self.len())))
    }

    /// Keeps what stands before the `n`-th message of the user, counted from 0; context messages do
    /// not count. Says how many items are gone.
    ///
    /// # Errors
    ///
    /// [`EditError::OutOfRange`] if there is no such message.
    pub fn cut_before_user_message(&mut self, n: usize) -> Result<usize, EditError> {
        let messages = self.user_message_count();
        let index = self.user_message(n);
        EditError::unless(index.is_some(), "user message", n, messages)?;
        Ok(index.map_or(0, |index| self.cut(index)))
    }

    /// Keeps the first `len` items. Says how many are gone.
    pub(super) fn cut(&mut self, len: usize) -> usize {
        let before = self.len();
        let rebuild = Rebuild::keeping(&self.0, len);
        self.look_anew(rebuild);
        before - self.len()
    }

    /// Replaces or strips the images in the items at `range`, as far as there are such items. Says
    /// how many images are gone.
    pub fn edit_images(&mut self, range: Range<usize>, edit: &ImageEdit) -> usize {
        let entries = self.0.segments.entries(range.clone());
        let edited = (range.start..).zip(entries).filter_map(|(index, entry)| {
            let (item, count) = entry.item.edit_images(edit)?;
            Some((index, self.config().limited(item), count))
        });
        let mut images = 0;
        let edits = edited.map(|(index, item, count)| {
            images += count;
            (index, Edit { instead: Some(item), ..Edit::default() })
        });
        self.apply(edits.collect());
        images
    }

    /// Removes the reasoning so far: it is of another model or account, and whoever answers from now
    /// on cannot read it. Says what is gone.
    pub fn disown_reasoning(&mut self) -> Vec<Repair> {
        let items = self.iter().enumerate();
        let reasoning = items.filter(|(_, item)| item.kind() == ItemKind::Reasoning);
        let repairs: Vec<Repair> = reasoning
            .map(|(index, item)| Repair::new(RepairKind::ForeignReasoning, item, index))
            .collect();
        let removed = || Edit { is_removed: true, ..Edit::default() };
        self.apply(repairs.iter().map(|repair| (repair.item_index, removed())).collect());
        repairs
    }

    pub(super) fn apply(&mut self, edits: BTreeMap<usize, Edit>) {
        if !edits.is_empty() {
            let rebuild = Rebuild::with_edits(&self.0, edits);
            self.look_anew(rebuild);
        }
    }

    /// Puts a conversation in the place of this one, and looks at each of its items. Images that are
    /// left out are not told of again.
    fn look_anew(&mut self, rebuild: Rebuild) {
        let mut pairing = Pairing::of(rebuild.items(), self.config());
        if pairing.flaws().iter().any(|flaw| flaw.kind == FlawKind::ImageLeftOut) {
            let told = self.told_images();
            let is_told =
                |index| rebuild.item(index).is_some_and(|it| told.contains(&it.address()));
            pairing.forget_if(|flaw| flaw.kind == FlawKind::ImageLeftOut && is_told(flaw.index));
        }
        self.replace(rebuild, pairing);
    }

    /// The items with images that [`normalise`](Self::normalise) has reported.
    fn told_images(&self) -> HashSet<usize> {
        let mut told: HashSet<usize> =
            self.iter().filter(|item| item.has_images()).map(Item::address).collect();
        let flaws = self.0.pairing.flaws().iter();
        for flaw in flaws.filter(|flaw| flaw.kind == FlawKind::ImageLeftOut) {
            self.get(flaw.index).map(|item| told.remove(&item.address()));
        }
        told
    }

    pub(super) fn replace(&mut self, rebuild: Rebuild, pairing: Pairing) {
        Arc::make_mut(&mut self.0).replace(rebuild, pairing);
    }
}

/// How many items at the beginning go if the oldest is removed `count` times, and the items behind
/// them that go with their counterparts.
fn oldest(state: &State, count: usize) -> (usize, Vec<usize>) {
    let len = state.segments.len();
    let mut walk = Walk { unanswered: state.pairing.open().clone(), ..Walk::default() };
    let (mut steps, mut frontier, mut behind) = (0, 0, Vec::new());
    for (index, entry) in state.segments.entries(0..len).enumerate() {
        if steps == count && !walk.waits(frontier) {
            break;
        }
        let is_oldest = steps < count;
        let goes_along = is_kept(&entry.item, state.segments.config())
            && walk.pass(&entry.item, index, is_oldest);
        if is_oldest {
            steps += usize::from(!goes_along);
            frontier = index + 1;
        } else if goes_along {
            behind.push(index);
        }
    }
    (frontier, behind)
}

/// The calls on the way from the oldest item.
#[derive(Default)]
struct Walk {
    open: OpenCalls,
    /// Those of them that are removed.
    removed: BTreeSet<usize>,
    /// The calls of the whole conversation that have no output, or none behind them.
    unanswered: OpenCalls,
    /// Those of them that go with an output before them.
    called_too_late: BTreeSet<usize>,
}

impl Walk {
    /// Whether `item` goes because its counterpart does. `is_oldest`: it goes anyway.
    fn pass(&mut self, item: &Item, index: usize, is_oldest: bool) -> bool {
        match item.call_role() {
            Some(CallRole::Call(..)) if self.called_too_late.remove(&index) => true,
            Some(CallRole::Call(kind, call_id)) => {
                self.open.push(index, kind, call_id);
                if is_oldest {
                    self.removed.insert(index);
                }
                false
            }
            Some(CallRole::Output(..)) => {
                let answered = self.open.take_last(item);
                if answered.is_none() && is_oldest {
                    self.called_too_late.extend(self.unanswered.take_first(item, index));
                }
                answered.is_some_and(|call| self.removed.remove(&call))
            }
            None => false,
        }
    }

    /// Whether a counterpart of something removed is still to come.
    fn waits(&self, frontier: usize) -> bool {
        let never_answered = self.unanswered.count_before(frontier);
        self.removed.len() > never_answered || !self.called_too_late.is_empty()
    }
}
