//! Puts the usual result of a compaction together.

use longhaul_history::{BridgeParts, ContentPart, Item, Part};

use crate::keep::KeptImage;
use crate::quote::{Quota, Quoted};
use crate::{Bridge, Error, Replacement, View};

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
