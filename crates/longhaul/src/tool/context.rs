//! What a tool knows of where it runs.

use std::any::Any;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use longhaul_state::protocol::Event;
use tokio_util::sync::CancellationToken;

use crate::events::{Emitter, EventBuffer, EventLog};

/// The embedder's own data of a session.
pub(crate) type SessionData = Arc<dyn Any + Send + Sync>;

/// Where a call runs. Cloning shares.
#[derive(Clone)]
pub struct ToolContext {
    pub(crate) session_id: Arc<str>,
    pub(crate) call_id: String,
    pub(crate) cwd: Option<PathBuf>,
    pub(crate) data: Option<SessionData>,
    pub(crate) cancel: CancellationToken,
    pub(crate) emitter: Emitter,
    pub(crate) max_output_bytes: usize,
}

impl ToolContext {
    /// A context outside any session, for the tests of a tool: nobody watches, nothing cancels.
    pub fn detached() -> Self {
        let none: Arc<str> = Arc::from("");
        let log = Arc::new(EventLog::new(EventBuffer::default()));
        Self {
            session_id: Arc::clone(&none),
            call_id: String::new(),
            cwd: None,
            data: None,
            cancel: CancellationToken::new(),
            emitter: Emitter::new(log, none),
            max_output_bytes: usize::MAX,
        }
    }

    /// The same context with data of the embedder's.
    #[must_use]
    pub fn with_data<T: Any + Send + Sync>(mut self, data: T) -> Self {
        self.data = Some(Arc::new(data));
        self
    }

    /// The session.
    pub fn session_id(&self) -> &str {
        &self.session_id
    }

    /// The turn.
    pub fn turn_id(&self) -> &str {
        &self.emitter.turn_id
    }

    /// The call.
    pub fn call_id(&self) -> &str {
        &self.call_id
    }

    /// The session's folder.
    pub fn cwd(&self) -> Option<&Path> {
        self.cwd.as_deref()
    }

    /// The data that the embedder gave the session, if it is a `T`.
    pub fn data<T: Any>(&self) -> Option<&T> {
        self.data.as_deref()?.downcast_ref()
    }

    /// The largest output that is kept, in bytes; a tool need not gather more.
    pub fn max_output_bytes(&self) -> usize {
        self.max_output_bytes
    }

    /// Tells those who watch how far the call is.
    pub fn progress(&self, message: impl Into<String>) {
        self.emitter
            .emit(Event::ToolProgress { call_id: self.call_id.clone(), message: message.into() });
    }

    /// Whether the call is to stop.
    pub fn is_cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }

    /// Completes when the call is to stop.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    pub async fn cancelled(&self) {
        self.cancel.cancelled().await;
    }
}

impl std::fmt::Debug for ToolContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ToolContext")
            .field("session_id", &self.session_id)
            .field("call_id", &self.call_id)
            .finish_non_exhaustive()
    }
}
