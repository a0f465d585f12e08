//! Snapshots of a git work tree, by the system's git.
//!
//! A snapshot is a commit that no ref names: it holds the files of a folder as they are, those that
//! git does not track included, but not those that it ignores. Taking one changes neither files nor
//! index, refs or stashes.

mod clean;
mod error;
mod git;
mod nested;
mod path;
mod restore;
mod status;
mod take;
#[cfg(test)]
#[cfg(unix)]
mod tests;

use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use error::SnapshotError;
use path::GitPath;

/// Taking a snapshot may take this long, and each run of git while one is put back.
const LIMIT: Duration = Duration::from_secs(60);

/// A snapshot of a folder in a git work tree.
///
/// It keeps the names of what git did not track, so that going back removes what is new and nothing
/// else: a name for each untracked file, and one for each ignored file or folder. Repositories of
/// others within the folder are left alone. The commit is kept by git as long as its garbage
/// collection keeps what no ref names: two weeks by default.
///
/// As JSON it has the form of the `ghost_commit` of codex sessions, with four fields more; a name that
/// is not UTF-8 is `{"base64": …}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GhostCommit {
    id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    parent: Option<String>,
    /// Without these lists nobody knows what is new, and nothing is removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    preexisting_untracked_files: Option<Vec<GitPath>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    preexisting_untracked_dirs: Option<Vec<GitPath>>,
    /// The root of the work tree: another of the same repository is not this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    root: Option<GitPath>,
    /// The folder, from the root of the work tree; `None` in sessions of others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    prefix: Option<GitPath>,
    /// The tree of the index, if it could be written: one in the middle of a merge cannot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    index: Option<String>,
    /// Folders of the snapshot that were repositories of others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    repositories: Vec<GitPath>,
}

impl GhostCommit {
    /// Takes a snapshot of the folder `cwd` and what is below it.
    ///
    /// # Errors
    ///
    /// [`SnapshotError`]; nothing has changed then.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future stops git and leaves nothing but objects that git collects later.
    pub async fn take(cwd: &Path) -> Result<Self, SnapshotError> {
        let taken = tokio::time::timeout(LIMIT, take::take(cwd)).await;
        taken.unwrap_or(Err(SnapshotError::TimedOut { limit: LIMIT }))
    }

    /// Puts the folder `cwd` back as it was: first git restores files and index, then what is new is
    /// removed. What fails removes nothing, and the index goes back also if the files cannot.
    ///
    /// # Errors
    ///
    /// [`SnapshotError`].
    ///
    /// # Cancel safety
    ///
    /// Not to be dropped: git that is killed may leave its lock behind. Run it in a task of its own.
    pub async fn restore(&self, cwd: &Path) -> Result<(), SnapshotError> {
        restore::restore(self, cwd).await
    }

    /// The commit.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its first seven digits.
    pub fn short_id(&self) -> &str {
        self.id.get(..7).unwrap_or(&self.id)
    }
}
