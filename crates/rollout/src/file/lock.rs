//! The kernel's lock that the one writer of a log holds among all processes.
//!
//! It is on a file of its own beside the log, `<log>.lock`: where locks are mandatory, a lock on
//! the log would keep readers out. The kernel frees it when its holder ends, however that ends; the
//! file that is left then means nothing, and the next holder takes it. An orderly holder removes
//! it. So whoever locks it looks whether it is still the one that has the name.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::disk::{Disk, Identity, private};
use super::gate::{Gate, PATIENCE};
use crate::store::{Holder, StoreError, beside, shown};

/// More than this is no note of a holder.
const MAX_NOTE_BYTES: u64 = 512;

/// How often a lock file is opened that others remove in between. Each time somebody else got on.
const MAX_TRIES: usize = 1000;

/// Who died as it started a program may leave its lock to that, for as long as it is not yet another
/// program. So often the lock is looked at again, with as long a pause each time.
const MAX_PAUSES: usize = 1000;
const PAUSE: Duration = Duration::from_millis(1);

/// The lock of one log and of what continues it, held until dropped.
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
    path: PathBuf,
    disk: Arc<dyn Disk>,
}

/// What became of a try.
#[derive(Debug)]
enum Try {
    Taken(Lock),
    Held,
    /// The file was removed when its holder was done: a lock on it keeps nobody out, whoever has it.
    Gone,
}

impl Lock {
    /// Takes the lock of `log`, at once or not at all. Who only sweeps is waited for, but for
    /// [`PATIENCE`]: one that was stopped meanwhile is a holder like any other. For a moment also what a
    /// dead holder left to a program that it was about to start.
    pub(super) fn take(disk: &Arc<dyn Disk>, log: &Path) -> Result<Self, StoreError> {
        Self::take_with(disk, log, PATIENCE, || std::thread::sleep(PAUSE))
    }

    fn take_with(
        disk: &Arc<dyn Disk>,
        log: &Path,
        patience: Duration,
        mut pause: impl FnMut(),
    ) -> Result<Self, StoreError> {
        let path = beside(log, ".lock");
        let take = || Self::try_take(disk, &path).map_err(|e| StoreError::io("locking", &path, e));
        if let Some(lock) = take()? {
            return Ok(lock);
        }
        let _nobody_sweeps = path.parent().and_then(|folder| Gate::pass(folder, patience));
        for _ in 0..MAX_PAUSES {
            if let Some(lock) = take()? {
                return Ok(lock);
            }
            if !is_dead(&read_note(&path)) {
                break;
            }
            pause();
        }
        Err(StoreError::Locked { path: shown(log), holder: read_note(&path) })
    }

    /// Takes the lock of `log` to sweep what its holder left, who died. The caller has closed the
    /// gate of the folder.
    pub(super) fn take_to_sweep(disk: &Arc<dyn Disk>, log: &Path) -> Option<Self> {
        Self::try_take(disk, &beside(log, ".lock")).ok().flatten()
    }

    /// Nothing if another holds it, or others came first each time.
    fn try_take(disk: &Arc<dyn Disk>, path: &Path) -> io::Result<Option<Self>> {
        for _ in 0..MAX_TRIES {
            match Self::of(open(path)?, path, disk)? {
                Try::Taken(lock) => return Ok(Some(lock)),
                Try::Held => return Ok(None),
                Try::Gone => {}
            }
        }
        Ok(None)
    }

    /// Takes the lock on a file that was just opened under its name.
    fn of(file: File, path: &Path, disk: &Arc<dyn Disk>) -> io::Result<Try> {
        let is_taken = try_lock(&file)?;
        if !has_the_name(&file, path) {
            return Ok(Try::Gone);
        }
        if !is_taken {
            return Ok(Try::Held);
        }
        let mut lock = Self { file, path: path.to_owned(), disk: Arc::clone(disk) };
        lock.note();
        Ok(Try::Taken(lock))
    }

    /// Writes down who holds it, for messages alone: that this fails is no reason to stop.
    fn note(&mut self) {
        let note = format!("{} {} {}\n", std::process::id(), Timestamp::now(), host());
        let _ = self
            .file
            .set_len(0)
            .and_then(|()| self.file.rewind())
            .and_then(|()| self.file.write_all(note.as_bytes()));
    }
}

