//! G1 (sendable), G13 (the prefix stays): whatever is recorded, what is sent is well formed, and repairs are the same at
//! every run.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use longhaul_history::truncate::OutputLimits;
use longhaul_history::{History, HistoryConfig, ImageEdit, Item, ItemKind, ReasoningFilter};
use longhaul_testkit::{check, strategies};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

const FILTERS: [ReasoningFilter; 3] =
    [ReasoningFilter::CurrentTurn, ReasoningFilter::KeepAll, ReasoningFilter::DropAll];

/// Checks what is sent, whatever the filter.
fn check(history: &History) -> Result<(), TestCaseError> {
    for filter in FILTERS {
        let prompt = history.prompt(filter);
        let json = prompt.to_json();
        // A number that serde_json cannot hold is still JSON.
        let sent: Vec<Value> = serde_json::from_str(&json.replace("1e400", "1"))
            .map_err(|error| TestCaseError::fail(format!("{error}: {json}")))?;
        prop_assert_eq!(check::pairing(&sent), Ok(()), "{}", json);
        prop_assert_eq!(prompt.item_count(), sent.len());
        prop_assert_eq!(prompt.byte_len(), json.len());
    }
    Ok(())
}

/// Checks before, within and after the repair.
fn check_and_repair(mut history: History) -> Result<(), TestCaseError> {
    check(&history)?;
    let seen = FILTERS.map(|filter| history.prompt(filter));
    let before = history.clone();
    let repairs = history.normalise();
    check(&history)?;
    let now = FILTERS.map(|filter| history.prompt(filter));
    prop_assert_eq!(&now, &seen, "the view repairs as the repair does");
    prop_assert_eq!(history.normalise(), [], "idempotent");
    prop_assert_eq!(repairs.is_empty(), history == before, "reported if changed");
    let mut again = before;
    prop_assert_eq!(again.normalise(), repairs, "deterministic");
    prop_assert_eq!(&again, &history);
    let mut read_back = History::with_config(history.config().clone());
    read_back.extend(history.iter().cloned());
    prop_assert_eq!(&read_back, &history, "recording it again changes nothing");
    prop_assert_eq!(read_back.normalise(), [], "and there is nothing to repair");
    Ok(())
}

fn recorded(config: &HistoryConfig, items: Vec<Item>) -> History {
    let mut history = History::with_config(config.clone());
    history.extend(items);
    history
}

/// Outputs recorded as tools give them; everything else appended.
fn answered(config: &HistoryConfig, items: Vec<Item>) -> History {
    let mut history = History::with_config(config.clone());
    for item in items {
        if item.kind().is_output() {
            history.record_output(item);
        } else {
            history.record(item);
        }
    }
    history
}

/// Limits of all sizes, for which most items are too long, and none.
fn config() -> impl Strategy<Value = HistoryConfig> {
    let item_bytes = prop_oneof![Just(usize::MAX), 60_usize..600];
    let output_bytes = prop::option::of(20_usize..300);
    (item_bytes, output_bytes).prop_map(|(item_bytes, output_bytes)| {
        let mut config = HistoryConfig::default();
        config.max_item_bytes = item_bytes;
        if let Some(bytes) = output_bytes {
            let mut limits = OutputLimits::default();
            limits.max_bytes = bytes;
            config.output_limits = Some(limits);
        }
        config
    })
}

