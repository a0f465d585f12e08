//! G11 (lossless): fields of our own stay with an item, and neither a model nor a count of tokens sees them.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use longhaul_history::tokens::{Estimator, TokenCounter};
use longhaul_history::turn_item::{TurnItemKind, is_context};
use longhaul_history::{
    BridgeParts, CallOutput, ContentPart, History, ImageEdit, Item, OutputPart, ReasoningFilter,
    Role, WireFormat,
};
use longhaul_testkit::strategies;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::Value;

fn formats() -> [WireFormat; 3] {
    [WireFormat::default(), WireFormat::with_item_ids(), WireFormat::without_images()]
}

fn wire(item: &Item, format: WireFormat) -> Option<String> {
    let mut out = Vec::new();
    item.encode_wire(format, &mut out).then(|| String::from_utf8(out).unwrap())
}

fn text(text: &str) -> ContentPart {
    ContentPart::InputText { text: text.into() }
}

fn parts(user_messages: &[&str], summary: &str) -> BridgeParts {
    let user_messages = user_messages.iter().map(|message| (*message).to_owned()).collect();
    BridgeParts { user_messages, summary: summary.into() }
}

/// An item with a field of our own in front of its others.
fn with_field_in_front(item: &Item, field: &str) -> Item {
    let rest = item.json().strip_prefix('{').unwrap();
    let comma = if rest == "}" { "" } else { "," };
    Item::from_json(&format!("{{{field}{comma}{rest}")).unwrap()
}

/// Pinned, failed, a bridge.
fn marks(item: &Item) -> [bool; 3] {
    [item.is_pinned(), item.is_failed(), item.is_bridge()]
}

fn own_field() -> impl Strategy<Value = &'static str> {
    select(vec![
        r#""longhaul_id":"own""#,
        r#""longhaul_pinned":true"#,
        r#""longhaul_failed":true"#,
        r#""longhaul_pinned":{"image_url":"data:image/png;base64,AA==","detail":["low",null]}"#,
        r#""longhaul_bridge":{"user_messages":["many words of a user",[0,1]],"summary":"done"}"#,
        r#""longhaul_bridge":[{"type":"x","encrypted_content":"gAAAAA==","file_data":"AAAA"}]"#,
    ])
}

fn any_item() -> impl Strategy<Value = Item> {
    let object = strategies::json_object_text().prop_map(|text| Item::from_json(&text).unwrap());
    prop_oneof![3 => strategies::item(), 1 => object]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn what_is_marked_is_sent_and_counted_as_if_it_were_not(
        item in any_item(),
        fields in prop::collection::vec(own_field(), 1..4),
    ) {
        let mut marked = item.clone();
        for field in fields {
            marked = with_field_in_front(&marked, field);
        }
        for marked in [marked.clone(), marked.pinned().failed().with_client_id("own"), item.failed()] {
            for format in formats() {
                prop_assert_eq!(wire(&marked, format), wire(&item, format));
            }
            let counter = Estimator::default();
            prop_assert_eq!(counter.count_item(&marked), counter.count_item(&item));
            prop_assert_eq!(marked.kind(), item.kind());
        }
    }

    #[test]
    fn marks_come_back_from_a_log(item in any_item(), bridge in strategies::bridge()) {
        let marked = [
            (item.pinned(), [true, false, false]),
            (item.failed(), [false, true, false]),
            (item.failed().pinned(), [true, true, false]),
            (bridge.pinned(), [true, false, true]),
            (item.with_client_id("own"), [false; 3]),
        ];
        for (item, expected) in marked {
            prop_assert_eq!(marks(&item), expected);
            let read = Item::from_json(item.json()).unwrap();
            prop_assert_eq!(marks(&read), expected);
            prop_assert_eq!(read.bridge_parts(), item.bridge_parts());
            prop_assert_eq!(read.shown_id(), item.shown_id());
            prop_assert_eq!(&item.pinned().pinned(), &item.pinned());
        }
        prop_assert_eq!(marks(&item), [false; 3], "the item that was given stays as it is");
    }
}

