//! The conversation of an LLM agent: its vocabulary and its store.
//!
//! An [`Item`] is one entry of a conversation as the OpenAI Responses API writes it: a message, a
//! reasoning item, a call, its output, or a type that this crate does not know. It keeps the JSON
//! it came with, whole; a typed [`ItemView`] is read from it on demand.
//!
//! A [`History`] records items. Each is encoded once for the wire, when it is recorded, into
//! segments that snapshots and forks share; a request body is a few large copies of them. It
//! pairs calls with their outputs as they come, so that what it sends is always well formed, and
//! says what it had to repair.
//!
//! ```
//! use longhaul_history::{CallOutput, History, Item, ReasoningFilter};
//!
//! let mut history = History::default();
//! history.begin_turn();
//! history.record(Item::user("Which is warmer, Oslo or Bergen?"));
//! history.record(Item::function_call("call_1", "weather", r#"{"city":"Oslo"}"#));
//! history.record(Item::function_call("call_2", "weather", r#"{"city":"Bergen"}"#));
//! history.record_output(Item::function_call_output("call_1", CallOutput::text("3 degrees")));
//!
//! // The second call was cut off. Nothing is sent broken: it is answered, and reported.
//! let repairs = history.normalise();
//! assert_eq!(repairs[0].call_id.as_deref(), Some("call_2"));
//!
//! let prompt = history.prompt(ReasoningFilter::CurrentTurn);
//! assert_eq!(prompt.item_count(), 5);
//! assert!(prompt.to_json().starts_with(r#"[{"type":"message","role":"user""#));
//! ```
//!
//! # Out of scope
//!
//! Any I/O, clock or randomness; what to shrink and when (`longhaul-compaction`); the log on disk
//! (`longhaul-rollout`).
//!
//! # Modules, in reading order
//!
//! `item` (an item, its kinds, its view, its wire form), [`usage`], [`tokens`] (counts, exact and
//! estimated), `history` (the store: segments, pairing, repair, edits, prompt), [`remedy`] (what to
//! repair after a server's refusal), [`prefix`] (does a request continue the one before?),
//! [`turn_item`] (what a user interface shows), [`truncate`].
//!
//! # Features
//!
//! None is on by default.
//!
//! * `tiktoken`: `tokens::O200k`, which counts tokens exactly. Adds `tiktoken-rs` and what it needs.

mod history;
mod item;
mod json;
pub mod prefix;
pub mod remedy;
pub mod tokens;
pub mod truncate;
pub mod turn_item;
pub mod usage;

pub use history::{
    EditError, History, HistoryConfig, MAX_ITEM_BYTES, Part, Prompt, ReasoningFilter, Repair,
    RepairKind,
};
pub use item::{
    BridgeParts, CallKind, CallOutput, ContentPart, ImageEdit, Item, ItemError, ItemKind, ItemView,
    OutputPart, Role, WireFormat,
};
