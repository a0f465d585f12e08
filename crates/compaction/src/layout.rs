//! What is where in a conversation.

use std::collections::BTreeSet;

use longhaul_history::turn_item::is_context;
use longhaul_history::{History, Item, ItemKind, Role};

/// What is where in a conversation that is well formed. Found in one pass that reads no more than the
/// outline of items.
#[derive(Debug, Clone, Default)]
pub(crate) struct Layout {
    /// So many items at the beginning are context, or of the developer or the system.
    pub(crate) context: usize,
    /// What stands behind this many items nobody has answered.
    pub(crate) answered: usize,
    /// Bridges.
    pub(crate) bridges: Vec<usize>,
    /// Messages of the user, but for pinned ones.
    pub(crate) users: Vec<usize>,
    /// Pinned items behind the context, and the other halves of pinned calls and outputs.
    pub(crate) pinned: Vec<usize>,
    /// Ghost snapshots.
    pub(crate) ghosts: Vec<usize>,
    /// Outputs of calls that are not pinned.
    pub(crate) outputs: Vec<usize>,
    /// Items with images that are not pinned.
    pub(crate) images: Vec<usize>,
    /// Places where nothing is parted: no call from its output, no reasoning from what follows it.
    cuts: Vec<usize>,
}

/// What the pass remembers from item to item.
#[derive(Default)]
struct Pass {
    is_in_context: bool,
    open_calls: usize,
    after_reasoning: bool,
    has_pinned_half: bool,
}

impl Layout {
    pub(crate) fn of(history: &History) -> Self {
        let mut layout = Self::default();
        let mut pass = Pass { is_in_context: true, ..Pass::default() };
        for (index, item) in history.iter().enumerate() {
            layout.take(index, item, &mut pass);
        }
        layout.cuts.push(history.len());
        layout.answered = layout.answered.max(layout.context);
        if pass.has_pinned_half {
            layout.pin_other_halves(history);
        }
        layout
    }

    /// Places where nothing is parted, in order; the end is one.
    pub(crate) fn cuts(&self) -> &[usize] {
        &self.cuts
    }

    fn take(&mut self, index: usize, item: &Item, pass: &mut Pass) {
        let kind = item.kind();
        if pass.open_calls == 0 && !pass.after_reasoning {
            self.cuts.push(index);
        }
        pass.after_reasoning = kind == ItemKind::Reasoning;
        let is_call = kind.call().is_some() && item.call_id().is_some();
        pass.open_calls += usize::from(is_call);
        pass.open_calls = pass.open_calls.saturating_sub(usize::from(kind.is_output()));
        if pass.is_in_context && is_initial(item) {
            self.context = index + 1;
            return;
        }
        pass.is_in_context = false;
        self.sort(index, item, kind);
        pass.has_pinned_half |= item.is_pinned() && (is_call || kind.is_output());
    }

    fn sort(&mut self, index: usize, item: &Item, kind: ItemKind) {
        let is_users = kind == ItemKind::Message(Role::User) && !item.is_bridge();
        if !is_users && kind != ItemKind::GhostSnapshot {
            self.answered = index + 1;
        }
        if item.is_bridge() {
            self.bridges.push(index);
        } else if kind == ItemKind::GhostSnapshot {
            self.ghosts.push(index);
        } else if item.is_pinned() {
            self.pinned.push(index);
        } else {
            if is_users && !is_context(item) {
                self.users.push(index);
            }
            if kind.is_output() {
                self.outputs.push(index);
            }
            if item.has_images() {
                self.images.push(index);
            }
        }
    }

    /// A pinned call keeps its output, and a pinned output its call.
    fn pin_other_halves(&mut self, history: &History) {
        let mut open: Vec<(usize, &Item)> = Vec::new();
        let mut pinned: BTreeSet<usize> = self.pinned.iter().copied().collect();
        for (index, item) in history.iter().enumerate() {
            if item.kind().call().is_some() {
                open.push((index, item));
            } else if item.kind().is_output() {
                let call = open.iter().rposition(|(_, call)| call.call_id() == item.call_id());
                let Some((call, _)) = call.map(|position| open.remove(position)) else { continue };
                if pinned.contains(&call) || pinned.contains(&index) {
                    pinned.extend([call, index]);
                }
            }
        }
        self.pinned = pinned.into_iter().collect();
        let pinned = std::mem::take(&mut self.pinned);
        let is_free = |index: &usize| pinned.binary_search(index).is_err();
        self.outputs.retain(is_free);
        self.images.retain(is_free);
        self.pinned = pinned;
    }
}

/// Whether an item at the beginning of a conversation is its initial context.
fn is_initial(item: &Item) -> bool {
    match item.kind() {
        ItemKind::Message(Role::Developer | Role::System) => true,
        ItemKind::Message(Role::User) => !item.is_bridge() && is_context(item),
        _ => false,
    }
}
