//! The turn that runs: how it begins, takes input, is ended, and what it leaves.

use std::collections::VecDeque;

use tokio_util::sync::CancellationToken;

use super::approvals::Approvals;
use super::planned::{Planned, take_if};
use super::{ActiveTurn, Inner, Stage, TurnQueue, TurnState};
use crate::protocol::AbortReason;

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

impl<I> TurnQueue<I> {
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
}

impl<I> Inner<I> {
    /// Keeps what is input for the next turn; the rest has turns of its own.
    fn keep(&mut self, mut left: VecDeque<I>, is_input: impl Fn(&I) -> bool) {
        self.kept.extend(take_if(&mut left, is_input));
        for rest in left.into_iter().rev() {
            self.waiting.push_front(Planned::of(rest));
        }
    }
}
