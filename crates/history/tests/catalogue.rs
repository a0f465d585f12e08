//! G1 (sendable), case by case: the tests of `docs/test-catalogue.md` that are about the
//! conversation, each named after its number there.

#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

use longhaul_history::{
    CallOutput, History, Item, ItemKind, ItemView, OutputPart, ReasoningFilter,
};
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

#[test]
fn t097_removing_a_call_removes_its_output() {
    let mut history = history([call("c"), output("c", "text"), Item::user("u")]);
    assert_eq!(history.remove_oldest(1), 2);
    assert_eq!(kept(&history), [&Item::user("u")]);
    assert_eq!(history.normalise(), []);
}

#[test]
fn t098_an_output_before_its_call_takes_it_along() {
    let mut history = history([output("c", "text"), Item::user("u"), call("c")]);
    assert_eq!(history.remove_oldest(1), 2);
    assert_eq!(kept(&history), [&Item::user("u")]);
    assert_eq!(history.normalise(), []);
}

#[test]
fn t099_removing_a_local_shell_call_removes_its_output() {
    let mut history = history([local_shell_call("c"), Item::user("u"), output("c", "text")]);
    assert_eq!(history.remove_oldest(1), 2);
    assert_eq!(kept(&history), [&Item::user("u")]);
}

#[test]
fn t100_removing_a_custom_call_removes_its_output() {
    let mut history = history([custom_call("c"), custom_output("c", "text"), output("d", "")]);
    assert_eq!(history.remove_oldest(1), 2);
    assert_eq!(kept(&history), [&output("d", "")]);
}

/// The text of an output, as it is once it is recorded, and sent.
fn recorded(output: Item) -> String {
    let call = if output.kind() == ItemKind::CustomToolCallOutput { custom_call } else { call };
    let history = history([call("c"), output]);
    match history.get(1).map(Item::view) {
        Some(ItemView::Output(CallOutput::Text(text))) => {
            assert_eq!(sent(&history)[1]["output"], text.as_str());
            text
        }
        other => panic!("a text: {other:?}"),
    }
}

fn lines(count: usize, width: usize) -> String {
    (1..=count).map(|n| format!("{n:0width$}\n")).collect::<Vec<_>>().concat()
}

/// What the marker says is gone.
fn omitted(text: &str) -> Option<&str> {
    text.split_once("\n[... omitted ")?.1.split(" lines ...]\n\n").next()
}

#[test]
fn t101_a_long_function_output_is_cut_and_says_how_many_lines_it_had() {
    let text = recorded(output("c", &lines(2_500, 30)));
    assert!(text.starts_with("Total output lines: 2500\n\n"), "{text}");
}

#[test]
fn t102_a_long_custom_output_is_cut_and_says_how_many_lines_it_had() {
    let text = recorded(custom_output("c", &lines(2_500, 30)));
    assert!(text.starts_with("Total output lines: 2500\n\n"), "{text}");
}

#[test]
fn t103_many_long_lines_fit_the_bytes_with_their_marker() {
    let text = recorded(output("c", &lines(2_000, 100)));
    assert!((10_000..=10_240).contains(&text.len()), "{}", text.len());
    let kept = text.lines().filter(|line| line.len() == 100).count();
    assert_eq!(omitted(&text), Some(&*format!("{} of 2000", 2_000 - kept)));
}

#[test]
fn t104_one_line_that_is_too_long_is_cut_by_bytes() {
    let text = recorded(output("c", &"x".repeat(10_290)));
    assert!(text.contains("x\n[... output truncated to fit 10240 bytes ...]\n\nx"), "{text}");
    assert_eq!((text.len(), omitted(&text)), (10_240, None));
}

#[test]
fn t105_a_small_output_stays_as_it_is() {
    let whole = output("c", &lines(256, 30));
    assert_eq!(kept(&history([call("c"), whole.clone()])), [&call("c"), &whole]);
}

#[test]
fn t106_too_many_lines_keep_the_first_and_the_last() {
    let text = recorded(output("c", &lines(356, 3)));
    // The header and the marker are lines too: what is kept can be cut again without a change.
    assert_eq!((text.lines().count(), omitted(&text)), (256, Some("105 of 356")));
    assert!(text.starts_with("Total output lines: 356\n\n001\n002\n"), "{text}");
    assert!(text.ends_with("\n355\n356\n"), "{text}");
    assert_eq!(recorded(output("c", &text)), text);
}

#[test]
fn t107_lines_and_bytes_at_once_have_one_marker() {
    let text = recorded(output("c", &lines(298, 99)));
    let kept = text.lines().filter(|line| line.len() == 99).count();
    assert_eq!(omitted(&text), Some(&*format!("{} of 298", 298 - kept)));
    assert!(kept > 90 && text.len() <= 10_240, "{kept}, {}", text.len());
    assert_eq!(text.matches("[...").count(), 1);
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

#[test]
fn t162_the_long_text_of_a_failed_tool_is_cut_by_bytes() {
    let text = recorded(output("c", &format!("error: {}the end", "x".repeat(20_000))));
    assert!(text.contains("\n[... output truncated to fit 10240 bytes ...]\n\n"), "{text}");
    assert!(text.contains("error: xxx") && text.ends_with("xthe end"), "{text}");
}

#[test]
fn t163_four_hundred_lines_of_a_shell_keep_head_and_tail() {
    let shell = format!("Exit code: 0\nWall time: 0.1 seconds\nOutput:\n{}", lines(400, 3));
    let text = recorded(output("c", &shell));
    assert!(text.starts_with("Total output lines: 403\n\nExit code: 0\nWall time: "), "{text}");
    assert_eq!(omitted(&text), Some("152 of 403"));
    assert!(text.ends_with("\n399\n400\n"), "{text}");
}

#[test]
fn t164_a_large_result_on_one_line_says_that_it_was_one() {
    let text = recorded(output("c", &"echo: hello ".repeat(6_000)));
    assert!(text.starts_with("Total output lines: 1\n\necho: hello "), "{text}");
    assert!(text.contains("\n[... output truncated to fit 10240 bytes ...]\n\n"), "{text}");
}
