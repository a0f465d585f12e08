//! What a bridge quotes of the user.

use std::collections::BTreeSet;

use longhaul_history::tokens::TokenCounter;
use longhaul_history::truncate::{MiddleLimits, Truncated, middle_within};

use crate::View;
use crate::keep::{Images, KeptImage, Share, cut, shares, within};

/// How much a bridge quotes of the user, in tokens.
#[derive(Clone, Copy)]
pub(crate) struct Quota {
    /// For what was said last.
    pub(crate) last: u64,
    /// For all other messages together, and for what was said last up to an eighth of it.
    pub(crate) messages: u64,
    pub(crate) images: u64,
}

/// What a bridge quotes of the user.
pub(crate) struct Quoted {
    pub(crate) messages: Vec<String>,
    pub(crate) images: Vec<KeptImage>,
    /// What was cut out of what the user said last, in tokens.
    pub(crate) cut_tokens: u64,
}

impl Quoted {
    /// The user's messages before `tail`, those of earlier bridges too, within the quota.
    pub(crate) fn of(view: &View, quota: Quota, tail: usize) -> Self {
        let counter = &*view.history().config().counter;
        let Sources { messages, images } = Sources::of(view, tail, counter);
        // Else it stands behind the bridge.
        let has_last = view.layout().users.last().is_none_or(|last| *last < tail);
        let others = if has_last { messages.len().saturating_sub(1) } else { messages.len() };
        let (others, last) = messages.split_at(others);
        let needs: Vec<u64> = others.iter().map(|message| message.tokens).collect();
        let last_tokens = last.first().map_or(0, |last| last.tokens);
        let shares = shares(&needs, last_tokens, quota.messages);
        let kept = others.iter().zip(shares);
        let mut quoted: Vec<_> =
            kept.filter_map(|(message, share)| message.short(share, counter)).collect();
        let mut cut_tokens = 0;
        if let Some(last) = last.first() {
            let text = last_within(&last.text, quota.last, counter);
            cut_tokens = text.cut.map_or(0, |cut| cut.removed_tokens() as u64);
            quoted.push(text.text.into_owned());
        }
        quoted.retain(|text| !text.is_empty());
        Self { messages: quoted, images: images.within(quota.images, counter), cut_tokens }
    }
}

/// What the user said last, as a bridge quotes it: images are numbered on from those before.
pub(crate) fn last_text(view: &View) -> Option<String> {
    let item = view.layout().users.last().and_then(|index| view.history().get(*index));
    if let Some(item) = item.filter(|item| !item.has_images()) {
        return Some(Images::default().take(item));
    }
    let counter = &*view.history().config().counter;
    let sources = Sources::of(view, view.history().len(), counter);
    sources.messages.into_iter().last().map(|message| message.text)
}

/// The text that a bridge has to hold of what the user said last: all of it if it has no more than
/// `max_tokens`, else both ends, in bytes as in tokens.
pub(crate) fn last_within<'a>(
    text: &'a str,
    max_tokens: u64,
    counter: &dyn TokenCounter,
) -> Truncated<'a> {
    let limits = MiddleLimits::tokens(max_tokens);
    let whole = middle_within(text, &limits, &|text| counter.count_text(text));
    if whole.cut.is_none() { whole } else { cut(text, max_tokens, counter) }
}

/// A message of the user.
struct Message {
    text: String,
    tokens: u64,
}

impl Message {
    /// What stays of it.
    fn short(&self, share: Share, counter: &dyn TokenCounter) -> Option<String> {
        match share {
            Share::Dropped => None,
            Share::Whole => Some(self.text.clone()),
            Share::Cut(max) => Some(within(&self.text, max, counter)),
        }
    }
}

/// All that the user said before some place, oldest first.
struct Sources {
    messages: Vec<Message>,
    images: Images,
}

impl Sources {
    fn of(view: &View, tail: usize, counter: &dyn TokenCounter) -> Self {
        let mut sources = Self { messages: Vec::new(), images: Images::default() };
        let before_tail = |index: &&usize| **index < tail;
        for bridge in view.layout().bridges.iter().filter(before_tail) {
            sources.take_bridge(view, *bridge, counter);
        }
        for user in view.layout().users.iter().filter(before_tail) {
            sources.take_message(view, *user, counter);
        }
        sources
    }

    fn take_bridge(&mut self, view: &View, index: usize, counter: &dyn TokenCounter) {
        let Some(bridge) = view.history().get(index) else { return };
        let carried = bridge.bridge_parts().unwrap_or_default().user_messages;
        self.images.take_bridge(bridge, &carried);
        // Imported conversations may hold several bridges that quote the same.
        let known: BTreeSet<&str> = self.messages.iter().map(|known| &*known.text).collect();
        let new: Vec<String> =
            carried.iter().filter(|text| !known.contains(&***text)).cloned().collect();
        self.messages.extend(
            new.into_iter().map(|text| Message { tokens: counter.count_text(&text), text }),
        );
    }

    fn take_message(&mut self, view: &View, index: usize, counter: &dyn TokenCounter) {
        let Some(item) = view.history().get(index) else { return };
        let text = self.images.take(item);
        // What an image takes is none of the text's.
        let tokens =
            if item.has_images() { counter.count_text(&text) } else { view.item_tokens(index) };
        self.messages.push(Message { text, tokens });
    }
}
