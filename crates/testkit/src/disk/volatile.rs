//! A disk that keeps what was synced, and of the rest what chance leaves when the power goes.
//!
//! ```
//! use std::sync::Arc;
//!
//! use longhaul_rollout::{FileStore, Store};
//! use longhaul_testkit::disk::VolatileDisk;
//! use longhaul_testkit::store::session;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let home = std::env::temp_dir().join(format!("volatile-{}", std::process::id()));
//! # let after = home.with_extension("after");
//! let disk = VolatileDisk::new(&home)?;
//! let store = FileStore::new(&home).disk(Arc::new(disk.clone()));
//! store.create(vec![session(0)]).await?;
//! // The power goes now, and with it all that was not synced.
//! disk.lose_power(disk.step_count(), || false, &after)?;
//! # for entry in std::fs::read_dir(&after)? { assert_eq!(entry?.file_name(), "sessions"); }
//! # std::fs::remove_dir_all(home)?;
//! # std::fs::remove_dir_all(after)?;
//! # Ok(())
//! # }
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use longhaul_rollout::{Disk, Identity, LocalDisk, Medium};

use super::remains::Remains;

/// The file system of this machine, with a note of all that is done to it. Clones share it.
///
/// What `lose_power` leaves is what POSIX promises and no more: the bytes of a file that was synced,
/// the names of a folder that was; of all else any part, in any order, in pages.
#[derive(Clone)]
pub struct VolatileDisk {
    notes: Arc<Mutex<Notes>>,
}

/// What is done, with which file. Files have numbers, since their names change.
#[derive(Debug, Clone)]
pub(super) enum Step {
    MakeFolder(PathBuf),
    Create(PathBuf, usize),
    Rename(PathBuf, PathBuf, Option<usize>),
    Remove(PathBuf),
    SyncFolder(PathBuf),
    Write { file: usize, offset: u64, bytes: Vec<u8> },
    Sync(usize),
    Truncate(usize, u64),
}

#[derive(Debug, Default)]
struct Notes {
    /// What was there at the start, and is durable.
    start: Remains,
    steps: Vec<Step>,
    /// Which file has a name now.
    names: BTreeMap<PathBuf, usize>,
    file_count: usize,
}

impl VolatileDisk {
    /// The disk on which what `home` has is durable, and what comes is noted. Nothing outside of `home`
    /// is lost.
    ///
    /// # Errors
    ///
    /// What is there cannot be read.
    pub fn new(home: &Path) -> io::Result<Self> {
        let mut notes = Notes::default();
        notes.start = Remains::read(home)?;
        notes.names = notes.start.files().collect();
        notes.file_count = notes.names.len();
        Ok(Self { notes: Arc::new(Mutex::new(notes)) })
    }

    /// How much was done so far.
    pub fn step_count(&self) -> usize {
        self.lock().steps.len()
    }

    /// Makes the folder `target` as the home may be if the power went when `steps` steps were done.
    /// Of each part that was not durable then, `stays` says whether it is there.
    ///
    /// # Errors
    ///
    /// What the operating system says of `target`.
    pub fn lose_power(
        &self,
        steps: usize,
        stays: impl FnMut() -> bool,
        target: &Path,
    ) -> io::Result<()> {
        let notes = self.lock();
        let mut remains = notes.start.clone();
        remains.replay(&notes.steps[..steps], stays);
        remains.write(target)
    }

    fn lock(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, step: Step) {
        self.lock().steps.push(step);
    }

    fn wrap(&self, file: usize, medium: Box<dyn Medium>) -> Box<dyn Medium> {
        Box::new(VolatileMedium { disk: self.clone(), file, medium })
    }
}

impl fmt::Debug for VolatileDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VolatileDisk").field("steps", &self.step_count()).finish_non_exhaustive()
    }
}

impl Disk for VolatileDisk {
    fn make_folder(&self, path: &Path) -> io::Result<()> {
        LocalDisk.make_folder(path)?;
        self.note(Step::MakeFolder(path.to_owned()));
        Ok(())
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn Medium>> {
        let medium = LocalDisk.create(path)?;
        let mut notes = self.lock();
        let file = notes.file_count;
        notes.file_count += 1;
        notes.names.insert(path.to_owned(), file);
        notes.steps.push(Step::Create(path.to_owned(), file));
        drop(notes);
        Ok(self.wrap(file, medium))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn Medium>> {
        let medium = LocalDisk.open(path)?;
        let file = self.lock().names.get(path).copied();
        let file = file.ok_or_else(|| io::Error::other("a file that others made"))?;
        Ok(self.wrap(file, medium))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        LocalDisk.rename(from, to)?;
        let mut notes = self.lock();
        let file = notes.names.remove(from);
        notes.names.extend(file.map(|file| (to.to_owned(), file)));
        notes.steps.push(Step::Rename(from.to_owned(), to.to_owned(), file));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        LocalDisk.remove(path)?;
        let mut notes = self.lock();
        notes.names.remove(path);
        notes.steps.push(Step::Remove(path.to_owned()));
        Ok(())
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        fs::metadata(path)?;
        self.note(Step::SyncFolder(path.to_owned()));
        Ok(())
    }
}

#[derive(Debug)]
struct VolatileMedium {
    disk: VolatileDisk,
    file: usize,
    medium: Box<dyn Medium>,
}

impl Medium for VolatileMedium {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let offset = self.medium.identity()?.length;
        let written = self.medium.write(bytes)?;
        let bytes = bytes[..written].to_vec();
        self.disk.note(Step::Write { file: self.file, offset, bytes });
        Ok(written)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.disk.note(Step::Sync(self.file));
        Ok(())
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.medium.truncate(length)?;
        self.disk.note(Step::Truncate(self.file, length));
        Ok(())
    }

    fn identity(&self) -> io::Result<Identity> {
        self.medium.identity()
    }
}
