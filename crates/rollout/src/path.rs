//! Where a log is stored, relative to the embedder's folder.

use std::path::PathBuf;

use jiff::{SignedDuration, Timestamp};

use crate::error::{Error, excerpt};

/// The relative path of the log of session `id`:
/// `sessions/YYYY/MM/DD/rollout-YYYY-MM-DDThh-mm-ss-<id>.jsonl`.
///
/// `started_at` is written in UTC, so that names sort by time, also where clocks are put back.
///
/// # Errors
///
/// [`Error::BadSessionId`] unless `id` is five groups of 8, 4, 4, 4 and 12 hexadecimal digits with
/// `-` between them. The version of the UUID is not looked at, and the case of its digits is kept.
///
/// ```
/// use longhaul_rollout::log_path;
///
/// let started_at = "2026-11-22T23:30:47.046-01:00".parse().unwrap();
/// let path = log_path(started_at, "01a20298-0571-7a40-bd9c-36a08a0bd337")?;
/// let name = "rollout-2026-11-23T00-30-47-01a20298-0571-7a40-bd9c-36a08a0bd337.jsonl";
/// assert_eq!(path, std::path::Path::new("sessions/2026/11/23").join(name));
///
/// assert!(log_path(started_at, "../../etc/passwd").is_err());
/// # Ok::<(), longhaul_rollout::Error>(())
/// ```
pub fn log_path(started_at: Timestamp, id: &str) -> Result<PathBuf, Error> {
    if !is_uuid(id) {
        return Err(Error::BadSessionId { excerpt: excerpt(id.as_bytes()) });
    }
    let name = started_at.strftime("sessions/%Y/%m/%d/rollout-%Y-%m-%dT%H-%M-%S");
    Ok(PathBuf::from(format!("{name}-{id}.jsonl")))
}

/// The folder of the day before the one on which a session's id was made, which no log of it is older than,
/// be its day a local one. `None` if the id does not tell (it is no `UUIDv7`), or is of after `started_at`.
pub(crate) fn earliest_folder(id: &str, started_at: Timestamp) -> Option<PathBuf> {
    let is_timed = is_uuid(id) && id.as_bytes().get(14) == Some(&b'7');
    let millisecond = is_timed.then(|| i64::from_str_radix(&id[..13].replace('-', ""), 16).ok());
    let made_at = Timestamp::from_millisecond(millisecond??).ok().filter(|it| *it <= started_at)?;
    let day_before = made_at.checked_sub(SignedDuration::from_hours(24)).ok()?;
    Some(PathBuf::from(day_before.strftime("sessions/%Y/%m/%d").to_string()))
}

fn is_uuid(id: &str) -> bool {
    let groups = id.split('-').map(str::len).eq([8, 4, 4, 4, 12]);
    groups && id.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_tells_how_old_its_logs_are_at_most() {
        let folder = |id: &str, started_at: &str| {
            let folder = earliest_folder(id, started_at.parse().ok()?);
            folder.map(|it| it.to_string_lossy().into_owned())
        };
        let id = "01a205cf-ff06-7a40-bd9c-36a08a0bd337";
        let made_at = "2026-11-23T00:30:47.046Z";
        let day_before = Some("sessions/2026/11/22".to_owned());
        assert_eq!(folder(id, made_at), day_before);
        assert_eq!(folder(&id.to_uppercase(), "2027-01-01T00:00:00Z"), day_before);
        assert_eq!(folder(id, "2026-11-23T00:30:47.045Z"), None, "before it was made");
        assert_eq!(folder("01a205cf-ff06-4a40-bd9c-36a08a0bd337", made_at), None, "no time in it");
        assert_eq!(folder("ffffffff-ffff-7a40-bd9c-36a08a0bd337", made_at), None);
        assert_eq!(folder("../../etc/passwd", made_at), None);
    }
}
