//! A folder for what a benchmark writes.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A folder of this process's own, deleted with everything in it.
pub struct Folder(PathBuf);

impl Folder {
    /// A new folder under `parent`, which is on the disk that is measured.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn new(parent: impl AsRef<Path>, name: &str) -> io::Result<Self> {
        let path = parent.as_ref().join(format!("{name}-{}", std::process::id()));
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
