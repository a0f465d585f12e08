//! Broken history becomes valid history and a list of what that took.

use serde::Serialize;

use super::History;
use crate::{CallOutput, Item};

/// The output that a call gets when its own is missing. Fixed, so that the same history always
/// gives the same bytes and the provider's prompt cache still hits.
const ABORTED: &str = "aborted";

/// One thing that [`History::normalise`] put right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Repair {
    /// What was wrong.
    pub kind: RepairKind,
    /// The id of the call concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call_id: Option<String>,
    /// Where, in the history as it was before the repair.
    pub item_index: usize,
}

/// What was wrong with a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RepairKind {
    /// A call had no output; it was given the output `aborted`.
    MissingOutput,
    /// An output had no call to answer; it was removed.
    OrphanOutput,
}

pub(super) fn repair(broken: &History) -> (History, Vec<Repair>) {
    let mut repaired = broken.clone();
    let Some(first) = broken.pairing.first_broken() else {
        return (repaired, Vec::new());
    };
    repaired.cut(first);
    let mut repairs = Vec::new();
    let mut open = broken.pairing.open().iter().peekable();
    for (index, item) in broken.iter().enumerate().skip(first) {
        if broken.turn_start == Some(index) {
            repaired.begin_turn();
        }
        if broken.pairing.is_orphan(index) {
            repairs.push(Repair::new(RepairKind::OrphanOutput, item, index));
            continue;
        }
        repaired.append(item.clone());
        if let Some(call) = open.next_if(|call| call.index == index) {
            repairs.push(Repair::new(RepairKind::MissingOutput, item, index));
            let output = CallOutput::text(ABORTED);
            repaired.append(Item::output(call.kind, &call.call_id, output));
        }
    }
    if broken.turn_start == Some(broken.len()) {
        repaired.begin_turn();
    }
    (repaired, repairs)
}

impl Repair {
    fn new(kind: RepairKind, item: &Item, item_index: usize) -> Self {
        Self { kind, call_id: item.call_id().map(str::to_owned), item_index }
    }
}

impl History {
    /// Forgets the items from `index` on, and what waits for a repair: that is about to be done.
    fn cut(&mut self, index: usize) {
        drop(self.segments.split_off(index));
        self.pairing = super::Pairing::default();
        self.last_user = self.last_user.filter(|user| *user < index).or_else(|| {
            let is_user = |item: &&Item| item.kind() == crate::ItemKind::Message(crate::Role::User);
            self.iter().rev().position(|item| is_user(&item)).map(|back| index - 1 - back)
        });
    }
}
