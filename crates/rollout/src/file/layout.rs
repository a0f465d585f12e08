//! Names of log files.
//!
//! A log is `sessions/YYYY/MM/DD/rollout-<UTC time>-<id>.jsonl`. One that was damaged and salvaged
//! goes on beside it as `rollout-<UTC time>-<id>.salvaged-<epoch>.jsonl`, the newest being the one
//! with the highest epoch. All of these are one family: they have one lock, and count as one log.

use std::collections::BinaryHeap;
use std::io;
use std::path::{Path, PathBuf};

use super::folders::{BadFolder, names};
use crate::store::beside;

const EXTENSION: &str = ".jsonl";
const SALVAGED: &str = ".salvaged-";
const FIRST: &str = "rollout-";
const UNFINISHED: &str = ".new";
const LOCK: &str = ".lock";

/// What an id and the `-` before it take.
const ID_LEN: usize = 37;

/// The name of a log file, taken apart. The order is that of a list, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LogName {
    /// What the family shares.
    pub(super) stem: String,
    /// The epoch in which it was salvaged; 0 if it is the first of its family.
    pub(super) salvaged: u64,
}

impl LogName {
    /// Takes apart any name that ends with `.jsonl`.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let (stem, salvaged) = split(name)?;
        Some(Self { stem: stem.to_owned(), salvaged })
    }

    /// The same of a name in the folders of sessions, where other files are skipped, as those are whose
    /// stem `is_taken` does not take.
    fn parse_session(name: &str, is_taken: impl Fn(&str) -> bool) -> Option<Self> {
        let (stem, salvaged) = split(name)?;
        let is_session = id_of(stem).is_some() && is_taken(stem);
        is_session.then(|| Self { stem: stem.to_owned(), salvaged })
    }

    /// The session's id, as the name has it.
    pub(super) fn id(&self) -> Option<&str> {
        id_of(&self.stem)
    }

    pub(super) fn file_name(&self) -> String {
        match self.salvaged {
            0 => format!("{}{EXTENSION}", self.stem),
            epoch => format!("{}{SALVAGED}{epoch}{EXTENSION}", self.stem),
        }
    }
}

/// The stem of a name, and the epoch in which it was salvaged.
fn split(name: &str) -> Option<(&str, u64)> {
    let stem = name.strip_suffix(EXTENSION).filter(|stem| !stem.is_empty())?;
    let salvaged = stem.rsplit_once(SALVAGED);
    let salvaged = salvaged.and_then(|(stem, epoch)| Some((stem, epoch.parse().ok()?)));
    Some(salvaged.unwrap_or((stem, 0)))
}

/// Whether a stem names the session with this id.
pub(super) fn has_id(stem: &str, id: &str) -> bool {
    id_of(stem) == Some(id)
}

fn id_of(stem: &str) -> Option<&str> {
    let rest = stem.strip_prefix(FIRST)?;
    rest.get(rest.len().checked_sub(ID_LEN)?..)?.strip_prefix('-')
}

/// The first of the family of `path`. A path that is no log's is its own family.
pub(super) fn first_of_family(path: &Path) -> PathBuf {
    sibling(path, 0).unwrap_or_else(|| path.to_owned())
}

/// The one of the family of `path` that was salvaged in `epoch`.
pub(super) fn sibling(path: &Path, epoch: u64) -> Option<PathBuf> {
    let name = LogName::parse(path.file_name()?.to_str()?)?;
    Some(path.with_file_name(LogName { salvaged: epoch, ..name }.file_name()))
}

/// The id of the session whose log is `path`, by its name.
pub(super) fn session_id(path: &Path) -> Option<String> {
    LogName::parse(path.file_name()?.to_str()?)?.id().map(str::to_owned)
}

/// The epoch in which `path` was salvaged, by its name; 0 if it was not.
pub(super) fn salvaged_epoch(path: &Path) -> u64 {
    let name = path.file_name().and_then(|name| name.to_str()).and_then(LogName::parse);
    name.map_or(0, |name| name.salvaged)
}

/// The newest of the family of `path`: `path` itself if there is no other.
pub(super) fn newest_of_family(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().and_then(|name| name.to_str()).and_then(LogName::parse);
    let (Some(name), Some(folder)) = (name, path.parent()) else { return Ok(path.to_owned()) };
    let family = names(folder, LogName::parse)?.into_iter().filter(|other| other.stem == name.stem);
    Ok(family.max().map_or_else(|| path.to_owned(), |name| folder.join(name.file_name())))
}

/// The logs in a folder whose stems `is_taken` takes, newest first, one of each family, each with its name.
///
/// A folder has no order, so that all names are read. But only those that are taken are kept, and only
/// those that are asked for are put in order.
pub(super) fn logs(
    day: PathBuf,
    is_taken: impl Fn(&str) -> bool,
) -> Result<impl Iterator<Item = (PathBuf, LogName)>, BadFolder> {
    let names = names(&day, |name| LogName::parse_session(name, &is_taken))?;
    let mut names = BinaryHeap::from(names);
    Ok(std::iter::from_fn(move || {
        let name = names.pop()?;
        while names.peek().is_some_and(|older| older.stem == name.stem) {
            names.pop();
        }
        Some((day.join(name.file_name()), name))
    }))
}

/// What is locked in the home while the session with this id is started.
pub(super) fn start_of(home: &Path, id: &str) -> PathBuf {
    home.join("sessions").join(id)
}

/// What others have locked so, or have left.
pub(super) fn starts(home: &Path) -> Result<Vec<PathBuf>, BadFolder> {
    let sessions = home.join("sessions");
    let is_id = |name: &&str| name.len() + 1 == ID_LEN;
    names(&sessions, |name| Some(sessions.join(name.strip_suffix(LOCK).filter(is_id)?)))
}

/// A file that is not finished.
pub(super) struct Unfinished {
    pub(super) name: String,
    /// The first of the family for which it is written.
    pub(super) log: String,
    /// That is named as the log of a session is.
    pub(super) is_session: bool,
}

impl Unfinished {
    /// Takes the name apart that [`unfinished_beside`] gives.
    fn parse(name: &str) -> Option<Self> {
        let (log, writer) = name.strip_suffix(UNFINISHED)?.rsplit_once('.')?;
        let (process, number) = writer.split_once('-')?;
        process.parse::<u32>().ok().and(number.parse::<u64>().ok())?;
        let parsed = LogName::parse(log);
        let is_session = parsed.as_ref().is_some_and(|it| it.id().is_some());
        let first = parsed.map(|it| LogName { salvaged: 0, ..it }.file_name());
        let log = first.unwrap_or_else(|| log.to_owned());
        Some(Self { name: name.to_owned(), log, is_session })
    }
}

/// The name of the `number`-th file that this process writes, beside the log for which it is.
pub(super) fn unfinished_beside(log: &Path, number: u64) -> PathBuf {
    let process = std::process::id();
    beside(&first_of_family(log), &format!(".{process}-{number}{UNFINISHED}"))
}

/// What is unfinished in a folder.
pub(super) fn unfinished(folder: &Path) -> Result<Vec<Unfinished>, BadFolder> {
    names(folder, Unfinished::parse)
}
