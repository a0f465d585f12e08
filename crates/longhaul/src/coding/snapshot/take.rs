//! Taking a snapshot.

use std::path::{Path, PathBuf};

use super::git::Git;
use super::path::GitPath;
use super::status::Untracked;
use super::{GhostCommit, SnapshotError, nested};

pub(super) async fn take(cwd: &Path) -> Result<GhostCommit, SnapshotError> {
    let git = Git::at(cwd);
    let prefix = prefix(&git, cwd).await?;
    let parent = git.try_line(&["rev-parse", "--verify", "--quiet", "HEAD^{commit}"]).await?;
    let untracked = Untracked::of(&git).await?;
    let scratch = Scratch::new()?;
    let theirs = git.with_index(&scratch.index(&git, cwd).await?);
    let index = theirs.try_line(&["write-tree"]).await?;
    theirs.run(&["add", "--all", "--", "."]).await?;
    let tree = theirs.line(&["write-tree"]).await?;
    let root = root(&git).await?;
    let mut commit = vec!["commit-tree", tree.as_str(), "-m", "longhaul snapshot"];
    if let Some(parent) = &parent {
        commit.extend(["-p", parent]);
    }
    Ok(GhostCommit {
        id: git.line(&commit).await?,
        parent,
        preexisting_untracked_files: Some(untracked.files.into_iter().collect()),
        preexisting_untracked_dirs: Some(untracked.dirs.into_iter().collect()),
        repositories: nested::folders(&git, &tree, &root).await?,
        root: Some(root),
        prefix: Some(prefix),
        index,
    })
}

/// The root of the work tree.
pub(super) async fn root(git: &Git<'_>) -> Result<GitPath, SnapshotError> {
    git.path(&["rev-parse", "--show-toplevel"]).await
}

/// Where the folder is in its work tree.
pub(super) async fn prefix(git: &Git<'_>, cwd: &Path) -> Result<GitPath, SnapshotError> {
    let inside = git.try_line(&["rev-parse", "--is-inside-work-tree"]).await?;
    if inside.as_deref() != Some("true") {
        return Err(SnapshotError::NotARepository(cwd.to_owned()));
    }
    git.path(&["rev-parse", "--show-prefix"]).await
}

/// A folder for an index, removed in the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Self, SnapshotError> {
        let path = std::env::temp_dir().join(format!("longhaul-{}", uuid::Uuid::now_v7()));
        std::fs::create_dir(&path)
            .map_err(|error| SnapshotError::Io(format!("{}: {error}", path.display())))?;
        Ok(Self(path))
    }

    /// A copy of the repository's index: what it knows of unchanged files need not be found out again.
    async fn index(&self, git: &Git<'_>, cwd: &Path) -> Result<PathBuf, SnapshotError> {
        let copy = self.0.join("index");
        let theirs = git.path(&["rev-parse", "--git-path", "index"]).await?;
        let theirs = cwd.join(theirs.as_path());
        let (from, to) = (theirs.clone(), copy.clone());
        let copying = tokio::task::spawn_blocking(move || std::fs::copy(from, to));
        match copying.await.unwrap_or_else(|error| Err(std::io::Error::other(error))) {
            Ok(_) => Ok(copy),
            // Nothing was ever added.
            Err(error)
                if error.kind() == std::io::ErrorKind::NotFound
                    && git.run(&["ls-files", "-z"]).await?.is_empty() =>
            {
                Ok(copy)
            }
            Err(error) => Err(SnapshotError::Io(format!("{}: {error}", theirs.display()))),
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A folder for temporary files is cleaned by others, too.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
