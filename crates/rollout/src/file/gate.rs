//! The lock of a folder, which whoever sweeps in it holds.
//!
//! Who sweeps takes locks that nobody is at work under, only to remove what is left. Meanwhile one that
//! is about to take such a lock finds it held, though no writer holds it. So who sweeps holds the
//! folder itself, and who finds a lock held looks again while nobody can sweep. Where folders have no
//! locks, as on Windows, nothing is swept but what is one's own: the rest stays, and means nothing.

use std::fs::File;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::lock::{try_lock, try_lock_shared};

/// How long who sweeps is waited for. To sweep takes milliseconds; who takes longer was stopped, or its
/// disk hangs, and may hold the lock for ever.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// How long it is until one who waits looks again.
const PAUSE: Duration = Duration::from_millis(1);

/// A folder that is locked until this is dropped.
#[derive(Debug)]
pub(super) struct Gate(File);

impl Gate {
    /// Locks a folder to sweep in it, unless somebody else sweeps or waits for a lock to be looked at.
    pub(super) fn close(folder: &Path) -> Option<Self> {
        let file = File::open(folder).ok()?;
        try_lock(&file).ok()?.then_some(Self(file))
    }

    /// Waits until nobody sweeps in a folder, and keeps it so; not longer than `patience`. Where folders
    /// have no locks, nobody sweeps.
    pub(super) fn pass(folder: &Path, patience: Duration) -> Option<Self> {
        let file = File::open(folder).ok()?;
        let since = Instant::now();
        while !try_lock_shared(&file).ok()? {
            if since.elapsed() >= patience {
                return None;
            }
            thread::sleep(PAUSE);
        }
        Some(Self(file))
    }
}

impl Drop for Gate {
    /// By word, since a process that was just forked may have it open for a moment.
    fn drop(&mut self) {
        #[cfg(any(unix, windows))]
        let _ = fs4::FileExt::unlock(&self.0);
    }
}
