//! The file system, as far as logs are written to it: the seam at which tests make it fail.
//!
//! Reading does not pass here. What reads a log is checked by damaged bytes, not by failing calls.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

/// Every operation by which a [`FileStore`](super::FileStore) changes what is on disk.
///
/// [`LocalDisk`] is the real one. A test puts its own in front, to fail or to end the process at
/// the n-th operation. The operations block.
pub trait Disk: fmt::Debug + Send + Sync {
    /// Makes one folder, for its owner alone. One that is there already is an error of kind
    /// [`AlreadyExists`](io::ErrorKind::AlreadyExists).
    ///
    /// # Errors
    ///
    /// What the operating system says, here as below.
    fn make_folder(&self, path: &Path) -> io::Result<()>;

    /// Makes a file, for its owner alone. It must not be there yet.
    ///
    /// # Errors
    ///
    /// [`AlreadyExists`](io::ErrorKind::AlreadyExists), or what the operating system says.
    fn create(&self, path: &Path) -> io::Result<Box<dyn Medium>>;

    /// Opens a file that is there, to append to it.
    ///
    /// # Errors
    ///
    /// What the operating system says.
    fn open(&self, path: &Path) -> io::Result<Box<dyn Medium>>;

    /// Gives a file another name, in the place of what has it.
    ///
    /// # Errors
    ///
    /// What the operating system says.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    ///
    /// What the operating system says.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a folder durable. Where the operating system has no such call, as on
    /// Windows, nothing happens.
    ///
    /// # Errors
    ///
    /// What the operating system says.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;
}

/// A file that is open for appending.
pub trait Medium: fmt::Debug + Send {
    /// Appends the beginning of `bytes`, and returns how much of it.
    ///
    /// # Errors
    ///
    /// What the operating system says; [`Interrupted`](io::ErrorKind::Interrupted) is tried again.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// Makes everything that was written durable, and the length with it.
    ///
    /// # Errors
    ///
    /// What the operating system says. A medium that failed here is never used again.
    fn sync(&mut self) -> io::Result<()>;

    /// Cuts the file to its first `length` bytes.
    ///
    /// # Errors
    ///
    /// What the operating system says.
    fn truncate(&mut self, length: u64) -> io::Result<()>;

    /// Which file this is, and how long.
    ///
    /// # Errors
    ///
    /// What the operating system says.
    fn identity(&self) -> io::Result<Identity>;
}

/// Which file it is, and its length in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// Device and inode; zeros where the operating system does not tell.
    file: (u64, u64),
    /// The length in bytes.
    pub length: u64,
}

impl Identity {
    /// Of what is described by `metadata`.
    pub fn of(metadata: &fs::Metadata) -> Self {
        #[cfg(unix)]
        let file = {
            use std::os::unix::fs::MetadataExt;
            (metadata.dev(), metadata.ino())
        };
        #[cfg(not(unix))]
        let file = (0, 0);
        Self { file, length: metadata.len() }
    }

    /// Whether both are of one file, however long.
    pub fn is_same_file(&self, other: &Self) -> bool {
        self.file == other.file
    }
}

/// The file systems of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct LocalDisk;

impl Disk for LocalDisk {
    fn make_folder(&self, path: &Path) -> io::Result<()> {
        #[allow(unused_mut, reason = "on Unix alone a mode is set")]
        let mut builder = fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(path)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn Medium>> {
        let file = private(OpenOptions::new().append(true).create_new(true)).open(path)?;
        Ok(Box::new(file))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn Medium>> {
        Ok(Box::new(OpenOptions::new().append(true).open(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        #[cfg(unix)]
        File::open(path)?.sync_all()?;
        #[cfg(not(unix))]
        let _ = path;
        Ok(())
    }
}

impl Medium for File {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Write::write(self, bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn identity(&self) -> io::Result<Identity> {
        Ok(Identity::of(&self.metadata()?))
    }
}

/// What is made with these options is for its owner alone.
pub(super) fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

/// Appends all of `bytes`, over short and interrupted writes.
pub(super) fn write_all(medium: &mut dyn Medium, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match medium.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
