//! Where logs are kept: the seam behind which files, memory or a database stand.

mod error;
mod start;

use std::fmt;
use std::path::{Path, PathBuf};

use async_trait::async_trait;

pub use error::{Holder, StoreError};
pub(crate) use error::{UnreadBlob, beside, shown};
pub(crate) use start::Start;

use crate::list::{Page, Query};
use crate::{OnDamage, Record, Replay, ReplayConfig};

/// A place where the logs of sessions are kept. Cheap to share behind an `Arc`.
///
/// `longhaul_testkit::store` has the tests that any implementation passes.
#[async_trait]
pub trait Store: fmt::Debug + Send + Sync {
    /// Starts the log of a new session with these records, as one append of epoch 1. The log is
    /// there as a whole when this returns, or not at all.
    ///
    /// The first record is the `session_meta` of format version 1; its payload names the session
    /// (`id`, a UUID) and when it started (`timestamp`).
    ///
    /// # Errors
    ///
    /// [`StoreError::BadStart`], [`StoreError::Exists`], [`StoreError::Locked`],
    /// [`StoreError::TooLong`], or that the store could not be written to.
    ///
    /// # Cancel safety
    ///
    /// The work goes on without the future: the log may be there afterwards, unlocked.
    async fn create(&self, records: Vec<Record>) -> Result<Box<dyn LogWriter>, StoreError>;

    /// Takes the lock of a log, replays it, and makes it fit to go on: see [`Opened`].
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`], [`StoreError::Locked`], [`StoreError::Foreign`],
    /// [`StoreError::Damaged`] unless `on_damage` is [`OnDamage::Salvage`], or that the store could
    /// not be read or written to.
    ///
    /// # Cancel safety
    ///
    /// The work ends without the future, before its next read of the log; the lock is free then.
    async fn open(&self, which: &LogRef, on_damage: OnDamage) -> Result<Opened, StoreError>;

    /// As [`open`](Self::open), if `accept` says yes to what the log says; else `None`, and nothing was
    /// changed: a torn end is where it was, and a damaged log was not salvaged.
    ///
    /// Unless a store does better, the log is read twice, and may change in between.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    ///
    /// # Cancel safety
    ///
    /// As [`open`](Self::open).
    async fn open_if(
        &self,
        which: &LogRef,
        on_damage: OnDamage,
        accept: Accept,
    ) -> Result<Option<Opened>, StoreError> {
        let replay = self.read(which, on_damage.into()).await?;
        // What it says of another program's is for `open` to refuse.
        if !replay.is_foreign && !accept(&replay) {
            return Ok(None);
        }
        drop(replay);
        self.open(which, on_damage).await.map(Some)
    }

    /// Replays a log without its lock, also while its writer is at work: as far as `config` says, or
    /// else up to the last record that was acknowledged, or later. Nothing is changed.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`], [`StoreError::Damaged`] unless `config` says
    /// [`OnDamage::Salvage`], [`StoreError::Unreadable`] with
    /// [`ReadError::NoSuchOrdinal`](crate::ReadError::NoSuchOrdinal) if the log has no record up to
    /// which it is to be read, or that the store could not be read.
    ///
    /// # Cancel safety
    ///
    /// Safe: nothing is changed, and reading ends soon.
    async fn read(&self, which: &LogRef, config: ReplayConfig) -> Result<Replay, StoreError>;

    /// The sessions, newest first, one page of them. What cannot be read is named in the page, and the
    /// rest is listed.
    ///
    /// # Errors
    ///
    /// [`StoreError::BadCursor`], or that the store as a whole could not be read.
    ///
    /// # Cancel safety
    ///
    /// Safe: nothing is changed.
    async fn list(&self, query: &Query) -> Result<Page, StoreError>;
}

/// Whether a log may be opened, by what it says.
pub type Accept = Box<dyn FnOnce(&Replay) -> bool + Send>;

