//! The checker of sessions: sound logs pass.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::ptr_arg, reason = "all faults are functions of one type")]

mod faults;
mod plan;
mod sound;

use faults::Fault;
use longhaul_testkit::check::session::{Log, check};
use proptest::prelude::*;

proptest! {
    #[test]
    fn sound_logs_pass(plan in plan::any_plan()) {
        let log = sound::log(&plan);
        prop_assert!(check(&log, &sound::rules()).is_ok(), "{:#?}", check(&log, &sound::rules()));
    }

    #[test]
    fn sound_logs_of_sessions_in_which_everything_happens_pass(plan in plan::full_plan()) {
        let log = sound::log(&plan);
        prop_assert!(check(&log, &sound::rules()).is_ok(), "{:#?}", check(&log, &sound::rules()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    /// Each fault, alone, in each random log: it has a place there, and is found.
    #[test]
    fn each_planted_fault_is_found_under_its_invariant(plan in plan::full_plan(), number: usize) {
        let sound = sound::log(&plan);
        let missed: Vec<String> = faults::all().filter_map(|fault| missed(&sound, fault, number)).collect();
        prop_assert!(missed.is_empty(), "{missed:#?}");
    }
}

/// Why the fault counts as not found, if so.
fn missed(sound: &Log, fault: &Fault, number: usize) -> Option<String> {
    let mut log = sound.clone();
    if !(fault.plant)(&mut log.entries, number) {
        return Some(format!("{}: no place", fault.name));
    }
    let found = check(&log, &sound::rules()).err().unwrap_or_default();
    let is_found = found.iter().any(|violation| violation.invariant == fault.invariant);
    (!is_found).then(|| format!("{} ({}): {found:?}", fault.name, fault.invariant))
}
