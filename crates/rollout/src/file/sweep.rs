//! Files that a process left which died while it wrote them.
//!
//! Whatever comes into a home is written as `<log>.<process>-<n>.new` first, beside the log whose lock
//! its writer holds, blobs too. So whoever holds the lock of a log knows that nobody is at work on
//! what is unfinished beside it.

use std::path::Path;
use std::sync::Arc;

use super::disk::Disk;
use super::gate::Gate;
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
        let gate = if is_stray { Gate::close(folder) } else { None };
        let lock = gate.as_ref().and_then(|_| Lock::take_to_sweep(disk, &owner));
        if is_own || lock.is_some() {
            let _ = disk.remove(&folder.join(name));
        }
        drop((lock, gate));
    }
}

/// Removes the locks of ids that nobody holds, but for `own`: their holders died while they started a
/// session. If somebody else is at it, they stay until the next start.
pub(super) fn sweep_starts(home: &Home, own: &Path) {
    let mut others = starts(&home.path).unwrap_or_default();
    others.retain(|start| start != own);
    let folder = own.parent().filter(|_| !others.is_empty());
    let Some(_gate) = folder.and_then(Gate::close) else { return };
    for start in others {
        drop(Lock::take_to_sweep(&home.disk, &start));
    }
}
