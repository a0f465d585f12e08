//! Names and folders of log files, and how they are found.
//!
//! A log is `sessions/YYYY/MM/DD/rollout-<UTC time>-<id>.jsonl`. One that was damaged and salvaged
//! goes on beside it as `rollout-<UTC time>-<id>.salvaged-<epoch>.jsonl`, the newest being the one
//! with the highest epoch. All of these are one family: they have one lock, and count as one log.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::store::beside;

const EXTENSION: &str = ".jsonl";
const SALVAGED: &str = ".salvaged-";
const FIRST: &str = "rollout-";
const UNFINISHED: &str = ".new";

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
        let stem = name.strip_suffix(EXTENSION).filter(|stem| !stem.is_empty())?;
        let salvaged = stem.rsplit_once(SALVAGED);
        let salvaged = salvaged.and_then(|(stem, epoch)| Some((stem, epoch.parse().ok()?)));
        let (stem, salvaged) = salvaged.unwrap_or((stem, 0));
        Some(Self { stem: stem.to_owned(), salvaged })
    }

    /// The same of a name in the folders of sessions, where other files are skipped.
    fn parse_session(name: &str) -> Option<Self> {
        Self::parse(name).filter(|name| name.id().is_some())
    }

    /// The session's id, as the name has it.
    pub(super) fn id(&self) -> Option<&str> {
        let rest = self.stem.strip_prefix(FIRST)?;
        rest.get(rest.len().checked_sub(ID_LEN)?..)?.strip_prefix('-')
    }

    pub(super) fn file_name(&self) -> String {
        match self.salvaged {
            0 => format!("{}{EXTENSION}", self.stem),
            epoch => format!("{}{SALVAGED}{epoch}{EXTENSION}", self.stem),
        }
    }
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

/// The newest log of the session with this id. `id_in` reads the id that a log's head has, if it can
/// be read.
///
/// A log is looked for where its name says that it is. But names may change, and the log is right:
/// one of that name with another id is passed over, and if there is none, all heads are looked at.
pub(super) fn find(
    home: &Path,
    id: &str,
    id_in: impl Fn(&Path) -> io::Result<Option<String>>,
) -> io::Result<Option<PathBuf>> {
    for is_named in [true, false] {
        for day in days(home, None)? {
            for name in logs(&day)?.into_iter().filter(|it| (it.id() == Some(id)) == is_named) {
                let path = day.join(name.file_name());
                if id_in(&path)?.map_or(is_named, |found| found == id) {
                    return Ok(Some(path));
                }
            }
        }
    }
    Ok(None)
}

/// The logs in a folder, newest first, one of each family.
pub(super) fn logs(day: &Path) -> io::Result<Vec<LogName>> {
    let mut names = names(day, LogName::parse_session)?;
    names.sort_unstable_by(|a, b| b.cmp(a));
    names.dedup_by(|next, kept| next.stem == kept.stem);
    Ok(names)
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
pub(super) fn unfinished(folder: &Path) -> io::Result<Vec<Unfinished>> {
    names(folder, Unfinished::parse)
}

/// The folders of days, newest first, from the one of `until` (`YYYY/MM/DD`) downwards.
pub(super) fn days(home: &Path, until: Option<&str>) -> io::Result<Vec<PathBuf>> {
    let sessions = home.join("sessions");
    let mut days = Vec::new();
    for year in numbers(&sessions, 4)? {
        for month in numbers(&sessions.join(&year), 2)? {
            for day in numbers(&sessions.join(&year).join(&month), 2)? {
                let name = format!("{year}/{month}/{day}");
                if until.is_none_or(|until| name.as_str() <= until) {
                    days.push(sessions.join(name));
                }
            }
        }
    }
    Ok(days)
}

/// The names in a folder that are numbers of so many digits, highest first.
fn numbers(folder: &Path, digits: usize) -> io::Result<Vec<String>> {
    let is_number = |name: &str| name.len() == digits && name.bytes().all(|b| b.is_ascii_digit());
    let mut found = names(folder, |name| is_number(name).then(|| name.to_owned()))?;
    found.sort_unstable_by(|a, b| b.cmp(a));
    Ok(found)
}

/// The names in a folder that are taken; a folder that is not there has none.
fn names<T>(folder: &Path, take: impl Fn(&str) -> Option<T>) -> io::Result<Vec<T>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if is_absent(&error) => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut taken = Vec::new();
    for entry in entries {
        taken.extend(entry?.file_name().to_str().and_then(&take));
    }
    Ok(taken)
}

/// No folder of that name: also where a file has it.
fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}
