//! Retry, refresh the credential, or give up.

use std::time::Duration;

use super::{MAX_RETRIES, RetryPolicy, backoff};
use crate::ErrorCode;
use crate::error::{ModelError, Stage};

/// How many attempts of one step have failed so far, the present one included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Failures {
    /// Before a response began.
    pub request: u32,
    /// Within a response.
    pub stream: u32,
    /// Credentials that were refused and then replaced. Their attempts count in no other field.
    pub refreshed: u32,
}

impl Failures {
    /// Counts one more.
    pub fn count(&mut self, stage: Stage) {
        let count = match stage {
            Stage::Request => &mut self.request,
            Stage::Stream => &mut self.stream,
        };
        *count = count.saturating_add(1);
    }

    /// All attempts that failed.
    pub fn total(&self) -> u32 {
        self.request.saturating_add(self.stream).saturating_add(self.refreshed)
    }
}

/// What is known when an attempt has failed.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Situation<'a> {
    /// What went wrong: its class, and what the server advises.
    pub error: &'a ModelError,
    /// Failures so far, this one included.
    pub failures: Failures,
    /// The time since the step's first attempt began.
    pub elapsed: Duration,
    /// The time until the caller's deadline, if there is one.
    pub remaining: Option<Duration>,
    /// In 0..1; spreads the waits of clients that failed together.
    pub jitter: f64,
}

impl<'a> Situation<'a> {
    /// `error` after these failures: no time has passed, there is no deadline, and no chance.
    pub fn new(error: &'a ModelError, failures: Failures) -> Self {
        Self { error, failures, elapsed: Duration::ZERO, remaining: None, jitter: 0.5 }
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
    /// See to another credential, then send the request again at once. This costs no retry and is
    /// done once for a step.
    RefreshAuth {
        /// The generation that the server refused.
        generation: u64,
    },
    /// Report the error.
    GiveUp(GiveUp),
}

/// Why a failed attempt is not repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum GiveUp {
    /// A repetition would fail in the same way, or the server forbids it.
    Final,
    /// It was repeated as often as the policy allows.
    RetriesUsedUp,
    /// The server asks for a longer wait than the policy allows. Try again after it.
    WaitTooLong {
        /// The wait that it asks for.
        advised: Duration,
    },
    /// The wait would pass the caller's deadline or the policy's longest time.
    NoTimeLeft,
    /// The shared budget is used up. Said by the loop that keeps it, not by [`decide`].
    BudgetUsedUp,
}

/// Decides what to do after an attempt has failed. Pure: the clock and chance are arguments.
///
/// A wait that the server asks for is kept as it is; one of 0 is replaced by the backoff.
/// `x-should-retry` decides over the error's class, within the counts of the policy.
pub fn decide(policy: &RetryPolicy, situation: &Situation<'_>) -> Verdict {
    let Situation { error, failures, elapsed, remaining, jitter } = *situation;
    if let Some(generation) = refused(error).filter(|_| failures.refreshed == 0) {
        return Verdict::RefreshAuth { generation };
    }
    if !error.should_retry().unwrap_or(error.is_retryable()) || is_login_failure(error) {
        return Verdict::GiveUp(GiveUp::Final);
    }
    let (attempt, max_attempts) = match error.stage() {
        Stage::Request => (failures.request, policy.request_max_retries),
        Stage::Stream => (failures.stream, policy.stream_max_retries),
    };
    let max_attempts = max_attempts.min(MAX_RETRIES);
    if attempt > max_attempts {
        return Verdict::GiveUp(GiveUp::RetriesUsedUp);
    }
    let advised = error.retry_after().filter(|wait| !wait.is_zero());
    if let Some(advised) = advised.filter(|wait| *wait > policy.max_wait) {
        return Verdict::GiveUp(GiveUp::WaitTooLong { advised });
    }
    let after = advised.unwrap_or_else(|| backoff(attempt, jitter).min(policy.max_wait));
    let is_late = remaining.is_some_and(|remaining| after >= remaining)
        || policy.max_elapsed.is_some_and(|limit| elapsed.saturating_add(after) > limit);
    if is_late {
        return Verdict::GiveUp(GiveUp::NoTimeLeft);
    }
    Verdict::Retry { after, attempt, max_attempts }
}

/// The generation of a credential that the server refused so that another might do: by status 401.
fn refused(error: &ModelError) -> Option<u64> {
    let is_refusal = error.code() == ErrorCode::Unauthorized && error.status() == Some(401);
    error.generation().filter(|_| is_refusal)
}

