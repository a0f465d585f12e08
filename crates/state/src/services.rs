//! What a session asks for things, for as long as it lives.

use std::sync::Arc;

use longhaul_history::WireFormat;
use longhaul_transport::Model;
use longhaul_transport::auth::Auth;
use longhaul_transport::models::{ContextWindow, ModelInfo, ModelTable, WindowConfig};
use longhaul_transport::request::Reasoning;

use crate::budget::PriceTable;
use crate::protocol::Settings;
use crate::{ContextMessages, SessionState};

/// How much a model reasons where its user leaves it open, by its slug and what the table knows of
/// it.
pub type DefaultReasoning = fn(&str, &ModelInfo) -> Option<Reasoning>;

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
    pub default_reasoning: DefaultReasoning,
    /// What is known of models.
    pub models: ModelTable,
    /// What is configured of context windows, for whatever model.
    pub window: WindowConfig,
    /// What models cost.
    pub prices: PriceTable,
}

impl SessionServices {
    /// How much the model is to reason under `settings`.
    pub(crate) fn reasoning(&self, settings: &Settings) -> Option<Reasoning> {
        let info = self.models.find(&settings.model);
        let default = (self.default_reasoning)(&settings.model, &info).unwrap_or_default();
        let set = settings.reasoning.clone().unwrap_or_default();
        let reasoning = Reasoning {
            effort: set.effort.or(default.effort),
            summary: set.summary.or(default.summary),
        };
        Some(reasoning).filter(|reasoning| *reasoning != Reasoning::default())
    }

    /// How items are to be written for `model`.
    pub fn wire_format(&self, model: &str) -> WireFormat {
        let mut format = self.model.wire_format();
        format.images &= self.models.find(model).images != Some(false);
        format
    }

    /// The context window of `model` as far as it is known now, in `state` besides.
    pub fn window(&self, model: &str, state: &SessionState) -> ContextWindow {
        self.models.window(model, self.window, state.learned_window(model))
    }
}

impl std::fmt::Debug for SessionServices {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionServices").finish_non_exhaustive()
    }
}
