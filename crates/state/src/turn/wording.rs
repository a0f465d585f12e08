//! What the model is told of calls that gave no output of their own.
//!
//! Each says apart from the others whether the tool did anything: a model that takes a stopped call
//! for one that never ran does the work twice.

/// What the model is told of a call whose turn was cut off.
pub fn aborted(had_started: bool) -> &'static str {
    if had_started { "aborted: had started, effect unknown" } else { "aborted: not started" }
}

/// The host's policy does not allow it.
pub(super) fn denied(reason: &str) -> String {
    format!("denied: not run: {}", if reason.is_empty() { "it is not allowed" } else { reason })
}

/// Somebody said no.
pub(super) fn rejected(reason: Option<&str>) -> String {
    match reason.filter(|reason| !reason.is_empty()) {
        Some(reason) => format!("rejected by the user: not run: {reason}"),
        None => "rejected by the user: not run".into(),
    }
}

/// Nobody said anything.
pub(super) fn unanswered(seconds: u64) -> String {
    format!("denied: not run: nobody approved it within {seconds} s")
}
