//! Reading a session's events.

use std::sync::Arc;
use std::task::Poll;

use super::log::{Course, EventLog};
use super::{Emitter, SessionEvent};

/// The events of a session from a number on, in order: those that are kept, then those that come.
pub struct SessionEvents {
    log: Arc<EventLog>,
    place: u64,
}

impl SessionEvents {
    /// Events from the number `from` on.
    pub(crate) fn from(log: Arc<EventLog>, from: u64) -> Self {
        Self { log, place: from.max(1) }
    }

    /// Events from the next on.
    pub(crate) fn from_now(log: Arc<EventLog>) -> Self {
        let place = log.place_of_next();
        Self { log, place }
    }

    /// The next event; `None` when the session has ended and all are read.
    ///
    /// Whoever reads more slowly than events are let go gets an
    /// [`Event::Missed`](longhaul_state::protocol::Event::Missed) in their place, and goes on with the
    /// oldest that is kept. What it has to know then, it can ask the session: which approvals are
    /// pending, what the conversation is.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses no event.
    pub async fn next(&mut self) -> Option<SessionEvent> {
        loop {
            let mut changed = std::pin::pin!(self.log.changed());
            // Before the look, so that nothing falls between the two.
            changed.as_mut().enable();
            match self.log.read(&mut self.place) {
                Poll::Ready(event) => return event,
                Poll::Pending => changed.await,
            }
        }
    }
}

impl std::fmt::Debug for SessionEvents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionEvents").field("next", &self.place).finish_non_exhaustive()
    }
}

/// The events of one submission.
pub(crate) struct CourseEvents {
    log: Arc<EventLog>,
    course: Arc<Course>,
    id: Arc<str>,
    place: u64,
}

impl CourseEvents {
    /// The events that `emitter` sends.
    pub(crate) fn of(emitter: &Emitter) -> Self {
        Self {
            log: Arc::clone(&emitter.log),
            course: Arc::clone(&emitter.course),
            id: Arc::clone(&emitter.submission_id),
            place: 0,
        }
    }

    /// The next event; `None` after the last.
    pub(crate) async fn next(&mut self) -> Option<SessionEvent> {
        loop {
            let mut changed = std::pin::pin!(self.log.changed());
            changed.as_mut().enable();
            match self.log.read_course(&mut self.place, &self.course, &self.id) {
                Poll::Ready(event) => return event,
                Poll::Pending => changed.await,
            }
        }
    }
}
