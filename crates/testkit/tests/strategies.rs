//! The strategies give what they promise: sound conversations are sound, damaged ones often are not.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use longhaul_history::Item;
use longhaul_testkit::check::pairing;
use longhaul_testkit::strategies;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::Value;

/// The items as a program would send them that repairs nothing.
fn raw(items: &[Item]) -> Vec<Value> {
    let known = |json: &Value| json["type"] != "ghost_snapshot";
    let values = items.iter().map(|item| serde_json::from_str(item.json()).unwrap());
    values.filter(known).collect()
}

proptest! {
    #[test]
    fn conversations_pair_up(items in strategies::conversation(0..20)) {
        prop_assert_eq!(pairing(&raw(&items)), Ok(()));
    }

    #[test]
    fn marked_conversations_pair_up(items in strategies::marked_conversation(0..20)) {
        prop_assert_eq!(pairing(&raw(&items)), Ok(()));
        prop_assert!(items.iter().filter(|item| item.is_bridge()).count() <= 1);
        prop_assert!(items.iter().all(|item| !item.is_failed() || item.kind().is_output()));
    }

    #[test]
    fn malformed_items_and_raw_objects_are_items(
        malformed in strategies::malformed(),
        text in strategies::json_object_text(),
    ) {
        prop_assert_eq!(malformed.json().chars().next(), Some('{'));
        prop_assert_eq!(Item::from_json(&text).map(|item| item.json().to_owned()), Ok(text));
    }
}

#[test]
fn every_mark_occurs() {
    let mut runner = TestRunner::deterministic();
    let strategy = strategies::marked_conversation(8..20);
    let drawn: Vec<Item> =
        (0..100).flat_map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect();
    let count = |has: fn(&Item) -> bool| drawn.iter().filter(|item| has(item)).count();
    let counts = [Item::is_pinned, Item::is_failed, Item::is_bridge].map(count);
    assert!(counts.iter().all(|count| *count > 20), "{counts:?} of {}", drawn.len());
}

#[test]
fn damaged_conversations_and_loose_items_are_mostly_broken() {
    let mut runner = TestRunner::deterministic();
    for strategy in [strategies::damaged(8..20), strategies::items(8..20)] {
        let broken = (0..200).filter(|_| {
            let items = strategy.new_tree(&mut runner).unwrap().current();
            pairing(&raw(&items)).is_err()
        });
        let broken = broken.count();
        assert!((100..=200).contains(&broken), "{broken} of 200");
    }
}
