//! What a turn costs beyond its model: from the user's input to the bytes of the request, from the end of
//! a response to the caller's hand, from a call to the next request; and whole turns over HTTP on
//! loopback.
//!
//! In process the model answers at once, and the conversation has 0, 100 or 10,000 items; a session is
//! replaced before its own turns make it a tenth longer. The baselines of the same run: the bytes of the
//! request as they are made by hand, and the hops to a task and back that nobody can do without. The same
//! with a session log, in memory and in files, synced and not; how often a turn writes and syncs is printed.
//! Over HTTP the baselines are the loop that is written by hand, and bytes that are sent and read without looking at them.

mod counted;
mod in_process;
mod over_http;

use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion};
use longhaul_benches::answer::Failure;
use longhaul_benches::folder::Folder;
use longhaul_rollout::{FileStore, Fsync, MemoryStore};
use tokio::runtime::{Builder, Runtime};

type Group<'a> = BenchmarkGroup<'a, WallTime>;

fn main() -> Result<(), Failure> {
    let mut criterion = Criterion::default().configure_from_args();
    let one = Builder::new_current_thread().enable_all().build()?;
    let two = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    for (name, runtime) in [("one_thread", &one), ("two_workers", &two)] {
        let mut group = criterion.benchmark_group(format!("turn_overhead/{name}"));
        group.bench_function("hops", |b| b.iter_custom(|n| run(runtime, in_process::hops(n))));
        for len in in_process::LENGTHS {
            in_process::measure(&mut group, runtime, len)?;
        }
        group.finish();
    }
    in_process::by_hand(&mut criterion)?;
    counted::print(&one)?;
    for (name, runtime) in [("one_thread", &one), ("two_workers", &two)] {
        logged(&mut criterion.benchmark_group(format!("turn_logged/{name}")), runtime)?;
    }
    for (name, runtime) in [("one_thread", &one), ("two_workers", &two)] {
        over_http::measure(&mut criterion.benchmark_group(format!("turn_http/{name}")), runtime)?;
    }
    criterion.final_summary();
    Ok(())
}

/// The parts of a turn, with each kind of log.
fn logged(group: &mut Group<'_>, runtime: &Runtime) -> Result<(), Failure> {
    group.sample_size(20).warm_up_time(Duration::from_millis(100));
    group.measurement_time(Duration::from_millis(500));
    let folder = Folder::new(env!("CARGO_TARGET_TMPDIR"), "turn")?;
    let synced = FileStore::new(folder.path());
    let unsynced = synced.clone().fsync(Fsync::Off);
    in_process::measure_logged(group, runtime, "none", |agent| agent)?;
    in_process::measure_logged(group, runtime, "memory", |agent| agent.store(MemoryStore::new()))?;
    in_process::measure_logged(group, runtime, "unsynced", |agent| agent.store(unsynced.clone()))?;
    in_process::measure_logged(group, runtime, "synced", |agent| agent.store(synced.clone()))
}

/// What is measured on a worker of the runtime, as a server's own code would run.
fn run(
    runtime: &Runtime,
    measured: impl Future<Output = Result<Duration, Failure>> + Send + 'static,
) -> Duration {
    let measured = runtime.block_on(async { tokio::spawn(measured).await });
    let measured = measured.map_err(Failure::from).and_then(|result| result);
    assert!(measured.is_ok(), "{measured:?}");
    measured.unwrap_or_default()
}
