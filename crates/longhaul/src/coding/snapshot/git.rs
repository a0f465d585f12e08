//! Running git.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use tokio::process::Command;

use super::SnapshotError;
use super::path::GitPath;

/// Of what git says when it fails, this much of the end is shown, in bytes.
const STDERR_BYTES: usize = 4 * 1024;

/// What no configuration of a user or a repository may change: no hook of theirs runs, and nothing is
/// asked. Filters and line endings are as the repository has them.
const SETTINGS: [&str; 5] = [
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "gc.auto=0",
    "commit.gpgSign=false",
    "advice.addEmbeddedRepo=false",
];

/// Git in one folder.
pub(super) struct Git<'a> {
    cwd: &'a Path,
    /// An index in place of the repository's.
    index: Option<PathBuf>,
}

impl<'a> Git<'a> {
    pub(super) fn at(cwd: &'a Path) -> Self {
        Self { cwd, index: None }
    }

    /// The same with another index.
    pub(super) fn with_index(&self, index: &Path) -> Self {
        Self { cwd: self.cwd, index: Some(index.to_owned()) }
    }

    /// What git prints.
    pub(super) async fn run<S: AsRef<OsStr>>(
        &self,
        arguments: &[S],
    ) -> Result<Vec<u8>, SnapshotError> {
        let output = self.output(arguments).await?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        Err(SnapshotError::Git {
            command: arguments
                .first()
                .map_or_else(String::new, |it| it.as_ref().display().to_string()),
            stderr: complaint(&output.stderr),
        })
    }

    /// The path that git prints.
    pub(super) async fn path(&self, arguments: &[&str]) -> Result<GitPath, SnapshotError> {
        let mut path = self.run(arguments).await?;
        // The line's own end; a name may have others.
        path.pop_if(|byte| *byte == b'\n');
        Ok(GitPath(path))
    }

    /// What git prints, as one line of text.
    pub(super) async fn line(&self, arguments: &[&str]) -> Result<String, SnapshotError> {
        let output = self.run(arguments).await?;
        Ok(String::from_utf8_lossy(&output).trim_end_matches('\n').to_owned())
    }

    /// What git prints, if it succeeds.
    pub(super) async fn try_line(
        &self,
        arguments: &[&str],
    ) -> Result<Option<String>, SnapshotError> {
        match self.line(arguments).await {
            Ok(line) => Ok(Some(line)),
            Err(SnapshotError::Git { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn output<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Result<Output, SnapshotError> {
        let mut command = Command::new("git");
        // Whoever started this program may have been told of another repository.
        let redirecting = std::env::vars_os()
            .filter(|(name, _)| name.to_str().is_some_and(|name| name.starts_with("GIT_")));
        for (name, _) in redirecting {
            command.env_remove(name);
        }
        command.env("GIT_OPTIONAL_LOCKS", "0").env("GIT_TERMINAL_PROMPT", "0").env("LC_ALL", "C");
        command.env("GIT_LITERAL_PATHSPECS", "1");
        for who in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{who}_NAME"), "longhaul snapshot");
            command.env(format!("GIT_{who}_EMAIL"), "snapshot@longhaul.invalid");
        }
        if let Some(index) = &self.index {
            command.env("GIT_INDEX_FILE", index);
        }
        for setting in SETTINGS {
            command.args(["-c", setting]);
        }
        command.args(arguments).current_dir(self.cwd).stdin(Stdio::null()).kill_on_drop(true);
        command.output().await.map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound if !self.cwd.is_dir() => {
                SnapshotError::NoFolder(self.cwd.to_owned())
            }
            std::io::ErrorKind::NotFound => SnapshotError::NoGit,
            _ => SnapshotError::Io(format!("git could not be run: {error}")),
        })
    }
}

/// The end of what git said, on one line.
fn complaint(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(&stderr[stderr.len().saturating_sub(STDERR_BYTES)..]);
    let text: String = text.chars().map(|it| if it.is_control() { ' ' } else { it }).collect();
    text.trim().to_owned()
}
