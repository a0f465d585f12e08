//! Items that belong together, and do not stand so: calls and outputs, reasoning and what it led
//! to, items and the ids that a server knows them by.

use super::words::{self, Words};
use super::{Remedy, Target};

/// The longest call id that OpenAI takes, in bytes.
pub(super) const MAX_CALL_ID_BYTES: usize = 64;

/// Words between `No tool output found for` and the id, at most: `custom tool call`.
const MAX_KIND_WORDS: usize = 4;

pub(super) fn remedy(words: &Words<'_>) -> Option<Remedy> {
    None.or_else(|| unanswered_call(words.after("no tool output found for ")?))
        .or_else(|| orphaned_output(words.after("no tool call found for ")?))
        .or_else(|| duplicate_call(words))
        .or_else(|| unpaired_reasoning(words.after("item '")?))
        .or_else(|| unknown_item(words.after("item with id ")?))
        .or_else(|| duplicate_item(words.after("duplicate item found with id ")?))
}

/// `function call call_1.`
fn unanswered_call(rest: &str) -> Option<Remedy> {
    let (kind, id) = rest.split_once("call ")?;
    if kind.split_whitespace().count() > MAX_KIND_WORDS {
        return None;
    }
    let target = Target::CallId(words::id(id)?);
    match kind.trim() {
        "" | "function" | "custom tool" | "tool" | "local shell" | "shell" => {
            Some(Remedy::AnswerCall(target))
        }
        // Calls of which only the server knows how they are answered.
        _ => Some(Remedy::RemoveItem(target)),
    }
}

/// `function call output with call_id call_1.`
fn orphaned_output(rest: &str) -> Option<Remedy> {
    let (kind, id) = rest.split_once("output with call_id ")?;
    let is_kind = kind.split_whitespace().count() <= MAX_KIND_WORDS;
    is_kind.then_some(Remedy::RemoveOutput(Target::CallId(words::id(id)?)))
}

fn duplicate_call(words: &Words<'_>) -> Option<Remedy> {
    let starts = [
        "duplicate function_call_output for call_id ",
        "duplicate custom_tool_call_output for call_id ",
        "duplicate function call id ",
        "duplicate 'call_id': ",
        "duplicate call_ids submitted: ",
    ];
    let rest = starts.iter().find_map(|start| words.after(start))?;
    let target = Target::CallId(words::id(rest)?);
    Some(Remedy::RenameCalls { target, max_bytes: MAX_CALL_ID_BYTES })
}

/// `rs_1' of type 'reasoning' was provided without its required following item.`
fn unpaired_reasoning(rest: &str) -> Option<Remedy> {
    let (id, rest) = rest.split_once('\'')?;
    let (type_name, rest) = words::quoted(rest.strip_prefix(" of type ")?)?;
    let rest = rest.strip_prefix(" was provided without its required ")?;
    let target = words::is_id(id).then(|| Target::ItemId(id.to_owned()))?;
    if words::starts_with(rest, "'reasoning' item") {
        // Without its id the item is not tied to the reasoning that it came with.
        Some(Remedy::RemoveItemId(target))
    } else if words::starts_with(rest, "following item") && type_name == "reasoning" {
        Some(Remedy::RemoveReasoning(target))
    } else if words::starts_with(rest, "following item") {
        Some(Remedy::RemoveItem(target))
    } else {
        None
    }
}

/// `'rs_1' not found. Items are not persisted when …`
fn unknown_item(rest: &str) -> Option<Remedy> {
    let (id, rest) = words::quoted(rest)?;
    if !words::is_id(id) || !words::starts_with(rest, " not found") {
        return None;
    }
    let target = Target::ItemId(id.to_owned());
    // Reasoning that the server looks up by its id is empty without it; other items are whole.
    Some(if id.starts_with("rs_") {
        Remedy::RemoveReasoning(target)
    } else {
        Remedy::RemoveItemId(target)
    })
}

/// `rs_1. Remove duplicate items from your input and try again.`
fn duplicate_item(rest: &str) -> Option<Remedy> {
    Some(Remedy::RemoveItemId(Target::ItemId(words::id(rest)?)))
}
