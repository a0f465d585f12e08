//! An accepted input on its way to a turn.

use std::sync::Arc;

use longhaul_history::Item;
use longhaul_history::turn_item::{TurnItem, TurnItemKind};
use longhaul_state::AcceptedInput;
use longhaul_state::protocol::{Event, SettingsUpdate, TurnEnd, TurnError, TurnResult};
use serde_json::Value;
use tokio::sync::oneshot;
use tracing::Span;

use super::{Claim, Inner};
use crate::events::{CourseEvents, Emitter};
use crate::input::Message;
use crate::task::SessionTask;
use crate::turn_handle::{Cancel, TurnControl, TurnHandle};

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
    Input { item: Item, shown: TurnItem, output_schema: Option<Arc<Value>>, claim: Option<Claim> },
    /// A compaction.
    Compaction,
    /// What its task does, without anything that the user says.
    Task,
    /// To go on with the turn that was cut off.
    Continuing,
}

impl Work {
    /// What the user says, with the id that it is shown under.
    pub(crate) fn input(message: Message, item_id: String, schema: Option<Value>) -> Self {
        let kind = TurnItemKind::UserMessage { content: message.shown };
        let shown = TurnItem { id: item_id, kind };
        let output_schema = schema.map(Arc::new);
        Self::Input { item: message.item, shown, output_schema, claim: None }
    }
}

/// Where the events and the result of an input go.
pub(crate) struct Reply {
    pub(crate) emitter: Emitter,
    pub(crate) cancel: Cancel,
    result: Option<oneshot::Sender<Result<TurnResult, TurnError>>>,
}

impl Submission {
    pub(crate) fn new(
        session: &Arc<Inner>,
        id: Arc<str>,
        work: Work,
        settings: SettingsUpdate,
        task: Arc<dyn SessionTask>,
    ) -> (Self, TurnHandle) {
        let (sender, receiver) = oneshot::channel();
        let emitter = Emitter::new(Arc::clone(&session.events), Arc::clone(&id));
        let cancel = Cancel::new(Arc::clone(&session.wake));
        let events = CourseEvents::of(&emitter);
        let reply = Reply { emitter, cancel: cancel.clone(), result: Some(sender) };
        let control = TurnControl { id: Arc::clone(&id), cancel, session: Arc::clone(session) };
        let handle =
            TurnHandle { control, events, result: receiver, cancel_on_drop: false, steers: None };
        let span = Span::current();
        (Self { id, work, settings, task, reply, span }, handle)
    }

    /// Notes that its input waits, and gives the input's own id.
    pub(super) fn note_accepted(&mut self, session: &Inner) -> Option<Arc<str>> {
        let Work::Input { item, shown, output_schema, claim } = &mut self.work else {
            return None;
        };
        let id: Arc<str> = shown.id.as_str().into();
        *claim = Some(Claim::note(&session.state, &id, || {
            let mut input = AcceptedInput::new(Arc::clone(&id), Arc::clone(&self.id), item.clone());
            input.settings = self.settings.clone();
            input.output_schema.clone_from(output_schema);
            input
        }));
        Some(id)
    }

    /// An input that waited when its session was left. Nobody waits for its turn.
    pub(super) fn restored(session: &Arc<Inner>, input: AcceptedInput) -> Self {
        let AcceptedInput { id, submission_id, item, settings, output_schema, .. } = input;
        let kind = match TurnItem::of(&item) {
            Some(TurnItem { kind, .. }) => kind,
            None => TurnItemKind::UserMessage { content: Vec::new() },
        };
        let shown = TurnItem { id: id.to_string(), kind };
        let claim = Some(Claim::of_restored(&session.state, &id));
        let work = Work::Input { item, shown, output_schema, claim };
        let task = Arc::clone(&session.task);
        Self::new(session, submission_id, work, settings, task).0
    }

    /// Whether it is the input with this id of its own.
    pub(super) fn is_input(&self, id: &str) -> bool {
        matches!(&self.work, Work::Input { shown, .. } if shown.id == id)
    }

    /// Whether it goes on with the turn that was cut off.
    pub(crate) fn continues(&self) -> bool {
        matches!(self.work, Work::Continuing)
    }

    /// What the user says, if that is what it brings.
    pub(crate) fn item(&self) -> Option<&Item> {
        match &self.work {
            Work::Input { item, .. } => Some(item),
            Work::Compaction | Work::Task | Work::Continuing => None,
        }
    }

    /// The input was taken back before a turn took it.
    pub(crate) fn withdraw(self) {
        let Self { work, reply, .. } = self;
        // First: who hears that it is taken back waits until all that was noted is kept.
        drop(work);
        reply.settle(Ok(TurnResult::empty(TurnEnd::Withdrawn)));
    }

    /// The session ends, and no turn will take the input: all who wait for it are told. One that had
    /// waited before it was opened waits for the next opening.
    pub(crate) fn refuse(self) {
        let Self { mut work, reply, .. } = self;
        if let Work::Input { claim: Some(claim), .. } = &mut work
            && claim.waits_on()
        {
            return;
        }
        // As where it is taken back.
        drop(work);
        reply.emitter.emit_last(Event::Error(TurnError::Closed));
        reply.settle(Err(TurnError::Closed));
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
}

/// A task that fails before it takes an input still ends the wait of those who read its events.
impl Drop for Reply {
    fn drop(&mut self) {
        self.emitter.end();
    }
}
