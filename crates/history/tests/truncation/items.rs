//! The outputs in items.

use longhaul_history::truncate::{OutputLimits, output, output_item};
use longhaul_history::{CallOutput, Item, OutputPart};
use longhaul_testkit::strategies::{item, json_object_text};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{any_limits, broken_limit, by_bytes, by_words, cut, limits};

fn shortened(item: &Item, limits: &OutputLimits) -> Option<Value> {
    output_item(item, limits, &by_words).map(|item| serde_json::from_str(item.json()).unwrap())
}

fn of(value: &Value) -> Item {
    Item::from_json(&value.to_string()).unwrap()
}

fn text_part(text: &str) -> Value {
    json!({"type": "input_text", "text": text})
}

/// T101 and T102: each kind of output is cut like the text in it, other fields stay in their place.
#[test]
fn t101_t102_an_output_is_cut_like_its_text() {
    let text = "a line\n".repeat(2_500);
    let short = cut(&text, &OutputLimits::default());
    assert!(short.starts_with("Total output lines: 2500\n\na line"));
    for kind in ["function_call_output", "custom_tool_call_output", "local_shell_call_output"] {
        let item = |text: &str| {
            let text = json!(text);
            let json = format!(
                r#"{{"status":"completed","type":"{kind}","call_id":"c","output":{text},"x":1.0e9}}"#
            );
            Item::from_json(&json).unwrap()
        };
        let once = output_item(&item(&text), &OutputLimits::default(), &by_words);
        assert_eq!(once, Some(item(&short)));
        assert_eq!(output_item(&item(&short), &OutputLimits::default(), &by_words), None);
    }
}

#[test]
fn other_items_are_never_touched() {
    let long = "x".repeat(20_000);
    let other = [
        Item::user(long.as_str()),
        Item::assistant(long.as_str()),
        Item::function_call("c", "tool", &long),
        Item::custom_tool_call("c", "tool", &long),
        of(&json!({"type": "hologram", "output": long})),
        of(&json!({"type": "function_call_output", "call_id": "c", "output": {"not": long}})),
    ];
    for item in other {
        assert_eq!(output_item(&item, &OutputLimits::default(), &by_words), None);
    }
}

#[test]
fn short_parts_stay_and_long_ones_share_what_is_left() {
    let image = json!({"type": "input_image", "image_url": "x".repeat(50_000)});
    let unknown = json!({"type": "hologram", "text": "y".repeat(50_000)});
    let long = "z".repeat(8_000);
    let parts = json!([text_part("short"), image, text_part(&long), unknown,
        {"type": "input_text", "text": long, "extra": 1}]);
    let item = of(&json!({"type": "function_call_output", "call_id": "c", "output": parts}));
    let got = shortened(&item, &OutputLimits::default()).unwrap()["output"].take();
    let lengths = |parts: &Value| -> Vec<usize> {
        let parts = parts.as_array().unwrap().iter();
        parts.map(|part| part["text"].as_str().map_or(0, str::len)).collect()
    };
    assert_eq!(lengths(&got), [5, 0, 5_117, 50_000, 5_117]);
    for i in [0, 1, 3] {
        assert_eq!(got[i], parts[i]);
    }
    let last = got[4]["text"].as_str().unwrap();
    assert!(last.starts_with("Total output lines: 1\n\nzzz") && last.ends_with("zzz"));
    assert_eq!(got[4], json!({"type": "input_text", "text": last, "extra": 1}));
}

#[test]
fn many_parts_lose_their_middle() {
    let parts: Vec<_> =
        (0..1_000).map(|n| text_part(&format!("part {n} {}", "x".repeat(20)))).collect();
    let item = of(&json!({"type": "custom_tool_call_output", "call_id": "c", "output": parts}));
    let short = shortened(&item, &limits(|limits| limits.max_bytes = 10 * 64)).unwrap();
    let mut expected = parts[..4].to_vec();
    expected.push(text_part("[... omitted 991 of 1000 texts ...]"));
    expected.extend_from_slice(&parts[995..]);
    assert_eq!(short["output"], Value::from(expected));
}

#[test]
fn more_parts_than_lines_lose_their_middle() {
    let parts: Vec<_> = (0..10).map(|n| text_part(&format!("part {n}"))).collect();
    let item = of(&json!({"type": "function_call_output", "call_id": "c", "output": parts}));
    let kept = |max_lines, head_percent| {
        let limits = limits(|limits| {
            limits.max_lines = max_lines;
            limits.head_percent = head_percent;
        });
        let parts = shortened(&item, &limits).unwrap()["output"].take();
        let texts = parts.as_array().unwrap().iter().map(|part| part["text"].clone());
        texts.collect::<Value>()
    };
    let marker = |dropped| format!("[... omitted {dropped} of 10 texts ...]");
    assert_eq!(kept(4, 50), json!(["part 0", marker(7), "part 8", "part 9"]));
    assert_eq!(kept(3, 90), json!(["part 0", marker(8), "part 9"]));
    assert_eq!(kept(2, 90), json!([marker(9), "part 9"]));
    assert_eq!(kept(1, 90), json!([marker(10)]));
    assert_eq!(kept(0, 90), json!([""]));
}

