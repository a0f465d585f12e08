//! Changes of single items, and whether they are worth it.

use std::collections::BTreeMap;

use longhaul_history::{Item, Part};

use crate::{Budget, Cause, Replacement, Step, View};

/// Items that become shorter.
pub(crate) struct Edited {
    /// By their indexes.
    pub(crate) items: BTreeMap<usize, Item>,
    pub(crate) freed_tokens: u64,
}

/// Installs the changes if they bring the conversation to half of what it may have. Where somebody asked
/// for a compaction a summary is wanted, and nothing is looked at.
pub(crate) fn step(view: &View, budget: &Budget, edit: impl FnOnce() -> Edited) -> Step {
    if budget.cause == Cause::Manual {
        return Step::Skip;
    }
    let edited = edit();
    if edited.items.is_empty() || !is_worth_it(view, budget, edited.freed_tokens) {
        return Step::Skip;
    }
    Step::Install(Replacement::from(parts(view, edited.items)))
}

fn is_worth_it(view: &View, budget: &Budget, freed: u64) -> bool {
    let counted = match budget.cause {
        Cause::Manual | Cause::Limit => budget.used.unwrap_or(0),
        Cause::Window { .. } => budget.request(view.sent_tokens()),
        Cause::Refused(refused) => {
            refused.prompt.unwrap_or(budget.calibration.apply(refused.counted))
        }
    };
    let most = budget.ceiling().unwrap_or(u64::MAX).min(budget.limit);
    let most = match budget.cause {
        Cause::Refused(refused) => most.min(refused.window.unwrap_or(counted)),
        _ => most,
    };
    counted.saturating_sub(budget.calibration.apply(freed)) <= most / 2
}

fn parts(view: &View, edited: BTreeMap<usize, Item>) -> Vec<Part> {
    let mut parts = Vec::with_capacity(2 * edited.len() + 1);
    let mut at = 0;
    let mut keep = |parts: &mut Vec<Part>, end: usize| {
        if at < end {
            parts.push(Part::Keep(at..end));
        }
        at = end + 1;
    };
    for (index, item) in edited {
        keep(&mut parts, index);
        parts.push(Part::New(item));
    }
    keep(&mut parts, view.prefix_len());
    parts
}
