//! What records of other programs do: of the seed's logs, and of those of later versions of codex.

use longhaul_history::turn_item::{TurnItemKind, is_user_message};
use longhaul_history::{BridgeParts, ContentPart, Item};

use super::Trouble;
use super::fold::Fold;
use super::payload::{Event, ForeignCompaction, read};
use super::text::{Entry, Text};
use crate::RecordKind;
use crate::error::excerpt;

/// So many types of records are counted each by itself: a log may name any number.
const MAX_SKIPPED_TYPES: usize = 32;

/// Adds a record. What is not as it should be is skipped, as those programs do.
pub(super) fn add(
    fold: &mut Fold<'_>,
    kind: Option<&RecordKind>,
    text: Text,
    payload: &[u8],
) -> Result<(), Trouble> {
    let is_taken = match kind {
        // A fork's log holds the first record of its parent too.
        Some(RecordKind::SessionMeta) if fold.meta.is_none() => {
            fold.meta = read(payload).ok();
            fold.meta.is_some()
        }
        Some(RecordKind::SessionMeta) => true,
        Some(RecordKind::TurnContext) => {
            fold.settings = Some(text);
            true
        }
        Some(RecordKind::Compacted) => match read(payload) {
            Ok(compaction) => compact(fold, &text, payload, compaction)?,
            Err(_) => false,
        },
        Some(RecordKind::EventMsg) => add_event(fold, text, payload)?,
        _ => false,
    };
    if !is_taken {
        skip(fold, kind.map_or("…", RecordKind::as_str));
    }
    Ok(())
}

/// What most events tell follows from the items.
fn add_event(fold: &mut Fold<'_>, text: Text, payload: &[u8]) -> Result<bool, Trouble> {
    let Ok(Event { r#type, num_turns }) = read(payload) else { return Ok(false) };
    match &*r#type {
        "token_count" => fold.token_count = Some(text),
        "thread_rolled_back" => roll_back(fold, num_turns)?,
        _ => {}
    }
    Ok(true)
}

/// Counts a record that says nothing here.
fn skip(fold: &mut Fold<'_>, kind: &str) {
    let is_known = fold.skipped.contains_key(kind) || fold.skipped.len() < MAX_SKIPPED_TYPES;
    let kind = if is_known { excerpt(kind.as_bytes()) } else { "…".to_owned() };
    *fold.skipped.entry(kind).or_default() += 1;
}

/// The conversation becomes the list that the record holds, or a bridge over what it was. False if it
/// holds neither.
fn compact(
    fold: &mut Fold<'_>,
    text: &Text,
    payload: &[u8],
    compaction: ForeignCompaction<'_>,
) -> Result<bool, Trouble> {
    let entries = match compaction {
        ForeignCompaction { replacement_history: Some(items), .. } => {
            let items = items.iter().map(|item| Entry::Stored(text.part(payload, item.get())));
            items.collect()
        }
        ForeignCompaction { message: Some(summary), .. } => {
            vec![Entry::Made(bridge(user_messages(fold)?, summary.into_owned()))]
        }
        _ => return Ok(false),
    };
    fold.conversation.reset(entries);
    Ok(true)
}

/// What the user said so far, each message as a text. A bridge is taken apart.
fn user_messages(fold: &Fold<'_>) -> Result<Vec<String>, Trouble> {
    let mut messages = Vec::new();
    for item in items(fold) {
        let item = item?;
        if let Some(parts) = item.as_ref().and_then(Item::bridge_parts) {
            messages.extend(parts.user_messages);
        } else if let Some(item) = item.filter(is_user_message) {
            messages.extend(TurnItemKind::of(&item).and_then(|it| it.message_text()));
        }
    }
    messages.retain(|message| !message.is_empty());
    Ok(messages)
}

/// The last `count` messages of the user go, and what came with them.
fn roll_back(fold: &mut Fold<'_>, count: usize) -> Result<(), Trouble> {
    let mut starts = Vec::new();
    for (index, item) in items(fold).enumerate() {
        if item?.is_some_and(|item| is_user_message(&item)) {
            starts.push(index);
        }
    }
    let first = starts.len().saturating_sub(count);
    let len = starts.get(first).copied().unwrap_or(fold.conversation.len());
    let gone: Vec<&Entry> = fold.conversation.iter().skip(len).collect();
    fold.recent.roll_back(&gone);
    let kept: Vec<Entry> = fold.conversation.iter().take(len).cloned().collect();
    fold.conversation.reset(kept);
    Ok(())
}

/// The items so far, one at a time; `None` in the place of one that cannot be read.
fn items(fold: &Fold<'_>) -> impl Iterator<Item = Result<Option<Item>, Trouble>> {
    fold.conversation.iter().map(|entry| match entry.read(fold.log) {
        Err(Trouble::Flaw(_)) => Ok(None),
        read => read,
    })
}

/// Such a record holds the summary alone; the program that wrote it made a message of both anew
/// whenever it read the log.
fn bridge(user_messages: Vec<String>, summary: String) -> Item {
    let or = |text: &str, instead: &str| {
        if text.is_empty() { instead.to_owned() } else { text.to_owned() }
    };
    let text = format!(
        "The conversation so far was shortened. This is what the user said in it:\n\n{}\n\n\
         Another model worked on it until here, with the same tools and in the same place. \
         Build on its work and repeat none of it. This is its summary:\n\n{}",
        or(&user_messages.join("\n\n"), "(none)"),
        or(&summary, "(no summary available)"),
    );
    Item::bridge(&[ContentPart::InputText { text }], &BridgeParts { user_messages, summary })
}
