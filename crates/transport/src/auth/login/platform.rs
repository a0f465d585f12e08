//! What differs between operating systems: how files are opened, whose they are, and their locks.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::path::Path;

/// Tells one version of a file from the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    file: (u64, u64),
    changed: (i64, i64),
    modified: Option<std::time::SystemTime>,
    length: u64,
}

impl Seen {
    pub(super) fn of(metadata: &Metadata) -> Self {
        let modified = metadata.modified().ok();
        let length = metadata.len();
        #[cfg(unix)]
        let (file, changed) = {
            use std::os::unix::fs::MetadataExt;
            let file = (metadata.dev(), metadata.ino());
            (file, (metadata.ctime(), metadata.ctime_nsec()))
        };
        #[cfg(not(unix))]
        let (file, changed) = ((0, 0), (0, 0));
        Self { file, changed, modified, length }
    }

    /// Whether both are versions of one file.
    pub(super) fn is_of(&self, other: &Self) -> bool {
        self.file == other.file
    }
}

/// How a file is opened.
#[derive(Clone, Copy)]
pub(super) enum Open {
    Read,
    /// To read and write, made if it is not there.
    Lock,
    /// To write; it must not be there yet.
    New,
}

/// Opens without following a symbolic link at the end of `path`, and without waiting for a pipe.
/// What is made is for its owner alone.
pub(super) fn open(path: &Path, how: Open) -> io::Result<File> {
    let mut options = OpenOptions::new();
    match how {
        Open::Read => options.read(true),
        Open::Lock => options.read(true).write(true).create(true).truncate(false),
        Open::New => options.write(true).create_new(true),
    };
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;

        use rustix::fs::OFlags;
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        options.mode(0o600).custom_flags(flags.bits().cast_signed());
    }
    options.open(path)
}

/// What keeps an open file from being trusted, with the cure; `None` if nothing does.
///
/// Owner and mode are checked on Unix alone: elsewhere the folder of the user protects the file.
pub(super) fn distrust(path: &str, metadata: &Metadata) -> Option<String> {
    if !metadata.is_file() {
        return Some("it is no regular file; move it away and sign in again".into());
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        if metadata.uid() != rustix::process::geteuid().as_raw() {
            return Some("it belongs to another user; move it away and sign in again".into());
        }
        let mode = metadata.mode() & 0o777;
        if mode & 0o077 != 0 {
            return Some(format!("others may open it (mode {mode:03o}); run `chmod 600 {path}`"));
        }
    }
    #[cfg(not(unix))]
    let _ = path;
    None
}

/// Whether opening failed because the path ends in a symbolic link.
pub(super) fn is_link(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|metadata| metadata.file_type().is_symlink())
}

/// Makes a rename in `folder` durable.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    #[cfg(unix)]
    File::open(folder)?.sync_all()?;
    #[cfg(not(unix))]
    let _ = folder;
    Ok(())
}

/// Takes the kernel's lock of an open file; false if another holds it. It is free again when the
/// file is closed, also by the death of the process.
#[cfg(any(unix, windows))]
pub(super) fn try_lock(file: &File) -> io::Result<bool> {
    match fs4::FileExt::try_lock(file) {
        Ok(()) => Ok(true),
        Err(error) => match io::Error::from(error) {
            error if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            error if error.kind() == io::ErrorKind::Interrupted => Ok(false),
            error => Err(error),
        },
    }
}

#[cfg(not(any(unix, windows)))]
pub(super) fn try_lock(_: &File) -> io::Result<bool> {
    Err(io::ErrorKind::Unsupported.into())
}
