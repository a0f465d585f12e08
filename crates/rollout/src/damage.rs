//! What can be wrong with a log.

use std::io;

use crate::Error;

/// What to do about a log with lines that are not sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum OnDamage {
    /// Give up at the first such line, and name it.
    #[default]
    Refuse,
    /// Leave such lines out, and list all of them. Go on in a new log, not in the damaged one.
    Salvage,
}

/// A line that is not sound, or not where it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, at byte {offset}: {flaw}")]
pub struct Damage {
    /// The line's number in the log, from 1; blank lines count.
    pub line: u64,
    /// Where the line starts, in bytes from the start of the log.
    pub offset: u64,
    /// What is wrong.
    #[source]
    pub flaw: Flaw,
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Flaw {
    /// The line is not a record, or not as it was written.
    #[error(transparent)]
    Line(#[from] Error),
    /// The line's number is not the next: lines are missing before it, or it stands elsewhere too,
    /// or two sessions have written to one log.
    #[error("ordinal {found} in the place of {expected}")]
    Ordinal {
        /// The next of the line before.
        expected: u64,
        /// What the line says.
        found: u64,
    },
    /// The line was written by who had opened the log before others did.
    #[error("epoch {found} after {before}")]
    Epoch {
        /// That of the lines before.
        before: u64,
        /// What the line says.
        found: u64,
    },
    /// The line is longer than allowed; it was not read.
    #[error("{bytes} bytes long, more than {max}")]
    TooLong {
        /// Its length.
        bytes: u64,
        /// What is allowed.
        max: u64,
    },
    /// The record is sound, and asks for what there is not: an item at a place behind the last, or
    /// to keep what is not there. Lines before it are missing, or its writer made a mistake.
    #[error("{what} {asked}, where there are {available} items")]
    Place {
        /// The field that asks.
        what: &'static str,
        /// For which place.
        asked: usize,
        /// How many items there are.
        available: usize,
    },
    /// The record takes back a compaction, and there is none that it could.
    #[error("no compaction to take back")]
    NothingToUndo,
    /// The record's payload is not what its type should have.
    #[error("not the payload of such a record: {0}")]
    Payload(String),
    /// A string of the payload is in a blob, and that is not there or is another.
    #[error(
        "blob {digest} {}{}",
        if *.is_there { "has other bytes" } else { "is missing" },
        .place.as_ref().map(|it| format!(" at {it}: put it back from a copy")).unwrap_or_default()
    )]
    Blob {
        /// The SHA-256 that the line names, or what stands in its place.
        digest: String,
        /// There is such a blob, with other bytes.
        is_there: bool,
        /// Where it was looked for, if it is a file: [`Blobs::place`](crate::Blobs::place).
        place: Option<String>,
    },
}

/// The end of a log that does not end with a newline: its writer did not get to it, so it was never
/// acknowledged, even if it is a whole record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Torn {
    /// The line's number in the log, from 1; blank lines count.
    pub line: u64,
    /// Where the line starts, in bytes from the start of the log: where to cut it.
    pub offset: u64,
    /// How many bytes are there of it; at least one.
    pub len: u64,
}

/// Why a log cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The log could not be read. Try again, or look at the disk.
    #[error("cannot read the log: {0}")]
    Io(#[from] io::Error),
    /// A line is not sound, and [`OnDamage::Refuse`] was asked for.
    #[error("the log is damaged: {0}")]
    Damaged(#[from] Damage),
    /// No sound line names the session: the log is empty, or not a log, or its writer died before
    /// anything was acknowledged.
    #[error("no record names the session: it is empty, or no session log")]
    NoMeta {
        /// The end of the log, if it is torn.
        torn: Option<Torn>,
    },
    /// A later version wrote the log. Read it with that.
    #[error("the log has format version {found}; this program reads up to {known}")]
    NewerFormat {
        /// The log's version.
        found: u32,
        /// [`FORMAT_VERSION`](crate::FORMAT_VERSION).
        known: u32,
    },
    /// There is no record with the ordinal up to which was to be read. The caller is at fault.
    #[error("there is no record {asked}: the log has {available}")]
    NoSuchOrdinal {
        /// The last ordinal to read.
        asked: u64,
        /// How many ordinals the log has.
        available: u64,
    },
}
