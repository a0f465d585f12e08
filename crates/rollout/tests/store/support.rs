//! Folders, sessions and what is in their files.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use jiff::SignedDuration;
use longhaul_rollout::{FileStore, LogRef, LogWriter, Record, Sealed, SessionMeta, Store};
use longhaul_testkit::disk::{Fault, FaultyDisk, Operation, Step};
pub(crate) use longhaul_testkit::store::{item, session, session_id};

/// A folder that is deleted with everything in it.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("store-{}-{count}", std::process::id());
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn store(&self) -> FileStore {
        FileStore::new(&self.0)
    }

    /// The store behind a disk with these faults.
    pub(crate) fn faulty(
        &self,
        plan: impl Fn(&Step) -> Fault + Send + Sync + 'static,
    ) -> (FileStore, FaultyDisk) {
        let disk = FaultyDisk::new(plan);
        (self.store().disk(Arc::new(disk.clone())), disk)
    }

    /// All files in it, as paths from it, with their bytes.
    pub(crate) fn files(&self) -> Vec<(String, Vec<u8>)> {
        let mut files = Vec::new();
        let mut open = vec![self.0.clone()];
        while let Some(folder) = open.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    open.push(path);
                } else {
                    let name = path.strip_prefix(&self.0).unwrap().to_str().unwrap().to_owned();
                    files.push((name, fs::read(path).unwrap()));
                }
            }
        }
        files.sort();
        files
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.files().into_iter().map(|(name, _)| name).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The first session.
pub(crate) fn first() -> LogRef {
    LogRef::Id(session_id(0))
}

/// A log with the first record of the first session.
pub(crate) async fn start(store: &FileStore) -> (Box<dyn LogWriter>, PathBuf) {
    let writer = store.create(vec![session(0)]).await.unwrap();
    let path = writer.path().unwrap().to_owned();
    (writer, path)
}

/// The first record of the first session, if that was started so many days later.
pub(crate) fn late(days: i64) -> Vec<Record> {
    let first = session(0);
    let mut meta: SessionMeta = serde_json::from_str(first.payload.get()).unwrap();
    meta.timestamp = Some(first.timestamp + SignedDuration::from_hours(24 * days));
    let payload = serde_json::value::to_raw_value(&meta).unwrap();
    vec![Record::new(first.timestamp, first.kind, payload)]
}

/// The records of a log file, which is sound: each line whole, each with the next ordinal.
pub(crate) fn records(path: &Path) -> Vec<Sealed> {
    let bytes = fs::read(path).unwrap();
    let lines = bytes.split_inclusive(|&b| b == b'\n');
    let records: Vec<_> = lines.map(|line| Record::open(line).unwrap()).collect();
    assert!(bytes.is_empty() || bytes.ends_with(b"\n"));
    assert!(records.iter().map(|it| it.ordinal).eq(0..records.len() as u64));
    assert!(records.is_sorted_by_key(|it| it.epoch));
    records
}

/// The texts of the messages in a log file.
pub(crate) fn texts(path: &Path) -> Vec<String> {
    let payloads = records(path).into_iter().map(|it| it.record.payload.get().to_owned());
    payloads.filter_map(|json| text(&json)).collect()
}

/// The text of a message.
pub(crate) fn text(json: &str) -> Option<String> {
    let (_, rest) = json.split_once(r#""text":""#)?;
    Some(rest.split_once('"')?.0.to_owned())
}

/// Fails the `n`-th operation of a kind, from 0, that is done to a log.
pub(crate) fn at(
    operation: Operation,
    n: usize,
    fault: Fault,
) -> impl Fn(&Step) -> Fault + Send + Sync {
    let count = AtomicUsize::new(0);
    move |step| {
        let is_kind = step.operation == operation && !is_blob(&step.path);
        if is_kind && count.fetch_add(1, Ordering::Relaxed) == n { fault } else { Fault::None }
    }
}

/// Says what a test has counted, also where it succeeds: what is printed is not shown then.
pub(crate) fn tell(text: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "\n{text}");
}

pub(crate) fn is_blob(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "blobs")
}
