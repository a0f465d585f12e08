//! The folder of blobs: `<home>/blobs/ab/<hex>`, shared by the logs of a home.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::Fsync;
use super::disk::{Identity, write_all};
use super::home::Home;
use crate::blob::move_out;
use crate::store::{StoreError, UnreadBlob, shown};
use crate::{Blobs, ReadError, Record, blob_digest};

/// The blobs of a log, to read them.
pub(super) struct BlobFolder {
    /// Where they are looked for: in the home of the log, then in that of the store.
    homes: Vec<PathBuf>,
    /// Those that were read.
    read: RefCell<BTreeSet<String>>,
}

impl BlobFolder {
    /// Of a log that a store opens whose home this is.
    pub(super) fn of(home: &Home, log: &Path) -> Self {
        let homes = home.other_home(log).into_iter().chain([home.path.clone()]).collect();
        Self { homes, read: RefCell::default() }
    }

    fn places(&self, name: &str) -> impl Iterator<Item = PathBuf> {
        self.homes.iter().map(move |home| blob_path(home, name))
    }

    /// The first that is there.
    fn find<T>(&self, name: &str, look: impl Fn(&Path) -> io::Result<T>) -> io::Result<Option<T>> {
        for path in self.places(name) {
            match look(&path) {
                Ok(found) => return Ok(Some(found)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(UnreadBlob { path, source: error }.into()),
            }
        }
        Ok(None)
    }
}

impl Blobs for BlobFolder {
    fn get(&self, sha256_hex: &str) -> io::Result<Option<Vec<u8>>> {
        let found = self.find(sha256_hex, |path| fs::read(path))?;
        if found.is_some() {
            self.read.borrow_mut().insert(sha256_hex.to_owned());
        }
        Ok(found)
    }

    fn byte_count(&self, sha256_hex: &str) -> io::Result<Option<u64>> {
        Ok(self.find(sha256_hex, |path| fs::metadata(path))?.map(|metadata| metadata.len()))
    }

    fn place(&self, sha256_hex: &str) -> Option<String> {
        let places: Vec<String> = self.places(sha256_hex).map(|path| shown(&path)).collect();
        Some(places.join(" and "))
    }
}

impl fmt::Debug for BlobFolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlobFolder").field("homes", &self.homes).finish_non_exhaustive()
    }
}

/// Where the blob of this name is. A name that is none has no place in the folder.
fn blob_path(home: &Path, name: &str) -> PathBuf {
    home.join("blobs").join(name.get(..2).unwrap_or(name)).join(name)
}

/// The blobs that a writer knows to be durable, each as the file that it was then.
#[derive(Debug, Default)]
pub(super) struct Durable(BTreeMap<String, Identity>);

impl Durable {
    fn has(&self, name: &str, path: &Path) -> bool {
        let known = self.0.get(name);
        let now = known.and_then(|_| fs::metadata(path).ok()).map(|it| Identity::of(&it));
        known.zip(now).is_some_and(|(known, now)| known.is_same_file(&now))
    }
}

/// The blobs of one append. They are durable when [`commit`](Self::commit) returns, which is
/// before the records that name them are written.
#[derive(Debug)]
pub(super) struct Batch<'a> {
    /// That of the log.
    home: &'a Home,
    /// The log that they are for. Its lock is held.
    log: &'a Path,
    durable: &'a mut Durable,
    /// Each folder that a record names a blob of.
    folders: BTreeSet<PathBuf>,
}

impl<'a> Batch<'a> {
    pub(super) fn new(home: &'a Home, log: &'a Path, durable: &'a mut Durable) -> Self {
        Self { home, log, durable, folders: BTreeSet::new() }
    }

    /// Stores the long strings of a record; `None` if it has none.
    pub(super) fn move_out(&mut self, record: &Record) -> Result<Option<Record>, StoreError> {
        let threshold = self.home.blob_threshold_bytes;
        move_out(record, threshold, |name, bytes| self.store(name, bytes))
    }

    /// Keeps what was read of a log whose writer begins. Who wrote it may not have synced it, or may have
    /// had another home: what is not in that of the log comes there.
    pub(super) fn keep(&mut self, blobs: &BlobFolder) -> Result<(), StoreError> {
        let names = blobs.read.borrow().clone();
        names.iter().try_for_each(|name| self.keep_one(name, blobs))?;
        // Those above their folders are the same for all.
        self.folders.first().map_or(Ok(()), |folder| self.home.sync_names_of(folder))
    }

    fn keep_one(&mut self, name: &str, blobs: &BlobFolder) -> Result<(), StoreError> {
        let path = blob_path(&self.home.path, name);
        let is_there = path.is_file();
        if is_there && self.home.fsync == Fsync::Off {
            return Ok(());
        }
        if is_there && self.is_durable(name, &path) {
            self.folders.extend(path.parent().map(Path::to_owned));
            return Ok(());
        }
        self.make_folder_of(&path)?;
        let read = blobs.get(name).map_err(|e| StoreError::read(self.log, ReadError::Io(e)))?;
        match read.filter(|bytes| blob_digest(bytes) == name) {
            Some(bytes) => self.put(name, &path, &bytes),
            None => Ok(()),
        }
    }

    /// Stores one blob, unless it is there and sound. One that is damaged is replaced.
    fn store(&mut self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let path = blob_path(&self.home.path, name);
        self.make_folder_of(&path)?;
        if fs::read(&path).is_ok_and(|stored| stored == bytes) && self.is_durable(name, &path) {
            return Ok(());
        }
        self.put(name, &path, bytes)
    }

    fn make_folder_of(&mut self, path: &Path) -> Result<(), StoreError> {
        match path.parent() {
            Some(folder) if self.folders.insert(folder.to_owned()) => {
                self.home.make_folders(folder)
            }
            _ => Ok(()),
        }
    }

    /// Sees to it that a blob which is there is durable, once: who put it there may not sync, or may be a
    /// program that copied it. One that cannot be synced is not trusted: a second try might only seem to
    /// work, so it is to be written anew.
    fn is_durable(&mut self, name: &str, path: &Path) -> bool {
        if self.home.fsync == Fsync::Off || self.durable.has(name, path) {
            return true;
        }
        let synced = self.home.disk.open(path).and_then(|mut medium| {
            medium.sync()?;
            medium.identity()
        });
        synced.map(|identity| self.durable.0.insert(name.to_owned(), identity)).is_ok()
    }

    fn put(&mut self, name: &str, path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
        let medium = self.home.put(self.log, path, |medium| write_all(medium, bytes))?;
        if let Ok(identity) = medium.identity() {
            self.durable.0.insert(name.to_owned(), identity);
        }
        Ok(())
    }

    /// Makes the names of all of them durable, also of those that were there: who put them there
    /// may not have come to it.
    pub(super) fn commit(self) -> Result<(), StoreError> {
        let mut folders = self.folders.iter();
        folders.try_for_each(|folder| self.home.sync_folder_of(&folder.join("blob")))
    }
}
