//! Items that are too long for any server, with their texts cut.

use std::borrow::Cow;

use crate::json::{self, RawObject};
use crate::truncate::middle;
use crate::{Item, ItemKind};

/// So often a cut is tried that turns out too long, because its text has much to escape.
const ATTEMPTS: usize = 8;

/// `item` in at most `max_bytes` bytes of JSON, images left aside; `None` if that cannot be done by cutting its texts.
///
/// The texts of messages and outputs and the input of a free-form call are cut in their middle; the
/// arguments of a function call, which have to stay JSON, become `{}`.
pub(super) fn shorten(item: &Item, max_bytes: usize) -> Option<Item> {
    let field = match item.kind() {
        ItemKind::Message(_) => "content",
        ItemKind::CustomToolCall => "input",
        ItemKind::FunctionCall => {
            let emptied = item.with_field("arguments", |_| Some(r#""{}""#.into()));
            return emptied.filter(|item| item.bytes_without_images() <= max_bytes);
        }
        kind if kind.is_output() => "output",
        _ => return None,
    };
    let rest_bytes = item.bytes_without_images().saturating_sub(text_bytes(item, field));
    let mut budget_bytes = max_bytes.checked_sub(rest_bytes)?;
    for _ in 0..ATTEMPTS {
        let cut = item.with_field(field, |value| cut_texts(value, budget_bytes))?;
        let cut_bytes = cut.bytes_without_images();
        if cut_bytes <= max_bytes {
            return Some(cut);
        }
        budget_bytes = budget_bytes.saturating_mul(max_bytes) / cut_bytes * 9 / 10;
    }
    None
}

/// The length of what may be cut.
fn text_bytes(item: &Item, field: &str) -> usize {
    let value = RawObject::parse(item.json()).and_then(|object| object.field(field));
    let Some(value) = value else {
        return 0;
    };
    match json::elements(value) {
        Some(parts) => parts.filter_map(part_text).map(str::len).sum(),
        None => value.len(),
    }
}

fn part_text(part: &str) -> Option<&str> {
    RawObject::parse(part)?.field("text")
}

/// A text, or the texts in a list of parts, with so many bytes left of all together.
fn cut_texts(value: &str, budget_bytes: usize) -> Option<String> {
    if let Some(text) = json::string(value) {
        return Some(cut_text(&text, budget_bytes));
    }
    let parts: Vec<&str> = json::elements(value)?.collect();
    let share_bytes =
        budget_bytes / parts.iter().filter(|part| part_text(part).is_some()).count().max(1);
    let parts: Vec<Cow<'_, str>> =
        parts.into_iter().map(|part| cut_part(part, share_bytes)).collect();
    Some(format!("[{}]", parts.join(",")))
}

fn cut_part(part: &str, max_bytes: usize) -> Cow<'_, str> {
    let cut = |text: &str| Some(cut_text(&json::string(text)?, max_bytes));
    json::with_field(part, "text", cut).map_or(Cow::Borrowed(part), Cow::Owned)
}

fn cut_text(text: &str, max_bytes: usize) -> String {
    json::quoted(&middle(text, max_bytes).text)
}
