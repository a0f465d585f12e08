//! When a login is refreshed: a pure decision.

use std::time::{Duration, SystemTime};

use super::file::Tokens;

/// An access token is renewed this long before it expires.
const MARGIN: Duration = Duration::from_secs(5 * 60);

/// Tokens that do not say when they expire are renewed at this age.
const MAX_AGE: Duration = Duration::from_secs(28 * 24 * 60 * 60);

/// The age of tokens that this process obtained itself, by a clock that nobody sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Age {
    pub(super) elapsed: Duration,
    /// How long they are good for, by their issuer.
    pub(super) lifetime: Option<Duration>,
}

/// How an access token stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Good,
    /// To be renewed before the next request, but usable if that fails.
    Due,
    /// By all that is known here, the server will refuse it.
    Expired,
}

/// Judges tokens: by their own age if they were obtained here, else by the clock of the machine.
pub(super) fn standing(
    tokens: &Tokens,
    last_refresh: Option<SystemTime>,
    own: Option<Age>,
    now: SystemTime,
) -> Standing {
    match (own, tokens.access_claims().expires) {
        (Some(Age { elapsed, lifetime: Some(lifetime) }), _) => {
            by_expiry(lifetime.saturating_sub(elapsed), MARGIN.min(lifetime / 2))
        }
        (Some(age), _) => by_age(age.elapsed),
        (None, Some(expires)) => by_expiry(expires.duration_since(now).unwrap_or_default(), MARGIN),
        (None, None) => {
            let age = last_refresh.and_then(|time| now.duration_since(time).ok());
            age.map_or(Standing::Good, by_age)
        }
    }
}

fn by_expiry(left: Duration, margin: Duration) -> Standing {
    match left {
        Duration::ZERO => Standing::Expired,
        left if left <= margin => Standing::Due,
        _ => Standing::Good,
    }
}

fn by_age(age: Duration) -> Standing {
    if age >= MAX_AGE { Standing::Due } else { Standing::Good }
}

/// Whether tokens are so new that another refresh would not help: less than `cool_down` old, by
/// this process's count or by the date in the file.
pub(super) fn is_fresh(
    own: Option<Age>,
    last_refresh: Option<SystemTime>,
    now: SystemTime,
    cool_down: Duration,
) -> bool {
    // What has outlived its own lifetime is old, however short that was.
    if own.is_some_and(|age| age.lifetime.is_some_and(|lifetime| age.elapsed >= lifetime)) {
        return false;
    }
    let stored_age = last_refresh.and_then(|time| now.duration_since(time).ok());
    let age = own.map(|age| age.elapsed).or(stored_age);
    age.is_some_and(|age| age < cool_down)
}
