//! What a session changes, in the order in which it does, for whoever keeps it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use longhaul_compaction::Compacted;
use longhaul_history::tokens::Calibration;
use longhaul_history::usage::TokenUsageInfo;
use longhaul_history::{History, Item, Part};
use longhaul_transport::RateLimits;
use serde_json::Value;

use super::fork::Place;
use super::turns::TurnStarts;
use super::{Inner, Remembered, SessionState, Surface};
use crate::protocol::{CallDigest, Settings, SettingsUpdate, TurnEnd, TurnError};
use crate::turn::TurnRecord;

/// One change of a session. All of them, in order, make the session again.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Change {
    /// The session was opened again.
    Opened {
        /// What differs from how it was left, a sentence each.
        differences: Vec<String>,
    },
    /// It works with this from now on.
    Surface(Surface),
    /// A turn begins, and with it the next item. Its model is told of these settings from here on.
    TurnBegan {
        /// The turn.
        turn_id: Arc<str>,
        /// Its settings.
        settings: Settings,
        /// Those of later turns, if they have changed already.
        later: Option<Settings>,
    },
    /// These are the settings of later turns.
    Settings(Settings),
    /// An item was recorded.
    Recorded {
        /// The item as it was given, before limits of the conversation.
        item: Item,
        /// Where it was inserted; `None` if it was appended.
        at: Option<usize>,
        /// The [input](AcceptedInput::id) that it is, if that was accepted before: it waits no more.
        input: Option<Arc<str>>,
    },
    /// An input was accepted: it waits for a turn.
    InputAccepted(AcceptedInput),
    /// The input with this [id](AcceptedInput::id) no longer waits, and no turn has taken it.
    InputGone(Arc<str>),
    /// The conversation was edited.
    Edited(Edit),
    /// The conversation was compacted.
    Compacted {
        /// What came in the place of what.
        compacted: Compacted,
        /// The settings that its context messages speak of; `None` if that is as it was.
        told: Option<Settings>,
        /// Where turns begin afterwards.
        turns: TurnStarts,
    },
    /// The conversation before the last compaction stands again, and behind it what came since.
    CompactionUndone {
        /// Where turns begin afterwards.
        turns: TurnStarts,
    },
    /// What the session has used, and what it knows of models.
    Used(Box<Known>),
    /// Calls of this digest need no further approval.
    Granted(CallDigest),
    /// What was approved for the session's length no longer is.
    GrantsCleared,
    /// Something became known of the calls of a turn.
    Call {
        /// The turn.
        turn_id: Arc<str>,
        /// What.
        record: TurnRecord,
    },
    /// A turn has ended.
    TurnEnded {
        /// The turn.
        turn_id: Arc<str>,
        /// How.
        end: Result<TurnEnd, TurnError>,
        /// The model's last message.
        last_message: Option<String>,
    },
    /// Nothing changed; somebody wants to know where in the log this is.
    Place(Place),
}

/// An input that waits for a turn.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct AcceptedInput {
    /// Its own id, which no other input has.
    pub id: Arc<str>,
    /// The id that its client gave.
    pub submission_id: Arc<str>,
    /// What the user says.
    pub item: Item,
    /// What it changes.
    pub settings: SettingsUpdate,
    /// What the final message has to follow.
    pub output_schema: Option<Arc<Value>>,
}

impl AcceptedInput {
    /// One that changes nothing, with any final message.
    pub fn new(id: impl Into<Arc<str>>, submission_id: impl Into<Arc<str>>, item: Item) -> Self {
        Self {
            id: id.into(),
            submission_id: submission_id.into(),
            item,
            settings: SettingsUpdate::default(),
            output_schema: None,
        }
    }
}

/// An edit of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Edit {
    /// How many items the conversation had: all of them are replaced.
    pub replaced: usize,
    /// By these parts of it.
    pub parts: Vec<Part>,
    /// Why.
    pub cause: EditCause,
    /// Where turns begin afterwards.
    pub turns: TurnStarts,
}

/// Why a conversation was edited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum EditCause {
    /// The item at this index was taken out.
    Removed(usize),
    /// It was put right.
    Repaired,
}

/// What is known of a session beside its conversation and its settings.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Known {
    /// What it has used.
    pub usage: Option<TokenUsageInfo>,
    /// What it has cost, by the agent's prices.
    pub cost: f64,
    /// The newest limits of its server.
    pub rate_limits: Option<RateLimits>,
    /// What it met with at models, by their slugs.
    pub models: BTreeMap<String, KnownModel>,
}

/// What a session met with at a model.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[non_exhaustive]
pub struct KnownModel {
    /// The raw context window in tokens, as its server named it.
    pub window: Option<u64>,
    /// How far counts of tokens are off for it.
    pub calibration: Calibration,
}

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
