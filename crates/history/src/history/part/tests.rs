use super::*;
use crate::History;

fn whole() -> History {
    let mut whole = History::default();
    whole.extend((0..6).map(|i| Item::user(format!("{i}"))));
    whole
}

#[test]
fn a_turn_that_loses_its_first_item_begins_with_the_next_that_was_there() {
    let mut whole = History::default();
    for turn in 0..4 {
        whole.begin_turn();
        whole.extend(["question", "answer"].map(|text| Item::user(format!("{text} {turn}"))));
    }
    let new = || Part::New(Item::user("new"));
    // What is kept of the first six items; where turns begin then, and where the current one does.
    let table = [
        (vec![], vec![0], Some(0)),
        (vec![new()], vec![1], Some(1)),
        (vec![Part::Keep(0..6), new()], vec![0, 2, 4, 7], Some(7)),
        (vec![Part::Keep(1..2), new(), Part::Keep(5..6)], vec![0, 2, 3], Some(3)),
        (vec![new(), Part::Keep(1..3), new(), Part::Keep(4..4)], vec![1, 2, 4], Some(4)),
        (vec![new(), Part::Keep(3..4), new(), new()], vec![1, 4], Some(4)),
    ];
    for (parts, expected, start) in table {
        let mut replaced = whole.clone();
        replaced.replace_prefix(6, parts.clone()).unwrap();
        assert_eq!((turns(&replaced), replaced.turn_start()), (expected, start), "{parts:?}");
    }
    let mut none = whole.composed([new(), Part::Keep(0..1), new()]).unwrap();
    assert_eq!((turns(&none), none.turn_start()), (vec![1], Some(3)), "the next to come");
    none.record(Item::user("next"));
    assert_eq!((turns(&none), none.turn_start()), (vec![1, 3], Some(3)));
    assert_eq!((turns(&whole), whole.len()), (vec![0, 2, 4, 6], 8), "it stays as it is");
}

fn turns(history: &History) -> Vec<usize> {
    let entries = history.0.segments.entries(0..history.len()).enumerate();
    entries.filter(|(_, entry)| entry.starts_turn).map(|(index, _)| index).collect()
}

#[test]
fn parts_are_kept_in_order_or_not_at_all() {
    let whole = whole();
    let refused = |count, parts: &[Part]| whole.clone().replace_prefix(count, parts.to_vec());
    let not_in_order = |start, end, count| Err(EditError::NotInOrder { start, end, count });
    let keep = |start, end| Part::Keep(Range { start, end });
    assert_eq!(refused(4, &[keep(0, 2), keep(2, 2), keep(2, 4)]), Ok(()));
    assert_eq!(refused(4, &[keep(0, 2), keep(1, 3)]), not_in_order(1, 3, 4));
    assert_eq!(refused(4, &[keep(2, 3), keep(0, 1)]), not_in_order(0, 1, 4));
    assert_eq!(refused(4, &[keep(3, 5)]), not_in_order(3, 5, 4));
    assert_eq!(refused(4, &[keep(3, 1)]), not_in_order(3, 1, 4));
    assert_eq!(refused(4, &[keep(5, 5)]), not_in_order(5, 5, 4));
    let too_many = EditError::OutOfRange { what: "item", asked: 7, available: 6 };
    assert_eq!(refused(7, &[keep(6, 7)]), Err(too_many));
    assert_eq!(whole.composed([keep(0, 7)]).map(drop), not_in_order(0, 7, 6));
    let said = "items 3..5 cannot be kept: kept ranges are in order and within 0..4";
    assert_eq!(EditError::NotInOrder { start: 3, end: 5, count: 4 }.to_string(), said);
}

#[test]
fn parts_are_written_by_index_and_read_back() {
    let item = Item::from_json(r#"{"type":"hologram","depth":1e400}"#).unwrap();
    let parts = vec![Part::Keep(3..70), Part::New(item), Part::Keep(70..70)];
    let json = r#"[{"keep":[3,70]},{"new":{"type":"hologram","depth":1e400}},{"keep":[70,70]}]"#;
    assert_eq!(serde_json::to_string(&parts).unwrap(), json);
    assert_eq!(serde_json::from_str::<Vec<Part>>(json).unwrap(), parts);
    for wrong in [r#"{"keep":[1]}"#, r#"{"keep":[-1,2]}"#, r#"{"new":[1]}"#, r#"{"old":{}}"#] {
        assert!(serde_json::from_str::<Part>(wrong).is_err(), "{wrong}");
    }
}
