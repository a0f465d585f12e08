//! When a conversation is to be compacted.

use longhaul_compaction::{Cause, MIN_WINDOW_TOKENS, Situation, due};

/// Every combination of counts at and around the thresholds, against the rule in other words.
#[test]
fn the_window_comes_first_then_the_limit_and_nothing_else_counts() {
    let around = |value: u64| [0, value - 1, value, value + 1];
    for window in [0, 1, MIN_WINDOW_TOKENS - 1, MIN_WINDOW_TOKENS, 100_000] {
        for request in around(window.max(1)) {
            for limit in [1, 90_000, 200_000, u64::MAX] {
                for used in around(limit.min(u64::MAX - 1)).map(Some).into_iter().chain([None]) {
                    for is_window_known in [false, true] {
                        let mut now = Situation::default();
                        (now.used, now.limit, now.request) = (used, limit, request);
                        (now.window, now.is_window_known) = (window, is_window_known);
                        assert_eq!(due(&now), expected(&now), "{now:?}");
                    }
                }
            }
        }
    }
}

fn expected(now: &Situation) -> Option<Cause> {
    let judges_window = now.window >= 3_891;
    match now.used.unwrap_or(0) {
        _ if judges_window && now.request > now.window => {
            Some(Cause::Window { is_certain: now.is_window_known })
        }
        0 => None,
        used => (used >= now.limit).then_some(Cause::Limit),
    }
}

/// F174: a server that reports no usage, or 0, does not reach any limit.
#[test]
fn absent_usage_reaches_no_limit() {
    for used in [None, Some(0)] {
        let mut now = Situation::default();
        (now.used, now.limit, now.window) = (used, 0, 100_000);
        assert_eq!(due(&now), None);
    }
}
