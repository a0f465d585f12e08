//! How a session is opened.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use longhaul_history::History;
use longhaul_state::protocol::SettingsUpdate;
use longhaul_state::{ContextMessages, SessionServices, SessionState, TurnQueue};
use longhaul_transport::Model;
use longhaul_transport::auth::Auth;
use longhaul_transport::request::Instructions;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{Inner, Session, runner};
use crate::agent::Defaults;
use crate::events::EventLog;
use crate::tool::Tool;
use crate::{Agent, BuildError};

/// Opens a [`Session`].
#[must_use]
pub struct SessionBuilder {
    model: Arc<dyn Model>,
    begin: Defaults,
    auth: Option<Arc<dyn Auth>>,
    data: Option<Arc<dyn Any + Send + Sync>>,
}

impl SessionBuilder {
    pub(crate) fn new(agent: &Agent) -> Self {
        Self {
            model: Arc::clone(&agent.model),
            begin: agent.defaults.clone(),
            auth: None,
            data: None,
        }
    }

    /// A credential of the session's own, in place of the provider's.
    pub fn auth(mut self, auth: impl Auth + 'static) -> Self {
        self.auth = Some(Arc::new(auth));
        self
    }

    /// Instructions in place of the agent's.
    pub fn instructions(mut self, instructions: impl Into<Instructions>) -> Self {
        self.begin.instructions = Some(instructions.into());
        self
    }

    /// Adds a tool to the agent's.
    pub fn tool(mut self, tool: impl Tool + 'static) -> Self {
        self.begin.tools.push(Arc::new(tool));
        self
    }

    /// Tools in place of the agent's, but for those that the server runs.
    pub fn tools(mut self, tools: impl IntoIterator<Item = Arc<dyn Tool>>) -> Self {
        self.begin.tools = tools.into_iter().collect();
        self
    }

    /// Labels that the server stores with each response, in place of the agent's.
    pub fn metadata(mut self, metadata: BTreeMap<String, String>) -> Self {
        self.begin.options.metadata = metadata;
        self
    }

    /// Messages that tell the model of its settings, in place of the agent's.
    pub fn context(mut self, context: impl ContextMessages + 'static) -> Self {
        self.begin.context = Arc::new(context);
        self
    }

    /// Settings that differ from the agent's: model, effort, summary, policy, folder.
    pub fn settings(mut self, change: SettingsUpdate) -> Self {
        self.begin.settings.update(change);
        self
    }

    /// Data of the embedder's own, which tools find in their context.
    pub fn data<T: Any + Send + Sync>(mut self, data: T) -> Self {
        self.data = Some(Arc::new(data));
        self
    }

    /// Opens the session. It runs on the tokio runtime of the caller.
    ///
    /// # Errors
    ///
    /// [`BuildError`] if it cannot work with what it was given.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future opens nothing.
    #[expect(clippy::unused_async, reason = "opening will wait for a session log")]
    pub async fn start(self) -> Result<Session, BuildError> {
        let tools = self.begin.check(&*self.model)?;
        let mut history = History::with_config(self.begin.history);
        history.set_format(self.model.wire_format());
        let inner = Arc::new(Inner {
            id: uuid::Uuid::now_v7().to_string().into(),
            state: Arc::new(
                SessionState::new(history, self.begin.settings)
                    .with_breaker(self.begin.compaction.config.breaker),
            ),
            queue: TurnQueue::default(),
            services: SessionServices {
                model: self.model,
                auth: self.auth,
                context: self.begin.context,
                default_reasoning: self.begin.default_reasoning,
                models: self.begin.models,
                window: self.begin.window,
                prices: self.begin.prices,
            },
            tools: Mutex::new(tools),
            hosted_tools: self.begin.hosted_tools,
            instructions: self.begin.instructions,
            options: self.begin.options,
            bounds: self.begin.bounds,
            compaction: self.begin.compaction,
            gatekeeping: self.begin.gatekeeping,
            task: self.begin.task,
            while_running: self.begin.while_running,
            #[cfg(feature = "coding")]
            review_model: self.begin.review_model,
            data: self.data,
            events: Arc::new(EventLog::new(self.begin.event_buffer)),
            wake: Arc::default(),
            answered: Notify::new(),
            ended: CancellationToken::new(),
        });
        tokio::spawn(runner::run(Arc::clone(&inner)));
        Ok(Session::new(inner))
    }
}

impl std::fmt::Debug for SessionBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionBuilder")
            .field("model", &self.begin.settings.model)
            .finish_non_exhaustive()
    }
}
