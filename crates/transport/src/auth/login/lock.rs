//! The kernel's lock that one refresh of a login holds among all processes.
//!
//! A lock that waits cannot be given a deadline, so it is tried again and again: first soon, then
//! every [`MAX_PAUSE`]. Nobody takes it from a holder that lives, however slow.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::error::{LoginError, shown};
use super::mark::Mark;
use super::platform::{self, Open};
use super::store::open_trusted;

const FIRST_PAUSE: Duration = Duration::from_millis(5);
const MAX_PAUSE: Duration = Duration::from_millis(100);

/// More than this is no record.
const MAX_RECORD_BYTES: u64 = 256;

/// The lock, held until it is dropped.
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
    path: PathBuf,
}

impl Lock {
    /// Takes the lock, waiting for at most `timeout`.
    pub(super) async fn acquire(path: &Path, timeout: Duration) -> Result<Self, LoginError> {
        let start = Instant::now();
        let mut pause = FIRST_PAUSE;
        loop {
            if let Some(lock) = Self::try_acquire(path)? {
                return Ok(lock);
            }
            let waited = start.elapsed();
            if waited >= timeout {
                return Err(LoginError::Locked {
                    path: shown(path),
                    waited_ms: timeout.as_millis(),
                });
            }
            sleep(pause.min(timeout.saturating_sub(waited))).await;
            pause = (pause * 2).min(MAX_PAUSE);
        }
    }

    /// Takes the lock if it is free.
    pub(super) fn try_acquire(path: &Path) -> Result<Option<Self>, LoginError> {
        let file = open_trusted(path, Open::Lock)?;
        let locked = platform::try_lock(&file).map_err(|e| LoginError::io(path, "locked", e))?;
        Ok(locked.then(|| Self { file, path: path.to_owned() }))
    }

    /// The note about a refresh token, if there is one.
    pub(super) fn mark(&mut self) -> Result<Option<Mark>, LoginError> {
        let mut record = Vec::new();
        let read = self
            .file
            .rewind()
            .and_then(|()| (&mut self.file).take(MAX_RECORD_BYTES).read_to_end(&mut record));
        read.map_err(|e| LoginError::io(&self.path, "read", e))?;
        Ok(Mark::read(&record))
    }

    /// Notes it, durably.
    pub(super) fn set_mark(&mut self, mark: &Mark) -> Result<(), LoginError> {
        let record = mark.record();
        let written = self.file.rewind().and_then(|()| {
            self.file.write_all(record.as_bytes())?;
            self.file.set_len(record.len() as u64)?;
            self.file.sync_data()
        });
        written.map_err(|e| LoginError::io(&self.path, "written", e))
    }
}
