//! Who runs and who waits.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

/// How many inputs may wait in a session. More is a client that does not listen.
pub const MAX_WAITING: usize = 64;

/// The turns of a session, one at a time: inputs of type `I` in the order in which they came.
///
/// Every input that is accepted is begun, taken by a running turn, kept for the next turn after an
/// interrupt, or given back by [`withdraw`](Self::withdraw), [`stop`](Self::stop) or
/// [`drain`](Self::drain). None is lost.
pub struct TurnQueue<I>(Mutex<Inner<I>>);

struct Inner<I> {
    active: Option<ActiveTurn<I>>,
    waiting: VecDeque<I>,
    /// Steers of an interrupted turn: they go into the next one, before what starts it.
    kept: Vec<I>,
    /// Steers that came too late for the last turn: the next one, which the first of them starts,
    /// takes them with its first request.
    following: VecDeque<I>,
    /// The turn that is about to begin was interrupted already.
    interrupted: bool,
    closed: bool,
    stopped: bool,
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

/// What a turn is begun with.
pub struct Start {
    /// Its id.
    pub turn_id: String,
    /// Ends it.
    pub cancel: CancellationToken,
    /// Whether it takes what an interrupted turn left; if not, that waits for the next turn that does.
    pub takes_input: bool,
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
            following: VecDeque::new(),
            interrupted: false,
            closed: false,
            stopped: false,
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
        Ok(Steered::Running { turn_id: active.turn_id.clone() })
    }

    /// Begins the next turn, if none runs and input waits. `start` gives, for the input that starts
    /// it, the turn's id, the token that ends it, and whether it takes input.
    pub fn begin(&self, start: impl FnOnce(&I) -> Start) -> Option<Begun<I>> {
        let mut inner = self.lock();
        if inner.active.is_some() || inner.stopped {
            return None;
        }
        let input = inner.waiting.pop_front()?;
        let Start { turn_id, cancel, takes_input } = start(&input);
        if std::mem::take(&mut inner.interrupted) {
            cancel.cancel();
        }
        let pending_input = std::mem::take(&mut inner.following);
        inner.active = Some(ActiveTurn { turn_id, cancel, state: TurnState { pending_input } });
        let kept = if takes_input { std::mem::take(&mut inner.kept) } else { Vec::new() };
        Some(Begun { kept, input })
    }

    /// Input that the running turn's next request is to carry, oldest first.
    pub fn take_input(&self) -> Vec<I> {
        self.take_input_if(|_| true)
    }

    /// The same, of the inputs that are wanted now; the others wait.
    pub fn take_input_if(&self, is_wanted: impl Fn(&I) -> bool) -> Vec<I> {
        match &mut self.lock().active {
            Some(active) => take_if(&mut active.state.pending_input, is_wanted).into(),
            None => Vec::new(),
        }
    }

    /// Ends the running turn. What it did not take starts the next turn, together; after an interrupt
    /// what `is_input` is kept for whatever turn takes input next instead, and the rest waits for turns
    /// of its own.
    pub fn end(&self, interrupted: bool, is_input: impl Fn(&I) -> bool) {
        let mut inner = self.lock();
        let Some(active) = inner.active.take() else {
            return;
        };
        let mut left = active.state.pending_input;
        if interrupted {
            inner.kept.extend(take_if(&mut left, is_input));
            for rest in left.into_iter().rev() {
                inner.waiting.push_front(rest);
            }
        } else if let Some(first) = left.pop_front() {
            inner.waiting.push_front(first);
            inner.following = left;
        }
    }

    /// Cancels the running turn, or the one that is about to begin, and says whether there is one.
    pub fn interrupt(&self) -> bool {
        let mut inner = self.lock();
        match &inner.active {
            Some(active) => active.cancel.cancel(),
            None if inner.waiting.is_empty() => return false,
            None => inner.interrupted = true,
        }
        true
    }

    /// Takes back those inputs that wait and are no longer wanted.
    pub fn withdraw(&self, is_unwanted: impl Fn(&I) -> bool) -> Vec<I> {
        let mut inner = self.lock();
        // An interrupt is meant for the input that was about to begin, not for its successor.
        let front_goes = inner.waiting.front().is_some_and(&is_unwanted);
        inner.interrupted &= !front_goes;
        let mut unwanted: Vec<I> = inner.kept.extract_if(.., |i| is_unwanted(i)).collect();
        let gone = take_if(&mut inner.waiting, &is_unwanted);
        if front_goes && let Some(first) = inner.following.pop_front() {
            inner.waiting.push_front(first);
        }
        unwanted.extend(gone);
        unwanted.extend(take_if(&mut inner.following, &is_unwanted));
        if let Some(active) = &mut inner.active {
            unwanted.extend(take_if(&mut active.state.pending_input, &is_unwanted));
        }
        unwanted
    }

