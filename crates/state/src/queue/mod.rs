//! Who runs and who waits.

mod approvals;
mod planned;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use self::approvals::Approvals;
use self::planned::{Planned, take_if};
use crate::protocol::AbortReason;

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
    /// Tasks that end the running turn: the newest runs next, the others are over as they begin.
    next: VecDeque<Planned<I>>,
    waiting: VecDeque<Planned<I>>,
    /// Steers of an interrupted turn: they go into the next one, before what starts it.
    kept: Vec<I>,
    stage: Stage,
    /// Nobody is left who could answer approval requests.
    unattended: bool,
}

/// What is still done.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// Inputs are accepted and begun.
    Open,
    /// What was accepted is begun.
    Closed,
    /// Nothing is begun.
    Stopped,
}

/// The turn that runs.
pub struct ActiveTurn<I> {
    /// Its id.
    pub turn_id: String,
    /// Ends it.
    pub cancel: CancellationToken,
    /// Why it was cancelled, if anybody said.
    abort: Option<AbortReason>,
    /// Somebody wants quiet: what the turn has not taken starts nothing.
    quiet: bool,
    state: TurnState<I>,
}

/// What gathers while a turn runs.
pub struct TurnState<I> {
    /// Input for the next request of the turn.
    pending_input: VecDeque<I>,
    /// Calls that wait for somebody's answer.
    approvals: Approvals,
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
    /// The turn that runs, or is about to begin, takes it with its next request, or the next turn if
    /// this one ends first.
    Running {
        /// That turn.
        turn_id: String,
    },
    /// Nothing runs; it starts a turn.
    Queued,
}

/// What there is when something is to take the place of the turn that runs.
pub struct Standing<'a, I> {
    /// A turn runs.
    pub is_running: bool,
    /// What is to take its place already, oldest first.
    pub replacing: Vec<&'a I>,
    /// What an interrupted turn left for the next one, oldest first.
    pub kept: &'a [I],
}

/// What a turn is begun with.
pub struct Start {
    /// Its id.
    pub turn_id: String,
    /// Ends it.
    pub cancel: CancellationToken,
    /// What becomes of what an interrupted turn left.
    pub kept: Kept,
}

