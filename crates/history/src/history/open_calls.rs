//! The calls that wait for an output.

use std::collections::{BTreeMap, HashMap};

use crate::item::CallRole;
use crate::{CallKind, Item};

/// The calls that wait for an output, by their places and by their ids: an output finds its call in
/// the same time however many others wait.
#[derive(Clone, Default)]
pub(super) struct OpenCalls {
    kinds: BTreeMap<usize, CallKind>,
    /// Places in order; none of the lists is empty.
    places: HashMap<Box<str>, Vec<usize>>,
}

impl OpenCalls {
    /// A call behind all others.
    pub(super) fn push(&mut self, index: usize, kind: CallKind, call_id: &str) {
        self.kinds.insert(index, kind);
        match self.places.get_mut(call_id) {
            Some(places) => places.push(index),
            None => drop(self.places.insert(call_id.into(), vec![index])),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.kinds.is_empty()
    }

    /// How many stand before `index`.
    pub(super) fn count_before(&self, index: usize) -> usize {
        self.kinds.range(..index).count()
    }

    /// The places and kinds in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, CallKind)> {
        self.kinds.iter().map(|(index, kind)| (*index, *kind))
    }

    /// Takes the last call that `output` answers.
    pub(super) fn take_last(&mut self, output: &Item) -> Option<usize> {
        self.take(output, |places, waits| places.iter().rposition(waits))
    }

    /// Takes the first call from `from` on that `output` answers.
    pub(super) fn take_first(&mut self, output: &Item, from: usize) -> Option<usize> {
        self.take(output, |places, waits| {
            let behind = places.partition_point(|place| *place < from);
            places[behind..].iter().position(waits).map(|position| behind + position)
        })
    }

    fn take(
        &mut self,
        output: &Item,
        find: impl FnOnce(&[usize], &dyn Fn(&usize) -> bool) -> Option<usize>,
    ) -> Option<usize> {
        let Some(CallRole::Output(output, call_id)) = output.call_role() else {
            return None;
        };
        let places = self.places.get_mut(call_id)?;
        let kinds = &self.kinds;
        let waits = |place: &usize| kinds.get(place).is_some_and(|k| k.is_answered_by(output));
        let index = places.remove(find(places, &waits)?);
        if places.is_empty() {
            self.places.remove(call_id);
        }
        self.kinds.remove(&index);
        Some(index)
    }

    /// An item was inserted at `index`.
    pub(super) fn shift(&mut self, index: usize) {
        let later = self.kinds.split_off(&index);
        if later.is_empty() {
            return;
        }
        self.kinds.extend(later.into_iter().map(|(place, kind)| (place + 1, kind)));
        let places = self.places.values_mut().flatten();
        places.filter(|place| **place >= index).for_each(|place| *place += 1);
    }
}