    /// Looks at the inputs that an interrupted turn left for the next one, oldest first.
    pub fn kept<T>(&self, look: impl FnMut(&I) -> Option<T>) -> Vec<T> {
        self.lock().kept.iter().filter_map(look).collect()
    }

    /// Accepts nothing from now on.
    pub fn close(&self) {
        self.lock().closed = true;
    }

    /// Accepts nothing from now on, cancels the running turn, begins no other, and gives back what
    /// waits.
    pub fn stop(&self) -> Vec<I> {
        let mut inner = self.lock();
        inner.closed = true;
        inner.stopped = true;
        if let Some(active) = &inner.active {
            active.cancel.cancel();
        }
        inner.drain()
    }

    /// Gives back what waits for a turn that will not come.
    pub fn drain(&self) -> Vec<I> {
        self.lock().drain()
    }

    /// Whether the session is closed.
    pub fn is_closed(&self) -> bool {
        self.lock().closed
    }
}

/// Takes the inputs of which `is_meant` says yes.
fn take_if<I>(inputs: &mut VecDeque<I>, is_meant: impl Fn(&I) -> bool) -> VecDeque<I> {
    let (taken, left) = std::mem::take(inputs).into_iter().partition(is_meant);
    *inputs = left;
    taken
}

impl<I> Inner<I> {
    fn drain(&mut self) -> Vec<I> {
        let mut left = std::mem::take(&mut self.kept);
        left.extend(self.waiting.drain(..));
        left.extend(self.following.drain(..));
        self.interrupted = false;
        left
    }

