//! A log that is written slowly.

use std::path::Path;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use longhaul::rollout::{
    LogRef, LogWriter, MemoryStore, OnDamage, Opened, Page, Query, Record, Replay, Store,
    StoreError,
};
use longhaul::state::protocol::SettingsUpdate;
use longhaul_testkit::ScriptedModel;
use tokio::sync::Semaphore;

use super::support::{scripted, yield_twice};

/// A store whose first log waits before each append, until somebody lets it go.
#[derive(Debug, Clone)]
struct Slow {
    store: MemoryStore,
    appends: Arc<Semaphore>,
    /// How many records each append of the first log had.
    groups: Arc<Mutex<Vec<usize>>>,
    is_first: Arc<std::sync::atomic::AtomicBool>,
}

#[async_trait]
impl Store for Slow {
    async fn create(&self, records: Vec<Record>) -> Result<Box<dyn LogWriter>, StoreError> {
        let writer = self.store.create(records).await?;
        if !self.is_first.swap(false, std::sync::atomic::Ordering::Relaxed) {
            return Ok(writer);
        }
        Ok(Box::new(SlowWriter { writer, store: self.clone() }))
    }

    async fn open(&self, which: &LogRef, on_damage: OnDamage) -> Result<Opened, StoreError> {
        self.store.open(which, on_damage).await
    }

    async fn read(&self, which: &LogRef, on_damage: OnDamage) -> Result<Replay, StoreError> {
        self.store.read(which, on_damage).await
    }

    async fn list(&self, query: &Query) -> Result<Page, StoreError> {
        self.store.list(query).await
    }
}

#[derive(Debug)]
struct SlowWriter {
    writer: Box<dyn LogWriter>,
    store: Slow,
}

#[async_trait]
impl LogWriter for SlowWriter {
    async fn append(&mut self, records: Vec<Record>) -> Result<(), StoreError> {
        self.store.groups.lock().unwrap().push(records.len());
        self.store.appends.acquire().await.unwrap().forget();
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

    async fn close(self: Box<Self>) -> Result<(), StoreError> {
        self.writer.close().await
    }
}

/// While a sync takes long the turn waits, others go on, and what waits to be kept does not grow.
#[tokio::test]
async fn f084_a_turn_waits_for_a_slow_log_and_no_more_than_its_step_waits_with_it() {
    let model = ScriptedModel::new().text("one").text("two").text("three");
    let store = Slow {
        store: MemoryStore::new(),
        appends: Arc::new(Semaphore::new(0)),
        groups: Arc::default(),
        is_first: Arc::new(true.into()),
    };
    let agent = scripted(&model).store(store.clone()).build().unwrap();
    let slow = agent.session().start().await.unwrap();
    let turn = slow.prompt("a").await.unwrap();
    yield_twice().await;
    assert_eq!(model.requests().len(), 0, "what it says is not kept yet");
    let other = agent.session().start().await.unwrap();
    for expected in ["one", "two"] {
        let result = other.prompt("b").await.unwrap().await.unwrap();
        assert_eq!(result.last_message.as_deref(), Some(expected));
    }
    for n in 0..1_000 {
        let mut change = SettingsUpdate::default();
        change.cwd = Some(format!("/{n}").into());
        slow.configure(change).unwrap();
        yield_twice().await;
    }
    store.appends.add_permits(Semaphore::MAX_PERMITS);
    assert_eq!(turn.await.unwrap().last_message.as_deref(), Some("three"));
    let id = slow.id().to_owned();
    slow.shutdown().await.unwrap();
    let groups = store.groups.lock().unwrap().clone();
    assert!(groups.iter().all(|records| *records < 10), "{groups:?}");
    let which = LogRef::Id(id);
    let again = agent.session().resume(which, OnDamage::Refuse).start().await.unwrap();
    assert_eq!(again.settings().cwd.as_deref(), Some(Path::new("/999")));
}
