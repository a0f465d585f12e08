//! Why a store did not do what it was asked.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::{Damage, ReadError};

/// Why a store did not do what it was asked. The message says what to do about it.
///
/// Paths stand in it as they are; the words of a conversation do not, but for the excerpt of a
/// damaged line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Somebody has the log open for writing. Nothing was changed.
    #[error("the log {path} is open for writing {holder}: close it there, or end that process")]
    Locked {
        /// The log, or the session's id where logs have no path.
        path: String,
        /// Who has it.
        holder: Holder,
    },
    /// There is no such log.
    #[error("there is no log `{which}`: take a path or an id from the list")]
    NotFound {
        /// What was asked for: a path or an id.
        which: String,
    },
    /// There is a log of this session already. It was not touched.
    #[error("the session has the log {path} already: open it, or take another id")]
    Exists {
        /// The log that is there.
        path: String,
    },
    /// What was given is no log that this store can start or go on with: the caller's mistake.
    #[error("a log cannot be started: {problem}")]
    BadStart {
        /// What is wrong with it.
        problem: String,
    },
    /// The cursor is not one that this store gave: the caller's mistake.
    #[error("`{cursor}` is not a cursor of this list: start again without one")]
    BadCursor {
        /// Its beginning.
        cursor: String,
    },
    /// The log was written by another program, whose format is only read.
    #[error("the log {path} was written by another program: import it to go on with it")]
    Foreign {
        /// The log.
        path: String,
    },
    /// The log is damaged, and the caller did not ask for salvage. Nothing was changed.
    #[error(
        "the log {path} is damaged: {damage}; salvage leaves the damaged lines out and goes on in \
         a new file"
    )]
    Damaged {
        /// The log.
        path: String,
        /// The first damage.
        damage: Box<Damage>,
    },
    /// The log cannot be read at all.
    #[error("the log {path} cannot be read: {source}")]
    Unreadable {
        /// The log.
        path: String,
        /// Why.
        source: ReadError,
    },
    /// Another process changed the file under the writer. Nothing more is acknowledged by it.
    #[error(
        "the log {path} was {what} by another process: shut this session down, and open it again to \
         see what is left"
    )]
    Disturbed {
        /// The log.
        path: String,
        /// `removed`, `replaced`, `cut` or `written to`.
        what: &'static str,
    },
    /// The lock of this writer had run out, and somebody else has opened the log since. Nothing was
    /// changed, and this writer appends nothing any more.
    #[error(
        "the log {path} was taken over: this is its writer of epoch {epoch}, and there is one of \
         epoch {newest}; open it again, when that is closed"
    )]
    Superseded {
        /// The log, or the session's id where logs have no path.
        path: String,
        /// The epoch of this writer.
        epoch: u64,
        /// The newest epoch.
        newest: u64,
    },
    /// The disk, a quota or a limit of file sizes is full. The log is as it was before; the same
    /// records may be appended again when there is space.
    #[error("no space for {path}: {source}; make space and try again")]
    NoSpace {
        /// The file that was to grow.
        path: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// The file or its folder may not be read or written to, by this user or by anybody.
    #[error("{operation} {path} is not permitted: {source}; check its owner and mode")]
    ReadOnly {
        /// The file or folder.
        path: String,
        /// What was tried.
        operation: &'static str,
        /// What the operating system said.
        source: io::Error,
    },
    /// The operating system refused anything else. The message of a source that it did not give says
    /// itself what to do.
    #[error("{operation} {path} failed: {source}{}", remedy(source))]
    Io {
        /// The file or folder.
        path: String,
        /// What was tried.
        operation: &'static str,
        /// What the operating system said.
        source: io::Error,
    },
    /// A failure leaves it open what is on disk, as one of a sync does, also where the disk was only
    /// full. Nothing of the append was acknowledged, and this writer acknowledges nothing any more:
    /// later calls are [`Poisoned`](Self::Poisoned).
    #[error(
        "{operation} {path} failed: {source}; what of it is on disk is not known, so that nothing more \
         is written to the log: see to the disk, shut this session down, and open it again"
    )]
    Unsettled {
        /// The log, or the folder of a file that it names.
        path: String,
        /// What was tried.
        operation: &'static str,
        /// What the operating system said.
        source: io::Error,
    },
    /// A record's line would be longer than one that is read. Nothing was appended, and the writer goes
    /// on without it: the caller's mistake.
    #[error(
        "a record for the log {path} has {bytes} bytes, more than the {max} of a line: give it in parts"
    )]
    TooLong {
        /// The log.
        path: String,
        /// The length of its line.
        bytes: u64,
        /// The longest that a line may be.
        max: u64,
    },
    /// An earlier failure left it open what is on disk. This writer acknowledges nothing any more.
    #[error(
        "the log {path} is not written to any more, since {cause}: shut this session down, and open it \
         again"
    )]
    Poisoned {
        /// The log.
        path: String,
        /// The earlier failure.
        cause: String,
    },
}

