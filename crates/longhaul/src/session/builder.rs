//! How a session is opened.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use longhaul_history::{EditError, History};
use longhaul_rollout::{ForkedFrom, LogRef, LogWriter, OnDamage, RecentMessages, Store};
use longhaul_state::protocol::SettingsUpdate;
use longhaul_state::turn::TurnLimits;
use longhaul_state::{ContextMessages, SessionServices, SessionState, Snapshot, TurnQueue};
use longhaul_transport::Model;
use longhaul_transport::auth::Auth;
use longhaul_transport::request::Instructions;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::{Inner, Session, runner};
use crate::agent::Defaults;
use crate::events::EventLog;
use crate::log::{self, Keeper, OpenTurn, Resumed};
use crate::tool::Tool;
use crate::{Agent, BuildError};

/// Opens a [`Session`].
#[must_use]
pub struct SessionBuilder {
    model: Arc<dyn Model>,
    begin: Defaults,
    auth: Option<Arc<dyn Auth>>,
    data: Option<Arc<dyn Any + Send + Sync>>,
    /// What it goes on from.
    state: Option<SessionState>,
    /// The log that it comes from.
    origin: Option<Origin>,
    /// What is changed of the settings.
    changes: Vec<SettingsUpdate>,
    forked_from: Option<ForkedFrom>,
}

impl SessionBuilder {
    pub(crate) fn new(agent: &Agent) -> Self {
        Self {
            model: Arc::clone(&agent.model),
            begin: agent.defaults.clone(),
            auth: None,
            data: None,
            state: None,
            origin: None,
            changes: Vec::new(),
            forked_from: None,
        }
    }

    /// Begins with what stands in the conversation of `parent` before its `n`-th message of the user,
    /// counted from 0; context messages, bridges and notes do not count. The parent stays as it is, and
    /// may run meanwhile. Its settings go on; its tools, credentials and data are for this builder to
    /// give.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use longhaul_testkit::ScriptedModel;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let model = ScriptedModel::new().text("a").text("b").text("c");
    /// let agent = longhaul::Agent::builder("m", Arc::new(model)).build()?;
    /// let session = agent.session().start().await?;
    /// session.prompt("first").await?.await?;
    /// session.prompt("second").await?.await?;
    /// let fork = agent.session().fork(&session, 1)?.start().await?;
    /// fork.prompt("second, said better").await?.await?;
    /// assert_eq!((session.history().len(), fork.history().len()), (4, 4));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`EditError::OutOfRange`] if there is no such message.
    pub fn fork(mut self, parent: &Session, n: usize) -> Result<Self, EditError> {
        let state = parent.inner.state.fork_before(n)?;
        self.begin.settings = state.settings();
        self.state = Some(state);
        self.forked_from = Some(parent.inner.as_parent());
        Ok(self)
    }

    /// Goes on with a session that the agent's [store](crate::AgentBuilder::store) has, by its id or the
    /// path of its log: with its conversation, its settings and what it has used, and with the tools and
    /// instructions of this builder. [`Session::resumed`] says what was found.
    ///
    /// A turn that was cut off goes on with [`Session::continue_turn`], or is over when another begins: its
    /// calls are answered then with what is known of them. A damaged log is refused, or what is sound of it is taken over into a new one, as
    /// `on_damage` says.
    pub fn resume(mut self, which: LogRef, on_damage: OnDamage) -> Self {
        self.origin = Some(Origin::Resumed { which, on_damage });
        self
    }

