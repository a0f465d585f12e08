//! Removing what is new.

use std::io;
use std::path::Path;

use super::SnapshotError;
use super::path::GitPath;
use super::status::Untracked;

/// What is new in a folder of a work tree.
pub(super) struct New {
    /// The root of the work tree.
    pub(super) root: GitPath,
    /// The folder, which stays itself.
    pub(super) prefix: GitPath,
    /// What is untracked now.
    pub(super) now: Untracked,
    /// What was, and is not new.
    pub(super) before: Untracked,
}

impl New {
    /// Removes it. Links are removed, never followed; what holds repositories of others stays.
    pub(super) fn remove(&self) -> Result<(), SnapshotError> {
        self.now.files.iter().try_for_each(|file| self.remove_file(file))?;
        self.now.dirs.iter().try_for_each(|dir| self.remove_dir(dir))
    }

    fn remove_file(&self, file: &GitPath) -> Result<(), SnapshotError> {
        if self.before.holds(file) {
            return Ok(());
        }
        let path = checked(self.root.as_path(), file)?;
        tolerant(std::fs::remove_file(&path)).map_err(|error| problem(file, &error))?;
        self.remove_empty_parents(file);
        Ok(())
    }

    /// What git ignores may have changed: a folder that it names as a whole now may hold what it named
    /// one by one before.
    fn remove_dir(&self, dir: &GitPath) -> Result<(), SnapshotError> {
        if self.before.holds(dir) {
            return Ok(());
        }
        let path = checked(self.root.as_path(), dir)?;
        if self.before.reaches_into(dir) {
            return self.remove_within(dir, &path);
        }
        if holds_repository(&path) {
            return Ok(());
        }
        tolerant(std::fs::remove_dir_all(&path)).map_err(|error| problem(dir, &error))?;
        self.remove_empty_parents(dir);
        Ok(())
    }

    fn remove_within(&self, dir: &GitPath, path: &Path) -> Result<(), SnapshotError> {
        let entries = std::fs::read_dir(path).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let entries = entries.map_err(|error| problem(dir, &error))?;
        if entries.iter().any(|entry| entry.file_name().eq_ignore_ascii_case(".git")) {
            return Ok(());
        }
        for entry in entries {
            let name = entry.file_name().into_encoded_bytes();
            let inner = GitPath([dir.0.as_slice(), b"/", &name].concat());
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => self.remove_dir(&inner)?,
                Ok(_) => self.remove_file(&inner)?,
                Err(error) => return Err(problem(&inner, &error)),
            }
        }
        Ok(())
    }

    /// Git keeps no empty folders, so those that are empty now are new as well.
    fn remove_empty_parents(&self, path: &GitPath) {
        let prefix = self.prefix.as_path();
        let parents = path.as_path().ancestors().skip(1);
        for parent in parents.take_while(|parent| *parent != prefix && *parent != Path::new("")) {
            // One that is not empty stays, and so do those around it.
            if std::fs::remove_dir(self.root.as_path().join(parent)).is_err() {
                return;
            }
        }
    }
}

/// Whether there is a repository in a folder. One that cannot be looked into may hold one.
pub(super) fn holds_repository(folder: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return folder.symlink_metadata().is_ok();
    };
    entries.flatten().any(|entry| {
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        entry.file_name() == ".git" || (is_folder && holds_repository(&entry.path()))
    })
}

/// The path, if it is below the root and no link is on the way to it.
pub(super) fn checked(root: &Path, path: &GitPath) -> Result<std::path::PathBuf, SnapshotError> {
    let bad = || SnapshotError::BadRecord(format!("`{}` leads out of the work tree", path.shown()));
    let inside = path.inside().ok_or_else(bad)?;
    let mut at = root.to_owned();
    let parents = inside.parent().into_iter().flat_map(Path::components);
    for component in parents {
        at.push(component);
        if !at.symlink_metadata().is_ok_and(|facts| facts.is_dir()) {
            return Err(bad());
        }
    }
    Ok(root.join(inside))
}

/// What is gone already need not be removed.
fn tolerant(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

fn problem(path: &GitPath, error: &io::Error) -> SnapshotError {
    SnapshotError::Io(format!("`{}` cannot be removed: {error}", path.shown()))
}
