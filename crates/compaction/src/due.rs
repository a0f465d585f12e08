//! When a conversation is to be compacted.

use crate::budget::{Cause, MIN_WINDOW_TOKENS};

/// What is known before a step of a turn, all tokens as the model's server counts them or is expected
/// to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Situation {
    /// What the last response says that the conversation took since it was last compacted; `None` or
    /// 0 if it said nothing.
    pub used: Option<u64>,
    /// From how many tokens on the conversation is to be compacted.
    pub limit: u64,
    /// Calibrated tokens of the request that comes next.
    pub request: u64,
    /// The effective window of the model that it goes to.
    pub window: u64,
    /// Whether somebody knows that window, or it is assumed.
    pub is_window_known: bool,
}

/// Whether the conversation is to be compacted before the next request, and why.
///
/// The limit is soft and the server's own count alone is held against it: an estimate may be off by a
/// fifth, and a compaction that comes too early costs as much as one that comes too late. The local
/// count is held against the window, where the alternative is a refusal.
///
/// ```
/// use longhaul_compaction::{Cause, Situation, due};
///
/// let mut now = Situation::default();
/// (now.limit, now.window, now.is_window_known) = (90_000, 95_000, true);
/// assert_eq!(due(&now), None);
/// now.used = Some(90_000);
/// assert_eq!(due(&now), Some(Cause::Limit));
/// // The outputs of tools may not fit whatever the last response took.
/// (now.used, now.request) = (Some(50_000), 95_001);
/// assert_eq!(due(&now), Some(Cause::Window { is_certain: true }));
/// ```
pub fn due(now: &Situation) -> Option<Cause> {
    if now.window >= MIN_WINDOW_TOKENS && now.request > now.window {
        return Some(Cause::Window { is_certain: now.is_window_known });
    }
    let is_reached = now.used.is_some_and(|used| used > 0 && used >= now.limit);
    is_reached.then_some(Cause::Limit)
}
