//! How much memory it takes to read a log again, at most at any moment: printed, not timed.
//!
//! A binary apart, because counting replaces the allocator. What is counted is what is asked of the
//! allocator and not given back. The goal is twice the active context and 16 MB. *Session* is one that is open
//! again: it holds each item as it came and as it is sent.

mod in_place;

use std::fs::{self, File};
use std::hint::black_box;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use allocation_counter::measure;
use longhaul_benches::answer::Failure;
use longhaul_benches::folder::Folder;
use longhaul_benches::stopwatch::Stopwatch;
use longhaul_benches::{log, turns};
use longhaul_rollout::{LogRef, OnDamage, ReplayConfig, replay};
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};

use in_place::InPlace;

const MEGABYTES: [u64; 3] = [1, 10, 100];

fn main() -> Result<(), Failure> {
    let folder = Folder::new(env!("CARGO_TARGET_TMPDIR"), "resume-memory")?;
    let mut out = io::stdout().lock();
    let runtime = Builder::new_current_thread().enable_all().build()?;
    writeln!(
        out,
        "KB at most             log   active  replay  session  read, values  values kept"
    )?;
    for megabytes in MEGABYTES {
        for (name, compacts) in [("compacted", true), ("all active", false)] {
            let (path, written) = log::write(folder.path(), megabytes * 1_000_000, compacts)?;
            let replayed = peak(|| {
                let replay = replay(&File::open(&path)?, &(), ReplayConfig::default())?;
                Ok(black_box(replay.items.len()))
            })?;
            let resumed = peak(|| resumed(&runtime, &path))?;
            let dropped = peak(|| values(&path, false))?;
            let kept = peak(|| values(&path, true))?;
            writeln!(
                out,
                "{name:<10} {megabytes:3} MB  {:7} {:8} {:7} {:8} {:13} {:12}",
                written.bytes / 1_000,
                written.active_bytes / 1_000,
                replayed / 1_000,
                resumed / 1_000,
                dropped / 1_000,
                kept / 1_000,
            )?;
        }
    }
    Ok(())
}

/// The most bytes that are held while it runs.
fn peak<T>(run: impl FnOnce() -> Result<T, Failure>) -> Result<u64, Failure> {
    let mut result = None;
    let taken = measure(|| result = Some(run()));
    result.transpose()?;
    Ok(taken.bytes_max)
}

/// Opens the session again.
fn resumed(runtime: &Runtime, path: &Path) -> Result<usize, Failure> {
    let watch = Arc::new(Stopwatch::new(&[])?);
    let agent = turns::agent(watch).store(InPlace(path.to_owned())).build()?;
    let opening = agent.session().resume(LogRef::Id(log::ID.into()), OnDamage::Refuse);
    let session = runtime.block_on(opening.start())?;
    Ok(black_box(session).history().len())
}

/// Reads the file and parses each line.
fn values(path: &Path, are_kept: bool) -> Result<usize, Failure> {
    let log = fs::read(path)?;
    let mut values: Vec<Value> = Vec::new();
    for line in log.split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
        values.push(serde_json::from_slice(line)?);
        if !are_kept {
            values.clear();
        }
    }
    Ok(black_box(values).len())
}
