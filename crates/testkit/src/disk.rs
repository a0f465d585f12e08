//! A disk that fails, or ends the process, where a test says so.
//!
//! ```
//! use std::sync::Arc;
//!
//! use longhaul_rollout::FileStore;
//! use longhaul_testkit::disk::{Fault, FaultyDisk, NO_SPACE, Operation};
//!
//! // The third write finds no space.
//! let writes = std::sync::atomic::AtomicUsize::new(0);
//! let disk = FaultyDisk::new(move |step| {
//!     let is_write = step.operation == Operation::Write;
//!     if is_write && writes.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 2 {
//!         return Fault::Error(NO_SPACE);
//!     }
//!     Fault::None
//! });
//! let store = FileStore::new("/home/user/.agent").disk(Arc::new(disk));
//! ```

mod remains;
mod volatile;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use longhaul_rollout::{Disk, Identity, LocalDisk, Medium};

pub use volatile::VolatileDisk;

/// `ENOSPC` of Linux, macOS and the BSDs: the disk is full.
pub const NO_SPACE: i32 = 28;
/// `EIO` of the same: the medium failed.
pub const BAD_MEDIUM: i32 = 5;
/// `EINTR` of the same: a signal came, try again.
pub const INTERRUPTED: i32 = 4;

/// What is done to a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// A folder is made.
    MakeFolder,
    /// A file is made.
    Create,
    /// A file is opened for appending.
    Open,
    /// A file gets another name.
    Rename,
    /// A file is removed.
    Remove,
    /// A folder is synced.
    SyncFolder,
    /// Bytes are appended to a file.
    Write,
    /// A file is synced.
    Sync,
    /// A file is cut.
    Truncate,
}

/// One operation.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Step {
    /// Which one it is on this disk, from 0.
    pub number: usize,
    /// What is done.
    pub operation: Operation,
    /// To which file or folder; of a rename, the new name.
    pub path: PathBuf,
    /// How many bytes are to be written, or left.
    pub bytes: u64,
}

/// What becomes of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// It is done.
    None,
    /// It is not done, and this error number is returned.
    Error(i32),
    /// It is done, and this error number is returned.
    LateError(i32),
    /// Of a write, so many bytes are written, and that is said. Other operations are done.
    Short(usize),
    /// The process ends before it is done.
    Abort,
    /// The process ends when half of a write is done. Other operations are done before.
    AbortMidway,
    /// The process ends when it is done.
    AbortAfter,
}

type Plan = dyn Fn(&Step) -> Fault + Send + Sync;

/// The file system of this machine, behind a plan of faults. Clones share it.
#[derive(Clone)]
pub struct FaultyDisk {
    plan: Arc<Plan>,
    steps: Arc<Mutex<Vec<Step>>>,
}

impl FaultyDisk {
    /// The disk on which each operation meets the fault that `plan` says.
    pub fn new(plan: impl Fn(&Step) -> Fault + Send + Sync + 'static) -> Self {
        Self { plan: Arc::new(plan), steps: Arc::default() }
    }

    /// What was done so far, or tried.
    pub fn steps(&self) -> Vec<Step> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Step>> {
        self.steps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fault(&self, operation: Operation, path: &Path, bytes: u64) -> Fault {
        let mut steps = self.lock();
        let step = Step { number: steps.len(), operation, path: path.to_owned(), bytes };
        steps.push(step.clone());
        drop(steps);
        (self.plan)(&step)
    }

    /// Does what is not a write, as the plan says.
    fn meet<T>(
        &self,
        operation: Operation,
        path: &Path,
        bytes: u64,
        work: impl FnOnce() -> io::Result<T>,
    ) -> io::Result<T> {
        match self.fault(operation, path, bytes) {
            Fault::None | Fault::Short(_) => work(),
            Fault::Error(number) => Err(io::Error::from_raw_os_error(number)),
            Fault::LateError(number) => work().and(Err(io::Error::from_raw_os_error(number))),
            Fault::Abort => std::process::abort(),
            Fault::AbortMidway | Fault::AbortAfter => {
                let _ = work();
                std::process::abort()
            }
        }
    }

    fn wrap(&self, path: &Path, medium: Box<dyn Medium>) -> Box<dyn Medium> {
        Box::new(FaultyMedium { disk: self.clone(), path: path.to_owned(), medium })
    }
}

impl fmt::Debug for FaultyDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultyDisk").field("steps", &self.lock().len()).finish_non_exhaustive()
    }
}

impl Disk for FaultyDisk {
    fn make_folder(&self, path: &Path) -> io::Result<()> {
        self.meet(Operation::MakeFolder, path, 0, || LocalDisk.make_folder(path))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn Medium>> {
        let medium = self.meet(Operation::Create, path, 0, || LocalDisk.create(path))?;
        Ok(self.wrap(path, medium))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn Medium>> {
        let medium = self.meet(Operation::Open, path, 0, || LocalDisk.open(path))?;
        Ok(self.wrap(path, medium))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.meet(Operation::Rename, to, 0, || LocalDisk.rename(from, to))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.meet(Operation::Remove, path, 0, || LocalDisk.remove(path))
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        self.meet(Operation::SyncFolder, path, 0, || LocalDisk.sync_folder(path))
    }
}

/// A file on a faulty disk, under the name that it was made or opened with.
#[derive(Debug)]
struct FaultyMedium {
    disk: FaultyDisk,
    path: PathBuf,
    medium: Box<dyn Medium>,
}

impl Medium for FaultyMedium {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.disk.fault(Operation::Write, &self.path, bytes.len() as u64) {
            Fault::None => self.medium.write(bytes),
            Fault::Error(number) => Err(io::Error::from_raw_os_error(number)),
            Fault::LateError(number) => {
                self.medium.write(bytes).and(Err(io::Error::from_raw_os_error(number)))
            }
            Fault::Short(length) => self.medium.write(&bytes[..length.min(bytes.len())]),
            Fault::Abort => std::process::abort(),
            Fault::AbortMidway => self.abort_after(&bytes[..bytes.len() / 2]),
            Fault::AbortAfter => self.abort_after(bytes),
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        let Self { disk, path, medium } = self;
        disk.meet(Operation::Sync, path, 0, || medium.sync())
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        let Self { disk, path, medium } = self;
        disk.meet(Operation::Truncate, path, length, || medium.truncate(length))
    }

    fn identity(&self) -> io::Result<Identity> {
        self.medium.identity()
    }
}

impl FaultyMedium {
    fn abort_after(&mut self, bytes: &[u8]) -> ! {
        let _ = self.medium.write(bytes);
        std::process::abort()
    }
}
