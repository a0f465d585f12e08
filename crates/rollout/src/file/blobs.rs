//! The folder of blobs: `<home>/blobs/ab/<hex>`, shared by the logs of a home.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::disk::write_all;
use super::home::Home;
use crate::blob::move_out;
use crate::store::StoreError;
use crate::{Blobs, Record};

/// The blobs of a home, to read them.
pub(super) struct BlobFolder<'a>(pub(super) &'a Path);

impl Blobs for BlobFolder<'_> {
    fn get(&self, sha256_hex: &str) -> io::Result<Option<Vec<u8>>> {
        match fs::read(blob_path(self.0, sha256_hex)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn byte_count(&self, sha256_hex: &str) -> io::Result<Option<u64>> {
        match fs::metadata(blob_path(self.0, sha256_hex)) {
            Ok(metadata) => Ok(Some(metadata.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Where the blob of this name is. A name that is none has no place in the folder.
fn blob_path(home: &Path, name: &str) -> PathBuf {
    home.join("blobs").join(name.get(..2).unwrap_or(name)).join(name)
}

/// The blobs of one append. They are durable when [`commit`](Self::commit) returns, which is
/// before the records that name them are written.
#[derive(Debug)]
pub(super) struct Batch<'a> {
    home: &'a Home,
    /// The log that they are for. Its lock is held.
    log: &'a Path,
    /// Any blob in each folder that a record names a blob of.
    folders: BTreeSet<PathBuf>,
}

impl<'a> Batch<'a> {
    pub(super) fn new(home: &'a Home, log: &'a Path) -> Self {
        Self { home, log, folders: BTreeSet::new() }
    }

    /// Stores the long strings of a record; `None` if it has none.
    pub(super) fn move_out(&mut self, record: &Record) -> Result<Option<Record>, StoreError> {
        let home = self.home;
        move_out(record, home.blob_threshold_bytes, |name, bytes| self.store(name, bytes))
    }

    /// Stores one blob, unless it is there and sound. One that is damaged is replaced.
    fn store(&mut self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let path = blob_path(&self.home.path, name);
        let Some(folder) = path.parent() else { return Ok(()) };
        if self.folders.insert(folder.to_owned()) {
            self.home.make_folders(folder)?;
        }
        if fs::read(&path).is_ok_and(|stored| stored == bytes) {
            return Ok(());
        }
        self.home.put(self.log, &path, |medium| write_all(medium, bytes)).map(drop)
    }

    /// Makes the names of all of them durable, also of those that were there: who put them there
    /// may not have come to it.
    pub(super) fn commit(self) -> Result<(), StoreError> {
        let mut folders = self.folders.iter();
        folders.try_for_each(|folder| self.home.sync_folder_of(&folder.join("blob")))
    }
}
