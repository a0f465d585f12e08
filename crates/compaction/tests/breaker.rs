//! What stops compactions that lead nowhere.

mod common;

use common::{assistant, bridge, call, history, output, user};
use longhaul_compaction::{Breaker, BreakerLimits, Stopped};
use longhaul_history::{History, Item};

const CLEARED: &str = "[output cleared to save room; call the tool again if it is needed]";

fn limits(stalled: u32, turns: u64) -> BreakerLimits {
    let mut limits = BreakerLimits::default();
    (limits.stalled, limits.turns) = (stalled, turns);
    limits
}

fn breaker(stalled: u32, turns: u64) -> Breaker {
    let mut breaker = Breaker::new(limits(stalled, turns));
    breaker.begin_turn();
    breaker
}

fn read(id: &str, file: &str, text: &str) -> [Item; 2] {
    [call(id, file), output(id, text)]
}

/// A conversation that was compacted, and what came of the work since.
fn since(work: impl IntoIterator<Item = Item>) -> History {
    history([bridge(&["one"], "s")].into_iter().chain(work))
}

fn before() -> History {
    history([user("one")].into_iter().chain(read("1", "a", "A")).chain(read("2", "b", "B")))
}

/// A breaker behind a compaction that has been tested.
fn compacted() -> Breaker {
    let mut breaker = breaker(1, 3);
    breaker.compacted(&before(), &since([]));
    respond(&mut breaker, 3);
    breaker
}

/// So many responses that reach no limit.
fn respond(breaker: &mut Breaker, count: usize) {
    for _ in 0..count {
        breaker.measured(Some(1), 100);
    }
}

/// Every sequence of failures over turns, against the rule: so many in a window of turns.
#[test]
fn failures_in_a_few_turns_open_it_and_it_closes_after_as_many() {
    for (stalled, turns) in [(1, 1), (1, 3), (2, 1), (2, 3), (3, 2), (2, 0), (0, 3)] {
        for pattern in 0..3_u32.pow(6) {
            let failures: Vec<u32> = (0..6).map(|turn| pattern / 3_u32.pow(turn) % 3).collect();
            let mut breaker = Breaker::new(limits(stalled, turns));
            // By the rule: when each failure was, and up to when it is open.
            let (mut stalls, mut until): (Vec<i64>, Option<i64>) = (Vec::new(), None);
            let width = i64::try_from(turns.max(1)).unwrap();
            for (turn, count) in failures.iter().enumerate() {
                let turn = i64::try_from(turn).unwrap();
                breaker.begin_turn();
                if until.is_some_and(|until| turn > until) {
                    (stalls, until) = (Vec::new(), None);
                }
                for _ in 0..*count {
                    breaker.failed();
                    stalls.push(turn);
                    stalls.retain(|stall| *stall > turn - width);
                    if stalls.len() >= stalled.max(1) as usize && until.is_none() {
                        until = Some(turn + width - 1);
                    }
                }
                let case = (stalled, turns, &failures, turn);
                assert_eq!(breaker.is_open(), until.is_some(), "{case:?}");
            }
        }
    }
}

/// F173: compact, read the same again, compact.
#[test]
fn only_something_new_is_progress() {
    let table: [(Vec<Item>, bool); 11] = [
        (vec![], false),
        (vec![assistant("I shall read it again.")], false),
        (read("9", "a", "A").to_vec(), false),
        ([read("9", "b", "B"), read("9", "a", "A")].concat(), false),
        (read("1", "a", "changed").to_vec(), true),
        (read("1", "c", "A").to_vec(), true),
        ([read("9", "a", "A"), read("8", "a", "new")].concat(), true),
        (vec![user("one")], false),
        (vec![user("two")], true),
        // A message of its own that says the same.
        (vec![user("one").with_client_id("m-2")], true),
        (vec![common::environment("cwd")], false),
    ];
    for (work, is_allowed) in table {
        assert_eq!(compacted().allows(&since(work.clone())), is_allowed, "{work:?}");
    }
}

/// What a compaction leaves as it is, messages and results, is not new after it.
#[test]
fn what_a_tail_keeps_is_not_new() {
    let kept = [vec![user("two")], read("3", "c", "C").to_vec()].concat();
    let before = history([items(&before()), kept.clone()].concat());
    let mut breaker = breaker(1, 3);
    breaker.compacted(&before, &since([]));
    respond(&mut breaker, 3);
    assert!(!breaker.clone().allows(&since([kept.clone(), read("4", "a", "A").to_vec()].concat())));
    assert!(breaker.clone().allows(&since([kept.clone(), vec![user("three")]].concat())));
    assert!(breaker.allows(&since([kept, read("4", "d", "D").to_vec()].concat())));
}

