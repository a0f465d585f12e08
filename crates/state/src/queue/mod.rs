//! Who runs and who waits.

mod accept;
mod approvals;
mod planned;
mod running;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use self::approvals::Approvals;
use self::planned::{Planned, take_if};
use crate::protocol::AbortReason;

pub use self::accept::{MAX_WAITING, QueueError, Standing, Steered};
pub use self::running::{Begun, Kept, Start};

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
    fn drain(&mut self) -> Vec<I> {
        let mut left = std::mem::take(&mut self.kept);
        let planned = self.next.drain(..).chain(self.waiting.drain(..));
        left.extend(planned.flat_map(Planned::into_inputs));
        left
    }
}
