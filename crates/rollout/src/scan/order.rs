//! Whether lines of ours follow each other.

use crate::Flaw;

/// What the next line must be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Order {
    next: u64,
    epoch: u64,
    /// Lines that were not sound stand before the next: it may have any later ordinal.
    is_lost: bool,
}

/// How a line follows those before.
#[derive(Debug, PartialEq)]
pub(super) enum Follows {
    /// It is the next.
    Yes,
    /// Lines are missing before it.
    Later(Flaw),
    /// Its place is taken.
    No(Flaw),
}

impl Order {
    pub(super) fn new() -> Self {
        Self { next: 0, epoch: 0, is_lost: false }
    }

    pub(super) fn next(self) -> u64 {
        self.next
    }

    /// That of the newest line; 0 before the first.
    pub(super) fn epoch(self) -> u64 {
        self.epoch
    }

    /// A line was not sound.
    pub(super) fn lose(&mut self) {
        self.is_lost = true;
    }

    pub(super) fn follows(self, ordinal: u64, epoch: u64) -> Follows {
        let flaw = Flaw::Ordinal { expected: self.next, found: ordinal };
        if ordinal < self.next {
            Follows::No(flaw)
        } else if epoch < self.epoch.max(1) {
            Follows::No(Flaw::Epoch { before: self.epoch, found: epoch })
        } else if ordinal > self.next && !self.is_lost {
            Follows::Later(flaw)
        } else {
            Follows::Yes
        }
    }

    /// The line with this ordinal is taken.
    pub(super) fn take(&mut self, ordinal: u64, epoch: u64) {
        // The last ordinal that there can be is followed by none.
        *self = Self { next: ordinal.saturating_add(1), epoch, is_lost: false };
    }
}
