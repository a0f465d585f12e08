//! What is left of a folder when the power went.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::volatile::Step;

/// So much of a file is written at once, or not.
const PAGE_BYTES: u64 = 4096;

/// A folder with all that is in it, as it is on the medium.
#[derive(Debug, Clone, Default)]
pub(super) struct Remains {
    home: PathBuf,
    /// What names stand for: a file, by its number, or a folder.
    names: BTreeMap<PathBuf, Option<usize>>,
    /// The bytes of files.
    bytes: BTreeMap<usize, Vec<u8>>,
}

impl Remains {
    /// What is in `home`; nothing if there is none.
    pub(super) fn read(home: &Path) -> io::Result<Self> {
        let mut remains = Self { home: home.to_owned(), ..Self::default() };
        let mut open = if home.is_dir() { vec![home.to_owned()] } else { Vec::new() };
        while let Some(folder) = open.pop() {
            remains.names.insert(folder.clone(), None);
            for entry in fs::read_dir(folder)? {
                let path = entry?.path();
                if path.is_dir() {
                    open.push(path);
                } else {
                    let file = remains.bytes.len();
                    remains.bytes.insert(file, fs::read(&path)?);
                    remains.names.insert(path, Some(file));
                }
            }
        }
        Ok(remains)
    }

    /// The files with their numbers.
    pub(super) fn files(&self) -> impl Iterator<Item = (PathBuf, usize)> {
        self.names.iter().filter_map(|(path, file)| Some((path.clone(), (*file)?)))
    }

    /// Does what is durable of `steps`, and of all else what `stays`.
    pub(super) fn replay(&mut self, steps: &[Step], mut stays: impl FnMut() -> bool) {
        for (number, step) in steps.iter().enumerate() {
            let later = &steps[number + 1..];
            let is_synced = |name: &Path| {
                let folder = name.parent();
                let syncs = |it: &Step| matches!(it, Step::SyncFolder(it) if Some(&**it) == folder);
                // What is outside of the home is not lost.
                !name.starts_with(&self.home) || name == self.home || later.iter().any(syncs)
            };
            match step {
                Step::MakeFolder(name) if is_synced(name) || stays() => {
                    self.names.insert(name.clone(), None);
                }
                Step::Create(name, file) if is_synced(name) || stays() => {
                    self.names.insert(name.clone(), Some(*file));
                }
                Step::Rename(from, to, file) => {
                    let (goes, comes) = (is_synced(from) || stays(), is_synced(to) || stays());
                    if goes {
                        self.names.remove(from);
                    }
                    if comes {
                        self.names.insert(to.clone(), *file);
                    }
                }
                Step::Remove(name) if is_synced(name) || stays() => {
                    self.names.remove(name);
                }
                Step::Write { file, offset, bytes } if is_durable(*file, later) => {
                    self.write_at(*file, *offset, bytes);
                }
                Step::Write { file, offset, bytes } => {
                    for (offset, page) in pages(*offset, bytes) {
                        let (is_long, is_there) = (stays(), stays());
                        if is_there {
                            self.write_at(*file, offset, page);
                        } else if is_long {
                            // The file has its length, and nothing there.
                            self.write_at(*file, offset, &vec![0; page.len()]);
                        }
                    }
                }
                Step::Truncate(file, length) if is_durable(*file, later) || stays() => {
                    let length = usize::try_from(*length).unwrap_or(usize::MAX);
                    self.bytes.entry(*file).or_default().truncate(length);
                }
                _ => {}
            }
        }
    }

    fn write_at(&mut self, file: usize, offset: u64, bytes: &[u8]) {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let end = start + bytes.len();
        let whole = self.bytes.entry(file).or_default();
        whole.resize(whole.len().max(end), 0);
        whole[start..end].copy_from_slice(bytes);
    }

    /// Makes `target` the folder that is left.
    pub(super) fn write(&self, target: &Path) -> io::Result<()> {
        fs::create_dir_all(target)?;
        // A name sorts behind those of the folders that it is in.
        for (name, file) in &self.names {
            let Ok(name) = name.strip_prefix(&self.home) else { continue };
            let path = target.join(name);
            match file {
                // What is in a folder that was lost is lost.
                _ if !path.parent().is_some_and(Path::is_dir) => {}
                None if path.is_dir() => {}
                None => fs::create_dir(path)?,
                Some(file) => {
                    fs::write(path, self.bytes.get(file).map(Vec::as_slice).unwrap_or_default())?;
                }
            }
        }
        Ok(())
    }
}

fn is_durable(file: usize, later: &[Step]) -> bool {
    later.iter().any(|it| matches!(it, Step::Sync(it) if *it == file))
}

/// The parts of `bytes` that are in one page of the file each, with their offsets.
fn pages(offset: u64, mut bytes: &[u8]) -> Vec<(u64, &[u8])> {
    let (mut at, mut pages) = (offset, Vec::new());
    while !bytes.is_empty() {
        let room = usize::try_from(PAGE_BYTES - at % PAGE_BYTES).unwrap_or(usize::MAX);
        let (page, rest) = bytes.split_at(room.min(bytes.len()));
        pages.push((at, page));
        at += page.len() as u64;
        bytes = rest;
    }
    pages
}
