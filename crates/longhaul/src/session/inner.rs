//! What the handles of a session share with its runner.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use longhaul_history::{Item, Prompt, Repair};
use longhaul_state::protocol::{SettingsUpdate, TurnError};
use longhaul_state::turn::TurnLimits;
use longhaul_state::{
    MAX_WAITING, QueueError, SessionServices, SessionState, Steered, TurnContext, TurnQueue,
};
use longhaul_transport::models::ContextWindow;
use longhaul_transport::request::{Instructions, RequestOptions};
use serde_json::Value;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{Submission, Work};
use crate::agent::Bounds;
use crate::events::Subscribers;
use crate::hook::CompactionSetup;
use crate::task::{Compact, Regular};
use crate::tool::{Tool, ToolSet};
use crate::{BuildError, Input, TurnHandle};

pub(crate) struct Inner {
    pub(crate) id: Arc<str>,
    pub(crate) state: SessionState,
    pub(crate) queue: TurnQueue<Submission>,
    pub(crate) services: SessionServices,
    pub(crate) tools: Mutex<ToolSet>,
    /// Tools that the server runs; they stay when others come.
    pub(crate) hosted_tools: Vec<Value>,
    pub(crate) instructions: Option<Instructions>,
    pub(crate) options: RequestOptions,
    pub(crate) bounds: Bounds,
    pub(crate) compaction: CompactionSetup,
    pub(crate) data: Option<Arc<dyn std::any::Any + Send + Sync>>,
    pub(crate) subscribers: Arc<Subscribers>,
    /// There may be something to do.
    pub(crate) wake: Arc<Notify>,
    /// Cancelled when the runner is gone.
    pub(crate) ended: CancellationToken,
}

pub(super) fn refusal(error: QueueError) -> TurnError {
    match error {
        QueueError::Full => TurnError::Busy { limit: MAX_WAITING },
        QueueError::Closed => TurnError::Closed,
    }
}

impl Inner {
    /// Makes a submission of `input`.
    pub(super) async fn accept(&self, input: Input) -> Result<(Submission, TurnHandle), TurnError> {
        input.check()?;
        self.check_settings(&input.settings)?;
        let id: Arc<str> = input.id.clone().unwrap_or_else(new_id).into();
        let item_id = format!("msg_{}", uuid::Uuid::now_v7().simple());
        let settings = input.settings.clone();
        let schema = input.output_schema.clone();
        let task = input.task.clone().unwrap_or_else(|| Arc::new(Regular));
        let message = input.into_message(&item_id).await;
        let work = Work::input(message, item_id, schema);
        Ok(Submission::new(id, work, settings, task, Arc::clone(&self.wake)))
    }

    /// Records an item that every compaction keeps, if there is room for it.
    pub(super) fn pin(&self, item: &Item) -> Result<(), TurnError> {
        let history = self.state.history();
        let measured = history.measured(0..history.len());
        let pinned: u64 =
            measured.filter(|(item, _)| item.is_pinned()).map(|(_, tokens)| tokens).sum();
        let tokens = history.config().counter.count_item(item);
        let most = self.window(&self.state.settings().model).effective_tokens / 4;
        if pinned.saturating_add(tokens) > most {
            return Err(TurnError::InvalidInput(format!(
                "the item takes {tokens} tokens and what is pinned already {pinned}: all together may \
                 have {most}, a quarter of the context window; pin less"
            )));
        }
        self.state.record([item.pinned()]);
        Ok(())
    }

    /// Accepts a compaction.
    pub(super) fn compact(&self, id: Option<&str>) -> Result<TurnHandle, TurnError> {
        let id: Arc<str> = id.map_or_else(new_id, str::to_owned).into();
        let settings = SettingsUpdate::default();
        let wake = Arc::clone(&self.wake);
        let (submission, handle) =
            Submission::new(id, Work::Compaction, settings, Arc::new(Compact), wake);
        if self.queue.steer(submission).map_err(refusal)? == Steered::Queued {
            self.wake.notify_one();
        }
        Ok(handle)
    }