/// Long texts, and images that some or no models read, in messages and outputs.
fn oversize() -> impl Strategy<Value = Item> {
    let text = "[a-z\\n\u{1}]{0,700}".prop_map(|text| json!({"type": "input_text", "text": text}));
    let url = select(vec![
        "data:image/png;base64,AA==",
        "data:image/heic;base64,AA==",
        "DATA:image/tiff,x",
        "data:image/png;base64",
        "https://example.com/cat.png",
        "",
    ]);
    let image = url.prop_map(|url| json!({"type": "input_image", "image_url": url}));
    let parts = prop::collection::vec(prop_oneof![text, image], 0..4);
    let role = select(vec!["user", "assistant"]);
    (parts, role, any::<bool>()).prop_map(|(parts, role, is_output)| {
        let item = if is_output {
            json!({"type": "function_call_output", "call_id": "call_1", "output": parts})
        } else {
            json!({"type": "message", "role": role, "content": parts})
        };
        Item::from_json(&item.to_string()).unwrap()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn any_items(config in config(), items in strategies::items(0..30)) {
        check_and_repair(recorded(&config, items.clone()))?;
        check_and_repair(answered(&config, items))?;
    }

    #[test]
    fn items_of_any_length(
        config in config(),
        items in prop::collection::vec(prop_oneof![oversize(), strategies::item()], 0..12),
    ) {
        check_and_repair(recorded(&config, items.clone()))?;
        let mut history = answered(&config, items);
        history.normalise();
        let is_short = |item: &Item| {
            let sent = item.edit_images(&ImageEdit::Strip).map_or(item.clone(), |(item, _)| item);
            sent.json().len() <= config.max_item_bytes.saturating_add(60)
        };
        let mut sent = history.iter().filter(|item| item.kind() != ItemKind::GhostSnapshot);
        prop_assert!(sent.all(is_short), "{:?}", history);
        check_and_repair(history.clone())?;
    }

    #[test]
    fn damaged_conversations(config in config(), items in strategies::damaged(1..20)) {
        check_and_repair(recorded(&config, items.clone()))?;
        check_and_repair(answered(&config, items))?;
    }

    #[test]
    fn objects_that_nobody_meant_as_items(texts in prop::collection::vec(strategies::json_object_text(), 0..10)) {
        let items = texts.iter().map(|text| Item::from_json(text).unwrap());
        check_and_repair(recorded(&HistoryConfig::default(), items.collect()))?;
    }

    #[test]
    fn sound_conversations_need_no_repair(items in strategies::conversation(0..20)) {
        let mut history = recorded(&HistoryConfig::default(), items.clone());
        prop_assert_eq!(history.normalise(), []);
        prop_assert!(history.iter().eq(&items));
        check(&history)?;
    }
}

/// All lists of up to `length` calls and outputs with these ids.
fn all_lists(ids: &[&str], length: usize) -> Vec<Vec<Item>> {
    let kinds = [
        r#"{"type":"function_call","call_id":"ID","name":"t","arguments":""}"#,
        r#"{"type":"custom_tool_call","call_id":"ID","name":"t","input":""}"#,
        r#"{"type":"local_shell_call","id":"ID","action":{}}"#,
        r#"{"type":"function_call_output","call_id":"ID","output":""}"#,
        r#"{"type":"custom_tool_call_output","call_id":"ID","output":""}"#,
        r#"{"type":"local_shell_call_output","id":"ID","output":""}"#,
    ];
    let texts = kinds.iter().flat_map(|kind| ids.iter().map(|id| kind.replace("ID", id)));
    let items: Vec<Item> = texts.map(|text| Item::from_json(&text).unwrap()).collect();
    let mut lists = vec![vec![]];
    let mut longest = lists.clone();
    for _ in 0..length {
        let longer = |list: &Vec<Item>| {
            let list = list.clone();
            let append = move |item: &Item| [list.clone(), vec![item.clone()]].concat();
            items.iter().map(append).collect::<Vec<_>>()
        };
        longest = longest.iter().flat_map(longer).collect();
        lists.extend(longest.clone());
    }
    lists
}

#[test]
fn all_short_lists_of_calls_and_outputs() {
    let lists = [all_lists(&["a"], 4), all_lists(&["a", "b"], 3)].concat();
    assert_eq!(lists.len(), (1 + 6 + 36 + 216 + 1296) + (1 + 12 + 144 + 1728));
    for list in lists {
        let config = HistoryConfig::default();
        check_and_repair(recorded(&config, list.clone())).unwrap();
        check_and_repair(answered(&config, list)).unwrap();
    }
}
