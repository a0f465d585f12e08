//! What the handles of a session share with its runner.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use longhaul_history::{Prompt, Repair};
use longhaul_rollout::{ForkedFrom, RecentMessages};
use longhaul_state::protocol::{Event, GrantScope, Settings, TurnEnd, TurnError};
use longhaul_state::turn::TurnLimits;
use longhaul_state::{Place, SessionServices, SessionState, TurnContext, TurnQueue};
use longhaul_transport::models::ContextWindow;
use longhaul_transport::request::{Instructions, RequestOptions, TaskKind};
use serde_json::Value;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::{Submission, Work};
use crate::Input;
use crate::agent::{Bounds, WhileRunning};
use crate::approval::Gatekeeping;
use crate::events::{Emitter, EventLog};
use crate::hook::CompactionSetup;
use crate::log::{Imported, Keeper, OpenTurn, Resumed};
use crate::task::SessionTask;
use crate::tool::ToolSet;

pub(crate) struct Inner {
    pub(crate) id: Arc<str>,
    pub(crate) state: Arc<SessionState>,
    pub(crate) queue: TurnQueue<Submission>,
    pub(crate) services: SessionServices,
    pub(crate) tools: Mutex<ToolSet>,
    /// Tools that the server runs; they stay when others come.
    pub(crate) hosted_tools: Vec<Value>,
    pub(crate) instructions: Option<Instructions>,
    pub(crate) options: RequestOptions,
    pub(crate) bounds: Bounds,
    pub(crate) compaction: CompactionSetup,
    pub(crate) gatekeeping: Gatekeeping,
    /// What a turn does that ordinary input starts.
    pub(crate) task: Arc<dyn SessionTask>,
    pub(crate) while_running: WhileRunning,
    #[cfg(feature = "coding")]
    pub(crate) review_model: Option<String>,
    pub(crate) data: Option<Arc<dyn std::any::Any + Send + Sync>>,
    pub(crate) events: Arc<EventLog>,
    /// Who keeps what the session changes, if anybody does.
    pub(crate) keeper: Option<Keeper>,
    /// What was found when it was opened again.
    pub(crate) resumed: Option<Resumed>,
    /// What became of the log of another program that it comes from.
    pub(crate) imported: Option<Imported>,
    /// When it was opened.
    pub(crate) opened_at: jiff::Timestamp,
    /// The turn that was cut off before that, until it goes on or another begins.
    pub(crate) open_turn: Mutex<Option<OpenTurn>>,
    /// What was said before, until somebody takes it.
    pub(super) recent: Mutex<RecentMessages>,
    /// Held by whoever performs an operation that came as a value, until it has its effect: they have it
    /// in the order in which they came.
    pub(super) order: tokio::sync::Mutex<()>,
    /// There may be something to do.
    pub(crate) wake: Arc<Notify>,
    /// The running turn may have answers to its approval requests.
    pub(crate) answered: Notify,
    /// How many want no tool to start.
    pub(crate) tool_holds: Arc<watch::Sender<usize>>,
    /// Held by who takes a snapshot of the work tree or puts one back, also after its turn.
    #[cfg(feature = "coding")]
    pub(crate) work_tree: Arc<tokio::sync::Mutex<()>>,
    /// Cancelled when the runner is gone.
    pub(crate) ended: CancellationToken,
}

impl Inner {
    /// The tools of the next turn.
    pub(crate) fn tools(&self) -> ToolSet {
        self.tools.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What a turn is run with. Who has the `settings` from the session takes `grants` from it first: if
    /// they change between the two, nothing is granted.
    pub(crate) fn turn_context(
        &self,
        grants: GrantScope,
        settings: Settings,
        turn_id: &Arc<str>,
        tools: &ToolSet,
    ) -> TurnContext {
        let mut limits = TurnLimits::new(self.bounds.max_model_calls, tools.handling());
        limits.budget = self.bounds.budget;
        limits.price = self.services.prices.find(&settings.model).unwrap_or_default();
        TurnContext {
            session_id: Arc::clone(&self.id),
            turn_id: Arc::clone(turn_id),
            instructions: self.instructions.clone(),
            tools: tools.list(),
            output_schema: None,
            options: self.options.clone(),
            limits,
            grants,
            task_kind: TaskKind::Standard,
            settings,
        }
    }

    /// The context window of `model` as far as it is known now.
    pub(crate) fn window(&self, model: &str) -> ContextWindow {
        self.services.window(model, &self.state)
    }

    /// What is to be sent of the conversation in `state`, which is put right first.
    pub(crate) fn prompt_of(
        &self,
        state: &SessionState,
        context: &TurnContext,
    ) -> (Prompt, Vec<Repair>) {
        let format = self.services.wire_format(&context.settings.model);
        state.prompt(self.services.model.reasoning_filter(), format)
    }

    pub(super) async fn preview(self: &Arc<Self>, input: Input) -> Result<Bytes, TurnError> {
        let (submission, _) = self.accept(input).await?;
        let state = self.state.fork();
        state.update_settings(submission.settings);
        state.begin_turn(&submission.id, &state.settings(), &*self.services.context);
        let kept =
            |kept: &Submission| kept.item().filter(|_| !kept.reply.cancel.is_cancelled()).cloned();
        state.record(self.queue.kept(kept));
        let (id, Work::Input { item, output_schema: schema, .. }) =
            (submission.id, submission.work)
        else {
            return Err(TurnError::Internal("the input says nothing".into()));
        };
        state.record([item]);
        let (grants, settings) = (state.grant_scope(), state.settings());
        let mut context = self.turn_context(grants, settings, &id, &self.tools());
        context.output_schema = schema;
        let (prompt, _) = self.prompt_of(&state, &context);
        let request = context.request(prompt, &self.services);
        Ok(self.services.model.encode(&request)?)
    }

    pub(super) fn open_turn_id(&self) -> Option<Arc<str>> {
        let open = self.open_turn.lock().unwrap_or_else(PoisonError::into_inner);
        open.as_ref().map(|turn| Arc::clone(&turn.turn_id))
    }

    pub(super) fn take_recent(&self) -> RecentMessages {
        std::mem::take(&mut *self.recent.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn take_open_turn(&self) -> Option<OpenTurn> {
        self.open_turn.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// A turn that was cut off, and that nobody went on with, is over: its calls are answered.
    pub(super) fn end_open_turn(&self) {
        if let Some(turn) = self.take_open_turn() {
            for output in turn.outputs() {
                self.state.record_output(output);
            }
            self.state.note_end(&turn.turn_id, Ok(TurnEnd::INTERRUPTED), None);
        }
    }

    /// For the log of a fork that was taken at `place`. All that was changed until then is kept first.
    pub(super) async fn as_parent(&self, place: Option<&Place>) -> Result<ForkedFrom, TurnError> {
        let (mut path, mut ordinal) = (None, None);
        if let Some(keeper) = &self.keeper {
            path = keeper.path().map(|path| path.to_string_lossy().into_owned());
            ordinal = Some(keeper.ordinal_at(place).await?);
        }
        Ok(ForkedFrom { id: self.id.to_string(), path, ordinal })
    }

    /// Completes when all that the session has changed is kept, if it is to be.
    pub(crate) async fn kept(&self) -> Result<(), TurnError> {
        match &self.keeper {
            Some(keeper) => keeper.kept().await,
            None => Ok(()),
        }
    }

    /// Tells that the session has ended.
    pub(super) fn tell_shutdown(&self) {
        Emitter::new(Arc::clone(&self.events), Arc::from("")).emit_last(Event::ShutdownComplete);
        self.events.close();
    }
}
