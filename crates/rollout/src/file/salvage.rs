//! A damaged log goes on in a new file, which has its sound lines with new ordinals.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};

use super::blobs::BlobFolder;
use super::disk::{Medium, write_all};
use super::home::Home;
use super::layout::{salvaged_epoch, session_id, sibling};
use super::open::{Fit, replay_file};
use super::reading::{LogFile, Waiter};
use crate::replay::{LOST_LINES, without_lost};
use crate::scan::{Found, Line, Scan};
use crate::store::{StoreError, beside, shown};
use crate::{Flaw, MAX_LINE_BYTES, OnDamage, Record, RecordKind, Replay, Sealed, SessionMeta};

/// Lines are gathered to this length before they are written.
const GATHERED_BYTES: usize = 256 * 1024;

/// Writes the file that continues the damaged `path`. That one stays as it is.
pub(super) fn salvage(
    home: &Home,
    file: &LogFile,
    path: &Path,
    damaged: Replay,
) -> Result<Fit, StoreError> {
    // Of an epoch, all records may be lost. That of the file's name was there.
    let epoch = damaged.epoch.max(salvaged_epoch(path));
    let next = free_sibling(path, epoch + 1);
    let medium = home.put(path, &next, |medium| {
        let mut copy = Copy::new(medium);
        copy_sound(home, file, path, &damaged, &mut copy)?;
        copy.finish(path, epoch)
    })?;
    let replay = home
        .sync_folder_of(&next)
        .and_then(|()| reread(home, path, &next, &damaged, file.waiter()));
    let replay = replay.inspect_err(|_| {
        let _ = home.disk.remove(&next);
    })?;
    let replay = Replay { damage: damaged.damage, torn: damaged.torn, epoch, ..replay };
    let salvaged_from = Some(path.to_owned());
    Ok(Fit { replay, path: next, medium, set_aside: None, salvaged_from })
}

/// The damaged log for which `path` goes on, if nobody has gone on with that yet; and with what was left
/// out, which is read out of the damaged one anew. Who salvaged it may have died before anybody was told.
pub(super) fn told_again(
    home: &Home,
    path: &Path,
    replay: Replay,
    waiter: &Waiter,
) -> (Replay, Option<PathBuf>) {
    // A name and no path, whatever stands there.
    let from = replay.salvaged_from.as_ref().and_then(|from| Path::new(from).file_name());
    let Some(from) = from.map(|from| path.with_file_name(from)) else { return (replay, None) };
    let damaged = LogFile::open(&from, waiter)
        .and_then(|file| replay_file(home, &file, &from, OnDamage::Salvage));
    // It may be gone: then its name is all that is known.
    let Ok(damaged) = damaged else { return (replay, Some(from)) };
    let torn = replay.torn.or(damaged.torn);
    (Replay { damage: damaged.damage, torn, ..replay }, Some(from))
}

/// A name that no file has, not even one that is damaged.
fn free_sibling(path: &Path, epoch: u64) -> PathBuf {
    // For a log that somebody gave another ending.
    let other = |epoch| beside(path, &format!(".salvaged-{epoch}.jsonl"));
    let names = (epoch..).map(|epoch| sibling(path, epoch).unwrap_or_else(|| other(epoch)));
    { names }.find(|name| name.symlink_metadata().is_err()).unwrap_or_else(|| other(epoch))
}

/// Replays the new file. It must say what the damaged one says without what was left out: the
/// places that later records name may have moved in a way that no record can tell.
fn reread(
    home: &Home,
    path: &Path,
    next: &Path,
    damaged: &Replay,
    waiter: &Waiter,
) -> Result<Replay, StoreError> {
    let copy = LogFile::open(next, waiter)?;
    let told = |it: &Replay| it.told.iter().map(|(at, _)| *at).collect::<Vec<_>>();
    match (replay_file(home, &copy, next, OnDamage::Refuse), damaged.damage.first()) {
        (Ok(replay), _) if replay.items == damaged.items && told(&replay) == told(damaged) => {
            Ok(replay)
        }
        (Ok(_) | Err(StoreError::Damaged { .. }), Some(first)) => {
            Err(StoreError::Damaged { path: shown(path), damage: Box::new(first.clone()) })
        }
        (Ok(replay), None) => Ok(replay),
        (Err(error), _) => Err(error),
    }
}

