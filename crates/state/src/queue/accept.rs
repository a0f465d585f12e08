//! What comes in: whether there is room for it, and where it waits.

use super::planned::Planned;
use super::{Inner, Stage, TurnQueue};
use crate::protocol::AbortReason;

/// How many inputs may wait in a session. More is a client that does not listen.
pub const MAX_WAITING: usize = 64;

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

impl<I> TurnQueue<I> {
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
