//! What it costs to append to the log of a session: one record, 8 and 64 at once, synced and not;
//! against the same bytes written and synced by hand, which is what the disk itself costs.

use std::error::Error;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use criterion::{BenchmarkGroup, Criterion, Throughput, measurement::WallTime};
use longhaul_history::Item;
use longhaul_rollout::{FileStore, Fsync, LogWriter, Record, RecordKind, SessionMeta, Store};
use serde_json::value::{RawValue, to_raw_value};
use tokio::runtime::{Builder, Runtime};

const ID: &str = "01a20298-0571-7a40-bd9c-36a08a0bd337";

/// About the length of a record of a coding session.
const TEXT_BYTES: usize = 500;

fn main() -> Result<(), Box<dyn Error>> {
    let mut criterion = Criterion::default().configure_from_args();
    let folder = Folder::new()?;
    let runtime = Builder::new_current_thread().build()?;
    for records in [1, 8, 64] {
        for (name, fsync) in [("synced", Fsync::Commit), ("unsynced", Fsync::Off)] {
            let mut group = criterion.benchmark_group(format!("append/{name}/{records}"));
            group.throughput(Throughput::Elements(records as u64));
            let records = vec![record()?; records];
            let path = folder.0.join(format!("{name}-{}", records.len()));
            append(&mut group, &runtime, &path, fsync, &records)?;
            by_hand(&mut group, &path.join("by-hand"), fsync, &records)?;
        }
    }
    criterion.final_summary();
    Ok(())
}

fn record() -> Result<Record, Box<dyn Error>> {
    let item = Item::user("x".repeat(TEXT_BYTES));
    let payload = RawValue::from_string(item.json().to_owned())?;
    Ok(Record::new("2026-11-28T10:00:00Z".parse()?, RecordKind::ResponseItem, payload))
}

fn append(
    group: &mut BenchmarkGroup<'_, WallTime>,
    runtime: &Runtime,
    home: &Path,
    fsync: Fsync,
    records: &[Record],
) -> Result<(), Box<dyn Error>> {
    let mut writer = runtime.block_on(start(&FileStore::new(home).fsync(fsync)))?;
    let mut failed = None;
    group.bench_function("longhaul", |b| {
        let mut append = |records| {
            let appended = runtime.block_on(writer.append(records));
            failed = failed.take().or(appended.err());
        };
        b.iter_batched(|| records.to_vec(), &mut append, criterion::BatchSize::SmallInput);
    });
    failed.map_or(Ok(()), |error| Err(error.into()))
}

async fn start(store: &FileStore) -> Result<Box<dyn LogWriter>, Box<dyn Error>> {
    let meta = SessionMeta::new(ID, "2026-11-28T10:00:00Z".parse()?);
    let payload = to_raw_value(&meta)?;
    let first = Record::new("2026-11-28T10:00:00Z".parse()?, RecordKind::SessionMeta, payload);
    Ok(store.create(vec![first]).await?)
}

fn by_hand(
    group: &mut BenchmarkGroup<'_, WallTime>,
    path: &Path,
    fsync: Fsync,
    records: &[Record],
) -> Result<(), Box<dyn Error>> {
    let mut lines = Vec::new();
    for record in records {
        record.seal(0, 1, &mut lines);
    }
    let mut file = File::create(path)?;
    let mut failed = None;
    group.bench_function("by_hand", |b| {
        b.iter(|| {
            let written = file.write_all(&lines);
            let synced = if fsync == Fsync::Commit { file.sync_data() } else { Ok(()) };
            failed = failed.take().or(written.and(synced).err());
        });
    });
    failed.map_or(Ok(()), |error| Err(error.into()))
}

/// A folder beside the build, on the same disk, deleted with everything in it.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Self, Box<dyn Error>> {
        let name = format!("append-{}", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
