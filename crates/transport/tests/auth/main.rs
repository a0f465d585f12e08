//! The stored login: faults F059 to F077, with real files, real loopback HTTP and real processes.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "helpers of tests")]
#![allow(clippy::await_holding_lock, reason = "each test has a thread of its own")]

mod answers;
mod child;
mod files;
mod processes;
mod refresh;
mod replies;
mod storing;
mod support;
