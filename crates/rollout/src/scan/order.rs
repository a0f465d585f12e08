//! Whether lines of ours follow each other.

use crate::Flaw;

/// What the next line must be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Order {
    next: u64,
    epoch: u64,
    /// Lines that were not sound stand before the next: it may have any later ordinal.
    is_lost: bool,
    /// The lowest ordinal of the next line, if those that were lost were what their heads say.
    next_lost: u64,
    /// Lines that were lost since `next_lost` was known. Whether each had an ordinal is not.
    unknown: u64,
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
        Self { next: 0, epoch: 0, is_lost: false, next_lost: 0, unknown: 0 }
    }

    pub(super) fn next(self) -> u64 {
        self.next
    }

    /// That of the newest line; 0 before the first.
    pub(super) fn epoch(self) -> u64 {
        self.epoch
    }

    /// A line was not sound; `ordinal` is what its head still says. Whether that is its place: behind
    /// others that were lost, each of which had one or none.
    pub(super) fn lose(&mut self, ordinal: Option<u64>) -> bool {
        self.is_lost = true;
        let latest = self.next_lost.saturating_add(self.unknown);
        let placed = ordinal.filter(|ordinal| (self.next_lost..=latest).contains(ordinal));
        if let Some(ordinal) = placed {
            (self.next_lost, self.unknown) = (ordinal.saturating_add(1), 0);
        } else {
            self.unknown += 1;
        }
        placed.is_some()
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
        let next = ordinal.saturating_add(1);
        *self = Self { next, epoch, is_lost: false, next_lost: next, unknown: 0 };
    }
}
