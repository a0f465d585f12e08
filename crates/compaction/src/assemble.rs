//! Puts the usual result of a compaction together.

use longhaul_history::tokens::TokenCounter;
use longhaul_history::truncate::{MiddleLimits, Truncated, middle_within};
use longhaul_history::{BridgeParts, ContentPart, Item, Part};

use crate::keep::{Images, KeptImage, Share, shares};
use crate::{Bridge, Error, Replacement, View};

/// How much a bridge quotes of the user, in tokens.
#[derive(Clone, Copy)]
pub(crate) struct Quota {
    pub(crate) messages: u64,
    pub(crate) images: u64,
}

/// The initial context, pinned items, a bridge, ghost snapshots, and what stands from `tail` on.
pub(crate) fn bridged(
    view: &View,
    summary: &str,
    quota: Quota,
    tail: usize,
) -> Result<Replacement, Error> {
    let Quoted { messages, images, cut_tokens } = Quoted::of(view, quota, tail);
    let bridge = bridge_item(view, messages, summary, &images)?;
    let mut parts = view.context_parts();
    let single = |index: &usize| Part::Keep(*index..*index + 1);
    let before_tail = |index: &&usize| **index < tail;
    parts.extend(view.layout().pinned.iter().filter(before_tail).map(single));
    parts.push(Part::New(bridge));
    let ghosts = view.layout().ghosts.iter().filter(before_tail);
    parts.extend(ghosts.filter_map(|index| view.history().get(*index).cloned().map(Part::New)));
    if tail < view.prefix_len() {
        parts.push(Part::Keep(tail..view.prefix_len()));
    }
    Ok(Replacement { parts, cut_tokens })
}

/// The text with its middle cut out, if it has more than `max_tokens`.
pub(crate) fn cut<'a>(text: &'a str, max_tokens: u64, counter: &dyn TokenCounter) -> Truncated<'a> {
    middle_within(text, &MiddleLimits::tokens(max_tokens), &|text| counter.count_text(text))
}

fn bridge_item(
    view: &View,
    user_messages: Vec<String>,
    summary: &str,
    images: &[KeptImage],
) -> Result<Item, Error> {
    let bridge = Bridge { user_messages: &user_messages, summary };
    let text = match &view.keep().bridge_text {
        Some(write) => write(&bridge),
        None => bridge.render()?,
    };
    let images = images.iter().flat_map(KeptImage::parts);
    let content: Vec<_> = [ContentPart::InputText { text }].into_iter().chain(images).collect();
    Ok(Item::bridge(&content, &BridgeParts { user_messages, summary: summary.to_owned() }))
}

/// What a bridge quotes of the user.
struct Quoted {
    messages: Vec<String>,
    images: Vec<KeptImage>,
    /// Out of the last message.
    cut_tokens: u64,
}

impl Quoted {
    /// The user's messages before `tail`, those of earlier bridges too, within their budgets.
    fn of(view: &View, quota: Quota, tail: usize) -> Self {
        let counter = &*view.history().config().counter;
        let (sources, mut images) = sources(view, tail, counter);
        let tokens: Vec<u64> = sources.iter().map(|source| source.tokens).collect();
        let mut quoted = Self { messages: Vec::new(), images: Vec::new(), cut_tokens: 0 };
        for (source, share) in sources.into_iter().zip(shares(&tokens, quota.messages)) {
            let text = source.text(view, &mut images);
            quoted.take(text, share, counter);
        }
        quoted.images = images.within(quota.images, counter);
        quoted
    }

    fn take(&mut self, text: String, share: Share, counter: &dyn TokenCounter) {
        let max = match share {
            Share::Dropped => return,
            Share::Whole => return self.push(text, 0),
            Share::Cut(max) => max,
        };
        let short = cut(&text, max, counter);
        let cut = short.cut.map_or(0, |cut| cut.removed_tokens() as u64);
        let short = short.text.into_owned();
        self.push(short, cut);
    }

    fn push(&mut self, text: String, cut_tokens: u64) {
        self.cut_tokens = cut_tokens;
        self.messages.push(text);
    }
}

/// A message of the user's.
struct Source {
    tokens: u64,
    from: From,
}

enum From {
    /// An item of the conversation.
    Item(usize),
    /// A text in an earlier bridge.
    Carried(String),
}

impl Source {
    /// The text, and its images behind those that are known.
    fn text(self, view: &View, images: &mut Images) -> String {
        match self.from {
            From::Carried(text) => text,
            From::Item(index) => {
                view.history().get(index).map_or_else(String::new, |item| images.take(item))
            }
        }
    }
}

/// The user's messages before `tail`, oldest first, and the images of earlier bridges.
fn sources(view: &View, tail: usize, counter: &dyn TokenCounter) -> (Vec<Source>, Images) {
    let history = view.history();
    let bridges = view.layout().bridges.iter().filter(|index| **index < tail);
    let (mut sources, mut images) = (Vec::new(), Images::default());
    for bridge in bridges.filter_map(|index| history.get(*index)) {
        let carried = bridge.bridge_parts().unwrap_or_default().user_messages;
        images.take_bridge(bridge, &carried);
        sources.extend(
            carried.into_iter().map(|text| Source {
                tokens: counter.count_text(&text),
                from: From::Carried(text),
            }),
        );
    }
    let users = view.layout().users.iter().copied().filter(|index| *index < tail);
    sources.extend(users.map(|index| Source {
        tokens: text_tokens(view, index, counter),
        from: From::Item(index),
    }));
    (sources, images)
}

/// Tokens of the text of a message, images left aside.
fn text_tokens(view: &View, index: usize, counter: &dyn TokenCounter) -> u64 {
    match view.history().get(index) {
        Some(item) if item.has_images() => counter.count_text(&view.text_of(index)),
        _ => view.tokens(index..index + 1),
    }
}
