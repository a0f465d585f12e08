//! G1 (sendable): whatever is recorded, what is sent is well formed.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use longhaul_history::{History, Item, ReasoningFilter};
use longhaul_testkit::{check, strategies};
use proptest::prelude::*;
use serde_json::Value;

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
    prop_assert_eq!(again, history);
    Ok(())
}

fn recorded(items: Vec<Item>) -> History {
    let mut history = History::default();
    history.extend(items);
    history
}

/// Outputs recorded as tools give them; everything else appended.
fn answered(items: Vec<Item>) -> History {
    let mut history = History::default();
    for item in items {
        if item.kind().is_output() {
            history.record_output(item);
        } else {
            history.record(item);
        }
    }
    history
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn any_items(items in strategies::items(0..30)) {
        check_and_repair(recorded(items.clone()))?;
        check_and_repair(answered(items))?;
    }

    #[test]
    fn damaged_conversations(items in strategies::damaged(1..20)) {
        check_and_repair(recorded(items.clone()))?;
        check_and_repair(answered(items))?;
    }

    #[test]
    fn objects_that_nobody_meant_as_items(texts in prop::collection::vec(strategies::json_object_text(), 0..10)) {
        let items = texts.iter().map(|text| Item::from_json(text).unwrap());
        check_and_repair(recorded(items.collect()))?;
    }

    #[test]
    fn sound_conversations_need_no_repair(items in strategies::conversation(0..20)) {
        let mut history = recorded(items.clone());
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
        check_and_repair(recorded(list.clone())).unwrap();
        check_and_repair(answered(list)).unwrap();
    }
}
