//! Files that a process left which died while it wrote them.
//!
//! Whatever comes into a home is written as `<log>.<process>-<n>.new` first, beside the log whose lock
//! its writer holds, blobs too. So whoever holds the lock of a log knows that nobody is at work on
//! what is unfinished beside it.

use std::path::Path;
use std::sync::Arc;

use super::disk::Disk;
use super::home::Home;
use super::layout::{Unfinished, starts, unfinished};
use super::lock::Lock;

/// Removes what is unfinished beside `log`, the first of a family whose lock the caller holds; and
/// in the same folder, what was to become a log and never did, unless its lock is held. What cannot
/// be removed stays: it means nothing.
pub(super) fn sweep(disk: &Arc<dyn Disk>, log: &Path) {
    let Some(folder) = log.parent() else { return };
    for Unfinished { name, log: owner, is_session } in unfinished(folder).unwrap_or_default() {
        let owner = folder.join(owner);
        let is_own = owner == log;
        // Of a log that is there its next writer takes care, whom nobody else should keep out.
        let is_stray = is_session && !is_own && owner.symlink_metadata().is_err();
        let lock = if is_stray { Lock::take(disk, &owner).ok() } else { None };
        if is_own || lock.is_some() {
            let _ = disk.remove(&folder.join(name));
        }
    }
}

/// Removes the locks of ids that nobody holds: their holders died while they started a session.
pub(super) fn sweep_starts(home: &Home) {
    for start in starts(&home.path).unwrap_or_default() {
        drop(Lock::take(&home.disk, &start));
    }
}
