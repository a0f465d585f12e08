//! What a session asks for things, for as long as it lives.

use std::sync::Arc;

use longhaul_transport::Model;
use longhaul_transport::auth::Auth;
use longhaul_transport::request::Reasoning;

use crate::ContextMessages;
use crate::protocol::Settings;

/// The long-lived helpers of a session. Cloning shares them.
#[derive(Clone)]
pub struct SessionServices {
    /// The model.
    pub model: Arc<dyn Model>,
    /// The session's own credential, in place of the model's.
    pub auth: Option<Arc<dyn Auth>>,
    /// What the model is told of its settings.
    pub context: Arc<dyn ContextMessages>,
    /// How much a model reasons where the settings leave it open.
    pub default_reasoning: fn(&str) -> Option<Reasoning>,
}

impl SessionServices {
    /// How much the model is to reason under `settings`.
    pub(crate) fn reasoning(&self, settings: &Settings) -> Option<Reasoning> {
        let default = (self.default_reasoning)(&settings.model).unwrap_or_default();
        let set = settings.reasoning.clone().unwrap_or_default();
        let reasoning = Reasoning {
            effort: set.effort.or(default.effort),
            summary: set.summary.or(default.summary),
        };
        Some(reasoning).filter(|reasoning| *reasoning != Reasoning::default())
    }
}

impl std::fmt::Debug for SessionServices {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionServices").finish_non_exhaustive()
    }
}
