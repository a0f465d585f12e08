//! How a log file is started, read, and made fit to go on.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::blobs::{Batch, BlobFolder, Durable};
use super::disk::{Medium, write_all};
use super::find::{find, find_named};
use super::folders::is_absent;
use super::home::Home;
use super::layout::{first_of_family, newest_of_family, start_of};
use super::list::owner_of;
use super::lock::Lock;
use super::reading::{LogFile, Waiter};
use super::salvage::{salvage, told_again};
use super::sweep::{sweep, sweep_starts};
use super::tail::{Position, Tail, encode};
use super::writer::FileWriter;
use super::{Fsync, aside};
use crate::store::{Accept, LogRef, Opened, Start, StoreError, shown};
use crate::{OnDamage, Record, Replay, ReplayConfig, replay};

/// Starts a log: its file comes with its first records, or not at all.
///
/// Names have the time in which a session was started, so that two which start it may give it two. So
/// the id itself is locked until the name is there.
pub(super) fn create(home: &Arc<Home>, records: &[Record]) -> Result<FileWriter, StoreError> {
    let start = Start::of(records)?;
    let path = home.path.join(start.path);
    if let Some(folder) = path.parent() {
        home.make_folders(folder)?;
    }
    let starting = start_of(&home.path, &start.id);
    let _starting = Lock::take(&home.disk, &starting).map_err(|error| match error {
        StoreError::Locked { holder, .. } => StoreError::Locked { path: start.id.clone(), holder },
        error => error,
    })?;
    let lock = check_is_new(home, &start.id, start.since.as_deref(), &path)?;
    sweep(&home.disk, &path);
    sweep_starts(home, &starting);
    let mut lines = Vec::new();
    let mut durable = Durable::default();
    let start_at = Position { length: 0, ordinal: 0, epoch: 1 };
    encode(home, &path, records, start_at, &mut durable, &mut lines)?;
    let put = home.put(&path, &path, |medium| write_all(medium, &lines));
    let put = put.and_then(|medium| home.sync_folder_of(&path).map(|()| medium));
    let medium = put.inspect_err(|_| {
        // The name may be there all the same, and nobody is told of it.
        let _ = home.disk.remove(&path);
    })?;
    let position = Position { length: lines.len() as u64, ordinal: records.len() as u64, epoch: 1 };
    let tail = Tail::new(medium, path, position, Arc::clone(home), durable, lock)?;
    Ok(FileWriter::new(start.id, tail))
}

/// The lock of a log that is to be started, if its session has none yet.
fn check_is_new(
    home: &Home,
    id: &str,
    since: Option<&Path>,
    path: &Path,
) -> Result<Lock, StoreError> {
    let named = find_named(&home.path, id, since, |path| Ok(owner_of(path)));
    let named = named.map_err(|e| StoreError::io("listing", &home.path, e))?;
    let there = named.or_else(|| path.symlink_metadata().is_ok().then(|| path.to_owned()));
    let lock = Lock::take(&home.disk, &first_of_family(there.as_deref().unwrap_or(path)))?;
    there.map_or(Ok(lock), |there| Err(StoreError::Exists { path: shown(&there) }))
}

/// Replays a log, whoever writes to it.
pub(super) fn read(
    home: &Home,
    which: &LogRef,
    config: ReplayConfig,
    waiter: &Waiter,
) -> Result<Replay, StoreError> {
    let path = resolve(home, which, waiter)?;
    replay_file(home, &LogFile::open(&path, waiter)?, &path, config)
}

/// Takes the lock of a log, replays it, and leaves it so that it ends with a whole line; or as it is, if
/// it is not accepted.
pub(super) fn open(
    home: &Arc<Home>,
    which: &LogRef,
    on_damage: OnDamage,
    accept: Accept,
    waiter: &Waiter,
) -> Result<Option<Opened>, StoreError> {
    let named = resolve(home, which, waiter)?;
    let first = first_of_family(&named);
    let lock = Lock::take(&home.disk, &first)?;
    sweep(&home.disk, &first);
    let path = newest_of(&named)?;
    let file = LogFile::open(&path, waiter)?;
    let blobs = BlobFolder::of(home, &path);
    let replay = replay(&file, &blobs, on_damage).map_err(|e| StoreError::read(&path, e))?;
    if replay.is_foreign {
        return Err(StoreError::Foreign { path: shown(&path) });
    }
    if !accept(&replay) {
        return Ok(None);
    }
    if !replay.damage.is_empty() {
        return go_on(home, salvage(home, &file, &path, replay)?, &blobs, lock).map(Some);
    }
    let mut medium = home.disk.open(&path).map_err(|e| StoreError::io("opening", &path, e))?;
    let set_aside =
        replay.torn.map(|_| aside::set_aside(home, &file, &path, &replay)).transpose()?;
    tidy(home, &mut *medium, set_aside.is_some().then_some(replay.good_len))
        .map_err(|(operation, e)| StoreError::io(operation, &path, e))?;
    let (replay, salvaged_from) = told_again(home, &path, replay, waiter);
    let fit = Fit { replay, path, medium, set_aside, salvaged_from };
    go_on(home, fit, &blobs, lock).map(Some)
}

