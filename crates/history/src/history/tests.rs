//! Record, pair, repair, filter. Of G12 (nothing twice), where the bytes lie; of G13 (the prefix
//! stays), what is sent of reasoning.

use super::*;
use crate::CallOutput;

fn texts(prompt: &Prompt) -> Vec<String> {
    let items: Vec<serde_json::Value> = serde_json::from_str(&prompt.to_json()).unwrap();
    items.iter().map(short).collect()
}

/// `role:text`, `call:id`, `out:id`, or the type.
fn short(item: &serde_json::Value) -> String {
    let field = |key: &str| item[key].as_str().unwrap_or_default().to_owned();
    match item["type"].as_str().unwrap() {
        "message" => format!("{}:{}", field("role"), item["content"][0]["text"].as_str().unwrap()),
        "function_call" | "custom_tool_call" => format!("call:{}", field("call_id")),
        "function_call_output" | "custom_tool_call_output" => {
            format!("out:{}={}", field("call_id"), field("output"))
        }
        other => other.to_owned(),
    }
}

fn call(id: &str) -> Item {
    Item::function_call(id, "tool", "{}")
}

fn out(id: &str, text: &str) -> Item {
    Item::function_call_output(id, CallOutput::text(text))
}

fn history(items: impl IntoIterator<Item = Item>) -> History {
    let mut history = History::default();
    history.extend(items);
    history
}

fn kinds(repairs: &[Repair]) -> Vec<(RepairKind, Option<&str>, usize)> {
    let fields = |r: &Repair| (r.kind, r.item_index);
    let ids = repairs.iter().map(|r| r.call_id.as_deref());
    repairs.iter().map(fields).zip(ids).map(|((k, i), id)| (k, id, i)).collect()
}

#[test]
fn outputs_go_right_after_their_calls_whatever_their_order() {
    let mut history = history([Item::user("u"), call("a"), call("b"), Item::assistant("t")]);
    history.record_output(out("b", "2"));
    history.record_output(out("a", "1"));
    let expected = ["user:u", "call:a", "out:a=1", "call:b", "out:b=2", "assistant:t"];
    assert_eq!(texts(&history.prompt(ReasoningFilter::CurrentTurn)), expected);
    assert_eq!(history.normalise(), []);
}

