//! What sessions have in common.

use std::sync::Arc;
use std::time::Duration;

use longhaul_compaction::{self as compaction, Compaction, LastRung};
use longhaul_history::HistoryConfig;
use longhaul_state::budget::{Budget, PriceTable};
use longhaul_state::protocol::{ApprovalPolicy, Settings};
use longhaul_state::{ContextMessages, DefaultReasoning};
use longhaul_transport::Model;
use longhaul_transport::models::{ModelTable, WindowConfig};
use longhaul_transport::request::{
    Instructions, OptionsError, Reasoning, RequestOptions, Verbosity,
};
use serde_json::Value;

use crate::SessionBuilder;
use crate::approval::{Approvals, Gatekeeping, Policy};
use crate::events::EventBuffer;
use crate::hook::{CompactionHook, CompactionSetup};
use crate::output::SchemaError;
use crate::task::{Regular, SessionTask};
use crate::tool::{Tool, ToolSet};

/// The default bound on one tool's output, in bytes.
const DEFAULT_MAX_TOOL_OUTPUT_BYTES: usize = 8 * 1024 * 1024;

/// The default bound on model calls per turn.
const DEFAULT_MAX_MODEL_CALLS: u32 = 200;

/// A model and what sessions with it begin with. It holds one pool of connections and opens any
/// number of sessions. Cloning shares.
#[derive(Clone)]
pub struct Agent {
    pub(crate) model: Arc<dyn Model>,
    pub(crate) defaults: Defaults,
}

/// What a session begins with, unless its builder says otherwise.
#[derive(Clone)]
pub(crate) struct Defaults {
    pub(crate) settings: Settings,
    pub(crate) instructions: Option<Instructions>,
    pub(crate) tools: Vec<Arc<dyn Tool>>,
    pub(crate) hosted_tools: Vec<Value>,
    pub(crate) options: RequestOptions,
    pub(crate) context: Arc<dyn ContextMessages>,
    pub(crate) default_reasoning: DefaultReasoning,
    pub(crate) models: ModelTable,
    pub(crate) window: WindowConfig,
    pub(crate) history: HistoryConfig,
    pub(crate) compaction: CompactionSetup,
    pub(crate) bounds: Bounds,
    pub(crate) prices: PriceTable,
    pub(crate) gatekeeping: Gatekeeping,
    pub(crate) task: Arc<dyn SessionTask>,
    pub(crate) while_running: WhileRunning,
    pub(crate) event_buffer: EventBuffer,
    #[cfg(feature = "coding")]
    pub(crate) review_model: Option<String>,
}

/// What becomes of a [`prompt`](crate::Session::prompt) while a turn runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhileRunning {
    /// It waits for a turn of its own.
    #[default]
    Queue,
    /// It is refused, as [`TurnError::Busy`](longhaul_state::protocol::TurnError::Busy).
    Refuse,
}

/// The bounds of a session's turns.
#[derive(Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) max_model_calls: u32,
    pub(crate) max_tool_output_bytes: usize,
    pub(crate) turn_deadline: Option<Duration>,
    pub(crate) budget: Budget,
}

impl Agent {
    /// An agent that talks to `model`, a slug such as `gpt-5`, behind `source`.
    pub fn builder(model: impl Into<String>, source: impl Into<ModelSource>) -> AgentBuilder {
        AgentBuilder {
            source: source.into(),
            defaults: Defaults {
                settings: Settings::new(model),
                instructions: None,
                tools: Vec::new(),
                hosted_tools: Vec::new(),
                options: RequestOptions::default(),
                context: Arc::new(()),
                default_reasoning: |_, _| None,
                models: ModelTable::builtin(),
                window: WindowConfig::default(),
                history: HistoryConfig::default(),
                compaction: CompactionSetup::default(),
                bounds: Bounds {
                    max_model_calls: DEFAULT_MAX_MODEL_CALLS,
                    max_tool_output_bytes: DEFAULT_MAX_TOOL_OUTPUT_BYTES,
                    turn_deadline: None,
                    budget: Budget::default(),
                },
                prices: PriceTable::default(),
                gatekeeping: Gatekeeping::default(),
                task: Arc::new(Regular),
                while_running: WhileRunning::default(),
                event_buffer: EventBuffer::default(),
                #[cfg(feature = "coding")]
                review_model: None,
            },
        }
    }

