//! A remedy for a server's refusal, applied to the history that was refused.

mod change;
mod images;
mod rename;

use std::collections::{BTreeMap, HashMap};

use super::rebuild::Edit;
use super::{History, ReasoningFilter, Repair, RepairKind, pairing};
use crate::remedy::{Remedy, Target, steps};
use crate::{Item, ItemKind, WireFormat};

use change::{in_clear, is_sealed, shortened, without_field, without_id};

impl History {
    /// Removes or changes what a server refused, as `remedy` says, and says what that took.
    ///
    /// Positions in `remedy` count the items of the refused request. So `filter` has to be the one
    /// that its prompt was made with, and nothing may have been recorded or edited since; a position
    /// behind the history's own items (of one that was [pushed](super::Prompt::push)) selects
    /// nothing. For the same reason a remedy that goes by position is applied once: the next time it
    /// would mean what has moved there.
    ///
    /// Returned are the repairs of [`normalise`](Self::normalise), which comes first, because a
    /// prompt shows what is normalised; then, in the order of the items and with their indexes in the
    /// normalised history, one [`RepairKind::Refused`] for each that is removed, changed or moved,
    /// and one [`RepairKind::UnfollowedReasoning`] for reasoning whose answer went and that goes with
    /// it. **If none is `Refused`, nothing was selected**, and the same request would be refused
    /// again. What would not show in what is sent is not done: to remove ids, for one, where the
    /// format leaves them out.
    ///
    /// What is not selected keeps its bytes. Afterwards `normalise` finds nothing, and calls and
    /// outputs pair up. What is left of the turn that the refused request was part of stays the
    /// current turn.
    ///
    /// Costs one look at each item, the encoding of those that change, and what stands behind the
    /// first of them once more.
    ///
    /// ```
    /// use longhaul_history::remedy::{Refusal, remedy};
    /// use longhaul_history::{History, Item, ReasoningFilter, RepairKind};
    ///
    /// let mut history = History::default();
    /// history.begin_turn();
    /// history.record(Item::user("Which is warmer, Oslo or Bergen?"));
    /// history.record(Item::reasoning(&[], Some("gAAAAA==")));
    /// history.record(Item::assistant("Bergen."));
    ///
    /// // The server's key has changed since.
    /// let refusal = Refusal::new("The encrypted content gAAA...AA== could not be verified.");
    /// let repair = remedy(&refusal).ok_or("another error")?;
    /// let repairs = history.mend(&repair, ReasoningFilter::CurrentTurn);
    /// assert_eq!((repairs[0].kind, repairs[0].item_index), (RepairKind::Refused, 1));
    ///
    /// let prompt = history.prompt(ReasoningFilter::CurrentTurn);
    /// assert_eq!(prompt.item_count(), 2);
    /// assert!(history.mend(&repair, ReasoningFilter::CurrentTurn).is_empty());
    /// # Ok::<(), &str>(())
    /// ```
    pub fn mend(&mut self, remedy: &Remedy, filter: ReasoningFilter) -> Vec<Repair> {
        let mut repairs = self.normalise();
        let edits = Mending::new(self, filter).edits(remedy);
        if !edits.is_empty() {
            repairs.extend(self.refuse(edits));
        }
        repairs
    }

    /// Makes the edits, and repairs what they leave. Reports by the indexes from before.
    fn refuse(&mut self, edits: BTreeMap<usize, Edit>) -> Vec<Repair> {
        let is_gone_or_new = |edit: &Edit| edit.is_removed || edit.instead.is_some();
        let refused = edits.iter().filter(|(_, edit)| is_gone_or_new(edit));
        let refused = refused.filter_map(|(&index, _)| {
            self.get(index).map(|item| (index, Repair::new(RepairKind::Refused, item, index)))
        });
        let mut repairs: BTreeMap<usize, Repair> = refused.collect();
        let origins = origins(self.len(), &edits);
        self.apply(edits);
        for mut repair in self.normalise() {
            // Images that the format leaves out were reported when they were recorded.
            let origin = origins.get(repair.item_index);
            if let Some(&index) = origin.filter(|_| repair.kind != RepairKind::ImageLeftOut) {
                repair.item_index = index;
                repairs.entry(index).or_insert(repair);
            }
        }
        repairs.into_values().collect()
    }
}

/// For each item after the edits, the index from before; of one that was put behind another, that of
/// the other.
fn origins(len: usize, edits: &BTreeMap<usize, Edit>) -> Vec<usize> {
    let count = |index| match edits.get(&index) {
        Some(edit) => {
            let stays = edit.instead.is_some() || !edit.is_removed;
            usize::from(stays) + usize::from(edit.behind.is_some())
        }
        None => 1,
    };
    (0..len).flat_map(|index| std::iter::repeat_n(index, count(index))).collect()
}

/// What is done about each item of a normalised history.
struct Mending {
    format: WireFormat,
    /// What the server saw, in order: indexes in the history, and the items.
    indexes: Vec<usize>,
    input: Vec<Item>,
    /// Where the output of each call stands, and the call of each output.
    counterparts: HashMap<usize, usize>,
    edits: BTreeMap<usize, Edit>,
}

