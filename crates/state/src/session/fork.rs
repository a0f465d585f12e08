//! Sessions that go on from an earlier place.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, OnceLock};

use longhaul_history::EditError;

use super::compaction::LastCompaction;
use super::{Change, Inner, SessionState};

/// A place among the changes of a session: where a fork was taken. Whoever keeps the changes says
/// where in the log that is.
#[derive(Debug, Clone)]
pub struct Place {
    number: u64,
    ordinal: Arc<OnceLock<u64>>,
}

impl Place {
    /// The number of its change: when that is kept, the ordinal is known.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The newest record in the log there, once it is known.
    pub fn ordinal(&self) -> Option<u64> {
        self.ordinal.get().copied()
    }

    /// Whether anybody else holds it, who may ask for the ordinal.
    pub(super) fn is_awaited(&self) -> bool {
        Arc::strong_count(&self.ordinal) > 1
    }

    /// Says which record is the newest there. Only the first word counts.
    pub fn found(&self, ordinal: u64) {
        let _ = self.ordinal.set(ordinal);
    }
}

impl SessionState {
    /// A session of its own over what stands before the `n`-th message of the user, counted from 0;
    /// this one stays as it is. It has the settings and knows what is known of models; what was used,
    /// and what was approved for this session, is not its own. Costs the same at any length, but for
    /// the cut. The place is where this was; `None` if nobody keeps the changes.
    ///
    /// # Errors
    ///
    /// [`EditError::OutOfRange`] if there is no such message.
    pub fn fork_before(&self, n: usize) -> Result<(Self, Option<Place>), EditError> {
        self.fork_where(|inner| inner.history.cut_before_user_message(n).map(drop))
    }

    /// The same over all of the conversation.
    pub fn fork_whole(&self) -> (Self, Option<Place>) {
        let Ok(forked) = self.fork_where(|_| Ok::<_, std::convert::Infallible>(()));
        forked
    }

    fn fork_where<E>(
        &self,
        cut: impl FnOnce(&mut Inner) -> Result<(), E>,
    ) -> Result<(Self, Option<Place>), E> {
        self.change(|parent| {
            let mut inner = parent.clone();
            cut(&mut inner)?;
            inner.told.cut(inner.history.len());
            inner.breaker.reset();
            // It is opened with tools and instructions of its own.
            inner.surface = None;
            (inner.usage, inner.cost, inner.grants) = (None, 0.0, BTreeSet::new());
            (inner.asked, inner.sent_items, inner.used) = (None, None, None);
            inner.last_compaction = LastCompaction::None;
            Ok((Self(Mutex::new(inner)), parent.note_place()))
        })
    }
}

impl SessionState {
    /// Notes a place, at which whoever keeps the changes tries again to keep all up to there. `None` if
    /// changes are not noted.
    pub fn note_place(&self) -> Option<Place> {
        self.change(Inner::note_place)
    }
}

impl Inner {
    /// Has whoever keeps the changes say where in the log this is.
    fn note_place(&mut self) -> Option<Place> {
        let number = self.journal.next_number()?;
        let place = Place { number, ordinal: Arc::default() };
        self.note(|_| Change::Place(place.clone()));
        Some(place)
    }
}
