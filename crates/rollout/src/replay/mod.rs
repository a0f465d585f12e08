//! What a log says: the conversation, and all else that a session goes on from.

mod conversation;
mod cut;
mod exchanged;
mod finish;
mod fold;
mod foreign;
mod lost;
mod payload;
mod reading;
mod recent;
mod shown;
mod stands;
mod sums;
mod text;
mod told;
mod turn;

use std::collections::BTreeMap;
use std::io;

use jiff::Timestamp;
use longhaul_history::Item;
use serde_json::value::RawValue;

use crate::scan::Scan;
use crate::{Blobs, Damage, Flaw, OnDamage, ReadError, SessionMeta, Source, Torn};
pub use exchanged::Exchanged;
use fold::Fold;
use reading::{Place, Reading};
pub use recent::{RECENT_BYTES, RECENT_MESSAGES, RecentMessages};
use text::Log;

pub(crate) use lost::without_lost;
pub(crate) use payload::LOST_LINES;

/// The longest line that is read by default: 1 GiB.
pub const MAX_LINE_BYTES: u64 = 1 << 30;

/// How to read a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReplayConfig {
    /// What to do about lines that are not sound. [`OnDamage::Refuse`] by default.
    pub on_damage: OnDamage,
    /// The ordinal of the last record to read; `None`, the default, reads all. Of a log without
    /// ordinals, the number of the record, from 0.
    pub through: Option<u64>,
    /// A longer line is damage. [`MAX_LINE_BYTES`] by default.
    pub max_line_bytes: u64,
    /// Read also what the last compaction took the place of: [`Replay::exchanged`]. Not by default: it
    /// takes the memory of the conversation before it, and once more of that behind it.
    pub exchanged: bool,
    /// Read also when each item was recorded: [`Replay::times`]. Not by default: it is one more piece of
    /// the log to read for each.
    pub times: bool,
}

impl Default for ReplayConfig {
    fn default() -> Self {
        Self {
            on_damage: OnDamage::Refuse,
            through: None,
            max_line_bytes: MAX_LINE_BYTES,
            exchanged: false,
            times: false,
        }
    }
}

impl From<OnDamage> for ReplayConfig {
    fn from(on_damage: OnDamage) -> Self {
        Self { on_damage, ..Self::default() }
    }
}

/// What a log says at its end, or at the record up to which it was read.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Replay {
    /// Which session this is; `None` only where that was lost, and the rest salvaged.
    pub meta: Option<SessionMeta>,
    /// The conversation.
    pub items: Vec<ReplayItem>,
    /// When the record of each item was made, if [`ReplayConfig::times`] asked for it; else empty. Of an
    /// input that waited, when that was accepted; of what a fork or an import took over, when it did;
    /// `None` where the log does not say.
    pub times: Vec<Option<Timestamp>>,
    /// What was said last, also what the conversation no longer has, since it was compacted.
    pub recent: RecentMessages,
    /// The item that is appended next starts a turn.
    pub next_starts_turn: bool,
    /// The newest settings: the payload of a `turn_context` or `settings`.
    pub settings: Option<Box<RawValue>>,
    /// The number of the line that has them, from 1.
    pub settings_line: Option<u64>,
    /// The payload of the newest `surface`: what the session works with besides its settings.
    pub surface: Option<Box<RawValue>>,
    /// Which settings the model was told, each from which item on.
    pub told: Vec<(usize, Box<RawValue>)>,
    /// There is a compaction that may be taken back: the last, which was not.
    pub has_compaction: bool,
    /// That compaction, if [`ReplayConfig::exchanged`] asked for it.
    pub exchanged: Option<Exchanged>,
    /// What the `token_count`s say together, as the payload of one: of each field, and of each of
    /// `models` by its name, the newest. Of another program's log, the payload of the newest.
    pub token_count: Option<Box<RawValue>>,
    /// The payloads of `breaker` records, oldest first: what was seen stands in all of them, all else in
    /// the last.
    pub breaker: Vec<Box<RawValue>>,
    /// Digests of what was approved for the length of the session, oldest first. None where lines were left
    /// out: one of them may have ended an approval.
    pub grants: Vec<String>,
    /// The payloads of inputs that were accepted and wait, oldest first.
    pub inputs: Vec<Box<RawValue>>,
    /// The turn that had begun and not ended; always `None` of another program's log.
    pub turn: Option<OpenTurn>,
    /// The ordinal of the next record.
    pub next_ordinal: u64,
    /// The newest epoch; 0 of another program's log.
    pub epoch: u64,
    /// Where the last line ends that was read and has its newline, in bytes.
    pub good_len: u64,
    /// What follows it, if it does not end with a newline.
    pub torn: Option<Torn>,
    /// Lines that were left out, or show that others are missing. Empty unless salvaged.
    pub damage: Vec<Damage>,
    /// The name of the damaged log for which this one goes on, in the same folder, as long as nothing
    /// is in it but what a salvage wrote: whoever opens it next is told again what was left out. `None`
    /// of logs that earlier versions salvaged.
    pub salvaged_from: Option<String>,
    /// Another program wrote the log: it can be read and imported, and is never appended to.
    pub is_foreign: bool,
    /// Records of another program that say nothing here, or are not as they should be: their types,
    /// and how many there are. Of more than 32 types the rest is counted under `…`.
    pub skipped: BTreeMap<String, u64>,
}

