//! Where a log is stored, relative to the embedder's folder.

use std::path::PathBuf;

use jiff::Timestamp;

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

fn is_uuid(id: &str) -> bool {
    let groups = id.split('-').map(str::len).eq([8, 4, 4, 4, 12]);
    groups && id.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit())
}
