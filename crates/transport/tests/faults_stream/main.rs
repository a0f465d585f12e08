//! Faults of a stream, each by its name in the catalogue: what comes in odd pieces, at odd times, with odd content
//! or without end.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

#[path = "../common/drain.rs"]
mod drain;

mod content;
mod done;
mod items;
mod pieces;
mod support;
mod time;
