//! What a breaker remembers, as plain values: for whoever keeps it over the end of a process.

use std::collections::HashSet;
use std::sync::Arc;

use super::{BRIEF_RESPONSES, Breaker, BreakerLimits, Stopped};

/// What a [`Breaker`] remembers, or what of it has changed. Turns are counted from the newest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BreakerMemory {
    /// So many turns ago compactions made no progress, each once, oldest first; 0 is the newest turn.
    pub stalls: Vec<u64>,
    /// Why it is open, if it is.
    pub open: Option<Stopped>,
    /// It stays open for so many turns after the newest.
    pub turns_left: u64,
    /// Somebody was told that it is open.
    pub is_told: bool,
    /// Responses since the last automatic compaction, 3 at most, as more says no more; `None` if there
    /// was no such compaction.
    pub responses: Option<u32>,
    /// The response that shows whether that compaction helped is still to come.
    pub is_untested: bool,
    /// All that was seen before is forgotten.
    pub is_anew: bool,
    /// What is new of what was seen before that compaction, as hashes, in order.
    pub seen: Vec<u64>,
}

impl Breaker {
    /// A breaker that remembers all of this, with default limits.
    pub fn restore(memory: BreakerMemory) -> Self {
        let turn = memory.stalls.iter().copied().max().unwrap_or_default();
        let seen = memory.responses.map(|_| Arc::new(memory.seen.into_iter().collect()));
        Self {
            turn,
            stalls: memory.stalls.iter().map(|age| turn - age).collect(),
            seen,
            responses: memory.responses.unwrap_or_default(),
            is_untested: memory.is_untested,
            open: memory.open.map(|why| (turn.saturating_add(memory.turns_left), why)),
            is_told: memory.is_told,
            ..Self::new(BreakerLimits::default())
        }
    }

    /// All that it remembers.
    pub fn memory(&self) -> BreakerMemory {
        let seen = self.seen.as_deref().map(sorted).unwrap_or_default();
        BreakerMemory { seen, ..self.state() }
    }

    /// What it remembers otherwise than `before`, which it was a moment ago; `None` if it is the same.
    /// Of what was seen only what is new.
    pub fn changed_since(&self, before: &Self) -> Option<BreakerMemory> {
        let (is_anew, seen) = self.seen_since(before);
        let state = self.state();
        let is_same = !is_anew && seen.is_empty() && state == before.state();
        (!is_same).then_some(BreakerMemory { is_anew, seen, ..state })
    }

    /// All but what was seen.
    fn state(&self) -> BreakerMemory {
        let is_compacted = self.seen.is_some();
        BreakerMemory {
            stalls: self.stalls.iter().map(|turn| self.turn - turn).collect(),
            open: self.open.map(|(_, why)| why),
            turns_left: self.open.map_or(0, |(last, _)| last.saturating_sub(self.turn)),
            is_told: self.is_told,
            responses: is_compacted.then(|| self.responses.min(BRIEF_RESPONSES + 1)),
            is_untested: self.is_untested,
            ..BreakerMemory::default()
        }
    }

    /// Whether what was seen before is forgotten, and what is new. It grows, or is forgotten as a whole.
    fn seen_since(&self, before: &Self) -> (bool, Vec<u64>) {
        match (&before.seen, &self.seen) {
            (None, None) => (false, Vec::new()),
            (None, Some(seen)) => (false, sorted(seen)),
            (Some(_), None) => (true, Vec::new()),
            (Some(old), Some(seen)) if seen.len() < old.len() => (true, sorted(seen)),
            (Some(old), Some(seen)) if seen.len() == old.len() => (false, Vec::new()),
            (Some(old), Some(seen)) => (false, in_order(seen.difference(old))),
        }
    }
}

fn sorted(seen: &HashSet<u64>) -> Vec<u64> {
    in_order(seen.iter())
}

fn in_order<'a>(seen: impl Iterator<Item = &'a u64>) -> Vec<u64> {
    let mut seen: Vec<u64> = seen.copied().collect();
    seen.sort_unstable();
    seen
}
