//! What a session knows, for as long as it lives.

mod aside;
mod change;
mod changes;
mod compaction;
mod fork;
mod grants;
mod journal;
mod models;
mod snapshot;
mod surface;
#[cfg(test)]
mod tests;
mod told;
mod turns;
mod usage;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use longhaul_compaction::{Breaker, BreakerLimits};
use longhaul_history::usage::{TokenUsage, TokenUsageInfo};
use longhaul_history::{History, Item, Part, Prompt, ReasoningFilter, Repair, WireFormat};
use longhaul_transport::RateLimits;

use self::compaction::LastCompaction;
use self::journal::Journal;
use self::models::Remembered;
use self::told::Told;
use crate::ContextMessages;
use crate::protocol::{CallDigest, GrantScope, Settings, SettingsUpdate};

pub use self::change::{AcceptedInput, Change, Edit, EditCause, Known, KnownModel};
pub use self::changes::Changes;
pub use self::compaction::PastCompaction;
pub use self::fork::Place;
pub use self::grants::MAX_GRANTS;
pub use self::models::MAX_REMEMBERED_MODELS;
pub use self::snapshot::Snapshot;
pub use self::surface::Surface;
pub use self::turns::TurnStarts;

/// The conversation of a session and what is known of it.
///
/// Every method takes the lock for the length of a field access and gives values, never guards.
pub struct SessionState(Mutex<Inner>);

#[derive(Clone)]
struct Inner {
    history: History,
    settings: Settings,
    /// What it works with besides; `None` if nobody has said so.
    surface: Option<Surface>,
    told: Told,
    usage: Option<TokenUsageInfo>,
    /// What the session has cost, by the agent's prices.
    cost: f64,
    /// Usage and cost that a conversation beside the session began with: those of the session.
    begun_with: (TokenUsage, f64),
    rate_limits: Option<RateLimits>,
    models: BTreeMap<String, Remembered>,
    /// The model that was asked last, and the tokens that its request was counted for.
    asked: Option<(String, u64)>,
    /// So many items of the conversation were in the last request of a turn.
    sent_items: Option<usize>,
    /// What the last response says that the conversation takes, in tokens, if it says so and it is
    /// the same conversation.
    used: Option<u64>,
    breaker: Breaker,
    /// What was approved for the session's length.
    grants: BTreeSet<CallDigest>,
    grant_scope: GrantScope,
    last_compaction: LastCompaction,
    /// What is to be kept, if anything is.
    journal: Journal,
}

impl SessionState {
    /// A session that begins with `history`. From now on only its turns begin turns of that: a log of the
    /// session could not tell those that messages begin.
    pub fn new(mut history: History, settings: Settings) -> Self {
        history.mark_turns();
        Self(Mutex::new(Inner {
            history,
            settings,
            surface: None,
            told: Told::default(),
            usage: None,
            cost: 0.0,
            begun_with: Default::default(),
            rate_limits: None,
            models: BTreeMap::new(),
            asked: None,
            sent_items: None,
            used: None,
            breaker: Breaker::new(BreakerLimits::default()),
            grants: BTreeSet::new(),
            grant_scope: GrantScope::default(),
            last_compaction: LastCompaction::default(),
            journal: Journal::default(),
        }))
    }

    /// The same with a breaker of these limits; what that remembers stays.
    #[must_use]
    pub fn with_breaker(self, limits: BreakerLimits) -> Self {
        {
            let mut inner = self.lock();
            inner.breaker = inner.breaker.clone().with_limits(limits);
        }
        self
    }