/// A log that ends with a whole line.
pub(super) struct Fit {
    pub(super) replay: Replay,
    pub(super) path: PathBuf,
    pub(super) medium: Box<dyn Medium>,
    pub(super) set_aside: Option<PathBuf>,
    pub(super) salvaged_from: Option<PathBuf>,
}

/// The writer of a log that is fit; `blobs` are those that were read of it.
fn go_on(home: &Arc<Home>, log: Fit, blobs: &BlobFolder, lock: Lock) -> Result<Opened, StoreError> {
    let Fit { replay, path, medium, set_aside, salvaged_from } = log;
    let position =
        Position { length: replay.good_len, ordinal: replay.next_ordinal, epoch: replay.epoch + 1 };
    let (home, mut durable) = (home.of_log(&path), Durable::default());
    let mut kept = Batch::new(&home, &path, &mut durable);
    kept.keep(blobs).and_then(|()| kept.commit())?;
    home.sync_names_of(&path)?;
    let tail = Tail::new(medium, path, position, home, durable, lock)?;
    let id = replay.meta.as_ref().map(|meta| meta.id.clone()).unwrap_or_default();
    let writer = Box::new(FileWriter::new(id, tail));
    Ok(Opened { set_aside, salvaged_from, ..Opened::new(replay, writer) })
}

/// Cuts the file if it is to be cut, and syncs it: what its last writer left, and did not live to
/// acknowledge, is now shown to a session that goes on from it.
fn tidy(
    home: &Home,
    medium: &mut dyn Medium,
    length: Option<u64>,
) -> Result<(), (&'static str, io::Error)> {
    if let Some(length) = length {
        medium.truncate(length).map_err(|e| ("cutting", e))?;
    }
    if home.fsync == Fsync::Commit {
        medium.sync().map_err(|e| ("syncing", e))?;
    }
    Ok(())
}

pub(super) fn replay_file(
    home: &Home,
    file: &LogFile,
    path: &Path,
    config: impl Into<ReplayConfig>,
) -> Result<Replay, StoreError> {
    replay(file, &BlobFolder::of(home, path), config).map_err(|e| StoreError::read(path, e))
}

/// The file that is meant, which is there: whoever names one of a family means the newest; and whoever
/// names a link, the file behind it, whose lock keeps out those who name that.
fn resolve(home: &Home, which: &LogRef, waiter: &Waiter) -> Result<PathBuf, StoreError> {
    let found = match which {
        LogRef::Path(path) => {
            let named = home.path.join(path);
            let named = is_there(&named)?.then_some(named);
            named.map(|path| newest_of(&real(path)?)).transpose()?
        }
        LogRef::Id(id) => {
            let found = find(&home.path, id, |path| waiter.check().map(|()| owner_of(path)));
            let found = found.map_err(|e| StoreError::io("listing", &home.path, e))?;
            found
                .map(|path| if path.is_symlink() { newest_of(&real(path)?) } else { Ok(path) })
                .transpose()?
        }
    };
    found.ok_or_else(|| StoreError::NotFound { which: which.shown() })
}

/// What may not be looked at is not gone.
fn is_there(path: &Path) -> Result<bool, StoreError> {
    match path.metadata() {
        Ok(_) => Ok(true),
        Err(error) if is_absent(&error) => Ok(false),
        Err(error) => Err(StoreError::io("opening", path, error)),
    }
}

fn newest_of(path: &Path) -> Result<PathBuf, StoreError> {
    newest_of_family(path).map_err(|e| StoreError::io("listing", path, e))
}

/// The file behind a link. Links of folders do no harm: the lock behind them is one file.
fn real(path: PathBuf) -> Result<PathBuf, StoreError> {
    if !path.is_symlink() {
        return Ok(path);
    }
    path.canonicalize().map_err(|e| StoreError::io("finding", &path, e))
}
