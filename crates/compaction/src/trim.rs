//! The conversation as the summarising model sees it, if it cannot see all of it.

use longhaul_history::Part;

use crate::View;

/// A conversation with its oldest items left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trimmed {
    pub(crate) input: Vec<Part>,
    /// Tokens of what is left.
    pub(crate) tokens: u64,
    /// How many items that a model sees were left out.
    pub(crate) items: usize,
}

/// The whole conversation.
pub(crate) fn whole(view: &View) -> Trimmed {
    let len = view.history().len();
    let input = if len == 0 { Vec::new() } else { vec![Part::Keep(0..len)] };
    Trimmed { input, tokens: view.sent_tokens(), items: 0 }
}

/// Tokens of what is never left out: the initial context, pinned items, the last bridge, and the
/// user's last message.
pub(crate) fn fixed_tokens(view: &View) -> u64 {
    fixed(view, view.history().len()).map(|index| view.item_tokens(index)).sum()
}

/// Leaves out the oldest items, so that at most `max_tokens` are left; or all that may be left out, if
/// there are more in what may not. No call loses its output.
pub(crate) fn trim(view: &View, max_tokens: u64) -> Trimmed {
    let len = view.history().len();
    let end = view.tokens_before(len);
    let tokens_from = |cut: usize| {
        let kept: u64 = fixed(view, cut).map(|index| view.item_tokens(index)).sum();
        kept + (end - view.tokens_before(cut))
    };
    let cuts = view.layout().cuts();
    let first = cuts.partition_point(|cut| tokens_from(*cut) > max_tokens);
    let cut = cuts.get(first).copied().unwrap_or(len);
    let mut input: Vec<Part> = Vec::new();
    let mut kept = 0;
    for index in fixed(view, cut) {
        kept += 1;
        match input.last_mut() {
            Some(Part::Keep(range)) if range.end == index => range.end += 1,
            _ => input.push(Part::Keep(index..index + 1)),
        }
    }
    if cut < len {
        input.push(Part::Keep(cut..len));
    }
    let ghosts = view.layout().ghosts.partition_point(|index| *index < cut);
    let unsent = cut.min(view.reasoning_from());
    let unsent = view.layout().reasoning.partition_point(|index| *index < unsent);
    Trimmed { input, tokens: tokens_from(cut), items: (cut - kept - ghosts).saturating_sub(unsent) }
}

/// What stands before `cut` and is not left out, in order.
fn fixed(view: &View, cut: usize) -> impl Iterator<Item = usize> {
    let layout = view.layout();
    let mut others: Vec<usize> = layout.pinned.clone();
    others.extend(layout.bridges.last());
    others.extend(layout.users.last());
    others.sort_unstable();
    (0..layout.context).chain(others).filter(move |index| *index < cut)
}
