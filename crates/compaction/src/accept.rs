//! Whether a result may take the place of a conversation.

use longhaul_history::{ContentPart, History, Item, ItemView, RepairKind};

use crate::quote::{last_text, last_within};
use crate::{Budget, Error, Replacement, View};

/// A result up to this size may be larger than what it replaces: the bridge has prose of its own.
pub const TINY_TOKENS: u64 = 2_000;

/// A result that may be installed, and what it does.
#[derive(Debug, Clone)]
pub(crate) struct Accepted {
    pub(crate) replacement: Replacement,
    /// The conversation with it.
    pub(crate) history: History,
    /// Calibrated tokens of a request after it.
    pub(crate) tokens_after: u64,
}

/// Puts a result to the test that every result has to pass, whoever made it.
///
/// It is put together as it will be, and counted. It has to hold what must be kept, whole pairs
/// included; to leave a reserve in the window; and, unless it is tiny, to be no larger than what it
/// replaces.
pub(crate) fn accept(
    view: &View,
    budget: &Budget,
    strategy: &str,
    replacement: Replacement,
) -> Result<Accepted, Error> {
    let mut history = view.with(&replacement.parts)?;
    let lacks = |what| Error::Lacks { strategy: strategy.to_owned(), what };
    let is_told = |kind| matches!(kind, RepairKind::ImageLeftOut);
    if history.normalise().iter().any(|repair| !is_told(repair.kind)) {
        return Err(lacks("the other half of a call"));
    }
    check_kept(view, budget, &history).map_err(lacks)?;
    let items = history.prompt(view.filter()).tokens();
    let (before, after) = (budget.request(view.sent_tokens()), budget.request(items));
    match budget.ceiling() {
        Some(ceiling) if after > ceiling => Err(Error::TooLarge { tokens: after, ceiling }),
        _ if items > TINY_TOKENS && after > before => Err(Error::NotSmaller { before, after }),
        _ => Ok(Accepted { replacement, history, tokens_after: after }),
    }
}

/// Whether all is there that was promised; if not, what is missing.
fn check_kept(view: &View, budget: &Budget, after: &History) -> Result<(), &'static str> {
    let context = view.context_items();
    if !context.iter().eq(after.iter().take(context.len())) {
        return Err("the initial context");
    }
    let mut rest = after.iter();
    let pinned = view.layout().pinned.iter().filter_map(|index| view.history().get(*index));
    for pinned in pinned {
        if !rest.any(|item| item == pinned) {
            return Err("a pinned item");
        }
    }
    if !holds_last_message(view, budget, after) {
        return Err("the user's last message");
    }
    Ok(())
}

/// Whether the user's last message is there: as an item, or word for word in a bridge, cut only if
/// it may be.
fn holds_last_message(view: &View, budget: &Budget, after: &History) -> bool {
    let item = view.layout().users.last().and_then(|index| view.history().get(*index));
    if item.is_some_and(|item| after.iter().rev().any(|other| other == item)) {
        return true;
    }
    let Some(text) = last_text(view) else {
        return true;
    };
    let expected = within(view, budget, &text);
    if expected.is_empty() {
        return true;
    }
    // What counts is what a model sees, not what the bridge remembers.
    let holds = |item: &Item| {
        let quoted = item.bridge_parts().unwrap_or_default().user_messages;
        let shown = shown_text(item);
        let is_quoted = |text: &str| shown.contains(text) && quoted.iter().any(|it| it == text);
        is_quoted(&expected) || is_quoted(&text)
    };
    after.iter().filter(|item| item.is_bridge()).any(holds)
}

/// The text of a message as a model sees it.
fn shown_text(message: &Item) -> String {
    match message.view() {
        ItemView::Message { content, .. } => content.iter().filter_map(ContentPart::text).collect(),
        _ => String::new(),
    }
}

/// The text as a bridge has to quote it.
fn within(view: &View, budget: &Budget, text: &str) -> String {
    let counter = &*view.history().config().counter;
    let max = budget.quarter(view.keep().user_message_tokens);
    last_within(text, max, counter).text.into_owned()
}
