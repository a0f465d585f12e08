//! A store of one log, which is read by the thread that asks. Part of a binary that counts what one thread
//! takes.

use std::fs::File;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use longhaul_benches::log::ID;
use longhaul_rollout::{
    LogRef, LogWriter, OnDamage, Opened, Page, Query, Record, Replay, ReplayConfig, Store,
    StoreError, replay,
};

/// The store; what is written to it is gone.
#[derive(Debug)]
pub(crate) struct InPlace(pub(crate) PathBuf);

#[async_trait]
impl Store for InPlace {
    async fn create(&self, _: Vec<Record>) -> Result<Box<dyn LogWriter>, StoreError> {
        Ok(Box::new(Nowhere))
    }

    async fn open(&self, which: &LogRef, on_damage: OnDamage) -> Result<Opened, StoreError> {
        Ok(Opened::new(self.read(which, on_damage.into()).await?, Box::new(Nowhere)))
    }

    async fn read(&self, which: &LogRef, config: ReplayConfig) -> Result<Replay, StoreError> {
        let read = File::open(&self.0).map(|file| replay(&file, &(), config));
        read.ok()
            .and_then(Result::ok)
            .ok_or_else(|| StoreError::NotFound { which: format!("{which:?}") })
    }

    async fn list(&self, _: &Query) -> Result<Page, StoreError> {
        Ok(Page::default())
    }
}

#[derive(Debug)]
struct Nowhere;

#[async_trait]
impl LogWriter for Nowhere {
    async fn append(&mut self, _: Vec<Record>) -> Result<(), StoreError> {
        Ok(())
    }

    fn path(&self) -> Option<&Path> {
        None
    }

    fn session_id(&self) -> &str {
        ID
    }

    fn epoch(&self) -> u64 {
        1
    }

    fn next_ordinal(&self) -> u64 {
        0
    }

    async fn close(self: Box<Self>) -> Result<(), StoreError> {
        Ok(())
    }
}
