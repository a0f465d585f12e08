//! The session log of an LLM agent: its record format, as functions over bytes.
//!
//! A log is JSON Lines. Each line is one [`Record`], an envelope
//! `{"timestamp":"YYYY-MM-DDThh:mm:ss.mmmZ","type":…,"payload":…}` in UTC. The payload is opaque
//! here: its bytes are kept. So are record types and envelope fields that this version does not
//! know. [`lines`] reads a log, which may be damaged: a bad line is reported and spoils no other,
//! and a torn end is told apart from a bad line.
//!
//! Lines of our own logs are sealed with an ordinal, an epoch and a checksum ([`Record::seal`]).
//! [`replay()`] reads such a log, or another program's, from any [`Source`], and says what it comes
//! to: the conversation and all else that a session goes on from. `docs/log-format.md` draws the
//! format.
//!
//! ```
//! use longhaul_rollout::{Line, Record, RecordKind, lines};
//!
//! let at = "2026-11-22T09:30:47.046Z".parse().unwrap();
//! let payload = serde_json::value::to_raw_value("hi").unwrap();
//! let record = Record::new(at, RecordKind::EventMsg, payload);
//!
//! let mut log = Vec::new();
//! record.encode(&mut log);
//! let line = r#"{"timestamp":"2026-11-22T09:30:47.046Z","type":"event_msg","payload":"hi"}"#;
//! assert_eq!(log, format!("{line}\n").into_bytes());
//!
//! log.extend_from_slice(b"{\"timest"); // here the process died
//! let read: Vec<Line> = lines(&log).collect();
//! assert_eq!(read[0], Line::Whole { number: 1, offset: 0, record: Ok(record) });
//! assert_eq!(read[1], Line::Torn { number: 2, offset: line.len() + 1, bytes: b"{\"timest" });
//! ```
//!
//! Logs are kept by a [`Store`]: [`FileStore`] in files, [`MemoryStore`] in memory. A store has one
//! writer a log at a time, gives ordinals and epochs, and acknowledges what is durable.
//!
//! # Out of scope
//!
//! What a payload means is its writer's business, but for what a replay has to know.
//!
//! # Modules, in reading order
//!
//! `record` (one line), `lines` (a whole log in memory), `source` (bytes at any place), `scan` (its
//! records, checked), `replay` (what they come to), `export` (for others), `blobs`, `meta`,
//! `damage`, `store` (the seam), `file`, `memory` and `list` (stores), `path` (where a log is
//! stored), `error`.

mod blob;
mod blobs;
mod damage;
mod error;
mod export;
mod file;
mod lines;
mod list;
mod memory;
mod meta;
mod path;
mod record;
mod replay;
mod scan;
mod source;
mod store;

pub use blobs::{BLOB_BYTES, Blobs, blob_digest};
pub use damage::{Damage, Flaw, OnDamage, ReadError, Torn};
pub use error::Error;
pub use file::{Disk, FileStore, Fsync, Identity, LocalDisk, Medium};
pub use lines::{Line, Lines, lines};
pub use list::{Cursor, Page, Query, Summary, Unreadable};
pub use memory::MemoryStore;
pub use meta::{FORMAT_VERSION, ForkedFrom, ImportedFrom, SessionMeta};
pub use path::log_path;
pub use record::{Record, RecordKind, Sealed};
pub use replay::{
    Exchanged, MAX_LINE_BYTES, OpenTurn, RECENT_BYTES, RECENT_MESSAGES, RecentMessages, Replay,
    ReplayConfig, ReplayItem, replay,
};
pub use source::Source;
pub use store::{Accept, Holder, LogRef, LogWriter, Opened, Store, StoreError};