/// A login that could not be refreshed is not tried again at once: its refresh token may be spent.
fn is_login_failure(error: &ModelError) -> bool {
    error.code() == ErrorCode::RefreshFailed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(error: &ModelError, failures: Failures, remaining: Option<Duration>) -> Verdict {
        let elapsed = Duration::ZERO;
        let situation = Situation { error, failures, elapsed, remaining, jitter: 0.5 };
        decide(&RetryPolicy::new(2, 3), &situation)
    }

    fn retry(millis: u64, attempt: u32, max_attempts: u32) -> Verdict {
        Verdict::Retry { after: Duration::from_millis(millis), attempt, max_attempts }
    }

    fn after(request: u32, stream: u32) -> Failures {
        Failures { request, stream, refreshed: 0 }
    }

    const FINAL: Verdict = Verdict::GiveUp(GiveUp::Final);
    const USED_UP: Verdict = Verdict::GiveUp(GiveUp::RetriesUsedUp);

    #[test]
    fn each_stage_has_its_own_count() {
        let request = ModelError::new(ErrorCode::ServerError, "x");
        let stream = request.clone().in_stream();
        assert_eq!(verdict(&request, after(1, 0), None), retry(200, 1, 2));
        assert_eq!(verdict(&request, after(2, 3), None), retry(400, 2, 2));
        assert_eq!(verdict(&request, after(3, 0), None), USED_UP);
        assert_eq!(verdict(&stream, after(9, 3), None), retry(800, 3, 3));
        assert_eq!(verdict(&stream, after(0, 4), None), USED_UP);
    }

    #[test]
    fn final_errors_are_final() {
        for code in [
            ErrorCode::InvalidRequest,
            ErrorCode::Unauthorized,
            ErrorCode::RefreshFailed,
            ErrorCode::ContextWindowExceeded,
            ErrorCode::UsageLimitReached,
            ErrorCode::UsageNotIncluded,
            ErrorCode::ResponseIncomplete,
            ErrorCode::Unsupported,
        ] {
            let error = ModelError::new(code, "x");
            assert_eq!(verdict(&error, after(1, 0), None), FINAL, "{code}");
        }
    }

    #[test]
    fn a_login_that_may_be_refreshed_later_is_not_refreshed_again_now() {
        let error = ModelError::new(ErrorCode::RefreshFailed, "x").retryable(true);
        assert_eq!(verdict(&error, after(1, 0), None), FINAL);
    }

    #[test]
    fn advice_is_kept_up_to_the_longest_wait() {
        let advised = |wait| {
            let error = ModelError::new(ErrorCode::RateLimited, "x");
            error.with_retry_after(Some(Duration::from_millis(wait)))
        };
        let first = after(1, 0);
        assert_eq!(verdict(&advised(28), first, None), retry(28, 1, 2));
        assert_eq!(verdict(&advised(60_000), first, None), retry(60_000, 1, 2));
        let too_long = GiveUp::WaitTooLong { advised: Duration::from_millis(60_001) };
        assert_eq!(verdict(&advised(60_001), first, None), Verdict::GiveUp(too_long));
        assert_eq!(verdict(&advised(0), first, None), retry(200, 1, 2));
        let remaining = Some(Duration::from_millis(100));
        assert_eq!(verdict(&advised(99), first, remaining), retry(99, 1, 2));
        let late = Verdict::GiveUp(GiveUp::NoTimeLeft);
        assert_eq!(verdict(&advised(100), first, remaining), late);
    }

    #[test]
    fn no_wait_ends_after_the_longest_time_of_a_step() {
        let policy = RetryPolicy {
            max_elapsed: Some(Duration::from_millis(1200)),
            ..RetryPolicy::default()
        };
        let error = ModelError::new(ErrorCode::ServerError, "x");
        let at = |millis| {
            let elapsed = Duration::from_millis(millis);
            let failures = after(1, 0);
            decide(
                &policy,
                &Situation { error: &error, failures, elapsed, remaining: None, jitter: 0.5 },
            )
        };
        assert_eq!(at(1000), retry(200, 1, 4));
        assert_eq!(at(1001), Verdict::GiveUp(GiveUp::NoTimeLeft));
    }

    #[test]
    fn f033_what_the_server_says_of_a_repetition_is_obeyed_within_the_counts() {
        let bad = ModelError::new(ErrorCode::InvalidRequest, "x").with_status(400);
        let down = ModelError::new(ErrorCode::ServerError, "x").with_status(503);
        let told = |error: &ModelError, says| error.clone().with_should_retry(Some(says));
        assert_eq!(verdict(&told(&bad, true), after(1, 0), None), retry(200, 1, 2));
        assert_eq!(verdict(&told(&bad, true), after(3, 0), None), USED_UP);
        assert_eq!(verdict(&told(&bad, false), after(1, 0), None), FINAL);
        assert_eq!(verdict(&told(&down, false), after(1, 0), None), FINAL);
        assert_eq!(verdict(&told(&down, true), after(1, 0), None), retry(200, 1, 2));
    }

    #[test]
    fn f036_a_refused_credential_is_replaced_once_and_a_forbidden_one_never() {
        let refused = |status| {
            let error = ModelError::new(ErrorCode::Unauthorized, "x").with_status(status);
            error.with_generation(Some(7))
        };
        assert_eq!(
            verdict(&refused(401), after(0, 0), None),
            Verdict::RefreshAuth { generation: 7 }
        );
        let again = Failures { refreshed: 1, ..after(1, 0) };
        assert_eq!(verdict(&refused(401), again, None), FINAL);
        assert_eq!(verdict(&refused(403), after(1, 0), None), FINAL);
        let anonymous = refused(401).with_generation(None);
        assert_eq!(verdict(&anonymous, after(1, 0), None), FINAL);
    }

    #[test]
    fn no_number_of_failures_overflows() {
        let policy = RetryPolicy { request_max_retries: u32::MAX, ..RetryPolicy::default() };
        let error = ModelError::new(ErrorCode::ServerError, "x");
        let mut failures = Failures { request: u32::MAX, stream: u32::MAX, refreshed: 1 };
        failures.count(Stage::Request);
        assert_eq!((failures.request, failures.total()), (u32::MAX, u32::MAX));
        let beyond = Situation::new(&error, failures);
        assert_eq!(decide(&policy, &beyond), USED_UP, "no policy allows more than 100");
        failures.request = MAX_RETRIES;
        let elapsed = Duration::MAX;
        let situation =
            Situation { error: &error, failures, elapsed, remaining: None, jitter: 1.0 };
        let Verdict::Retry { after, .. } = decide(&policy, &situation) else {
            panic!("the count is not used up");
        };
        assert_eq!(after, crate::retry::MAX_BACKOFF);
    }
}
