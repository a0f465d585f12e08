//! The calls of a turn's newest response, found again in the conversation.
//!
//! A compaction, an edit or damage may have taken them out of it, and others may stand behind them: calls
//! that cannot be answered, pinned copies, and those of a next response that was recorded in part.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use longhaul_history::Item;
use longhaul_rollout::ReplayItem;

use super::payload::{KnownCall, begins};
use super::records::answerable;

/// What the log says of a turn's newest response, and where its calls stand.
pub(super) struct Step<'a> {
    known: &'a [KnownCall<'a>],
    items: &'a [ReplayItem],
    count: usize,
    /// The positions of which the log says that they are answered.
    said: BTreeSet<usize>,
    /// A call has started of which no response is there: its line is lost.
    has_strays: bool,
    /// Lines of the turn are lost: what is not said of a call may have happened to it.
    has_lost_lines: bool,
    /// The index of the call at each position, where it is there.
    places: BTreeMap<usize, usize>,
}

impl<'a> Step<'a> {
    /// `known` are the records of the turn from its newest response on.
    pub(super) fn of(
        known: &'a [KnownCall<'a>],
        items: &'a [ReplayItem],
        has_lost_lines: bool,
    ) -> Self {
        let (said, places, has_strays) = (BTreeSet::new(), BTreeMap::new(), false);
        let mut step = Self { known, items, count: 0, said, has_strays, has_lost_lines, places };
        for it in known {
            match it {
                KnownCall::Response { calls, .. } => step.count = *calls,
                KnownCall::Answered { position } => drop(step.said.insert(*position)),
                KnownCall::Started { position } => {
                    let is_open = *position < step.count && !step.said.contains(position);
                    step.has_strays |= !is_open;
                }
                _ => {}
            }
        }
        step.places = step.find();
        step
    }

    /// From the end backwards, so that calls with the same id are told apart by their places. One that is
    /// answered has its output: the next response may have the same ids.
    fn find(&self) -> BTreeMap<usize, usize> {
        let (mut places, mut end) = (BTreeMap::new(), self.items.len());
        for position in (0..self.count).rev().take(self.items.len() + 1) {
            let fits = |index: &usize| {
                self.call_id(*index).is_some_and(|id| self.has_id(position, id) != Some(false))
                    && (self.is_answered(*index) || !self.said.contains(&position))
            };
            if let Some(index) = (0..end).rev().find(fits) {
                places.insert(position, index);
                end = index;
            }
        }
        places
    }

    /// Whether the call at a position has this id; `None` if the log does not say.
    fn has_id(&self, position: usize, call_id: &str) -> Option<bool> {
        let ids = self.known.iter().find_map(|it| match it {
            KnownCall::Response { ids, .. } => Some(ids),
            _ => None,
        });
        ids?.get(position).map(|id| begins(call_id) == *id)
    }

    /// Whether the model is asked next, whatever is known of the calls: all are answered, some are there
    /// no more, or nobody knows how far they had come and what of them was allowed.
    pub(super) fn is_over(&self) -> bool {
        let has_all = self.places.len() == self.count;
        !has_all
            || self.has_lost_lines
            || self.count > 0 && self.said.range(..self.count).count() == self.count
    }

    /// The calls that are there, in order.
    pub(super) fn calls(&self) -> impl Iterator<Item = &'a Item> {
        let items = self.items;
        self.places.values().map(move |index| &items[*index].item)
    }

    /// The call at a position, if it is there.
    pub(super) fn call(&self, position: usize) -> Option<&'a Item> {
        self.places.get(&position).map(|index| &self.items[*index].item)
    }

    /// The positions of calls that have their outputs.
    pub(super) fn answered(&self) -> impl Iterator<Item = usize> {
        self.places.iter().filter(|(_, index)| self.is_answered(**index)).map(|(at, _)| *at)
    }

    /// Whether the log says that a call is answered.
    pub(super) fn is_said(&self, position: usize) -> bool {
        self.said.contains(&position)
    }

    /// The calls without outputs, in the order of the conversation, and whether each may go on. Beside
    /// those of the response these are the ones from `start` on: of a response that is not recorded whole.
    pub(super) fn open(&self, start: usize) -> impl Iterator<Item = Open<'a>> {
        let placed: BTreeMap<_, _> = self.places.iter().map(|(at, index)| (*index, *at)).collect();
        let is_open = |index: &usize| self.call_id(*index).is_some() && !self.is_answered(*index);
        (0..self.items.len()).filter(is_open).filter_map(move |index| {
            let call = &self.items[index].item;
            match placed.get(&index) {
                Some(position) => Some(self.opened(call, Some(*position), !self.is_over())),
                None if index >= start => Some(self.opened(call, self.lost(call), false)),
                None => None,
            }
        })
    }

    fn opened(&self, call: &'a Item, position: Option<usize>, goes_on: bool) -> Open<'a> {
        let (mut had_started, mut denial) = (position.is_none() && self.has_strays, None);
        for it in self.known {
            match it {
                KnownCall::Started { position: at } if Some(*at) == position => had_started = true,
                KnownCall::Denied { position: at, reason } if Some(*at) == position => {
                    denial = Some(&**reason);
                }
                _ => {}
            }
        }
        had_started |= self.has_lost_lines && denial.is_none();
        Open { call, had_started, denial, goes_on }
    }

    /// The position of a call whose output was there and is lost.
    fn lost(&self, call: &Item) -> Option<usize> {
        let id = call.call_id()?;
        let is_it =
            |at: &usize| !self.places.contains_key(at) && self.has_id(*at, id) == Some(true);
        self.said.iter().copied().find(is_it)
    }

    /// The id of what is a call and no pinned copy of one.
    fn call_id(&self, index: usize) -> Option<&'a str> {
        let item = &self.items[index].item;
        answerable(item).filter(|_| !item.is_pinned())
    }

    /// Outputs stand right behind their calls.
    fn is_answered(&self, index: usize) -> bool {
        let next = self.items.get(index + 1).map(|next| &next.item);
        let call_id = self.items[index].item.call_id();
        next.is_some_and(|it| it.kind().is_output() && it.call_id() == call_id)
    }
}

/// A call that has no output.
pub(super) struct Open<'a> {
    pub(super) call: &'a Item,
    pub(super) had_started: bool,
    /// What the model is told instead, where it may not run.
    pub(super) denial: Option<&'a str>,
    /// Its turn goes on with it; else nothing runs it.
    pub(super) goes_on: bool,
}
