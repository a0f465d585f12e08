//! What a task works with.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use longhaul_history::{Item, ReasoningFilter};
use longhaul_state::TurnContext;
use longhaul_state::protocol::Event;
use longhaul_transport::{Model, Request};
use tokio_util::sync::CancellationToken;

use crate::events::Emitter;
use crate::session::{Inner, Reply, Submission};
use crate::tool::{ToolContext, ToolSet};

/// One turn of one session, for the task that runs it.
pub struct TaskScope {
    inner: Arc<Inner>,
    context: TurnContext,
    tools: ToolSet,
    emitter: Emitter,
    cancel: CancellationToken,
    replies: Replies,
}

/// Those who wait for the turn's result.
#[derive(Clone, Default)]
pub(crate) struct Replies(Arc<Mutex<Vec<Reply>>>);

impl Replies {
    fn add(&self, reply: Reply) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(reply);
    }

    pub(crate) fn take(&self) -> Vec<Reply> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl TaskScope {
    pub(crate) fn new(
        inner: Arc<Inner>,
        context: TurnContext,
        emitter: Emitter,
        cancel: CancellationToken,
    ) -> Self {
        let tools = inner.tools();
        Self {
            inner,
            context,
            tools,
            emitter,
            cancel,
            replies: Replies::default(),
        }
    }

    pub(crate) fn replies(&self) -> Replies {
        self.replies.clone()
    }

    /// Begins the turn with the inputs that start it.
    pub(crate) fn take(&self, inputs: Vec<Submission>) {
        self.inner.state.begin_turn(&*self.inner.services.context);
        for input in inputs {
            self.take_one(input);
        }
    }

    /// Records the inputs that arrived during the turn. Those that were cancelled are not.
    pub(crate) fn take_steers(&self) {
        for input in self.inner.queue.take_input() {
            if input.reply.cancel.token().is_cancelled() {
                input.reply.withdraw();
            } else {
                self.take_one(input);
            }
        }
    }

    fn take_one(&self, input: Submission) {
        self.inner.state.record([input.item.clone()]);
        let emitter = Emitter {
            queue: Arc::clone(&input.reply.queue),
            submission_id: Arc::clone(&input.id),
            ..self.emitter.clone()
        };
        input.show(&emitter);
        input.reply.cancel.join(&self.cancel);
        self.replies.add(input.reply);
    }

    /// What the turn is run with.
    pub fn context(&self) -> &TurnContext {
        &self.context
    }

    /// The session's model.
    pub fn model(&self) -> &Arc<dyn Model> {
        &self.inner.services.model
    }

    /// Sends an event to those who watch.
    pub fn emit(&self, event: Event) {
        self.emitter.emit(event);
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

    /// Records items in the session's conversation, together.
    pub fn record(&self, items: impl IntoIterator<Item = Item>) {
        self.inner.state.record(items);
    }

    /// Records the output of a call, right after the call.
    pub fn record_output(&self, output: Item) {
        self.inner.state.record_output(output);
    }

    /// The next request of the turn, over the conversation as it now is. Broken history is put
    /// right first, and reported.
    pub fn next_request(&self) -> Request {
        let (prompt, repairs) = self.inner.state.prompt(ReasoningFilter::CurrentTurn);
        if !repairs.is_empty() {
            self.emit(Event::HistoryRepaired(repairs));
        }
        self.context.request(prompt, &self.inner.services)
    }

    pub(crate) fn state(&self) -> &longhaul_state::SessionState {
        &self.inner.state
    }

    pub(crate) fn tools(&self) -> &ToolSet {
        &self.tools
    }

    pub(crate) fn turn_deadline(&self) -> Option<Duration> {
        self.inner.bounds.turn_deadline
    }

    /// Tells what the session has used so far.
    pub(crate) fn emit_token_count(&self) {
        let (info, rate_limits) = self.inner.state.token_count();
        self.emit(Event::TokenCount { info, rate_limits });
    }

    /// What a tool knows of where it runs; `cancel` stops it.
    pub(crate) fn tool_context(&self, call_id: &str, cancel: CancellationToken) -> ToolContext {
        ToolContext {
            session_id: Arc::clone(&self.inner.id),
            call_id: call_id.to_owned(),
            cwd: self.context.settings.cwd.clone(),
            data: self.inner.data.clone(),
            cancel,
            emitter: self.emitter.clone(),
            max_output_bytes: self.inner.bounds.max_tool_output_bytes,
        }
    }
}
