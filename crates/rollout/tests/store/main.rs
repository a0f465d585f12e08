//! Stores: what any of them does, and what becomes of files when something fails.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod cancel;
#[cfg(unix)]
mod child;
mod conformance;
mod copies;
mod faults;
mod files;
mod homes;
#[cfg(unix)]
mod leftovers;
mod listing;
#[cfg(unix)]
mod lock;
mod lost;
mod neighbours;
mod places;
mod power;
mod recovery;
mod starts;
mod support;
#[cfg(unix)]
mod sweep;
