//! Tools that run a program.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use async_trait::async_trait;
pub use longhaul_state::protocol::CommandTool;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};

use super::{Effect, Tool, ToolCall, ToolContext, ToolOutput, ToolSpec};

/// The variables of this process that the program sees.
const ENVIRONMENT: [&str; 4] = ["PATH", "HOME", "LANG", "TMPDIR"];

/// The pipes of a program that has ended are read for this long at most.
const DRAIN: Duration = Duration::from_millis(100);

/// As much of stderr's end is shown of a program that failed, in bytes.
const STDERR_TAIL_BYTES: usize = 4 * 1024;

#[async_trait]
impl Tool for CommandTool {
    fn spec(&self) -> ToolSpec {
        ToolSpec::function(&self.name, &self.description, self.parameters.clone())
    }

    fn effect(&self) -> Effect {
        if self.parallel { Effect::Read } else { Effect::Write }
    }

    fn timeout(&self) -> Option<Duration> {
        self.timeout_ms.map(Duration::from_millis)
    }

    fn needs_approval(&self) -> bool {
        self.needs_approval
    }

    async fn call(&self, call: ToolCall, context: ToolContext) -> ToolOutput {
        match start(self, &call, context.cwd()) {
            Ok(running) => running.finish(&call, &context).await,
            Err(error) => {
                let program = self.command.first().map_or("", String::as_str);
                let folder =
                    context.cwd().filter(|cwd| !cwd.is_dir()).map_or_else(String::new, |cwd| {
                        format!("; the working folder {} does not exist", cwd.display())
                    });
                ToolOutput::error(format!("`{program}` could not be started: {error}{folder}"))
            }
        }
    }
}