#[test]
fn fields_of_others_that_begin_like_ours_are_sent() {
    let table = [
        (
            r#"{"type":"hologram","longhaul_pin":1,"longhaul_pinned":true,"\u0061":[1.50,null],"b":"longhaul_id"}"#,
            r#"{"type":"hologram","longhaul_pin":1,"\u0061":[1.50,null],"b":"longhaul_id"}"#,
        ),
        (
            r#"{"longhaul_bridge":{},"type":"hologram","deep":{"longhaul_id":"theirs"}}"#,
            r#"{"type":"hologram","deep":{"longhaul_id":"theirs"}}"#,
        ),
        (
            r#"{"type":"message","role":"user","longhaul_id":"ours","longhaul_ids":7,"content":[{"type":"input_text","text":"t","longhaul_failed":true}]}"#,
            r#"{"type":"message","role":"user","longhaul_ids":7,"content":[{"type":"input_text","text":"t","longhaul_failed":true}]}"#,
        ),
    ];
    for (item, sent) in table {
        let item = Item::from_json(item).unwrap();
        assert_eq!(wire(&item, WireFormat::default()).unwrap(), sent);
        let tokens = |item: &Item| Estimator::default().count_item(item);
        let sent = Item::from_json(sent).unwrap();
        assert_eq!(tokens(&item), tokens(&sent), "what is sent is counted");
    }
    let deep = |part: &str| {
        let message = format!(r#"{{"role":"user","content":[{{"type":"input_text"{part}}}]}}"#);
        Estimator::default().count_item(&Item::from_json(&message).unwrap())
    };
    let theirs = deep(r#","longhaul_id":"words of theirs""#);
    assert!(theirs > deep(""), "it is sent too");
}

#[test]
fn a_mark_is_what_it_must_be_and_the_last_of_two_counts() {
    let table = [
        (r#"{"type":"x","longhaul_pinned":"true"}"#, [false; 3]),
        (r#"{"type":"x","longhaul_pinned":1,"longhaul_failed":null}"#, [false; 3]),
        (r#"{"type":"x","longhaul_pinned":true,"longhaul_pinned":false}"#, [false; 3]),
        (r#"{"type":"x","longhaul_failed":false,"longhaul_failed":true}"#, [false, true, false]),
        (r#"{"type":"x","text":"\"longhaul_pinned\":true"}"#, [false; 3]),
        (r#"{"type":"x","deep":{"longhaul_pinned":true}}"#, [false; 3]),
        (r#"{"type":"x","longhaul_bridge":{}}"#, [false; 3]),
        (r#"{"role":"assistant","content":"a","longhaul_bridge":{}}"#, [false; 3]),
        (r#"{"role":"user","content":"a","longhaul_bridge":[]}"#, [false; 3]),
        (r#"{"role":"user","content":"a","longhaul_bridge":{}}"#, [false, false, true]),
    ];
    for (json, expected) in table {
        let item = Item::from_json(json).unwrap();
        assert_eq!(marks(&item), expected, "{json}");
        assert_eq!(item.bridge_parts(), None, "{json}");
    }
}

#[test]
fn marks_stay_with_items_that_are_cut_or_edited() {
    let image = OutputPart::InputImage { image_url: "https://x/y.png".into() };
    let mut history = History::default();
    history.extend([
        Item::function_call("a", "tool", "{}"),
        Item::function_call_output("a", CallOutput::text("a line\n".repeat(9_000))).failed(),
        Item::function_call("b", "tool", "{}").pinned(),
        Item::function_call_output("b", CallOutput::Parts(vec![image])).failed().pinned(),
    ]);
    assert_eq!(history.edit_images(0..4, &ImageEdit::Strip), 1);
    assert!(history.get(1).unwrap().json().len() < 20_000);
    let marks: Vec<_> = history.iter().map(marks).collect();
    let (none, failed) = ([false; 3], [false, true, false]);
    assert_eq!(marks, [none, failed, [true, false, false], [true, true, false]]);
    assert!(!history.prompt(ReasoningFilter::KeepAll).to_json().contains("longhaul"));
}

#[test]
fn a_bridge_is_no_message_of_the_user() {
    let bridge = Item::bridge(&[text("Mend the roof.")], &parts(&["Mend the roof."], ""));
    assert!(is_context(&bridge));
    assert_eq!(TurnItemKind::of(&bridge), Some(TurnItemKind::ContextCompaction));
    let mut history = History::default();
    history.extend([bridge, Item::user("now"), Item::assistant("done")]);
    assert_eq!((history.user_message_count(), history.user_message(0)), (1, Some(1)));
    assert_eq!((history.turn_count(), history.turn_start()), (1, Some(1)));
    assert_eq!(history.prompt(ReasoningFilter::KeepAll).item_count(), 3, "but it is sent");
}

#[test]
fn parts_that_the_text_holds_are_ranges_in_it_and_others_are_texts() {
    let table = [
        ("", parts(&[], ""), r#"{"user_messages":[],"summary":[0,0]}"#),
        ("a b c", parts(&["a", "b"], "c"), r#"{"user_messages":[[0,1],[2,3]],"summary":[4,5]}"#),
        ("aba", parts(&["a", "a"], "a"), r#"{"user_messages":[[0,1],[2,3]],"summary":"a"}"#),
        ("aaa", parts(&["aa", "aa"], ""), r#"{"user_messages":[[0,2],"aa"],"summary":[2,2]}"#),
        ("b a", parts(&["a", "b"], "b a"), r#"{"user_messages":[[2,3],"b"],"summary":"b a"}"#),
        ("é😀\"", parts(&["😀", "x"], "\""), r#"{"user_messages":[[2,6],"x"],"summary":[6,7]}"#),
    ];
    for (body, parts, field) in table {
        let bridge = Item::bridge(&[text(body)], &parts);
        assert!(bridge.json().ends_with(&format!(r#","longhaul_bridge":{field}}}"#)), "{bridge:?}");
        assert_eq!(bridge.bridge_parts(), Some(parts));
    }
    let picture = ContentPart::InputImage { image_url: "https://x/y.png".into() };
    let given = parts(&["second"], "third");
    let bridge = Item::bridge(&[picture, text("first second"), text("third")], &given);
    assert!(bridge.json().ends_with(r#"{"user_messages":[[6,12]],"summary":"third"}}"#));
    assert_eq!(bridge.bridge_parts(), Some(given.clone()));
    assert_eq!(Item::bridge(&[], &given).bridge_parts(), Some(given));
}

#[test]
fn a_bridge_whose_text_was_edited_says_nothing() {
    let bridge = Item::bridge(&[text("ask: é")], &parts(&["ask"], "é"));
    let edited = |from: &str, to: &str| {
        Item::from_json(&bridge.json().replace(from, to)).unwrap().bridge_parts()
    };
    assert_eq!(edited("zzz", ""), Some(parts(&["ask"], "é")));
    assert_eq!(edited("ask: é", "ask"), None, "too short");
    assert_eq!(edited("ask: é", "ask:é-"), None, "in the middle of a character");
    assert_eq!(edited("[0,3]", "[3,0]"), None, "from behind");
    assert_eq!(edited("[0,3]", "[0,3,4]"), None);
    assert_eq!(edited("\"user\"", "\"assistant\""), None);
    assert_eq!(Item::message(Role::User, &[text("ask")]).bridge_parts(), None);
}

/// Texts that share much with each other.
fn alike() -> impl Strategy<Value = String> {
    prop_oneof!["[ab]{0,4}", "[ab\"\\\\é😀\n]{0,6}", strategies::text()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn a_bridge_gives_back_what_it_was_made_of(
        user_messages in prop::collection::vec(alike(), 0..6),
        summary in alike(),
        body in prop::collection::vec(prop_oneof![alike().prop_map(Ok), any::<Index>().prop_map(Err)], 0..8),
    ) {
        let parts = BridgeParts { user_messages, summary };
        let all = [&parts.user_messages[..], std::slice::from_ref(&parts.summary)].concat();
        let piece = |piece| match piece {
            Ok(text) => text,
            Err(which) => all[Index::index(&which, all.len())].clone(),
        };
        let body: String = body.into_iter().map(piece).collect();
        let bridge = Item::bridge(&[text(&body)], &parts);
        prop_assert_eq!(bridge.bridge_parts(), Some(parts.clone()));
        let read = Item::from_json(bridge.json()).unwrap();
        prop_assert_eq!(read.bridge_parts(), Some(parts));
        let sent = wire(&bridge, WireFormat::default());
        prop_assert_eq!(sent, wire(&Item::user(body), WireFormat::default()));
    }

    /// A text that holds all parts in their order holds each of them once.
    #[test]
    fn a_bridge_repeats_nothing_that_its_text_holds(
        user_messages in prop::collection::vec(alike(), 0..6),
        summary in alike(),
    ) {
        let body = format!("Asked:\n{}\nDone:\n{summary}", user_messages.join("\n"));
        let bridge = Item::bridge(&[text(&body)], &BridgeParts { user_messages, summary });
        let item: Value = serde_json::from_str(bridge.json()).unwrap();
        let field = &item["longhaul_bridge"];
        let mut pieces = field["user_messages"].as_array().unwrap().iter().chain([&field["summary"]]);
        prop_assert!(pieces.all(Value::is_array), "{}", field);
    }
}
