//! What a session changes, in the order in which it does, for whoever keeps it.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use longhaul_history::History;

use super::turns::TurnStarts;
use super::{
    AcceptedInput, Change, Edit, EditCause, Inner, Known, KnownModel, Remembered, SessionState,
};
use crate::protocol::{TurnEnd, TurnError};
use crate::turn::TurnRecord;

/// Changes that nobody has kept yet, if somebody keeps them.
#[derive(Default)]
pub(super) struct Journal(Option<Pending>);

/// What a copy of a session changes is its own: nobody keeps it yet.
impl Clone for Journal {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Journal {
    /// The number of the change that is noted next, if it is.
    pub(super) fn next_number(&self) -> Option<u64> {
        self.0.as_ref().filter(|pending| !pending.is_closed).map(|pending| pending.count + 1)
    }
}

#[derive(Default)]
struct Pending {
    changes: Vec<Change>,
    /// How many changes there were, ever.
    count: u64,
    waker: Option<Waker>,
    is_closed: bool,
}

impl SessionState {
    /// From now on changes are noted for [`poll_changes`](Self::poll_changes). Whoever asks for this has
    /// to take them: they are kept until then.
    pub fn keep_journal(&self) {
        self.lock().journal.0.get_or_insert_default();
    }

    /// The changes since the last call, all that there are, and how many there were ever, these
    /// included; `None` when the journal is closed and all are taken.
    pub fn poll_changes(&self, context: &mut Context<'_>) -> Poll<Option<(Vec<Change>, u64)>> {
        let mut inner = self.lock();
        let Some(pending) = &mut inner.journal.0 else {
            return Poll::Ready(None);
        };
        if !pending.changes.is_empty() {
            return Poll::Ready(Some((std::mem::take(&mut pending.changes), pending.count)));
        }
        if pending.is_closed {
            return Poll::Ready(None);
        }
        pending.waker = Some(context.waker().clone());
        Poll::Pending
    }

    /// How many changes there were until now; 0 if none are noted.
    pub fn change_count(&self) -> u64 {
        self.lock().journal.0.as_ref().map_or(0, |pending| pending.count)
    }

    /// No change comes any more: what is changed from now on is not noted.
    pub fn close_journal(&self) {
        let waker = {
            let mut inner = self.lock();
            inner.journal.0.as_mut().and_then(|pending| {
                pending.is_closed = true;
                pending.waker.take()
            })
        };
        waker.into_iter().for_each(Waker::wake);
    }

    /// Notes an input that was accepted; made only if changes are noted.
    pub fn note_accepted(&self, input: impl FnOnce() -> AcceptedInput) {
        self.change(|inner| inner.note(|_| Change::InputAccepted(input())));
    }

    /// Notes that the input with this id waits no more, though no turn has taken it.
    pub fn note_gone(&self, id: Arc<str>) {
        self.change(|inner| inner.note(|_| Change::InputGone(id)));
    }

    /// Notes what became known of the calls of a turn.
    pub fn note_call(&self, turn_id: &Arc<str>, record: TurnRecord) {
        let turn_id = Arc::clone(turn_id);
        self.change(|inner| inner.note(|_| Change::Call { turn_id, record }));
    }

    /// Notes the end of a turn.
    pub fn note_end(
        &self,
        turn_id: &Arc<str>,
        end: Result<TurnEnd, TurnError>,
        last_message: Option<String>,
    ) {
        let turn_id = Arc::clone(turn_id);
        self.change(|inner| inner.note(|_| Change::TurnEnded { turn_id, end, last_message }));
    }

    /// Changes something; then whoever waits for changes is woken, not under the lock.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        let (changed, waker) = {
            let mut inner = self.lock();
            let changed = change(&mut inner);
            let pending = inner.journal.0.as_mut().filter(|pending| !pending.changes.is_empty());
            (changed, pending.and_then(|pending| pending.waker.take()))
        };
        waker.into_iter().for_each(Waker::wake);
        changed
    }
}

fn is_replaced(last: &Change, by: &Change) -> bool {
    matches!(
        (last, by),
        (Change::Used(_), Change::Used(_)) | (Change::Settings(_), Change::Settings(_))
    )
}

impl Inner {
    /// Notes a change, if changes are noted.
    pub(super) fn note(&mut self, change: impl FnOnce(&Self) -> Change) {
        if self.journal.0.as_ref().is_none_or(|pending| pending.is_closed) {
            return;
        }
        let change = change(self);
        if let Some(pending) = &mut self.journal.0 {
            // Of sums and settings the newest says all. So what waits is bounded while the log is
            // slow: a turn goes on only when what it did is kept.
            if pending.changes.last().is_some_and(|last| is_replaced(last, &change)) {
                pending.changes.pop();
            }
            pending.changes.push(change);
            pending.count += 1;
        }
    }

    /// Notes what makes the conversation of `before`.
    pub(super) fn note_edit(&mut self, before: &History, cause: EditCause) {
        self.note(|inner| {
            let parts = inner.history.parts_of(before);
            let turns = TurnStarts::after_edit(&inner.history, before, before.len(), &parts);
            Change::Edited(Edit { replaced: before.len(), parts, cause, turns })
        });
    }

    /// Notes what the session has used and knows.
    pub(super) fn note_used(&mut self) {
        self.note(|inner| Change::Used(Box::new(inner.known())));
    }

    pub(super) fn known(&self) -> Known {
        let model = |(slug, it): (&String, &Remembered)| {
            let (window, calibration) = (it.window, it.calibration);
            (slug.clone(), KnownModel { window, calibration })
        };
        Known {
            usage: self.usage,
            cost: self.cost,
            rate_limits: self.rate_limits,
            models: self.models.iter().map(model).collect(),
        }
    }
}
