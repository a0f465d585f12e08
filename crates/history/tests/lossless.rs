//! G11 (lossless): an item keeps every byte of what it came with, and what is sent of it keeps what nobody knows.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use longhaul_history::{History, Item, ItemKind, ReasoningFilter, WireFormat};
use longhaul_testkit::strategies;
use proptest::prelude::*;
use serde_json::Value;

/// The same JSON with white space around every token.
fn spread(json: &str) -> String {
    let (mut out, mut in_string, mut escaped) = (String::from(" "), false, false);
    for c in json.chars() {
        let is_token = !in_string && "{}[],:".contains(c);
        if in_string && !escaped && c == '\\' {
            escaped = true;
        } else {
            in_string ^= c == '"' && !escaped;
            escaped = false;
        }
        if is_token {
            out.extend(["\r\n", &c.to_string(), "\t "]);
        } else {
            out.push(c);
        }
    }
    out
}

fn wire(item: &Item, format: WireFormat) -> Option<Value> {
    let mut out = Vec::new();
    let is_sent = item.encode_wire(format, &mut out);
    is_sent.then(|| serde_json::from_slice(&out).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn any_object_comes_back_byte_for_byte(text in strategies::json_object_text()) {
        let item = Item::from_json(&text).unwrap();
        prop_assert_eq!(item.json(), &text);
        prop_assert_eq!(serde_json::to_string(&item).unwrap(), text.clone());
        prop_assert_eq!(&serde_json::from_str::<Item>(&text).unwrap(), &item);
        let spread = spread(&text);
        prop_assert_eq!(&Item::from_json(&spread).unwrap(), &item);
        prop_assert_eq!(serde_json::from_str::<Item>(&spread).unwrap(), item);
    }

    #[test]
    fn a_history_keeps_its_items_whole(items in strategies::items(0..20)) {
        let mut history = History::default();
        history.extend(items.clone());
        let kept: Vec<&str> = history.iter().map(Item::json).collect();
        let given: Vec<&str> = items.iter().map(Item::json).collect();
        prop_assert_eq!(kept, given);
    }

    #[test]
    fn unknown_fields_are_sent(item in strategies::with_unknown_fields()) {
        let whole: Value = serde_json::from_str(item.json()).unwrap();
        for format in [WireFormat::default(), WireFormat::with_item_ids()] {
            let sent = wire(&item, format);
            prop_assert_eq!(sent.is_none(), item.kind() == ItemKind::GhostSnapshot);
            let Some(sent) = sent else { continue };
            for (key, value) in whole.as_object().unwrap() {
                if item.kind() == ItemKind::Other {
                    prop_assert_eq!(&sent, &whole);
                } else if key.starts_with("x_") {
                    prop_assert_eq!(sent.get(key), Some(value).filter(|value| !value.is_null()));
                }
            }
        }
    }

    #[test]
    fn unknown_types_are_sent_whole(value in strategies::json_value()) {
        let json = serde_json::json!({"type": "hologram", "id": "h", "call_id": "c", "deep": value});
        let mut history = History::default();
        history.record(Item::from_json(&json.to_string()).unwrap());
        prop_assert_eq!(history.normalise(), []);
        let sent = history.prompt(ReasoningFilter::DropAll).to_json();
        prop_assert_eq!(sent, format!("[{json}]"));
    }
}