/// Who has a log open.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Holder {
    /// The process, by the number that its own system gave it; `None` if it did not say.
    pub pid: Option<u32>,
    /// The host that it runs on, as far as it knows its name.
    pub host: Option<String>,
    /// Since when, in UTC.
    pub since: Option<jiff::Timestamp>,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(pid) = self.pid else { return f.write_str("elsewhere") };
        let own = if pid == std::process::id() { " (this one)" } else { "" };
        write!(f, "by process {pid}{own}")?;
        if let Some(host) = &self.host {
            write!(f, " on {host}")?;
        }
        self.since.map_or(Ok(()), |since| write!(f, " since {since:.0}"))
    }
}

impl StoreError {
    /// Whether the log is as it was and the same call may do better later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Locked { .. } | Self::NoSpace { .. })
    }

    /// Sorts what the operating system said into variants.
    pub(crate) fn io(operation: &'static str, path: &Path, source: io::Error) -> Self {
        use io::ErrorKind as Kind;
        let path = shown(path);
        match source.kind() {
            Kind::StorageFull | Kind::QuotaExceeded | Kind::FileTooLarge => {
                Self::NoSpace { path, source }
            }
            Kind::ReadOnlyFilesystem | Kind::PermissionDenied => {
                Self::ReadOnly { path, operation, source }
            }
            _ => Self::Io { path, operation, source },
        }
    }

    /// What reading a log ended with.
    pub(crate) fn read(log: &Path, error: ReadError) -> Self {
        let path = shown(log);
        match error {
            ReadError::Damaged(damage) => Self::Damaged { path, damage: Box::new(damage) },
            ReadError::Io(source) => Self::unread(log, source),
            source => Self::Unreadable { path, source },
        }
    }

    /// That the log, or a blob of it, could not be read.
    fn unread(log: &Path, source: io::Error) -> Self {
        match source.downcast::<UnreadBlob>() {
            Ok(blob) => Self::io("reading the blob", &blob.path, blob.source),
            Err(source) => Self::io("reading", log, source),
        }
    }

    /// A failure of the disk that ends the writer of a log.
    pub(crate) fn unsettled(operation: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Unsettled { path: shown(path), operation, source }
    }

    /// The same failure, if it ends the writer of a log.
    pub(crate) fn at_its_end(self) -> Self {
        match self {
            Self::Io { path, operation, source } | Self::ReadOnly { path, operation, source } => {
                Self::Unsettled { path, operation, source }
            }
            error => error,
        }
    }

    /// What happened, without what to do about it.
    pub(crate) fn cause(&self) -> String {
        match self {
            Self::Unsettled { path, operation, source, .. } => {
                format!("{operation} {path} failed: {source}")
            }
            Self::Disturbed { what, .. } => format!("it was {what} by another process"),
            error => error.to_string(),
        }
    }
}

/// A blob that is there and could not be read.
#[derive(Debug, thiserror::Error)]
#[error("the blob {}: {source}", shown(path))]
pub(crate) struct UnreadBlob {
    pub(crate) path: PathBuf,
    pub(crate) source: io::Error,
}

impl From<UnreadBlob> for io::Error {
    fn from(error: UnreadBlob) -> Self {
        Self::new(error.source.kind(), error)
    }
}

/// What to do about a failure that the operating system tells of.
fn remedy(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::Other => "",
        _ => "; see that the disk and the folder are there and sound, and try again",
    }
}

/// A path fit for a message.
pub(crate) fn shown(path: &Path) -> String {
    path.display().to_string().replace(char::is_control, "\u{fffd}")
}

/// `path` with `suffix` behind its name.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
