//! Turns over a conversation beside that of the session.

use std::sync::Arc;

use longhaul_history::Item;
use longhaul_history::turn_item::TurnItemKind;
use longhaul_state::protocol::{Event, Settings};
use longhaul_state::{ContextMessages, SessionState, TurnContext};
use longhaul_transport::request::{Instructions, TaskKind};

use super::TaskScope;

/// A conversation beside that of the session: a task of its own, of which the session's model learns
/// only what the task records.
#[non_exhaustive]
pub struct Aside {
    /// What it is run with.
    pub settings: Settings,
    /// Its base instructions. Default: none.
    pub instructions: Option<Instructions>,
    /// What its model is told of the settings. Default: nothing.
    pub context: Arc<dyn ContextMessages>,
    /// What kind of task a server that asks is told. Default: an ordinary one.
    pub task_kind: TaskKind,
    /// Whether its model has the tools that the server runs, such as a search of the web. Default: yes.
    pub hosted_tools: bool,
    /// Whether what its model says is kept from those who watch. What it thinks and which tools it
    /// calls is shown. Default: no.
    pub hides_messages: bool,
}

impl Aside {
    /// A conversation under these settings.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            instructions: None,
            context: Arc::new(()),
            task_kind: TaskKind::Standard,
            hosted_tools: true,
            hides_messages: false,
        }
    }
}

impl std::fmt::Debug for Aside {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Aside").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// What a turn beside the session keeps apart.
pub(super) struct Beside {
    pub(super) context: Arc<dyn ContextMessages>,
    hides_messages: bool,
    session: Arc<SessionState>,
    own: Arc<SessionState>,
}

impl Beside {
    pub(super) fn hides(&self, event: &Event) -> bool {
        let is_message = match event {
            Event::TextDelta(_) => true,
            Event::ItemStarted(item) | Event::ItemCompleted(item) => {
                matches!(item.kind, TurnItemKind::AgentMessage { .. })
            }
            _ => false,
        };
        is_message && self.hides_messages
    }
}

/// However it ends, what it used is the session's.
impl Drop for Beside {
    fn drop(&mut self) {
        self.session.absorb(&self.own);
    }
}

impl TaskScope {
    /// The same turn over a new conversation, which begins with what its context has to tell and with
    /// `input`. Inputs that arrive meanwhile wait for the session's next turn.
    #[must_use]
    pub fn aside(&self, aside: Aside, input: impl IntoIterator<Item = Item>) -> Self {
        let own = Arc::new(self.state().aside(aside.settings));
        own.begin_turn(&self.context().turn_id, &own.settings(), &*aside.context);
        own.record(input);
        let tools = self.tools().clone();
        let tools = if aside.hosted_tools { tools } else { tools.without_hosted() };
        let TurnContext { grants, turn_id, .. } = self.context();
        let mut context = self.inner.turn_context(*grants, own.settings(), turn_id, &tools);
        context.instructions = aside.instructions;
        context.task_kind = aside.task_kind;
        let beside = Beside {
            context: aside.context,
            hides_messages: aside.hides_messages,
            session: Arc::clone(&self.inner.state),
            own: Arc::clone(&own),
        };
        self.over(own, context, Arc::new(beside))
    }
}
