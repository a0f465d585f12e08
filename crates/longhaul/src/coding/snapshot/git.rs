//! Running git.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::process::{Child, Command};

use super::path::GitPath;
use super::{LIMIT, SnapshotError};

/// Of what git says when it fails, this much of the end is shown, in bytes.
const STDERR_BYTES: usize = 4 * 1024;

/// Git that is told to stop has this long to remove its locks; then it is killed.
const STOP_LIMIT: Duration = Duration::from_secs(1);

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
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().map_err(|error| self.unrun(&error))?;
        output_of(child).await?.map_err(|error| self.unrun(&error))
    }

    fn unrun(&self, error: &std::io::Error) -> SnapshotError {
        match error.kind() {
            std::io::ErrorKind::NotFound if !self.cwd.is_dir() => {
                SnapshotError::NoFolder(self.cwd.to_owned())
            }
            std::io::ErrorKind::NotFound => SnapshotError::NoGit,
            _ => SnapshotError::Io(format!("git could not be run: {error}")),
        }
    }
}

/// What git says in its time.
async fn output_of(child: Child) -> Result<std::io::Result<Output>, SnapshotError> {
    let id = child.id();
    let mut output = std::pin::pin!(child.wait_with_output());
    if let Ok(output) = tokio::time::timeout(LIMIT, &mut output).await {
        return Ok(output);
    }
    stop(id);
    // Its end is all that is wanted.
    let _ = tokio::time::timeout(STOP_LIMIT, output).await;
    Err(SnapshotError::TimedOut { limit: LIMIT })
}

/// Tells git to stop. A git that is killed would leave its locks behind.
fn stop(id: Option<u32>) {
    #[cfg(unix)]
    if let Some(git) = id.and_then(|id| rustix::process::Pid::from_raw(id.try_into().ok()?)) {
        // One that has ended meanwhile is what was wanted.
        let _ = rustix::process::kill_process(git, rustix::process::Signal::TERM);
    }
    #[cfg(not(unix))]
    let _ = id;
}

/// The end of what git said, on one line.
fn complaint(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(&stderr[stderr.len().saturating_sub(STDERR_BYTES)..]);
    let text: String = text.chars().map(|it| if it.is_control() { ' ' } else { it }).collect();
    text.trim().to_owned()
}
