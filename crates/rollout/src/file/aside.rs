//! A torn end of a log, set aside before the log is cut.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::disk::{Medium, write_all};
use super::home::Home;
use super::reading::LogFile;
use crate::store::{StoreError, beside};
use crate::{Replay, Source};

/// So much is copied at once.
const COPY_BYTES: usize = 64 * 1024;

/// Copies what follows the last whole line to `<log>.torn-<epoch>`, durably. What was set aside
/// before is kept: then the name gets a number more. A copy that an opener left who died before it
/// cut the log is used again.
pub(super) fn set_aside(
    home: &Home,
    file: &LogFile,
    path: &Path,
    replay: &Replay,
) -> Result<PathBuf, StoreError> {
    let name = beside(path, &format!(".torn-{}", replay.epoch + 1));
    let numbered = (2..).map(|number| beside(&name, &format!("-{number}")));
    for aside in std::iter::once(name.clone()).chain(numbered) {
        match File::open(&aside) {
            Ok(old) if !is_end(&old, file, replay.good_len).unwrap_or(false) => continue,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                home.put(path, &aside, |medium| copy_from(file, replay.good_len, medium))?;
            }
            Err(error) => return Err(StoreError::io("opening", &aside, error)),
        }
        home.sync_folder_of(&aside)?;
        return Ok(aside);
    }
    Ok(name)
}

/// Whether `old` is what `file` has from `offset` on.
fn is_end(old: &File, file: &LogFile, offset: u64) -> io::Result<bool> {
    let (mut a, mut b) = (vec![0; COPY_BYTES], vec![0; COPY_BYTES]);
    let mut at = 0;
    loop {
        let read = fill(old, at, &mut a)?;
        if read != fill(file, offset + at, &mut b)? || a[..read] != b[..read] {
            return Ok(false);
        }
        if read == 0 {
            return Ok(true);
        }
        at += read as u64;
    }
}

fn copy_from(file: &LogFile, offset: u64, medium: &mut dyn Medium) -> io::Result<()> {
    let mut buffer = vec![0; COPY_BYTES];
    let mut at = offset;
    loop {
        let read = fill(file, at, &mut buffer)?;
        if read == 0 {
            return Ok(());
        }
        write_all(medium, &buffer[..read])?;
        at += read as u64;
    }
}

/// Reads until `buffer` is full or the file at its end.
fn fill(source: &dyn Source, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match source.read_at(offset + filled as u64, &mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
