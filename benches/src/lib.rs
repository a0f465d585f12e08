//! What the benchmarks work on, the same at every run: a coding session, a store to compare with,
//! what a request holds besides its conversation, and the events of a stream.

pub mod clone_and_scan;
pub mod deltas;
pub mod request;
pub mod session;