    fn check_room(&self) -> Result<(), QueueError> {
        // What is kept waits for just this input.
        let begins_at_once = self.active.is_none() && self.waiting.is_empty();
        let pending = self.active.as_ref().map_or(0, |active| active.state.pending_input.len());
        if self.closed {
            Err(QueueError::Closed)
        } else if !begins_at_once
            && self.waiting.len() + self.kept.len() + self.following.len() + pending >= MAX_WAITING
        {
            Err(QueueError::Full)
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(turn_id: String) -> Start {
        Start { turn_id, cancel: CancellationToken::new(), takes_input: true }
    }

    fn begin(queue: &TurnQueue<u32>) -> Option<(Vec<u32>, u32)> {
        let begun = queue.begin(|input| start(input.to_string()))?;
        Some((begun.kept, begun.input))
    }

    #[test]
    fn turns_run_one_at_a_time_in_order() {
        let queue = TurnQueue::default();
        queue.submit(1).unwrap();
        queue.submit(2).unwrap();
        assert_eq!(begin(&queue), Some((vec![], 1)));
        assert_eq!(begin(&queue), None, "one runs");
        queue.end(false, |_| true);
        assert_eq!(begin(&queue), Some((vec![], 2)));
        queue.end(false, |_| true);
        assert_eq!(begin(&queue), None);
    }

    #[test]
    fn what_is_kept_waits_for_a_turn_that_takes_input() {
        let queue = TurnQueue::default();
        queue.submit(1).unwrap();
        begin(&queue).unwrap();
        queue.steer(2).unwrap();
        queue.end(true, |_| true);
        queue.submit(3).unwrap();
        let compaction = |input: &u32| Start { takes_input: false, ..start(input.to_string()) };
        let begun = queue.begin(compaction).unwrap();
        assert_eq!((begun.kept, begun.input), (vec![], 3));
        queue.steer(4).unwrap();
        queue.end(false, |_| true);
        assert_eq!(begin(&queue), Some((vec![2], 4)));
    }

    #[test]
    fn what_is_no_input_is_not_kept_after_an_interrupt() {
        let queue = TurnQueue::default();
        for input in [1, 9] {
            queue.submit(input).unwrap();
        }
        begin(&queue).unwrap();
        for steer in [2, 30, 4, 50] {
            queue.steer(steer).unwrap();
        }
        queue.end(true, |input| *input < 10);
        assert_eq!(begin(&queue), Some((vec![2, 4], 30)));
        queue.end(false, |_| true);
        assert_eq!(begin(&queue), Some((vec![], 50)));
        queue.end(false, |_| true);
        assert_eq!(begin(&queue), Some((vec![], 9)));
    }

    #[test]
    fn a_steer_is_taken_once_or_starts_the_next_turn() {
        let queue = TurnQueue::default();
        assert_eq!(queue.steer(1), Ok(Steered::Queued));
        begin(&queue).unwrap();
        queue.submit(9).unwrap();
        let running = Steered::Running { turn_id: "1".into() };
        assert_eq!(queue.steer(2), Ok(running.clone()));
        assert_eq!(queue.take_input(), [2]);
        assert_eq!(queue.take_input(), [0; 0]);
        assert_eq!(queue.steer(5), Ok(running.clone()));
        assert_eq!(queue.steer(6), Ok(running.clone()));
        assert_eq!(queue.take_input_if(|input| *input == 6), [6]);
        assert_eq!(queue.take_input(), [5], "what was not wanted then");
        assert_eq!(queue.steer(3), Ok(running.clone()));
        assert_eq!(queue.steer(4), Ok(running));
        queue.end(false, |_| true);
        assert_eq!(begin(&queue), Some((vec![], 3)), "before what waited for its own turn");
        assert_eq!(queue.take_input(), [4], "one turn takes all that came too late");
        queue.end(false, |_| true);
        assert_eq!(begin(&queue), Some((vec![], 9)));
    }

    #[test]
    fn an_interrupt_is_not_meant_for_another_input() {
        let queue = TurnQueue::default();
        queue.submit(1).unwrap();
        assert!(queue.interrupt());
        assert_eq!(queue.withdraw(|input| *input == 1), [1]);
        queue.submit(2).unwrap();
        let cancel = CancellationToken::new();
        queue.begin(|_| Start { cancel: cancel.clone(), ..start(String::new()) }).unwrap();
        assert!(!cancel.is_cancelled());
    }

    #[test]
    fn after_an_interrupt_steers_wait_for_the_next_turn() {
        let queue = TurnQueue::default();
        assert!(!queue.interrupt());
        queue.submit(1).unwrap();
        let cancel = CancellationToken::new();
        queue.begin(|_| Start { cancel: cancel.clone(), ..start(String::new()) }).unwrap();
        queue.steer(2).unwrap();
        assert!(queue.interrupt());
        assert!(cancel.is_cancelled());
        queue.end(true, |_| true);
        assert_eq!(begin(&queue), None, "an interrupt starts nothing");
        queue.submit(3).unwrap();
        assert_eq!(begin(&queue), Some((vec![2], 3)));
    }

    #[test]
    fn a_turn_that_is_about_to_begin_can_be_interrupted() {
        let queue = TurnQueue::default();
        queue.submit(1).unwrap();
        queue.submit(2).unwrap();
        assert!(queue.interrupt());
        for is_cancelled in [true, false] {
            let cancel = CancellationToken::new();
            queue.begin(|_| Start { cancel: cancel.clone(), ..start(String::new()) }).unwrap();
            assert_eq!(cancel.is_cancelled(), is_cancelled);
            queue.end(is_cancelled, |_| true);
        }
    }

    #[test]
    fn what_is_kept_never_keeps_the_next_turn_out() {
        let queue = TurnQueue::default();
        queue.submit(0).unwrap();
        begin(&queue).unwrap();
        for i in 1..=64 {
            queue.steer(i).unwrap();
        }
        assert_eq!(queue.steer(65), Err(QueueError::Full));
        queue.end(true, |_| true);
        assert_eq!(queue.kept(|i| (i % 32 == 0).then_some(*i)), [32, 64]);
        queue.submit(65).unwrap();
        assert_eq!(queue.submit(66), Err(QueueError::Full));
        assert_eq!(begin(&queue), Some(((1..=64).collect(), 65)));
    }

    #[test]
    fn waiting_inputs_can_be_taken_back() {
        let queue = TurnQueue::default();
        queue.submit(0).unwrap();
        begin(&queue).unwrap();
        queue.steer(1).unwrap();
        queue.steer(2).unwrap();
        queue.end(true, |_| true);
        queue.submit(3).unwrap();
        queue.submit(4).unwrap();
        assert_eq!(queue.withdraw(|i| i % 2 == 1), [1, 3]);
        assert_eq!(begin(&queue), Some((vec![2], 4)));
    }

    #[test]
    fn after_a_stop_no_turn_begins_and_nothing_is_lost() {
        let queue = TurnQueue::default();
        queue.submit(1).unwrap();
        let cancel = CancellationToken::new();
        queue.begin(|_| Start { cancel: cancel.clone(), ..start(String::new()) }).unwrap();
        queue.steer(2).unwrap();
        queue.submit(3).unwrap();
        assert_eq!(queue.stop(), [3]);
        assert!(cancel.is_cancelled());
        queue.end(false, |_| true);
        assert_eq!(begin(&queue), None);
        assert_eq!(queue.drain(), [2]);
        assert_eq!(queue.submit(4), Err(QueueError::Closed));
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
