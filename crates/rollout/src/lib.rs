//! The session log of an LLM agent: its record format, as functions over bytes.
//!
//! A log is JSON Lines. Each line is one [`Record`], an envelope
//! `{"timestamp":"YYYY-MM-DDThh:mm:ss.mmmZ","type":…,"payload":…}` in UTC. The payload is opaque
//! here: its bytes are kept. So are record types and envelope fields that this version does not
//! know. Lines of our own logs are sealed with an ordinal, an epoch and a checksum
//! ([`Record::seal`]).
//!
//! [`replay()`] reads such a log, or another program's, from any [`Source`], and says what it comes
//! to: the conversation and all else that a session goes on from. The log may be damaged: a bad line is
//! named and spoils no other, and a torn end is told apart from a bad line. `docs/log-format.md` draws
//! the format.
//!
//! ```
//! use longhaul_history::Item;
//! use longhaul_rollout::{OnDamage, Record, RecordKind, SessionMeta, Torn, replay};
//! use serde_json::value::{RawValue, to_raw_value};
//!
//! let at = "2026-11-22T09:30:47.046Z".parse()?;
//! let meta = to_raw_value(&SessionMeta::new("01a20298-0571-7a40-bd9c-36a08a0bd337", at))?;
//! let item = RawValue::from_string(Item::user("hi").json().to_owned())?;
//!
//! let mut log = Vec::new();
//! Record::new(at, RecordKind::SessionMeta, meta).seal(0, 1, &mut log);
//! Record::new(at, RecordKind::ResponseItem, item).seal(1, 1, &mut log);
//! let end = log.len() as u64;
//! log.extend_from_slice(b"{\"timest"); // here the process died
//!
//! let found = replay(&log, &(), OnDamage::Refuse)?;
//! assert_eq!(found.items[0].item, Item::user("hi"));
//! assert_eq!(found.torn, Some(Torn { line: 3, offset: end, len: 8 }));
//! # Ok::<(), Box<dyn std::error::Error>>(())
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
//! `record` (one line), `source` (bytes at any place), `scan` (its records, checked), `replay` (what they
//! come to), `export` (for others), `blobs`, `meta`, `damage`, `store` (the seam), `file`, `memory` and
//! `list` (stores), `path` (where a log is stored), `error`.

mod blob;
mod blobs;
mod damage;
mod error;
mod export;
mod file;
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
pub use list::{Cursor, Page, Query, Summary, Unreadable};
pub use memory::MemoryStore;
pub use meta::{FORMAT_VERSION, ForkedFrom, ImportedFrom, SessionMeta};
pub use path::log_path;
pub use record::{Record, RecordKind, Sealed};
pub use replay::{
    Exchanged, MAX_LINE_BYTES, OpenTurn, RECENT_BYTES, RECENT_MESSAGES, RecentMessages, Replay,
    ReplayConfig, ReplayItem, TurnStart, replay,
};
pub use source::Source;
pub use store::{Accept, Holder, LogRef, LogWriter, Opened, Store, StoreError};
