//! The file of the login: read with distrust, replaced as a whole.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::error::{LoginError, shown};
use super::file::Stored;
use super::platform::{self, Open, Seen};

/// A larger file is no login.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// Where a login is kept. The lock file lies beside it and is never deleted; the next version of
/// the login is written beside it too, by the holder of the lock.
#[derive(Debug, Clone)]
pub(super) struct Store {
    path: PathBuf,
}

impl Store {
    pub(super) fn at(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn lock_path(&self) -> PathBuf {
        self.beside(".lock")
    }

    fn beside(&self, suffix: &str) -> PathBuf {
        let mut path = self.path.clone().into_os_string();
        path.push(suffix);
        path.into()
    }

    /// Which version of the file is there now; `None` if there is none.
    pub(super) fn seen(&self) -> Option<Seen> {
        self.path.symlink_metadata().ok().map(|metadata| Seen::of(&metadata))
    }

    /// Reads the file, if it can be trusted. It is not changed.
    pub(super) fn read(&self) -> Result<(Stored, Seen), LoginError> {
        let refuse = |problem: String| LoginError::file(&self.path, problem);
        let file = open_trusted(&self.path, Open::Read)?;
        let metadata = file.metadata().map_err(|e| LoginError::io(&self.path, "read", e))?;
        if metadata.len() > MAX_FILE_BYTES {
            return Err(refuse(format!("it is larger than {MAX_FILE_BYTES} bytes")));
        }
        let capacity = usize::try_from(metadata.len()).unwrap_or_default() + 1;
        let mut document = Zeroizing::new(Vec::with_capacity(capacity));
        file.take(MAX_FILE_BYTES)
            .read_to_end(&mut document)
            .map_err(|e| LoginError::io(&self.path, "read", e))?;
        let stored = Stored::parse(document).map_err(refuse)?;
        Ok((stored, Seen::of(&metadata)))
    }

    /// Puts `document` in the place of the file: at any time either the old or the new one is
    /// there as a whole. The caller holds the lock.
    pub(super) fn replace(&self, document: &[u8]) -> Result<Seen, LoginError> {
        self.try_replace(document).map_err(|e| LoginError::io(&self.path, "written", e))
    }

    fn try_replace(&self, document: &[u8]) -> io::Result<Seen> {
        let next = self.beside(".new");
        let written = write_new(&next, document).and_then(|metadata| {
            fs::rename(&next, &self.path)?;
            Ok(metadata)
        });
        if written.is_err() {
            // What is left of it holds tokens; the next writer removes it otherwise.
            let _ = fs::remove_file(&next);
        }
        let metadata = written?;
        // The file is in place; that a power failure might undo it is no reason to fail.
        if let Err(error) = platform::sync_folder(self.folder()) {
            tracing::warn!(path = %shown(&self.path), %error, "the folder of the login could not be synced");
        }
        // A rename changes what `Seen` holds. If it is another's file by now, that is to be noticed.
        let written = Seen::of(&metadata);
        Ok(self.seen().filter(|seen| seen.is_of(&written)).unwrap_or(written))
    }

    /// Whether there is neither the file nor what a dead process may have left of the next one.
    pub(super) fn is_absent(&self) -> bool {
        self.seen().is_none() && fs::symlink_metadata(self.beside(".new")).is_err()
    }

    /// Deletes the file; false if there was none. The caller holds the lock.
    pub(super) fn remove(&self) -> Result<bool, LoginError> {
        // One that a dead process left holds tokens, too.
        let _ = fs::remove_file(self.beside(".new"));
        match fs::remove_file(&self.path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(LoginError::io(&self.path, "deleted", error)),
        }
    }

    fn folder(&self) -> &Path {
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        folder.unwrap_or(Path::new("."))
    }
}

/// Opens a file of the login, unless it is one that cannot be trusted.
pub(super) fn open_trusted(path: &Path, how: Open) -> Result<File, LoginError> {
    let file = platform::open(path, how).map_err(|error| match error.kind() {
        _ if platform::is_link(path) => {
            LoginError::file(path, "it is a symbolic link; give the path of the file itself")
        }
        io::ErrorKind::NotFound if matches!(how, Open::Read) => {
            LoginError::NotSignedIn { path: shown(path) }
        }
        _ => LoginError::io(path, if matches!(how, Open::Read) { "read" } else { "locked" }, error),
    })?;
    let metadata = file.metadata().map_err(|e| LoginError::io(path, "read", e))?;
    match platform::distrust(&shown(path), &metadata) {
        Some(problem) => Err(LoginError::file(path, problem)),
        None => Ok(file),
    }
}

fn write_new(path: &Path, document: &[u8]) -> io::Result<fs::Metadata> {
    // One that a dead process left.
    if let Err(error) = fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(error);
    }
    let mut file = platform::open(path, Open::New)?;
    file.write_all(document)?;
    file.sync_all()?;
    file.metadata()
}
