//! Going back to a snapshot.

use std::path::Path;

use super::git::Git;
use super::path::GitPath;
use super::status::Untracked;
use super::{GhostCommit, SnapshotError, clean, nested, take};

pub(super) async fn restore(commit: &GhostCommit, cwd: &Path) -> Result<(), SnapshotError> {
    for id in [Some(&commit.id), commit.index.as_ref()].into_iter().flatten() {
        check_id(id)?;
    }
    let git = Git::at(cwd);
    let prefix = take::prefix(&git, cwd).await?;
    if let Some(of) = commit.prefix.as_ref().filter(|of| **of != prefix) {
        return Err(SnapshotError::OtherFolder { of: of.shown(), here: prefix.shown() });
    }
    let here = take::root(&git).await?;
    if let Some(of) = commit.root.as_ref().filter(|of| **of != here) {
        return Err(SnapshotError::OtherFolder { of: of.shown(), here: here.shown() });
    }
    let names_it = format!("{}^{{commit}}", commit.id);
    if git.try_line(&["cat-file", "-e", &names_it]).await?.is_none() {
        return Err(SnapshotError::Gone(commit.id.clone()));
    }
    nested::check(&git, commit, &here).await?;
    // The index comes first, so that git removes nothing: what was ignored and is tracked by now would
    // go otherwise.
    restore_from(&git, &commit.id, "--staged").await?;
    let restored = restore_files(&git, commit).await;
    let index = restore_index(&git, commit).await;
    let now = restored?;
    index?;
    let Some(before) = before(commit) else {
        return Ok(());
    };
    let new = clean::New { root: here, prefix, now, before };
    // Together, so that no interrupt leaves half of it.
    let cleaning = tokio::task::spawn_blocking(move || new.remove());
    cleaning.await.unwrap_or_else(|error| Err(SnapshotError::Io(error.to_string())))
}

/// What git did not track when the snapshot was taken, if the record says so.
fn before(commit: &GhostCommit) -> Option<Untracked> {
    let files = commit.preexisting_untracked_files.as_ref()?;
    let dirs = commit.preexisting_untracked_dirs.as_ref()?;
    Some(Untracked {
        files: files.iter().cloned().collect(),
        dirs: dirs.iter().map(without_slash).collect(),
    })
}

/// Puts the files of the snapshot in place, and says what is left: what the snapshot holds is tracked
/// meanwhile, and the rest is not.
async fn restore_files(git: &Git<'_>, commit: &GhostCommit) -> Result<Untracked, SnapshotError> {
    restore_from(git, &commit.id, "--worktree").await?;
    Untracked::of(git).await
}

/// Puts the index back: what was not tracked is not tracked again.
async fn restore_index(git: &Git<'_>, commit: &GhostCommit) -> Result<(), SnapshotError> {
    if let Some(tree) = &commit.index {
        return restore_from(git, tree, "--staged").await;
    }
    match git.try_line(&["rev-parse", "--verify", "--quiet", "HEAD^{tree}"]).await? {
        Some(head) => restore_from(git, &head, "--staged").await,
        None => Ok(()),
    }
}

async fn restore_from(git: &Git<'_>, source: &str, what: &str) -> Result<(), SnapshotError> {
    let is_there = !git.run(&["ls-tree", "-z", "--name-only", source, "--", "."]).await?.is_empty();
    let is_tracked = !git.run(&["ls-files", "-z", "--", "."]).await?.is_empty();
    // Git wants a path to match something.
    if is_there || is_tracked {
        let source = format!("--source={source}");
        git.run(&["restore", &source, what, "--", "."]).await?;
    }
    Ok(())
}

/// An id is not an option, and not the name of something else.
fn check_id(id: &str) -> Result<(), SnapshotError> {
    let is_id = matches!(id.len(), 40 | 64) && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_id.then_some(()).ok_or_else(|| SnapshotError::BadRecord(format!("`{id}` is no object id")))
}

fn without_slash(path: &GitPath) -> GitPath {
    GitPath(path.0.strip_suffix(b"/").unwrap_or(&path.0).to_vec())
}
