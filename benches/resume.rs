//! What it costs to read a log again, by its length: with compactions, where little of it is active at the
//! end, and without, where all of it is.
//!
//! The baseline of the same run does what most agents do: it reads the file and parses each line to a
//! `serde_json::Value`. It keeps none of them, and makes no conversation of them.

use std::fs::{self, File};
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::Duration;

use criterion::{Criterion, Throughput};
use longhaul_benches::answer::Failure;
use longhaul_benches::folder::Folder;
use longhaul_benches::log;
use longhaul_rollout::{FileStore, LogRef, OnDamage, ReplayConfig, Store, replay};
use serde_json::Value;
use tokio::runtime::Builder;

const MEGABYTES: [u64; 3] = [1, 10, 100];

fn main() -> Result<(), Failure> {
    let mut criterion = Criterion::default().configure_from_args();
    let folder = Folder::new(env!("CARGO_TARGET_TMPDIR"), "resume")?;
    for megabytes in MEGABYTES {
        for (name, compacts) in [("compacted", true), ("all_active", false)] {
            let home = folder.path().join(format!("{name}-{megabytes}"));
            let (path, written) = log::write(&home, megabytes * 1_000_000, compacts)?;
            let read =
                fs::File::open(&path).map(|file| replay(&file, &(), ReplayConfig::default()));
            assert_eq!(read??.items.len(), written.active_items);
            measure(&mut criterion, &format!("resume/{name}/{megabytes}_mb"), &home, &path)?;
            fs::remove_dir_all(home)?;
        }
    }
    criterion.final_summary();
    Ok(())
}

fn measure(
    criterion: &mut Criterion,
    name: &str,
    home: &Path,
    path: &PathBuf,
) -> Result<(), Failure> {
    let runtime = Builder::new_current_thread().build()?;
    let bytes = fs::metadata(path)?.len();
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Bytes(bytes)).sample_size(10);
    group.warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(2));
    group.bench_function("replay", |b| {
        b.iter(|| {
            let file = File::open(path)?;
            Ok::<_, Failure>(black_box(replay(&file, &(), ReplayConfig::default())?))
        });
    });
    let store = FileStore::new(home);
    let which = LogRef::Path(path.clone());
    group.bench_function("open", |b| {
        b.iter(|| {
            let opened = runtime.block_on(store.open(&which, OnDamage::Refuse))?;
            runtime.block_on(opened.writer.close())?;
            Ok::<_, Failure>(opened.replay)
        });
    });
    group.bench_function("values", |b| b.iter(|| parsed(path)));
    Ok(())
}

fn parsed(path: &Path) -> Result<usize, Failure> {
    let log = fs::read(path)?;
    let mut records = 0;
    for line in log.split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
        black_box(serde_json::from_slice::<Value>(line)?);
        records += 1;
    }
    Ok(records)
}
