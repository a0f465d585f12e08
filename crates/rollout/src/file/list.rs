//! The list of log files: names are read folder by folder from the newest, heads of files only as
//! far as the page needs them.

use std::fs::File;
use std::io;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};

use super::folders::{BadFolder, days};
use super::layout::logs;
use super::reading::Waiter;
use crate::Source;
use crate::list::{Cursor, HEAD_BYTES, Head, Owner, Page, Query, Summary, Unreadable};
use crate::store::StoreError;

/// So much of a file is read at once: enough for the head of most.
const READ_BYTES: usize = 8 * 1024;

/// So many files are looked at for one page. A filter that takes hardly any gives short pages.
const MAX_LOOKED_AT: usize = 10_000;

const A_DAY: SignedDuration = SignedDuration::from_hours(24);

/// `YYYY/MM/DD/` and the stem of a name.
const DAY_LEN: usize = 10;

pub(super) fn list(home: &Path, query: &Query, waiter: &Waiter) -> Result<Page, StoreError> {
    let after = query.cursor.as_ref().map(read_cursor).transpose()?;
    let failed = |error| StoreError::io("listing", home, error);
    let mut page = Page::default();
    let mut looked_at = 0;
    let is_full = |page: &Page, looked_at| page.is_full(query) || looked_at == MAX_LOOKED_AT;
    // Others name folders by local days.
    let first = query.since.map(|since| day_of(since.saturating_sub(A_DAY).unwrap_or(since)));
    for day in days(home, after.map(|(day, _)| day)).map_err(|bad| failed(bad.into()))? {
        let date = date(home, day.as_ref().unwrap_or_else(|bad| &bad.path));
        if first.as_ref().is_some_and(|first| *date < first[..date.len().min(first.len())]) {
            break;
        }
        // What earlier pages have is not looked at again.
        let is_left = |stem: &str| after.is_none_or(|after| (date.as_str(), stem) < after);
        let logs = match day.and_then(|day| logs(day, is_left)) {
            Ok(logs) => logs,
            // The next page names it.
            Err(_) if is_full(&page, looked_at) => return Ok(page),
            Err(BadFolder { path, error }) => {
                page.unreadable.push(Unreadable { path, problem: error.to_string() });
                continue;
            }
        };
        for (path, name) in logs {
            if is_full(&page, looked_at) {
                return Ok(page);
            }
            waiter.check().map_err(failed)?;
            looked_at += 1;
            page.add(query, look_at(&path));
            page.next = Some(Cursor::new(format!("{date}/{}", name.stem)));
        }
    }
    page.next = None;
    Ok(page)
}

/// The day and the stem behind which a page begins.
fn read_cursor(cursor: &Cursor) -> Result<(&str, &str), StoreError> {
    let split = cursor.as_str().split_at_checked(DAY_LEN);
    let is_day = |day: &str| day.bytes().all(|b| b.is_ascii_digit() || b == b'/');
    split
        .and_then(|(day, stem)| Some((day, stem.strip_prefix('/')?)))
        .filter(|(day, _)| is_day(day))
        .ok_or_else(|| cursor.refused())
}

fn day_of(time: Timestamp) -> String {
    time.strftime("%Y/%m/%d").to_string()
}

/// The date that a folder is for, or the beginning of the dates.
fn date(home: &Path, folder: &Path) -> String {
    let date = folder.strip_prefix(home.join("sessions")).unwrap_or(folder);
    date.to_string_lossy().replace(std::path::MAIN_SEPARATOR, "/")
}

fn look_at(path: &Path) -> Result<Summary, Unreadable> {
    let unreadable = |problem| Unreadable { path: path.to_owned(), problem };
    let (head, updated_at) = read_head(path).map_err(|e| unreadable(e.to_string()))?;
    let session = head.into_summary(Some(path.to_owned())).map_err(unreadable)?;
    Ok(Summary { updated_at, ..session })
}

/// Whose log it is, by its first line; `None` if that cannot be read.
pub(super) fn owner_of(path: &Path) -> Option<Owner> {
    let file = open(path).ok()?;
    let mut bytes = Vec::new();
    while !bytes.contains(&b'\n')
        && bytes.len() < HEAD_BYTES
        && read_more(&file, &mut bytes).ok()?
    {}
    Owner::read(&bytes)
}

/// Reads more of a file until its head is complete, up to a limit.
fn read_head(path: &Path) -> io::Result<(Head, Option<Timestamp>)> {
    let file = open(path)?;
    let updated_at = file.metadata()?.modified().ok().and_then(|time| time.try_into().ok());
    let mut bytes = Vec::new();
    loop {
        let is_end = !read_more(&file, &mut bytes)? || bytes.len() >= HEAD_BYTES;
        let head = Head::read(&bytes);
        if is_end || matches!(head, Head::Complete(_) | Head::Bad(_)) {
            return Ok((head, updated_at));
        }
    }
}

/// A pipe would be waited for.
fn open(path: &Path) -> io::Result<File> {
    if path.metadata()?.is_file() {
        File::open(path)
    } else {
        Err(io::Error::other("no regular file"))
    }
}

/// Reads the next bytes; false at the end of the file.
fn read_more(file: &File, bytes: &mut Vec<u8>) -> io::Result<bool> {
    let start = bytes.len();
    bytes.resize(start + READ_BYTES, 0);
    let read = file.read_at(start as u64, &mut bytes[start..])?;
    bytes.truncate(start + read);
    Ok(read > 0)
}