/// What becomes of inputs that an interrupted turn left, when another begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// They come before what starts it.
    Starts,
    /// Its next request carries them.
    Steers,
    /// They wait for a turn that takes input.
    Waits,
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
            next: VecDeque::new(),
            waiting: VecDeque::new(),
            kept: Vec::new(),
            stage: Stage::Open,
            unattended: false,
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
        inner.waiting.push_back(Planned::of(input));
        Ok(())
    }

    /// Takes input for a turn of its own, unless one runs or is about to.
    ///
    /// # Errors
    ///
    /// [`QueueError`]; the input is dropped.
    pub fn submit_if_idle(&self, input: I) -> Result<(), QueueError> {
        let mut inner = self.lock();
        inner.check_room()?;
        if inner.active.is_some() || !inner.next.is_empty() || !inner.waiting.is_empty() {
            return Err(QueueError::Full);
        }
        inner.waiting.push_back(Planned::of(input));
        Ok(())
    }

    /// Takes input for a turn of its own that comes before all that wait, and ends the one that runs.
    ///
    /// # Errors
    ///
    /// [`QueueError`]; the input is dropped, and the turn runs on.
    pub fn replace(&self, input: I) -> Result<(), QueueError> {
        let mut inner = self.lock();
        inner.check_room()?;
        inner.replace(input);
        Ok(())
    }

    /// The same, if `check` lets it. No turn begins or ends between the two.
    ///
    /// # Errors
    ///
    /// [`QueueError`], or inside of that what `check` says; the input is dropped, and the turn runs on.
    pub fn replace_if<E>(
        &self,
        input: I,
        check: impl FnOnce(Standing<'_, I>) -> Result<(), E>,
    ) -> Result<Result<(), E>, QueueError> {
        let mut inner = self.lock();
        inner.check_room()?;
        let checked = check(inner.standing());
        if checked.is_ok() {
            inner.replace(input);
        }
        Ok(checked)
    }

    /// Takes input for the running turn, or for the one that is about to begin, or else for a new one.
    /// `turn_of` gives the id of the turn that an input starts.
    ///
    /// # Errors
    ///
    /// [`QueueError`]; the input is dropped.
    pub fn steer(
        &self,
        input: I,
        turn_of: impl FnOnce(&I) -> String,
    ) -> Result<Steered, QueueError> {
        let mut inner = self.lock();
        inner.check_room()?;
        let Inner { active, waiting, .. } = &mut *inner;
        let (turn_id, pending) = match (active, waiting.front_mut()) {
            (Some(active), _) => (active.turn_id.clone(), &mut active.state.pending_input),
            // Whoever accepts two inputs at once means one turn, whether or not it has begun.
            (None, Some(front)) => (turn_of(&front.input), &mut front.steers),
            (None, None) => {
                waiting.extend(Planned::of_steers([input].into()));
                return Ok(Steered::Queued);
            }
        };
        pending.push_back(input);
        Ok(Steered::Running { turn_id })
    }

    /// Begins the next turn, if none runs and input waits. `start` gives, for the input that starts
    /// it, the turn's id, the token that ends it, and whether it takes input; what it does happens as
    /// the turn begins.
    pub fn begin(&self, start: impl FnOnce(&I) -> Start) -> Option<Begun<I>> {
        let mut inner = self.lock();
        if inner.active.is_some() || inner.stage == Stage::Stopped {
            return None;
        }
        let replacing = inner.next.pop_front();
        let is_replaced = !inner.next.is_empty();
        let planned = replacing.or_else(|| inner.waiting.pop_front())?;
        let Planned { input, mut steers, is_interrupted, .. } = planned;
        let Start { turn_id, cancel, kept } = start(&input);
        let left = if kept == Kept::Waits { Vec::new() } else { std::mem::take(&mut inner.kept) };
        let kept = match kept {
            Kept::Steers => {
                steers = left.into_iter().chain(steers).collect();
                Vec::new()
            }
            _ => left,
        };
        let state = TurnState { pending_input: steers, approvals: Approvals::default() };
        let mut active = ActiveTurn { turn_id, cancel, abort: None, quiet: false, state };
        if is_replaced {
            active.abort(AbortReason::Replaced);
        } else if is_interrupted {
            active.abort(AbortReason::Interrupted);
        }
        inner.active = Some(active);
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

    /// Ends the running turn. What it did not take starts the next turn, together, also where another
    /// task took its place; after an interrupt what `is_input` is kept for whatever turn takes input
    /// next instead, and the rest waits for turns of its own. It comes before what waits for a turn of
    /// its own, and after steers that came before.
    pub fn end(&self, interrupted: bool, is_input: impl Fn(&I) -> bool) {
        let mut inner = self.lock();
        let Some(active) = inner.active.take() else {
            return;
        };
        let is_replaced = active.abort == Some(AbortReason::Replaced) && !active.quiet;
        let left = active.state.pending_input;
        if let Some(earlier) = inner.waiting.front_mut().filter(|front| front.has_steers()) {
            earlier.steers.extend(left);
        } else if interrupted && !is_replaced {
            inner.keep(left, is_input);
        } else if let Some(late) = Planned::of_steers(left) {
            inner.waiting.push_front(late);
        }
    }

    /// Cancels the running turn, or the one that is about to begin, and says whether there is one.
    pub fn interrupt(&self) -> bool {
        let mut inner = self.lock();
        let Inner { active, next, waiting, .. } = &mut *inner;
        // Of those that take the place of others the newest comes to run.
        let meant = match active {
            // What takes its place is meant too.
            Some(active) if active.cancel.is_cancelled() => {
                active.quiet = true;
                next.back_mut()
            }
            Some(active) => {
                active.abort(AbortReason::Interrupted);
                return true;
            }
            None => next.back_mut().or_else(|| waiting.front_mut()),
        };
        let is_there = meant.is_some() || active.is_some();
        if let Some(planned) = meant {
            planned.is_interrupted = true;
        }
        is_there
    }

    /// Why the running turn ends, if it is cancelled.
    pub fn abort_reason(&self) -> AbortReason {
        let inner = self.lock();
        inner.active.as_ref().and_then(|active| active.abort).unwrap_or(AbortReason::Interrupted)
    }

    /// Takes back those inputs that wait and are no longer wanted.
    pub fn withdraw(&self, is_unwanted: impl Fn(&I) -> bool) -> Vec<I> {
        let mut inner = self.lock();
        let mut unwanted: Vec<I> = inner.kept.extract_if(.., |i| is_unwanted(i)).collect();
        let Inner { next, waiting, .. } = &mut *inner;
        for planned in [next, waiting] {
            for plan in std::mem::take(planned) {
                let (gone, left) = plan.without(&is_unwanted);
                unwanted.extend(gone);
                planned.extend(left);
            }
        }
        if let Some(active) = &mut inner.active {
            unwanted.extend(take_if(&mut active.state.pending_input, &is_unwanted));
        }
        unwanted
    }

    /// Looks at the inputs that an interrupted turn left for the next one, oldest first.
    pub fn kept<T>(&self, look: impl FnMut(&I) -> Option<T>) -> Vec<T> {
        self.lock().kept.iter().filter_map(look).collect()
    }

    /// Leaves inputs for the next turn, as an interrupted turn does.
    pub fn keep(&self, inputs: impl IntoIterator<Item = I>) {
        self.lock().kept.extend(inputs);
    }

    /// Accepts nothing from now on.
    pub fn close(&self) {
        let mut inner = self.lock();
        inner.stage = inner.stage.max(Stage::Closed);
    }

    /// Accepts nothing from now on, cancels the running turn, begins no other, and gives back what
    /// waits.
    pub fn stop(&self) -> Vec<I> {
        let mut inner = self.lock();
        inner.stage = Stage::Stopped;
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
        self.lock().stage != Stage::Open
    }
}

impl<I> ActiveTurn<I> {
    /// Cancels the turn. The first reason counts, and approvals are no longer waited for.
    fn abort(&mut self, reason: AbortReason) {
        if !self.cancel.is_cancelled() {
            self.abort = Some(reason);
        }
        self.cancel.cancel();
        self.state.approvals = Approvals::default();
    }
}

impl<I> Inner<I> {
    fn standing(&self) -> Standing<'_, I> {
        let replacing = self.next.iter().map(|planned| &planned.input).collect();
        Standing { is_running: self.active.is_some(), replacing, kept: &self.kept }
    }

    fn replace(&mut self, input: I) {
        self.next.push_back(Planned::of(input));
        if let Some(active) = &mut self.active {
            active.abort(AbortReason::Replaced);
        }
    }

    /// Keeps what is input for the next turn; the rest has turns of its own.
    fn keep(&mut self, mut left: VecDeque<I>, is_input: impl Fn(&I) -> bool) {
        self.kept.extend(take_if(&mut left, is_input));
        for rest in left.into_iter().rev() {
            self.waiting.push_front(Planned::of(rest));
        }
    }

    fn drain(&mut self) -> Vec<I> {
        let mut left = std::mem::take(&mut self.kept);
        let planned = self.next.drain(..).chain(self.waiting.drain(..));
        left.extend(planned.flat_map(Planned::into_inputs));
        left
    }

    fn check_room(&self) -> Result<(), QueueError> {
        // What is kept waits for just this input.
        let begins_at_once =
            self.active.is_none() && self.waiting.is_empty() && self.next.is_empty();
        let planned: usize = self.waiting.iter().map(|planned| 1 + planned.steers.len()).sum();
        let waiting = planned + self.kept.len();
        let pending = self.active.as_ref().map_or(0, |active| active.state.pending_input.len());
        if self.stage != Stage::Open {
            Err(QueueError::Closed)
        } else if !begins_at_once && waiting + self.next.len() + pending >= MAX_WAITING {
            Err(QueueError::Full)
        } else {
            Ok(())
        }
    }
}
