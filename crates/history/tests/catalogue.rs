//! The tests of `docs/test-catalogue.md` that are about the conversation, each named after its
//! number there.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use longhaul_history::{CallOutput, History, Item, ItemView, OutputPart, ReasoningFilter};
use serde_json::{Value, json};

fn item(json: &Value) -> Item {
    Item::from_json(&json.to_string()).unwrap()
}

fn history(items: impl IntoIterator<Item = Item>) -> History {
    let mut history = History::default();
    history.extend(items);
    history
}

fn sent(history: &History) -> Value {
    serde_json::from_str(&history.prompt(ReasoningFilter::CurrentTurn).to_json()).unwrap()
}

fn kept(history: &History) -> Vec<&Item> {
    history.iter().collect()
}

fn reasoning(text: &str) -> Item {
    Item::reasoning(&[text], Some("gAAAA"))
}

fn call(id: &str) -> Item {
    Item::function_call(id, "list", "{}")
}

fn output(id: &str, text: &str) -> Item {
    Item::function_call_output(id, CallOutput::text(text))
}

fn custom_call(id: &str) -> Item {
    Item::custom_tool_call(id, "patch", "text")
}

fn custom_output(id: &str, text: &str) -> Item {
    Item::custom_tool_call_output(id, CallOutput::text(text))
}

fn local_shell_call(id: &str) -> Item {
    item(&json!({"type": "local_shell_call", "call_id": id, "status": "completed",
        "action": {"type": "exec", "command": ["ls"]}}))
}

#[test]
fn t094_items_of_every_role_and_type_are_kept_and_sent() {
    let text = |role| item(&json!({"type": "message", "role": role, "content": []}));
    let items = ["system", "user", "assistant", "developer", "narrator"].map(text);
    let unknown = item(&json!({"type": "hologram", "depth": 3}));
    let history = history(items.into_iter().chain([unknown]));
    assert_eq!(history.len(), 6);
    let kept: Vec<Value> =
        history.iter().map(|item| serde_json::from_str(item.json()).unwrap()).collect();
    assert_eq!(sent(&history), Value::from(kept));
}

#[test]
fn t095_reasoning_before_the_last_user_message_is_kept_and_not_sent() {
    let [first, second, third] = ["r1", "r2", "r3"].map(reasoning);
    let said = [Item::user("u1"), Item::assistant("a1"), Item::user("u2"), Item::assistant("a2")];
    let [u1, a1, u2, a2] = said;
    let all = [u1, first, a1, u2, second, a2, third];
    let without_the_first: Vec<_> = [0, 2, 3, 4, 5, 6].map(|index| all[index].clone()).into();
    let expected = history(without_the_first).prompt(ReasoningFilter::KeepAll);
    let whole = history(all.clone());
    assert_eq!(whole.prompt(ReasoningFilter::CurrentTurn), expected);
    assert!(whole.iter().eq(&all));
}

#[test]
fn t096_a_ghost_snapshot_is_kept_and_not_sent() {
    let ghost = item(&json!({"type": "ghost_snapshot", "ghost_commit": {"id": "c0ffee",
        "parent": null, "preexisting_untracked_files": [], "preexisting_untracked_dirs": []}}));
    let with = history([Item::user("u"), ghost, Item::assistant("a")]);
    let without = history([Item::user("u"), Item::assistant("a")]);
    assert_eq!(
        with.prompt(ReasoningFilter::CurrentTurn),
        without.prompt(ReasoningFilter::CurrentTurn)
    );
    assert_eq!(with.len(), 3);
}

/// A call alone is sent, and kept once it is repaired, with `aborted` right behind it.
fn is_answered(call: &Item, aborted: &Item) {
    let mut broken = history([Item::user("u"), call.clone(), Item::assistant("a")]);
    let whole = history([Item::user("u"), call.clone(), aborted.clone(), Item::assistant("a")]);
    assert_eq!(sent(&broken), sent(&whole));
    broken.normalise();
    assert_eq!(kept(&broken), kept(&whole));
    assert_eq!(sent(&broken), sent(&whole));
}

#[test]
fn t108_a_function_call_without_an_output_is_answered_right_after_it() {
    is_answered(&call("c"), &output("c", "aborted"));
}

#[test]
fn t109_a_custom_call_without_an_output_is_answered_right_after_it() {
    is_answered(&custom_call("c"), &custom_output("c", "aborted"));
}

#[test]
fn t110_a_local_shell_call_without_an_output_is_answered_right_after_it() {
    is_answered(&local_shell_call("c"), &output("c", "aborted"));
}

