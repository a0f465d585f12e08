//! A damaged log goes on in a new file, which has its sound lines with new ordinals.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek};
use std::path::{Path, PathBuf};

use super::disk::{Medium, write_all};
use super::home::Home;
use super::layout::sibling;
use super::open::{Fit, replay_file};
use crate::store::{StoreError, beside};
use crate::{Damage, Flaw, OnDamage, Record, Replay};

/// Lines are gathered to this length before they are written.
const GATHERED_BYTES: usize = 256 * 1024;

/// Writes the file that continues the damaged `path`. That one stays as it is.
pub(super) fn salvage(
    home: &Home,
    file: &File,
    path: &Path,
    damaged: Replay,
) -> Result<Fit, StoreError> {
    let epoch = damaged.epoch + 1;
    let next = sibling(path, epoch).unwrap_or_else(|| unnamed_sibling(path, epoch));
    let medium = home.put(&next, |medium| copy_sound(file, &damaged, medium))?;
    home.sync_folder_of(&next)?;
    let copy = File::open(&next).map_err(|e| StoreError::io("opening", &next, e))?;
    let replay = replay_file(home, &copy, &next, OnDamage::Refuse)?;
    let replay = Replay { damage: damaged.damage, epoch: damaged.epoch, ..replay };
    let salvaged_from = Some(path.to_owned());
    Ok(Fit { replay, path: next, medium, set_aside: None, salvaged_from })
}

/// For a log that somebody gave another ending.
fn unnamed_sibling(path: &Path, epoch: u64) -> PathBuf {
    beside(path, &format!(".salvaged-{epoch}.jsonl"))
}

/// Copies the lines that the replay took.
fn copy_sound(file: &File, damaged: &Replay, medium: &mut dyn Medium) -> io::Result<()> {
    let left_out: BTreeSet<u64> =
        damaged.damage.iter().filter(|damage| is_left_out(damage)).map(|it| it.offset).collect();
    let mut file = file;
    file.rewind()?;
    let mut reader = BufReader::new(file.take(damaged.good_len));
    let (mut offset, mut ordinal) = (0, 0);
    let (mut line, mut gathered) = (Vec::new(), Vec::new());
    loop {
        line.clear();
        let read = if left_out.contains(&offset) {
            reader.skip_until(b'\n')?
        } else {
            reader.read_until(b'\n', &mut line)?
        };
        if let Ok(sealed) = Record::open(&line) {
            sealed.record.seal(ordinal, sealed.epoch, &mut gathered);
            ordinal += 1;
        }
        if read == 0 || gathered.len() >= GATHERED_BYTES {
            write_all(medium, &gathered)?;
            gathered.clear();
        }
        if read == 0 {
            return Ok(());
        }
        offset += read as u64;
    }
}

/// Whether a damaged line was left out. One with a higher ordinal than the next is sound itself.
fn is_left_out(damage: &Damage) -> bool {
    !matches!(damage.flaw, Flaw::Ordinal { expected, found } if found > expected)
}