/// Copies the lines that the replay took, and holds the places of items that were lost.
fn copy_sound(
    home: &Home,
    file: &LogFile,
    path: &Path,
    damaged: &Replay,
    copy: &mut Copy<'_>,
) -> io::Result<()> {
    let at_fault: BTreeMap<u64, &Flaw> =
        damaged.damage.iter().map(|damage| (damage.offset, &damage.flaw)).collect();
    let blobs = BlobFolder::of(home, path);
    let mut scan = Scan::new(file, MAX_LINE_BYTES)?;
    let mut lost_inputs = BTreeSet::new();
    while let Some(found) = scan.next()? {
        let line = match found {
            Found::Line(line) => line,
            Found::LostItem(_, at) => {
                copy.lose(at)?;
                continue;
            }
            Found::Damage(_) | Found::Torn(_) => continue,
        };
        let flaw = at_fault.get(&line.offset).filter(|it| !matches!(it, Flaw::Ordinal { .. }));
        match (flaw, &line.head.kind) {
            // Its item went with the input.
            (None, _) if line.head.input.as_ref().is_some_and(|id| lost_inputs.contains(id)) => {
                copy.lose(None)?;
            }
            (None, _) => {
                let sealed = read_record(&scan, &line)?;
                copy.add(path, &sealed.record, sealed.epoch)?;
            }
            (Some(_), Some(RecordKind::Input)) => {
                lost_inputs.extend(input_id(&scan.line(&line)?));
            }
            // The item had its place before it was found that it cannot be read.
            (Some(Flaw::Blob { .. } | Flaw::Payload(_)), Some(RecordKind::ResponseItem)) => {
                copy.lose(line.head.at)?;
            }
            // So had those that it put in the place of others.
            (
                Some(Flaw::Blob { .. } | Flaw::Payload(_)),
                Some(RecordKind::Compacted | RecordKind::Edited),
            ) => {
                let sealed = read_record(&scan, &line)?;
                if let Some(record) = without_lost(&sealed.record, &blobs) {
                    copy.add(path, &record, sealed.epoch)?;
                }
            }
            (Some(_), _) => {}
        }
    }
    copy.end_grants()?;
    match damaged.turn.as_ref().filter(|turn| turn.has_lost_lines) {
        Some(turn) => copy.tell_lost_lines(&turn.turn_id),
        None => Ok(()),
    }
}

/// The record in the line that was found last.
fn read_record(scan: &Scan<'_>, line: &Line) -> io::Result<Sealed> {
    Record::open(&scan.line(line)?).map_err(io::Error::other)
}

/// The input that a line is about.
fn input_id(line: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Input {
        id: String,
    }
    let sealed = Record::open(line).ok()?;
    serde_json::from_str::<Input>(sealed.record.payload.get()).ok().map(|input| input.id)
}

/// The lines of the new file, on their way to it.
struct Copy<'a> {
    medium: &'a mut dyn Medium,
    gathered: Vec<u8>,
    ordinal: u64,
    epoch: u64,
    timestamp: Timestamp,
    has_grants: bool,
    /// The places of items that were lost before the first record, which names the session.
    early: Vec<Option<usize>>,
}

impl<'a> Copy<'a> {
    fn new(medium: &'a mut dyn Medium) -> Self {
        let (gathered, timestamp) = (Vec::new(), Timestamp::UNIX_EPOCH);
        let (has_grants, early) = (false, Vec::new());
        Self { medium, gathered, ordinal: 0, epoch: 1, timestamp, has_grants, early }
    }

    /// Adds a record; before the first, the name of the session, if that was lost.
    fn add(&mut self, path: &Path, record: &Record, epoch: u64) -> io::Result<()> {
        (self.epoch, self.timestamp) = (epoch, record.timestamp);
        self.has_grants |= record.kind == RecordKind::Grant;
        if self.ordinal > 0 || record.kind == RecordKind::SessionMeta {
            return self.push(record);
        }
        if let Some(id) = session_id(path) {
            let meta = SessionMeta::new(id, record.timestamp);
            let payload = to_raw_value(&meta).map_err(io::Error::other)?;
            self.push(&Record::new(record.timestamp, RecordKind::SessionMeta, payload))?;
        }
        for at in std::mem::take(&mut self.early) {
            self.push(&self.lost(at))?;
        }
        self.push(record)
    }

    /// Adds the place of an item that was lost.
    fn lose(&mut self, at: Option<usize>) -> io::Result<()> {
        if self.ordinal == 0 {
            self.early.push(at);
            return Ok(());
        }
        self.push(&self.lost(at))
    }

    fn lost(&self, at: Option<usize>) -> Record {
        // An empty object, which is what these have for a payload.
        let payload = RawValue::from_string("{}".into()).unwrap_or_default();
        let lost = Record::new(self.timestamp, RecordKind::LostItem, payload);
        match at {
            Some(at) => lost.with_at(at),
            None => lost,
        }
    }

    /// What was lost may have ended approvals.
    fn end_grants(&mut self) -> io::Result<()> {
        if !self.has_grants {
            return Ok(());
        }
        self.say(RecordKind::Grant, &json!({"cleared": true}))
    }

    /// What was lost may have said more of the calls of the open turn.
    fn tell_lost_lines(&mut self, turn_id: &str) -> io::Result<()> {
        self.say(RecordKind::Call, &json!({"turn_id": turn_id, "state": LOST_LINES}))
    }

    fn say(&mut self, kind: RecordKind, payload: &Value) -> io::Result<()> {
        let payload = to_raw_value(payload).map_err(io::Error::other)?;
        self.push(&Record::new(self.timestamp, kind, payload))
    }

    fn push(&mut self, record: &Record) -> io::Result<()> {
        record.seal(self.ordinal, self.epoch, &mut self.gathered);
        self.ordinal += 1;
        if self.gathered.len() < GATHERED_BYTES {
            return Ok(());
        }
        write_all(self.medium, &self.gathered)?;
        self.gathered.clear();
        Ok(())
    }

    /// Ends with the record that says `from` which damaged log this is a copy: as long as none follows it,
    /// whoever opens this one is told. `epoch` is the newest of which anything is known.
    fn finish(mut self, from: &Path, epoch: u64) -> io::Result<()> {
        self.epoch = epoch;
        let from = from.file_name().unwrap_or_default().to_string_lossy();
        self.say(RecordKind::Salvaged, &json!({"from": from}))?;
        write_all(self.medium, &self.gathered)
    }
}
