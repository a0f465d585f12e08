//! What it costs to fork a session whose log is 1 or 100 MB long, and to list 10,000 sessions.
//!
//! As much is active at the end of both logs. A session that is open is forked from what it holds; a log
//! has to be scanned first. Both write the log of the new session, and sync it. The baseline of the list reads
//! the names of all logs, and of each the first line, with a `serde_json::Value` made of it.

use std::fs::{self, File};
use std::hint::black_box;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion};
use longhaul::SessionBuilder;
use longhaul_benches::answer::{self, Failure};
use longhaul_benches::folder::Folder;
use longhaul_benches::stopwatch::Stopwatch;
use longhaul_benches::{log, turns};
use longhaul_rollout::{FileStore, Fsync, LogRef, OnDamage, Query, Store};
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};

const SESSIONS: usize = 10_000;
/// The user's message before which is forked: one of the newest.
const BEFORE: usize = 10;

fn main() -> Result<(), Failure> {
    let mut criterion = Criterion::default().configure_from_args();
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let folder = Folder::new(env!("CARGO_TARGET_TMPDIR"), "fork")?;
    for megabytes in [1, 100] {
        let home = folder.path().join(format!("{megabytes}"));
        let (path, _) = log::write(&home, megabytes * 1_000_000, true)?;
        for (name, fsync) in [("synced", Fsync::Commit), ("unsynced", Fsync::Off)] {
            let mut group = criterion.benchmark_group(format!("fork/{megabytes}_mb/{name}"));
            group.sample_size(10).warm_up_time(Duration::from_millis(200));
            group.measurement_time(Duration::from_secs(1));
            let store = FileStore::new(&home).fsync(fsync);
            forks(&mut group, &runtime, store, &LogRef::Path(path.clone()))?;
        }
    }
    let home = folder.path().join("list");
    (0..SESSIONS).try_for_each(|minute| log::write_short(&home, minute))?;
    lists(&mut criterion, &runtime, &home)?;
    criterion.final_summary();
    Ok(())
}

fn forks(
    group: &mut BenchmarkGroup<'_, WallTime>,
    runtime: &Runtime,
    store: FileStore,
    which: &LogRef,
) -> Result<(), Failure> {
    let watch = Arc::new(Stopwatch::new(&[answer::message()])?);
    let agent = turns::agent(watch).store(store).build()?;
    let opening = agent.session().resume(which.clone(), OnDamage::Refuse);
    let parent = runtime.block_on(opening.start())?;
    let open = || Ok(agent.session().fork(&parent, BEFORE)?);
    group.bench_function("open_session", |b| {
        b.iter_custom(|times| sum(runtime, times, open));
    });
    let log = || Ok(agent.session().fork_log(which.clone(), BEFORE));
    group.bench_function("log", |b| {
        b.iter_custom(|times| sum(runtime, times, log));
    });
    runtime.block_on(parent.shutdown())?;
    Ok(())
}

/// So many forks, each until its log is there. They end outside of the measurement.
fn sum(
    runtime: &Runtime,
    times: u64,
    fork: impl Fn() -> Result<SessionBuilder, Failure>,
) -> Duration {
    let forks = (0..times).map(|_| time(runtime, &fork));
    let sum: Result<Duration, Failure> = forks.sum();
    assert!(sum.is_ok(), "{sum:?}");
    sum.unwrap_or_default()
}

fn time(
    runtime: &Runtime,
    fork: impl Fn() -> Result<SessionBuilder, Failure>,
) -> Result<Duration, Failure> {
    let start = Instant::now();
    let session = runtime.block_on(fork()?.start())?;
    let took = start.elapsed();
    let path = session.log_path().map(Path::to_owned);
    runtime.block_on(session.shutdown())?;
    path.map_or(Ok(()), fs::remove_file)?;
    Ok(took)
}

fn lists(criterion: &mut Criterion, runtime: &Runtime, home: &Path) -> Result<(), Failure> {
    let store = FileStore::new(home);
    let first = Query::default().limit(50);
    let all = |query: Query| runtime.block_on(all_pages(&store, query));
    let filtered = first.clone().cwd("/home/user/other");
    assert_eq!(all(first.clone())?, SESSIONS);
    assert_eq!(all(filtered.clone())?, SESSIONS / 10);
    assert_eq!(by_hand(home)?, SESSIONS);
    let mut group = criterion.benchmark_group("list/10000");
    group.sample_size(10).warm_up_time(Duration::from_millis(200));
    group.measurement_time(Duration::from_secs(1));
    group.bench_function("first_page", |b| b.iter(|| runtime.block_on(store.list(&first))));
    group.bench_function("filtered_page", |b| b.iter(|| runtime.block_on(store.list(&filtered))));
    group.bench_function("all_pages", |b| b.iter(|| all(first.clone())));
    group.bench_function("filtered", |b| b.iter(|| all(filtered.clone())));
    group.bench_function("by_hand", |b| b.iter(|| by_hand(home)));
    Ok(())
}

async fn all_pages(store: &FileStore, mut query: Query) -> Result<usize, Failure> {
    let mut sessions = 0;
    loop {
        let page = store.list(&query).await?;
        sessions += page.sessions.len();
        match page.next {
            Some(next) => query = query.after(next),
            None => return Ok(sessions),
        }
    }
}

/// The newest first, each with what its first line says.
fn by_hand(home: &Path) -> Result<usize, Failure> {
    let mut logs = Vec::new();
    files(home, &mut logs)?;
    logs.sort_unstable_by(|a, b| b.cmp(a));
    for path in &logs {
        let mut line = String::new();
        BufReader::new(File::open(path)?).read_line(&mut line)?;
        black_box(serde_json::from_str::<Value>(&line)?);
    }
    Ok(logs.len())
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            files(&entry.path(), found)?;
        } else {
            found.push(entry.path());
        }
    }
    Ok(())
}
