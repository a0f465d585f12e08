//! Removing what is new.

use std::io;
use std::path::Path;

use super::SnapshotError;
use super::path::GitPath;

/// What is new in a folder of a work tree.
pub(super) struct New {
    /// The root of the work tree.
    pub(super) root: GitPath,
    /// The folder, which stays itself.
    pub(super) prefix: GitPath,
    pub(super) files: Vec<GitPath>,
    /// Whole folders.
    pub(super) dirs: Vec<GitPath>,
}

impl New {
    /// Removes it. Links are removed, never followed; what holds repositories of others stays.
    pub(super) fn remove(&self) -> Result<(), SnapshotError> {
        let root = self.root.as_path();
        for file in &self.files {
            let path = checked(root, file)?;
            tolerant(std::fs::remove_file(&path)).map_err(|error| problem(file, &error))?;
            self.remove_empty_parents(file);
        }
        for dir in &self.dirs {
            let path = checked(root, dir)?;
            if holds_repository(&path) {
                continue;
            }
            tolerant(std::fs::remove_dir_all(&path)).map_err(|error| problem(dir, &error))?;
            self.remove_empty_parents(dir);
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
fn holds_repository(folder: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return folder.symlink_metadata().is_ok();
    };
    entries.flatten().any(|entry| {
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        entry.file_name() == ".git" || (is_folder && holds_repository(&entry.path()))
    })
}

/// The path, if it is below the root and no link is on the way to it.
fn checked(root: &Path, path: &GitPath) -> Result<std::path::PathBuf, SnapshotError> {
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
