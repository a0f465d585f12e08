//! What one turn is run with.

use std::sync::Arc;

use longhaul_history::{Item, Prompt};
use longhaul_transport::Request;
use longhaul_transport::request::{Instructions, RequestOptions, TaskKind, ToolList};
use serde_json::Value;

use crate::protocol::{GrantScope, Settings};
use crate::turn::TurnLimits;

/// Messages that tell a model of the settings it works under, in the user's place.
///
/// The core has none of its own: without an implementation nothing is told.
pub trait ContextMessages: Send + Sync {
    /// The messages to record when a turn begins. `told` are the settings that earlier messages
    /// speak of; `None` in a new conversation. If nothing changed, there should be none: each
    /// message costs tokens for the rest of the session.
    fn messages(&self, told: Option<&Settings>, now: &Settings) -> Vec<Item>;
}

/// No messages.
impl ContextMessages for () {
    fn messages(&self, _: Option<&Settings>, _: &Settings) -> Vec<Item> {
        Vec::new()
    }
}

/// What one turn is run with; fixed for its length.
#[derive(Clone)]
pub struct TurnContext {
    /// The session.
    pub session_id: Arc<str>,
    /// The turn: the id of the submission that started it.
    pub turn_id: Arc<str>,
    /// The settings when it began.
    pub settings: Settings,
    /// Base instructions.
    pub instructions: Option<Instructions>,
    /// The tools as the model is told of them.
    pub tools: ToolList,
    /// A JSON schema that its final message has to follow.
    pub output_schema: Option<Arc<Value>>,
    /// Further parameters of its requests.
    pub options: RequestOptions,
    /// Its bounds.
    pub limits: TurnLimits,
    /// What an approval for the session's length is given for in it.
    pub grants: GrantScope,
    /// What kind of task a server that asks is told.
    pub task_kind: TaskKind,
}

impl TurnContext {
    /// The request that carries `input`.
    pub fn request(&self, input: Prompt, services: &crate::SessionServices) -> Request {
        let mut request = Request::new(self.settings.model.clone(), input);
        request.model_info = Some(services.models.find(&self.settings.model));
        request.instructions.clone_from(&self.instructions);
        request.tools = self.tools.clone();
        request.reasoning = services.reasoning(&self.settings);
        request.verbosity = self.settings.verbosity;
        request.output_schema.clone_from(&self.output_schema);
        request.options = self.options.clone();
        request.session_id = self.session_id.to_string();
        request.task_kind = self.task_kind;
        request.auth.clone_from(&services.auth);
        request
    }
}

impl std::fmt::Debug for TurnContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TurnContext")
            .field("session_id", &self.session_id)
            .field("turn_id", &self.turn_id)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