    pub(super) fn check_settings(&self, change: &SettingsUpdate) -> Result<(), TurnError> {
        if let Some(cwd) = change.cwd.as_ref().filter(|cwd| !cwd.is_absolute()) {
            let message = format!("`cwd` is relative: `{}`; give an absolute path", cwd.display());
            return Err(TurnError::InvalidInput(message));
        }
        if change.model.as_ref().is_some_and(|model| model.trim().is_empty()) {
            return Err(TurnError::InvalidInput("`model` is empty: name one".into()));
        }
        let tools = self.tools();
        match change.approval_policy.and_then(|policy| tools.asks_under(policy)) {
            Some(tool) => {
                let error = BuildError::NobodyApproves(tool.to_owned());
                Err(TurnError::InvalidInput(format!("`approval_policy`: {error}")))
            }
            None => Ok(()),
        }
    }

    /// The tools of the next turn.
    pub(crate) fn tools(&self) -> ToolSet {
        self.tools.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set_tools(&self, tools: &[Arc<dyn Tool>]) -> Result<(), BuildError> {
        let tools = ToolSet::new(tools, self.state.settings().approval_policy)?;
        let tools = tools.with_hosted(&self.hosted_tools)?;
        tools.check_features(self.services.model.features())?;
        *self.tools.lock().unwrap_or_else(PoisonError::into_inner) = tools;
        Ok(())
    }

    /// What a turn that begins now is run with.
    pub(crate) fn turn_context(&self, turn_id: &Arc<str>, tools: &ToolSet) -> TurnContext {
        self.turn_context_of(&self.state, turn_id, tools, None)
    }

    fn turn_context_of(
        &self,
        state: &SessionState,
        turn_id: &Arc<str>,
        tools: &ToolSet,
        output_schema: Option<Arc<Value>>,
    ) -> TurnContext {
        let settings = state.settings();
        TurnContext {
            session_id: Arc::clone(&self.id),
            turn_id: Arc::clone(turn_id),
            instructions: self.instructions.clone(),
            tools: tools.list(),
            output_schema,
            options: self.options.clone(),
            limits: TurnLimits::new(self.bounds.max_model_calls, tools.effects()),
            settings,
        }
    }

    /// The context window of `model` as far as it is known now.
    pub(crate) fn window(&self, model: &str) -> ContextWindow {
        self.services.window(model, &self.state)
    }

    /// What is to be sent of the conversation in `state`, which is put right first.
    fn prompt_of(&self, state: &SessionState, context: &TurnContext) -> (Prompt, Vec<Repair>) {
        let format = self.services.wire_format(&context.settings.model);
        state.prompt(self.services.model.reasoning_filter(), format)
    }

    /// What is to be sent of the conversation, which is put right first.
    pub(crate) fn prompt(&self, context: &TurnContext) -> (Prompt, Vec<Repair>) {
        self.prompt_of(&self.state, context)
    }

    pub(super) async fn preview(&self, input: Input) -> Result<Bytes, TurnError> {
        let (submission, _) = self.accept(input).await?;
        let state = self.state.fork();
        state.update_settings(submission.settings);
        state.begin_turn(&*self.services.context);
        let kept =
            |kept: &Submission| kept.item().filter(|_| !kept.reply.cancel.is_cancelled()).cloned();
        state.record(self.queue.kept(kept));
        let (id, Work::Input { item, output_schema: schema, .. }) =
            (submission.id, submission.work)
        else {
            return Err(TurnError::Internal("a compaction has no input".into()));
        };
        state.record([item]);
        let context = self.turn_context_of(&state, &id, &self.tools(), schema);
        let (prompt, _) = self.prompt_of(&state, &context);
        let request = context.request(prompt, &self.services);
        Ok(self.services.model.encode(&request)?)
    }

    pub(super) fn close(&self) {
        self.queue.close();
        self.wake.notify_one();
    }

    /// Accepts nothing more, ends the running turn, and tells inputs that no turn will take them.
    pub(super) fn stop(&self) {
        self.refuse(self.queue.stop());
        self.wake.notify_one();
    }

    /// Settles the inputs that were cancelled while they waited.
    pub(super) fn settle_cancelled(&self) {
        let cancelled = |input: &Submission| input.reply.cancel.is_cancelled();
        for submission in self.queue.withdraw(cancelled) {
            submission.reply.withdraw();
        }
    }

    /// Inputs that no turn will take are told so.
    pub(super) fn settle_waiting(&self) {
        self.refuse(self.queue.drain());
    }

    fn refuse(&self, submissions: Vec<Submission>) {
        for submission in submissions {
            submission.refuse(&self.subscribers);
        }
    }
}

fn new_id() -> String {
    uuid::Uuid::now_v7().to_string()
}
