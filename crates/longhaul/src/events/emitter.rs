//! Sending events.

use std::sync::{Arc, Mutex, PoisonError};

use longhaul_state::protocol::Event;

use super::log::{Course, EventLog};

/// Sends the events of one submission in one turn.
#[derive(Clone)]
pub(crate) struct Emitter {
    pub(super) log: Arc<EventLog>,
    pub(super) course: Arc<Course>,
    pub(crate) submission_id: Arc<str>,
    pub(crate) turn_id: Arc<str>,
    over: Arc<Mutex<bool>>,
}

impl Emitter {
    /// An emitter for a submission that no turn has taken.
    pub(crate) fn new(log: Arc<EventLog>, submission_id: Arc<str>) -> Self {
        let turn_id = Arc::clone(&submission_id);
        let course = Arc::new(Course::new());
        Self { log, course, submission_id, turn_id, over: Arc::default() }
    }

    /// The emitter of another submission, which this one's turn has taken.
    pub(crate) fn joined(&self, other: &Self) -> Self {
        Self { turn_id: Arc::clone(&self.turn_id), over: Arc::clone(&self.over), ..other.clone() }
    }

    /// Sends an event of the turn. After its end there are none: a tool may outlive it.
    pub(crate) fn emit(&self, event: Event) {
        let over = self.over.lock().unwrap_or_else(PoisonError::into_inner);
        if !*over {
            self.push(event);
        }
    }

    /// Sends the last event of the turn.
    pub(crate) fn emit_last(&self, event: Event) {
        let mut over = self.over.lock().unwrap_or_else(PoisonError::into_inner);
        *over = true;
        self.push(event);
    }

    /// Who reads the submission's events has read them all when it has read those that are there.
    pub(crate) fn end(&self) {
        self.log.end(&self.course);
    }

    fn push(&self, event: Event) {
        let course = Arc::clone(&self.course);
        let (submission_id, turn_id) = (Arc::clone(&self.submission_id), Arc::clone(&self.turn_id));
        self.log.push(course, submission_id, turn_id, event);
    }
}