    /// A new session.
    pub fn session(&self) -> SessionBuilder {
        SessionBuilder::new(self)
    }
}

/// Where a model is: behind a server that a [`Provider`](longhaul_transport::Provider) describes
/// (feature `http`), or an own [`Model`].
pub struct ModelSource(Result<Arc<dyn Model>, BuildError>);

#[cfg(feature = "http")]
impl From<longhaul_transport::Provider> for ModelSource {
    /// The client is made at once; if that fails, [`AgentBuilder::build`] says so.
    fn from(provider: longhaul_transport::Provider) -> Self {
        let client = longhaul_transport::ResponsesClient::new(provider);
        Self(match client {
            Ok(client) => Ok(Arc::new(client)),
            Err(error) => Err(BuildError::Http(error.to_string())),
        })
    }
}

impl<M: Model + 'static> From<Arc<M>> for ModelSource {
    fn from(model: Arc<M>) -> Self {
        Self(Ok(model))
    }
}

impl From<Arc<dyn Model>> for ModelSource {
    fn from(model: Arc<dyn Model>) -> Self {
        Self(Ok(model))
    }
}

/// Sets an [`Agent`] up.
#[must_use]
pub struct AgentBuilder {
    source: ModelSource,
    defaults: Defaults,
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

impl Defaults {
    /// Whether sessions with `model` can be opened with these.
    pub(crate) fn check(&self, model: &dyn Model) -> Result<ToolSet, BuildError> {
        if self.settings.model.trim().is_empty() {
            return Err(BuildError::NoModel);
        }
        if let Some(cwd) = self.settings.cwd.as_ref().filter(|cwd| !cwd.is_absolute()) {
            return Err(BuildError::RelativeCwd(cwd.clone()));
        }
        self.options.check()?;
        let tools = ToolSet::new(&self.tools)?.with_hosted(&self.hosted_tools)?;
        tools.check_features(model.features())?;
        self.gatekeeping.check(&tools, self.settings.approval_policy)?;
        Ok(tools)
    }
}

/// Why an agent or a session cannot be set up. The caller is at fault; the message says what to
/// change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The model's slug is empty.
    #[error("the model's name is empty: name one")]
    NoModel,
    /// The working folder is relative.
    #[error("the working folder `{0}` is relative: give an absolute path")]
    RelativeCwd(std::path::PathBuf),
    /// A parameter of requests cannot be sent.
    #[error("request option {0}")]
    Options(#[from] OptionsError),
    /// A tool's name is not allowed.
    #[error("tool name `{0}`: use 1 to 64 letters, digits, `_` or `-`")]
    ToolName(String),
    /// Two tools have one name.
    #[error("two tools are called `{0}`: give each a name of its own")]
    DuplicateTool(String),
    /// A tool's schema is not one of an object.
    #[error("tool `{0}`: its parameters must be a JSON schema of type `object`")]
    ToolSchema(String),
    /// The server is to hold the model to a tool's schema, and no strict server takes it.
    #[error("tool `{tool}` cannot be strict: {error}")]
    StrictSchema {
        /// Its name.
        tool: String,
        /// Where its schema is at fault.
        #[source]
        error: SchemaError,
    },
    /// A tool that the server runs is not an object with a `type` of its own.
    #[error("hosted tool {position}: {problem}")]
    HostedTool {
        /// Which of them, from 1.
        position: usize,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A tool takes free text, and the provider does not know such tools.
    #[error(
        "tool `{0}` takes free text, which the provider does not know: \
         give the tool JSON arguments, or use another provider"
    )]
    CustomTool(String),
    /// A tool may ask for approval, and nobody answers.
    #[error(
        "tool `{0}` may ask for approval, and nobody answers: say that somebody does \
         (`approvals`), or set the approval policy to `never`"
    )]
    NobodyApproves(String),
    /// The policy may ask for approval, and nobody answers.
    #[error(
        "the policy may ask for approval, and nobody answers: say that somebody does \
         (`approvals`), or that it never asks (`Policy::may_ask`)"
    )]
    NobodyAnswersPolicy,
    /// HTTP cannot be set up.
    #[error("HTTP client: {0}")]
    Http(String),
}

impl std::fmt::Debug for Agent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Agent")
            .field("model", &self.defaults.settings.model)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for AgentBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AgentBuilder")
            .field("model", &self.defaults.settings.model)
            .finish_non_exhaustive()
    }
}
