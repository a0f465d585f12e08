//! Conversations are compacted by themselves, on request, and where a server finds them too long;
//! and nothing is lost whatever comes between.

mod bodies;
mod breaker;
mod breaker_kept;
mod config;
mod hook;
mod hostile;
mod interrupt;
mod kept;
mod limits;
mod manual;
mod models;
mod overflow;
mod pins;
mod queue;
mod steer;
mod support;
mod undo;
