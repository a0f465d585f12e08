//! Setting an agent up.

use std::sync::Arc;
use std::time::Duration;

use longhaul_compaction::{self as compaction, Compaction, LastRung};
use longhaul_history::HistoryConfig;
use longhaul_rollout::Store;
use longhaul_state::budget::{Budget, PriceTable};
use longhaul_state::protocol::ApprovalPolicy;
use longhaul_state::{ContextMessages, DefaultReasoning};
use longhaul_transport::models::ModelTable;
use longhaul_transport::request::{Instructions, Reasoning, RequestOptions, Verbosity};
use serde_json::Value;

use super::{Agent, BuildError, Defaults, ModelSource, WhileRunning};
use crate::approval::{Approvals, Policy};
use crate::events::EventBuffer;
use crate::hook::CompactionHook;
use crate::task::SessionTask;
use crate::tool::Tool;

/// Sets an [`Agent`] up.
#[must_use]
pub struct AgentBuilder {
    pub(super) source: ModelSource,
    pub(super) defaults: Defaults,
}

impl AgentBuilder {
    /// Adds a tool.
    pub fn tool(mut self, tool: impl Tool + 'static) -> Self {
        self.defaults.tools.push(Arc::new(tool));
        self
    }

    /// Adds a tool that the server runs, as the server wants it written, such as
    /// `{"type": "web_search"}`. The model is shown it behind the others. Tools that a session or
    /// [`set_tools`](crate::Session::set_tools) brings in their place leave it as it is.
    pub fn hosted_tool(mut self, tool: Value) -> Self {
        self.defaults.hosted_tools.push(tool);
        self
    }

    /// Keeps each session in a log of this store. Default: nothing is kept.
    ///
    /// With one, an event that something is recorded comes when that is durable, a request leaves when
    /// what it answers is, and a tool starts when that it starts is. See `docs/log.md`.
    pub fn store(mut self, store: impl Store + 'static) -> Self {
        self.defaults.store = Some(Arc::new(store));
        self
    }

    /// Base instructions. Default: none.
    pub fn instructions(mut self, instructions: impl Into<Instructions>) -> Self {
        self.defaults.instructions = Some(instructions.into());
        self
    }

    /// Messages that tell the model of its settings. Default: none.
    pub fn context(mut self, context: impl ContextMessages + 'static) -> Self {
        self.defaults.context = Arc::new(context);
        self
    }

    /// How much the model is to reason. Default: its own. A model that does not know the field, by
    /// the [model table](Self::models), is not sent it.
    pub fn reasoning(mut self, reasoning: Reasoning) -> Self {
        self.defaults.settings.reasoning = Some(reasoning);
        self
    }

    /// How much a model is to reason where neither [`reasoning`](Self::reasoning) nor a later
    /// setting says so, by its slug and what the [model table](Self::models) knows of it. Default:
    /// nothing is said.
    pub fn default_reasoning(mut self, default: DefaultReasoning) -> Self {
        self.defaults.default_reasoning = default;
        self
    }

    /// How much the model is to say. Default: its own. A model that does not know the field, by the
    /// [model table](Self::models), is not sent it.
    pub fn verbosity(mut self, verbosity: Verbosity) -> Self {
        self.defaults.settings.verbosity = Some(verbosity);
        self
    }

    /// Which calls ask first. Default: those of tools that want it.
    pub fn approval_policy(mut self, policy: ApprovalPolicy) -> Self {
        self.defaults.settings.approval_policy = policy;
        self
    }

    /// The folder that tools work in; absolute. Default: none.
    pub fn cwd(mut self, cwd: impl Into<std::path::PathBuf>) -> Self {
        self.defaults.settings.cwd = Some(cwd.into());
        self
    }

    /// Further parameters of each request. Default: none.
    pub fn request_options(mut self, options: RequestOptions) -> Self {
        self.defaults.options = options;
        self
    }

    /// What is known of models. Default: [`ModelTable::builtin`]. Whatever a session does not
    /// configure is taken from here, for each turn anew: it may have changed the model.
    pub fn models(mut self, models: ModelTable) -> Self {
        self.defaults.models = models;
        self
    }

    /// The raw context window in tokens, of whatever model a session uses. Default: what the server
    /// said in an error, else what the [model table](Self::models) says, else
    /// [`DEFAULT_CONTEXT_WINDOW`](longhaul_transport::models::DEFAULT_CONTEXT_WINDOW), with a
    /// warning.
    pub fn context_window(mut self, tokens: u64) -> Self {
        self.defaults.window.context_window = Some(tokens);
        self
    }

    /// From how many tokens on a conversation is compacted, with whatever model; larger than the
    /// window: only where the window leaves no choice. Default: what the [model table](Self::models)
    /// says, else 90 % of the raw window.
    pub fn auto_compact_token_limit(mut self, tokens: u64) -> Self {
        self.defaults.window.auto_compact_token_limit = Some(tokens);
        self
    }

