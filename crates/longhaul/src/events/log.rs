//! The newest events of a session, which all readers share.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use longhaul_state::SessionState;
use longhaul_state::protocol::Event;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use super::hold::{Held, Hold};
use super::join::join;
use super::size::bytes_of;
use super::{EventBuffer, JOIN_FROM, SessionEvent};

/// The newest events of one session.
pub(crate) struct EventLog {
    state: Mutex<State>,
    changed: Notify,
    /// The session whose changes are kept before events tell of them, if they are kept at all.
    journal: Option<Arc<SessionState>>,
}

struct State {
    kept: VecDeque<SessionEvent>,
    bytes: usize,
    /// The number of the next event.
    next: u64,
    /// The highest number that a reader was given, or will never ask for.
    read: u64,
    buffer: EventBuffer,
    closed: bool,
    hold: Hold,
}

/// Where in the log the events of one submission lie. Changed under the log's lock alone.
pub(crate) struct Course {
    /// The number of the first; 0 before it.
    first: AtomicU64,
    /// The last number that may be one of them; `u64::MAX` as long as there may be more.
    end: AtomicU64,
}

impl Course {
    pub(super) fn new() -> Self {
        Self { first: AtomicU64::new(0), end: AtomicU64::new(u64::MAX) }
    }

    fn first(&self) -> u64 {
        self.first.load(Ordering::Relaxed)
    }

    fn end(&self) -> u64 {
        self.end.load(Ordering::Relaxed)
    }
}

/// What a reader finds at its place: an event; nothing yet; nothing, for ever.
pub(super) type Found = Poll<Option<SessionEvent>>;

impl EventLog {
    pub(crate) fn new(buffer: EventBuffer) -> Self {
        let state = State {
            kept: VecDeque::new(),
            bytes: 0,
            next: 1,
            read: 0,
            buffer,
            closed: false,
            hold: Hold::new(buffer),
        };
        Self { state: Mutex::new(state), changed: Notify::new(), journal: None }
    }

    /// Tells of changes of this session only when they are [kept](Self::release).
    pub(crate) fn behind(self, journal: Arc<SessionState>) -> Self {
        Self { journal: Some(journal), ..self }
    }

    /// Nothing in here can panic, so a poisoned lock holds a whole value.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn push(
        &self,
        course: Arc<Course>,
        submission_id: Arc<str>,
        turn_id: Arc<str>,
        event: Event,
    ) {
        let needs = self.journal.as_ref().map_or(0, |journal| journal.change_count());
        self.add(Held::Event { needs, course, submission_id, turn_id, event });
    }

    /// No event of the submission comes any more.
    pub(crate) fn end(&self, course: &Arc<Course>) {
        self.add(Held::End(Arc::clone(course)));
    }

    fn add(&self, held: Held) {
        let mut state = self.lock();
        if let Some(held) = state.hold.add(held) {
            state.tell(held);
            drop(state);
            self.changed.notify_waiters();
        }
    }

    /// The changes up to this number are kept.
    pub(crate) fn release(&self, kept: u64) {
        let mut state = self.lock();
        let told = state.hold.release(kept);
        self.tell_all(state, told);
    }

    /// The changes that are not kept yet could not be.
    pub(crate) fn fail(&self) {
        let mut state = self.lock();
        let told = state.hold.fail();
        self.tell_all(state, told);
    }

    fn tell_all(&self, mut state: MutexGuard<'_, State>, told: Vec<Held>) {
        if !told.is_empty() {
            for held in told {
                state.tell(held);
            }
            drop(state);
            self.changed.notify_waiters();
        }
    }

    /// How many wait for changes to be kept, and the bytes that they take.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> (usize, usize) {
        self.lock().hold.size()
    }

    /// No event comes any more.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        // Nobody keeps anything any more.
        let told = state.hold.fail();
        state.closed = true;
        self.tell_all(state, told);
        self.changed.notify_waiters();
    }

    /// The number of the next event, for a reader that begins with it.
    pub(super) fn place_of_next(&self) -> u64 {
        let mut state = self.lock();
        // Nothing may be joined to what this reader does not see.
        state.read = state.next - 1;
        state.next
    }

    /// Completes when there may be something new.
    pub(super) fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }

    /// What is at `place`; moves it on.
    pub(super) fn read(&self, place: &mut u64) -> Found {
        self.lock().read(place, |_| true)
    }

    /// The same of the events of one submission.
    pub(super) fn read_course(&self, place: &mut u64, course: &Course, id: &Arc<str>) -> Found {
        let mut state = self.lock();
        let has_ended = state.closed || course.end() != u64::MAX;
        if course.first() == 0 {
            return if has_ended { Poll::Ready(None) } else { Poll::Pending };
        }
        *place = (*place).max(course.first());
        if *place > course.end() {
            return Poll::Ready(None);
        }
        // Clients may use an id again: what counts is whose it is.
        match state.read(place, |event| Arc::ptr_eq(&event.submission_id, id)) {
            Poll::Pending if *place > course.end() => Poll::Ready(None),
            found => found,
        }
    }
}

