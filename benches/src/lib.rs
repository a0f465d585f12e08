//! What the benchmarks work on, the same at every run: a conversation that is recorded, copied and
//! sent, and the events of a stream.

pub mod deltas;

use longhaul_history::{History, Item, ItemError};
use serde_json::{Value, json};

/// Items from the start of one turn to the start of the next: a user message, an assistant message,
/// then six times reasoning, a function call and its output.
pub const TURN_ITEMS: usize = 20;

const PROSE: &str =
    "The parser keeps the text as it came, so \"quoted\" words and line ends survive. ";
const LISTING: &str =
    "    let path = root.join(\"src/main.rs\"); // 42\n\tassert!(path.is_file());\n";
const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Item `index` of the conversation, as server and client write it.
pub fn item(index: usize) -> Value {
    let call_id = |index| format!("call_{index:024x}");
    match (index % TURN_ITEMS, index % TURN_ITEMS % 3) {
        (0, _) => json!({"type": "message", "role": "user", "content": [
            {"type": "input_text", "text": cycled(PROSE, spread(index, 100, 600))}]}),
        (1, _) => json!({"type": "message", "role": "assistant", "status": "completed",
            "id": format!("msg_{index:048x}"), "content": [{"type": "output_text",
                "text": cycled(PROSE, spread(index, 200, 2_000)), "logprobs": [],
                "annotations": [{"type": "url_citation", "start_index": 10, "end_index": 20,
                    "title": "A page", "url": "https://example.com/page"}]}]}),
        (_, 2) => json!({"type": "reasoning", "id": format!("rs_{index:048x}"),
            "summary": [{"type": "summary_text", "text": cycled(PROSE, 150)}],
            "encrypted_content": noise(index, spread(index, 1_000, 2_000))}),
        (_, 0) => json!({"type": "function_call", "id": format!("fc_{index:048x}"),
            "call_id": call_id(index), "name": "shell", "status": "completed",
            "arguments": json!({"command": ["sed", "-n", "1,80p", format!("src/{index}.rs")],
                "workdir": "/home/user/project", "timeout_ms": 10_000}).to_string()}),
        _ => json!({"type": "function_call_output", "call_id": call_id(index - 1),
            "output": cycled(LISTING, spread(index, 200, 4_000))}),
    }
}

/// The first `len` items, each as JSON text.
pub fn recorded(len: usize) -> Vec<String> {
    (0..len).map(|index| item(index).to_string()).collect()
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

fn without_server_fields(mut item: Value) -> Value {
    if let Some(fields) = item.as_object_mut() {
        fields.retain(|key, _| key != "id" && key != "status");
    }
    let parts = item.get_mut("content").and_then(Value::as_array_mut);
    for part in parts.into_iter().flatten().filter_map(Value::as_object_mut) {
        part.retain(|key, _| key != "annotations" && key != "logprobs");
    }
    item
}

/// Records items that [`recorded`] gave.
///
/// # Errors
///
/// If one of them is not a JSON object.
pub fn history(recorded: &[String]) -> Result<History, ItemError> {
    let mut history = History::default();
    for (index, json) in recorded.iter().enumerate() {
        if index % TURN_ITEMS == 0 {
            history.begin_turn();
        }
        history.record(Item::from_json(json)?);
    }
    Ok(history)
}

/// A length between `low` and `high`, spread evenly over the items.
fn spread(index: usize, low: usize, high: usize) -> usize {
    low + index.wrapping_mul(2_654_435_761) % (high - low)
}

fn cycled(text: &str, length: usize) -> String {
    text.chars().cycle().take(length).collect()
}

/// Text as unlike itself as what is encrypted.
fn noise(index: usize, length: usize) -> String {
    let letter = |at: usize| char::from(BASE64[(at * at * 31 + at / 7 + index * 13) % 64]);
    (0..length).map(letter).collect()
}
