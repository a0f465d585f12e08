//! Repositories of others where a snapshot has files.

use super::clean::{checked, holds_repository};
use super::git::Git;
use super::path::GitPath;
use super::{GhostCommit, SnapshotError};

/// The folders of a tree that are repositories of others, as the work tree is now.
pub(super) async fn folders(
    git: &Git<'_>,
    tree: &str,
    root: &GitPath,
) -> Result<Vec<GitPath>, SnapshotError> {
    within(git.run(&list("-d", tree)).await?, root).await
}

/// Refuses where git would remove a repository that was not there, or write into it.
pub(super) async fn check(
    git: &Git<'_>,
    commit: &GhostCommit,
    root: &GitPath,
) -> Result<(), SnapshotError> {
    let found = within(git.run(&list("-t", &commit.id)).await?, root).await?;
    match found.iter().find(|path| !commit.repositories.contains(path)) {
        Some(path) => Err(SnapshotError::Repository(path.shown())),
        None => Ok(()),
    }
}

fn list<'a>(what: &'a str, tree: &'a str) -> [&'a str; 8] {
    ["ls-tree", "-r", what, "-z", "--full-name", tree, "--", "."]
}

/// Those of the entries of a tree where repositories are. A repository that the tree itself names is
/// none: git leaves it alone.
async fn within(tree: Vec<u8>, root: &GitPath) -> Result<Vec<GitPath>, SnapshotError> {
    let root = root.clone();
    let looking = tokio::task::spawn_blocking(move || {
        let entries = tree.split(|byte| *byte == 0).filter_map(entry);
        let found = entries.filter(|(kind, path)| is_repository(&root, kind, path));
        found.map(|(_, path)| path).collect()
    });
    looking.await.map_err(|error| SnapshotError::Io(error.to_string()))
}

/// The kind and the path in `<mode> <kind> <object>\t<path>`.
fn entry(line: &[u8]) -> Option<(Vec<u8>, GitPath)> {
    let tab = line.iter().position(|byte| *byte == b'\t')?;
    let kind = line[..tab].split(|byte| *byte == b' ').nth(1)?;
    Some((kind.to_owned(), GitPath(line[tab + 1..].to_owned())))
}

fn is_repository(root: &GitPath, kind: &[u8], path: &GitPath) -> bool {
    let at = root.as_path().join(path.as_path());
    // What is behind a link is elsewhere.
    if !at.symlink_metadata().is_ok_and(|facts| facts.is_dir())
        || checked(root.as_path(), path).is_err()
    {
        return false;
    }
    match kind {
        b"tree" => at.join(".git").symlink_metadata().is_ok(),
        b"blob" => holds_repository(&at),
        _ => false,
    }
}
