//! Who runs and who waits.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

/// How many inputs may wait in a session. More is a client that does not listen.
pub const MAX_WAITING: usize = 64;

/// The turns of a session, one at a time: inputs of type `I` in the order in which they came.
///
/// Every input that is accepted is begun, taken by a running turn, kept for the next turn after an
/// interrupt, or given back by [`close`](Self::close). None is lost.
pub struct TurnQueue<I>(Mutex<Inner<I>>);

struct Inner<I> {
    active: Option<ActiveTurn<I>>,
    waiting: VecDeque<I>,
    /// Steers of an interrupted turn: they go into the next one.
    kept: Vec<I>,
    closed: bool,
}

/// The turn that runs.
pub struct ActiveTurn<I> {
    /// Its id.
    pub turn_id: String,
    /// Ends it.
    pub cancel: CancellationToken,
    state: TurnState<I>,
}

/// What gathers while a turn runs.
pub struct TurnState<I> {
    /// Input for the next request of the turn.
    pending_input: VecDeque<I>,
}

/// Why an input was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueError {
    /// [`MAX_WAITING`] inputs wait already.
    Full,
    /// The session is closed.
    Closed,
}

/// What became of input that was to steer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Steered {
    /// The running turn takes it with its next request, or the next turn if this one ends first.
    Running {
        /// The running turn.
        turn_id: String,
    },
    /// Nothing runs; it starts a turn.
    Queued,
}

/// A turn that begins.
pub struct Begun<I> {
    /// Inputs that an interrupted turn left, oldest first.
    pub kept: Vec<I>,
    /// The input that starts it.
    pub input: I,
}

impl<I> Default for TurnQueue<I> {
    fn default() -> Self {
        Self(Mutex::new(Inner {
            active: None,
            waiting: VecDeque::new(),
            kept: Vec::new(),
            closed: false,
        }))
    }
}

impl<I> TurnQueue<I> {
    /// Nothing in here can panic, so a poisoned lock holds a whole value.
    fn lock(&self) -> MutexGuard<'_, Inner<I>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes input for a turn of its own.
    ///
    /// # Errors
    ///
    /// [`QueueError`]; the input is dropped.
    pub fn submit(&self, input: I) -> Result<(), QueueError> {
        let mut inner = self.lock();
        inner.check_room()?;
        inner.waiting.push_back(input);
        Ok(())
    }

    /// Takes input for the running turn, or for a new one if none runs.
    ///
    /// # Errors
    ///
    /// [`QueueError`]; the input is dropped.
    pub fn steer(&self, input: I) -> Result<Steered, QueueError> {
        let mut inner = self.lock();
        inner.check_room()?;
        let Some(active) = &mut inner.active else {
            inner.waiting.push_back(input);
            return Ok(Steered::Queued);
        };
        active.state.pending_input.push_back(input);
        Ok(Steered::Running {
            turn_id: active.turn_id.clone(),
        })
    }

    /// Begins the next turn, if none runs and input waits. `name` gives, for the input that starts
    /// it, the turn's id and the token that ends it.
    pub fn begin(&self, name: impl FnOnce(&I) -> (String, CancellationToken)) -> Option<Begun<I>> {
        let mut inner = self.lock();
        if inner.active.is_some() {
            return None;
        }
        let input = inner.waiting.pop_front()?;
        let (turn_id, cancel) = name(&input);
        inner.active = Some(ActiveTurn {
            turn_id,
            cancel,
            state: TurnState {
                pending_input: VecDeque::new(),
            },
        });
        Some(Begun {
            kept: std::mem::take(&mut inner.kept),
            input,
        })
    }

    /// Input that the running turn's next request is to carry, oldest first.
    pub fn take_input(&self) -> Vec<I> {
        match &mut self.lock().active {
            Some(active) => active.state.pending_input.drain(..).collect(),
            None => Vec::new(),
        }
    }

