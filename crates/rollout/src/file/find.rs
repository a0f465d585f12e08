//! How the log of a session is found.

use std::io;
use std::path::{Path, PathBuf};

use super::folders::{BadFolder, days};
use super::layout::{has_id, logs};
use crate::list::Owner;

/// The newest log of the session with this id. `owner_of` reads whose log it is out of its head, if
/// that can be read.
///
/// A log is looked for where its name says that it is. But names may change, and the log is right:
/// one of that name with another id is passed over, and if there is none, all heads are looked at.
/// A log of ours goes before one of another program: the session may have been taken over from that.
/// A folder that cannot be read is an error if the log is in no other.
pub(super) fn find(
    home: &Path,
    id: &str,
    owner_of: impl Fn(&Path) -> io::Result<Option<Owner>>,
) -> io::Result<Option<PathBuf>> {
    let named = Found::among(home, id, true, None, &owner_of)?;
    if named.ours.is_some() {
        return Ok(named.ours);
    }
    let other = Found::among(home, id, false, None, &owner_of)?;
    if let Some(bad) = named.bad.filter(|_| other.ours.is_none()) {
        return Err(bad.into());
    }
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
    match Found::among(home, id, true, since, &owner_of)? {
        Found { ours: None, bad: Some(bad), .. } => Err(bad.into()),
        found => Ok(found.ours),
    }
}

/// The newest logs of a session.
#[derive(Default)]
struct Found {
    /// Of ours; or else one of that name which cannot be read, and may be.
    ours: Option<PathBuf>,
    foreign: Option<PathBuf>,
    /// A folder in which there may be more.
    bad: Option<BadFolder>,
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
        let is_before = |folder: &Path| {
            since.as_ref().is_some_and(|since| folder < since && !since.starts_with(folder))
        };
        for day in days(home, None)? {
            if is_before(day.as_ref().unwrap_or_else(|bad| &bad.path)) {
                break;
            }
            let is_taken = |stem: &str| has_id(stem, id) == is_named;
            let logs = match day.and_then(|day| logs(day, is_taken)) {
                Ok(logs) => logs,
                Err(bad) => {
                    found.bad = found.bad.or(Some(bad).filter(|bad| !bad.is_file()));
                    continue;
                }
            };
            for (path, _) in logs {
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
