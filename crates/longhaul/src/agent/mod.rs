//! What sessions have in common.

mod builder;
mod error;
mod settings;

use std::sync::Arc;
use std::time::Duration;

use longhaul_history::HistoryConfig;
use longhaul_rollout::Store;
use longhaul_state::budget::{Budget, PriceTable};
use longhaul_state::protocol::Settings;
use longhaul_state::{ContextMessages, DefaultReasoning};
use longhaul_transport::Model;
use longhaul_transport::models::{ModelTable, WindowConfig};
use longhaul_transport::request::{Instructions, RequestOptions};
use serde_json::Value;

use crate::SessionBuilder;
use crate::approval::Gatekeeping;
use crate::events::EventBuffer;
use crate::hook::CompactionSetup;
use crate::task::{Regular, SessionTask};
use crate::tool::{Tool, ToolSet};

pub use builder::AgentBuilder;
pub use error::BuildError;
pub(crate) use settings::{check_model_and_cwd, check_settings};

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
    pub(crate) store: Option<Arc<dyn Store>>,
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
                store: None,
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

impl Defaults {
    /// Whether sessions with `model` can be opened with these.
    pub(crate) fn check(&self, model: &dyn Model) -> Result<(), BuildError> {
        check_settings(&self.settings, &self.gatekeeping, &self.check_tools(model)?)
    }

    /// The tools of sessions with `model`, if they and all else can be used whatever the settings are.
    pub(crate) fn check_tools(&self, model: &dyn Model) -> Result<ToolSet, BuildError> {
        self.options.check()?;
        let tools = ToolSet::new(&self.tools)?.with_hosted(&self.hosted_tools)?;
        tools.check_features(model.features())?;
        Ok(tools)
    }
}

impl std::fmt::Debug for Agent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Agent")
            .field("model", &self.defaults.settings.model)
            .finish_non_exhaustive()
    }
}