impl State {
    fn tell(&mut self, held: Held) {
        match held {
            Held::End(course) => {
                course.end.fetch_min(self.next - 1, Ordering::Relaxed);
            }
            Held::Event { course, submission_id, turn_id, event, .. } if !self.closed => {
                if course.first() == 0 {
                    course.first.store(self.next, Ordering::Relaxed);
                }
                self.push(&submission_id, &turn_id, event);
            }
            Held::Event { .. } => {}
        }
    }

    fn push(&mut self, submission_id: &Arc<str>, turn_id: &Arc<str>, mut event: Event) {
        if let Event::Missed { first, last } = &mut event {
            // What was let go before it had a number has one for all of it.
            (*first, *last) = (self.next, self.next);
        }
        if self.next > self.read + JOIN_FROM
            && let Some(last) = self.kept.back_mut()
            && Arc::ptr_eq(&last.submission_id, submission_id)
            && let before = bytes_of(&last.event)
            && join(&mut last.event, &event)
        {
            self.bytes = self.bytes - before + bytes_of(&last.event);
        } else {
            self.bytes += bytes_of(&event);
            self.kept.push_back(SessionEvent {
                number: self.next,
                submission_id: Arc::clone(submission_id),
                turn_id: Arc::clone(turn_id),
                event,
            });
            self.next += 1;
        }
        self.shrink();
    }

    fn shrink(&mut self) {
        while self.kept.len() > self.buffer.events.max(1)
            || (self.bytes > self.buffer.bytes && self.kept.len() > 1)
        {
            let gone = self.kept.pop_front();
            self.bytes -= gone.map_or(0, |gone| bytes_of(&gone.event));
        }
    }

    fn read(&mut self, place: &mut u64, is_wanted: impl Fn(&SessionEvent) -> bool) -> Found {
        let oldest = self.next - self.kept.len() as u64;
        if *place < oldest {
            let missed = Event::Missed { first: *place, last: oldest - 1 };
            *place = oldest;
            let none: Arc<str> = Arc::from("");
            return Poll::Ready(Some(SessionEvent {
                number: oldest - 1,
                submission_id: Arc::clone(&none),
                turn_id: none,
                event: missed,
            }));
        }
        // The number of kept events fits the address space.
        let skip = usize::try_from(*place - oldest).unwrap_or(usize::MAX);
        let Some(event) = self.kept.iter().skip(skip).find(|event| is_wanted(event)) else {
            *place = (*place).max(self.next);
            return if self.closed { Poll::Ready(None) } else { Poll::Pending };
        };
        let event = event.clone();
        *place = event.number + 1;
        self.read = self.read.max(event.number);
        Poll::Ready(Some(event))
    }
}
