//! Logs in files, one a session, under one folder.
//!
//! ```text
//! <home>/sessions/2026/11/28/rollout-2026-11-28T10-00-00-<id>.jsonl            the log
//!                            rollout-2026-11-28T10-00-00-<id>.jsonl.lock       while it is written to
//!                            rollout-2026-11-28T10-00-00-<id>.jsonl.torn-3     a torn end, set aside
//!                            rollout-2026-11-28T10-00-00-<id>.salvaged-4.jsonl goes on for a damaged one
//!                            rollout-2026-11-28T10-00-00-<id>.jsonl.123-0.new  not finished; swept later
//! <home>/blobs/ab/<SHA-256>                                                    long strings of any log
//! ```
//!
//! Folders and files are made for their owner alone. A home is on one file system. What blocks runs
//! in tokio's blocking threads.

mod aside;
mod blobs;
mod disk;
mod find;
mod folders;
mod gate;
mod home;
mod layout;
mod list;
mod lock;
mod open;
mod reading;
mod salvage;
mod sweep;
mod tail;
mod writer;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::task::spawn_blocking;

pub use disk::{Disk, Identity, LocalDisk, Medium};

use crate::list::{Page, Query};
use crate::store::{Accept, LogRef, LogWriter, Opened, Store, StoreError, shown};
use crate::{BLOB_BYTES, MAX_LINE_BYTES, OnDamage, Record, Replay, ReplayConfig};
use home::Home;
use reading::Waiter;

/// When what is appended is synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Fsync {
    /// Before it is acknowledged: it survives the power.
    #[default]
    Commit,
    /// Never: it survives the process, not the power.
    Off,
}

/// A store of log files. Clones share everything.
///
/// ```no_run
/// use longhaul_rollout::{FileStore, Query, Store};
///
/// # async fn example() -> Result<(), longhaul_rollout::StoreError> {
/// let store = FileStore::new("/home/user/.agent");
/// for session in store.list(&Query::default()).await?.sessions {
///     println!("{} {}", session.id, session.title.unwrap_or_default());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct FileStore {
    home: Arc<Home>,
}

impl FileStore {
    /// The store in the folder `home`, which is made when the first log is. A relative path is
    /// meant as of now.
    pub fn new(home: impl AsRef<Path>) -> Self {
        let home = home.as_ref();
        let path = std::path::absolute(home).unwrap_or_else(|_| home.to_owned());
        let home = Home {
            path,
            disk: Arc::new(LocalDisk),
            fsync: Fsync::default(),
            blob_threshold_bytes: BLOB_BYTES,
            max_line_bytes: MAX_LINE_BYTES,
        };
        Self { home: Arc::new(home) }
    }

    /// When appends are synced; [`Fsync::Commit`] by default.
    #[must_use]
    pub fn fsync(self, fsync: Fsync) -> Self {
        self.with(|home| home.fsync = fsync)
    }

    /// From how many raw bytes on a string is stored as a blob;
    /// [`BLOB_BYTES`] by default. Not less than 128, which a stand-in takes.
    #[must_use]
    pub fn blob_threshold_bytes(self, bytes: usize) -> Self {
        self.with(|home| home.blob_threshold_bytes = bytes.max(128))
    }

    /// Writes through `disk` instead of the file system itself, as tests do to make it fail.
    #[must_use]
    pub fn disk(self, disk: Arc<dyn Disk>) -> Self {
        self.with(|home| home.disk = disk)
    }

    /// The folder of the store, absolute.
    pub fn home(&self) -> &Path {
        &self.home.path
    }

    fn with(mut self, change: impl FnOnce(&mut Home)) -> Self {
        change(Arc::make_mut(&mut self.home));
        self
    }

