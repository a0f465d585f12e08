//! What a scripted model remembers of a request.

use std::sync::{Arc, Weak};

use bytes::Bytes;
use longhaul_transport::TaskKind;
use serde_json::Value;
use tokio::sync::watch;

use super::script::State;

/// One request as it came.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Recorded {
    /// Its position in [`ScriptedModel::requests`](super::ScriptedModel::requests), from 0.
    pub order: usize,
    /// The body as a server without features of its own would get it
    /// ([`Provider::neutral`](longhaul_transport::Provider::neutral)).
    pub body: Value,
    /// The same, byte for byte: for tests of prefixes that a prompt cache is to find again.
    pub bytes: Bytes,
    /// What the request is for.
    pub task_kind: TaskKind,
    /// How reading the answer ended, if it had when this copy was made.
    pub end: Option<StreamEnd>,
}

/// How the reading of an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StreamEnd {
    /// Its terminal event or its error was taken.
    Read,
    /// It was dropped before that.
    Dropped,
}

impl Recorded {
    pub(super) fn new(bytes: Bytes, task_kind: TaskKind) -> Self {
        Self {
            order: 0,
            body: serde_json::from_slice(&bytes).unwrap_or_default(),
            bytes,
            task_kind,
            end: None,
        }
    }

    /// The items of the conversation.
    pub fn input(&self) -> Vec<Value> {
        let items = self.body["input"].as_array();
        items.cloned().unwrap_or_default()
    }
}

/// Notes how the reading of an answer ends; dropped before it is told, that it was dropped.
pub(super) struct Watched {
    state: Weak<watch::Sender<State>>,
    order: usize,
}

impl Watched {
    pub(super) fn new(state: &Arc<watch::Sender<State>>, order: usize) -> Self {
        Self { state: Arc::downgrade(state), order }
    }

    pub(super) fn end(&mut self, how: StreamEnd) {
        let Some(state) = self.state.upgrade() else {
            return;
        };
        state.send_if_modified(|state| {
            let Some(request) = state.requests.get_mut(self.order) else {
                return false;
            };
            let is_first = request.end.is_none();
            request.end = request.end.or(Some(how));
            is_first
        });
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.end(StreamEnd::Dropped);
    }
}
