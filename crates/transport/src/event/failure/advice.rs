//! A wait that a server asks for in the words of its message.

use std::time::Duration;

/// What stands before the time, in lower case.
const BEFORE: [&str; 3] = ["try again in ", "retry after ", "retry in "];

/// The units, in seconds, as they are written; longer words that begin alike come first.
const UNITS: [(&str, f64); 15] = [
    ("milliseconds", 0.001),
    ("ms", 0.001),
    ("minutes", 60.0),
    ("minute", 60.0),
    ("mins", 60.0),
    ("min", 60.0),
    ("m", 60.0),
    ("seconds", 1.0),
    ("second", 1.0),
    ("s", 1.0),
    ("hours", 3600.0),
    ("hour", 3600.0),
    ("h", 3600.0),
    ("days", 86_400.0),
    ("day", 86_400.0),
];

/// The wait in `try again in 1m30s`, `in 28ms`, `retry after 7 seconds`.
pub(super) fn in_words(message: &str) -> Option<Duration> {
    let message = message.to_ascii_lowercase();
    BEFORE.iter().find_map(|before| time(message.split_once(before)?.1))
}

/// The time at the beginning of `text`: numbers, each with its unit.
fn time(text: &str) -> Option<Duration> {
    let mut sum = None;
    let mut rest = text;
    while let Some((part, after)) = part(rest) {
        sum = Some(sum.unwrap_or(0.0) + part);
        rest = after;
    }
    Duration::try_from_secs_f64(sum?).ok()
}

/// One number with its unit, in seconds, and what follows them.
fn part(text: &str) -> Option<(f64, &str)> {
    let text = text.trim_start();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let number: f64 = text[..end].parse().ok()?;
    let rest = text[end..].trim_start();
    UNITS.iter().find_map(|(unit, seconds)| {
        let after = rest.strip_prefix(unit)?;
        // `3 more` is no time, though `m` is a unit.
        let is_word = after.starts_with(|c: char| c.is_ascii_alphabetic());
        (!is_word).then_some((number * seconds, after))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_in_a_message_is_read() {
        let table = [
            ("Please try again in 11.054s. Visit", Some(11_054_000)),
            ("try again in 28ms.", Some(28_000)),
            ("Try again in 1.898s", Some(1_898_000)),
            ("try again in 17s", Some(17_000_000)),
            ("try again in 1m30s", Some(90_000_000)),
            ("try again in 6m0s. Visit", Some(360_000_000)),
            ("try again in 1h2m3.5s", Some(3_723_500_000)),
            ("try again in 35 seconds", Some(35_000_000)),
            ("try again in 5 minutes", Some(300_000_000)),
            ("try again in 1 minute 5 seconds", Some(65_000_000)),
            ("try again in 2 days", Some(172_800_000_000)),
            ("Please retry after 7 seconds.", Some(7_000_000)),
            ("Please retry in 36.6s.", Some(36_600_000)),
            ("retry after a while, or try again in 3s", Some(3_000_000)),
            ("try again in 1e400s", None),
            ("try again in 3 more moments", None),
            ("try again in 3", None),
            ("try again in s", None),
            ("try again in a few minutes", None),
            ("try again in 1.2.3s", None),
            ("try again in -5s", None),
            ("try again later", None),
            ("", None),
        ];
        for (text, micros) in table {
            assert_eq!(in_words(text).map(|wait| wait.as_micros()), micros, "{text}");
        }
        let endless = format!("try again in {}s", "9".repeat(400));
        assert_eq!(in_words(&endless), None);
    }
}
