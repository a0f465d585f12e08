//! A coding session of any length, the same at every run: turns of a user's message, then
//! reasoning and what it leads to, calls with their outputs and at last an answer.
//!
//! An item is 600 bytes long on average as it goes over the wire; most outputs are shorter, every
//! eighth is a listing of 3,000 chars. Reasoning is where a real session has it: one item before
//! the calls of each response, with its encrypted form.

use longhaul_history::{History, Item, ItemError};
use serde_json::{Value, json};

/// Items from the start of one turn to the start of the next.
pub const TURN_ITEMS: usize = 20;

/// What stands at each place of a turn.
const TURN: [fn(usize) -> Value; TURN_ITEMS] = [
    user,
    reasoning,
    call,
    output,
    reasoning,
    call,
    output,
    call,
    output,
    reasoning,
    call,
    output,
    reasoning,
    patch,
    patch_output,
    reasoning,
    call,
    output,
    reasoning,
    answer,
];

const PROSE: &str =
    "The parser keeps the text as it came, so \"quoted\" words and line ends survive. ";
const LISTING: &str =
    "    let path = root.join(\"src/main.rs\"); // 42\n\tassert!(path.is_file());\n";
const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Item `index` of the session, as server and client write it.
pub fn item(index: usize) -> Value {
    TURN[index % TURN_ITEMS](index)
}

/// The items from `first` on, `len` of them, each as JSON text.
pub fn texts(first: usize, len: usize) -> Vec<String> {
    (first..first + len).map(|index| item(index).to_string()).collect()
}

/// The same, ready to be recorded.
///
/// # Errors
///
/// None: all of them are JSON objects.
pub fn items(first: usize, len: usize) -> Result<Vec<Item>, ItemError> {
    texts(first, len).iter().map(|json| Item::from_json(json)).collect()
}

/// The first `len` items, recorded.
///
/// # Errors
///
/// As [`items`].
pub fn history(len: usize) -> Result<History, ItemError> {
    let mut history = History::default();
    for (index, item) in items(0, len)?.into_iter().enumerate() {
        if index.is_multiple_of(TURN_ITEMS) {
            history.begin_turn();
        }
        history.record(item);
    }
    Ok(history)
}

/// What a request holds of the first `len` items: no reasoning of earlier turns, and without the
/// fields that a server gives but does not take. Made without longhaul, so that it is a check too.
pub fn sent(len: usize) -> Vec<Value> {
    let current_turn = len.saturating_sub(1) / TURN_ITEMS * TURN_ITEMS;
    let items = (0..len).map(|index| (index, item(index)));
    let visible =
        items.filter(|(index, item)| *index >= current_turn || item["type"] != "reasoning");
    visible.map(|(_, item)| without_server_fields(item)).collect()
}

/// All of the first `len` items, in the same form.
pub fn sent_with_all_reasoning(len: usize) -> Vec<Value> {
    (0..len).map(|index| without_server_fields(item(index))).collect()
}

/// Pairs of a call and its output, `len` items in all, each of `bytes` bytes on the wire, with
/// call ids that no session has.
///
/// # Errors
///
/// As [`items`].
pub fn pairs(len: usize, bytes: usize) -> Result<Vec<Item>, ItemError> {
    let of_length = |index| {
        let without_text = half_of_pair(index, "").to_string().len();
        half_of_pair(index, &"x".repeat(bytes.saturating_sub(without_text)))
    };
    (0..len).map(|index| Item::from_json(&of_length(index).to_string())).collect()
}

fn half_of_pair(index: usize, text: &str) -> Value {
    let id = format!("call_p{:023x}", index / 2);
    if index.is_multiple_of(2) {
        json!({"type": "function_call", "call_id": id, "name": "write", "arguments": text})
    } else {
        json!({"type": "function_call_output", "call_id": id, "output": text})
    }
}

fn user(index: usize) -> Value {
    json!({"type": "message", "role": "user", "content": [
        {"type": "input_text", "text": cycled(PROSE, spread(index, 60, 500))}]})
}

fn reasoning(index: usize) -> Value {
    json!({"type": "reasoning", "id": format!("rs_{index:048x}"),
        "summary": [{"type": "summary_text", "text": cycled(PROSE, spread(index, 60, 140))}],
        "encrypted_content": noise(index, spread(index, 400, 1_000))})
}

fn call(index: usize) -> Value {
    json!({"type": "function_call", "id": format!("fc_{index:048x}"), "call_id": call_id(index),
        "name": "shell", "status": "completed",
        "arguments": json!({"command": ["sed", "-n", "1,80p", format!("src/{index}.rs")],
            "workdir": "/home/user/project", "timeout_ms": 10_000}).to_string()})
}

fn output(index: usize) -> Value {
    let length = if spread(index, 0, 8) == 0 { 3_000 } else { spread(index, 80, 600) };
    json!({"type": "function_call_output", "call_id": call_id(index - 1),
        "output": cycled(LISTING, length)})
}

fn patch(index: usize) -> Value {
    let lines = cycled(LISTING, spread(index, 300, 1_500));
    json!({"type": "custom_tool_call", "id": format!("ctc_{index:048x}"),
        "call_id": call_id(index), "name": "apply_patch", "status": "completed",
        "input": format!("*** Begin Patch\n*** Update File: src/{index}.rs\n@@\n{lines}\n*** End Patch\n")})
}

fn patch_output(index: usize) -> Value {
    json!({"type": "custom_tool_call_output", "call_id": call_id(index - 1),
        "output": format!("Success. Updated the following files:\nM src/{}.rs\n", index - 1)})
}

fn answer(index: usize) -> Value {
    json!({"type": "message", "role": "assistant", "status": "completed",
        "id": format!("msg_{index:048x}"), "content": [{"type": "output_text",
            "text": cycled(PROSE, spread(index, 200, 1_500)), "logprobs": [],
            "annotations": [{"type": "url_citation", "start_index": 10, "end_index": 20,
                "title": "A page", "url": "https://example.com/page"}]}]})
}

fn call_id(index: usize) -> String {
    format!("call_{index:024x}")
}

fn without_server_fields(mut item: Value) -> Value {
    let kind = item["type"].clone();
    if let Some(fields) = item.as_object_mut() {
        fields.retain(|key, _| key != "id" && (key != "status" || kind == "custom_tool_call"));
    }
    let parts = item.get_mut("content").and_then(Value::as_array_mut);
    for part in parts.into_iter().flatten().filter_map(Value::as_object_mut) {
        part.retain(|key, _| key != "annotations" && key != "logprobs");
    }
    item
}

/// A length between `low` and `high`, spread evenly over the items.
fn spread(index: usize, low: usize, high: usize) -> usize {
    low + (index.wrapping_mul(2_654_435_761) >> 8) % (high - low)
}

fn cycled(text: &str, length: usize) -> String {
    text.chars().cycle().take(length).collect()
}

/// Text as unlike itself as what is encrypted.
fn noise(index: usize, length: usize) -> String {
    let letter = |at: usize| char::from(BASE64[(at * at * 31 + at / 7 + index * 13) % 64]);
    (0..length).map(letter).collect()
}