/// Starts the program of a call.
fn start(tool: &CommandTool, call: &ToolCall, cwd: Option<&Path>) -> std::io::Result<Running> {
    let (program, arguments) = tool.command.split_first().ok_or_else(|| {
        std::io::Error::new(std::io::ErrorKind::InvalidInput, "`command` is empty")
    })?;
    let mut command = Command::new(program);
    command.args(arguments).env_clear().env("LONGHAUL_CALL_ID", &call.call_id);
    let inherited = ENVIRONMENT.iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
    command.envs(inherited);
    if let Some(cwd) = cwd {
        command.current_dir(cwd);
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.kill_on_drop(true);
    #[cfg(unix)]
    command.process_group(0);
    let child = command.spawn()?;
    Ok(Running { group: Group::of(&child), child })
}

/// A program that runs. Dropping it kills its process group.
struct Running {
    child: Child,
    group: Group,
}

impl Running {
    async fn finish(mut self, call: &ToolCall, context: &ToolContext) -> ToolOutput {
        let output = tokio::select! {
            output = self.communicate(call, context) => output,
            () = context.cancelled() => {
                ToolOutput::error("aborted: had started, effect unknown")
            }
        };
        self.group.kill();
        // Reaps the program, which is dead or has ended by itself.
        let _ = self.child.wait().await;
        output
    }

    /// Feeds the program and reads what it says, all at once, until it has ended.
    async fn communicate(&mut self, call: &ToolCall, context: &ToolContext) -> ToolOutput {
        let stdin = self.child.stdin.take();
        let (stdout, stderr) = (self.child.stdout.take(), self.child.stderr.take());
        let feed = async {
            if let Some(mut stdin) = stdin {
                // A program that does not read its arguments is free not to.
                let _ = stdin.write_all(call.arguments.as_bytes()).await;
            }
        };
        // A child that outlives the program may hold the pipes open: what counts is the program's
        // end, and what was said until then.
        let mut said = Said::new(context.max_output_bytes());
        let mut complained = Said::new(STDERR_TAIL_BYTES);
        let status = {
            let read = async {
                tokio::join!(feed, said.read(stdout), complained.read(stderr));
            };
            let mut read = std::pin::pin!(read);
            tokio::select! {
                () = &mut read => self.child.wait().await,
                status = self.child.wait() => {
                    self.group.kill();
                    // What is in the pipes is read; a process that left the group and holds them
                    // open is not waited for.
                    let _ = tokio::time::timeout(DRAIN, read).await;
                    status
                }
            }
        };
        match status {
            Ok(status) if status.success() => ToolOutput::text(said.into_text()),
            Ok(status) => failed(&status.to_string(), &complained.tail(), &said.into_text()),
            Err(error) => ToolOutput::error(format!("the program could not be awaited: {error}")),
        }
    }
}

fn failed(status: &str, stderr: &str, stdout: &str) -> ToolOutput {
    let mut text = format!("the program failed: {status}");
    for (name, said) in [("stderr", stderr), ("stdout", stdout)] {
        if !said.is_empty() {
            // Writing to a string cannot fail.
            let _ = write!(text, "\n{name}:\n{said}");
        }
    }
    ToolOutput::error(text)
}

/// The head and the tail of what a program says, in bounded memory.
struct Said {
    max_bytes: usize,
    head: Vec<u8>,
    tail: VecDeque<u8>,
    dropped: u64,
}

/// Room for the line that says how much is left out.
const MARKER_BYTES: usize = 64;

impl Said {
    fn new(max_bytes: usize) -> Self {
        Self { max_bytes, head: Vec::new(), tail: VecDeque::new(), dropped: 0 }
    }

    /// The share of the head, and of the tail as soon as something is left out.
    fn half(&self) -> usize {
        self.max_bytes.saturating_sub(MARKER_BYTES) / 2
    }

    async fn read(&mut self, from: Option<impl AsyncRead + Unpin>) {
        let Some(mut from) = from else {
            return;
        };
        let mut buffer = vec![0; 16 * 1024];
        while let Ok(length @ 1..) = from.read(&mut buffer).await {
            self.take(&buffer[..length]);
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        let room = (self.half() - self.head.len()).min(bytes.len());
        let (head, rest) = bytes.split_at(room);
        self.head.extend_from_slice(head);
        self.tail.extend(rest);
        if self.head.len() + self.tail.len() > self.max_bytes || self.dropped > 0 {
            let excess = self.tail.len().saturating_sub(self.half());
            self.tail.drain(..excess);
            self.dropped += excess as u64;
        }
    }

    fn tail(mut self) -> String {
        if self.dropped == 0 {
            return self.into_text();
        }
        text_from_boundary(self.tail.make_contiguous())
    }

    fn into_text(mut self) -> String {
        if self.dropped == 0 {
            self.head.extend(&self.tail);
            return String::from_utf8_lossy(&self.head).into_owned();
        }
        let head = text_to_boundary(&self.head);
        let tail = text_from_boundary(self.tail.make_contiguous());
        format!("{head}\n[... {} bytes omitted ...]\n{tail}", self.dropped)
    }
}

/// The text in `bytes`, without a character that their end cuts off.
fn text_to_boundary(bytes: &[u8]) -> String {
    let whole = match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => &bytes[..error.valid_up_to()],
        _ => bytes,
    };
    String::from_utf8_lossy(whole).into_owned()
}

/// The text in `bytes`, without a character that their start cuts off.
fn text_from_boundary(bytes: &[u8]) -> String {
    let is_inside = |byte: &&u8| (0x80..0xC0).contains(*byte);
    let cut = bytes.iter().take(3).take_while(is_inside).count();
    String::from_utf8_lossy(&bytes[cut..]).into_owned()
}

/// A process group that is killed when it is let go.
struct Group {
    #[cfg(unix)]
    leader: Option<rustix::process::Pid>,
}

impl Group {
    #[cfg(unix)]
    fn of(child: &Child) -> Self {
        let leader = child.id().and_then(|id| i32::try_from(id).ok());
        Self { leader: leader.and_then(rustix::process::Pid::from_raw) }
    }

    #[cfg(not(unix))]
    fn of(_: &Child) -> Self {
        Self {}
    }

    /// Kills what is left of the group. Once only: later the number may be another's.
    fn kill(&mut self) {
        #[cfg(unix)]
        if let Some(leader) = self.leader.take() {
            // Nothing left to kill is what was wanted.
            let _ = rustix::process::kill_process_group(leader, rustix::process::Signal::KILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn head_and_tail_are_kept_in_bounded_memory() {
        let mut said = Said::new(MARKER_BYTES + 8);
        let text = "é".repeat(100_000);
        for piece in text.as_bytes().chunks(7) {
            said.take(piece);
            assert!(said.head.len() + said.tail.len() <= MARKER_BYTES + 8 + 7);
        }
        assert_eq!(said.into_text(), "éé\n[... 199992 bytes omitted ...]\néé");
    }

    #[test]
    fn what_fits_is_whole() {
        for length in 0..200 {
            let text = "é".repeat(length);
            let mut said = Said::new(200);
            text.as_bytes().chunks(3).for_each(|piece| said.take(piece));
            let kept = said.into_text();
            assert!(kept.len() <= 200, "{length}");
            assert!(!kept.contains('\u{fffd}'), "{length}");
            assert_eq!(kept == text, text.len() <= 200, "{length}");
        }
    }
}
