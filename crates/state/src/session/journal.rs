//! What a session changes, in the order in which it does, for whoever keeps it.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use longhaul_history::History;

use super::turns::TurnStarts;
use super::{
    AcceptedInput, Change, Changes, Edit, EditCause, Inner, Known, KnownModel, Remembered,
    SessionState,
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

    fn has_limits(&self) -> bool {
        self.0.as_ref().is_some_and(|pending| pending.has_limits)
    }
}

#[derive(Default)]
struct Pending {
    changes: Changes,
    /// How many changes there were, ever.
    count: u64,
    /// So many of them were asked for.
    taken: u64,
    /// There are newer limits of the server, which go with the next change.
    has_limits: bool,
    waker: Option<Waker>,
    is_closed: bool,
}

impl Pending {
    /// There is something that nobody has asked for, be it that nothing is left of it.
    fn has_news(&self) -> bool {
        self.count > self.taken
    }

    fn take(&mut self) -> (Vec<Change>, u64) {
        self.taken = self.count;
        (std::mem::take(&mut self.changes).into_iter().collect(), self.count)
    }
}

impl SessionState {
    /// From now on changes are noted for [`poll_changes`](Self::poll_changes). Whoever asks for this has
    /// to take them: they are kept until then.
    pub fn keep_journal(&self) {
        self.lock().journal.0.get_or_insert_default();
    }

    /// What is left of the [changes](Changes) since the last call, and how many there were ever, these
    /// included; `None` when the journal is closed and all are taken.
    pub fn poll_changes(&self, context: &mut Context<'_>) -> Poll<Option<(Vec<Change>, u64)>> {
        let mut inner = self.lock();
        let Some(pending) = &mut inner.journal.0 else {
            return Poll::Ready(None);
        };
        if pending.has_news() {
            return Poll::Ready(Some(pending.take()));
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
            if inner.journal.has_limits() {
                inner.note_used();
            }
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
            let pending = inner.journal.0.as_mut().filter(|pending| pending.has_news());
            (changed, pending.and_then(|pending| pending.waker.take()))
        };
        waker.into_iter().for_each(Waker::wake);
        changed
    }
}

impl Inner {
    /// Notes a change, if changes are noted.
    pub(super) fn note(&mut self, change: impl FnOnce(&Self) -> Change) {
        if self.journal.0.as_ref().is_none_or(|pending| pending.is_closed) {
            return;
        }
        let limits = self.journal.has_limits().then(|| Change::Used(Box::new(self.known())));
        let change = change(self);
        if let Some(pending) = &mut self.journal.0 {
            pending.has_limits = false;
            pending.changes.extend(limits.into_iter().chain([change]));
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

    /// Notes limits of the server, with whatever is noted next: they come with each response, say
    /// nothing that the next will not say, and are not worth a sync of their own.
    pub(super) fn note_limits(&mut self) {
        if let Some(pending) = &mut self.journal.0 {
            pending.has_limits = true;
        }
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
            used: self.used,
            sent_items: self.sent_items,
            models: self.models.iter().map(model).collect(),
        }
    }
}
