//! What the benchmarks work on, the same at every run: a coding session, a store and a compaction to compare with,
//! what a request holds besides its conversation, the events of a stream, and a task that is not to
//! be lost.

pub mod clone_and_scan;
pub mod deltas;
pub mod joined;
pub mod request;
pub mod session;
pub mod task;
