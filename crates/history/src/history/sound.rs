//! Items that no server would take for what they hold, made acceptable.

use std::borrow::Cow;

use super::config::HistoryConfig;
use super::shorten::shorten;
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
    Some(sound)
}

/// Whether the item is longer than servers take, images left aside.
pub(super) fn is_oversize(item: &Item, config: &HistoryConfig) -> bool {
    item.json().len() > config.max_item_bytes
        && item.bytes_without_images() > config.max_item_bytes
        && item.kind() != ItemKind::GhostSnapshot
}
