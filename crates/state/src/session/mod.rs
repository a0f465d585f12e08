//! What a session knows, for as long as it lives.

mod aside;
mod change;
mod changes;
mod compaction;
mod fork;
mod journal;
mod snapshot;
mod surface;
#[cfg(test)]
mod tests;
mod told;
mod turns;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use longhaul_compaction::{Breaker, BreakerLimits};
use longhaul_history::tokens::Calibration;
use longhaul_history::usage::{TokenUsage, TokenUsageInfo};
use longhaul_history::{History, Item, Part, Prompt, ReasoningFilter, Repair, WireFormat};
use longhaul_transport::request::TaskKind;
use longhaul_transport::{RateLimits, Request};

use self::compaction::LastCompaction;
use self::journal::Journal;
use self::told::Told;
use crate::ContextMessages;
use crate::protocol::{CallDigest, GrantScope, Settings, SettingsUpdate};

pub use self::change::{AcceptedInput, Change, Edit, EditCause, Known, KnownModel};
pub use self::changes::Changes;
pub use self::compaction::PastCompaction;
pub use self::fork::Place;
pub use self::snapshot::Snapshot;
pub use self::surface::Surface;
pub use self::turns::TurnStarts;

/// Of this many models a session remembers what it met with; of later ones nothing. Nobody uses
/// that many: it bounds what a slug made at random for each turn could cost.
pub const MAX_REMEMBERED_MODELS: usize = 256;

/// A session remembers this many calls that were approved for its length. Whoever approves more is
/// asked again.
pub const MAX_GRANTS: usize = 4096;

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

/// What a session met with at a model.
#[derive(Clone, Copy, Default)]
struct Remembered {
    /// The raw context window in tokens, as the server named it.
    window: Option<u64>,
    /// The user was told that the window is assumed.
    told: bool,
    /// How far counts of tokens are off for it.
    calibration: Calibration,
}

