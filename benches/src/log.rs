//! Session logs of any length, with the records that a session writes: turns of the
//! [coding session](crate::session), each with its settings, its use of tokens and its end.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use longhaul_rollout::{Record, RecordKind, SessionMeta, log_path};
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};

use crate::answer::Failure;
use crate::session::{self, TURN_ITEMS};

/// The session whose log it is.
pub const ID: &str = "01a20298-0571-7a40-bd9c-36a08a0bd337";
/// When each of its records was made.
pub const TIME: &str = "2026-11-28T10:00:00Z";

/// So much text is compacted, in bytes: what 150,000 tokens take.
const FULL_BYTES: usize = 600_000;
/// What a compaction keeps as it is, in items.
const KEPT_ITEMS: usize = 2 * TURN_ITEMS;
/// What it adds: the user's messages, and a summary.
const BRIDGE_BYTES: usize = 40_000;
/// Turns behind the last compaction.
const LAST_TURNS: usize = 10;

/// A log that was written.
#[derive(Debug, Clone, Copy, Default)]
pub struct Written {
    /// Its length.
    pub bytes: u64,
    /// What it comes to: the texts of the items that are active at its end.
    pub active_bytes: usize,
    /// How many items that are.
    pub active_items: usize,
    /// How often it was compacted.
    pub compactions: usize,
}

/// Writes the log of [`ID`] under `home`, where a store of files looks for it, at least `bytes` long.
/// With compactions little is active at its end, and as much whatever its length; without, all of it.
///
/// # Errors
///
/// What the system says.
pub fn write(home: &Path, bytes: u64, compacts: bool) -> Result<(PathBuf, Written), Failure> {
    let path = home.join(log_path(TIME.parse()?, ID)?);
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut log = Log::new(BufWriter::new(File::create(&path)?));
    log.append(RecordKind::SessionMeta, to_raw_value(&SessionMeta::new(ID, TIME.parse()?))?)?;
    while log.written.bytes < bytes {
        log.turn()?;
        if compacts && log.written.active_bytes >= FULL_BYTES {
            log.compact()?;
        }
    }
    if compacts {
        log.compact()?;
        (0..LAST_TURNS).try_for_each(|_| log.turn())?;
    }
    log.out.flush()?;
    Ok((path, log.written))
}

/// The log of a session with a turn of its own, as a list shows it: started in the minute `minute`, and
/// every tenth in another folder.
///
/// # Errors
///
/// What the system says.
pub fn write_short(home: &Path, minute: usize) -> Result<(), Failure> {
    let (day, hour) = (minute / 1_440 % 28 + 1, minute / 60 % 24);
    let time = format!("2026-11-{day:02}T{hour:02}:{:02}:00Z", minute % 60);
    let id = format!("01a20298-0571-7a40-bd9c-{minute:012x}");
    let path = home.join(log_path(time.parse()?, &id)?);
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut log = Log::new(File::create(path)?);
    let mut meta = SessionMeta::new(id, time.parse()?);
    meta.cwd = Some(
        if minute.is_multiple_of(10) { "/home/user/other" } else { "/home/user/project" }.into(),
    );
    log.append(RecordKind::SessionMeta, to_raw_value(&meta)?)?;
    log.turn()
}

struct Log<W> {
    out: W,
    /// Of the line that is written now.
    line: Vec<u8>,
    ordinal: u64,
    /// The session's next item.
    item: usize,
    written: Written,
    /// The lengths of the newest items.
    newest: Vec<usize>,
}

impl<W: Write> Log<W> {
    fn new(out: W) -> Self {
        let (line, newest, written) = (Vec::new(), Vec::new(), Written::default());
        Self { out, line, ordinal: 0, item: 0, written, newest }
    }

    fn turn(&mut self) -> Result<(), Failure> {
        let turn_id = format!("turn_{}", self.item / TURN_ITEMS);
        // Fields in the order in which a session writes them.
        let context = format!(
            r#"{{"turn_id":"{turn_id}","model":"gpt-5","approval_policy":"on_request","cwd":"/home/user/project","told":true}}"#
        );
        self.append(RecordKind::TurnContext, RawValue::from_string(context)?)?;
        for text in session::texts(self.item, TURN_ITEMS) {
            self.count(text.len());
            self.append(RecordKind::ResponseItem, RawValue::from_string(text)?)?;
        }
        self.item += TURN_ITEMS;
        let usage = json!({"total_tokens": 1_000 * self.item, "input_tokens": 900 * self.item,
            "output_tokens": 100 * self.item});
        let info = json!({"total_token_usage": usage, "last_token_usage": usage});
        let count = format!(
            r#"{{"type":"token_count","info":{info},"rate_limits":null,"cost":0.0,"models":{{}}}}"#
        );
        self.append(RecordKind::EventMsg, RawValue::from_string(count)?)?;
        let end = format!(r#"{{"type":"task_complete","turn_id":"{turn_id}"}}"#);
        self.append(RecordKind::EventMsg, RawValue::from_string(end)?)
    }

    /// All but the newest items become one.
    fn compact(&mut self) -> Result<(), Failure> {
        let text = "So far, the parser keeps \"quoted\" words. ".repeat(BRIDGE_BYTES / 40);
        let bridge = json!({"type": "message", "role": "user",
            "content": [{"type": "input_text", "text": text}]});
        let replaced = self.written.active_items;
        let parts = json!([{"new": bridge}, {"keep": [replaced - KEPT_ITEMS, replaced]}]);
        let compaction =
            format!(r#"{{"replaced":{replaced},"parts":{parts},"report":{{}},"told":null}}"#);
        self.append(RecordKind::Compacted, RawValue::from_string(compaction)?)?;
        let kept = self.newest.split_off(self.newest.len() - KEPT_ITEMS);
        self.newest.clear();
        (self.written.active_bytes, self.written.active_items) = (0, 0);
        self.written.compactions += 1;
        self.count(bridge.to_string().len());
        for bytes in kept {
            self.count(bytes);
        }
        Ok(())
    }

    fn count(&mut self, bytes: usize) {
        self.written.active_bytes += bytes;
        self.written.active_items += 1;
        self.newest.push(bytes);
    }

    fn append(&mut self, kind: RecordKind, payload: Box<RawValue>) -> Result<(), Failure> {
        self.line.clear();
        Record::new(TIME.parse()?, kind, payload).seal(self.ordinal, 1, &mut self.line);
        self.ordinal += 1;
        self.written.bytes += self.line.len() as u64;
        Ok(self.out.write_all(&self.line)?)
    }
}
