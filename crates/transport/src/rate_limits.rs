//! Rate limits as response headers state them.

use http::HeaderMap;
use serde::{Deserialize, Serialize};

/// How much of each window is used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct RateLimits {
    /// The first window.
    pub primary: Option<RateLimitWindow>,
    /// The second, usually longer, window.
    pub secondary: Option<RateLimitWindow>,
}

/// One window.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RateLimitWindow {
    /// Percent of the window that is used.
    pub used_percent: f64,
    /// Length of the window in minutes.
    pub window_minutes: Option<i64>,
    /// When it starts anew, in seconds since 1970.
    pub resets_at: Option<i64>,
}

impl RateLimits {
    /// Reads `x-codex-primary-*` and `x-codex-secondary-*`; `None` if they say nothing, so that a
    /// response without them does not erase what is known.
    pub fn from_headers(headers: &HeaderMap) -> Option<Self> {
        let limits = Self {
            primary: RateLimitWindow::from_headers(headers, "primary"),
            secondary: RateLimitWindow::from_headers(headers, "secondary"),
        };
        (limits.primary.is_some() || limits.secondary.is_some()).then_some(limits)
    }

    /// Takes over what `newer` states. A window that it does not state stays as it was known.
    pub fn update(&mut self, newer: Self) {
        self.primary = newer.primary.or(self.primary);
        self.secondary = newer.secondary.or(self.secondary);
    }
}

impl RateLimitWindow {
    fn from_headers(headers: &HeaderMap, window: &str) -> Option<Self> {
        let text = |name: &str| {
            let value = headers.get(format!("x-codex-{window}-{name}"))?;
            value.to_str().ok()
        };
        let used_percent: f64 = text("used-percent")?.parse().ok()?;
        let window_minutes = text("window-minutes").and_then(|v| v.parse().ok());
        let resets_at = text("reset-at").and_then(|v| v.parse().ok());
        let says_something = used_percent != 0.0
            || window_minutes.is_some_and(|minutes: i64| minutes != 0)
            || resets_at.is_some();
        (used_percent.is_finite() && says_something).then_some(Self {
            used_percent,
            window_minutes,
            resets_at,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (name.parse().unwrap(), value.parse().unwrap())
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn windows_that_say_something_are_read() {
        let limits = RateLimits::from_headers(&headers(&[
            ("x-codex-primary-used-percent", "12.5"),
            ("x-codex-primary-window-minutes", "10"),
            ("x-codex-primary-reset-at", "1704069000"),
            ("x-codex-secondary-used-percent", "0"),
        ]));
        let primary = RateLimitWindow {
            used_percent: 12.5,
            window_minutes: Some(10),
            resets_at: Some(1_704_069_000),
        };
        let expected = RateLimits { primary: Some(primary), secondary: None };
        assert_eq!(limits, Some(expected));
    }

    #[test]
    fn a_window_that_is_not_stated_stays_known() {
        let window =
            |used_percent| RateLimitWindow { used_percent, window_minutes: None, resets_at: None };
        let states = [None, Some(window(1.0))];
        let news = [None, Some(window(2.0))];
        for (primary, secondary) in states.into_iter().flat_map(|a| states.map(|b| (a, b))) {
            for (newer, other) in news.into_iter().flat_map(|a| news.map(|b| (a, b))) {
                let mut known = RateLimits { primary, secondary };
                known.update(RateLimits { primary: newer, secondary: other });
                let expected = |new: Option<_>, old| if new.is_some() { new } else { old };
                assert_eq!(known.primary, expected(newer, primary));
                assert_eq!(known.secondary, expected(other, secondary));
            }
        }
    }

    #[test]
    fn nothing_said_is_none() {
        assert_eq!(RateLimits::from_headers(&headers(&[])), None);
        let bad = [("x-codex-primary-used-percent", "inf")];
        assert_eq!(RateLimits::from_headers(&headers(&bad)), None);
    }
}
