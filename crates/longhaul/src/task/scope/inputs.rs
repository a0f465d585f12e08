//! Inputs on their way into the conversation of a turn, and those who wait for it.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use longhaul_history::Item;
use longhaul_history::turn_item::TurnItem;
use longhaul_state::TurnContext;
use longhaul_state::protocol::Event;

use super::TaskScope;
use crate::events::Emitter;
use crate::session::{Claim, Reply, Submission, Work};

/// An input of the turn, on its way into the conversation.
struct Joined {
    item: Item,
    shown: TurnItem,
    claim: Option<Claim>,
    emitter: Emitter,
}

/// Those who wait for the turn.
#[derive(Clone, Default)]
pub(crate) struct Replies(Arc<Mutex<Waiting>>);

/// Who waits, and for what.
#[derive(Default)]
pub(in crate::task) struct Waiting {
    /// For its result.
    results: Vec<Reply>,
    /// For a compaction at its next step.
    pub(in crate::task) compactions: VecDeque<Submission>,
}

impl Replies {
    pub(in crate::task) fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All who still wait when the turn is over.
    pub(crate) fn take(&self) -> Vec<Reply> {
        let Waiting { mut results, compactions } = std::mem::take(&mut *self.lock());
        results.extend(compactions.into_iter().map(|submission| submission.reply));
        results
    }
}

impl TaskScope {
    /// Begins the turn with the inputs that start it. One that takes none begins nothing new: it goes
    /// on with the conversation as it is.
    pub(crate) fn take(&self, inputs: Vec<Submission>) {
        // First, so that they are told of the turn's end whatever the embedder's code does.
        let joined: Vec<_> = inputs.into_iter().filter_map(|input| self.join(input)).collect();
        if joined.is_empty() {
            return;
        }
        let Self { context: TurnContext { turn_id, settings, .. }, inner, .. } = self;
        self.state.begin_turn(turn_id, settings, &*inner.services.context);
        self.has_begun.store(true, Ordering::Relaxed);
        for input in joined {
            self.record_input(input);
        }
    }

    /// Whether the turn has taken more than what it was begun with.
    pub(in crate::task) fn has_joined(&self) -> bool {
        self.replies.lock().results.len() > 1
    }

    /// Records the inputs that arrived during the turn. Those that were cancelled are not.
    pub(crate) fn take_steers(&self) {
        if self.beside.is_none() {
            self.take_all(self.inner.queue.take_input());
        }
    }

    /// The same where the next request is about to be sent: a compaction that was asked for meanwhile
    /// waits for the next step.
    pub(in crate::task) fn take_messages(&self) {
        if self.beside.is_none() {
            self.take_all(self.inner.queue.take_input_if(|input| input.item().is_some()));
        }
    }

    fn take_all(&self, inputs: Vec<Submission>) {
        for input in inputs {
            if input.reply.cancel.is_cancelled() {
                input.withdraw();
                continue;
            }
            // They hold for later turns: this one keeps those that it began with.
            self.state.update_settings(input.settings.clone());
            if let Some(joined) = self.join(input) {
                self.record_input(joined);
            }
        }
    }

    /// The turn takes `submission`: from now on it settles its handle. Gives its message, if it has
    /// one; a compaction waits for the next step.
    fn join(&self, submission: Submission) -> Option<Joined> {
        match submission.work {
            // Who takes it back takes back the compaction alone.
            Work::Compaction => {
                self.replies.lock().compactions.push_back(submission);
                None
            }
            Work::Task | Work::Continuing => {
                submission.reply.cancel.join(&self.cancel);
                self.replies.lock().results.push(submission.reply);
                None
            }
            Work::Input { item, shown, output_schema, claim } => {
                if let Some(schema) = output_schema {
                    *self.schema() = Some(schema);
                }
                let reply = submission.reply;
                reply.cancel.join(&self.cancel);
                let emitter = self.emitter.joined(&reply.emitter);
                self.replies.lock().results.push(reply);
                Some(Joined { item, shown, claim, emitter })
            }
        }
    }

    /// Records the message and shows it to those who watch.
    fn record_input(&self, input: Joined) {
        match input.claim {
            Some(claim) => claim.record(input.item),
            None => self.record([input.item]),
        }
        input.emitter.emit(Event::ItemStarted(input.shown.clone()));
        input.emitter.emit(Event::ItemCompleted(input.shown));
    }
}
