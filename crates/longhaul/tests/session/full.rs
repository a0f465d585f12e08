//! A store that is full, or slow, when a test says so.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use longhaul::rollout::{
    LogRef, LogWriter, MemoryStore, OnDamage, Opened, Page, Query, Record, Replay, ReplayConfig,
    Store, StoreError,
};
use longhaul_testkit::disk::BAD_MEDIUM;
use tokio::sync::watch;

use super::support::yield_twice;

/// A store whose disk is full while somebody says so (it cannot be read then either), or fails for good, and
/// whose syncs take as long as somebody says.
#[derive(Debug, Clone, Default)]
pub(crate) struct Full {
    pub(crate) store: MemoryStore,
    pub(crate) no_space: Arc<AtomicBool>,
    /// For the next attempts, the lowest bit first: there is no space.
    pub(crate) misses: Arc<AtomicU32>,
    /// The medium fails: after that its writers append nothing any more.
    pub(crate) is_bad: Arc<AtomicBool>,
    pub(crate) is_slow: watch::Sender<bool>,
    /// Of each append, the types of its records.
    pub(crate) appends: Arc<Mutex<Vec<Vec<String>>>>,
    /// Of each attempt to append, how many records.
    pub(crate) attempts: Arc<Mutex<Vec<usize>>>,
}

fn full() -> StoreError {
    let source = std::io::Error::from(std::io::ErrorKind::StorageFull);
    StoreError::NoSpace { path: "the log".into(), source }
}

#[async_trait]
impl Store for Full {
    async fn create(&self, records: Vec<Record>) -> Result<Box<dyn LogWriter>, StoreError> {
        let writer = self.store.create(records).await?;
        Ok(Box::new(FullWriter { writer, store: self.clone(), is_poisoned: false }))
    }

    async fn open(&self, which: &LogRef, on_damage: OnDamage) -> Result<Opened, StoreError> {
        let mut opened = self.store.open(which, on_damage).await?;
        let (writer, store) = (opened.writer, self.clone());
        opened.writer = Box::new(FullWriter { writer, store, is_poisoned: false });
        Ok(opened)
    }

    async fn read(&self, which: &LogRef, config: ReplayConfig) -> Result<Replay, StoreError> {
        if self.no_space.load(Ordering::Relaxed) {
            return Err(full());
        }
        self.store.read(which, config).await
    }

    async fn list(&self, query: &Query) -> Result<Page, StoreError> {
        self.store.list(query).await
    }
}

#[derive(Debug)]
struct FullWriter {
    writer: Box<dyn LogWriter>,
    store: Full,
    is_poisoned: bool,
}

#[async_trait]
impl LogWriter for FullWriter {
    async fn append(&mut self, records: Vec<Record>) -> Result<(), StoreError> {
        // Whatever comes now comes before the writer has done anything.
        yield_twice().await;
        let mut is_slow = self.store.is_slow.subscribe();
        is_slow.wait_for(|is_slow| !is_slow).await.unwrap();
        self.store.attempts.lock().unwrap().push(records.len());
        let misses = self.store.misses.load(Ordering::Relaxed);
        self.store.misses.store(misses >> 1, Ordering::Relaxed);
        if self.is_poisoned {
            let cause = "the medium failed".into();
            return Err(StoreError::Poisoned { path: "the log".into(), cause });
        }
        if self.store.is_bad.load(Ordering::Relaxed) {
            self.is_poisoned = true;
            let (operation, source) = ("syncing", std::io::Error::from_raw_os_error(BAD_MEDIUM));
            return Err(StoreError::Io { path: "the log".into(), operation, source });
        }
        if misses & 1 == 1 || self.store.no_space.load(Ordering::Relaxed) {
            return Err(full());
        }
        let kinds = records.iter().map(|record| record.kind.as_str().to_owned()).collect();
        self.store.appends.lock().unwrap().push(kinds);
        self.writer.append(records).await
    }

    fn path(&self) -> Option<&Path> {
        None
    }

    fn session_id(&self) -> &str {
        self.writer.session_id()
    }

    fn epoch(&self) -> u64 {
        self.writer.epoch()
    }

    fn next_ordinal(&self) -> u64 {
        self.writer.next_ordinal()
    }

    async fn close(self: Box<Self>) -> Result<(), StoreError> {
        self.writer.close().await
    }
}
