//! Logs in memory, for tests and for sessions that nobody will resume.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;

use crate::list::{Cursor, Head, Page, Query, Unreadable};
use crate::store::{Accept, Holder, LogRef, LogWriter, Opened, Start, Store, StoreError, shown};
use crate::{OnDamage, Record, Replay, ReplayConfig, replay};

/// A store of logs in memory. Clones share the logs, which end with the last of them.
///
/// It keeps what a store of files keeps: one writer at a time, epochs, and the very lines of a
/// log, so that what cannot be replayed from a file cannot be replayed from here.
#[derive(Clone, Default)]
pub struct MemoryStore {
    logs: Arc<Mutex<Logs>>,
}

/// By the path that each would have in a folder, so that their order is the same.
type Logs = BTreeMap<PathBuf, Log>;

struct Log {
    id: String,
    lines: Vec<u8>,
    holder: Option<Holder>,
    /// Of the newest writer.
    epoch: u64,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the lock of a session's log away from its writer, as the end of a lease does in a database:
    /// the next who opens it takes over. From then on the old writer appends nothing any more.
    pub fn expire(&self, session_id: &str) {
        let mut logs = self.logs();
        if let Ok((_, log)) = find(&mut logs, &LogRef::Id(session_id.to_owned())) {
            log.holder = None;
        }
    }

    /// The newest log of the session with this id, as a file would hold it; `None` if there is none.
    pub fn bytes(&self, id: &str) -> Option<Vec<u8>> {
        let logs = self.logs();
        let log = logs.values().rev().find(|log| log.id == id)?;
        Some(log.lines.clone())
    }

    /// A store of its own with the logs as they are now, open for nobody: what would be found if all
    /// who write died at this moment.
    #[must_use]
    pub fn copy(&self) -> Self {
        let copy = |(path, log): (&PathBuf, &Log)| {
            let (id, lines) = (log.id.clone(), log.lines.clone());
            (path.clone(), Log { id, lines, holder: None, epoch: log.epoch })
        };
        Self { logs: Arc::new(Mutex::new(self.logs().iter().map(copy).collect())) }
    }

    /// No code that panics runs while it is locked, so a poisoned lock guards whole logs.
    fn logs(&self) -> MutexGuard<'_, Logs> {
        self.logs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the lock of a log, and the next epoch.
    fn take(&self, which: &LogRef, on_damage: OnDamage) -> Result<Opened, StoreError> {
        let mut logs = self.logs();
        let (key, log) = find(&mut logs, which)?;
        if let Some(holder) = log.holder.clone() {
            return Err(StoreError::Locked { path: log.id.clone(), holder });
        }
        let replay = replay_lines(log, on_damage.into())?;
        (log.holder, log.epoch) = (Some(holder()), replay.epoch.max(log.epoch) + 1);
        let epoch = log.epoch;
        let (key, id) = (key.clone(), log.id.clone());
        drop(logs);
        let writer = self.writer(key, id, replay.next_ordinal, epoch);
        Ok(Opened::new(replay, writer))
    }

    /// Gives back an epoch in which nothing was written.
    fn give_back(&self, id: &str, epoch: u64) {
        if let Ok((_, log)) = find(&mut self.logs(), &LogRef::Id(id.to_owned()))
            && log.epoch == epoch
        {
            log.epoch -= 1;
        }
    }

    fn writer(&self, key: PathBuf, id: String, ordinal: u64, epoch: u64) -> Box<dyn LogWriter> {
        Box::new(MemoryWriter { store: self.clone(), key, id, ordinal, epoch })
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("logs", &self.logs().len()).finish()
    }
}

/// The newest log of a session. Paths name nothing here.
fn find<'a>(logs: &'a mut Logs, which: &LogRef) -> Result<(&'a PathBuf, &'a mut Log), StoreError> {
    let (id, which) = match which {
        LogRef::Id(id) => (Some(id), id.clone()),
        LogRef::Path(path) => (None, shown(path)),
    };
    let found = logs.iter_mut().rev().find(|(_, log)| Some(&log.id) == id);
    found.ok_or(StoreError::NotFound { which })
}

fn replay_lines(log: &Log, config: ReplayConfig) -> Result<Replay, StoreError> {
    replay(&log.lines, &(), config).map_err(|e| StoreError::read(Path::new(&log.id), e))
}

