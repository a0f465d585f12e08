//! What the log knows of an input that waits.

use std::sync::Arc;

use longhaul_history::Item;
use longhaul_state::{AcceptedInput, SessionState};

/// An input that is noted as accepted, until a turn takes it. Dropped before that, it is noted to be
/// gone; where the process ends instead, it waits again when the session is opened again.
pub(crate) struct Claim {
    state: Arc<SessionState>,
    id: Arc<str>,
    /// The log is not told that it is gone.
    is_settled: bool,
    /// It waited before the session was opened: nobody has a handle of it.
    is_restored: bool,
}

impl Claim {
    /// Notes an input of this id, which is its own.
    pub(super) fn note(
        state: &Arc<SessionState>,
        id: &Arc<str>,
        input: impl FnOnce() -> AcceptedInput,
    ) -> Self {
        state.note_accepted(input);
        let mut claim = Self::of_restored(state, id);
        claim.is_restored = false;
        claim
    }

    /// That of an input which was noted before the session was opened.
    pub(super) fn of_restored(state: &Arc<SessionState>, id: &Arc<str>) -> Self {
        let (state, id) = (Arc::clone(state), Arc::clone(id));
        Self { state, id, is_settled: false, is_restored: true }
    }

    /// The session ends, and nobody has taken the input. Whoever has its handle is to be told; where
    /// nobody has, it waits on, which this says.
    pub(super) fn waits_on(&mut self) -> bool {
        self.is_settled |= self.is_restored;
        self.is_restored
    }

    /// A turn takes the input: the conversation has it.
    pub(crate) fn record(mut self, item: Item) {
        self.is_settled = true;
        self.state.record_input(item, Arc::clone(&self.id));
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if !self.is_settled {
            self.state.note_gone(Arc::clone(&self.id));
        }
    }
}
