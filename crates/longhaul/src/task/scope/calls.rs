//! What the calls of a turn need: who decides about them, and where their tools run.

use std::sync::Arc;

use longhaul_state::TurnQueue;
use longhaul_state::protocol::CallDigest;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::TaskScope;
use crate::approval::Gatekeeping;
use crate::session::Submission;
use crate::tool::{SessionData, ToolContext, ToolSet};

impl TaskScope {
    /// As long as the guard lives the session starts no tool, also in later turns.
    pub fn hold_tools(&self) -> ToolHold {
        self.inner.tool_holds.send_modify(|holds| *holds += 1);
        ToolHold(Arc::clone(&self.inner.tool_holds))
    }

    /// Completes when nobody holds tools.
    pub(in crate::task) async fn tools_released(&self) {
        let mut holds = self.inner.tool_holds.subscribe();
        // The sender lives as long as the session.
        let _ = holds.wait_for(|holds| *holds == 0).await;
    }

    /// Who decides about calls.
    pub(in crate::task) fn gatekeeping(&self) -> &Gatekeeping {
        &self.inner.gatekeeping
    }

    /// Whether calls of this digest were approved for the session's length.
    pub(in crate::task) fn is_granted(&self, digest: CallDigest) -> bool {
        self.inner.state.is_granted(digest, self.context.grants)
    }

    /// Who waits for what.
    pub(in crate::task) fn queue(&self) -> &TurnQueue<Submission> {
        &self.inner.queue
    }

    /// Completes when there may be answers to the turn's approval requests.
    pub(in crate::task) async fn answered(&self) {
        self.inner.answered.notified().await;
    }

    /// The embedder's own data of the session.
    pub(in crate::task) fn data(&self) -> Option<SessionData> {
        self.inner.data.clone()
    }

    pub(crate) fn tools(&self) -> &ToolSet {
        &self.tools
    }

    /// What a tool knows of where it runs; `cancel` stops it.
    pub(crate) fn tool_context(&self, call_id: &str, cancel: CancellationToken) -> ToolContext {
        ToolContext {
            session_id: Arc::clone(&self.inner.id),
            call_id: call_id.to_owned(),
            cwd: self.context.settings.cwd.clone(),
            data: self.inner.data.clone(),
            cancel,
            emitter: self.emitter.clone(),
            max_output_bytes: self.inner.bounds.max_tool_output_bytes,
        }
    }
}

/// Keeps the tools of a session from starting; made by [`TaskScope::hold_tools`].
#[derive(Debug)]
pub struct ToolHold(Arc<watch::Sender<usize>>);

impl Drop for ToolHold {
    fn drop(&mut self) {
        self.0.send_modify(|holds| *holds -= 1);
    }
}