#[test]
fn a_mixed_list_is_repaired_in_one_pass_and_stays_repaired() {
    let broken = history([
        out("orphan", "x"),
        call("lost"),
        Item::custom_tool_call("custom", "t", "in"),
        Item::from_json(r#"{"type":"local_shell_call","id":"ls","status":"completed","action":{"type":"exec"}}"#).unwrap(),
        call("kept"),
        out("kept", "1"),
        out("kept", "2"),
    ]);
    let mut repaired = broken.clone();
    let repairs = repaired.normalise();
    assert_eq!(
        kinds(&repairs),
        [
            (RepairKind::OrphanOutput, Some("orphan"), 0),
            (RepairKind::MissingOutput, Some("lost"), 1),
            (RepairKind::MissingOutput, Some("custom"), 2),
            (RepairKind::MissingOutput, Some("ls"), 3),
            (RepairKind::DuplicateOutput, Some("kept"), 6),
        ]
    );
    let prompt = repaired.prompt(ReasoningFilter::CurrentTurn);
    assert_eq!(
        texts(&prompt),
        [
            "call:lost",
            "out:lost=aborted",
            "call:custom",
            "out:custom=aborted",
            "local_shell_call",
            "out:ls=aborted",
            "call:kept",
            "out:kept=1"
        ]
    );
    assert_eq!(broken.prompt(ReasoningFilter::CurrentTurn), prompt, "the view repairs too");
    assert_eq!(repaired.normalise(), []);
}

#[test]
fn ids_used_again_pair_by_position() {
    let mut history = history([call("0"), out("0", "first"), Item::user("again"), call("0")]);
    history.record_output(out("0", "second"));
    assert_eq!(history.normalise(), []);
    history.record(call("0"));
    history.record(Item::user("cut off"));
    history.record(call("0"));
    history.record_output(out("0", "last"));
    assert_eq!(kinds(&history.normalise()), [(RepairKind::MissingOutput, Some("0"), 5)]);
    let expected = ["call:0", "out:0=aborted", "user:cut off", "call:0", "out:0=last"];
    assert_eq!(texts(&history.prompt(ReasoningFilter::CurrentTurn))[5..], expected);
}

#[test]
fn calls_of_one_response_may_share_an_id() {
    let mut history =
        history([Item::function_call("c", "tool", "1"), Item::function_call("c", "tool", "2")]);
    history.record_output(out("c", "first"));
    history.record_output(out("c", "second"));
    let expected = ["call:c", "out:c=first", "call:c", "out:c=second"];
    assert_eq!(texts(&history.prompt(ReasoningFilter::CurrentTurn)), expected);
    assert!(history.get(0).unwrap().json().contains(r#""arguments":"1""#));
}

#[test]
fn an_output_of_the_wrong_kind_answers_nothing() {
    let mut history = history([Item::custom_tool_call("c", "t", "in"), out("c", "x")]);
    let repairs = history.normalise();
    assert_eq!(repairs.len(), 2);
    let prompt = texts(&history.prompt(ReasoningFilter::CurrentTurn));
    assert_eq!(prompt, ["call:c", "out:c=aborted"]);
}

#[test]
fn a_local_shell_call_known_by_its_id_alone_pairs() {
    let shell = r#"{"type":"local_shell_call","id":"ls_1","call_id":null,"status":"completed",
        "action":{"type":"exec","command":["ls"],"timeout_ms":null}}"#;
    let mut history = history([Item::from_json(shell).unwrap()]);
    history.record_output(out("ls_1", "files"));
    assert_eq!(history.normalise(), []);
    let sent: serde_json::Value =
        serde_json::from_str(&history.prompt(ReasoningFilter::CurrentTurn).to_json()).unwrap();
    assert_eq!(
        sent[0],
        serde_json::json!({"type": "local_shell_call", "status": "completed",
            "action": {"type": "exec", "command": ["ls"]}, "call_id": "ls_1"})
    );
}

#[test]
fn reasoning_of_the_current_turn_alone_is_sent() {
    let reasoning = || Item::reasoning(&["r"], Some("secret"));
    let mut history = History::default();
    history.begin_turn();
    history.extend([Item::user("1"), reasoning(), Item::assistant("a")]);
    let first = history.prompt(ReasoningFilter::CurrentTurn);
    assert_eq!(texts(&first), ["user:1", "reasoning", "assistant:a"]);

    history.begin_turn();
    history.extend([Item::user("2"), reasoning(), call("c")]);
    history.record_output(out("c", "1"));
    let before_steer = history.prompt(ReasoningFilter::CurrentTurn).to_json();
    history.record(Item::user("steer"));
    let prompt = history.prompt(ReasoningFilter::CurrentTurn);
    let expected =
        ["user:1", "assistant:a", "user:2", "reasoning", "call:c", "out:c=1", "user:steer"];
    assert_eq!(texts(&prompt), expected);
    assert!(prompt.to_json().starts_with(before_steer.trim_end_matches(']')));
    assert_eq!(history.prompt(ReasoningFilter::KeepAll).item_count(), 8);
    assert_eq!(history.prompt(ReasoningFilter::DropAll).item_count(), 6);
}

#[test]
fn where_turns_are_marked_messages_begin_none() {
    let mut history = history([Item::user("u1"), Item::assistant("a")]);
    history.mark_turns();
    history.extend([Item::user("u2"), Item::assistant("b")]);
    assert_eq!(history.turn_starts(0).collect::<Vec<_>>(), [0]);
    history.replace_prefix(2, [Item::user("s")]).unwrap();
    history.record(Item::user("u3"));
    assert_eq!(history.turn_starts(0).collect::<Vec<_>>(), [1], "in the place of the first");
    history.begin_turn();
    history.record(Item::user("u4"));
    assert_eq!(history.turn_starts(0).collect::<Vec<_>>(), [1, 4]);
}

#[test]
fn without_a_marked_turn_the_last_user_message_starts_it() {
    let reasoning = || Item::reasoning(&["r"], None);
    let history = history([
        Item::user("u1"),
        reasoning(),
        Item::assistant("a"),
        Item::user("u2"),
        reasoning(),
        Item::assistant("b"),
        reasoning(),
    ]);
    let prompt = history.prompt(ReasoningFilter::CurrentTurn);
    assert_eq!(
        texts(&prompt),
        ["user:u1", "assistant:a", "user:u2", "reasoning", "assistant:b"],
        "nothing followed the last one"
    );
    assert_eq!(history.len(), 7, "the stored list keeps all");
}

#[test]
fn ghost_snapshots_stay_off_the_wire_and_incomplete_items_go() {
    let items = [
        r#"{"type":"ghost_snapshot","ghost_commit":{"id":"c"}}"#,
        r#"{"type":"function_call","name":"t","arguments":"{}","call_id":""}"#,
        r#"{"type":"function_call_output","call_id":"","output":"x"}"#,
        r#"{"type":"function_call","call_id":"c","name":"t"}"#,
    ];
    let mut history = history(items.map(|json| Item::from_json(json).unwrap()));
    let prompt = history.prompt(ReasoningFilter::CurrentTurn);
    assert_eq!((prompt.to_json().as_str(), prompt.item_count(), prompt.byte_len()), ("[]", 0, 2));
    assert_eq!(history.len(), 4);
    let incomplete = |call_id, index| (RepairKind::IncompleteItem, call_id, index);
    let expected = [incomplete(None, 1), incomplete(None, 2), incomplete(Some("c"), 3)];
    assert_eq!(kinds(&history.normalise()), expected);
    assert_eq!(history.len(), 1);
    assert_eq!(history.normalise(), []);
}

#[test]
fn forks_share_what_is_common_and_never_see_each_other() {
    let mut parent = history((0..2_000).map(|i| Item::user(format!("message {i}"))));
    let snapshot = parent.prompt(ReasoningFilter::CurrentTurn);
    let before = snapshot.to_json();
    let mut fork = parent.clone();
    fork.record(Item::user("fork only"));
    parent.record(Item::user("parent only"));
    assert_eq!(fork.get(1_999), parent.get(1_999));
    assert_eq!(fork.get(2_000), Some(&Item::user("fork only")));
    assert_eq!(parent.get(2_000), Some(&Item::user("parent only")));
    assert_eq!(snapshot.to_json(), before, "a prompt is a snapshot");
    assert_eq!(parent.get(2_001), None);
}

#[test]
fn insertion_far_back_keeps_order_and_marks() {
    let mut history = history([call("early")]);
    history.extend((0..1_500).map(|i| Item::assistant(format!("{i}"))));
    history.begin_turn();
    history.extend([Item::user("now"), Item::reasoning(&["r"], None), Item::assistant("a")]);
    history.record_output(out("early", "late"));
    assert_eq!(history.get(1), Some(&out("early", "late")));
    assert_eq!(history.get(2), Some(&Item::assistant("0")));
    assert_eq!(history.len(), 1_505);
    let kept = history.prompt(ReasoningFilter::CurrentTurn);
    assert_eq!(kept.item_count(), 1_505, "the reasoning is still of the current turn");
    assert_eq!(kept.to_json().len(), kept.byte_len());
}

/// Where the bytes of a prompt lie.
fn places(prompt: &Prompt) -> Vec<*const u8> {
    prompt.runs().map(<[u8]>::as_ptr).collect()
}

#[test]
fn each_segment_is_encoded_once_for_each_format() {
    let mut history = history((0..3_000).map(|i| Item::assistant(format!("message {i}"))));
    let filter = ReasoningFilter::CurrentTurn;
    let first = places(&history.prompt(filter));
    assert!(first.len() > 5);
    assert_eq!(places(&history.clone().prompt(filter)), first, "a fork has the same bytes");
    history.set_format(WireFormat::with_item_ids());
    let other = places(&history.prompt(filter));
    assert!(other.iter().all(|place| !first.contains(place)));
    history.set_format(WireFormat::default());
    assert_eq!(places(&history.prompt(filter)), first, "it was remembered");
    history.set_format(WireFormat::with_item_ids());
    assert_eq!(places(&history.prompt(filter)), other);

    history.remove_oldest(1_000);
    let kept = places(&history.prompt(filter));
    let shared = kept.iter().filter(|place| other.contains(place)).count();
    assert!(shared >= 3, "whole segments that stay are shared: {shared} of {}", kept.len());
}

#[test]
fn what_a_snapshot_shares_is_not_copied_to_add_to_it() {
    let mut history = history((0..300).map(|i| Item::assistant(format!("{i:0100}"))));
    let filter = ReasoningFilter::CurrentTurn;
    let snapshot = history.prompt(filter);
    let before = places(&snapshot);
    assert_eq!(before.len(), 1);
    let mut fork = history.clone();
    for number in 0..20 {
        let held = (history.prompt(filter), history.clone());
        history.record(Item::assistant(format!("{number}")));
        fork.record(Item::assistant("of the fork"));
        let after = places(&history.prompt(filter));
        assert_eq!((after[0], after.len()), (before[0], 2), "the small rest alone is copied");
        assert_eq!(places(&fork.prompt(filter))[0], before[0]);
        drop(held);
    }
    assert_eq!((snapshot.item_count(), history.len(), fork.len()), (300, 320, 320));
}

#[test]
fn the_oldest_call_of_an_id_goes_with_its_own_output() {
    let outer = Item::function_call("x", "outer", "{}");
    let inner = Item::function_call("x", "inner", "{}");
    let items = [outer, inner.clone(), out("x", "of the inner"), out("x", "of the outer")];
    let mut history = history(items);
    assert_eq!(history.normalise(), []);
    assert_eq!(history.remove_oldest(1), 2);
    assert!(history.iter().eq(&[inner, out("x", "of the inner")]));
    assert_eq!(history.normalise(), []);
}

#[test]
fn items_too_long_for_any_server_are_cut_or_removed() {
    let long = "long\n".repeat(1_000);
    let config = || HistoryConfig { max_item_bytes: 600, ..HistoryConfig::default() };
    let mut history = History::with_config(HistoryConfig { output_limits: None, ..config() });
    let items = [
        Item::user("short"),
        Item::user(long.clone()),
        Item::reasoning(&[&long], None),
        Item::function_call("a", "tool", &long),
        out("a", &long),
        Item::custom_tool_call("b", "tool", &"\u{1}".repeat(900)),
        Item::custom_tool_call_output("b", CallOutput::text("short")),
        Item::from_json(&format!(r#"{{"type":"hologram","light":{long:?}}}"#)).unwrap(),
        Item::function_call("c", &long, "{}"),
        out("c", "orphan by then"),
        Item::assistant("short"),
    ];
    history.extend(items.clone());
    let oversize = |call_id, index| (RepairKind::OversizeItem, call_id, index);
    let repairs = history.normalise();
    let expected = [
        oversize(None, 1),
        oversize(None, 2),
        oversize(Some("a"), 3),
        oversize(Some("a"), 4),
        oversize(Some("b"), 5),
        oversize(None, 7),
        oversize(Some("c"), 8),
        (RepairKind::OrphanOutput, Some("c"), 9),
    ];
    assert_eq!(kinds(&repairs), expected);
    assert_eq!(history.len(), 7);
    assert!(history.iter().all(|item| item.json().len() <= 600));
    assert_eq!(history.get(2), Some(&Item::function_call("a", "tool", "{}")));
    assert!(history.get(1).unwrap().json().contains("tokens truncated"));
    assert_eq!(history.normalise(), []);
    assert_eq!(history.get(0), Some(&items[0]));
}

#[test]
fn reasoning_of_another_model_is_disowned_at_once() {
    let reasoning = || Item::reasoning(&["r"], Some("secret"));
    let mut history = history([
        Item::user("u"),
        reasoning(),
        call("a"),
        out("a", "1"),
        reasoning(),
        Item::assistant("t"),
    ]);
    let before = history.clone();
    let repairs = history.disown_reasoning();
    let foreign = |index| (RepairKind::ForeignReasoning, None, index);
    assert_eq!(kinds(&repairs), [foreign(1), foreign(4)]);
    let sent = texts(&history.prompt(ReasoningFilter::KeepAll));
    assert_eq!(sent, ["user:u", "call:a", "out:a=1", "assistant:t"]);
    assert_eq!(history.disown_reasoning(), []);
    assert_eq!(before.len(), 6, "a fork's edits do not show in its parent");
    history.record(reasoning());
    history.record(Item::assistant("of the new one"));
    assert_eq!(history.prompt(ReasoningFilter::KeepAll).item_count(), 6);
}

#[test]
fn an_output_before_its_call_is_moved_behind_it() {
    let mut history = history([
        out("a", "early"),
        Item::user("u"),
        call("b"),
        call("a"),
        out("b", "1"),
        out("a", "late"),
    ]);
    let before = RepairKind::OutputBeforeCall;
    let mut early = history.clone();
    early.cut(5);
    assert_eq!(kinds(&early.normalise()), [(before, Some("a"), 0)]);
    let expected = ["user:u", "call:b", "call:a", "out:a=early", "out:b=1"];
    assert_eq!(texts(&early.prompt(ReasoningFilter::CurrentTurn)), expected);
    let duplicate = (RepairKind::DuplicateOutput, Some("a"), 0);
    assert_eq!(kinds(&history.normalise()), [duplicate], "the call has one that is in its place");
}

#[test]
fn an_output_finds_its_call_among_calls_of_its_id_though_a_steer_came_between() {
    let mut history = History::default();
    history.begin_turn();
    history.record(Item::user("u"));
    history.extend([Item::function_call("x", "a", "{}"), Item::function_call("x", "b", "{}")]);
    history.record(Item::user("steer"));
    history.record_output(out("x", "of a"));
    history.record_output(out("x", "of b"));
    let expected = ["user:u", "call:x", "out:x=of a", "call:x", "out:x=of b", "user:steer"];
    assert_eq!(texts(&history.prompt(ReasoningFilter::CurrentTurn)), expected);
}

#[test]
fn large_segments_that_a_prefix_keeps_are_shared() {
    let mut history = history((0..3_000).map(|i| Item::assistant(format!("message {i}"))));
    let filter = ReasoningFilter::CurrentTurn;
    let before = places(&history.prompt(filter));
    let parts = [Part::New(Item::user("u")), Part::Keep(100..2_900), Part::New(Item::user("v"))];
    history.replace_prefix(2_950, parts).unwrap();
    let after = places(&history.prompt(filter));
    let shared = before.iter().filter(|place| after.contains(place)).count();
    assert_eq!(shared, before.len() - 2, "all but the two that are cut");
    assert!(after.len() <= before.len() + 3);
}

#[test]
fn a_prefix_is_compared_where_it_is_not_shared() {
    let whole = history((0..3_000).map(|i| Item::assistant(format!("message {i}"))));
    let compared = |one: &History, two: &History| {
        let unshared = one.0.segments.unshared(&two.0.segments).count();
        (one.starts_with(two), unshared)
    };
    assert_eq!(compared(&whole, &whole.clone()), (true, 0));
    let mut longer = whole.clone();
    longer.extend((0..1_000).map(|i| Item::user(format!("more {i}"))));
    assert_eq!(compared(&longer, &whole), (true, 0));
    assert_eq!(compared(&whole, &longer), (false, 0), "it is shorter");
    let mut shorter = whole.clone();
    shorter.cut(2_000);
    let (is_prefix, count) = compared(&longer, &shorter);
    assert!(is_prefix && count < FULL, "{count}: no more than the segment that was cut");
    let mut inserted = shorter.clone();
    inserted.replace_prefix(1_990, [Part::Keep(0..1_990), Part::New(call("a"))]).unwrap();
    assert!(!inserted.starts_with(&shorter) && !inserted.starts_with(&whole));
    let mut first = whole.clone();
    first.cut(FULL);
    let moved = whole.composed([Part::New(Item::assistant("message 0")), Part::Keep(0..3_000)]);
    assert!(!moved.unwrap().starts_with(&first), "a segment that is shared, but elsewhere");
    assert!(whole.starts_with(&History::default()) && !History::default().starts_with(&whole));
}

/// A segment holds no more items.
const FULL: usize = 512;

#[test]
fn switching_formats_leaves_no_crumbs() {
    let mut history = History::default();
    for number in 0..400 {
        let format =
            if number % 2 == 0 { WireFormat::with_item_ids() } else { WireFormat::default() };
        history.set_format(format);
        history.record(Item::assistant(format!("{number}")));
    }
    assert!(places(&history.prompt(ReasoningFilter::KeepAll)).len() < 10);
}

#[test]
fn outputs_that_are_recorded_behind_their_calls_lie_as_densely_as_any() {
    let mut appended = History::default();
    let mut recorded = History::default();
    for _ in 0..2_000 {
        appended.extend([call("c"), out("c", "output")]);
        recorded.record(call("c"));
        recorded.record_output(out("c", "output"));
    }
    let filter = ReasoningFilter::KeepAll;
    let runs = |history: &History| places(&history.prompt(filter)).len();
    assert_eq!(runs(&recorded), runs(&appended));
}

#[test]
fn a_range_costs_the_segments_that_it_lies_in() {
    let mut history = History::default();
    history.extend((0..5_000).map(|n| Item::user(n.to_string())));
    let segments = &history.0.segments;
    let count = |range: std::ops::Range<usize>| segments.placed_in(range).count();
    assert_eq!(segments.placed().count(), 10, "512 items each");
    assert_eq!([count(0..1), count(2_000..2_001), count(4_999..5_000)], [1; 3]);
    assert_eq!([count(0..5_000), count(511..513), count(0..512), count(7..7)], [10, 2, 1, 1]);
}
