//! Items that are lost, and keep their places while records that count items are read.

use serde_json::json;

use crate::damage::starts;
use crate::log::{Log, new, outline, record};

/// An item that is lost keeps its place while records that count items are read.
#[test]
fn what_counts_items_counts_those_that_are_lost() {
    let mut log = Log::new();
    log.turn("1").user("a").turn("2").user("b").item_at(1, "c").user("d");
    log.add("turn_context", json!({"turn_id": "3", "model": "m", "told": true})).user("e");
    let compacted = json!({"replaced": 3, "parts": [new("x"), {"keep": [2, 3]}], "told": null});
    let edited = json!({"replaced": 2, "parts": [{"keep": [0, 1]}], "reason": "removed"});
    let starts = starts(&log.bytes);
    // Which line is lost, and what is left then: at once, with the compaction, with the edit.
    let table = [
        (2, ["^c ^b d ^e ", "x ^b d ^e ", "x ^d ^e "]),
        (4, ["^a c ^d ^e ", "x ^d ^e ", "x ^d ^e "]),
        (5, ["^a ^b d ^e ", "x ^b d ^e ", "x ^d ^e "]),
        (6, ["^a c ^b ^e ", "x ^b ^e ", "x ^e "]),
    ];
    for (line, left) in table {
        let mut log = log.clone();
        // In the payload, so that the head can still be read.
        let end = usize::try_from(starts[line + 1]).unwrap();
        log.bytes[end - 40] ^= 1;
        assert_eq!(outline(&log.salvage()), left[0], "{line}");
        assert_eq!(log.salvage().told[0].0, 3);
        log.add("compacted", compacted.clone());
        assert_eq!(outline(&log.salvage()), left[1], "{line}");
        log.add("edited", edited.clone());
        assert_eq!(outline(&log.salvage()), left[2], "{line}");
        assert_eq!(log.salvage().damage.len(), 1);
    }
}

/// Two in a row, and one behind a line that is lost and no item.
#[test]
fn items_that_are_lost_side_by_side_keep_their_places() {
    for lines in [vec![2, 3], vec![4, 5], vec![2, 3, 4, 5]] {
        let mut log = Log::new();
        log.user("a").user("b").user("c").turn("1").user("d").user("e");
        let starts = starts(&log.bytes);
        for line in &lines {
            let end = usize::try_from(starts[line + 1]).unwrap();
            log.bytes[end - 40] ^= 1;
        }
        log.add("compacted", json!({"replaced": 3, "parts": [new("x")], "told": null}));
        let left = if lines.contains(&5) { "x e " } else { "x ^d e " };
        assert_eq!(outline(&log.salvage()), left, "{lines:?}");
        assert_eq!(log.salvage().damage.len(), lines.len());
    }
}

/// What is not sound and not where it should be holds no place.
#[test]
fn a_damaged_copy_of_an_item_is_no_lost_item() {
    let mut log = Log::new();
    log.user("a").user("b");
    let start = usize::try_from(starts(&log.bytes)[1]).unwrap();
    let end = usize::try_from(starts(&log.bytes)[2]).unwrap();
    let mut copy = log.bytes[start..end].to_vec();
    copy[end - start - 40] ^= 1;
    log.bytes.extend(copy);
    log.user("c").add("edited", json!({"replaced": 3, "parts": [{"keep": [0, 2]}], "reason": "x"}));
    assert_eq!(outline(&log.salvage()), "a b ");
}

/// What a salvage writes in a new log comes to what the damaged log does, and goes on from there.
#[test]
fn the_places_of_lost_items_are_held_until_the_salvage_ends() {
    let mut log = Log::new();
    log.turn("1").add("lost_item", json!({})).turn("2").user("a");
    log.seal(&record("lost_item", "{}").with_at(1)).user("b").user("c");
    log.add("turn_context", json!({"turn_id": "3", "model": "m", "told": true})).user("d");
    // `(^) () ^a b c ^d`
    let edited = |n: usize| json!({"replaced": n, "parts": [{"keep": [0, n - 1]}], "reason": "x"});
    log.add("edited", edited(4));
    assert_eq!(
        (outline(&log.read().unwrap()).as_str(), log.read().unwrap().told[0].0),
        ("^a c ^d ", 3)
    );
    log.add("salvaged", json!({}));
    assert_eq!(
        (outline(&log.read().unwrap()).as_str(), log.read().unwrap().told[0].0),
        ("^a c ^d ", 3)
    );
    log.add("edited", edited(2));
    assert_eq!(outline(&log.read().unwrap()), "^a ^d ");
}
