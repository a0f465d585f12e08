//! A session as plain values: what goes into a log, and what comes out of one.

use longhaul_compaction::{Breaker, BreakerMemory};
use longhaul_history::{History, Item};

use super::change::Known;
use super::compaction::{LastCompaction, recorded};
use super::told::Told;
use super::{Inner, Remembered, SessionState, Surface};
use crate::protocol::{CallDigest, Settings};

/// All of a session that lasts.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Snapshot {
    /// The conversation: each item, and whether a turn begins with it.
    pub items: Vec<(Item, bool)>,
    /// The next item begins a turn.
    pub next_starts_turn: bool,
    /// The settings that the model was told, each from which item on.
    pub told: Vec<(usize, Settings)>,
    /// The last compaction can be taken back. The snapshot does not have it; the log does.
    pub has_compaction: bool,
    /// The settings of the next turn.
    pub settings: Settings,
    /// What it works with besides, if it has ever said so.
    pub surface: Option<Surface>,
    /// What it has used, and what it knows of models.
    pub known: Known,
    /// What the breaker of automatic compactions remembers.
    pub breaker: BreakerMemory,
    /// What was approved for its length.
    pub grants: Vec<CallDigest>,
}

impl Snapshot {
    /// An empty session with these settings.
    pub fn new(settings: Settings) -> Self {
        Self {
            items: Vec::new(),
            next_starts_turn: false,
            told: Vec::new(),
            has_compaction: false,
            settings,
            surface: None,
            known: Known::default(),
            breaker: BreakerMemory::default(),
            grants: Vec::new(),
        }
    }

    /// The session. `history` is empty, and configured as its conversation is to be.
    pub fn restore(self, mut history: History) -> SessionState {
        history = recorded(history, self.items);
        if self.next_starts_turn {
            history.begin_turn();
        }
        let state = SessionState::new(history, self.settings);
        {
            let mut inner = state.lock();
            inner.told = Told::of(self.told);
            if self.has_compaction {
                inner.last_compaction = LastCompaction::InLog;
            }
            inner.surface = self.surface;
            inner.breaker = Breaker::restore(self.breaker);
            inner.grants = self.grants.into_iter().collect();
            inner.restore_known(self.known);
        }
        state
    }
}

impl SessionState {
    /// The session as it is now. Costs one look at each item.
    pub fn snapshot(&self) -> Snapshot {
        let inner = self.lock();
        let mut starts = inner.history.turn_starts(0).peekable();
        let items = inner
            .history
            .iter()
            .enumerate()
            .map(|(index, item)| (item.clone(), starts.next_if_eq(&index).is_some()));
        Snapshot {
            items: items.collect(),
            next_starts_turn: inner.history.awaits_turn(),
            told: inner.told.entries().to_vec(),
            has_compaction: inner.last_compaction.is_any(),
            settings: inner.settings.clone(),
            surface: inner.surface.clone(),
            known: inner.known(),
            breaker: inner.breaker.memory(),
            grants: inner.grants.iter().copied().collect(),
        }
    }
}

impl Inner {
    fn restore_known(&mut self, known: Known) {
        (self.usage, self.cost, self.rate_limits) = (known.usage, known.cost, known.rate_limits);
        (self.used, self.sent_items) = (known.used, known.sent_items);
        let models = known.models.into_iter().map(|(slug, it)| {
            let (window, calibration) = (it.window, it.calibration);
            // Whoever goes on is told anew that a window is assumed.
            (slug, Remembered { window, calibration, told: false })
        });
        self.models = models.collect();
    }
}
