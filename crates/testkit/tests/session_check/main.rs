//! The checker of sessions: sound logs pass.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod plan;
mod sound;

use longhaul_testkit::check::session::check;
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
