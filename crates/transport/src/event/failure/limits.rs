//! A used-up limit in words: whose it is, and when it ends.

use std::time::{Duration, SystemTime};

use crate::ModelError;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// `error` with the plan whose limit it is and the time at which that ends, also in its message.
pub(super) fn describe(
    error: ModelError,
    plan: Option<String>,
    wait: Option<Duration>,
    now: SystemTime,
) -> ModelError {
    let ends = error.retry_at().or_else(|| now.checked_add(wait?));
    let left = ends.map(|ends| ends.duration_since(now).unwrap_or_default());
    let plan_words = plan.as_deref().map(|plan| format!("plan {plan}"));
    let time_words = left.map(|left| format!("available again in {}", in_words(left)));
    let facts: Vec<String> = plan_words.into_iter().chain(time_words).collect();
    let error = error.with_plan(plan).with_retry_at(ends);
    if facts.is_empty() {
        return error;
    }
    error.map_message(|message| format!("{message} ({})", facts.join("; ")))
}

/// `2 days 1 hour 5 minutes`; parts that are 0 are left out.
fn in_words(time: Duration) -> String {
    let seconds = time.as_secs();
    let parts = [
        (seconds / DAY, "day"),
        (seconds % DAY / HOUR, "hour"),
        (seconds % HOUR / MINUTE, "minute"),
    ];
    let parts = parts.into_iter().filter(|(count, _)| *count > 0);
    let words: Vec<String> = parts
        .map(|(count, unit)| format!("{count} {unit}{}", if count == 1 { "" } else { "s" }))
        .collect();
    if words.is_empty() { "less than a minute".into() } else { words.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorCode;

    fn described(plan: Option<&str>, at: Option<u64>, wait: Option<u64>) -> ModelError {
        let time = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let error = ModelError::new(ErrorCode::UsageLimitReached, "used up");
        let error = error.with_retry_at(at.map(time));
        describe(error, plan.map(Into::into), wait.map(Duration::from_secs), time(1000))
    }

    #[test]
    fn plan_and_time_are_in_the_message_and_in_their_fields() {
        let table = [
            (None, None, None, "used up"),
            (Some("plus"), None, None, "used up (plan plus)"),
            (None, None, Some(59), "used up (available again in less than a minute)"),
            (None, Some(7), None, "used up (available again in less than a minute)"),
            (None, Some(1060), Some(9000), "used up (available again in 1 minute)"),
            (Some("pro"), None, Some(7200), "used up (plan pro; available again in 2 hours)"),
            (
                Some("team"),
                Some(1000 + 2 * DAY + HOUR + 5 * MINUTE + 59),
                None,
                "used up (plan team; available again in 2 days 1 hour 5 minutes)",
            ),
        ];
        for (plan, at, wait, text) in table {
            let error = described(plan, at, wait);
            assert_eq!(error.to_string(), text);
            assert_eq!(error.plan(), plan);
            let ends = at.or_else(|| Some(1000 + wait?));
            let ends = ends.map(|at| SystemTime::UNIX_EPOCH + Duration::from_secs(at));
            assert_eq!(error.retry_at(), ends, "{text}");
        }
        let never = described(None, None, Some(u64::MAX));
        assert_eq!((never.to_string().as_str(), never.retry_at()), ("used up", None));
    }
}