/// An output alone is not sent, and is gone once the history is repaired.
fn is_removed(orphan: &Item) {
    let mut broken = history([Item::user("u"), orphan.clone(), Item::assistant("a")]);
    let whole = history([Item::user("u"), Item::assistant("a")]);
    assert_eq!(sent(&broken), sent(&whole));
    broken.normalise();
    assert_eq!(kept(&broken), kept(&whole));
}

#[test]
fn t111_a_function_output_without_a_call_is_removed() {
    is_removed(&output("c", "text"));
}

#[test]
fn t112_a_custom_output_without_a_call_is_removed() {
    is_removed(&custom_output("c", "text"));
}

/// Everything broken at once, around a pair and a message that are not.
fn mixed() -> History {
    history([
        call("c1"),
        output("nobody", "text"),
        custom_call("t1"),
        call("c2"),
        output("c2", "fine"),
        custom_output("nobody", "text"),
        local_shell_call("s1"),
        Item::assistant("a"),
    ])
}

#[test]
fn t113_a_mixed_list_is_repaired_in_one_pass() {
    let mut mixed = mixed();
    mixed.normalise();
    let expected = [
        call("c1"),
        output("c1", "aborted"),
        custom_call("t1"),
        custom_output("t1", "aborted"),
        call("c2"),
        output("c2", "fine"),
        local_shell_call("s1"),
        output("s1", "aborted"),
        Item::assistant("a"),
    ];
    assert!(mixed.iter().eq(&expected), "{mixed:?}");
    assert_eq!(mixed.normalise(), []);
}

fn missing(call_id: &str, item_index: usize) -> Value {
    json!({"kind": "missing_output", "call_id": call_id, "item_index": item_index})
}

fn orphan(call_id: &str, item_index: usize) -> Value {
    json!({"kind": "orphan_output", "call_id": call_id, "item_index": item_index})
}

/// Normalises, as a caller would before a request: nothing panics, and what was done is told.
fn reported(mut history: History) -> Value {
    serde_json::to_value(history.normalise()).unwrap()
}

#[test]
fn t114_a_missing_function_output_is_reported() {
    assert_eq!(reported(history([call("c")])), json!([missing("c", 0)]));
}

#[test]
fn t115_a_missing_custom_output_is_reported() {
    assert_eq!(reported(history([custom_call("c")])), json!([missing("c", 0)]));
}

#[test]
fn t116_a_missing_local_shell_output_is_reported() {
    assert_eq!(reported(history([local_shell_call("c")])), json!([missing("c", 0)]));
}

#[test]
fn t117_an_orphan_function_output_is_reported() {
    assert_eq!(reported(history([output("c", "text")])), json!([orphan("c", 0)]));
}

#[test]
fn t118_an_orphan_custom_output_is_reported() {
    assert_eq!(reported(history([custom_output("c", "text")])), json!([orphan("c", 0)]));
}

#[test]
fn t119_a_mixed_list_is_reported() {
    let expected = [
        missing("c1", 0),
        orphan("nobody", 1),
        missing("t1", 2),
        orphan("nobody", 5),
        missing("s1", 6),
    ];
    assert_eq!(reported(mixed()), Value::from(expected.to_vec()));
}

#[test]
fn t154_an_output_is_a_string_whether_the_call_failed_or_not() {
    for text in ["fine", "exit code 1", ""] {
        let history = history([call("c"), output("c", text)]);
        let expected = json!({"type": "function_call_output", "call_id": "c", "output": text});
        assert_eq!(sent(&history)[1], expected);
    }
}

fn shown() -> Vec<OutputPart> {
    let url = "data:image/png;base64,AAAA";
    let text = OutputPart::InputText { text: "a chart".into() };
    vec![text, OutputPart::InputImage { image_url: url.into() }]
}

fn shown_json() -> Value {
    json!([{"type": "input_text", "text": "a chart"},
        {"type": "input_image", "image_url": "data:image/png;base64,AAAA"}])
}

#[test]
fn t155_an_output_with_an_image_is_an_array() {
    let output = Item::function_call_output("c", CallOutput::Parts(shown()));
    assert_eq!(sent(&history([call("c"), output]))[1]["output"], shown_json());
}

#[test]
fn t156_an_array_is_read_back_with_its_parts() {
    let read = item(&json!({"type": "function_call_output", "call_id": "c",
        "output": shown_json()}));
    assert_eq!(read.view(), ItemView::Output(CallOutput::Parts(shown())));
}
