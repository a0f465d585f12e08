//! The driver: this test program, started again.

use std::env;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::sync::Arc;

use longhaul_testkit::disk::{Fault, FaultyDisk};
use longhaul_testkit::patience;

use super::script::script;
use super::steps;
use super::world::World;

const FOLDER: &str = "LONGHAUL_CRASH_FOLDER";
const STEP: &str = "LONGHAUL_CRASH_STEP";
const END: &str = "LONGHAUL_CRASH_END";
const PART: &str = "LONGHAUL_CRASH_PART";

/// So many `write`s the store's thread makes before the script, to nowhere: more than the test harness
/// makes in its own thread. `strace` counts the calls of each thread, and a sweep that begins behind these
/// ends the process at none of the harness.
pub(super) const WARM: usize = 32;

/// The ends of a process at a step of its disk: before it, in the middle of it, behind it.
pub(super) const ENDS: [Fault; 3] = [Fault::Abort, Fault::AbortMidway, Fault::AbortAfter];

/// A step that never comes.
pub(super) const NEVER: usize = usize::MAX;

/// A driver that works in `folder`, started by `starter` if that is given, and is ended at a step by one of
/// [`ENDS`].
pub(super) fn driver(
    starter: Option<Command>,
    folder: &Path,
    (step, end): (usize, usize),
) -> Command {
    let program = env::current_exe().unwrap();
    let mut command = match starter {
        Some(mut starter) => {
            starter.arg(program);
            starter
        }
        None => Command::new(program),
    };
    command
        .args(["crash::child::child", "--exact", "--nocapture", "--test-threads=1"])
        .env(FOLDER, folder)
        .env(STEP, step.to_string())
        .env(END, end.to_string());
    command
}

/// How a driver ended. One that hangs fails its test, with what it said.
pub(super) fn ended(mut driver: Command) -> ExitStatus {
    patience::output(&mut driver).unwrap().status
}

/// A driver that does another part than the script.
pub(super) fn driver_of(part: &str, folder: &Path) -> Command {
    let mut driver = driver(None, folder, (NEVER, 0));
    driver.env(PART, part);
    driver
}

/// How many steps of the disk the driver has made, if it came to its end.
pub(super) fn steps(folder: &Path) -> usize {
    fs::read_to_string(folder.join("steps")).unwrap().parse().unwrap()
}

/// The driver's own part. In other runs it does nothing.
#[test]
fn child() {
    let Ok(folder) = env::var(FOLDER) else { return };
    let folder = Path::new(&folder);
    let number = |name| env::var(name).unwrap().parse::<usize>().unwrap();
    let (failing, end) = (number(STEP), ENDS[number(END)]);
    let disk = FaultyDisk::new(move |step| if step.number == failing { end } else { Fault::None });
    let world = World::begin(folder, Some(Arc::new(disk.clone())), true);
    if let Ok(part) = env::var(PART) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        return runtime.block_on(steps::part(&part, world));
    }
    // One thread for the disk, so that its calls come in one order; no reactor, which would write too.
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().max_blocking_threads(1).build().unwrap();
    runtime.block_on(async {
        tokio::task::spawn_blocking(warm).await.unwrap();
        script(&world).await;
    });
    fs::write(folder.join("steps"), disk.steps().len().to_string()).unwrap();
}

fn warm() {
    use std::io::Write;
    let mut nowhere = fs::OpenOptions::new().write(true).open("/dev/null").unwrap();
    for _ in 0..WARM {
        nowhere.write_all(b"x").unwrap();
    }
}
