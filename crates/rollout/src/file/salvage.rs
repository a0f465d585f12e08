//! A damaged log goes on in a new file, which has its sound lines with new ordinals.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use memchr::memchr;

use super::aside::fill;
use super::disk::{Medium, write_all};
use super::home::Home;
use super::layout::{salvaged_epoch, sibling};
use super::open::{Fit, replay_file};
use crate::scan::{Found, Scan};
use crate::store::{StoreError, beside, shown};
use crate::{Flaw, MAX_LINE_BYTES, OnDamage, Record, Replay};

/// Lines are gathered to this length before they are written.
const GATHERED_BYTES: usize = 256 * 1024;

/// So much of a line is read at once.
const READ_BYTES: usize = 16 * 1024;

/// Writes the file that continues the damaged `path`. That one stays as it is.
pub(super) fn salvage(
    home: &Home,
    file: &File,
    path: &Path,
    damaged: Replay,
) -> Result<Fit, StoreError> {
    // Of an epoch, all records may be lost. That of the file's name was there.
    let epoch = damaged.epoch.max(salvaged_epoch(path));
    let next = free_sibling(path, epoch + 1);
    let medium = home.put(&next, |medium| copy_sound(file, &damaged, medium))?;
    let replay = home.sync_folder_of(&next).and_then(|()| reread(home, path, &next, &damaged));
    let replay = replay.inspect_err(|_| {
        let _ = home.disk.remove(&next);
    })?;
    let replay = Replay { damage: damaged.damage, epoch, ..replay };
    let salvaged_from = Some(path.to_owned());
    Ok(Fit { replay, path: next, medium, set_aside: None, salvaged_from })
}

/// A name that no file has, not even one that is damaged.
fn free_sibling(path: &Path, epoch: u64) -> PathBuf {
    // For a log that somebody gave another ending.
    let other = |epoch| beside(path, &format!(".salvaged-{epoch}.jsonl"));
    let names = (epoch..).map(|epoch| sibling(path, epoch).unwrap_or_else(|| other(epoch)));
    { names }.find(|name| name.symlink_metadata().is_err()).unwrap_or_else(|| other(epoch))
}

/// Replays the new file, which must say what the damaged one says without what was left out: the
/// places that later records name may have moved.
fn reread(home: &Home, path: &Path, next: &Path, damaged: &Replay) -> Result<Replay, StoreError> {
    let copy = File::open(next).map_err(|e| StoreError::io("opening", next, e))?;
    let replay = replay_file(home, &copy, next, OnDamage::Refuse)?;
    let told = |it: &Replay| it.told.iter().map(|(at, _)| *at).collect::<Vec<_>>();
    if replay.items != damaged.items || told(&replay) != told(damaged) {
        let damage = damaged.damage.first().cloned().map(Box::new);
        return Err(damage.map_or_else(
            || StoreError::Foreign { path: shown(path) },
            |damage| StoreError::Damaged { path: shown(path), damage },
        ));
    }
    Ok(replay)
}

/// Copies the lines that the replay took.
fn copy_sound(file: &File, damaged: &Replay, medium: &mut dyn Medium) -> io::Result<()> {
    let is_own = |flaw: &Flaw| !matches!(flaw, Flaw::Ordinal { .. });
    let at_fault = damaged.damage.iter().filter(|damage| is_own(&damage.flaw));
    let at_fault: BTreeSet<u64> = at_fault.map(|damage| damage.offset).collect();
    let mut scan = Scan::new(file, MAX_LINE_BYTES)?;
    let (mut bytes, mut gathered, mut ordinal) = (Vec::new(), Vec::new(), 0);
    while let Some(found) = scan.next()? {
        let Found::Line(line) = found else { continue };
        if at_fault.contains(&line.offset) {
            continue;
        }
        read_line(file, line.offset, &mut bytes)?;
        let sealed = Record::open(&bytes).map_err(io::Error::other)?;
        sealed.record.seal(ordinal, sealed.epoch, &mut gathered);
        ordinal += 1;
        if gathered.len() >= GATHERED_BYTES {
            write_all(medium, &gathered)?;
            gathered.clear();
        }
    }
    write_all(medium, &gathered)
}

/// Reads the line that starts at `offset`.
fn read_line(file: &File, mut offset: u64, line: &mut Vec<u8>) -> io::Result<()> {
    line.clear();
    loop {
        let start = line.len();
        line.resize(start + READ_BYTES, 0);
        let read = fill(file, offset, &mut line[start..])?;
        offset += read as u64;
        line.truncate(start + read);
        if let Some(end) = memchr(b'\n', &line[start..]) {
            line.truncate(start + end);
            return Ok(());
        }
        if read == 0 {
            return Ok(());
        }
    }
}
