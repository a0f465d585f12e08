//! Changes of what was recorded, for compaction, undo and forks.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use super::pairing::{OpenCall, Pairing, is_kept};
use super::rebuild::{Edit, Rebuild};
use super::segment::Entry;
use super::{History, Repair, RepairKind, State};
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
    /// Removes the oldest item, `count` times; with a call its output goes too, and counts with it.
    /// Says how many items are gone.
    ///
    /// What is left is as well paired as it was. Costs what is removed, the distance to the outputs
    /// of removed calls, and a pointer per 64 KiB that stay; no item is encoded again.
    pub fn remove_oldest(&mut self, count: usize) -> usize {
        let (frontier, outputs) = oldest(&self.0, count);
        let mut rebuild = Rebuild::keeping(&self.0, 0);
        rebuild.remove(0..frontier);
        let mut at = frontier;
        for output in outputs {
            rebuild.keep(at..output);
            rebuild.remove(output..output + 1);
            at = output + 1;
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

    /// Puts `items` in the place of the first `count`. Calls and outputs that the cut separates are
    /// for [`normalise`](Self::normalise) to report.
    ///
    /// Costs the encoding of `items`, one look at each item that stays, and a pointer per 64 KiB of
    /// them.
    ///
    /// # Errors
    ///
    /// [`EditError::OutOfRange`] if there are fewer than `count` items.
    pub fn replace_prefix(
        &mut self,
        count: usize,
        items: impl IntoIterator<Item = Item>,
    ) -> Result<(), EditError> {
        EditError::unless(count <= self.len(), "item", count, self.len())?;
        let mut rebuild = Rebuild::keeping(&self.0, 0);
        items.into_iter().for_each(|item| rebuild.push(Entry::new(item)));
        rebuild.remove(0..count);
        rebuild.keep(count..self.len());
        self.look_anew(rebuild);
        Ok(())
    }

    /// Forgets the last `count` turns, and with each what was recorded in it. Says how many items
    /// are gone.
    ///
    /// A turn begins where [`begin_turn`](Self::begin_turn) was called; before the first call, with
    /// each message of the user. What stands before the first turn stays.
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
            Some((index, item, count))
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

    /// Puts a conversation in the place of this one, and looks at each of its items.
    fn look_anew(&mut self, rebuild: Rebuild) {
        let pairing = Pairing::of(rebuild.items(), &self.0.config);
        self.replace(rebuild, pairing);
    }

    pub(super) fn replace(&mut self, rebuild: Rebuild, pairing: Pairing) {
        Arc::make_mut(&mut self.0).replace(rebuild, pairing);
    }
}

/// How many items at the beginning go if the oldest is removed `count` times, and the outputs behind
/// them that go with their calls.
fn oldest(state: &State, count: usize) -> (usize, Vec<usize>) {
    let len = state.segments.len();
    let (mut walk, mut steps, mut frontier) = (Walk::default(), 0, 0);
    for (index, entry) in state.segments.entries(0..len).enumerate() {
        if steps == count && !walk.waits(state, frontier) {
            break;
        }
        let is_oldest = steps < count;
        let goes_with_its_call =
            is_kept(&entry.item, &state.config) && walk.pass(&entry.item, index, is_oldest);
        if is_oldest {
            steps += usize::from(!goes_with_its_call);
            frontier = index + 1;
        } else if goes_with_its_call {
            walk.outputs.push(index);
        }
    }
    (frontier, walk.outputs)
}

/// The calls on the way from the oldest item, and which of them are removed.
#[derive(Default)]
struct Walk {
    open: Vec<(OpenCall, bool)>,
    outputs: Vec<usize>,
}

impl Walk {
    /// Whether `item` is the output of a removed call.
    fn pass(&mut self, item: &Item, index: usize, is_removed: bool) -> bool {
        match item.call_role() {
            Some(CallRole::Call(kind, call_id)) => {
                let call = OpenCall { index, kind, call_id: call_id.into() };
                self.open.push((call, is_removed));
                false
            }
            Some(CallRole::Output(..)) => {
                let answered = self.open.iter().rposition(|(call, _)| call.is_answered_by(item));
                answered.is_some_and(|position| self.open.remove(position).1)
            }
            None => false,
        }
    }

    /// Whether a removed call has an output that is still to come.
    fn waits(&self, state: &State, frontier: usize) -> bool {
        let unanswered = state.pairing.open().iter().filter(|call| call.index < frontier).count();
        self.open.iter().filter(|(_, is_removed)| *is_removed).count() > unanswered
    }
}
