//! Retry or give up.

use std::time::Duration;

use super::{RetryPolicy, backoff};
use crate::error::{ModelError, Stage};

/// How many attempts of one step have failed so far, the present one included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Failures {
    /// Before a response began.
    pub request: u32,
    /// Within a response.
    pub stream: u32,
}

impl Failures {
    /// Counts one more.
    pub fn count(&mut self, stage: Stage) {
        match stage {
            Stage::Request => self.request += 1,
            Stage::Stream => self.stream += 1,
        }
    }
}

/// What to do after a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// Send the request again after a wait.
    Retry {
        /// The wait.
        after: Duration,
        /// Which retry of its kind this is, from 1.
        attempt: u32,
        /// How many of its kind there may be.
        max_attempts: u32,
    },
    /// Report the error.
    GiveUp,
}

/// Decides what to do after `error`.
///
/// `remaining` is the time until the caller's deadline; a wait that would pass it is not begun.
/// `jitter` in 0..1 spreads the waits of clients that failed together. A wait that the server asks
/// for is kept; one of 0 is replaced by the backoff.
pub fn decide(
    policy: &RetryPolicy,
    error: &ModelError,
    failures: Failures,
    remaining: Option<Duration>,
    jitter: f64,
) -> Verdict {
    let (attempt, max_attempts) = match error.stage() {
        Stage::Request => (failures.request, policy.request_max_retries),
        Stage::Stream => (failures.stream, policy.stream_max_retries),
    };
    if !error.is_retryable() || attempt > max_attempts {
        return Verdict::GiveUp;
    }
    let advised = error.retry_after().filter(|wait| !wait.is_zero());
    let after = advised.unwrap_or_else(|| backoff(attempt, jitter).min(policy.max_wait));
    if after > policy.max_wait || remaining.is_some_and(|remaining| after >= remaining) {
        return Verdict::GiveUp;
    }
    Verdict::Retry { after, attempt, max_attempts }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorCode;

    fn verdict(error: &ModelError, failures: Failures, remaining: Option<Duration>) -> Verdict {
        decide(&RetryPolicy::new(2, 3), error, failures, remaining, 0.5)
    }

    fn retry(millis: u64, attempt: u32, max_attempts: u32) -> Verdict {
        Verdict::Retry { after: Duration::from_millis(millis), attempt, max_attempts }
    }

    #[test]
    fn each_stage_has_its_own_budget() {
        let request = ModelError::new(ErrorCode::ServerError, "x");
        let stream = request.clone().in_stream();
        let after = |request, stream| Failures { request, stream };
        assert_eq!(verdict(&request, after(1, 0), None), retry(200, 1, 2));
        assert_eq!(verdict(&request, after(2, 3), None), retry(400, 2, 2));
        assert_eq!(verdict(&request, after(3, 0), None), Verdict::GiveUp);
        assert_eq!(verdict(&stream, after(9, 3), None), retry(800, 3, 3));
        assert_eq!(verdict(&stream, after(0, 4), None), Verdict::GiveUp);
    }

    #[test]
    fn final_errors_are_final() {
        for code in [
            ErrorCode::InvalidRequest,
            ErrorCode::Unauthorized,
            ErrorCode::ContextWindowExceeded,
            ErrorCode::UsageLimitReached,
            ErrorCode::UsageNotIncluded,
            ErrorCode::ResponseIncomplete,
        ] {
            let error = ModelError::new(code, "x");
            let first = Failures { request: 1, stream: 0 };
            assert_eq!(verdict(&error, first, None), Verdict::GiveUp, "{code}");
        }
    }

    #[test]
    fn advice_is_kept_up_to_the_longest_wait() {
        let first = Failures { request: 1, stream: 0 };
        let advised = |wait| {
            let error = ModelError::new(ErrorCode::RateLimited, "x");
            error.with_retry_after(Some(Duration::from_millis(wait)))
        };
        assert_eq!(verdict(&advised(28), first, None), retry(28, 1, 2));
        assert_eq!(verdict(&advised(60_000), first, None), retry(60_000, 1, 2));
        assert_eq!(verdict(&advised(60_001), first, None), Verdict::GiveUp);
        assert_eq!(verdict(&advised(0), first, None), retry(200, 1, 2));
        let remaining = Some(Duration::from_millis(100));
        assert_eq!(verdict(&advised(99), first, remaining), retry(99, 1, 2));
        assert_eq!(verdict(&advised(100), first, remaining), Verdict::GiveUp);
    }

    #[test]
    fn no_number_of_failures_overflows() {
        let policy = RetryPolicy { request_max_retries: u32::MAX, ..RetryPolicy::default() };
        let error = ModelError::new(ErrorCode::ServerError, "x");
        let failures = Failures { request: u32::MAX, stream: 0 };
        let Verdict::Retry { after, .. } = decide(&policy, &error, failures, None, 1.0) else {
            panic!("the budget is not used up");
        };
        assert_eq!(after, policy.max_wait);
    }
}
