//! What git does not track.

use std::collections::BTreeSet;

use super::SnapshotError;
use super::git::Git;
use super::path::GitPath;

/// The names of what git does not track in a folder, from the root of the work tree.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Untracked {
    pub(super) files: BTreeSet<GitPath>,
    /// Ignored folders and repositories of others, each as a whole; without a slash at the end.
    pub(super) dirs: BTreeSet<GitPath>,
}

impl Untracked {
    pub(super) async fn of(git: &Git<'_>) -> Result<Self, SnapshotError> {
        let status = [
            "status",
            "--porcelain=2",
            "-z",
            "--ignored=matching",
            "--untracked-files=all",
            "--",
            ".",
        ];
        Ok(Self::parse(&git.run(&status).await?))
    }

    /// Reads the second form of git's status, entries ended by NUL.
    fn parse(status: &[u8]) -> Self {
        let mut untracked = Self::default();
        let mut entries = status.split(|byte| *byte == 0);
        while let Some(entry) = entries.next() {
            match entry {
                [b'?' | b'!', b' ', dir @ .., b'/'] => {
                    untracked.dirs.insert(GitPath(dir.to_vec()));
                }
                [b'?' | b'!', b' ', file @ ..] => {
                    untracked.files.insert(GitPath(file.to_vec()));
                }
                // A rename has its old name in an entry of its own.
                [b'2', b' ', ..] => drop(entries.next()),
                _ => {}
            }
        }
        untracked
    }

    /// Whether the name is one of these, or below one of these folders.
    pub(super) fn holds(&self, path: &GitPath) -> bool {
        self.files.contains(path)
            || self.dirs.contains(path)
            || path.0.iter().enumerate().any(|(index, byte)| {
                *byte == b'/' && self.dirs.contains(&GitPath(path.0[..index].to_vec()))
            })
    }

    /// Whether any of these is below the folder.
    pub(super) fn reaches_into(&self, folder: &GitPath) -> bool {
        let below = GitPath([folder.0.as_slice(), b"/"].concat());
        [&self.files, &self.dirs].iter().any(|names| {
            let next = names.range(&below..).next();
            next.is_some_and(|name| name.0.starts_with(&below.0))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_told_apart() {
        let status = b"1 .M N... 100644 100644 100644 a b tracked\0? new\nline\0! target/\0\
            2 R. N... 100644 100644 100644 a b R100 to\0? from\0? nested/\0! secret\0";
        let untracked = Untracked::parse(status);
        let set = |names: &[&str]| names.iter().map(|it| GitPath(it.as_bytes().to_vec())).collect();
        let files: BTreeSet<_> = set(&["new\nline", "secret"]);
        assert_eq!(
            (untracked.files.clone(), untracked.dirs.clone()),
            (files, set(&["nested", "target"]))
        );
        let holds = |name: &str| untracked.holds(&GitPath(name.into()));
        assert_eq!(
            ["target/a/b", "target", "targets", "secret", "secret/x", "nested/x"].map(holds),
            [true, true, false, true, false, true]
        );
        let untracked = Untracked { files: set(&["a/b/c", "a-", "a0"]), dirs: set(&["d/e"]) };
        let reaches_into = |name: &str| untracked.reaches_into(&GitPath(name.into()));
        assert_eq!(
            ["a", "a/b", "a/b/c", "d", "d/e", "b", "a-"].map(reaches_into),
            [true, true, false, true, false, false, false]
        );
    }
}