impl SessionState {
    /// A session that begins with `history`.
    pub fn new(history: History, settings: Settings) -> Self {
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

    /// The same with a breaker of these limits.
    #[must_use]
    pub fn with_breaker(self, limits: BreakerLimits) -> Self {
        self.lock().breaker = Breaker::new(limits);
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
            if inner.settings.model != before.model {
                // Another limit holds, and another model sums up.
                inner.breaker.reset();
            }
        });
    }

    /// Puts other settings in the place of those that there are.
    pub fn set_settings(&self, settings: Settings) {
        self.change(|inner| {
            let before = std::mem::replace(&mut inner.settings, settings);
            inner.note(|inner| Change::Settings(inner.settings.clone()));
            inner.leave_folder(&before);
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
            inner.breaker.begin_turn();
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

    /// Takes note of what is about to be asked, so that the usage that its server reports shows how
    /// far the counts of tokens are off. Gives its tokens by the local count.
    pub fn note_request(&self, request: &Request) -> u64 {
        let counter = Arc::clone(&self.lock().history.config().counter);
        let tokens = request.estimate_tokens(&*counter);
        let mut inner = self.lock();
        inner.asked = Some((request.model.clone(), tokens));
        if request.task_kind != TaskKind::Compact {
            inner.sent_items = Some(inner.history.len());
        }
        tokens
    }

    /// So many items of the conversation were in the last request of a turn; `None` before the first,
    /// and where the conversation was replaced since.
    pub fn sent_items(&self) -> Option<usize> {
        self.lock().sent_items
    }

    /// How far counts of tokens are off for `model`, as far as its server has reported its own.
    pub fn calibration(&self, model: &str) -> Calibration {
        self.lock().models.get(model).map(|it| it.calibration).unwrap_or_default()
    }

    /// Tokens of the conversation, as the server of `model` is expected to count them.
    pub fn context_tokens(&self, model: &str) -> u64 {
        let tokens = self.lock().history.tokens();
        self.calibration(model).apply(tokens)
    }

    /// Takes note of a response of a turn, and of what it cost if it says so. Its usage alone is held
    /// against `limit`, from how many tokens on the conversation is to be compacted.
    pub fn record_response(
        &self,
        usage: Option<TokenUsage>,
        model_context_window: Option<u64>,
        limit: u64,
    ) {
        if let Some(usage) = usage {
            self.record_usage(usage, model_context_window);
        }
        let mut inner = self.lock();
        inner.used = usage.map(|usage| usage.in_context()).filter(|used| *used > 0);
        let used = inner.used;
        inner.breaker.measured(used, limit);
    }

    /// Adds what a response cost, also one that is no step of a turn.
    pub fn record_usage(&self, usage: TokenUsage, model_context_window: Option<u64>) {
        self.change(|inner| {
            if let Some((model, tokens)) = inner.asked.take()
                && let Some(remembered) = inner.remember(&model)
            {
                remembered.calibration.observe(tokens, usage.input);
            }
            let info = inner.usage.get_or_insert_default();
            info.record(usage, model_context_window);
            inner.note_used();
        });
    }

    /// Adds what requests cost.
    pub fn add_cost(&self, cost: f64) {
        self.change(|inner| {
            inner.cost += cost;
            inner.note_used();
        });
    }

    /// What the session has cost, by the agent's prices; 0 where those know none.
    pub fn cost(&self) -> f64 {
        self.lock().cost
    }

    /// What an approval for the session's length is given for now.
    pub fn grant_scope(&self) -> GrantScope {
        self.lock().grant_scope
    }

    /// Calls of this digest need no further approval, unless what that was given for has changed.
    pub fn grant(&self, digest: CallDigest, scope: GrantScope) {
        self.change(|inner| {
            let is_now = inner.grant_scope == scope && inner.grants.len() < MAX_GRANTS;
            if is_now && inner.grants.insert(digest) {
                inner.note(|_| Change::Granted(digest));
            }
        });
    }

    /// What was approved for the session's length no longer is, also where the answer is still to
    /// come.
    pub fn clear_grants(&self) {
        self.change(Inner::clear_grants);
    }

    /// Whether calls of this digest were approved for the session's length, for just this.
    pub fn is_granted(&self, digest: CallDigest, scope: GrantScope) -> bool {
        let inner = self.lock();
        inner.grant_scope == scope && inner.grants.contains(&digest)
    }

    /// What the last response says that the conversation takes, in tokens; `None` if it said nothing
    /// or the conversation was compacted since.
    pub fn used_tokens(&self) -> Option<u64> {
        self.lock().used
    }

    /// The server says that the conversation fills the context window of `tokens`. What the session
    /// has used so far stays as it is.
    pub fn mark_window_full(&self, tokens: u64) {
        self.change(|inner| {
            inner.usage.get_or_insert_default().mark_window_full(tokens);
            inner.note_used();
        });
    }

    /// The server says how large the raw context window of `model` is, in tokens. A window of 0 says
    /// nothing.
    pub fn learn_window(&self, model: &str, tokens: u64) {
        if tokens == 0 {
            return;
        }
        self.change(|inner| {
            if let Some(remembered) = inner.remember(model) {
                remembered.window = Some(tokens);
                inner.note_used();
            }
        });
    }

    /// How large the raw context window of `model` is, in tokens, if its server ever said so.
    pub fn learned_window(&self, model: &str) -> Option<u64> {
        self.lock().models.get(model)?.window
    }

    /// Whether the user is still to be told that the context window of `model` is assumed. Only the
    /// first answer is yes.
    pub fn take_window_warning(&self, model: &str) -> bool {
        let mut inner = self.lock();
        inner.remember(model).is_some_and(|it| !std::mem::replace(&mut it.told, true))
    }

    /// Takes note of limits that the server states; those that it leaves out stay known. Whoever keeps
    /// changes gets them with the next one.
    pub fn record_rate_limits(&self, rate_limits: RateLimits) {
        let mut inner = self.lock();
        inner.rate_limits.get_or_insert_default().update(rate_limits);
        inner.note_limits();
    }

    /// What the session has used, and what it knows of models.
    pub fn known(&self) -> Known {
        self.lock().known()
    }

    /// What the session has used, and the newest limits.
    pub fn token_count(&self) -> (Option<TokenUsageInfo>, Option<RateLimits>) {
        let inner = self.lock();
        (inner.usage, inner.rate_limits)
    }
}

impl Inner {
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
        }
        is_removed
    }

    /// The same command does something else in another folder.
    fn leave_folder(&mut self, before: &Settings) {
        if self.settings.cwd != before.cwd {
            self.clear_grants();
        }
    }

    fn clear_grants(&mut self) {
        self.grant_scope.end();
        if !self.grants.is_empty() {
            self.grants.clear();
            self.note(|_| Change::GrantsCleared);
        }
    }

    /// What is remembered of `model`, to be changed.
    fn remember(&mut self, model: &str) -> Option<&mut Remembered> {
        if !self.models.contains_key(model) && self.models.len() >= MAX_REMEMBERED_MODELS {
            return None;
        }
        Some(self.models.entry(model.to_owned()).or_default())
    }
}