    /// Nothing that is done under the lock can leave a value half changed.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A copy that shares the conversation so far.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self(Mutex::new(self.lock().clone()))
    }

    /// The settings of the next turn.
    pub fn settings(&self) -> Settings {
        self.lock().settings.clone()
    }

    /// Changes the settings of later turns.
    pub fn update_settings(&self, change: SettingsUpdate) {
        self.change(|inner| {
            let before = inner.settings.clone();
            inner.settings.update(change);
            if inner.settings != before {
                inner.note(|inner| Change::Settings(inner.settings.clone()));
            }
            inner.leave_folder(&before);
            inner.leave_model(&before);
        });
    }

    /// Puts other settings in the place of those that there are.
    pub fn set_settings(&self, settings: Settings) {
        self.change(|inner| {
            let before = std::mem::replace(&mut inner.settings, settings);
            inner.note(|inner| Change::Settings(inner.settings.clone()));
            inner.leave_folder(&before);
            inner.leave_model(&before);
        });
    }

    /// Begins a turn with these settings: records what `context` has to tell the model about those
    /// that are new to it. Reasoning of earlier turns is no longer sent.
    pub fn begin_turn(
        &self,
        turn_id: &Arc<str>,
        settings: &Settings,
        context: &dyn ContextMessages,
    ) {
        let told = self.lock().told.last().cloned();
        // Not under the lock: it is the embedder's code, and may look at the session.
        let messages = context.messages(told.as_ref(), settings);
        self.change(|inner| {
            inner.history.begin_turn();
            inner.change_breaker(Breaker::begin_turn);
            let index = inner.history.len();
            inner.note(|inner| Change::TurnBegan {
                turn_id: Arc::clone(turn_id),
                settings: settings.clone(),
                later: Some(&inner.settings).filter(|later| *later != settings).cloned(),
            });
            inner.record(messages);
            inner.told.note(index, settings.clone());
        });
    }

    /// Records items, together.
    pub fn record(&self, items: impl IntoIterator<Item = Item>) {
        self.change(|inner| inner.record(items));
    }

    /// Records an input that was accepted under this id.
    pub fn record_input(&self, item: Item, id: Arc<str>) {
        self.change(|inner| {
            inner.history.record(item.clone());
            inner.note(|_| Change::Recorded { item, at: None, input: Some(id) });
        });
    }

    /// Records the output of a call, right after the call.
    pub fn record_output(&self, output: Item) {
        self.change(|inner| {
            let index = inner.history.record_output(output.clone());
            // Behind the last item, it is as if appended, unless that would begin a turn.
            let is_inserted = index + 1 < inner.history.len() || inner.history.awaits_turn();
            let at = is_inserted.then_some(index);
            inner.note(|_| Change::Recorded { item: output, at, input: None });
        });
    }

    /// Takes the item at `index` out of the conversation, if it is `item`, and says whether it was.
    pub fn remove(&self, index: usize, item: &Item) -> bool {
        self.change(|inner| inner.remove(index, item))
    }

    /// Puts the conversation right and gives what is to be sent of it, in `format`.
    pub fn prompt(&self, filter: ReasoningFilter, format: WireFormat) -> (Prompt, Vec<Repair>) {
        self.change(|inner| {
            inner.history.set_format(format);
            let before = inner.history.clone();
            let repairs = inner.history.normalise();
            if !repairs.is_empty() {
                inner.note_edit(&before, EditCause::Repaired);
            }
            (inner.history.prompt(filter), repairs)
        })
    }

    /// The conversation so far; a snapshot.
    pub fn history(&self) -> History {
        self.lock().history.clone()
    }
}

impl Inner {
    /// Of another model another limit holds, and it sums up by itself.
    fn leave_model(&mut self, before: &Settings) {
        if self.settings.model != before.model {
            self.change_breaker(Breaker::reset);
        }
    }

    fn record(&mut self, items: impl IntoIterator<Item = Item>) {
        for item in items {
            self.history.record(item.clone());
            self.note(|_| Change::Recorded { item, at: None, input: None });
        }
    }

    fn remove(&mut self, index: usize, item: &Item) -> bool {
        if self.history.get(index) != Some(item) {
            return false;
        }
        let before = self.history.clone();
        let is_removed = self.history.replace_prefix(index + 1, [Part::Keep(0..index)]).is_ok();
        if is_removed {
            self.told.remove(index);
            self.note_edit(&before, EditCause::Removed(index));
        }
        if is_removed && self.sent_items.is_some_and(|sent| index < sent) {
            self.sent_items = self.sent_items.map(|sent| sent - 1);
            self.note_used();
        }
        is_removed
    }
}