    /// Ends the running turn. Input that it did not take starts turns of its own, before all
    /// others; after an interrupt it is kept for the next turn instead.
    pub fn end(&self, interrupted: bool) {
        let mut inner = self.lock();
        let Some(active) = inner.active.take() else {
            return;
        };
        let left = active.state.pending_input;
        if interrupted {
            inner.kept.extend(left);
        } else {
            left.into_iter()
                .rev()
                .for_each(|input| inner.waiting.push_front(input));
        }
    }

    /// Cancels the running turn and says whether one runs.
    pub fn interrupt(&self) -> bool {
        match &self.lock().active {
            Some(active) => {
                active.cancel.cancel();
                true
            }
            None => false,
        }
    }

    /// Accepts nothing from now on.
    pub fn close(&self) {
        self.lock().closed = true;
    }

    /// Gives back what waits for a turn that will not come.
    pub fn drain(&self) -> Vec<I> {
        let mut inner = self.lock();
        let mut left = std::mem::take(&mut inner.kept);
        left.extend(inner.waiting.drain(..));
        left
    }

    /// Whether the session is closed.
    pub fn is_closed(&self) -> bool {
        self.lock().closed
    }
}

impl<I> Inner<I> {
    fn check_room(&self) -> Result<(), QueueError> {
        let pending = self
            .active
            .as_ref()
            .map_or(0, |active| active.state.pending_input.len());
        if self.closed {
            Err(QueueError::Closed)
        } else if self.waiting.len() + self.kept.len() + pending >= MAX_WAITING {
            Err(QueueError::Full)
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begin(queue: &TurnQueue<u32>) -> Option<(Vec<u32>, u32)> {
        let begun = queue.begin(|input| (input.to_string(), CancellationToken::new()))?;
        Some((begun.kept, begun.input))
    }

    #[test]
    fn turns_run_one_at_a_time_in_order() {
        let queue = TurnQueue::default();
        queue.submit(1).unwrap();
        queue.submit(2).unwrap();
        assert_eq!(begin(&queue), Some((vec![], 1)));
        assert_eq!(begin(&queue), None, "one runs");
        queue.end(false);
        assert_eq!(begin(&queue), Some((vec![], 2)));
        queue.end(false);
        assert_eq!(begin(&queue), None);
    }

    #[test]
    fn a_steer_is_taken_once_or_starts_the_next_turn() {
        let queue = TurnQueue::default();
        assert_eq!(queue.steer(1), Ok(Steered::Queued));
        begin(&queue).unwrap();
        queue.submit(9).unwrap();
        let running = Steered::Running {
            turn_id: "1".into(),
        };
        assert_eq!(queue.steer(2), Ok(running.clone()));
        assert_eq!(queue.take_input(), [2]);
        assert_eq!(queue.take_input(), [0; 0]);
        assert_eq!(queue.steer(3), Ok(running.clone()));
        assert_eq!(queue.steer(4), Ok(running));
        queue.end(false);
        assert_eq!(
            begin(&queue),
            Some((vec![], 3)),
            "before what waited for its own turn"
        );
    }

    #[test]
    fn after_an_interrupt_steers_wait_for_the_next_turn() {
        let queue = TurnQueue::default();
        assert!(!queue.interrupt());
        queue.submit(1).unwrap();
        let cancel = CancellationToken::new();
        queue.begin(|_| (String::new(), cancel.clone())).unwrap();
        queue.steer(2).unwrap();
        assert!(queue.interrupt());
        assert!(cancel.is_cancelled());
        queue.end(true);
        assert_eq!(begin(&queue), None, "an interrupt starts nothing");
        queue.submit(3).unwrap();
        assert_eq!(begin(&queue), Some((vec![2], 3)));
    }

    #[test]
    fn the_queue_is_bounded_and_gives_back_what_is_left() {
        let queue = TurnQueue::default();
        for i in 0..MAX_WAITING {
            queue.submit(i).unwrap();
        }
        assert_eq!(queue.submit(0), Err(QueueError::Full));
        assert_eq!(queue.steer(0), Err(QueueError::Full));
        queue.close();
        assert_eq!(queue.submit(0), Err(QueueError::Closed));
        assert_eq!(queue.drain().len(), MAX_WAITING);
    }
}
