//! What of an item is shown to people, and how it is read.

use std::io;
use std::sync::LazyLock;

use longhaul_history::Item;
use longhaul_history::turn_item::{AgentPart, TurnItem, TurnItemKind, UserPart};
use memchr::memmem::Finder;

use super::Trouble;
use super::payload::event_type;
use super::recent::RECENT_BYTES;
use super::text::{Entry, Log, Text};
use crate::Flaw;
use crate::scan::{Line, Scan};

/// The type of an item stands so near to its beginning, where it comes first.
const HEAD_BYTES: u64 = 32;

/// A longer item is not read: its text is hardly shown whole, and would be held twice.
const MAX_ITEM_BYTES: u64 = 4 * RECENT_BYTES as u64;

/// The type of a longer item is not looked for before the end.
const LONG_BYTES: u64 = 64 * 1024;

/// Whether the item of a line may be shown. Nearly all tell it at their beginning.
pub(super) fn may_be_shown(line: &Line, scan: &Scan<'_>) -> io::Result<bool> {
    let payload = line.payload();
    let head = scan.bytes(payload.start..payload.end.min(payload.start + HEAD_BYTES))?;
    if let Some(kind) = head.strip_prefix(b"{\"type\":\"") {
        return Ok(kind.starts_with(b"message\"") || kind.starts_with(b"reasoning\""));
    }
    Ok(payload.end - payload.start > LONG_BYTES || names_shown_type(&scan.bytes(payload)?))
}

/// Whether a string of the item is the name of a type that is shown. Within a longer string its quotes would
/// be escaped. Where it is no type after all, that is seen at the end.
fn names_shown_type(item: &[u8]) -> bool {
    static NAMES: LazyLock<[Finder<'static>; 2]> =
        LazyLock::new(|| ["\"message\"", "\"reasoning\""].map(Finder::new));
    NAMES.iter().any(|name| name.find(item).is_some())
}

/// The same of an item that is there as a whole.
pub(super) fn has_shown_type(item: &[u8]) -> bool {
    event_type(item).is_ok_and(|kind| matches!(&*kind, "message" | "reasoning"))
}

/// What is shown of an item. Texts come out of their blobs, images stay there.
pub(super) fn read(text: &Text, log: Log<'_>) -> Result<Option<TurnItem>, Trouble> {
    let item = text.read_without_blobs(log)?.and_then(|json| Item::from_json(&json).ok());
    let stands_in = |item: &TurnItem| texts(&item.kind).any(|text| text.starts_with("blob:"));
    match item.map(|item| shown(&item)) {
        Some(shown) if !shown.as_ref().is_some_and(stands_in) => Ok(shown),
        _ => {
            let (bytes, max) = (text.whole_bytes(log)?, MAX_ITEM_BYTES);
            if bytes > max {
                return Err(Flaw::TooLong { bytes, max }.into());
            }
            Ok(Entry::Stored(text.clone()).read(log)?.as_ref().and_then(shown))
        }
    }
}

/// A message that is stored as it is shown. An empty object says that there were more before.
pub(super) fn read_shown(text: &Text, log: Log<'_>) -> Result<Option<TurnItem>, Trouble> {
    let (bytes, max) = (text.whole_bytes(log)?, MAX_ITEM_BYTES);
    if bytes > max {
        return Err(Flaw::TooLong { bytes, max }.into());
    }
    let item = serde_json::from_str(&text.read(log)?);
    Ok(Some(item.map_err(|error| Flaw::Payload(error.to_string()))?))
}

/// A message or reasoning that has something to show, without the images that it holds itself.
pub(super) fn shown(item: &Item) -> Option<TurnItem> {
    let mut item = TurnItem::of(item)?;
    let is_message = match &mut item.kind {
        TurnItemKind::UserMessage { content } => {
            let is_held = |url: &str| url.starts_with("data:") || url.starts_with("blob:");
            let held =
                |it: &UserPart| matches!(it, UserPart::Image { image_url } if is_held(image_url));
            content.retain(|part| !held(part));
            true
        }
        _ => texts(&item.kind).next().is_some(),
    };
    is_message.then_some(item)
}

/// The texts of a message or of reasoning.
pub(super) fn texts(kind: &TurnItemKind) -> Box<dyn Iterator<Item = &str> + '_> {
    match kind {
        TurnItemKind::UserMessage { content } => {
            Box::new(content.iter().filter_map(UserPart::text))
        }
        TurnItemKind::AgentMessage { content } => {
            Box::new(content.iter().filter_map(AgentPart::text))
        }
        TurnItemKind::Reasoning { summary_text, raw_content } => {
            Box::new(summary_text.iter().chain(raw_content).map(String::as_str))
        }
        _ => Box::new(std::iter::empty()),
    }
}
