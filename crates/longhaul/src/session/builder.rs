//! How a session is opened.

mod origin;
mod start;

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;

use longhaul_rollout::{LogRef, OnDamage};
use longhaul_state::protocol::SettingsUpdate;
use longhaul_state::{ContextMessages, SessionState};
use longhaul_transport::Model;
use longhaul_transport::auth::Auth;
use longhaul_transport::request::Instructions;

use self::origin::{Origin, Source};
use super::{Inner, Session};
use crate::agent::Defaults;
use crate::log::ForkPoint;
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
        }
    }

    /// Begins with what stands in the conversation of `parent` before a place: a number is that of a
    /// message of the user, counted from 0. The parent stays as it is, and
    /// may run meanwhile. Its settings go on; its tools, credentials and data are for this builder to
    /// give. Its log, if it has one, is first written up to here.
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
    /// [`BuildError::NoSuchPlace`] if there is no such message; [`BuildError::NoLog`] where a record is
    /// meant and the parent has no log. That there is no such record, or that the parent's log cannot be
    /// written, [`start`](Self::start) says.
    pub fn fork(mut self, parent: &Session, at: impl Into<ForkPoint>) -> Result<Self, BuildError> {
        let state = &parent.inner.state;
        let inner = Arc::clone(&parent.inner);
        let (state, place) = match at.into() {
            ForkPoint::BeforeUserMessage(n) => state.fork_before(n)?,
            ForkPoint::Behind(_) if inner.keeper.is_none() => return Err(BuildError::NoLog),
            ForkPoint::Behind(ordinal) => {
                self.origin = Some(Origin::Taken(Source::Behind { parent: inner, ordinal }));
                return Ok(self);
            }
            ForkPoint::End => state.fork_whole(),
        };
        self.begin.settings = state.settings();
        self.state = Some(state);
        self.origin = Some(Origin::Taken(Source::Parent { parent: inner, place }));
        Ok(self)
    }

    /// Goes on with a session that the agent's [store](crate::AgentBuilder::store) has, by its id or the
    /// path of its log: with its conversation, its settings and what it has used, and with the tools and
    /// instructions of this builder. [`Session::resumed`] says what was found.
    ///
    /// A turn that was cut off goes on with [`Session::continue_turn`], or is over when another
    /// begins: its calls are answered then with what is known of them. A damaged log is refused, or
    /// what is sound of it is taken over into a new one, as `on_damage` says.
    pub fn resume(mut self, which: LogRef, on_damage: OnDamage) -> Self {
        self.origin = Some(Origin::Resumed { which, on_damage });
        self
    }

    /// Begins a new session with what stands in a log of the agent's [store](crate::AgentBuilder::store)
    /// before a place, as [`fork`](Self::fork) does with a session that is open. The log stays as it is,
    /// and may be in use, or another program's ([`Session::imported`] says then what became of it); one
    /// that is damaged before that place is refused.
    pub fn fork_log(mut self, which: impl Into<LogRef>, at: impl Into<ForkPoint>) -> Self {
        self.origin = Some(Origin::Taken(Source::Forked { which: which.into(), at: at.into() }));
        self
    }

    /// Takes over a session that another program has logged, the Codex client for one: with its
    /// conversation, what it has used, and its settings as far as they can be read, and with the tools
    /// and instructions of this builder. It gets a log of its own in the agent's
    /// [store](crate::AgentBuilder::store), and keeps its id, which is the prompt cache key, if that is a
    /// UUID; the other's log stays as it is. A path that the store does not have is one of the file
    /// system. [`Session::imported`] says what was not taken over; a damaged log is refused, or what is
    /// sound of it is taken over, as `on_damage` says.
    ///
    /// [`start`](Self::start) fails with [`BuildError::AlreadyImported`] if the store has a log of the
    /// session, and with [`BuildError::NotForeign`] if the log is this program's.
    pub fn import(mut self, which: impl Into<LogRef>, on_damage: OnDamage) -> Self {
        self.origin = Some(Origin::Taken(Source::Imported { which: which.into(), on_damage }));
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
    /// effort, summary, policy, folder. They hold for a turn that was cut off too, if it goes on, also
    /// after another crash; else that keeps its own.
    pub fn settings(mut self, change: SettingsUpdate) -> Self {
        self.changes.push(change);
        self
    }

    /// Data of the embedder's own, which tools find in their context.
    pub fn data<T: Any + Send + Sync>(mut self, data: T) -> Self {
        self.data = Some(Arc::new(data));
        self
    }
}

impl std::fmt::Debug for SessionBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionBuilder")
            .field("model", &self.begin.settings.model)
            .finish_non_exhaustive()
    }
}
