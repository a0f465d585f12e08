//! Why a snapshot could not be taken or restored.

use std::path::PathBuf;
use std::time::Duration;

/// Why a snapshot could not be taken or restored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// There is no git. Install it, or do without snapshots.
    #[error("git is not installed, or not in PATH")]
    NoGit,
    /// The folder is in no work tree of git. Make it one, or do without snapshots.
    #[error("{0} is in no git work tree")]
    NotARepository(PathBuf),
    /// The folder is not there.
    #[error("the folder {0} does not exist")]
    NoFolder(PathBuf),
    /// The snapshot is of another folder. Undo from there.
    #[error("the snapshot is of the folder `{of}` of the work tree, not of `{here}`")]
    OtherFolder {
        /// The folder that it is of.
        of: String,
        /// The folder that is to be put back.
        here: String,
    },
    /// The record of the snapshot is not one that was taken here: it may have been made up.
    #[error("the snapshot's record is not to be trusted: {0}")]
    BadRecord(String),
    /// Git has collected the snapshot, or never had it.
    #[error("the repository does not have the snapshot {0} any more")]
    Gone(String),
    /// Where the snapshot has a file or a folder, there is a repository of others now. Nothing was
    /// changed. Move it away, then undo again.
    #[error("`{0}` holds a repository of its own now: move it away, then undo again")]
    Repository(String),
    /// Git said no. Its words tell what to do.
    #[error("`git {command}` failed: {stderr}")]
    Git {
        /// What it was to do.
        command: String,
        /// What it said, its end at most.
        stderr: String,
    },
    /// Git took too long and was stopped.
    #[error("git did not end within {} s", limit.as_secs())]
    TimedOut {
        /// How long it may take.
        limit: Duration,
    },
    /// A file could not be written or removed.
    #[error("{0}")]
    Io(String),
}
