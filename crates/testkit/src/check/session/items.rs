//! What the items of a request say.

use serde_json::Value;

/// The texts of a message of this role, one a part; none if the item is something else.
pub(super) fn message_texts<'a>(item: &'a Value, role: &str) -> Vec<&'a str> {
    let kind = item.get("type").and_then(Value::as_str).unwrap_or("message");
    if kind != "message" || item["role"] != role { Vec::new() } else { texts(&item["content"]) }
}

/// The text of a function call's output; empty if it has none.
pub(super) fn output_text(item: &Value) -> String {
    texts(&item["output"]).concat()
}

/// The outputs of calls with this id, in order.
pub(super) fn outputs<'a>(items: &'a [Value], call_id: &str) -> Vec<&'a Value> {
    items.iter().filter(|item| is_of(item, "_output", call_id)).collect()
}

/// How many calls with this id there are.
pub(super) fn count_calls(items: &[Value], call_id: &str) -> usize {
    items.iter().filter(|item| is_of(item, "_call", call_id)).count()
}

fn is_of(item: &Value, suffix: &str, call_id: &str) -> bool {
    item["type"].as_str().is_some_and(|kind| kind.ends_with(suffix)) && item["call_id"] == call_id
}

fn texts(content: &Value) -> Vec<&str> {
    match content {
        Value::String(text) => vec![text],
        Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect(),
        _ => Vec::new(),
    }
}
