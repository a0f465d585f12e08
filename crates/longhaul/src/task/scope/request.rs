//! The next request of a turn.

use std::sync::{Arc, MutexGuard, PoisonError};

use longhaul_state::ContextMessages;
use longhaul_state::protocol::Event;
use longhaul_transport::Request;
use serde_json::Value;

use super::TaskScope;

impl TaskScope {
    /// The next request of the turn, over the conversation as it now is. Broken history is put
    /// right first, and reported.
    pub fn next_request(&self) -> Request {
        self.next_counted_request().0
    }

    /// The next request, and its tokens by the local count.
    pub(in crate::task) fn next_counted_request(&self) -> (Request, u64) {
        let request = self.request();
        let tokens = self.state.note_request(&request);
        (request, tokens)
    }

    /// The same, not yet to be sent.
    pub(in crate::task) fn request(&self) -> Request {
        let (prompt, repairs) = self.inner.prompt_of(&self.state, &self.context);
        if !repairs.is_empty() {
            self.emit(Event::HistoryRepaired(repairs));
        }
        let mut request = self.context.request(prompt, &self.inner.services);
        request.output_schema.clone_from(&self.schema());
        request
    }

    pub(super) fn schema(&self) -> MutexGuard<'_, Option<Arc<Value>>> {
        self.output_schema.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The turn's final message has to follow `schema`, until an input brings another.
    pub(in crate::task) fn follow(&self, schema: Option<Arc<Value>>) {
        *self.schema() = schema;
    }

    /// The messages that tell the model of its settings.
    pub(in crate::task) fn context_messages(&self) -> &dyn ContextMessages {
        match &self.beside {
            Some(beside) => &*beside.context,
            None => &*self.inner.services.context,
        }
    }
}
