//! The driver is ended at every step of its disk, and by `strace` at calls to the kernel.
//!
//! Both sweeps are whole. Calls are counted in the one thread in which the store works: what the driver
//! notes for itself is written by another call (`writev`) and counts for nothing.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::thread;

use longhaul_testkit::check::log::{Ack, Note, Summary};

use super::child::{ENDS, NEVER, WARM, driver, ended, steps};
use super::recover::recover;
use super::world::Folder;

/// Which step, which of the ends, and whether the power is lost too.
type Point = (usize, usize, bool);

/// What was checked behind all ends.
#[derive(Debug, Default)]
struct Count {
    ends: usize,
    /// Sessions that were opened again.
    sessions: usize,
    records: usize,
    acks: usize,
    starts: usize,
    unknown: usize,
}

impl Count {
    fn add(&mut self, checked: &[Summary]) {
        self.ends += 1;
        self.sessions += checked.len();
        for summary in checked {
            self.records += summary.records;
            self.acks += summary.acks;
            self.starts += summary.starts;
            self.unknown += summary.unknown;
        }
    }
}

fn recovered(folder: &Folder) -> Result<Vec<Summary>, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(recover(folder))
}

/// Not by `println`, which the test harness keeps to itself.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "\n{text}");
}

/// Takes all of the work, in two threads.
fn in_two_threads<T: Send>(work: impl IntoIterator<Item = T>, each: impl Fn(T) + Sync) {
    let work: Mutex<Vec<T>> = Mutex::new(work.into_iter().collect());
    let next = || work.lock().unwrap().pop();
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(one) = next() {
                    each(one);
                }
            });
        }
    });
}

/// A driver that nothing ends; gives how many steps its disk makes.
fn whole() -> usize {
    let folder = Folder::new();
    assert!(ended(driver(None, folder.path(), (NEVER, 0))).success());
    let steps = steps(folder.path());
    let checked = recovered(&folder).unwrap();
    let [session, fork] = checked[..] else { panic!("{checked:?}") };
    assert!(session.acks > 40 && session.starts >= 10 && fork.starts == 2, "{checked:?}");
    steps
}

#[test]
fn f114_a_session_goes_on_behind_an_end_at_any_step_of_its_disk() {
    let steps = whole();
    // Behind a step is before the next: so those that are done halfway are left.
    let points = (0..steps).flat_map(|step| [(step, 0, false), (step, 0, true), (step, 1, false)]);
    let count = Mutex::new(Count::default());
    in_two_threads(points, |(step, end, without_power): Point| {
        let folder = Folder::new();
        let status = ended(driver(None, folder.path(), (step, end)));
        assert!(!status.success(), "step {step}");
        if without_power {
            folder.lose_power();
        }
        let checked = recovered(&folder).unwrap_or_else(|found| {
            panic!("step {step}, {:?}, power lost: {without_power}: {found}", ENDS[end])
        });
        count.lock().unwrap().add(&checked);
    });
    let count = count.into_inner().unwrap();
    say(&format!("a session was ended at each of {steps} steps of its disk: {count:?}"));
    assert_eq!(count.ends, 3 * steps);
    assert!(steps > 100 && count.unknown > 10, "{count:?}");
}

/// Where the power is lost, a group of records may be there in part: also between those that belong
/// together.
#[test]
fn f114_a_session_goes_on_where_its_log_ends_behind_any_record() {
    let whole = Folder::new();
    assert!(ended(driver(None, whole.path(), (NEVER, 0))).success());
    // The log of the fork is the second: its records are of the same kinds.
    let logs = whole.files("sessions", ".jsonl");
    let bytes = fs::read(&logs[0]).unwrap();
    let is_end = |end: &usize| bytes[end - 1] == b'\n';
    let ends: Vec<_> = (1..=bytes.len()).filter(is_end).collect();
    let cuts = ends.len();
    in_two_threads(ends, |end| {
        let folder = Folder::new();
        let is_taken_back = bytes[..end].windows(11).any(|it| it == b"\"withdrawn\"");
        let notes = whole.notes().into_iter().filter(|note| match note {
            Note::Run => true,
            // There is no fork.
            Note::Submitted { session, .. } => logs[0].to_str().unwrap().contains(session),
            // From there on no turn has it.
            Note::Acked { ack: Ack::Withdrawn { .. }, .. } => is_taken_back,
            _ => false,
        });
        notes.for_each(|note| folder.note(&note));
        whole.copy_to(&folder, |path| match logs.iter().position(|log| log == path) {
            Some(0) => Some(bytes[..end].to_vec()),
            Some(_) => None,
            None => Some(fs::read(path).unwrap()),
        });
        recovered(&folder).unwrap_or_else(|e| panic!("cut at {end}: {e}"));
    });
    say(&format!("a log ended behind each of its records, {cuts} times"));
    assert!(cuts > 100);
}

/// What the store calls; each of them as each architecture has it.
const CALLS: [&str; 6] = [
    "write,?pwrite64",
    "fdatasync",
    "fsync",
    "?rename,?renameat,?renameat2",
    "ftruncate",
    "?unlink,?unlinkat",
];

/// `strace` that kills at the `nth` of these calls; `None` if it cannot run here, which is a failure where the
/// environment says `CI_REQUIRES_STRACE`.
fn strace(calls: &str, nth: usize) -> Command {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={calls}")]);
    strace.args(["-e", &format!("inject={calls}:signal=KILL:when={nth}")]);
    strace
}

fn can_strace() -> bool {
    let mut strace = strace("fsync", 1);
    let status = strace.arg("true").stderr(Stdio::null()).status();
    let can = status.is_ok_and(|status| status.success());
    let required = std::env::var_os("CI_REQUIRES_STRACE").is_some();
    assert!(can || !required, "CI_REQUIRES_STRACE is set, but strace cannot run here");
    can
}

/// Kills the driver at each of these calls; gives at how many.
fn kill_at(calls: &str, count: &Mutex<Count>) -> usize {
    // The store's thread has written so often before the script.
    let first = 1 + if calls.starts_with("write") { WARM } else { 0 };
    let mut deaths = 0;
    for nth in first.. {
        let folder = Folder::new();
        if ended(driver(Some(strace(calls, nth)), folder.path(), (NEVER, 0))).success() {
            break;
        }
        assert!(!folder.path().join("steps").exists(), "{calls} {nth}: it came to its end");
        let checked = recovered(&folder).unwrap_or_else(|e| panic!("{calls} {nth}: {e}"));
        count.lock().unwrap().add(&checked);
        deaths += 1;
    }
    deaths
}

#[test]
fn f114_a_session_goes_on_behind_a_kill_at_calls_to_the_kernel() {
    if !can_strace() {
        say("SKIPPED: strace cannot run here; the sweep over the steps of the disk is whole");
        return;
    }
    let (count, deaths) = (Mutex::new(Count::default()), Mutex::new(Vec::new()));
    in_two_threads(CALLS, |calls| {
        let killed = kill_at(calls, &count);
        assert!(killed > 0, "no {calls} was met");
        deaths.lock().unwrap().push((calls, killed));
    });
    say(&format!(
        "a session was killed at every call: {:?}, {:?}",
        deaths.into_inner().unwrap(),
        count.into_inner().unwrap()
    ));
}
