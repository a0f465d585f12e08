//! An accepted input on its way to a turn.

use std::sync::Arc;

use longhaul_history::Item;
use longhaul_history::turn_item::{TurnItem, TurnItemKind};
use longhaul_state::protocol::{Event, SettingsUpdate, TurnEnd, TurnError, TurnResult};
use serde_json::Value;
use tokio::sync::{Notify, oneshot};
use tracing::Span;

use crate::events::{Emitter, Queue, Subscribers};
use crate::input::Message;
use crate::task::SessionTask;
use crate::turn_handle::{Cancel, TurnHandle};

/// An accepted input. It settles its handle exactly once.
pub(crate) struct Submission {
    pub(crate) id: Arc<str>,
    pub(crate) item: Item,
    pub(crate) shown: TurnItem,
    pub(crate) settings: SettingsUpdate,
    pub(crate) output_schema: Option<Arc<Value>>,
    pub(crate) task: Arc<dyn SessionTask>,
    pub(crate) reply: Reply,
    /// Where the caller was when it gave the input: the parent of what observers see of its turn.
    pub(crate) span: Span,
}

/// Where the events and the result of an input go.
pub(crate) struct Reply {
    pub(crate) queue: Arc<Queue>,
    pub(crate) cancel: Cancel,
    result: Option<oneshot::Sender<Result<TurnResult, TurnError>>>,
}

impl Submission {
    pub(crate) fn new(
        id: Arc<str>,
        message: Message,
        item_id: String,
        settings: SettingsUpdate,
        output_schema: Option<Value>,
        task: Arc<dyn SessionTask>,
        wake: Arc<Notify>,
    ) -> (Self, TurnHandle) {
        let (sender, receiver) = oneshot::channel();
        let reply = Reply {
            queue: Arc::new(Queue::default()),
            cancel: Cancel::new(wake),
            result: Some(sender),
        };
        let handle = TurnHandle {
            id: Arc::clone(&id),
            queue: Arc::clone(&reply.queue),
            result: receiver,
            cancel: reply.cancel.clone(),
            cancel_on_drop: false,
        };
        let submission = Self {
            id,
            item: message.item,
            shown: TurnItem {
                id: item_id,
                kind: TurnItemKind::UserMessage { content: message.shown },
            },
            settings,
            output_schema: output_schema.map(Arc::new),
            task,
            reply,
            span: Span::current(),
        };
        (submission, handle)
    }

    /// Sends events of the submission in the turn `turn_id`.
    pub(crate) fn emitter(&self, subscribers: &Arc<Subscribers>, turn_id: &Arc<str>) -> Emitter {
        Emitter::new(
            Arc::clone(subscribers),
            Arc::clone(&self.reply.queue),
            Arc::clone(&self.id),
            Arc::clone(turn_id),
        )
    }

    /// The session ends, and no turn will take the input: all who wait for it are told.
    pub(crate) fn refuse(self, subscribers: &Arc<Subscribers>) {
        let emitter = self.emitter(subscribers, &self.id);
        emitter.emit_last(Event::Error(TurnError::Closed));
        self.reply.settle(Err(TurnError::Closed));
    }
}

impl Reply {
    /// The turn that took the input is over.
    pub(crate) fn settle(mut self, result: Result<TurnResult, TurnError>) {
        if let Some(sender) = self.result.take() {
            // Nobody waits if the handle was dropped.
            let _ = sender.send(result);
        }
    }

    /// The input was taken back before a turn took it.
    pub(crate) fn withdraw(self) {
        self.settle(Ok(TurnResult::empty(TurnEnd::INTERRUPTED)));
    }
}

/// A task that fails before it takes an input still ends the wait of those who read its events.
impl Drop for Reply {
    fn drop(&mut self) {
        self.queue.close();
    }
}
