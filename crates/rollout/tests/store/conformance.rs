//! Both stores do what any store does.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use longhaul_rollout::{FileStore, Fsync, MemoryStore, Store};
use longhaul_testkit::disk::{Fault, FaultyDisk, NO_SPACE, Operation};
use longhaul_testkit::store::{Subject, store_conformance};

use crate::support::Folder;

struct Files {
    folder: Folder,
    store: FileStore,
    full: Arc<AtomicBool>,
}

impl Files {
    fn new(change: impl Fn(FileStore) -> FileStore) -> Self {
        let folder = Folder::new();
        let full = Arc::new(AtomicBool::new(false));
        let is_full = Arc::clone(&full);
        let disk = FaultyDisk::new(move |step| {
            let fails =
                step.operation == Operation::Write && is_full.swap(false, Ordering::Relaxed);
            if fails { Fault::Error(NO_SPACE) } else { Fault::None }
        });
        let store = change(FileStore::new(folder.path()).disk(Arc::new(disk)));
        Self { folder, store, full }
    }

    fn log(&self, session_id: &str) -> PathBuf {
        let names = self.folder.names();
        let name = names.into_iter().find(|name| name.contains(session_id)).unwrap();
        self.folder.path().join(name)
    }
}

impl Subject for Files {
    fn store(&self) -> Arc<dyn Store> {
        Arc::new(self.store.clone())
    }

    fn tear(&self, session_id: &str) -> bool {
        let mut log = OpenOptions::new().append(true).open(self.log(session_id)).unwrap();
        log.write_all(br#"{"timestamp":"2026-11-28T10:0"#).unwrap();
        true
    }

    fn damage(&self, session_id: &str) -> bool {
        let path = self.log(session_id);
        let mut bytes = fs::read(&path).unwrap();
        let at = bytes.len() / 2;
        bytes[at] ^= 1;
        fs::write(path, bytes).unwrap();
        true
    }

    fn fail_next_append(&self) -> bool {
        self.full.store(true, Ordering::Relaxed);
        true
    }
}

struct Memory(MemoryStore);

impl Subject for Memory {
    fn store(&self) -> Arc<dyn Store> {
        Arc::new(self.0.clone())
    }

    fn expire(&self, session_id: &str) -> bool {
        self.0.expire(session_id);
        true
    }
}

const ALL: [&str; 17] = [
    "content",
    "many records",
    "ordinals and epochs",
    "no records",
    "reading through a record",
    "one writer",
    "readers",
    "one start",
    "one start whenever",
    "bad starts",
    "list",
    "filters",
    "titles",
    "titles of inputs",
    "torn",
    "damage",
    "failed append",
];

#[tokio::test]
async fn files() {
    assert_eq!(store_conformance(|| Files::new(|store| store)).await, ALL);
}

#[tokio::test]
async fn files_that_are_not_synced() {
    assert_eq!(store_conformance(|| Files::new(|store| store.fsync(Fsync::Off))).await, ALL);
}

#[tokio::test]
async fn files_with_blobs_of_any_string() {
    let make = || Files::new(|store| store.fsync(Fsync::Off).blob_threshold_bytes(0));
    assert_eq!(store_conformance(make).await, ALL);
}

#[tokio::test]
async fn memory() {
    let run = store_conformance(|| Memory(MemoryStore::new())).await;
    assert_eq!(run, [&ALL[..14], &["takeover"]].concat());
}
