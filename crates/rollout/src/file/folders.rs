//! The folders of logs, one a day, and what they hold by its name.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A folder that cannot be read, or something else in its place.
#[derive(Debug)]
pub(super) struct BadFolder {
    pub(super) path: PathBuf,
    pub(super) error: io::Error,
}

impl BadFolder {
    /// A file has its name: no log is in it.
    pub(super) fn is_file(&self) -> bool {
        self.error.kind() == io::ErrorKind::NotADirectory
    }
}

impl From<BadFolder> for io::Error {
    fn from(BadFolder { path, error }: BadFolder) -> Self {
        Self::new(error.kind(), format!("{}: {error}", path.display()))
    }
}

/// The folders of days, newest first, from the one of `until` (`YYYY/MM/DD`) downwards, each year and
/// month read when it is come to. A bad one stands where it would; what has no such name is skipped.
pub(super) fn days(
    home: &Path,
    until: Option<&str>,
) -> Result<impl Iterator<Item = Result<PathBuf, BadFolder>>, BadFolder> {
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
fn each(names: Result<Vec<String>, BadFolder>) -> Vec<Result<String, BadFolder>> {
    names.map_or_else(|bad| vec![Err(bad)], |names| names.into_iter().map(Ok).collect())
}

/// The names in a folder that are numbers of so many digits, highest first.
fn numbers(folder: &Path, digits: usize) -> Result<Vec<String>, BadFolder> {
    let is_number = |name: &str| name.len() == digits && name.bytes().all(|b| b.is_ascii_digit());
    let mut found = names(folder, |name| is_number(name).then(|| name.to_owned()))?;
    found.sort_unstable_by(|a, b| b.cmp(a));
    Ok(found)
}

/// The names in a folder that are taken; a folder that is not there has none. A link that leads nowhere
/// is there.
pub(super) fn names<T>(
    folder: &Path,
    take: impl Fn(&str) -> Option<T>,
) -> Result<Vec<T>, BadFolder> {
    let bad = |error| BadFolder { path: folder.to_owned(), error };
    let entries = match fs::read_dir(folder) {
        Err(error) if is_absent(&error) && folder.symlink_metadata().is_err() => {
            return Ok(Vec::new());
        }
        entries => entries.map_err(bad)?,
    };
    let mut taken = Vec::new();
    for entry in entries {
        taken.extend(entry.map_err(bad)?.file_name().to_str().and_then(&take));
    }
    Ok(taken)
}

/// Nothing has that name: also where a file is in the place of a folder above.
pub(super) fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}