/// The one writer of a log. It holds the lock of the log until it is closed or dropped.
#[async_trait]
pub trait LogWriter: fmt::Debug + Send {
    /// Appends records, with ordinals and the epoch: all of them, or after an error none. When it
    /// returns they are durable, unless the store was told not to sync.
    ///
    /// All records of one call share one write and one sync: who has many gives them together. A
    /// crash in the middle of the call may leave the first of them behind.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoSpace`], [`StoreError::TooLong`] and other refusals that leave the log as it was:
    /// the next call may go on. [`StoreError::Superseded`] in stores whose locks can be taken over: whoever opens the log then
    /// has the next epoch, and a store compares epochs in the very transaction that appends. After
    /// [`StoreError::Disturbed`], or [`StoreError::Unsettled`], which leaves open what is on disk, every
    /// later call is [`StoreError::Poisoned`]: the writer is to be closed, and the log opened again. A
    /// disk that is found full by a sync, and not by a write, is such a failure.
    ///
    /// # Cancel safety
    ///
    /// Once polled, the work goes on without the future, and whatever is called next waits for
    /// it. If it failed, that next call returns its error and does nothing of its own.
    async fn append(&mut self, records: Vec<Record>) -> Result<(), StoreError>;

    /// Where the log is, if it is a file. A salvaged log goes on under another path than it had.
    fn path(&self) -> Option<&Path>;

    /// The id of the session.
    fn session_id(&self) -> &str;

    /// Which opening of the log for writing this is, from 1. It stands in every record.
    fn epoch(&self) -> u64;

    /// The ordinal of the record that is appended next; after an append whose future was dropped,
    /// that of the first record of it.
    fn next_ordinal(&self) -> u64;

    /// Waits for what is under way and gives the lock back. To drop the writer does the same, but
    /// does not tell when, nor whether an append whose future was dropped has failed.
    ///
    /// # Errors
    ///
    /// That of an append whose future was dropped.
    ///
    /// # Cancel safety
    ///
    /// The lock is given back without the future, too.
    async fn close(self: Box<Self>) -> Result<(), StoreError>;
}

/// Which log is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogRef {
    /// The newest log of the session with this id.
    Id(String),
    /// The log in this file; of one that was salvaged, the newest that goes on for it, by whichever of
    /// its paths. A relative path is in the folder of the store.
    Path(PathBuf),
}

impl LogRef {
    /// What is asked for, fit for a message.
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::Id(id) => shown(Path::new(id)),
            Self::Path(path) => shown(path),
        }
    }
}

impl From<PathBuf> for LogRef {
    fn from(path: PathBuf) -> Self {
        Self::Path(path)
    }
}

impl From<&Path> for LogRef {
    fn from(path: &Path) -> Self {
        Self::Path(path.to_owned())
    }
}

/// A log that was opened for writing.
#[derive(Debug)]
#[non_exhaustive]
pub struct Opened {
    /// What the log says, up to the first byte that the writer will write.
    pub replay: Replay,
    /// The one who may write. Its first record has the next ordinal and the next epoch; that an
    /// epoch begins is for the caller to record.
    pub writer: Box<dyn LogWriter>,
    /// Where a torn end of the log was set aside. It was never acknowledged.
    pub set_aside: Option<PathBuf>,
    /// The damaged log that the caller asked to salvage, or whoever opened it before and wrote nothing
    /// since: it may have died before anybody was told. It stays as it is, and `replay.damage` says what
    /// was left out. The writer's path is that of the log that continues it, and which this path names
    /// from now on for the store; [`replay`](crate::replay()) reads the damaged one itself.
    pub salvaged_from: Option<PathBuf>,
}

impl Opened {
    /// A log of which nothing was set aside or salvaged.
    pub fn new(replay: Replay, writer: Box<dyn LogWriter>) -> Self {
        Self { replay, writer, set_aside: None, salvaged_from: None }
    }
}
