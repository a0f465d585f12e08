//! What a compaction needs of the turn that it is part of.

use std::collections::VecDeque;

use longhaul_compaction::{Ask, Budget, Cause, Compacted, Error};
use longhaul_history::tokens::Calibration;
use longhaul_history::{History, Item, ReasoningFilter};
use longhaul_state::budget::Price;
use longhaul_transport::Request;

use crate::hook::CompactionSetup;
use crate::session::Submission;
use crate::task::TaskScope;

impl TaskScope {
    /// How the session compacts.
    pub(in crate::task) fn compaction(&self) -> &CompactionSetup {
        &self.inner.compaction
    }

    /// Tokens of a request by the local count.
    pub(in crate::task) fn counted(&self, request: &Request) -> u64 {
        request.estimate_tokens(&*self.state().history().config().counter)
    }

    /// How far local counts are off for the turn's model.
    pub(super) fn calibration(&self) -> Calibration {
        self.state().calibration(&self.context().settings.model)
    }

    /// What tokens of `model` cost.
    pub(super) fn price_of(&self, model: &str) -> Price {
        self.inner.services.prices.find(model).unwrap_or_default()
    }

    /// The conversation, put right, and how much room there is for it.
    pub(super) fn budget(&self, cause: Cause) -> (History, Budget) {
        let request = self.request();
        let window = self.context_window();
        let mut budget = Budget::new(cause);
        budget.window = window.known_tokens();
        budget.limit = window.auto_compact_tokens;
        budget.overhead = self.counted(&request).saturating_sub(request.input.tokens());
        budget.calibration = self.calibration();
        budget.used = self.state().used_tokens();
        budget.seen_items = self.state().sent_items();
        (self.state().history(), budget)
    }

    /// The messages that tell the model of its settings, as for a new conversation.
    pub(super) fn initial_context(&self) -> Vec<Item> {
        self.context_messages().messages(None, &self.context().settings)
    }

    /// The request that asks for a summary; `None` if the strategy refers to items that are not
    /// there.
    pub(super) fn compaction_request(&self, history: &History, ask: &Ask) -> Option<Request> {
        let services = &self.inner.services;
        let mut input = history.composed(ask.input.iter().cloned()).ok()?;
        let mut context = self.context().clone();
        let mut filter = services.model.reasoning_filter();
        if let Some(model) = ask.model.as_ref().filter(|model| **model != context.settings.model) {
            context.settings.model.clone_from(model);
            // What one model thought, another cannot read.
            filter = ReasoningFilter::DropAll;
        }
        input.set_format(services.wire_format(&context.settings.model));
        let request = context.request(input.prompt(filter), services).compaction(&ask.prompt);
        self.state().note_request(&request);
        Some(request)
    }

    /// Puts a result in the place of the conversation.
    pub(super) fn install(&self, base: &History, compacted: &Compacted) -> Result<(), Error> {
        let told = Some(self.context().settings.clone());
        let told = told.filter(|_| !self.initial_context().is_empty());
        self.state().install(base, compacted, told)
    }

    /// Whether somebody waits for a compaction. Those who do no longer are told so.
    pub(in crate::task) fn awaits_compaction(&self) -> bool {
        let is_unwanted = |waiting: &Submission| waiting.reply.cancel.is_cancelled();
        let (unwanted, wanted): (VecDeque<_>, VecDeque<_>) =
            self.take_compactions().into_iter().partition(is_unwanted);
        for submission in unwanted {
            submission.withdraw();
        }
        let is_awaited = !wanted.is_empty();
        self.replies.lock().compactions = wanted;
        is_awaited
    }

    /// Completes when the first who waits for a compaction no longer does; never, if nobody waits.
    pub(super) async fn compaction_unwanted(&self) {
        let first = self.replies.lock().compactions.front().map(|first| first.reply.cancel.token());
        match first {
            Some(token) => token.cancelled().await,
            None => std::future::pending().await,
        }
    }

    /// Those who wait for a compaction.
    pub(super) fn take_compactions(&self) -> VecDeque<Submission> {
        std::mem::take(&mut self.replies.lock().compactions)
    }

    /// The same turn, which tells what happens under the id of the first who waits for a compaction.
    pub(super) fn on_behalf_of_the_first(&self) -> Option<Self> {
        let waiting = self.replies.lock();
        let first = waiting.compactions.front()?;
        let emitter = self.emitter.joined(&first.reply.emitter);
        drop(waiting);
        Some(self.with_emitter(emitter))
    }
}
