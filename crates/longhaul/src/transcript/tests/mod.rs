//! Streams of events, and the cells that they come to.

mod calls;
mod gaps;
mod items;
mod plan;
mod play;
mod select;
mod spans;
mod status;
mod streams;
mod support;
