//! Removing what is new.

use std::io;
use std::path::Path;

use super::SnapshotError;
use super::path::GitPath;

/// Removes files and whole folders below `root`. Links are removed, never followed; repositories of
/// others stay.
pub(super) fn remove(
    root: &Path,
    files: &[GitPath],
    dirs: &[GitPath],
) -> Result<(), SnapshotError> {
    for file in files {
        let path = checked(root, file)?;
        tolerant(std::fs::remove_file(&path)).map_err(|error| problem(file, &error))?;
        remove_empty_parents(root, &path);
    }
    for dir in dirs {
        let path = checked(root, dir)?;
        if path.join(".git").symlink_metadata().is_ok() {
            continue;
        }
        tolerant(std::fs::remove_dir_all(&path)).map_err(|error| problem(dir, &error))?;
        remove_empty_parents(root, &path);
    }
    Ok(())
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

/// Git keeps no empty folders, so those that are empty now are new as well.
fn remove_empty_parents(root: &Path, path: &Path) {
    let parents = path.ancestors().skip(1).take_while(|parent| *parent != root);
    for parent in parents {
        // One that is not empty stays, and so do those around it.
        if std::fs::remove_dir(parent).is_err() {
            return;
        }
    }
}
