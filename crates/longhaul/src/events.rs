//! The events of a session on their way to those who watch.
//!
//! No event is lost and no turn waits for a reader: a reader that falls behind finds consecutive
//! text deltas joined, so that what waits for it stays within the size of what was said.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use longhaul_state::protocol::Event;
use tokio::sync::Notify;

/// From this many waiting events on, consecutive deltas are joined, and progress replaces progress.
pub const JOIN_FROM: usize = 1024;

/// An event of a session, and what it belongs to.
#[derive(Debug, Clone)]
pub struct SessionEvent {
    /// The submission that it answers.
    pub submission_id: Arc<str>,
    /// The turn in which it happened.
    pub turn_id: Arc<str>,
    /// What happened.
    pub event: Event,
}

/// All events of a session from the time of subscription on, in order.
pub struct SessionEvents(pub(crate) Arc<Queue>);

impl SessionEvents {
    /// The next event; `None` when the session has ended and all are read.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses no event.
    pub async fn next(&mut self) -> Option<SessionEvent> {
        self.0.next().await
    }
}

impl Drop for SessionEvents {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Events that wait for one reader.
#[derive(Default)]
pub(crate) struct Queue {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<SessionEvent>,
    closed: bool,
}

impl Queue {
    /// Nothing in here can panic, so a poisoned lock holds a whole value.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn push(&self, event: SessionEvent) {
        let mut state = self.lock();
        if state.closed {
            return;
        }
        state.push(event);
        drop(state);
        self.changed.notify_one();
    }

    /// No more events come, or nobody reads them.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_one();
    }

    /// Nobody reads: what waits is let go.
    pub(crate) fn abandon(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.waiting.clear();
    }

    pub(crate) async fn next(&self) -> Option<SessionEvent> {
        loop {
            {
                let mut state = self.lock();
                if let Some(event) = state.waiting.pop_front() {
                    return Some(event);
                }
                if state.closed {
                    return None;
                }
            }
            // A push in between leaves a permit, so that this returns at once.
            self.changed.notified().await;
        }
    }
}

impl State {
    fn push(&mut self, event: SessionEvent) {
        if self.waiting.len() >= JOIN_FROM
            && let Some(last) = self.waiting.back_mut()
            && last.submission_id == event.submission_id
            && join(&mut last.event, &event.event)
        {
            return;
        }
        self.waiting.push_back(event);
    }
}

/// Makes one event of two, where nothing is lost by it.
fn join(last: &mut Event, next: &Event) -> bool {
    match (last, next) {
        (Event::TextDelta(text), Event::TextDelta(more))
        | (Event::ReasoningDelta(text), Event::ReasoningDelta(more)) => {
            text.push_str(more);
            true
        }
        (
            Event::ToolProgress { call_id, message },
            Event::ToolProgress { call_id: same, message: newer },
        ) if call_id == same => {
            message.clone_from(newer);
            true
        }
        _ => false,
    }
}

/// The readers of a session's events; `None` when the session has ended.
pub(crate) struct Subscribers(Mutex<Option<Vec<Weak<Queue>>>>);

impl Default for Subscribers {
    fn default() -> Self {
        Self(Mutex::new(Some(Vec::new())))
    }
}

impl Subscribers {
    fn lock(&self) -> MutexGuard<'_, Option<Vec<Weak<Queue>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn subscribe(&self) -> SessionEvents {
        let queue = Arc::new(Queue::default());
        match &mut *self.lock() {
            Some(queues) => queues.push(Arc::downgrade(&queue)),
            None => queue.close(),
        }
        SessionEvents(queue)
    }

    fn push(&self, event: &SessionEvent) {
        let mut queues = self.lock();
        queues.iter_mut().for_each(|queues| {
            queues.retain(|queue| match queue.upgrade() {
                Some(queue) => {
                    queue.push(event.clone());
                    true
                }
                None => false,
            });
        });
    }

    pub(crate) fn close(&self) {
        let queues = self.lock().take().unwrap_or_default();
        queues.iter().filter_map(Weak::upgrade).for_each(|queue| queue.close());
    }
}

/// Sends the events of one submission in one turn.
#[derive(Clone)]
pub(crate) struct Emitter {
    pub(crate) subscribers: Arc<Subscribers>,
    pub(crate) queue: Arc<Queue>,
    pub(crate) submission_id: Arc<str>,
    pub(crate) turn_id: Arc<str>,
    over: Arc<Mutex<bool>>,
}

impl Emitter {
    pub(crate) fn new(
        subscribers: Arc<Subscribers>,
        queue: Arc<Queue>,
        submission_id: Arc<str>,
        turn_id: Arc<str>,
    ) -> Self {
        Self { subscribers, queue, submission_id, turn_id, over: Arc::default() }
    }

    /// Sends the events of another submission in the same turn.
    pub(crate) fn of(&self, submission_id: Arc<str>, queue: Arc<Queue>) -> Self {
        Self { queue, submission_id, ..self.clone() }
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

    fn push(&self, event: Event) {
        let event = SessionEvent {
            submission_id: Arc::clone(&self.submission_id),
            turn_id: Arc::clone(&self.turn_id),
            event,
        };
        self.subscribers.push(&event);
        self.queue.push(event);
    }
}

impl std::fmt::Debug for SessionEvents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionEvents").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(event: Event) -> SessionEvent {
        SessionEvent { submission_id: "1".into(), turn_id: "1".into(), event }
    }

    #[tokio::test]
    async fn a_reader_that_falls_behind_loses_no_character() {
        let queue = Queue::default();
        for i in 0..JOIN_FROM * 10 {
            queue.push(event(Event::TextDelta(format!("{i} "))));
        }
        queue.push(event(Event::Background("end".into())));
        queue.close();
        let (mut text, mut count) = (String::new(), 0);
        while let Some(event) = queue.next().await {
            count += 1;
            if let Event::TextDelta(delta) = event.event {
                text.push_str(&delta);
            }
        }
        let numbers: Vec<usize> = text.split_whitespace().map(|n| n.parse().unwrap()).collect();
        assert!(numbers.into_iter().eq(0..JOIN_FROM * 10));
        assert_eq!(count, JOIN_FROM + 1);
    }

    #[tokio::test]
    async fn subscribers_see_all_from_their_start_and_an_abandoned_queue_holds_nothing() {
        let subscribers = Subscribers::default();
        let mut first = subscribers.subscribe();
        subscribers.push(&event(Event::Background("1".into())));
        let mut second = subscribers.subscribe();
        subscribers.push(&event(Event::Background("2".into())));
        subscribers.close();
        let mut seen = [0, 0];
        while first.next().await.is_some() {
            seen[0] += 1;
        }
        while second.next().await.is_some() {
            seen[1] += 1;
        }
        assert_eq!(seen, [2, 1]);

        let queue = Queue::default();
        queue.push(event(Event::Background("x".into())));
        queue.abandon();
        queue.push(event(Event::Background("y".into())));
        assert!(queue.next().await.is_none());
    }
}
