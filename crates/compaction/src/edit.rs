//! Changes of single items, and whether they are worth it.

use std::collections::BTreeMap;

use longhaul_history::{Item, Part};

use crate::{Budget, Cause, Replacement, Step, View};

/// An item that may become shorter.
pub(crate) struct Old {
    index: usize,
    tokens: u64,
}

/// Of the items at `indexes`, which are in order, those before the newest `keep_tokens`, before the
/// tail, and before what no model has seen. Where one does not fit any more, older ones go too: what
/// stays is in one piece.
///
/// None where somebody asked for a compaction: then a summary is wanted.
pub(crate) fn before_newest(
    view: &View,
    budget: &Budget,
    indexes: &[usize],
    keep_tokens: u64,
) -> Vec<Old> {
    if budget.cause == Cause::Manual {
        return Vec::new();
    }
    let mut left = keep_tokens;
    let tail = view.tail_start(view.keep().tail, budget);
    let seen = budget.seen_items.unwrap_or(usize::MAX);
    let replaceable = indexes.partition_point(|index| *index < tail);
    let measured = indexes[..replaceable].iter().rev().map(|index| {
        let index = *index;
        Old { index, tokens: view.item_tokens(index) }
    });
    let is_kept = |old: &Old| {
        let rest = left.checked_sub(old.tokens);
        left = rest.unwrap_or(0);
        rest.is_some() || old.index >= seen
    };
    measured.skip_while(is_kept).collect()
}

/// Makes the items shorter, if that brings the conversation to half of what it may have.
///
/// Nothing is made before it is known that all of it together may be worth it.
pub(crate) fn step(
    view: &View,
    budget: &Budget,
    old: &[Old],
    shorten: impl Fn(&Item) -> Option<Item>,
) -> Step {
    let at_most = old.iter().map(|old| old.tokens).sum();
    if !is_worth_it(view, budget, at_most) {
        return Step::Skip;
    }
    let (mut edited, mut freed) = (BTreeMap::new(), 0);
    let counter = &view.history().config().counter;
    for Old { index, tokens } in old {
        let Some(short) = view.history().get(*index).and_then(&shorten) else { continue };
        if let Some(less) = tokens.checked_sub(counter.count_item(&short)).filter(|less| *less > 0)
        {
            freed += less;
            edited.insert(*index, short);
        }
    }
    if edited.is_empty() || !is_worth_it(view, budget, freed) {
        return Step::Skip;
    }
    Step::Install(Replacement::from(parts(view, edited)))
}

fn is_worth_it(view: &View, budget: &Budget, freed: u64) -> bool {
    let counted = match budget.cause {
        // The server does not know yet what came since.
        Cause::Manual | Cause::Limit => {
            budget.used.unwrap_or(0).max(budget.request(view.sent_tokens()))
        }
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
