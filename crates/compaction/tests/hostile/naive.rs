//! What must be kept, found in the plainest way.

use longhaul_compaction::{Budget, Cause, SUMMARIZATION_PROMPT};
use longhaul_history::turn_item::is_context;
use longhaul_history::{ContentPart, History, Item, ItemKind, ItemView, Role};

/// Pinned items behind the context and what is kept with them.
pub(crate) fn with_counterparts(history: &History) -> Vec<&Item> {
    let items: Vec<&Item> = history.iter().collect();
    let mut kept: Vec<bool> = items.iter().map(|item| item.is_pinned()).collect();
    for index in 0..items.len() {
        if kept[index] && items[index].kind() == ItemKind::Reasoning {
            let mut behind = index + 1..items.len();
            let next = behind.find(|next| items[*next].kind() != ItemKind::GhostSnapshot);
            kept[next.unwrap()] = true;
        }
    }
    let mut open: Vec<usize> = Vec::new();
    for index in 0..items.len() {
        if items[index].kind().call().is_some() {
            open.push(index);
        } else if items[index].kind().is_output() {
            let answers = |call: &usize| items[*call].call_id() == items[index].call_id();
            let call = open.iter().rposition(answers).unwrap();
            let call = open.remove(call);
            (kept[call], kept[index]) = (kept[call] || kept[index], kept[call] || kept[index]);
        }
    }
    items.into_iter().zip(kept).filter_map(|(item, is_kept)| is_kept.then_some(item)).collect()
}

/// A quarter of what the window is at most.
pub(crate) fn quarter(budget: &Budget) -> u64 {
    let refused = match budget.cause {
        Cause::Refused(refused) if budget.window.is_some() => refused.window.unwrap_or(u64::MAX),
        // A count of less than the smallest window says little.
        Cause::Refused(refused) => refused.window.unwrap_or(refused.counted.max(3_891)),
        _ => u64::MAX,
    };
    budget.window.unwrap_or(u64::MAX).min(refused) / 4
}

pub(crate) fn ceiling(budget: &Budget) -> Option<u64> {
    let window = budget.window?;
    (window >= 3_891).then(|| window - (window / 10).min(8_192))
}

pub(crate) fn prompt_tokens() -> u64 {
    SUMMARIZATION_PROMPT.len().div_ceil(4) as u64
}

pub(crate) fn is_users(item: &Item) -> bool {
    item.kind() == ItemKind::Message(Role::User) && !is_context(item) && !item.is_pinned()
}

pub(crate) fn last_user(history: &History) -> Option<&Item> {
    history.iter().rfind(|item| is_users(item))
}

pub(crate) fn context_len(history: &History) -> usize {
    let is_initial = |item: &&Item| match item.kind() {
        ItemKind::Message(Role::Developer | Role::System) => true,
        ItemKind::Message(Role::User) => is_context(item) && !item.is_bridge(),
        _ => false,
    };
    history.iter().take_while(is_initial).count()
}

pub(crate) fn holds_in_order<'a>(
    history: &History,
    items: impl IntoIterator<Item = &'a Item>,
) -> bool {
    let mut rest = history.iter();
    items.into_iter().all(|item| rest.any(|other| other == item))
}

pub(crate) fn text_of(item: &Item) -> String {
    let ItemView::Message { content, .. } = item.view() else {
        return String::new();
    };
    let texts = content.iter().filter_map(|part| match part {
        ContentPart::InputImage { .. } => Some("[image 0]".to_owned()),
        part => part.text().filter(|text| !text.is_empty()).map(str::to_owned),
    });
    texts.collect::<Vec<_>>().join("\n")
}

/// The text with the number of each image taken out.
pub(crate) fn without_numbers(text: &str) -> String {
    let lines = text.split('\n').map(|line| match line.strip_prefix("[image ") {
        Some(number)
            if number.trim_end_matches(|c: char| c.is_ascii_digit() || c == ']').is_empty() =>
        {
            "[image]"
        }
        _ => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}
