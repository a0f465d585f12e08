//! A disk that notes how much of each file is durable, and which names are.
//!
//! What a loss of power leaves is the least that POSIX promises: no byte that was not synced, and no name
//! whose folder was not. What else may be left the tests of the store itself try, on a disk in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use longhaul::rollout::{Disk, Identity, LocalDisk, Medium};

/// Another disk, and notes of what is durable on it. Clones share the notes.
#[derive(Debug, Clone)]
pub(super) struct Tracked {
    disk: Arc<dyn Disk>,
    notes: Arc<Mutex<Notes>>,
}

#[derive(Debug)]
struct Notes {
    file: File,
    durable: BTreeMap<PathBuf, u64>,
    /// The newer name of each file that got one.
    names: BTreeMap<PathBuf, PathBuf>,
}

impl Notes {
    fn note(&mut self, path: &Path, length: u64) {
        self.durable.insert(path.to_owned(), length);
        write_apart(&mut self.file, &format!("{length} {}\n", path.display()));
    }

    /// The folder has another name in it, which is durable when the folder is synced.
    fn note_name(&mut self, path: &Path) {
        write_apart(&mut self.file, &format!("named {}\n", path.display()));
    }

    fn name(&self, path: &Path) -> PathBuf {
        self.names.get(path).map_or_else(|| path.to_owned(), Clone::clone)
    }
}

/// Appends a line by `writev`: the disk's own calls are `write`, and a sweep counts those.
pub(super) fn write_apart(file: &mut File, line: &str) {
    let written = file.write_vectored(&[io::IoSlice::new(line.as_bytes())]).unwrap();
    assert_eq!(written, line.len(), "a note is written at once");
}

impl Tracked {
    /// Notes in the file `notes` what is durable on `disk`.
    pub(super) fn new(disk: Option<Arc<dyn Disk>>, notes: &Path) -> Self {
        let file = OpenOptions::new().append(true).create(true).open(notes).unwrap();
        let durable = durable(notes);
        let notes = Notes { file, durable, names: BTreeMap::new() };
        let disk = disk.unwrap_or_else(|| Arc::new(LocalDisk));
        Self { disk, notes: Arc::new(Mutex::new(notes)) }
    }

    /// How many bytes of a file are durable.
    pub(super) fn durable(&self, path: &Path) -> u64 {
        self.notes.lock().unwrap().durable.get(path).copied().unwrap_or(0)
    }

    fn wrap(&self, path: &Path, medium: Box<dyn Medium>) -> Box<dyn Medium> {
        let (path, notes) = (path.to_owned(), Arc::clone(&self.notes));
        Box::new(TrackedMedium { path, medium, notes })
    }
}

/// What these notes say of lengths, the newest of each file.
fn durable(notes: &Path) -> BTreeMap<PathBuf, u64> {
    let text = fs::read_to_string(notes).unwrap();
    let lines = text.lines().map(|line| line.split_once(' ').unwrap());
    lines.filter_map(|(length, path)| Some((path.into(), length.parse().ok()?))).collect()
}

/// The names that these notes say are not durable. A folder comes before what is in it.
fn unsynced(notes: &Path) -> BTreeSet<PathBuf> {
    let mut names = BTreeSet::new();
    for line in fs::read_to_string(notes).unwrap().lines() {
        match line.split_once(' ').unwrap() {
            ("named", path) => drop(names.insert(PathBuf::from(path))),
            ("synced", folder) => names.retain(|name| name.parent() != Some(Path::new(folder))),
            _ => {}
        }
    }
    names
}

/// The power is lost: of each file, what was not synced is gone, and so is each name that its folder was not
/// synced with, with all that is below it.
pub(super) fn lose_power(notes: &Path) {
    for (path, length) in durable(notes) {
        if fs::metadata(&path).is_ok_and(|it| it.len() > length) {
            OpenOptions::new().write(true).open(path).unwrap().set_len(length).unwrap();
        }
    }
    for path in unsynced(notes) {
        // It may never have come so far, or have been removed.
        let _ = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    }
}

impl Disk for Tracked {
    fn make_folder(&self, path: &Path) -> io::Result<()> {
        self.notes.lock().unwrap().note_name(path);
        self.disk.make_folder(path)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn Medium>> {
        self.notes.lock().unwrap().note_name(path);
        let medium = self.disk.create(path)?;
        self.notes.lock().unwrap().note(path, 0);
        Ok(self.wrap(path, medium))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn Medium>> {
        Ok(self.wrap(path, self.disk.open(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        // Who ends the process does so within the rename, so its new name is noted before.
        let mut notes = self.notes.lock().unwrap();
        let length = notes.durable.get(from).copied().unwrap_or(0);
        notes.note(to, length);
        notes.note_name(to);
        notes.names.insert(from.to_owned(), to.to_owned());
        drop(notes);
        self.disk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        self.disk.sync_folder(path)?;
        write_apart(&mut self.notes.lock().unwrap().file, &format!("synced {}\n", path.display()));
        Ok(())
    }
}

#[derive(Debug)]
struct TrackedMedium {
    path: PathBuf,
    medium: Box<dyn Medium>,
    notes: Arc<Mutex<Notes>>,
}

impl TrackedMedium {
    fn note(&self, length: u64) {
        let mut notes = self.notes.lock().unwrap();
        let path = notes.name(&self.path);
        notes.note(&path, length);
    }
}

impl Medium for TrackedMedium {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.medium.write(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.medium.sync()?;
        self.note(self.medium.identity()?.length);
        Ok(())
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.medium.truncate(length)?;
        self.note(length);
        Ok(())
    }

    fn identity(&self) -> io::Result<Identity> {
        self.medium.identity()
    }
}
