//! A process that uses a login: this test program itself, started again.

use std::env;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Duration;

use longhaul_transport::auth::{Auth, Login, LoginOptions};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::*;

const LOGIN: &str = "LONGHAUL_TEST_LOGIN";
const ENDPOINT: &str = "LONGHAUL_TEST_ENDPOINT";
const COOL_DOWN_MS: &str = "LONGHAUL_TEST_COOL_DOWN_MS";
const LOCK_TIMEOUT_MS: &str = "LONGHAUL_TEST_LOCK_TIMEOUT_MS";
const TRACES: &str = "LONGHAUL_TEST_TRACES";

/// The test that is the child.
const NAME: &str = "child::child";

/// A process that has the login open and does what it is told. It is killed when dropped.
pub(crate) struct Child {
    process: std::process::Child,
    stdin: ChildStdin,
    /// The lines it wrote. It is at its end when the process is.
    lines: Receiver<String>,
    /// What it was told last.
    told: String,
}

/// More than enough for any answer.
const SILENCE: Duration = Duration::from_secs(60);

/// Reads in a thread, so that waiting for a line can have an end.
fn lines(stdout: ChildStdout) -> Receiver<String> {
    let (send, lines) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines() {
            if send.send(line.unwrap()).is_err() {
                return;
            }
        }
    });
    lines
}

impl Child {
    pub(crate) fn start(login: &Path, options: &LoginOptions) -> Self {
        Self::spawn(Command::new(env::current_exe().unwrap()), login, options)
    }

    /// The same under a program that runs its arguments.
    pub(crate) fn start_under(mut wrapper: Command, login: &Path, options: &LoginOptions) -> Self {
        wrapper.arg(env::current_exe().unwrap());
        Self::spawn(wrapper, login, options)
    }

    /// The same, with everything that any crate traces going to a file.
    pub(crate) fn traced(login: &Path, options: &LoginOptions, traces: &Path) -> Self {
        let mut command = Command::new(env::current_exe().unwrap());
        command.env(TRACES, traces);
        Self::spawn(command, login, options)
    }

    fn spawn(mut command: Command, login: &Path, options: &LoginOptions) -> Self {
        let forking = forking();
        let mut process = command
            .args([NAME, "--exact", "--nocapture", "--test-threads=1"])
            .env(LOGIN, login)
            .env(ENDPOINT, options.token_endpoint.as_str())
            .env(COOL_DOWN_MS, options.cool_down.as_millis().to_string())
            .env(LOCK_TIMEOUT_MS, options.lock_timeout.as_millis().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        drop(forking);
        let stdin = process.stdin.take().unwrap();
        let lines = lines(process.stdout.take().unwrap());
        let mut child = Self { process, stdin, lines, told: "start".into() };
        assert_eq!(child.hear().as_deref(), Some("ready"));
        child
    }

    /// Tells it what to do: `ask` (gives the number of the access token), `insist` (the same until no other process
    /// holds the lock, with one answer more if one does) or `refresh` (of the first generation).
    pub(crate) fn say(&mut self, what: &str) {
        what.clone_into(&mut self.told);
        // A process that is dead by now is noticed by its silence.
        let _ = writeln!(self.stdin, "{what}");
    }

    /// What it answered; `None` if it is dead. One that lives and says nothing fails the test.
    pub(crate) fn hear(&mut self) -> Option<String> {
        loop {
            let line = match self.lines.recv_timeout(SILENCE) {
                Ok(line) => line,
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => {
                    let (id, told) = (self.process.id(), &self.told);
                    panic!("process {id} gave no answer to `{told}` within {SILENCE:?}")
                }
            };
            // The test harness writes too.
            if let Some((_, answer)) = line.split_once('@') {
                return Some(answer.trim().to_owned());
            }
        }
    }

    pub(crate) fn tell(&mut self, what: &str) -> Option<String> {
        self.say(what);
        self.hear()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let id = self.process.id().cast_signed();
        kill_process(Pid::from_raw(id).unwrap(), signal).unwrap();
    }

    pub(crate) fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

async fn asked(login: &Login) -> String {
    match ask(login).await {
        Ok(_) => number(&bearer(login).await).to_string(),
        Err(error) => format!("{} {}: {error}", error.code(), error.is_retryable()),
    }
}

/// The child's own part. In the parent it does nothing.
#[test]
fn child() {
    let Ok(login) = env::var(LOGIN) else { return };
    if let Ok(traces) = env::var(TRACES) {
        tracing_subscriber::fmt()
            .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
            .with_writer(Mutex::new(File::create(traces).unwrap()))
            .with_ansi(false)
            .init();
    }
    let milliseconds = |name| Duration::from_millis(env::var(name).unwrap().parse().unwrap());
    let mut options = LoginOptions::default();
    options.token_endpoint = env::var(ENDPOINT).unwrap().parse().unwrap();
    options.cool_down = milliseconds(COOL_DOWN_MS);
    options.lock_timeout = milliseconds(LOCK_TIMEOUT_MS);
    let login = open(Path::new(&login), options);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    println!("@ready");
    for line in std::io::stdin().lines() {
        let answer = runtime.block_on(async {
            match line.unwrap().as_str() {
                "ask" => asked(&login).await,
                "insist" => {
                    let mut told = false;
                    loop {
                        let answer = asked(&login).await;
                        if !answer.contains("another process") {
                            break answer;
                        }
                        if !told {
                            println!("@{answer}");
                        }
                        told = true;
                    }
                }
                _ => match login.refresh(1).await {
                    Ok(renewed) => renewed.to_string(),
                    Err(error) => format!("{} {}: {error}", error.code(), error.is_retryable()),
                },
            }
        });
        println!("@{answer}");
    }
    // Without the harness's last words, which nobody listens to.
    std::process::exit(0);
}
