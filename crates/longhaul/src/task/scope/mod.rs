//! What a task works with.

mod calls;
mod inputs;
mod request;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use longhaul_history::{History, Item};
use longhaul_state::budget::Spent;
use longhaul_state::protocol::{Event, TurnError};
use longhaul_state::turn::TurnRecord;
use longhaul_state::{SessionState, TurnContext};
use longhaul_transport::Model;
use longhaul_transport::models::ContextWindow;
use serde_json::Value;
#[cfg(feature = "coding")]
use tokio::sync::OwnedMutexGuard;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use self::calls::ToolHold;
pub(crate) use self::inputs::Replies;
use super::beside::Beside;
use crate::events::Emitter;
use crate::log::OpenTurn;
use crate::session::Inner;
use crate::tool::ToolSet;

/// One turn of one session, for the task that runs it.
pub struct TaskScope {
    pub(super) inner: Arc<Inner>,
    /// The conversation that the turn is about.
    state: Arc<SessionState>,
    context: TurnContext,
    tools: ToolSet,
    pub(super) emitter: Emitter,
    cancel: CancellationToken,
    /// When the turn has to be over.
    deadline: Option<Instant>,
    pub(super) replies: Replies,
    /// The schema of the newest input that brought one.
    output_schema: Arc<Mutex<Option<Arc<Value>>>>,
    /// What the turn has spent, over all conversations.
    spent: Arc<Mutex<Spent>>,
    /// Whether the log knows of the turn.
    has_begun: Arc<AtomicBool>,
    /// Whether a snapshot of the turn was begun.
    #[cfg(feature = "coding")]
    snapshot_begun: Arc<AtomicBool>,
    /// For a conversation beside the session's.
    beside: Option<Arc<Beside>>,
}

impl TaskScope {
    pub(crate) fn new(
        inner: Arc<Inner>,
        context: TurnContext,
        tools: ToolSet,
        emitter: Emitter,
        cancel: CancellationToken,
    ) -> Self {
        let limit = inner.bounds.turn_deadline;
        Self {
            state: Arc::clone(&inner.state),
            inner,
            context,
            tools,
            emitter,
            cancel,
            deadline: limit.and_then(|limit| Instant::now().checked_add(limit)),
            replies: Replies::default(),
            output_schema: Arc::default(),
            spent: Arc::default(),
            has_begun: Arc::default(),
            #[cfg(feature = "coding")]
            snapshot_begun: Arc::default(),
            beside: None,
        }
    }

    pub(crate) fn replies(&self) -> Replies {
        self.replies.clone()
    }

    /// The same turn over the conversation in `state`.
    pub(super) fn over(
        &self,
        state: Arc<SessionState>,
        context: TurnContext,
        beside: Arc<Beside>,
    ) -> Self {
        let scope = self.with_emitter(self.emitter.clone());
        Self { state, context, output_schema: Arc::default(), beside: Some(beside), ..scope }
    }

    pub(super) fn with_emitter(&self, emitter: Emitter) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            state: Arc::clone(&self.state),
            context: self.context.clone(),
            tools: self.tools.clone(),
            emitter,
            cancel: self.cancel.clone(),
            deadline: self.deadline,
            replies: self.replies.clone(),
            output_schema: Arc::clone(&self.output_schema),
            spent: Arc::clone(&self.spent),
            has_begun: Arc::clone(&self.has_begun),
            #[cfg(feature = "coding")]
            snapshot_begun: Arc::clone(&self.snapshot_begun),
            beside: self.beside.clone(),
        }
    }

    /// Whoever holds this has the work tree to itself, among those who ask.
    #[cfg(feature = "coding")]
    pub(crate) async fn work_tree(&self) -> OwnedMutexGuard<()> {
        Arc::clone(&self.inner.work_tree).lock_owned().await
    }

    /// Whether this is the turn's first snapshot: one that is taken later shows the turn's own work.
    #[cfg(feature = "coding")]
    pub(crate) fn begin_snapshot(&self) -> bool {
        !self.snapshot_begun.swap(true, Ordering::Relaxed)
    }

    /// What the turn has spent so far, over all conversations.
    pub(super) fn spent(&self) -> Spent {
        *self.spent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds to what the turn has spent.
    pub(super) fn spend(&self, spent: &Spent) {
        self.spent.lock().unwrap_or_else(PoisonError::into_inner).add(spent);
    }

    /// What the turn is run with.
    pub fn context(&self) -> &TurnContext {
        &self.context
    }

    /// The context window of the turn's model as far as it is known now: a server may name it in an
    /// error.
    pub fn context_window(&self) -> ContextWindow {
        self.inner.services.window(&self.context.settings.model, &self.state)
    }

    /// The session's model.
    pub fn model(&self) -> &Arc<dyn Model> {
        &self.inner.services.model
    }

    /// Sends an event to those who watch.
    pub fn emit(&self, event: Event) {
        if !self.beside.as_ref().is_some_and(|beside| beside.hides(&event)) {
            self.emitter.emit(event);
        }
    }

    /// Whether the turn is to end.
    pub fn is_cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }

    /// Completes when the turn is to end.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    pub async fn cancelled(&self) {
        self.cancel.cancelled().await;
    }

    /// The conversation so far; a snapshot.
    pub fn history(&self) -> History {
        self.state.history()
    }

    /// Records items in the conversation, together.
    pub fn record(&self, items: impl IntoIterator<Item = Item>) {
        self.state.record(items);
    }

    /// Takes the item at `index` out of the conversation, if it is `item`, and says whether it was.
    pub fn remove(&self, index: usize, item: &Item) -> bool {
        self.state.remove(index, item)
    }

    /// Records the output of a call, right after the call.
    pub fn record_output(&self, output: Item) {
        self.state.record_output(output);
    }

    /// Notes that the turn asks the model, for its log, where no input has begun it.
    pub(super) fn note_beginning(&self) {
        if self.beside.is_none() && !self.has_begun.swap(true, Ordering::Relaxed) {
            self.note(TurnRecord::Settings { settings: self.context.settings.clone() });
        }
    }

    /// Notes what becomes of the calls of the session's conversation, for its log.
    pub(super) fn note(&self, record: TurnRecord) {
        if self.beside.is_none() && self.inner.keeper.is_some() {
            self.state.note_call(&self.context.turn_id, record);
        }
    }

    /// The turn that was cut off before the session was opened again.
    pub(super) fn take_open_turn(&self) -> Option<OpenTurn> {
        self.inner.take_open_turn()
    }

    /// Completes when all that the session has changed is kept.
    pub(super) async fn kept(&self) -> Result<(), TurnError> {
        self.inner.kept().await
    }

    pub(crate) fn state(&self) -> &SessionState {
        &self.state
    }

    /// How long the turn may take.
    pub(super) fn turn_limit(&self) -> Option<Duration> {
        self.inner.bounds.turn_deadline
    }

    /// When the turn has to be over.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Tells what the session has used so far.
    pub(crate) fn emit_token_count(&self) {
        let (info, rate_limits) = self.state.token_count();
        self.emit(Event::TokenCount { info, rate_limits });
    }
}

impl std::fmt::Debug for TaskScope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TaskScope").field("turn_id", &self.context.turn_id).finish_non_exhaustive()
    }
}
