//! The end of a log, where records are appended.
//!
//! A tail trusts its file until something leaves open what is on disk: then it is poisoned, and
//! acknowledges nothing any more.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Fsync;
use super::blobs::{Batch, Durable};
use super::disk::{Identity, Medium, write_all};
use super::home::{Home, has_lost_names};
use super::lock::Lock;
use crate::Record;
use crate::store::{StoreError, shown};

/// Memory for lines that is kept from one append to the next.
const KEPT_BYTES: usize = 256 * 1024;

/// What a log is when its tail is opened.
#[derive(Debug, Clone, Copy)]
pub(super) struct Position {
    /// The length of the log in bytes; it ends with a newline.
    pub(super) length: u64,
    /// The ordinal of the next record.
    pub(super) ordinal: u64,
    /// The epoch of the next record.
    pub(super) epoch: u64,
}

/// The end of one log, with its lock.
#[derive(Debug)]
pub(super) struct Tail {
    file: Box<dyn Medium>,
    path: PathBuf,
    home: Arc<Home>,
    position: Position,
    /// Which file it was when it was opened.
    identity: Identity,
    buffer: Vec<u8>,
    durable: Durable,
    /// Why nothing is acknowledged any more.
    poison: Option<String>,
    /// Last, so that the file is closed when the lock is given back.
    _lock: Lock,
}

impl Tail {
    /// The tail of the file `path`, which is as `position` says.
    pub(super) fn new(
        file: Box<dyn Medium>,
        path: PathBuf,
        position: Position,
        home: Arc<Home>,
        durable: Durable,
        lock: Lock,
    ) -> Result<Self, StoreError> {
        let identity = file.identity().map_err(|e| StoreError::io("opening", &path, e))?;
        let (buffer, poison) = (Vec::new(), None);
        let tail =
            Self { file, path, home, position, identity, buffer, durable, poison, _lock: lock };
        tail.check_place(position.length)?;
        Ok(tail)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn position(&self) -> Position {
        self.position
    }

    /// Appends all records, or none.
    pub(super) fn append(&mut self, records: &[Record]) -> Result<(), StoreError> {
        if let Some(cause) = &self.poison {
            return Err(StoreError::Poisoned { path: shown(&self.path), cause: cause.clone() });
        }
        if records.is_empty() {
            return Ok(());
        }
        self.encode(records)?;
        self.check_place(self.position.length).or_else(|e| self.poisoned(e))?;
        self.write()?;
        if self.home.fsync == Fsync::Commit {
            self.file.sync().or_else(|e| self.undo_and_poison("syncing", e))?;
        }
        let length = self.position.length + self.buffer.len() as u64;
        self.check_place(length).or_else(|e| self.poisoned(e))?;
        self.position.length = length;
        self.position.ordinal += records.len() as u64;
        self.buffer.shrink_to(KEPT_BYTES);
        Ok(())
    }

    /// Makes the lines of the records, in the buffer.
    fn encode(&mut self, records: &[Record]) -> Result<(), StoreError> {
        self.buffer.clear();
        let Self { home, path, position, durable, buffer, .. } = self;
        let Err(error) = encode(home, path, records, *position, durable, buffer) else {
            return Ok(());
        };
        self.buffer = Vec::new();
        if has_lost_names(&error) { self.poisoned(error) } else { Err(error) }
    }

    /// Writes the lines; after an error nothing of them is left.
    fn write(&mut self) -> Result<(), StoreError> {
        let Err(error) = write_all(&mut *self.file, &self.buffer) else { return Ok(()) };
        if is_lost(&error) {
            return self.undo_and_poison("writing", error);
        }
        if let Err(second) = self.file.truncate(self.position.length) {
            return self.poisoned(StoreError::unsettled("cutting", &self.path, second));
        }
        Err(StoreError::io("writing", &self.path, error))
    }

    /// What was written may be there or not. It is cut off if that works, so that who opens the
    /// log again does not find what was never acknowledged; but this file is not trusted again.
    fn undo_and_poison(
        &mut self,
        operation: &'static str,
        error: io::Error,
    ) -> Result<(), StoreError> {
        let _ = self.file.truncate(self.position.length);
        self.poisoned(StoreError::unsettled(operation, &self.path, error))
    }

    fn poisoned(&mut self, error: StoreError) -> Result<(), StoreError> {
        let error = error.at_its_end();
        self.poison = Some(error.cause());
        Err(error)
    }

    /// Sees that the file is the one that has the name, and as long as it was left.
    fn check_place(&self, length: u64) -> Result<(), StoreError> {
        let disturbed = |what| StoreError::Disturbed { path: shown(&self.path), what };
        let named = match fs::metadata(&self.path) {
            Ok(metadata) => Identity::of(&metadata),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(disturbed("removed"));
            }
            Err(error) => return Err(StoreError::io("looking at", &self.path, error)),
        };
        if !named.is_same_file(&self.identity) {
            return Err(disturbed("replaced"));
        }
        match named.length.cmp(&length) {
            std::cmp::Ordering::Less => Err(disturbed("cut")),
            std::cmp::Ordering::Equal => Ok(()),
            std::cmp::Ordering::Greater => Err(disturbed("written to")),
        }
    }
}

/// Makes the lines of records of a log whose lock is held, and stores the blobs that they name.
pub(super) fn encode(
    home: &Home,
    log: &Path,
    records: &[Record],
    position: Position,
    durable: &mut Durable,
    lines: &mut Vec<u8>,
) -> Result<(), StoreError> {
    let mut blobs = Batch::new(home, log, durable);
    for (record, ordinal) in records.iter().zip(position.ordinal..) {
        let moved = blobs.move_out(record)?;
        let start = lines.len();
        moved.as_ref().unwrap_or(record).seal(ordinal, position.epoch, lines);
        check_length(log, lines.len() - start, home.max_line_bytes)?;
    }
    blobs.commit()
}

/// Sees that a line will be read again; its length is with its newline.
fn check_length(log: &Path, len: usize, max: u64) -> Result<(), StoreError> {
    match len.saturating_sub(1) as u64 {
        bytes if bytes > max => Err(StoreError::TooLong { path: shown(log), bytes, max }),
        _ => Ok(()),
    }
}

/// Whether a failed write says that the medium itself failed.
fn is_lost(error: &io::Error) -> bool {
    #[cfg(unix)]
    return error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error());
    #[cfg(not(unix))]
    return error.raw_os_error().is_some_and(|_| false);
}