    /// Begins a new session with what stands in a log of the agent's [store](crate::AgentBuilder::store)
    /// before the `before`-th message of the user, as [`fork`](Self::fork) does with a session that is
    /// open. The log stays as it is, and may be in use; a damaged one is refused.
    pub fn fork_log(mut self, which: LogRef, before: usize) -> Self {
        self.origin = Some(Origin::Forked { which, before });
        self
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

    /// Settings that differ from the agent's, or from those of the session that it goes on from: model,
    /// effort, summary, policy, folder.
    pub fn settings(mut self, change: SettingsUpdate) -> Self {
        self.changes.push(change);
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
    pub async fn start(mut self) -> Result<Session, BuildError> {
        let Opening { id, state, writer, mut resumed, open_turn, recent } = self.open().await?;
        self.begin.settings = state.settings();
        self.changes.drain(..).for_each(|change| self.begin.settings.update(change));
        let tools = self.begin.check(&*self.model)?;
        let state = Arc::new(state);
        let mut events = EventLog::new(self.begin.event_buffer);
        if writer.is_some() {
            state.keep_journal();
            events = events.behind(Arc::clone(&state));
        }
        let events = Arc::new(events);
        let keeper =
            writer.map(|writer| Keeper::start(Arc::clone(&state), Arc::clone(&events), writer));
        if state.settings() != self.begin.settings {
            state.set_settings(self.begin.settings);
        }
        if let (Some(resumed), Some(turn)) = (&mut resumed, &open_turn) {
            resumed.unknown_calls = turn.unknown(&TurnLimits::new(1, tools.handling()));
        }
        let inner = Arc::new(Inner {
            id,
            state,
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
            events,
            keeper,
            resumed,
            open_turn: Mutex::new(open_turn),
            recent: Mutex::new(recent),
            wake: Arc::default(),
            answered: Notify::new(),
            tool_holds: Arc::new(watch::Sender::new(0)),
            #[cfg(feature = "coding")]
            work_tree: Arc::default(),
            ended: CancellationToken::new(),
        });
        tokio::spawn(runner::run(Arc::clone(&inner)));
        let session = Session::new(inner);
        // If that fails, or nobody waits for it, the session ends and its log is free.
        session.inner.kept().await.map_err(|error| BuildError::Store(error.to_string()))?;
        Ok(session)
    }

    /// What the session begins with, and who writes its log.
    async fn open(&mut self) -> Result<Opening, BuildError> {
        let mut recent = None;
        match self.origin.take() {
            Some(Origin::Resumed { which, on_damage }) => {
                let settings = &self.begin.settings;
                let opened = log::open(self.store()?, &which, on_damage, settings).await?;
                let log::Reopened { id, snapshot, writer, resumed, open_turn, recent } = opened;
                let state = self.restore(snapshot);
                let (writer, resumed) = (Some(writer), Some(resumed));
                return Ok(Opening { id: id.into(), state, writer, resumed, open_turn, recent });
            }
            Some(Origin::Forked { which, before }) => {
                let settings = &self.begin.settings;
                let forked = log::fork(self.store()?, &which, before, settings).await?;
                self.forked_from = forked.from;
                self.state = Some(self.restore(forked.snapshot));
                recent = Some(forked.recent);
            }
            None => {}
        }
        let state = self.state.take().unwrap_or_else(|| {
            SessionState::new(self.empty_history(), self.begin.settings.clone())
                .with_breaker(self.begin.compaction.config.breaker)
        });
        let id: Arc<str> = uuid::Uuid::now_v7().to_string().into();
        let writer = match self.begin.store.clone() {
            Some(store) => {
                let forked_from = self.forked_from.take();
                let provider = self.model.server().map(|provider| provider.name.clone());
                Some(log::create(&*store, &id, &state, provider, forked_from).await?)
            }
            None => None,
        };
        let recent = recent.unwrap_or_else(|| RecentMessages::of(state.history().iter()));
        Ok(Opening { id, state, writer, resumed: None, open_turn: None, recent })
    }

    fn store(&self) -> Result<&dyn Store, BuildError> {
        let missing = || BuildError::Store("the agent has no store: give it one (`store`)".into());
        self.begin.store.as_deref().ok_or_else(missing)
    }

    fn restore(&self, snapshot: Snapshot) -> SessionState {
        let state = snapshot.restore(self.empty_history());
        state.with_breaker(self.begin.compaction.config.breaker)
    }

    fn empty_history(&self) -> History {
        let mut history = History::with_config(self.begin.history.clone());
        history.set_format(self.model.wire_format());
        history
    }
}

/// The log that a session comes from.
enum Origin {
    /// It goes on with it.
    Resumed { which: LogRef, on_damage: OnDamage },
    /// It takes over what stands before a message of the user.
    Forked { which: LogRef, before: usize },
}

/// What a session begins with.
struct Opening {
    id: Arc<str>,
    state: SessionState,
    writer: Option<Box<dyn LogWriter>>,
    resumed: Option<Resumed>,
    open_turn: Option<OpenTurn>,
    recent: RecentMessages,
}

impl std::fmt::Debug for SessionBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionBuilder")
            .field("model", &self.begin.settings.model)
            .finish_non_exhaustive()
    }
}
