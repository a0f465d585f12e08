//! How long a server asks to wait.

use std::time::{Duration, SystemTime};

use http::HeaderMap;

/// The wait in `retry-after-ms`, else in `Retry-After` as seconds or as a date seen at `now`.
///
/// A date that has passed is no wait. What is not a number or a date is no advice.
pub fn advised_wait(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let number = |text: &str| text.parse::<f64>().ok();
    let ms = text("retry-after-ms").and_then(number);
    if let Some(wait) = ms.and_then(|ms| Duration::try_from_secs_f64(ms / 1000.0).ok()) {
        return Some(wait);
    }
    let retry_after = text("retry-after")?;
    if let Some(seconds) = number(retry_after) {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let date = httpdate::parse_http_date(retry_after).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(pairs: &[(&'static str, &'static str)]) -> Option<u128> {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (name.parse().unwrap(), value.parse().unwrap())
        };
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_770);
        advised_wait(&pairs.iter().map(pair).collect(), now).map(|wait| wait.as_millis())
    }

    #[test]
    fn every_form_is_read_and_nonsense_is_no_advice() {
        let after = |value| wait(&[("retry-after", value)]);
        assert_eq!(after("0"), Some(0));
        assert_eq!(after("1"), Some(1000));
        assert_eq!(after("1.5"), Some(1500));
        assert_eq!(after("Sun, 06 Nov 1994 08:49:37 GMT"), Some(7000));
        assert_eq!(after("Sun, 06 Nov 1994 08:49:00 GMT"), Some(0));
        for nonsense in ["-1", "NaN", "inf", "", "soon", "1e300"] {
            assert_eq!(after(nonsense), None, "{nonsense}");
        }
        assert_eq!(after("1000000000000"), Some(1_000_000_000_000_000));
        assert_eq!(wait(&[("retry-after-ms", "250"), ("retry-after", "9")]), Some(250));
        for nonsense in ["x", "-5", "NaN"] {
            let pairs = [("retry-after-ms", nonsense), ("retry-after", "9")];
            assert_eq!(wait(&pairs), Some(9000), "{nonsense}");
        }
        assert_eq!(wait(&[]), None);
    }
}
