//! Sessions that go on from an earlier place.

use std::collections::BTreeSet;
use std::sync::Mutex;

use longhaul_history::EditError;

use super::SessionState;
use super::compaction::LastCompaction;

impl SessionState {
    /// A session of its own over what stands before the `n`-th message of the user, counted from 0;
    /// this one stays as it is. It has the settings and knows what is known of models; what was used,
    /// and what was approved for this session, is not its own. Costs the same at any length, but for
    /// the cut.
    ///
    /// # Errors
    ///
    /// [`EditError::OutOfRange`] if there is no such message.
    pub fn fork_before(&self, n: usize) -> Result<Self, EditError> {
        let mut inner = self.lock().clone();
        inner.history.cut_before_user_message(n)?;
        inner.told.cut(inner.history.len());
        inner.breaker.reset();
        // It is opened with tools and instructions of its own.
        inner.surface = None;
        (inner.usage, inner.cost, inner.grants) = (None, 0.0, BTreeSet::new());
        (inner.asked, inner.sent_items, inner.used) = (None, None, None);
        inner.last_compaction = LastCompaction::None;
        Ok(Self(Mutex::new(inner)))
    }
}