/// Strict readers refuse it, and so would a list of parts be taken for unknown ones.
#[test]
fn half_a_surrogate_pair_does_not_evade_the_limit() {
    let long = "x".repeat(20_000);
    let json = format!(
        r#"{{"type":"function_call_output","call_id":"c","output":[{{"type":"input_text","text":"\ud800{long}"}}]}}"#
    );
    let item = Item::from_json(&json).unwrap();
    let short = output_item(&item, &OutputLimits::default(), &by_words).unwrap();
    assert!(short.json().contains("\\n\\n\u{fffd}xxx") && short.json().len() < 10_400, "{short:?}");
}

#[test]
fn parts_share_lines_and_tokens() {
    let part = text_part(&"word\n".repeat(200));
    let item = of(&json!({"type": "function_call_output", "call_id": "c", "output": [part, part]}));
    let short = shortened(&item, &OutputLimits::default()).unwrap();
    let text = short["output"][0]["text"].as_str().unwrap();
    assert!(text.contains("omitted 77 of 200 lines") && text.lines().count() == 128, "{text}");

    let item = Item::function_call_output(
        "c",
        CallOutput::Parts(vec![
            OutputPart::InputText { text: "x".repeat(100) },
            OutputPart::InputText { text: "y".repeat(2_000) },
        ]),
    );
    let tokens = limits(|limits| limits.max_tokens = Some(200));
    let short = output_item(&item, &tokens, &by_bytes).unwrap();
    assert!(short.json().contains(&"x".repeat(100)));
    assert!(short.json().contains("truncated to fit 200 tokens"), "{short:?}");
}

/// All that a list of parts is held to.
fn check_parts(parts: &Value, limits: &OutputLimits) -> Result<(), TestCaseError> {
    let parts = parts.as_array().unwrap().iter();
    let texts: Vec<_> = parts
        .filter(|part| part["type"] == "input_text")
        .filter_map(|part| part["text"].as_str())
        .collect();
    for text in &texts {
        prop_assert_eq!(broken_limit(text, limits), None, "{:?}", text);
    }
    prop_assert!(texts.iter().map(|text| text.len()).sum::<usize>() <= limits.max_bytes);
    prop_assert!(texts.iter().map(|text| text.lines().count()).sum::<usize>() <= limits.max_lines);
    let tokens: u64 = texts.iter().map(|text| by_words(text)).sum();
    prop_assert!(tokens <= limits.max_tokens.unwrap_or(u64::MAX));
    Ok(())
}

fn any_part() -> impl Strategy<Value = Value> {
    let text = "([a-z é]{0,30}\n?){0,20}|x{300}|\\{\"a\":\"(b|\\\\n){0,90}\"\\}";
    prop_oneof![
        6 => text.prop_map(|text| text_part(&text)),
        1 => Just(json!({"type": "input_image", "image_url": "data:image/png;base64,AA=="})),
        1 => Just(json!({"type": "input_text", "no": "text"})),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn any_parts_are_within_any_limits(
        parts in vec(any_part(), 0..30),
        limits in any_limits(),
    ) {
        let item = of(&json!({"type": "function_call_output", "call_id": "c", "output": parts, "z": 1}));
        let Some(once) = output_item(&item, &limits, &by_words) else {
            return check_parts(&Value::from(parts), &limits);
        };
        let value: Value = serde_json::from_str(once.json()).unwrap();
        check_parts(&value["output"], &limits)?;
        prop_assert_eq!(output_item(&once, &limits, &by_words), None);
        let others = |parts: &[Value]| -> Vec<Value> {
            parts.iter().filter(|part| part.get("text").is_none()).cloned().collect()
        };
        prop_assert_eq!(others(value["output"].as_array().unwrap()), others(&parts));
        prop_assert_eq!((&value["z"], once.kind(), once.call_id()), (&json!(1), item.kind(), item.call_id()));
    }

    #[test]
    fn an_output_is_cut_like_its_text(text in "([a-z é\"]{0,30}\n?){0,40}", limits in any_limits()) {
        let item = Item::function_call_output("c", CallOutput::text(text.as_str()));
        let short = output(&text, &limits, &by_words);
        let expected = short.cut.map(|_| Item::function_call_output("c", CallOutput::text(short.text)));
        prop_assert_eq!(output_item(&item, &limits, &by_words), expected);
    }

    #[test]
    fn anything_that_is_an_item_can_be_cut_once(
        item in prop_oneof![item(), json_object_text().prop_map(|json| Item::from_json(&json).unwrap())],
        limits in any_limits(),
    ) {
        let Some(once) = output_item(&item, &limits, &by_words) else { return Ok(()) };
        prop_assert!(item.kind().is_output());
        prop_assert_eq!((once.kind(), once.call_id(), once.id()), (item.kind(), item.call_id(), item.id()));
        prop_assert_eq!(output_item(&once, &limits, &by_words), None);
    }
}