impl Drop for Lock {
    /// Removes the file while it is locked: whoever has it open then sees that its name is gone.
    /// It is unlocked by word, since a process that was just forked may have it open for a moment.
    fn drop(&mut self) {
        if has_the_name(&self.file, &self.path) {
            let _ = self.disk.remove(&self.path);
        }
        #[cfg(any(unix, windows))]
        let _ = fs4::FileExt::unlock(&self.file);
    }
}

fn open(path: &Path) -> io::Result<File> {
    private(OpenOptions::new().read(true).write(true).create(true).truncate(false)).open(path)
}

fn has_the_name(file: &File, path: &Path) -> bool {
    let (Ok(file), Ok(named)) = (file.metadata(), fs::symlink_metadata(path)) else {
        return false;
    };
    Identity::of(&file).is_same_file(&Identity::of(&named))
}

/// Who holds the lock, as far as the note can be read and understood.
fn read_note(path: &Path) -> Holder {
    let mut note = String::new();
    let read = File::open(path).and_then(|f| f.take(MAX_NOTE_BYTES).read_to_string(&mut note));
    if read.is_err() {
        return Holder::default();
    }
    let mut words = note.trim_end().splitn(3, ' ');
    let pid = words.next().and_then(|word| word.parse().ok());
    let since = words.next().and_then(|word| word.parse().ok());
    let host = words.next().filter(|host| !host.is_empty() && !host.contains(char::is_control));
    Holder { pid, host: host.map(str::to_owned), since }
}

/// Whether a holder is known to have ended: on this machine there is no process of its number.
#[cfg(unix)]
fn is_dead(holder: &Holder) -> bool {
    use rustix::process::{Pid, test_kill_process};
    let pid = holder.pid.and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
    let is_here = holder.host.as_deref() == Some(&*host());
    is_here && pid.is_some_and(|pid| test_kill_process(pid) == Err(rustix::io::Errno::SRCH))
}

#[cfg(not(unix))]
fn is_dead(_: &Holder) -> bool {
    false
}

/// The name of this machine, or nothing.
fn host() -> String {
    #[cfg(unix)]
    return rustix::system::uname().nodename().to_string_lossy().into_owned();
    #[cfg(not(unix))]
    return std::env::var("COMPUTERNAME").unwrap_or_default();
}

/// Takes the kernel's lock of an open file; false if another holds it.
#[cfg(any(unix, windows))]
pub(super) fn try_lock(file: &File) -> io::Result<bool> {
    is_locked(|| fs4::FileExt::try_lock(file))
}

#[cfg(not(any(unix, windows)))]
pub(super) fn try_lock(_: &File) -> io::Result<bool> {
    Err(io::ErrorKind::Unsupported.into())
}

/// The same of a lock that any number share.
#[cfg(any(unix, windows))]
pub(super) fn try_lock_shared(file: &File) -> io::Result<bool> {
    is_locked(|| fs4::FileExt::try_lock_shared(file))
}

