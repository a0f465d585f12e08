//! When a failed attempt is repeated: one pure decision.

mod advice;
mod backoff;
mod budget;
mod decide;

use std::time::Duration;

pub use advice::advised_wait;
pub use backoff::{MAX_BACKOFF, backoff};
pub use budget::RetryBudget;
pub use decide::{Failures, GiveUp, Situation, Verdict, decide};

/// The largest number of retries that a policy may ask for.
pub const MAX_RETRIES: u32 = 100;

/// How often failed attempts are repeated, and how long to wait at most.
///
/// Failures before a response began and failures within one are counted apart; the two counts of
/// one step add up, they never multiply.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RetryPolicy {
    /// Retries, on top of the first try, of requests that got no response. Default: 4.
    pub request_max_retries: u32,
    /// Retries of responses that broke. Default: 5.
    pub stream_max_retries: u32,
    /// The longest wait that a server may ask for. A longer one ends the attempts, and the error
    /// says from when on to try again. Default: 60 s.
    pub max_wait: Duration,
    /// No wait begins that would end later than this after the step's first attempt began.
    /// Default: no bound.
    pub max_elapsed: Option<Duration>,
    /// A bound on the retries of all who share it. Default: none.
    pub budget: Option<RetryBudget>,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            request_max_retries: 4,
            stream_max_retries: 5,
            max_wait: Duration::from_secs(60),
            max_elapsed: None,
            budget: None,
        }
    }
}

impl RetryPolicy {
    /// A policy with these numbers of retries, each at most [`MAX_RETRIES`].
    pub fn new(request_max_retries: u32, stream_max_retries: u32) -> Self {
        Self {
            request_max_retries: request_max_retries.min(MAX_RETRIES),
            stream_max_retries: stream_max_retries.min(MAX_RETRIES),
            ..Self::default()
        }
    }
}
