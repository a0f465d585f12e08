//! What the benchmarks work on, the same at every run: a coding session and its log, a store, a compaction
//! and a loop written by hand to compare with, what a request holds besides its conversation, the events of
//! a stream, a response and a server that gives it, and a task that is not to be lost.

pub mod answer;
pub mod clone_and_scan;
pub mod deltas;
pub mod folder;
pub mod joined;
pub mod log;
pub mod loopback;
pub mod naive;
pub mod request;
pub mod session;
pub mod stopwatch;
pub mod task;
pub mod turns;