#[cfg(not(any(unix, windows)))]
pub(super) fn try_lock_shared(_: &File) -> io::Result<bool> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Whether a try to lock came to something, once it was not interrupted.
#[cfg(any(unix, windows))]
fn is_locked(try_it: impl Fn() -> Result<(), fs4::TryLockError>) -> io::Result<bool> {
    loop {
        let Err(error) = try_it() else { return Ok(true) };
        match io::Error::from(error) {
            error if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            error if error.kind() == io::ErrorKind::Interrupted => {}
            error => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::disk::LocalDisk;
    use super::*;

    /// Whoever opened the file before its holder removed it may lock it after others took the next.
    #[test]
    fn a_lock_on_a_file_that_lost_its_name_is_none() {
        let disk: Arc<dyn Disk> = Arc::new(LocalDisk);
        let log = std::env::temp_dir().join(format!("longhaul-lock-{}", std::process::id()));
        let path = beside(&log, ".lock");
        let first = Lock::take(&disk, &log).unwrap();
        let early = || open(&path).unwrap();
        let [early, before, held_before, after, held_after] = [(); 5].map(|()| early());
        drop(first);
        assert!(matches!(Lock::of(before, &path, &disk).unwrap(), Try::Gone));
        // A process that was just forked may hold for a moment what was let go.
        while !try_lock(&early).unwrap() {}
        assert!(matches!(Lock::of(held_before, &path, &disk).unwrap(), Try::Gone));
        let second = Lock::take(&disk, &log).unwrap();
        assert!(matches!(Lock::of(held_after, &path, &disk).unwrap(), Try::Gone));
        drop(early);
        assert!(matches!(Lock::of(after, &path, &disk).unwrap(), Try::Gone));
        assert!(matches!(Lock::take(&disk, &log), Err(StoreError::Locked { .. })));
        drop(second);
        assert!(!path.exists());
    }

    /// A process that is killed as it starts a program has a child that holds what it held, until the child is
    /// that program.
    #[cfg(unix)]
    #[test]
    fn what_a_dead_holder_left_to_its_child_is_waited_for_and_nobody_else_is() {
        let disk: Arc<dyn Disk> = Arc::new(LocalDisk);
        let log = std::env::temp_dir().join(format!("longhaul-dead-{}", std::process::id()));
        let path = beside(&log, ".lock");
        let mut dead = std::process::Command::new("true").spawn().unwrap();
        dead.wait().unwrap();
        let now = Timestamp::now();
        let gone = format!("{} {now} {}\n", dead.id(), host());
        let lives = format!("{} {now} {}\n", std::process::id(), host());
        let elsewhere = format!("{} {now} another than {}\n", dead.id(), host());
        for (note, pauses) in [(gone, 3), (lives, 0), (elsewhere, 0), (String::new(), 0)] {
            let child = open(&path).unwrap();
            assert!(try_lock(&child).unwrap());
            fs::write(&path, &note).unwrap();
            let mut paused = 0;
            let taken = Lock::take_with(&disk, &log, PATIENCE, || {
                paused += 1;
                if paused == 3 {
                    fs4::FileExt::unlock(&child).unwrap();
                }
            });
            assert_eq!((taken.is_ok(), paused), (pauses > 0, pauses), "{note}");
        }
        fs::remove_file(path).unwrap();
    }

    /// Who sweeps seems to hold a lock that another is about to take, and is no writer.
    #[cfg(unix)]
    #[test]
    fn who_sweeps_is_waited_for() {
        let disk: Arc<dyn Disk> = Arc::new(LocalDisk);
        let folder = std::env::temp_dir().join(format!("longhaul-gate-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let log = folder.join("log");
        let gate = Gate::close(&folder).unwrap();
        let swept = Lock::take_to_sweep(&disk, &log).unwrap();
        assert!(Gate::close(&folder).is_none(), "one at a time");
        let taker = std::thread::spawn({
            let (disk, log) = (Arc::clone(&disk), log.clone());
            move || Lock::take(&disk, &log)
        });
        // However far the other is by now.
        std::thread::yield_now();
        drop(swept);
        drop(gate);
        let lock = taker.join().unwrap().unwrap();
        let gate = Gate::close(&folder).unwrap();
        assert!(Lock::take_to_sweep(&disk, &log).is_none(), "it is held");
        drop(gate);
        drop(lock);
        fs::remove_dir_all(&folder).unwrap();
    }

    /// A process that was stopped in its sweep holds what it holds until it goes on.
    #[cfg(unix)]
    #[test]
    fn who_never_ends_its_sweep_is_not_waited_for() {
        let disk: Arc<dyn Disk> = Arc::new(LocalDisk);
        let folder = std::env::temp_dir().join(format!("longhaul-stopped-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let log = folder.join("log");
        let gate = Gate::close(&folder).unwrap();
        let swept = Lock::take_to_sweep(&disk, &log).unwrap();
        let (said, hear) = std::sync::mpsc::channel();
        let take = {
            let (disk, log) = (Arc::clone(&disk), log.clone());
            move || said.send(Lock::take_with(&disk, &log, Duration::from_millis(1), || {}))
        };
        let taker = std::thread::spawn(take);
        let answer = hear.recv_timeout(Duration::from_secs(60));
        drop((swept, gate));
        taker.join().unwrap().unwrap();
        let Ok(Err(StoreError::Locked { holder, .. })) = answer else { panic!("{answer:?}") };
        assert_eq!(holder.pid, Some(std::process::id()));
        // Afterwards, all is as it was.
        drop(Lock::take(&disk, &log).unwrap());
        fs::remove_dir_all(&folder).unwrap();
    }
}
