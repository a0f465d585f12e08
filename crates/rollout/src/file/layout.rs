//! Names and folders of log files, and how they are found.
//!
//! A log is `sessions/YYYY/MM/DD/rollout-<UTC time>-<id>.jsonl`. One that was damaged and salvaged
//! goes on beside it as `rollout-<UTC time>-<id>.salvaged-<epoch>.jsonl`, the newest being the one
//! with the highest epoch. All of these are one family: they have one lock, and count as one log.

use std::collections::BinaryHeap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::list::Owner;
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

/// The newest log of the session with this id. `owner_of` reads whose log it is out of its head, if
/// that can be read.
///
/// A log is looked for where its name says that it is. But names may change, and the log is right:
/// one of that name with another id is passed over, and if there is none, all heads are looked at.
/// A log of ours goes before one of another program: the session may have been taken over from that.
pub(super) fn find(
    home: &Path,
    id: &str,
    owner_of: impl Fn(&Path) -> io::Result<Option<Owner>>,
) -> io::Result<Option<PathBuf>> {
    let named = Found::among(home, id, true, None, &owner_of)?;
    if let Some(path) = named.ours {
        return Ok(Some(path));
    }
    let other = Found::among(home, id, false, None, &owner_of)?;
    Ok(other.ours.or(named.foreign).or(other.foreign))
}

/// The log of the session with this id that is there by its name, unless another program wrote it. It is
/// in no folder of before `since`, so that what starting a session costs does not grow with the home.
pub(super) fn find_named(
    home: &Path,
    id: &str,
    since: Option<&Path>,
    owner_of: impl Fn(&Path) -> io::Result<Option<Owner>>,
) -> io::Result<Option<PathBuf>> {
    Ok(Found::among(home, id, true, since, &owner_of)?.ours)
}

/// The newest logs of a session.
#[derive(Default)]
struct Found {
    /// Of ours; or else one of that name which cannot be read, and may be.
    ours: Option<PathBuf>,
    foreign: Option<PathBuf>,
}

impl Found {
    /// Among the logs whose names have the id, or among all others.
    fn among(
        home: &Path,
        id: &str,
        is_named: bool,
        since: Option<&Path>,
        owner_of: &impl Fn(&Path) -> io::Result<Option<Owner>>,
    ) -> io::Result<Self> {
        let mut found = Self::default();
        let since = since.map(|since| home.join(since));
        for day in days(home, None)? {
            let day = day?;
            if since.as_ref().is_some_and(|since| day < *since) {
                break;
            }
            for name in logs(&day, |stem| (id_of(stem) == Some(id)) == is_named)? {
                let path = day.join(name.file_name());
                match owner_of(&path)? {
                    Some(owner) if owner.id != id => {}
                    Some(owner) if owner.is_ours => return Ok(Self { ours: Some(path), ..found }),
                    Some(_) => drop(found.foreign.get_or_insert(path)),
                    None if is_named => drop(found.ours.get_or_insert(path)),
                    None => {}
                }
            }
        }
        Ok(found)
    }
}

/// The logs in a folder whose stems `is_taken` takes, newest first, one of each family.
///
/// A folder has no order, so that all names are read. But only those that are taken are kept, and only
/// those that are asked for are put in order.
pub(super) fn logs(
    day: &Path,
    is_taken: impl Fn(&str) -> bool,
) -> io::Result<impl Iterator<Item = LogName>> {
    let names = names(day, |name| LogName::parse_session(name, &is_taken))?;
    let mut names = BinaryHeap::from(names);
    Ok(std::iter::from_fn(move || {
        let name = names.pop()?;
        while names.peek().is_some_and(|older| older.stem == name.stem) {
            names.pop();
        }
        Some(name)
    }))
}

/// What is locked in the home while the session with this id is started.
pub(super) fn start_of(home: &Path, id: &str) -> PathBuf {
    home.join("sessions").join(id)
}

/// What others have locked so, or have left.
pub(super) fn starts(home: &Path) -> io::Result<Vec<PathBuf>> {
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
pub(super) fn unfinished(folder: &Path) -> io::Result<Vec<Unfinished>> {
    names(folder, Unfinished::parse)
}

/// The folders of days, newest first, from the one of `until` (`YYYY/MM/DD`) downwards, each year and
/// month read when it is come to.
pub(super) fn days(
    home: &Path,
    until: Option<&str>,
) -> io::Result<impl Iterator<Item = io::Result<PathBuf>>> {
    let sessions = home.join("sessions");
    let until = until.map(str::to_owned);
    let below = move |above: &str, digits| {
        let names = numbers(&sessions.join(above), digits)?
            .into_iter()
            .map(|name| if above.is_empty() { name } else { format!("{above}/{name}") });
        let is_later = |name: &String| {
            until.as_ref().is_some_and(|it| it.get(..name.len()) < Some(name.as_str()))
        };
        Ok(names.filter(|name| !is_later(name)).collect::<Vec<_>>())
    };
    let months = below.clone();
    let days = below.clone();
    let sessions = home.join("sessions");
    let months = below("", 4)?.into_iter().flat_map(move |year| each(months(&year, 2)));
    let days = months.flat_map(move |month| each(month.and_then(|month| days(&month, 2))));
    Ok(days.map(move |day| Ok(sessions.join(day?))))
}

/// Each of them, or what went wrong.
fn each(names: io::Result<Vec<String>>) -> Vec<io::Result<String>> {
    names.map_or_else(|error| vec![Err(error)], |names| names.into_iter().map(Ok).collect())
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
pub(super) fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}
