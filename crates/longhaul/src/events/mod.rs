//! The events of a session on their way to those who watch.
//!
//! A session numbers its events from 1 and keeps the newest of them in one log, which all
//! readers share: each has a place in it and nothing else. So a turn never waits for a reader, a
//! new reader goes from what was to what is without a gap, and what is kept is bounded however many
//! read, or none. Who falls further behind than what is kept is told which numbers it missed.

mod emitter;
mod hold;
#[cfg(test)]
mod hold_tests;
mod join;
mod log;
mod reader;
mod size;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use longhaul_state::protocol::Event;

pub(crate) use emitter::Emitter;
pub(crate) use log::EventLog;
pub(crate) use reader::CourseEvents;
pub use reader::SessionEvents;

/// From this many events on that nobody has read, consecutive deltas are joined, and progress
/// replaces progress: so what was streamed costs no more than what was said. Those that wait for the
/// log are joined always: they are told at once.
pub const JOIN_FROM: u64 = 1024;

/// An event of a session, and what it belongs to.
#[derive(Debug, Clone)]
pub struct SessionEvent {
    /// Its number in the session, from 1, each one more than the one before. An
    /// [`Event::Missed`] is no event of the session: it has the last number that was missed.
    pub number: u64,
    /// The submission that it answers.
    pub submission_id: Arc<str>,
    /// The turn in which it happened.
    pub turn_id: Arc<str>,
    /// What happened.
    pub event: Event,
}

/// How many of a session's newest events are kept for readers.
///
/// The newest event is kept whatever its size. As much again may wait while what the events tell of is
/// still to be kept in the log; of more, deltas, progress, token counts and texts for people are let go, and an
/// [`Event::Missed`] stands in their place. What tells of items, calls and turns always waits: as much
/// as a turn does between two requests, since the next one waits too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct EventBuffer {
    /// So many. Default: 4,096.
    pub events: usize,
    /// So many bytes of what they say, by estimate. Default: 4 MiB.
    pub bytes: usize,
}

impl EventBuffer {
    /// These bounds.
    pub fn new(events: usize, bytes: usize) -> Self {
        Self { events, bytes }
    }
}

impl Default for EventBuffer {
    fn default() -> Self {
        Self::new(4096, 4 * 1024 * 1024)
    }
}
