//! What a bridge quotes of the user.

use longhaul_history::tokens::TokenCounter;
use longhaul_history::truncate::{
    BYTES_PER_TOKEN, MiddleLimits, Truncated, estimate_tokens, middle_within,
};

use crate::View;
use crate::keep::{Images, KeptImage, Share, shares};

/// How much a bridge quotes of the user, in tokens.
#[derive(Clone, Copy)]
pub(crate) struct Quota {
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
        let shares = shares(&needs(&messages), quota.messages);
        let is_last = |position| position + 1 == messages.len();
        let mut quoted = Self {
            messages: Vec::new(),
            images: images.within(quota.images, counter),
            cut_tokens: 0,
        };
        for (position, (message, share)) in messages.iter().zip(shares).enumerate() {
            let max = match share {
                Share::Dropped => continue,
                Share::Whole => u64::MAX,
                Share::Cut(max) => max,
            };
            let text = message.within(max, is_last(position), counter);
            quoted.cut_tokens = text.cut.map_or(0, |cut| cut.removed_tokens() as u64);
            if !text.text.is_empty() {
                quoted.messages.push(text.text.into_owned());
            }
        }
        if view.layout().users.last().is_some_and(|last| *last >= tail) {
            // What the user said last stands behind the bridge.
            quoted.cut_tokens = 0;
        }
        quoted
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
    let count = |text: &str| counter.count_text(text);
    let whole = middle_within(text, &MiddleLimits::tokens(max_tokens), &count);
    if whole.cut.is_none() { whole } else { within(text, max_tokens, counter) }
}

/// Both ends of a text: at most so many tokens, and four bytes for each.
fn within<'a>(text: &'a str, max_tokens: u64, counter: &dyn TokenCounter) -> Truncated<'a> {
    let mut limits = MiddleLimits::tokens(max_tokens);
    let max_bytes = usize::try_from(max_tokens).unwrap_or(usize::MAX);
    limits.max_bytes = max_bytes.saturating_mul(BYTES_PER_TOKEN);
    middle_within(text, &limits, &|text| counter.count_text(text))
}

/// A message of the user.
struct Message {
    text: String,
    tokens: u64,
}

impl Message {
    fn within(&self, max: u64, is_last: bool, counter: &dyn TokenCounter) -> Truncated<'_> {
        if is_last {
            last_within(&self.text, max, counter)
        } else {
            within(&self.text, max, counter)
        }
    }
}

/// What each message needs of the quota: its tokens; of all but the last at least a token for four
/// bytes, so that what is quoted has a bound in bytes too.
fn needs(messages: &[Message]) -> Vec<u64> {
    let by_bytes =
        |message: &Message| message.tokens.max(estimate_tokens(message.text.len()) as u64);
    let mut needs: Vec<u64> = messages.iter().map(by_bytes).collect();
    if let (Some(need), Some(last)) = (needs.last_mut(), messages.last()) {
        *need = last.tokens;
    }
    needs
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
        let messages = carried.into_iter();
        self.messages
            .extend(messages.map(|text| Message { tokens: counter.count_text(&text), text }));
    }

    fn take_message(&mut self, view: &View, index: usize, counter: &dyn TokenCounter) {
        let Some(item) = view.history().get(index) else { return };
        let text = self.images.take(item);
        // What an image takes is none of the text's.
        let tokens = if item.has_images() {
            counter.count_text(&text)
        } else {
            view.tokens(index..index + 1)
        };
        self.messages.push(Message { text, tokens });
    }
}