/// An item of the conversation.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplayItem {
    /// The item.
    pub item: Item,
    /// A turn starts with it.
    pub starts_turn: bool,
}

/// Where in the conversation a turn starts that has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TurnStart {
    /// With the last item that starts a turn; with the next one, if that does.
    Marked,
    /// With the item that has this index, or is recorded next: no input began the turn.
    At(usize),
    /// Nobody knows: the line that began it is lost, or the items before it have changed.
    Unknown,
}

impl TurnStart {
    /// An index means nothing any more.
    fn forget_index(&mut self) {
        if let Self::At(_) = self {
            *self = Self::Unknown;
        }
    }
}

/// A turn that had begun and not ended.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct OpenTurn {
    /// The turn's id.
    pub turn_id: String,
    /// Where in the conversation it starts.
    pub start: TurnStart,
    /// The payload of its `turn_context`, or of the newest `call` that has other settings for it: those
    /// under which it goes on. `None` if it cannot be read, or its line is lost.
    pub context: Option<Box<RawValue>>,
    /// The `output_schema` of the newest input that it took and that brought one.
    pub output_schema: Option<Box<RawValue>>,
    /// The payloads of its `call` records from its newest response on, oldest first.
    pub calls: Vec<Box<RawValue>>,
    /// From which item on the model was told settings that were new to it, if it was when the turn
    /// began.
    pub told_at: Option<usize>,
    /// Lines at or behind its beginning, or that itself, were left out: its calls may have come further than
    /// is said. Of a turn of which no beginning is there, any lines count.
    pub has_lost_lines: bool,
}

/// Reads a log and says what it comes to.
///
/// The log is scanned once, in pieces; what it comes to is read and parsed, and nothing else is: a
/// log of any length takes the memory of the conversation at its end, and of the newest messages.
/// Reading goes up to the length that the source has when it begins; a writer may append meanwhile.
///
/// # Errors
///
/// [`ReadError`].
pub fn replay(
    source: &dyn Source,
    blobs: &dyn Blobs,
    config: impl Into<ReplayConfig>,
) -> Result<Replay, ReadError> {
    let config = config.into();
    let scan = Scan::new(source, config.max_line_bytes)?;
    let fold = Fold::new(Log { source, blobs });
    let reading = Reading { config, fold, place: Place::of(&scan), damage: Vec::new(), torn: None };
    reading.read(scan)
}

/// Why a record has no effect, or reading ends.
#[derive(Debug)]
enum Trouble {
    Flaw(Flaw),
    Read(ReadError),
}

impl From<ReadError> for Trouble {
    fn from(error: ReadError) -> Self {
        Self::Read(error)
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Read(error.into())
    }
}

impl From<Flaw> for Trouble {
    fn from(flaw: Flaw) -> Self {
        Self::Flaw(flaw)
    }
}
