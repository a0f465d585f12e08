//! What it costs to append to the log of a session: one record, 8 and 64 at once, synced and not.
//!
//! The records have 200 bytes, 2 KB and 20 KB, mixed. *By hand* are the finished bytes of the same lines,
//! written and synced once a group, which is what the disk itself costs. *Naive* is what most agents do:
//! each record is serialised and written on its own, and synced, or only handed to a buffer.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BatchSize, BenchmarkGroup, Criterion, Throughput};
use longhaul_benches::answer::Failure;
use longhaul_benches::folder::Folder;
use longhaul_benches::log::{ID, TIME};
use longhaul_history::Item;
use longhaul_rollout::{FileStore, Fsync, LogWriter, Record, RecordKind, SessionMeta, Store};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, from_str};
use tokio::runtime::{Builder, Runtime};

/// The lengths of the texts, in the order in which they come.
const TEXT_BYTES: [usize; 8] = [200, 2_000, 200, 200, 2_000, 20_000, 200, 200];

type Group<'a> = BenchmarkGroup<'a, WallTime>;

fn main() -> Result<(), Failure> {
    let mut criterion = Criterion::default().configure_from_args();
    let folder = Folder::new(env!("CARGO_TARGET_TMPDIR"), "append")?;
    let runtime = Builder::new_current_thread().build()?;
    for (name, fsync) in [("synced", Fsync::Commit), ("unsynced", Fsync::Off)] {
        for count in [1, 8, 64] {
            let mut group = criterion.benchmark_group(format!("append/{name}/{count}"));
            group.throughput(Throughput::Elements(count as u64)).sample_size(20);
            group.warm_up_time(Duration::from_millis(200));
            group.measurement_time(Duration::from_secs(1));
            let mut records = Records { next: 0, count };
            let home = folder.path().join(name);
            append(&mut group, &runtime, &home, fsync, &mut records)?;
            by_hand(&mut group, &home.join("by-hand"), fsync, &mut records)?;
            naive(&mut group, &home.join("naive"), fsync, &mut records)?;
            fs::remove_dir_all(home)?;
        }
    }
    criterion.final_summary();
    Ok(())
}

/// The records of one group after the other.
struct Records {
    next: usize,
    count: usize,
}

impl Records {
    fn texts(&mut self) -> impl Iterator<Item = String> + use<> {
        let range = self.next..self.next + self.count;
        self.next = range.end;
        range.map(|index| {
            let text = "fn main() {\n".chars().cycle().take(TEXT_BYTES[index % TEXT_BYTES.len()]);
            Item::user(text.collect::<String>()).json().to_owned()
        })
    }

    fn group(&mut self) -> Result<Vec<Record>, Failure> {
        let record = |text| {
            let payload = RawValue::from_string(text)?;
            Ok(Record::new(TIME.parse()?, RecordKind::ResponseItem, payload))
        };
        self.texts().map(record).collect()
    }
}

fn append(
    group: &mut Group<'_>,
    runtime: &Runtime,
    home: &Path,
    fsync: Fsync,
    records: &mut Records,
) -> Result<(), Failure> {
    let mut writer = runtime.block_on(start(&FileStore::new(home).fsync(fsync)))?;
    group.bench_function("longhaul", |b| {
        let append = |records: Result<_, Failure>| {
            Ok::<_, Failure>(runtime.block_on(writer.append(records?))?)
        };
        b.iter_batched(|| records.group(), append, BatchSize::SmallInput);
    });
    // An append that had failed would make this one fail.
    Ok(runtime.block_on(writer.append(records.group()?))?)
}

async fn start(store: &FileStore) -> Result<Box<dyn LogWriter>, Failure> {
    let payload = to_raw_value(&SessionMeta::new(ID, TIME.parse()?))?;
    let first = Record::new(TIME.parse()?, RecordKind::SessionMeta, payload);
    Ok(store.create(vec![first]).await?)
}

fn by_hand(
    group: &mut Group<'_>,
    path: &Path,
    fsync: Fsync,
    records: &mut Records,
) -> Result<(), Failure> {
    let mut file = File::create(path)?;
    let mut lines = || {
        let mut lines = Vec::new();
        records.group()?.iter().for_each(|record| record.seal(0, 1, &mut lines));
        Ok::<_, Failure>(lines)
    };
    group.bench_function("by_hand", |b| {
        let write = |lines: Result<Vec<u8>, Failure>| {
            file.write_all(&lines?)?;
            sync(&file, fsync).map_err(Failure::from)
        };
        b.iter_batched(&mut lines, write, BatchSize::SmallInput);
    });
    Ok(())
}

/// A record as most agents hold it.
#[derive(Serialize)]
struct Line {
    timestamp: &'static str,
    r#type: &'static str,
    payload: Value,
}

fn naive(
    group: &mut Group<'_>,
    path: &Path,
    fsync: Fsync,
    records: &mut Records,
) -> Result<(), Failure> {
    let mut file = BufWriter::new(File::create(path)?);
    let mut lines = || {
        let line = |text: String| {
            let payload = from_str(&text)?;
            Ok(Line { timestamp: TIME, r#type: "response_item", payload })
        };
        records.texts().map(line).collect::<Result<Vec<_>, Failure>>()
    };
    group.bench_function("naive", |b| {
        let write = |lines: Result<Vec<Line>, Failure>| {
            for line in lines? {
                writeln!(file, "{}", serde_json::to_string(&line)?)?;
                if fsync == Fsync::Commit {
                    file.flush()?;
                }
                sync(file.get_ref(), fsync)?;
            }
            Ok::<_, Failure>(())
        };
        b.iter_batched(&mut lines, write, BatchSize::SmallInput);
    });
    Ok(())
}

fn sync(file: &File, fsync: Fsync) -> io::Result<()> {
    if fsync == Fsync::Commit { file.sync_data() } else { Ok(()) }
}
