//! Another process with the same store: this test program itself, started again.

use std::env;
use std::io::Write;
use std::path::Path;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::Arc;

use longhaul_rollout::{FileStore, OnDamage, Store};
use longhaul_testkit::disk::{Fault, FaultyDisk, Operation};
use longhaul_testkit::patience::Lines;
use rustix::process::{Resource, Rlimit, setrlimit};

use crate::starts::{NEVER, start_many};
use crate::support::*;
use crate::sweep;

const HOME: &str = "LONGHAUL_TEST_HOME";
const PART: &str = "LONGHAUL_TEST_PART";
const STEP: &str = "LONGHAUL_TEST_STEP";
const FAULT: &str = "LONGHAUL_TEST_FAULT";

/// The faults that end the process.
pub(crate) const ENDS: [Fault; 3] = [Fault::Abort, Fault::AbortMidway, Fault::AbortAfter];

/// A process that does its part and says what it did. It is killed when dropped.
pub(crate) struct Child {
    process: std::process::Child,
    stdin: Option<ChildStdin>,
    lines: Lines,
}

impl Child {
    /// Starts a process that ends at a step of its disk by one of [`ENDS`].
    pub(crate) fn start(home: &Path, part: &str, step: usize, end: usize) -> Self {
        let mut process = Command::new(env::current_exe().unwrap())
            .args(["child::child", "--exact", "--nocapture", "--test-threads=1"])
            .env(HOME, home)
            .env(PART, part)
            .env(STEP, step.to_string())
            .env(FAULT, end.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let stdin = process.stdin.take();
        let lines = Lines::of(process.stdout.take().unwrap());
        Self { process, stdin, lines }
    }

    /// The next line that it said; `None` when it is dead.
    pub(crate) fn hear(&mut self) -> Option<String> {
        loop {
            let line = self.lines.hear().unwrap()?;
            // The test harness writes too.
            if let Some((_, said)) = line.split_once('@') {
                return Some(said.trim().to_owned());
            }
        }
    }

    /// All that it says until its end, and whether that was not by its own will.
    pub(crate) fn hear_all(mut self) -> (Vec<String>, bool) {
        drop(self.stdin.take());
        let mut said = Vec::new();
        while let Some(line) = self.hear() {
            said.push(line);
        }
        let was_killed = !self.process.wait().unwrap().success();
        (said, was_killed)
    }

    /// Lets it end by itself.
    pub(crate) fn release(&mut self) {
        drop(self.stdin.take());
        while self.hear().is_some() {}
        self.process.wait().unwrap();
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Ends it by SIGKILL.
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

pub(crate) fn say(what: &str) {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "@{what}").unwrap();
    stdout.flush().unwrap();
}

/// The child's own part. In the parent it does nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn child() {
    let Ok(home) = env::var(HOME) else { return };
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }).unwrap();
    let number = |name| env::var(name).unwrap().parse::<usize>().unwrap();
    let (failing, end) = (number(STEP), ENDS[number(FAULT)]);
    let part = env::var(PART).unwrap();
    let stops = part == "start";
    let disk = FaultyDisk::new(move |step| {
        if stops && step.operation == Operation::Rename {
            say("renaming");
            std::io::stdin().lines().for_each(drop);
        }
        if step.number == failing { end } else { Fault::None }
    });
    let store = FileStore::new(home).disk(Arc::new(disk.clone()));
    match &*part {
        "hold" => hold(&store).await,
        "start" => starts(&store).await,
        "many" => start_many(&store, NEVER - failing).await,
        "grow" => sweep::grow(&store).await,
        "script" => sweep::script(&store).await,
        "recover" => sweep::recover(&store).await,
        other => panic!("{other}"),
    }
    say(&format!("steps {}", disk.steps().len()));
}

/// Opens the log, if it can, and holds it until it is told to stop.
async fn hold(store: &FileStore) {
    match store.open(&first(), OnDamage::Refuse).await {
        Ok(opened) => {
            say("holding");
            std::io::stdin().lines().for_each(drop);
            opened.writer.close().await.unwrap();
        }
        Err(error) => say(&error.to_string()),
    }
}

/// Starts the first session, some days late, and stops before it is there until it is told to go on.
async fn starts(store: &FileStore) {
    match store.create(late(9)).await {
        Ok(writer) => writer.close().await.unwrap(),
        Err(error) => say(&error.to_string()),
    }
}