/// This process, from now on.
fn holder() -> Holder {
    Holder { pid: Some(std::process::id()), host: None, since: Some(Timestamp::now()) }
}

fn seal(records: &[Record], ordinal: u64, epoch: u64, lines: &mut Vec<u8>) {
    for (record, ordinal) in records.iter().zip(ordinal..) {
        record.seal(ordinal, epoch, lines);
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn create(&self, records: Vec<Record>) -> Result<Box<dyn LogWriter>, StoreError> {
        let Start { id, path, .. } = Start::of(&records)?;
        let mut logs = self.logs();
        if let Some(log) = logs.values().find(|log| log.id == id) {
            return Err(log.holder.clone().map_or(
                StoreError::Exists { path: id.clone() },
                |holder| StoreError::Locked { path: id, holder },
            ));
        }
        let mut lines = Vec::new();
        seal(&records, 0, 1, &mut lines);
        let log = Log { id: id.clone(), lines, holder: Some(holder()), epoch: 1 };
        logs.insert(path.clone(), log);
        drop(logs);
        Ok(self.writer(path, id, records.len() as u64, 1))
    }

    async fn open(&self, which: &LogRef, on_damage: OnDamage) -> Result<Opened, StoreError> {
        self.take(which, on_damage)
    }

    /// The log is locked while `accept` is asked.
    async fn open_if(
        &self,
        which: &LogRef,
        on_damage: OnDamage,
        accept: Accept,
    ) -> Result<Option<Opened>, StoreError> {
        let opened = self.take(which, on_damage)?;
        if accept(&opened.replay) {
            return Ok(Some(opened));
        }
        let (id, epoch) = (opened.writer.session_id().to_owned(), opened.writer.epoch());
        // First its lock: who takes that next has another epoch, which stays.
        drop(opened);
        self.give_back(&id, epoch);
        Ok(None)
    }

    async fn read(&self, which: &LogRef, config: ReplayConfig) -> Result<Replay, StoreError> {
        replay_lines(find(&mut self.logs(), which)?.1, config)
    }

    async fn list(&self, query: &Query) -> Result<Page, StoreError> {
        let logs = self.logs();
        let after = query.cursor.as_ref().map(|cursor| Path::new(cursor.as_str()));
        if let Some(cursor) =
            query.cursor.as_ref().filter(|it| !it.as_str().starts_with("sessions/"))
        {
            return Err(cursor.refused());
        }
        let mut page = Page::default();
        let rest = logs.iter().rev().filter(|(key, _)| after.is_none_or(|after| *key < after));
        for (key, log) in rest {
            if page.is_full(query) {
                return Ok(page);
            }
            let session = Head::read(&log.lines).into_summary(None);
            let id = PathBuf::from(&log.id);
            page.add(query, session.map_err(|problem| Unreadable { path: id, problem }));
            page.next = Some(Cursor::new(key.to_string_lossy()));
        }
        page.next = None;
        Ok(page)
    }
}

/// The writer of a log in memory.
#[derive(Debug)]
struct MemoryWriter {
    store: MemoryStore,
    key: PathBuf,
    id: String,
    ordinal: u64,
    epoch: u64,
}

#[async_trait]
impl LogWriter for MemoryWriter {
    async fn append(&mut self, records: Vec<Record>) -> Result<(), StoreError> {
        if let Some(log) = self.store.logs().get_mut(&self.key) {
            let (epoch, newest) = (self.epoch, log.epoch);
            if epoch != newest {
                return Err(StoreError::Superseded { path: self.id.clone(), epoch, newest });
            }
            seal(&records, self.ordinal, self.epoch, &mut log.lines);
        }
        self.ordinal += records.len() as u64;
        Ok(())
    }

    fn path(&self) -> Option<&Path> {
        None
    }

    fn session_id(&self) -> &str {
        &self.id
    }

    fn epoch(&self) -> u64 {
        self.epoch
    }

    fn next_ordinal(&self) -> u64 {
        self.ordinal
    }

    async fn close(self: Box<Self>) -> Result<(), StoreError> {
        Ok(())
    }
}

impl Drop for MemoryWriter {
    fn drop(&mut self) {
        let mut logs = self.store.logs();
        if let Some(log) = logs.get_mut(&self.key).filter(|log| log.epoch == self.epoch) {
            log.holder = None;
        }
    }
}
