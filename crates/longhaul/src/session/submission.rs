//! An accepted input on its way to a turn.

use std::sync::Arc;

use longhaul_history::Item;
use longhaul_history::turn_item::{TurnItem, TurnItemKind};
use longhaul_state::protocol::{Event, SettingsUpdate, TurnEnd, TurnError, TurnResult};
use serde_json::Value;
use tokio::sync::oneshot;

use crate::events::{Emitter, Queue};
use crate::input::Message;
use crate::turn_handle::{Cancel, TurnHandle};

/// An accepted input. It settles its handle exactly once.
pub(crate) struct Submission {
    pub(crate) id: Arc<str>,
    pub(crate) item: Item,
    pub(crate) shown: TurnItem,
    pub(crate) settings: SettingsUpdate,
    pub(crate) output_schema: Option<Arc<Value>>,
    pub(crate) reply: Reply,
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
    ) -> (Self, TurnHandle) {
        let (sender, receiver) = oneshot::channel();
        let reply = Reply {
            queue: Arc::new(Queue::default()),
            cancel: Cancel::default(),
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
                kind: TurnItemKind::UserMessage {
                    content: message.shown,
                },
            },
            settings,
            output_schema: output_schema.map(Arc::new),
            reply,
        };
        (submission, handle)
    }

    /// Shows the recorded message to those who watch.
    pub(crate) fn show(&self, emitter: &Emitter) {
        emitter.emit(Event::ItemStarted(self.shown.clone()));
        emitter.emit(Event::ItemCompleted(self.shown.clone()));
    }
}

impl Reply {
    /// The turn that took the input is over.
    pub(crate) fn settle(mut self, result: Result<TurnResult, TurnError>) {
        self.queue.close();
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
