//! What an embedder may rely on, held over the public API.
//!
//! Over real HTTP where the wire matters, with a scripted model in virtual time where waits matter.
//! Nothing here sleeps in real time, polls or measures: tests wait at gates and barriers.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[cfg(feature = "coding")]
mod again;
mod any;
mod approvals;
mod behind;
mod budget;
#[cfg(unix)]
mod command;
mod compact;
mod concurrency;
mod continued;
#[cfg(unix)]
mod crash;
mod differences;
mod durable;
mod errors;
mod events;
#[cfg(feature = "coding")]
mod fork;
#[cfg(all(feature = "coding", unix))]
mod fork_anywhere;
mod full;
mod import;
mod interrupt;
mod isolation;
mod kept;
mod kept_in_any_order;
mod models;
mod observer;
mod panics;
mod policy;
mod preview;
mod recent;
mod replace;
mod retry;
#[cfg(feature = "coding")]
mod review;
mod shutdown;
#[cfg(feature = "coding")]
mod size;
mod slow;
mod start;
mod steer;
mod strict;
mod support;
mod sweep;
mod syncs;
mod task;
mod tools;
mod transcript;
mod turn;
mod typed;
#[cfg(all(feature = "coding", unix))]
mod undo;
#[cfg(all(feature = "coding", unix))]
mod undo_kept;
mod verdicts;
mod waiting;
#[cfg(feature = "coding")]
mod went_on;
mod withdraw;
