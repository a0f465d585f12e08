//! A turn that waits: what starts it, and what its first request carries besides.

use std::collections::VecDeque;

/// A turn that waits.
pub(super) struct Planned<I> {
    /// What starts it.
    pub(super) input: I,
    /// What its first request carries besides.
    pub(super) steers: VecDeque<I>,
    /// What starts it was to steer another.
    is_steer: bool,
    /// Somebody has ended it already.
    pub(super) is_interrupted: bool,
}

impl<I> Planned<I> {
    pub(super) fn of(input: I) -> Self {
        Self { input, steers: VecDeque::new(), is_steer: false, is_interrupted: false }
    }

    /// A turn of steers that no other takes.
    pub(super) fn of_steers(mut steers: VecDeque<I>) -> Option<Self> {
        let input = steers.pop_front()?;
        Some(Self { input, steers, is_steer: true, is_interrupted: false })
    }

    /// Whether it has inputs that were to steer: what was accepted later comes after them.
    pub(super) fn has_steers(&self) -> bool {
        self.is_steer || !self.steers.is_empty()
    }

    pub(super) fn into_inputs(self) -> impl Iterator<Item = I> {
        std::iter::once(self.input).chain(self.steers)
    }

    /// What is unwanted of it, and what is left.
    pub(super) fn without(
        mut self,
        is_unwanted: impl Fn(&I) -> bool,
    ) -> (VecDeque<I>, Option<Self>) {
        let mut unwanted = take_if(&mut self.steers, &is_unwanted);
        if !is_unwanted(&self.input) {
            return (unwanted, Some(self));
        }
        unwanted.push_front(self.input);
        (unwanted, Self::of_steers(self.steers))
    }
}

/// Takes the inputs of which `is_meant` says yes.
pub(super) fn take_if<I>(inputs: &mut VecDeque<I>, is_meant: impl Fn(&I) -> bool) -> VecDeque<I> {
    let (taken, left) = std::mem::take(inputs).into_iter().partition(is_meant);
    *inputs = left;
    taken
}