/// Outputs that were cleared, and then read again.
#[test]
fn what_was_edited_is_not_new() {
    let cleared = history(
        [user("one")].into_iter().chain(read("1", "a", CLEARED)).chain(read("2", "b", "B")),
    );
    let mut breaker = breaker(1, 3);
    breaker.compacted(&before(), &cleared);
    respond(&mut breaker, 3);
    let with = |work: &[Item]| history([items(&cleared), work.to_vec()].concat());
    assert!(!breaker.clone().allows(&with(&read("5", "a", "A"))));
    assert!(breaker.clone().allows(&with(&read("5", "a", "A, changed"))));
    assert!(breaker.allows(&with(&[user("two")])));
}

/// A circle may be longer than one compaction.
#[test]
fn what_was_seen_stays_seen() {
    let mut breaker = breaker(2, 3);
    let mut allowed = Vec::new();
    for file in ["a", "b", "c", "a", "b", "c"] {
        let work = since(read(file, file, file));
        allowed.push(breaker.allows(&work));
        breaker.compacted(&work, &since([]));
        respond(&mut breaker, 3);
    }
    assert_eq!(allowed, [true, true, true, true, false, false], "two of what was seen before");
}

/// New results do not excuse room that is gone at once; a message of the user does.
#[test]
fn room_that_does_not_last_is_no_progress() {
    for (responses, work, is_allowed) in [
        (2, read("7", "x", "X").to_vec(), false),
        (3, read("7", "x", "X").to_vec(), true),
        (1, vec![user("two")], true),
    ] {
        let mut breaker = breaker(1, 3);
        breaker.compacted(&before(), &since([]));
        respond(&mut breaker, responses);
        assert_eq!(breaker.allows(&since(work)), is_allowed, "{responses}");
    }
}

/// What only shortened items leaves the rest to the next rung.
#[test]
fn a_limit_that_is_still_reached_says_nothing_where_no_bridge_was_made() {
    for (after, is_open) in [(since([]), true), (before(), false)] {
        let mut breaker = breaker(2, 3);
        breaker.compacted(&before(), &after);
        breaker.measured(Some(200), 100);
        assert_eq!(breaker.is_open(), is_open);
    }
}

fn items(history: &History) -> Vec<Item> {
    common::items(history)
}

#[test]
fn it_takes_as_many_as_the_limits_say() {
    let mut breaker = breaker(2, 3);
    breaker.compacted(&before(), &since([]));
    assert!(breaker.allows(&since([])), "one without progress");
    breaker.compacted(&since([]), &since([]));
    assert!(!breaker.allows(&since([])), "two");
    breaker.begin_turn();
    breaker.begin_turn();
    assert!(!breaker.allows(&since([user("two")])));
    breaker.begin_turn();
    assert!(breaker.allows(&since([])), "it is closed, and knows nothing of before");
}

#[test]
fn stalls_are_forgotten_after_some_turns() {
    let mut breaker = breaker(2, 2);
    breaker.failed();
    breaker.begin_turn();
    breaker.begin_turn();
    breaker.failed();
    assert!(!breaker.is_open());
    breaker.begin_turn();
    breaker.failed();
    assert!(breaker.is_open());
}

#[test]
fn the_response_behind_a_compaction_opens_it_at_once() {
    let after = |reports: &[(Option<u64>, u64)]| {
        let mut breaker = breaker(2, 3);
        breaker.compacted(&before(), &since([]));
        for (used, limit) in reports {
            breaker.measured(*used, *limit);
        }
        breaker.is_open()
    };
    assert!(after(&[(Some(100), 100)]));
    let mut circling = compacted();
    assert!(!circling.allows(&since([])));
    assert_eq!(circling.take_untold(), Some(Stopped::Circle));
    assert!(after(&[(Some(101), 100)]));
    assert!(!after(&[(Some(99), 100)]));
    // Only the first says whether it helped.
    assert!(!after(&[(Some(99), 100), (Some(200), 100)]));
    // F174: no usage is no finding.
    assert!(!after(&[(None, 100)]));
    assert!(!after(&[(Some(0), 0)]));
    let mut never_compacted = breaker(2, 3);
    never_compacted.measured(Some(200), 100);
    assert!(!never_compacted.is_open());
}

#[test]
fn it_is_told_once() {
    let mut breaker = breaker(1, 3);
    assert_eq!(breaker.take_untold(), None);
    breaker.failed();
    assert_eq!([(); 3].map(|()| breaker.take_untold()), [Some(Stopped::Failures), None, None]);
    breaker.failed();
    assert_eq!(breaker.take_untold(), None);
    for _ in 0..3 {
        breaker.begin_turn();
    }
    assert!(!breaker.is_open());
    breaker.failed();
    assert_eq!(breaker.take_untold(), Some(Stopped::Failures));
}

#[test]
fn it_is_reset_where_things_have_changed() {
    let mut breaker = compacted();
    breaker.failed();
    assert!(breaker.is_open());
    breaker.reset();
    assert!(!breaker.is_open() && breaker.allows(&since([])));
    breaker.measured(Some(200), 100);
    assert!(!breaker.is_open());
    breaker.failed();
    assert_eq!(breaker.take_untold(), Some(Stopped::Failures));
}
