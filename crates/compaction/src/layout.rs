//! What is where in a conversation.

use std::collections::{BTreeMap, BTreeSet};

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
    /// Pinned items behind the context, the other halves of pinned calls and outputs, and what pinned
    /// reasoning led to.
    pub(crate) pinned: Vec<usize>,
    /// Ghost snapshots.
    pub(crate) ghosts: Vec<usize>,
    /// Reasoning that is not pinned.
    pub(crate) reasoning: Vec<usize>,
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
    has_pinned_part: bool,
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
        if pass.has_pinned_part {
            layout.pin_counterparts(history);
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
        pass.after_reasoning = kind == ItemKind::Reasoning
            || (pass.after_reasoning && kind == ItemKind::GhostSnapshot);
        let is_call = kind.call().is_some() && item.call_id().is_some();
        pass.open_calls += usize::from(is_call);
        pass.open_calls = pass.open_calls.saturating_sub(usize::from(kind.is_output()));
        if pass.is_in_context && is_initial(item) {
            self.context = index + 1;
            return;
        }
        pass.is_in_context = false;
        self.sort(index, item, kind);
        let is_part = is_call || kind.is_output() || kind == ItemKind::Reasoning;
        pass.has_pinned_part |= item.is_pinned() && is_part;
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
            if kind == ItemKind::Reasoning {
                self.reasoning.push(index);
            }
            if item.has_images() {
                self.images.push(index);
            }
        }
    }

    /// Pinned reasoning keeps what it led to, a pinned call its output, and a pinned output its call.
    fn pin_counterparts(&mut self, history: &History) {
        let mut pinned: BTreeSet<usize> = self.pinned.iter().copied().collect();
        pin_followers(history, &mut pinned);
        let mut open: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (index, item) in history.iter().enumerate() {
            let Some(call_id) = item.call_id() else { continue };
            if item.kind().call().is_some() {
                open.entry(call_id).or_default().push(index);
            } else if let Some(call) = open.get_mut(call_id).and_then(Vec::pop)
                && (pinned.contains(&call) || pinned.contains(&index))
            {
                pinned.extend([call, index]);
            }
        }
        let is_free = |index: &usize| !pinned.contains(index);
        self.outputs.retain(is_free);
        self.images.retain(is_free);
        self.pinned = pinned.into_iter().collect();
    }
}

/// Adds what follows pinned reasoning, more reasoning too, up to the first other item that is sent.
fn pin_followers(history: &History, pinned: &mut BTreeSet<usize>) {
    let mut follows = false;
    let is_sent = |(_, item): &(usize, &Item)| item.kind() != ItemKind::GhostSnapshot;
    for (index, item) in history.iter().enumerate().filter(is_sent) {
        if follows {
            pinned.insert(index);
        }
        follows = item.kind() == ItemKind::Reasoning && pinned.contains(&index);
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
