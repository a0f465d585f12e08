//! Items that no server would take for what they hold, made acceptable.

use std::borrow::Cow;

use super::config::HistoryConfig;
use super::repair::aborted;
use super::shorten::shorten;
use crate::item::CallRole;
use crate::{Item, ItemKind};

/// `item` as servers take it: without images that no model reads, and not too long; `None` if it
/// cannot be made so. What stands around it is not looked at.
pub(super) fn sound<'a>(item: &'a Item, config: &HistoryConfig) -> Option<Cow<'a, Item>> {
    if item.is_incomplete() {
        return None;
    }
    let mut sound = Cow::Borrowed(item);
    if item.has_unreadable_images() {
        let readable = item.without_unreadable_images();
        sound = readable.map_or(sound, |(item, _)| Cow::Owned(config.limited(item)));
    }
    if is_oversize(&sound, config) {
        sound = Cow::Owned(shorten(&sound, config.max_item_bytes)?);
    }
    (!is_oversize(&sound, config)).then_some(sound)
}

/// An output that is made up is longer than its call by no more than this.
const ABORTED_BYTES: usize = 64;

/// Whether the item is longer than servers take, images left aside; or the output that may have to
/// be made up for it.
pub(super) fn is_oversize(item: &Item, config: &HistoryConfig) -> bool {
    let max_bytes = config.max_item_bytes;
    let is_surely_short = item.json().len().saturating_add(ABORTED_BYTES) <= max_bytes;
    if is_surely_short || item.kind() == ItemKind::GhostSnapshot {
        return false;
    }
    let output_bytes = match item.call_role() {
        Some(CallRole::Call(kind, call_id)) => aborted(kind, call_id).json().len(),
        _ => 0,
    };
    item.bytes_without_images().max(output_bytes) > max_bytes
}
