//! The folder of a store, and how files come into it: as a whole or not at all.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Fsync;
use super::disk::{Disk, Medium};
use super::layout::unfinished_beside;
use crate::store::StoreError;

/// Tells apart the unfinished files that one process writes at the same time.
static UNFINISHED: AtomicU64 = AtomicU64::new(0);

/// The one operation that may lose names which others rely on.
const SYNCING_FOLDER: &str = "syncing the folder";

/// Whether it is not known any more that names in a folder are durable: a second sync of it may say that
/// they are, since the failure was told once. A disk that is full, and a folder that may not be opened,
/// lose nothing.
pub(super) fn has_lost_names(error: &StoreError) -> bool {
    match error {
        StoreError::Io { operation, .. } => *operation == SYNCING_FOLDER,
        StoreError::ReadOnly { operation, source, .. } => {
            *operation == SYNCING_FOLDER && source.kind() != io::ErrorKind::PermissionDenied
        }
        _ => false,
    }
}

/// What all logs of a store share.
#[derive(Debug, Clone)]
pub(super) struct Home {
    pub(super) path: PathBuf,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) fsync: Fsync,
    pub(super) blob_threshold_bytes: usize,
    /// A longer line is not written, since it is not read either.
    pub(super) max_line_bytes: u64,
}

impl Home {
    /// Makes a folder of the home and what is missing above it, and makes the names of all of them
    /// durable.
    ///
    /// That a folder is there does not say that its name is durable: another process may just have
    /// made it. So every level in the home is synced, which costs little where nothing is new. The
    /// home's own name is durable before there is anything in it; so what is above is not touched later.
    pub(super) fn make_folders(&self, folder: &Path) -> Result<(), StoreError> {
        let missing = folder.ancestors().take_while(|level| !level.is_dir());
        let (inside, outside): (Vec<_>, Vec<_>) = missing.partition(|level| self.is_inside(level));
        for level in outside.iter().rev() {
            self.make_folder(level)?;
        }
        if inside.last().is_some_and(|level| level.parent() == Some(&self.path)) {
            self.sync_name(outside.len())?;
        }
        for level in inside.iter().rev() {
            self.make_folder(level)?;
        }
        let mut levels = folder.ancestors().take_while(|level| self.is_inside(level));
        levels.try_for_each(|level| self.sync_folder_of(level))
    }

    /// The home in which a log lies, whichever store opens it and by whatever links: that whose
    /// `sessions/YYYY/MM/DD` has its file. A file that lies elsewhere has this home.
    pub(super) fn of_log(self: &Arc<Self>, log: &Path) -> Arc<Self> {
        match self.other_home(log) {
            Some(path) => Arc::new(Self { path, ..(**self).clone() }),
            None => Arc::clone(self),
        }
    }

    /// The home in which a log lies, if that is not this one. What is behind this one's `sessions` is in
    /// it, also where that is a link.
    pub(super) fn other_home(&self, log: &Path) -> Option<PathBuf> {
        let log = log.canonicalize().ok()?;
        let own = self.path.join("sessions").canonicalize();
        if own.is_ok_and(|own| log.starts_with(own)) {
            return None;
        }
        let day = log.parent()?;
        let sessions = day.ancestors().nth(3).filter(|it| it.ends_with("sessions"))?;
        let date = day.strip_prefix(sessions).ok()?.to_str()?;
        let mut parts = date.split(std::path::MAIN_SEPARATOR);
        let is_number = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
        let is_day = parts.clone().map(str::len).eq([4, 2, 2]) && parts.all(is_number);
        sessions.parent().filter(|_| is_day).map(Path::to_owned)
    }

    fn is_inside(&self, folder: &Path) -> bool {
        folder.starts_with(&self.path) && folder != self.path
    }

    /// Makes the home's own name durable, and those of the levels above it that were made, too. Where a
    /// folder may be passed but not read, that cannot be.
    fn sync_name(&self, made: usize) -> Result<(), StoreError> {
        for level in self.path.ancestors().take(made.max(1)) {
            unless_denied(self.sync_folder_of(level))?;
        }
        Ok(())
    }

    fn make_folder(&self, folder: &Path) -> Result<(), StoreError> {
        match self.disk.make_folder(folder) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let problem = "a file has its name; move that away, or take another home";
                Err(StoreError::io("making the folder", folder, io::Error::other(problem)))
            }
            made => made.map_err(|e| StoreError::io("making the folder", folder, e)),
        }
    }

    /// Makes the name of a log durable that somebody else made, who may not sync. Where a folder above it
    /// may be passed but not read, that cannot be.
    pub(super) fn sync_names_of(&self, log: &Path) -> Result<(), StoreError> {
        self.sync_folder_of(log)?;
        // A home that is not the store's is known by its true path.
        let real = log.canonicalize();
        let log = real.as_deref().ok().filter(|_| !self.is_inside(log)).unwrap_or(log);
        let above = log.ancestors().skip(1).take_while(|level| self.is_inside(level));
        above.map(|level| self.sync_folder_of(level)).try_for_each(unless_denied)
    }

    /// Makes the name of `path` durable.
    pub(super) fn sync_folder_of(&self, path: &Path) -> Result<(), StoreError> {
        match path.parent() {
            Some(folder) if self.fsync == Fsync::Commit => {
                self.disk.sync_folder(folder).map_err(|e| StoreError::io(SYNCING_FOLDER, folder, e))
            }
            _ => Ok(()),
        }
    }

    /// Puts a file into a folder that is there: at any time it is there as a whole or not at all.
    /// Returns the medium that it was written to. The caller syncs the folder, and holds the lock of
    /// `log`.
    ///
    /// What a process leaves that dies in between stands beside that log and ends with `.new`. It
    /// means nothing, and the next that has the lock removes it.
    pub(super) fn put(
        &self,
        log: &Path,
        path: &Path,
        fill: impl FnOnce(&mut dyn Medium) -> io::Result<()>,
    ) -> Result<Box<dyn Medium>, StoreError> {
        let number = UNFINISHED.fetch_add(1, Ordering::Relaxed);
        let unfinished = unfinished_beside(log, number);
        let put = self.fill_and_rename(&unfinished, path, fill);
        if put.is_err() {
            let _ = self.disk.remove(&unfinished);
        }
        put.map_err(|(operation, error)| StoreError::io(operation, path, error))
    }

    fn fill_and_rename(
        &self,
        unfinished: &Path,
        path: &Path,
        fill: impl FnOnce(&mut dyn Medium) -> io::Result<()>,
    ) -> Result<Box<dyn Medium>, (&'static str, io::Error)> {
        let mut medium = self.disk.create(unfinished).map_err(|e| ("creating", e))?;
        fill(&mut *medium).map_err(|e| ("writing", e))?;
        if self.fsync == Fsync::Commit {
            medium.sync().map_err(|e| ("syncing", e))?;
        }
        self.disk.rename(unfinished, path).map_err(|e| ("renaming", e))?;
        Ok(medium)
    }
}

fn unless_denied(synced: Result<(), StoreError>) -> Result<(), StoreError> {
    match synced {
        Err(StoreError::ReadOnly { source, .. })
            if source.kind() == io::ErrorKind::PermissionDenied =>
        {
            Ok(())
        }
        synced => synced,
    }
}
