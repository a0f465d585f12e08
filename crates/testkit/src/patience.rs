//! Waiting that has an end: what hangs fails its test, and does not hold up all the others.
//!
//! Nothing here measures or sleeps. [`PATIENCE`] is far above what anything takes on a loaded machine, so that
//! it decides nothing where all is well.

use std::io::{self, BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// Whatever takes longer hangs.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Does work that blocks, in a thread of its own.
///
/// An async test calls it in `spawn_blocking`: a runtime waits for such a thread when it ends, and virtual time
/// stands still meanwhile.
///
/// # Errors
///
/// [`io::ErrorKind::TimedOut`] if it is not done in time. Its thread is left to itself then.
pub fn in_time<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    in_time_of(PATIENCE, work)
}

fn in_time_of<T: Send + 'static>(
    patience: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    let (send, done) = mpsc::channel();
    thread::spawn(move || send.send(work()));
    match done.recv_timeout(patience) {
        Ok(done) => Ok(done),
        Err(RecvTimeoutError::Timeout) => Err(hangs("the work is not done", patience)),
        Err(RecvTimeoutError::Disconnected) => Err(io::Error::other("the work panicked")),
    }
}

/// Runs a program to its end, without input.
///
/// # Errors
///
/// Those of starting it, and those of [`ended`].
pub fn output(command: &mut Command) -> io::Result<Output> {
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    ended(child.spawn()?)
}

/// Ends the input of a program, and waits until it and whoever shares its stdout and stderr have ended. Of these
/// two, what is a pipe is given back.
///
/// # Errors
///
/// [`io::ErrorKind::TimedOut`], with what it has said, if it has not ended in time. It is killed then.
pub fn ended(child: Child) -> io::Result<Output> {
    ended_within(child, PATIENCE)
}

fn ended_within(mut child: Child, patience: Duration) -> io::Result<Output> {
    drop(child.stdin.take());
    let (done, ends) = mpsc::channel();
    let stdout = child.stdout.take().map(|pipe| Said::by(pipe, done.clone())).unwrap_or_default();
    let stderr = child.stderr.take().map(|pipe| Said::by(pipe, done.clone())).unwrap_or_default();
    drop(done);
    loop {
        match ends.recv_timeout(patience) {
            Ok(read) => read?,
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                child.kill()?;
                child.wait()?;
                let said = [stdout.taken(), stderr.taken()].concat();
                let said = String::from_utf8_lossy(&said).into_owned();
                return Err(hangs(
                    &format!("the program said {said:?} and has not ended"),
                    patience,
                ));
            }
        }
    }
    Ok(Output { status: child.wait()?, stdout: stdout.taken(), stderr: stderr.taken() })
}

fn hangs(what: &str, patience: Duration) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, format!("{what} after {patience:?}"))
}

/// What a pipe has given so far.
#[derive(Clone, Default)]
struct Said(Arc<Mutex<Vec<u8>>>);

impl Said {
    /// Reads in a thread, which says when it is at the end.
    fn by(mut pipe: impl Read + Send + 'static, done: Sender<io::Result<()>>) -> Self {
        let said = Self::default();
        let reading = said.clone();
        thread::spawn(move || done.send(reading.read(&mut pipe)));
        said
    }

    fn read(&self, pipe: &mut impl Read) -> io::Result<()> {
        let mut buffer = [0; 4096];
        loop {
            match pipe.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(length) => self.bytes().extend_from_slice(&buffer[..length]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn bytes(&self) -> std::sync::MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn taken(&self) -> Vec<u8> {
        std::mem::take(&mut *self.bytes())
    }
}

/// The lines of a program that runs.
#[derive(Debug)]
pub struct Lines(Receiver<io::Result<String>>);

impl Lines {
    /// Reads what a program says from now on.
    pub fn of(stdout: ChildStdout) -> Self {
        let (send, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines() {
                if send.send(line).is_err() {
                    return;
                }
            }
        });
        Self(lines)
    }

    /// The next line, without its end; `None` behind the last.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::TimedOut`] if none comes in time, though the program has not ended; those of reading.
    pub fn hear(&self) -> io::Result<Option<String>> {
        self.hear_within(PATIENCE)
    }

    fn hear_within(&self, patience: Duration) -> io::Result<Option<String>> {
        match self.0.recv_timeout(patience) {
            Ok(line) => line.map(Some),
            Err(RecvTimeoutError::Disconnected) => Ok(None),
            Err(RecvTimeoutError::Timeout) => Err(hangs("the program says nothing more", patience)),
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn sh(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    fn started(script: &str) -> io::Result<Child> {
        sh(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()
    }

    fn kind<T>(result: io::Result<T>) -> Option<io::ErrorKind> {
        result.err().map(|error| error.kind())
    }

    #[test]
    fn what_ends_is_given_whole() {
        let output = output(&mut sh("cat; seq 20000; echo no >&2; exit 3")).unwrap();
        assert_eq!((output.status.code(), &*output.stderr), (Some(3), &b"no\n"[..]));
        let said = String::from_utf8(output.stdout).unwrap();
        let numbers = said.lines().map(|line| line.parse::<u32>().unwrap());
        assert!(numbers.eq(1..=20_000), "{} bytes", said.len());
        let output = ended(started("cat; echo fine").unwrap()).unwrap();
        assert_eq!((output.status.code(), &*output.stdout), (Some(0), &b"fine\n"[..]));
        assert_eq!(in_time(|| 7).unwrap(), 7);
    }

    #[test]
    fn what_hangs_is_told_and_killed() {
        let child = started("exec sleep 1000").unwrap();
        let id = child.id();
        assert_eq!(kind(ended_within(child, Duration::ZERO)), Some(io::ErrorKind::TimedOut));
        let dead = output(&mut sh(&format!("kill -0 {id}"))).unwrap();
        assert!(!dead.status.success());
        let (never, wait) = mpsc::channel::<()>();
        let waits = in_time_of(Duration::ZERO, move || wait.recv());
        assert_eq!(kind(waits), Some(io::ErrorKind::TimedOut));
        drop(never);
        assert_eq!(kind(in_time(|| assert_eq!(1, 2))), Some(io::ErrorKind::Other));
    }

    #[test]
    fn a_program_is_heard_line_by_line() {
        let mut child = started("echo one; echo two; cat").unwrap();
        let lines = Lines::of(child.stdout.take().unwrap());
        for expected in ["one", "two"] {
            assert_eq!(lines.hear().unwrap().as_deref(), Some(expected));
        }
        assert_eq!(kind(lines.hear_within(Duration::ZERO)), Some(io::ErrorKind::TimedOut));
        drop(child.stdin.take());
        assert_eq!(lines.hear().unwrap(), None);
        child.wait().unwrap();
    }
}
