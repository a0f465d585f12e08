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

/// Something accepted that a turn is to do. It settles its handle exactly once.
pub(crate) struct Submission {
    pub(crate) id: Arc<str>,
    pub(crate) work: Work,
    pub(crate) settings: SettingsUpdate,
    /// What a turn does that it starts.
    pub(crate) task: Arc<dyn SessionTask>,
    pub(crate) reply: Reply,
    /// Where the caller was when it gave the input: the parent of what observers see of its turn.
    pub(crate) span: Span,
}

/// What a submission asks for.
pub(crate) enum Work {
    /// An answer to what the user says.
    Input { item: Item, shown: TurnItem, output_schema: Option<Arc<Value>> },
    /// A compaction.
    Compaction,
}

impl Work {
    /// What the user says, with the id that it is shown under.
    pub(crate) fn input(message: Message, item_id: String, schema: Option<Value>) -> Self {
        let kind = TurnItemKind::UserMessage { content: message.shown };
        let shown = TurnItem { id: item_id, kind };
        Self::Input { item: message.item, shown, output_schema: schema.map(Arc::new) }
    }
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
        work: Work,
        settings: SettingsUpdate,
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
        let span = Span::current();
        let submission = Self { id, work, settings, task, reply, span };
        (submission, handle)
    }

    /// What the user says, if that is what it brings.
    pub(crate) fn item(&self) -> Option<&Item> {
        match &self.work {
            Work::Input { item, .. } => Some(item),
            Work::Compaction => None,
        }
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
