//! How often a turn writes to the disk, and syncs: counted, not timed.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use longhaul_benches::answer::{self, Event as Streamed, Failure, MESSAGE};
use longhaul_benches::folder::Folder;
use longhaul_benches::stopwatch::Stopwatch;
use longhaul_benches::turns;
use longhaul_rollout::{Disk, FileStore, Identity, LocalDisk, Medium};
use tokio::runtime::Runtime;

/// Prints it of a turn that answers, and of one that runs a tool before.
pub(super) fn print(runtime: &Runtime) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let answer = vec![answer::message()];
    let tool = vec![answer::call(), answer::message()];
    for (name, responses) in [("an answer", answer), ("a tool and an answer", tool)] {
        let (writes, syncs) = runtime.block_on(count(&responses))?;
        writeln!(out, "a turn with {name}: {writes} writes, {syncs} syncs")?;
    }
    Ok(())
}

/// Of the second turn of a session.
async fn count(responses: &[Vec<Streamed>]) -> Result<(usize, usize), Failure> {
    let folder = Folder::new(env!("CARGO_TARGET_TMPDIR"), "counted")?;
    let disk = Counted::default();
    let store = FileStore::new(folder.path()).disk(Arc::new(disk.clone()));
    let watch = Arc::new(Stopwatch::new(responses)?);
    let agent = turns::agent(Arc::clone(&watch)).tool(turns::weather()).store(store).build()?;
    let session = agent.session().start().await?;
    let mut before = (0, 0);
    for _ in 0..2 {
        before = disk.counts();
        watch.caught_up();
        turns::finish(session.prompt(MESSAGE).await?, |_| {}).await?;
    }
    let after = disk.counts();
    session.shutdown().await?;
    Ok((after.0 - before.0, after.1 - before.1))
}

/// The disk of this machine, and how often files on it are written to and synced.
#[derive(Debug, Clone, Default)]
struct Counted {
    writes: Arc<AtomicUsize>,
    syncs: Arc<AtomicUsize>,
}

impl Counted {
    fn counts(&self) -> (usize, usize) {
        (self.writes.load(Ordering::SeqCst), self.syncs.load(Ordering::SeqCst))
    }

    fn medium(&self, file: Box<dyn Medium>) -> Box<dyn Medium> {
        Box::new(CountedMedium { counted: self.clone(), file })
    }
}

impl Disk for Counted {
    fn make_folder(&self, path: &Path) -> io::Result<()> {
        LocalDisk.make_folder(path)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn Medium>> {
        LocalDisk.create(path).map(|file| self.medium(file))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn Medium>> {
        LocalDisk.open(path).map(|file| self.medium(file))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        LocalDisk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        LocalDisk.remove(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        LocalDisk.sync_folder(path)
    }
}

#[derive(Debug)]
struct CountedMedium {
    counted: Counted,
    file: Box<dyn Medium>,
}

impl Medium for CountedMedium {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.counted.writes.fetch_add(1, Ordering::SeqCst);
        self.file.write(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.counted.syncs.fetch_add(1, Ordering::SeqCst);
        self.file.sync()
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.file.truncate(length)
    }

    fn identity(&self) -> io::Result<Identity> {
        self.file.identity()
    }
}
