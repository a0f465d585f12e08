//! How much room there is.

mod common;

use common::{WINDOW, budget, refused};
use longhaul_compaction::{Budget, Cause, Refused};
use longhaul_history::tokens::Calibration;
use proptest::prelude::*;

#[test]
fn the_ceiling_is_the_window_less_the_smaller_of_8192_and_a_tenth() {
    let table = [
        (None, None),
        (Some(0), None),
        (Some(3_890), None),
        (Some(3_891), Some(3_891 - 389)),
        (Some(81_919), Some(81_919 - 8_191)),
        (Some(81_920), Some(81_920 - 8_192)),
        (Some(400_000), Some(400_000 - 8_192)),
        (Some(u64::MAX), Some(u64::MAX - 8_192)),
    ];
    for (window, ceiling) in table {
        assert_eq!(budget(Cause::Manual, window).ceiling(), ceiling, "{window:?}");
    }
}

#[test]
fn a_quarter_of_the_window_or_what_is_wanted() {
    let table = [
        (None, 20_000, 20_000),
        (Some(3_890), 20_000, 20_000),
        (Some(3_891), 20_000, 972),
        (Some(79_999), 20_000, 19_999),
        (Some(80_001), 20_000, 20_000),
        (Some(100_000), 7, 7),
    ];
    for (window, wanted, quarter) in table {
        assert_eq!(budget(Cause::Manual, window).quarter(wanted), quarter, "{window:?}");
    }
    // The window is smaller than what was refused.
    let by = |counted, told, window| {
        let refused = Refused { counted, prompt: None, window: told };
        budget(Cause::Refused(refused), window).quarter(20_000)
    };
    assert_eq!(by(8_000, None, None), 2_000);
    assert_eq!(by(8_000, Some(6_000), None), 1_500);
    assert_eq!(by(8_000, Some(6_000), Some(5_000)), 1_250);
    assert_eq!(by(8_000, Some(6_000), Some(7_000)), 1_500);
    // So small a count says little; so small a window, if the server names it, is one.
    assert_eq!(by(100, None, None), 972);
    assert_eq!(by(100, None, Some(100_000)), 20_000, "a window that is known counts");
    assert_eq!(by(8_000, Some(2_048), None), 512);
}

#[test]
fn room_is_by_the_window_and_by_what_was_refused() {
    let with_overhead = |mut budget: Budget, overhead| {
        budget.overhead = overhead;
        budget.room()
    };
    assert_eq!(with_overhead(budget(Cause::Manual, None), 100), None);
    assert_eq!(with_overhead(budget(Cause::Limit, Some(3_890)), 100), None);
    assert_eq!(with_overhead(budget(WINDOW, Some(10_000)), 100), Some(8_900));
    assert_eq!(with_overhead(budget(WINDOW, Some(10_000)), 9_001), Some(0));
    assert_eq!(with_overhead(budget(refused(8_000), None), 100), Some(3_900));
    assert_eq!(with_overhead(budget(refused(8_000), None), 4_001), Some(0));
    assert_eq!(with_overhead(budget(refused(8_000), Some(10_000)), 0), Some(4_000));
    assert_eq!(with_overhead(budget(refused(80_000), Some(10_000)), 0), Some(9_000));
    assert_eq!(with_overhead(budget(refused(100), None), 100), Some(1_845));
    // What the server's counts say comes before half.
    let cause =
        Cause::Refused(Refused { counted: 8_000, prompt: Some(10_000), window: Some(5_000) });
    assert_eq!(with_overhead(budget(cause, None), 100), Some(3_500));
}

#[test]
fn an_ordinary_request_cannot_be_sent_over_a_known_window_or_after_a_refusal() {
    let required = [WINDOW, refused(1)];
    let others = [Cause::Manual, Cause::Limit, Cause::Window { is_certain: false }];
    assert!(required.iter().all(|cause| Budget::new(*cause).is_required()));
    assert!(!others.iter().any(|cause| Budget::new(*cause).is_required()));
}

#[test]
fn what_fits_is_in_the_proportion_of_the_servers_counts_less_a_tenth() {
    let table = [
        // As the server counts, it is twice too long: so is the local count, whatever it is.
        (10_000, Some(200_000), Some(100_000), Some(4_500)),
        (10_000, Some(100_001), Some(100_000), Some(8_999)),
        // Counts that say that it fits say nothing.
        (10_000, Some(50_000), Some(100_000), None),
        (10_000, Some(90_000), Some(100_000), None),
        (10_000, Some(90_001), Some(100_000), Some(9_999)),
        (10_000, Some(0), Some(100_000), None),
        (10_000, Some(200_000), Some(0), Some(0)),
        (0, Some(200_000), Some(100_000), None),
        (10_000, None, Some(100_000), None),
        (10_000, Some(200_000), None, None),
        (10_000, Some(u64::MAX), Some(u64::MAX / 2), Some(4_499)),
        (u64::MAX, Some(1), Some(u64::MAX), None),
    ];
    for (counted, prompt, window, fitting) in table {
        let refused = Refused { counted, prompt, window };
        assert_eq!(refused.fitting(), fitting, "{refused:?}");
    }
}

/// A calibration that has seen some requests.
fn calibration() -> impl Strategy<Value = Calibration> {
    (0..20_u32, 50..250_u64).prop_map(|(times, percent)| {
        let mut calibration = Calibration::default();
        for _ in 0..times {
            calibration.observe(10_000, 100 * percent);
        }
        calibration
    })
}

proptest! {
    /// F174: an estimator that is off by half is put right before anything is held against a window.
    #[test]
    fn items_within_is_the_most_that_fits(
        calibration in calibration(),
        overhead in 0..300_u64,
        calibrated in 0..2_000_u64,
    ) {
        let mut budget = Budget::new(Cause::Manual);
        (budget.calibration, budget.overhead) = (calibration, overhead);
        let fitting = (0..6_000).rev().find(|items| budget.request(*items) <= calibrated);
        prop_assert_eq!(budget.items_within(calibrated), fitting.unwrap_or(0));
    }

    #[test]
    fn counts_of_any_size_do_no_harm(
        counts in any::<[u64; 4]>(),
        calibration in calibration(),
        is_huge in any::<bool>(),
    ) {
        let [window, overhead, counted, prompt] =
            if is_huge { counts.map(|count| u64::MAX - count % 3) } else { counts };
        let fitting = Refused { counted, prompt: Some(prompt), window: Some(window) }.fitting();
        prop_assert!(fitting.is_none_or(|fitting| fitting < counted));
        let mut budget = budget(refused(counted), Some(window));
        (budget.calibration, budget.overhead) = (calibration, overhead);
        prop_assert!(budget.ceiling().is_none_or(|ceiling| ceiling < window));
        prop_assert!(budget.room().is_none_or(|room| room <= u64::MAX - overhead));
    }
}
