//! What a session asks for things, for as long as it lives.

use std::sync::Arc;

use longhaul_transport::Model;
use longhaul_transport::auth::Auth;

use crate::ContextMessages;

/// The long-lived helpers of a session. Cloning shares them.
#[derive(Clone)]
pub struct SessionServices {
    /// The model.
    pub model: Arc<dyn Model>,
    /// The session's own credential, in place of the model's.
    pub auth: Option<Arc<dyn Auth>>,
    /// What the model is told of its settings.
    pub context: Arc<dyn ContextMessages>,
}
