//! How long a server asks to wait.

use std::time::{Duration, SystemTime};

use http::HeaderMap;

/// The wait in `retry-after-ms`, else in `Retry-After` as seconds or as a date seen at `now`.
///
/// Of several values the first that says something counts. A date that has passed is no wait. What
/// is not a number or a date is no advice.
pub fn advised_wait(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let ms = texts(headers, "retry-after-ms").find_map(|text| number(text, 0.001));
    ms.or_else(|| texts(headers, "retry-after").find_map(|text| seconds_or_date(text, now)))
}

fn texts<'a>(headers: &'a HeaderMap, name: &str) -> impl Iterator<Item = &'a str> {
    headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok())
}

fn seconds_or_date(text: &str, now: SystemTime) -> Option<Duration> {
    number(text, 1.0).or_else(|| {
        let date = httpdate::parse_http_date(text.trim()).ok()?;
        Some(date.duration_since(now).unwrap_or_default())
    })
}

/// The first number in `text`, which may be several values that were made one.
fn number(text: &str, unit_seconds: f64) -> Option<Duration> {
    text.split(',').find_map(|text| {
        let number: f64 = text.trim().parse().ok()?;
        Duration::try_from_secs_f64(number * unit_seconds).ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(pairs: &[(&'static str, &'static str)]) -> Option<u128> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_770);
        advised_wait(&headers, now).map(|wait| wait.as_millis())
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

    #[test]
    fn of_several_values_the_first_that_says_something_counts() {
        let after = |first, second| wait(&[("retry-after", first), ("retry-after", second)]);
        assert_eq!(after("3", "5"), Some(3000));
        assert_eq!(after("", "5"), Some(5000));
        assert_eq!(after("soon", "Sun, 06 Nov 1994 08:49:37 GMT"), Some(7000));
        assert_eq!(after("-1", "NaN"), None);
        assert_eq!(wait(&[("retry-after", "3, 5")]), Some(3000));
        assert_eq!(wait(&[("retry-after", " x, 5")]), Some(5000));
        let ms = [("retry-after-ms", "x"), ("retry-after-ms", "7"), ("retry-after", "1")];
        assert_eq!(wait(&ms), Some(7));
    }
}