    /// Runs what blocks in a thread for that. Work that asks its waiter ends when this future is
    /// dropped.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Arc<Home>, &Waiter) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let home = Arc::clone(&self.home);
        let (waiting, waiter) = Waiter::new();
        let ended = spawn_blocking(move || work(&home, &waiter)).await;
        drop(waiting);
        ended.unwrap_or_else(|error| {
            let (path, source) = (shown(self.home()), error.into());
            Err(StoreError::Io { path, operation: "working on", source })
        })
    }
}

#[async_trait]
impl Store for FileStore {
    async fn create(&self, records: Vec<Record>) -> Result<Box<dyn LogWriter>, StoreError> {
        let writer = self.run(move |home, _| open::create(home, &records)).await?;
        Ok(Box::new(writer))
    }

    async fn open(&self, which: &LogRef, on_damage: OnDamage) -> Result<Opened, StoreError> {
        let opened = self.open_if(which, on_damage, Box::new(|_| true)).await?;
        opened.ok_or_else(|| StoreError::NotFound { which: which.shown() })
    }

    async fn open_if(
        &self,
        which: &LogRef,
        on_damage: OnDamage,
        accept: Accept,
    ) -> Result<Option<Opened>, StoreError> {
        let which = which.clone();
        self.run(move |home, waiter| open::open(home, &which, on_damage, accept, waiter)).await
    }

    async fn read(&self, which: &LogRef, config: ReplayConfig) -> Result<Replay, StoreError> {
        let which = which.clone();
        self.run(move |home, waiter| open::read(home, &which, config, waiter)).await
    }

    async fn list(&self, query: &Query) -> Result<Page, StoreError> {
        let query = query.clone();
        self.run(move |home, waiter| list::list(&home.path, &query, waiter)).await
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::json;
    use serde_json::value::to_raw_value;

    use super::*;
    use crate::{RecordKind, SessionMeta};

    /// What would not be read again is not written.
    #[tokio::test]
    async fn a_line_that_is_too_long_is_refused_and_the_writer_goes_on() {
        const MAX: u64 = 2_000;
        let home = std::env::temp_dir().join(format!("longhaul-lines-{}", std::process::id()));
        let store = FileStore::new(&home).with(|home| home.max_line_bytes = MAX);
        let now = "2026-11-22T10:00:00Z".parse().unwrap();
        let meta = SessionMeta::new("01a20298-0571-7a40-bd9c-000000000000", now);
        let first = Record::new(now, RecordKind::SessionMeta, to_raw_value(&meta).unwrap());
        let event = |bytes: usize| {
            // None of its strings goes into a blob.
            let parts = vec!["x".repeat(97); bytes / 100];
            let payload = json!({"type": "note", "parts": parts, "rest": "y".repeat(bytes % 100)});
            Record::new(now, RecordKind::EventMsg, to_raw_value(&payload).unwrap())
        };
        let mut writer = store.create(vec![first]).await.unwrap();
        let path = writer.path().unwrap().to_owned();
        let before = fs::read(&path).unwrap();
        let mut refused = 0;
        let mut bytes = 2_100;
        while let Err(error) = writer.append(vec![event(1), event(bytes)]).await {
            assert!(matches!(error, StoreError::TooLong { max: MAX, .. }), "{error}");
            assert!(!error.is_transient());
            assert_eq!((fs::read(&path).unwrap(), writer.next_ordinal()), (before.clone(), 1));
            (refused, bytes) = (refused + 1, bytes - 1);
        }
        assert!(refused > 10);
        writer.append(vec![event(2)]).await.unwrap();
        let log = fs::read_to_string(&path).unwrap();
        assert_eq!(log.lines().map(str::len).max(), Some(2_000), "the longest is taken");
        let config = ReplayConfig { max_line_bytes: MAX, ..ReplayConfig::default() };
        let replay = store.read(&LogRef::Path(path), config).await.unwrap();
        assert_eq!(replay.next_ordinal, 4);
        writer.close().await.unwrap();
        fs::remove_dir_all(home).unwrap();
    }
}
