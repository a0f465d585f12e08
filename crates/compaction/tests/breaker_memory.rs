//! What a breaker remembers, taken down change by change, makes it again.

mod common;

use common::{bridge, call, history, output, user};
use longhaul_compaction::{Breaker, BreakerLimits, BreakerMemory, Stopped};
use longhaul_history::{History, Item};
use proptest::collection::vec;
use proptest::prelude::*;

/// What happens to a breaker.
#[derive(Debug, Clone)]
enum Step {
    Turn,
    Compacted(Vec<u8>, bool),
    Failed,
    Measured(u64),
    Asked(Vec<u8>),
    Told,
    Reset,
}

fn step() -> impl Strategy<Value = Step> {
    let work = || vec(0..6_u8, 0..4);
    prop_oneof![
        3 => Just(Step::Turn),
        3 => (work(), any::<bool>()).prop_map(|(work, is_new)| Step::Compacted(work, is_new)),
        2 => Just(Step::Failed),
        3 => (0..200_u64).prop_map(Step::Measured),
        4 => work().prop_map(Step::Asked),
        2 => Just(Step::Told),
        1 => Just(Step::Reset),
    ]
}

/// A conversation behind a bridge: what the user said, and what a tool gave.
fn work(work: &[u8], summary: &str) -> History {
    let items = work.iter().flat_map(|n| {
        let id = n.to_string();
        if *n < 2 { vec![user(&id)] } else { vec![call(&id, &id), output(&id, "out")] }
    });
    history([bridge(&["go"], summary)].into_iter().chain(items).collect::<Vec<Item>>())
}

/// What is seen of it.
fn apply(breaker: &mut Breaker, step: &Step) -> String {
    match step {
        Step::Turn => breaker.begin_turn(),
        Step::Compacted(before, is_new) => {
            let after = work(&[], if *is_new { "new" } else { "s" });
            breaker.compacted(&work(before, "s"), &after);
        }
        Step::Failed => breaker.failed(),
        Step::Measured(used) => breaker.measured(Some(*used), 100),
        Step::Asked(since) => return breaker.allows(&work(since, "s")).to_string(),
        Step::Told => return format!("{:?}", breaker.take_untold()),
        Step::Reset => breaker.reset(),
    }
    breaker.is_open().to_string()
}

/// What a log comes to that holds this, too.
fn add(known: BreakerMemory, mut change: BreakerMemory) -> BreakerMemory {
    let mut seen = if change.is_anew { Vec::new() } else { known.seen };
    seen.append(&mut change.seen);
    (change.seen, change.is_anew) = (seen, false);
    change
}

proptest! {
    #[test]
    fn a_breaker_out_of_its_changes_is_the_breaker(
        steps in vec(step(), 0..40),
        stalled in 1..4_u32,
        turns in 1..4_u64,
    ) {
        let mut limits = BreakerLimits::default();
        (limits.stalled, limits.turns) = (stalled, turns);
        let mut live = Breaker::new(limits);
        let mut known = live.memory();
        for step in steps {
            let mut restored = Breaker::restore(known.clone()).with_limits(limits);
            let before = live.clone();
            prop_assert_eq!(apply(&mut live, &step), apply(&mut restored, &step));
            let change = live.changed_since(&before);
            if change.is_none() {
                prop_assert_eq!(live.memory(), before.memory());
            }
            known = change.map_or(known.clone(), |change| add(known, change));
            let seen = |mut memory: BreakerMemory| {
                memory.seen.sort_unstable();
                memory
            };
            prop_assert_eq!(seen(known.clone()), live.memory());
            prop_assert_eq!(restored.memory(), live.memory());
        }
    }
}

#[test]
fn where_nothing_happened_nothing_is_remembered() {
    let mut breaker = Breaker::new(BreakerLimits::default());
    for step in [Step::Turn, Step::Measured(200), Step::Asked(vec![3]), Step::Told] {
        let before = breaker.clone();
        apply(&mut breaker, &step);
        assert_eq!(breaker.changed_since(&before), None, "{step:?}");
    }
    assert_eq!(breaker.memory(), BreakerMemory::default());
}

#[test]
fn what_a_log_says_of_any_size_does_no_harm() {
    let mut memory = BreakerMemory::default();
    (memory.stalls, memory.turns_left) = (vec![0, u64::MAX], u64::MAX);
    (memory.open, memory.responses) = (Some(Stopped::Circle), Some(u32::MAX));
    let mut breaker = Breaker::restore(memory);
    for step in [Step::Turn, Step::Turn, Step::Failed, Step::Measured(200), Step::Asked(vec![3])] {
        apply(&mut breaker, &step);
        breaker.memory();
    }
    apply(&mut breaker, &Step::Reset);
    assert!(!breaker.is_open());
}
