//! What the log knows of an input that waits.

use std::sync::Arc;

use longhaul_history::Item;
use longhaul_state::{AcceptedInput, SessionState};

/// An input that is noted as accepted, until a turn takes it. Dropped before that, it is noted to be
/// gone; where the process ends instead, it waits again when the session is opened again.
pub(crate) struct Claim {
    state: Arc<SessionState>,
    id: Arc<str>,
    is_taken: bool,
}

impl Claim {
    /// Notes an input of this id, which is its own.
    pub(super) fn note(
        state: &Arc<SessionState>,
        id: &Arc<str>,
        input: impl FnOnce() -> AcceptedInput,
    ) -> Self {
        state.note_accepted(input);
        Self::of(state, id)
    }

    /// That of an input which was noted before.
    pub(super) fn of(state: &Arc<SessionState>, id: &Arc<str>) -> Self {
        Self { state: Arc::clone(state), id: Arc::clone(id), is_taken: false }
    }

    /// A turn takes the input: the conversation has it.
    pub(crate) fn record(mut self, item: Item) {
        self.is_taken = true;
        self.state.record_input(item, Arc::clone(&self.id));
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if !self.is_taken {
            self.state.note_gone(Arc::clone(&self.id));
        }
    }
}
