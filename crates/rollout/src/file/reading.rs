//! Log files that are read for somebody who may stop waiting: then reading ends.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::{Arc, Weak};

use crate::Source;
use crate::store::StoreError;

/// Who waits for work in a thread: the future that began it.
#[derive(Debug, Clone)]
pub(super) struct Waiter(Weak<()>);

impl Waiter {
    /// Somebody who waits as long as the first is held.
    pub(super) fn new() -> (Arc<()>, Self) {
        let waiting = Arc::new(());
        let waiter = Self(Arc::downgrade(&waiting));
        (waiting, waiter)
    }

    /// An error if nobody waits any more. Nobody is told of it then.
    pub(super) fn check(&self) -> io::Result<()> {
        match self.0.strong_count() {
            0 => Err(io::Error::other("nobody waits for it any more")),
            _ => Ok(()),
        }
    }
}

/// A log file that is open to be read. A read is at most what its buffer holds, so that work which
/// nobody waits for ends soon, however long the log is.
#[derive(Debug)]
pub(super) struct LogFile {
    file: File,
    waiter: Waiter,
}

impl LogFile {
    /// Opens a log; what is no file is refused, since a pipe would be waited for.
    pub(super) fn open(path: &Path, waiter: &Waiter) -> Result<Self, StoreError> {
        let failed = |error| StoreError::io("opening", path, error);
        if !fs::metadata(path).map_err(failed)?.is_file() {
            return Err(failed(io::Error::other("no regular file; give the path of a log")));
        }
        let file = File::open(path).map_err(failed)?;
        Ok(Self { file, waiter: waiter.clone() })
    }

    pub(super) fn waiter(&self) -> &Waiter {
        &self.waiter
    }
}

impl Source for LogFile {
    fn len(&self) -> io::Result<u64> {
        Source::len(&self.file)
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.waiter.check()?;
        Source::read_at(&self.file, offset, buf)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_waits_for_is_not_read() {
        let (waiting, waiter) = Waiter::new();
        let path = std::env::current_exe().unwrap();
        let file = LogFile::open(&path, &waiter).unwrap();
        assert_eq!(file.read_at(0, &mut [0; 4]).unwrap(), 4);
        drop(waiting);
        // Not an interruption, which is tried again.
        assert_eq!(file.read_at(0, &mut [0; 4]).unwrap_err().kind(), io::ErrorKind::Other);
    }
}
