//! How long to wait when the server gives no advice.

use std::time::Duration;

const BASE: Duration = Duration::from_millis(200);

/// The longest wait that is not the server's wish.
pub const MAX_BACKOFF: Duration = Duration::from_secs(30);

/// The wait before retry `attempt` (from 1): 200 ms, doubled each time, times 0.9 to 1.1, at most
/// [`MAX_BACKOFF`].
///
/// `jitter` in 0..1 chooses within that range.
///
/// ```
/// use longhaul_transport::retry::{MAX_BACKOFF, backoff};
///
/// assert_eq!(backoff(1, 0.5).as_millis(), 200);
/// assert_eq!(backoff(3, 0.0).as_millis(), 720);
/// assert_eq!(backoff(100, 0.5), MAX_BACKOFF);
/// ```
pub fn backoff(attempt: u32, jitter: f64) -> Duration {
    let doublings = attempt.saturating_sub(1).min(31);
    let wait = BASE.saturating_mul(1 << doublings);
    let factor = 0.9 + 0.2 * jitter.clamp(0.0, 1.0);
    let wait = Duration::try_from_secs_f64(wait.as_secs_f64() * factor);
    wait.map_or(MAX_BACKOFF, |wait| wait.min(MAX_BACKOFF))
}