impl Mending {
    fn new(history: &History, filter: ReasoningFilter) -> Self {
        let prompt = history.prompt(filter);
        let (indexes, input) = prompt.items().map(|(index, item)| (index, item.clone())).unzip();
        let pairs = pairing::pairs(history.iter());
        let counterparts =
            pairs.into_iter().flat_map(|(call, output)| [(call, output), (output, call)]);
        Self {
            format: history.config().format,
            indexes,
            input,
            counterparts: counterparts.collect(),
            edits: BTreeMap::new(),
        }
    }

    fn edits(mut self, remedy: &Remedy) -> BTreeMap<usize, Edit> {
        match remedy {
            Remedy::AnswerCall(target) => self.move_outputs(target),
            Remedy::RemoveOutput(target) => self.remove(target, |item| item.kind().is_output()),
            Remedy::RenameCalls { target, max_bytes } => self.rename(target, *max_bytes),
            Remedy::RemoveReasoning(target) => {
                self.remove(target, |item| item.kind() == ItemKind::Reasoning);
            }
            Remedy::RemoveEncrypted(target) => self.change(target, |item| {
                if is_sealed(item) { in_clear(item) } else { Some(item.clone()) }
            }),
            Remedy::RemoveItemId(target) => self.change(target, without_id),
            Remedy::RemoveItem(target) => self.remove(target, |_| true),
            Remedy::RemoveUncommonItems => self.remove(&Target::All, is_uncommon),
            Remedy::RemoveField { target, path } => {
                if let Some(steps) = steps(path) {
                    self.change(target, |item| without_field(item, &steps));
                }
            }
            Remedy::ShortenField { target, path, max_bytes } => {
                if let Some(steps) = steps(path) {
                    self.change(target, |item| shortened(item, &steps, *max_bytes));
                }
            }
            Remedy::ReplaceImages(images) if self.format.images => self.replace_images(*images),
            Remedy::ReplaceImages(_) => {}
        }
        self.edits
    }

    /// The selected items, with their indexes in the history.
    fn selected(&self, target: &Target) -> Vec<(usize, Item)> {
        let positions = target.select(&self.input).into_iter();
        positions.map(|position| (self.indexes[position], self.input[position].clone())).collect()
    }

    /// Removes the selected items that `is_meant`, and their counterparts.
    fn remove(&mut self, target: &Target, is_meant: impl Fn(&Item) -> bool) {
        for (index, item) in self.selected(target) {
            if is_meant(&item) {
                self.take_out(index);
            }
        }
    }

    fn take_out(&mut self, index: usize) {
        let counterpart = self.counterparts.get(&index).copied();
        for index in [index].into_iter().chain(counterpart) {
            self.edits.insert(index, Edit { is_removed: true, ..Edit::default() });
        }
    }

    /// Puts what `change` makes of each selected item in its place; with nothing, the item goes.
    fn change(&mut self, target: &Target, change: impl Fn(&Item) -> Option<Item>) {
        for (index, item) in self.selected(target) {
            match change(&item) {
                Some(changed) if self.is_sent_alike(&item, &changed) => {}
                Some(changed) if is_whole(&item, &changed) => self.put(index, changed),
                _ => self.take_out(index),
            }
        }
    }

    fn put(&mut self, index: usize, item: Item) {
        let edit = self.edits.entry(index).or_default();
        // It may have gone with its counterpart.
        if !edit.is_removed {
            edit.instead = Some(item);
        }
    }

    fn is_sent_alike(&self, one: &Item, other: &Item) -> bool {
        let [one, other] = [one, other].map(|item| {
            let mut wire = Vec::new();
            item.encode_wire(self.format, &mut wire);
            wire
        });
        one == other
    }

    /// Moves the outputs of the selected calls directly behind them.
    fn move_outputs(&mut self, target: &Target) {
        let sent: HashMap<usize, usize> =
            self.indexes.iter().enumerate().map(|(position, &index)| (index, position)).collect();
        for (call, item) in self.selected(target) {
            let Some(&output) =
                self.counterparts.get(&call).filter(|_| item.kind().call().is_some())
            else {
                continue;
            };
            let position = sent[&output];
            if position > sent[&call] + 1 {
                self.edits.entry(output).or_default().is_removed = true;
                self.edits.entry(call).or_default().behind = Some(self.input[position].clone());
            }
        }
    }
}

fn is_uncommon(item: &Item) -> bool {
    !matches!(
        item.kind(),
        ItemKind::Message(_)
            | ItemKind::Reasoning
            | ItemKind::FunctionCall
            | ItemKind::FunctionCallOutput
    )
}

/// Whether `changed` can stand where `item` stood: it has all that an item of its type must have,
/// and pairs as it did.
fn is_whole(item: &Item, changed: &Item) -> bool {
    let was_unknown = item.kind() == ItemKind::Other;
    let is_of_its_type = match changed.kind() {
        ItemKind::Other => was_unknown && change::has_type(changed),
        kind => was_unknown || kind == item.kind() || item.kind() == ItemKind::Compaction,
    };
    is_of_its_type && !changed.is_incomplete() && changed.call_role() == item.call_role()
}