    /// Whether conversations are compacted by themselves, from how many tokens on, and how much of the
    /// newest part stays as it is. Default: [`Compaction::default`]: they are.
    pub fn compaction(mut self, compaction: Compaction) -> Self {
        let config = &mut self.defaults.compaction.config;
        config.automatic = compaction != Compaction::Off;
        if let Compaction::On { limit, keep_tail } = compaction {
            config.keep.tail = keep_tail;
            let window = &mut self.defaults.window;
            window.auto_compact_token_limit = limit.or(window.auto_compact_token_limit);
        }
        self
    }

    /// What happens where a conversation cannot be sent and no model helps. Default:
    /// [`LastRung::Extract`].
    pub fn last_rung(mut self, last_rung: LastRung) -> Self {
        self.defaults.compaction.config.last_rung = last_rung;
        self
    }

    /// Who looks at each result of a compaction before it is installed. Default: nobody.
    pub fn compaction_hook(mut self, hook: impl CompactionHook + 'static) -> Self {
        self.defaults.compaction.hook = Some(Arc::new(hook));
        self
    }

    /// Everything about compaction but its limit and its hook, in place of what
    /// [`compaction`](Self::compaction) and [`last_rung`](Self::last_rung) set: what is kept, what is
    /// tried and in which order, bounds.
    pub fn compaction_config(mut self, config: compaction::Config) -> Self {
        self.defaults.compaction.config = config;
        self
    }

    /// How often one turn may ask the model. Default: 200.
    pub fn max_model_calls(mut self, calls: u32) -> Self {
        self.defaults.bounds.max_model_calls = calls;
        self
    }

    /// The largest output of one tool in bytes; of a larger one head and tail are kept. Default:
    /// 8 MiB.
    pub fn max_tool_output_bytes(mut self, bytes: usize) -> Self {
        self.defaults.bounds.max_tool_output_bytes = bytes;
        self
    }

    /// How conversations are kept: to what outputs of tools are cut before a model sees them, and who
    /// counts tokens. The format of items is the model's, whatever is set here. Default:
    /// [`HistoryConfig::default`].
    pub fn history(mut self, config: HistoryConfig) -> Self {
        self.defaults.history = config;
        self
    }

    /// The longest that one turn may take. Default: no bound.
    pub fn turn_deadline(mut self, deadline: Duration) -> Self {
        self.defaults.bounds.turn_deadline = Some(deadline);
        self
    }

    /// What one turn may use before it is stopped. Default: no bound.
    pub fn turn_budget(mut self, budget: Budget) -> Self {
        self.defaults.bounds.budget = budget;
        self
    }

    /// What models cost: for the cost of turns, and for a budget of money. Default: nothing is known.
    pub fn prices(mut self, prices: PriceTable) -> Self {
        self.defaults.prices = prices;
        self
    }

    /// Who decides about each call before it runs, in place of the session's
    /// [`ApprovalPolicy`]. Default: nobody.
    pub fn policy(mut self, policy: impl Policy + 'static) -> Self {
        self.defaults.gatekeeping.policy = Some(Arc::new(policy));
        self
    }

    /// Whether anybody answers approval requests. Default: nobody; then no tool may ask.
    pub fn approvals(mut self, approvals: Approvals) -> Self {
        self.defaults.gatekeeping.approvals = approvals;
        self
    }

    /// What a turn does that input starts, unless the [input](crate::Input::task) says otherwise.
    /// Default: it asks the model and runs its tools, until it answers.
    pub fn task(mut self, task: impl SessionTask + 'static) -> Self {
        self.defaults.task = Arc::new(task);
        self
    }

    /// What becomes of a [`prompt`](crate::Session::prompt) while a turn runs. Default: it waits.
    pub fn prompt_while_running(mut self, what: WhileRunning) -> Self {
        self.defaults.while_running = what;
        self
    }

    /// The model that reviews. Default: the session's.
    #[cfg(feature = "coding")]
    pub fn review_model(mut self, model: impl Into<String>) -> Self {
        self.defaults.review_model = Some(model.into());
        self
    }

    /// How many of a session's events are kept for readers. Default: [`EventBuffer::default`].
    pub fn event_buffer(mut self, buffer: EventBuffer) -> Self {
        self.defaults.event_buffer = buffer;
        self
    }

    /// The agent.
    ///
    /// # Errors
    ///
    /// [`BuildError`], which says what to change.
    pub fn build(self) -> Result<Agent, BuildError> {
        let Self { source, defaults } = self;
        let model = source.0?;
        defaults.check(&*model)?;
        Ok(Agent { model, defaults })
    }
}

impl std::fmt::Debug for AgentBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AgentBuilder")
            .field("model", &self.defaults.settings.model)
            .finish_non_exhaustive()
    }
}
