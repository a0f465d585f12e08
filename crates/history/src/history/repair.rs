//! Broken history becomes valid history and a list of what that took.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use super::State;
use super::open_calls::OpenCalls;
use super::pairing::{Flaw, FlawKind, is_kept};
use super::rebuild::{Edit, Rebuild};
use super::sound::sound;
use crate::item::CallRole;
use crate::{CallKind, CallOutput, Item};

/// The output that a call gets when its own is missing. Fixed, so that the same history always
/// gives the same bytes and the provider's prompt cache still hits.
const ABORTED: &str = "aborted";

/// One thing that was put right.
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
///
/// A call id that a later response uses again is not among them: calls and outputs pair by position,
/// so nothing is wrong with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RepairKind {
    /// A call had no output; it was given the output `aborted`, right behind it.
    MissingOutput,
    /// An output had no call to answer; it was removed.
    OrphanOutput,
    /// An output answered a call that had its output already; it was removed.
    DuplicateOutput,
    /// An output stood before its call; it was moved behind it.
    OutputBeforeCall,
    /// An item could not be understood by any server, and was removed: a call or an output with an
    /// empty id or none, an item without a part that its type must have, or without a type.
    IncompleteItem,
    /// Reasoning was followed by nothing of the model's, which servers refuse; it was removed.
    UnfollowedReasoning,
    /// Reasoning was of another model or account, or its server could not decrypt it; it was removed.
    ForeignReasoning,
    /// An item was longer than servers take; it was cut in its middle, or removed where it holds no
    /// text to cut.
    OversizeItem,
    /// An image was of a type that no model reads; a text stands in its place.
    UnreadableImage,
    /// An image cannot be shown to this model. It stays in the history; a text is sent in its place.
    ImageLeftOut,
    /// A server refused the item, and it was removed, changed or moved as its error asked for; or it
    /// went with its call or output. See [`History::mend`](crate::History::mend).
    Refused,
}

impl Repair {
    pub(super) fn new(kind: RepairKind, item: &Item, item_index: usize) -> Self {
        Self { kind, call_id: item.call_id().map(str::to_owned), item_index }
    }
}

/// The items of a state whose pairing is not settled, put right.
pub(super) fn repair(state: &State) -> (Rebuild, Vec<Repair>) {
    let mut plan = Plan::of(state);
    plan.remove_unsound();
    plan.place_outputs();
    plan.answer_open_calls();
    plan.repairs.sort_by_key(|repair| repair.item_index);
    (Rebuild::with_edits(state, plan.edits), plan.repairs)
}

/// What is done about each item.
struct Plan<'a> {
    state: &'a State,
    edits: BTreeMap<usize, Edit>,
    repairs: Vec<Repair>,
    /// The calls that are still without an output.
    open: OpenCalls,
}

type Calls<'a> = HashMap<&'a str, Vec<CallKind>>;

impl<'a> Plan<'a> {
    fn of(state: &'a State) -> Self {
        let open = state.pairing.open().clone();
        Self { state, edits: BTreeMap::new(), repairs: Vec::new(), open }
    }

    fn item(&self, index: usize) -> Option<&'a Item> {
        self.state.segments.get(index).map(|entry| &entry.item)
    }

    fn edit(&mut self, index: usize) -> &mut Edit {
        self.edits.entry(index).or_default()
    }

    fn report(&mut self, kind: RepairKind, index: usize) {
        if let Some(item) = self.item(index) {
            self.repairs.push(Repair::new(kind, item, index));
        }
    }

    /// Removes or changes what could not be sent wherever it stood.
    fn remove_unsound(&mut self) {
        let trailing = self.state.pairing.trailing().iter();
        let trailing = trailing.map(|&index| Flaw { index, kind: FlawKind::Unfollowed });
        for Flaw { index, kind } in trailing.chain(self.state.pairing.flaws().iter().copied()) {
            if self.edits.get(&index).is_some_and(|edit| edit.is_removed) {
                continue;
            }
            let reported = match kind {
                FlawKind::Unanswerable => continue,
                FlawKind::Incomplete => RepairKind::IncompleteItem,
                FlawKind::Unfollowed => RepairKind::UnfollowedReasoning,
                FlawKind::Oversize => RepairKind::OversizeItem,
                FlawKind::UnreadableImage => RepairKind::UnreadableImage,
                FlawKind::ImageLeftOut => RepairKind::ImageLeftOut,
            };
            self.report(reported, index);
            self.mend(index, kind);
        }
    }

    fn mend(&mut self, index: usize, kind: FlawKind) {
        let Some(item) = self.item(index) else {
            return;
        };
        let instead = match kind {
            FlawKind::ImageLeftOut => return,
            FlawKind::Oversize | FlawKind::UnreadableImage => {
                sound(item, self.state.segments.config())
            }
            _ => None,
        };
        let instead = instead.map(Cow::into_owned);
        let edit = self.edit(index);
        edit.is_removed = instead.is_none();
        edit.instead = instead;
    }

    /// Moves outputs that stand before their calls, and removes those without any.
    fn place_outputs(&mut self) {
        let flaws = self.state.pairing.flaws().iter();
        let outputs: Vec<usize> = flaws
            .filter(|flaw| flaw.kind == FlawKind::Unanswerable)
            .map(|flaw| flaw.index)
            .collect();
        if outputs.is_empty() {
            return;
        }
        let called = self.called();
        for index in outputs {
            if let Some(output) = self.item(index) {
                let kind = self.place_output(output, index, &called);
                self.report(kind, index);
                *self.edit(index) = Edit { is_removed: true, ..Edit::default() };
            }
        }
    }

    /// Gives the output at `index` to the first call behind it that waits for it, if there is one.
    fn place_output(&mut self, output: &'a Item, index: usize, called: &Calls<'_>) -> RepairKind {
        if let Some(call) = self.open.take_first(output, index) {
            let changed = self.edit(index).instead.take();
            self.edit(call).behind = Some(changed.unwrap_or_else(|| output.clone()));
            return RepairKind::OutputBeforeCall;
        }
        let calls = output.call_id().and_then(|id| called.get(id)).into_iter().flatten();
        let is_answered = calls.into_iter().any(|call| call.is_answered_by(output.kind()));
        if is_answered { RepairKind::DuplicateOutput } else { RepairKind::OrphanOutput }
    }

    /// All calls that stay, by their ids.
    fn called(&self) -> Calls<'a> {
        let segments = &self.state.segments;
        let kept = segments.entries(0..segments.len()).map(|entry| &entry.item);
        let mut called = Calls::new();
        for item in kept.filter(|item| is_kept(item, segments.config())) {
            if let Some(CallRole::Call(kind, id)) = item.call_role() {
                called.entry(id).or_default().push(kind);
            }
        }
        called
    }

    fn answer_open_calls(&mut self) {
        let open: Vec<_> = std::mem::take(&mut self.open).iter().collect();
        for (index, kind) in open {
            self.report(RepairKind::MissingOutput, index);
            let id = self.item(index).and_then(Item::call_id).unwrap_or_default();
            self.edit(index).behind = Some(aborted(kind, id));
        }
    }
}

/// The output of a call that will never have one.
pub(super) fn aborted(kind: CallKind, call_id: &str) -> Item {
    Item::output(kind, call_id, CallOutput::text(ABORTED))
}
