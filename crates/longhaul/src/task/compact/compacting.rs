//! One compaction on its way.
//!
//! What is tried, and what a result must be like, is decided by [`Ladder`]; this module does it and
//! reports what came of it.

use std::time::Duration;

use longhaul_compaction::{
    Action, Answer, Ask, Cause, Compacted, Error, Fact, Ladder, Proposal, Trigger, Verdict, View,
};
use longhaul_history::Part;
use longhaul_history::turn_item::TurnItem;
use longhaul_state::budget::Spent;
use longhaul_state::protocol::{Event, TurnError};
use longhaul_state::turn::{CompactionEnd, TurnRecord};
use tokio::time::Instant;

use super::ask::Asking;
use crate::task::{TaskScope, new_item_id};

/// One compaction on its way.
pub(super) struct Compacting<'a> {
    scope: &'a TaskScope,
    cause: Cause,
    began: Instant,
    deadline: Option<Instant>,
    pub(super) end: CompactionEnd,
    /// What the turn had spent before.
    before: Spent,
    /// What the model said last, if it said no.
    refusal: Option<TurnError>,
    is_announced: bool,
    /// A turn goes on behind it.
    is_in_turn: bool,
}

impl<'a> Compacting<'a> {
    pub(super) fn new(scope: &'a TaskScope, cause: Cause, before: Spent) -> Self {
        let began = Instant::now();
        let own = began.checked_add(scope.compaction().config.bounds.max_time);
        Self {
            scope,
            cause,
            began,
            deadline: own.into_iter().chain(scope.deadline()).min(),
            end: CompactionEnd::default(),
            before,
            refusal: None,
            is_announced: false,
            is_in_turn: false,
        }
    }

    pub(super) fn in_turn(self) -> Self {
        Self { is_in_turn: true, ..self }
    }

    /// What the turn has spent with it, so far.
    pub(super) fn spent(&self) -> Spent {
        let mut spent = self.before;
        spent.usage.add(&self.end.usage);
        spent.attempts = spent.attempts.saturating_add(self.end.attempts);
        spent.cost += self.end.cost;
        spent
    }

    /// Performs the compaction. Where there is nothing to do, all is well.
    pub(super) async fn run(&mut self) -> Result<(), TurnError> {
        let outcome = self.climb().await;
        self.end.is_installed = outcome.is_ok();
        let is_automatic = Trigger::from(self.cause) == Trigger::Auto;
        let has_failed = !matches!(outcome, Ok(()) | Err(Error::NothingToDo));
        if has_failed && is_automatic {
            self.scope.state().note_failed_compaction();
        }
        match outcome {
            Err(Error::NothingToDo) => {
                if !is_automatic {
                    let message = Error::NothingToDo.to_string();
                    self.scope.emit(Event::Background(message));
                }
                Ok(())
            }
            Err(error) => Err(self.failure(error)),
            Ok(()) => Ok(()),
        }
    }

    /// The error, or what caused it.
    fn failure(&mut self, error: Error) -> TurnError {
        let is_late = self.elapsed() >= self.scope.compaction().config.bounds.max_time;
        match (error, self.refusal.take()) {
            // The deadline of the request was the compaction's own.
            (Error::Model, _) if is_late => TurnError::CompactionFailed(Error::Bound("time")),
            (Error::Model, Some(refusal)) => refusal,
            (error, _) => TurnError::CompactionFailed(error),
        }
    }

    async fn climb(&mut self) -> Result<(), Error> {
        let mut ladder = self.ladder();
        let mut fact = Fact::Started;
        loop {
            fact = match ladder.apply(fact, self.elapsed()) {
                Action::Ask(ask) => Fact::Answered(self.ask(&ladder, &ask).await),
                Action::Consult(proposal) => Fact::Judged(self.consult(&proposal).await?),
                Action::Install(compacted) => return self.install(&ladder, compacted),
                Action::Fail(error) => return Err(error),
            };
        }
    }

    fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    fn ladder(&self) -> Ladder {
        let (history, budget) = self.scope.budget(self.cause);
        let compaction = self.scope.compaction();
        let keep = compaction.config.keep.clone();
        let filter = self.scope.model().reasoning_filter();
        let context = self.scope.initial_context();
        let view = View::new(history, context, keep, filter, &budget);
        let ladder = Ladder::new(&compaction.config, view, budget, compaction.hook.is_some());
        let may_ask = match self.cause {
            Cause::Manual => true,
            // The others were looked at before the step.
            Cause::Refused(_) => self.scope.state().may_compact(),
            _ => !self.scope.state().has_stopped_compacting(),
        };
        if may_ask { ladder } else { ladder.without_models() }
    }

    async fn ask(&mut self, ladder: &Ladder, ask: &Ask) -> Answer {
        if let Some(exceeded) = self.scope.context().limits.budget.exceeded(&self.spent()) {
            self.refusal = Some(TurnError::BudgetExceeded(exceeded));
            return Answer::Failed;
        }
        if !std::mem::replace(&mut self.is_announced, true) {
            self.scope.emit(Event::CompactionStarted { trigger: self.cause.into() });
        }
        let Some(request) = self.scope.compaction_request(ladder.view().history(), ask) else {
            return Answer::Failed;
        };
        // No request leaves before what it says is kept.
        if let Err(error) = self.scope.kept().await {
            self.refusal = Some(error);
            return Answer::Failed;
        }
        let asking = Asking::start(self.scope, request, self.deadline);
        self.end.attempts += 1;
        let asked = asking.finish(self.scope).await;
        self.end.attempts += asked.repeats;
        self.end.usage.add(&asked.usage);
        self.end.cost += asked.cost;
        self.refusal = asked.error;
        self.note_spent();
        asked.answer
    }

    /// The log of the turn knows what its compaction takes before it knows what came of it. A step that
    /// was refused is asked for anew by whoever goes on with the turn.
    fn note_spent(&self) {
        if !self.is_in_turn {
            return;
        }
        let mut spent = self.spent();
        let refused = u32::from(matches!(self.cause, Cause::Refused(_)));
        spent.model_calls = spent.model_calls.saturating_sub(refused);
        self.scope.note(TurnRecord::Spent { spent, has_shrunk: false });
    }

    async fn consult(&self, proposal: &Proposal) -> Result<Verdict, Error> {
        let Some(hook) = &self.scope.compaction().hook else {
            return Ok(Verdict::Accept);
        };
        let judging = hook.judge(proposal);
        match self.deadline {
            None => Ok(judging.await),
            Some(deadline) => {
                let judged = tokio::time::timeout_at(deadline, judging).await;
                judged.map_err(|_| Error::Bound("time"))
            }
        }
    }

    /// Puts the result in the conversation's place and tells of it.
    fn install(&self, ladder: &Ladder, mut compacted: Compacted) -> Result<(), Error> {
        for part in &mut compacted.parts {
            name_bridge(part);
        }
        self.scope.install(ladder.view().history(), &compacted)?;
        let report = compacted.report;
        let (trimmed, cut) = (report.trimmed_items, report.cut_tokens);
        if trimmed > 0 {
            self.scope.emit(Event::Background(format!(
                "Trimmed {trimmed} older conversation item(s) before compacting so that the request \
                 fits the context window"
            )));
        }
        if cut > 0 {
            self.scope.emit(Event::Background(format!(
                "the last message of the user was too long to be kept whole: {cut} tokens of its \
                 middle were cut"
            )));
        }
        let new = compacted.parts.iter().filter_map(|part| match part {
            Part::New(item) if item.is_bridge() => TurnItem::of(item),
            _ => None,
        });
        for item in new {
            self.scope.emit(Event::ItemStarted(item.clone()));
            self.scope.emit(Event::ItemCompleted(item));
        }
        self.scope.emit(Event::ContextCompacted(report));
        self.scope.emit_token_count();
        Ok(())
    }
}

/// Gives a new bridge an id to be shown under.
fn name_bridge(part: &mut Part) {
    if let Part::New(item) = part
        && item.is_bridge()
        && item.shown_id().is_none()
    {
        *item = item.with_client_id(&new_item_id());
    }
}
