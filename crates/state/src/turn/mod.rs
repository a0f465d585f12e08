//! A turn as a value: facts in, actions out.
//!
//! The one who drives it performs each action and reports what came of it as a fact. A fact that
//! does not fit the turn's state is an error value, and changes nothing.

mod calls;
mod end;
mod fact;
mod limits;
mod phase;
mod record;
#[cfg(test)]
mod tests;
mod wording;

use longhaul_compaction::{Cause, Refused};
use longhaul_history::usage::TokenUsage;
use longhaul_history::{ItemKind, Role};

use crate::budget::Spent;
use crate::protocol::{TurnEnd, TurnError};
use calls::Calls;
use phase::Phase;

pub use calls::{PlannedCall, ToolEnd};
pub use fact::{
    Action, Answer, CallEnd, CompactionEnd, Fact, IllegalFact, Response, Ruling, Verdict,
};
pub use limits::{Effect, Handling, TurnLimits};
pub use phase::TurnPhase;
pub use record::TurnRecord;
pub use wording::aborted;

/// One turn, from the user's input to the model's final answer.
#[derive(Debug)]
pub struct Turn {
    limits: TurnLimits,
    phase: Phase,
    spent: Spent,
    last_message: Option<String>,
    /// The conversation was compacted because the server found this step's request too long.
    has_shrunk: bool,
}

impl Turn {
    /// A turn that has not begun.
    pub fn new(limits: TurnLimits) -> Self {
        Self {
            limits,
            phase: Phase::New,
            spent: Spent::default(),
            last_message: None,
            has_shrunk: false,
        }
    }

    /// The same after so much was spent by others in its name: it counts for the bounds and the result.
    #[must_use]
    pub fn after(mut self, spent: Spent) -> Self {
        self.spent = spent;
        self
    }

    /// An attempt that failed, or was cut short, has used this all the same.
    pub fn charge(&mut self, usage: &TokenUsage) {
        self.spent.usage.add(usage);
        self.spent.cost += self.limits.price.cost(usage);
    }

    /// What the turn has spent so far.
    pub fn spent(&self) -> Spent {
        self.spent
    }

    /// Where the turn is.
    pub fn phase(&self) -> TurnPhase {
        self.phase.kind()
    }

    /// Whether the turn has ended.
    pub fn is_done(&self) -> bool {
        matches!(self.phase, Phase::Done)
    }

    /// Takes a fact and says what to do, in order.
    ///
    /// # Errors
    ///
    /// [`IllegalFact`] if the fact cannot happen now; the turn is as it was.
    pub fn apply(&mut self, fact: Fact) -> Result<Vec<Action>, IllegalFact> {
        if matches!(fact, Fact::Interrupted) && !self.is_done() {
            return Ok(self.interrupt());
        }
        if let Fact::Failed(error) = fact {
            return self.fail(error);
        }
        match (&mut self.phase, fact) {
            (Phase::New, Fact::Started) => Ok(self.prepare()),
            (Phase::Preparing, Fact::Ready) => Ok(self.sample()),
            (Phase::Preparing, Fact::CompactionDue(cause)) => {
                self.phase = Phase::Compacting(cause, None);
                Ok(vec![Action::Compact(cause)])
            }
            (Phase::Compacting(cause, refusal), Fact::CompactionEnded(end)) => {
                let (cause, refusal) = (*cause, refusal.take());
                Ok(self.compacted(cause, end, refusal))
            }
            (Phase::Sampling | Phase::BackingOff, Fact::TooLong { error, refused }) => {
                self.shrink(error, refused)
            }
            (Phase::Sampling | Phase::BackingOff, Fact::AttemptFailed) => Ok(self.back_off()),
            (Phase::BackingOff, Fact::StreamRecovered) => {
                self.phase = Phase::Sampling;
                Ok(Vec::new())
            }
            (Phase::Sampling | Phase::BackingOff, Fact::ResponseCompleted(response)) => {
                Ok(self.complete(response))
            }
            (Phase::RunningTools(calls), Fact::CallJudged { position, ruling }) => {
                let actions = calls.rule(position, ruling)?;
                Ok(self.go_on(actions))
            }
            (Phase::RunningTools(calls), Fact::ApprovalAnswered { position, verdict }) => {
                let actions = calls.decide(position, verdict)?;
                Ok(self.go_on(actions))
            }
            (Phase::RunningTools(calls), Fact::ToolFinished { position, end }) => {
                let actions = calls.finish(position, end)?;
                Ok(self.go_on(actions))
            }
            (Phase::Aborting(calls, _), Fact::ToolFinished { position, end }) => {
                calls.keep(position, end)?;
                Ok(Vec::new())
            }
            (Phase::Aborting(calls, error), Fact::ToolsStopped) => {
                let (outputs, error) = (calls.abort(), error.take());
                Ok(self.stopped(outputs, error))
            }
            (_, fact) => Err(IllegalFact::new(self.phase().name(), &fact)),
        }
    }

    /// The next step, if there may be one.
    fn prepare(&mut self) -> Vec<Action> {
        let limit = self.limits.max_model_calls;
        if self.spent.model_calls >= limit {
            return vec![self.end_with(TurnError::TooManyModelCalls { limit })];
        }
        if let Some(over) = self.over_budget() {
            return vec![over];
        }
        self.phase = Phase::Preparing;
        vec![Action::Prepare]
    }

    /// Ends the turn if it has used up its budget.
    fn over_budget(&mut self) -> Option<Action> {
        let exceeded = self.limits.budget.exceeded(&self.spent)?;
        Some(self.end_with(TurnError::BudgetExceeded(exceeded)))
    }

    /// After something has become of a call: the next step, if all have their outputs.
    fn go_on(&mut self, mut actions: Vec<Action>) -> Vec<Action> {
        if matches!(&self.phase, Phase::RunningTools(calls) if calls.is_settled()) {
            actions.extend(self.prepare());
        }
        actions
    }

    /// The request of a step.
    fn sample(&mut self) -> Vec<Action> {
        self.spent.model_calls += 1;
        self.resample()
    }

    /// The same request over a shorter conversation.
    fn resample(&mut self) -> Vec<Action> {
        self.spent.attempts += 1;
        self.phase = Phase::Sampling;
        vec![Action::Sample]
    }

    /// An attempt failed, and will be repeated unless the budget is used up.
    fn back_off(&mut self) -> Vec<Action> {
        if let Some(over) = self.over_budget() {
            return vec![over];
        }
        // The repeat.
        self.spent.attempts += 1;
        self.phase = Phase::BackingOff;
        Vec::new()
    }

    /// The request was too long: the conversation is compacted, once, and it is sent again.
    fn shrink(&mut self, error: TurnError, refused: Refused) -> Result<Vec<Action>, IllegalFact> {
        if std::mem::replace(&mut self.has_shrunk, true) {
            return self.fail(error);
        }
        let cause = Cause::Refused(refused);
        self.phase = Phase::Compacting(cause, Some(error));
        Ok(vec![Action::Compact(cause)])
    }

    /// A compaction is over. Without one the request may still be sent, unless the server refused it: a
    /// local count may be wrong. If it is not, nothing is tried again.
    fn compacted(
        &mut self,
        cause: Cause,
        end: CompactionEnd,
        refusal: Option<TurnError>,
    ) -> Vec<Action> {
        self.has_shrunk |= !end.is_installed && matches!(cause, Cause::Window { .. });
        self.spent.usage.add(&end.usage);
        self.spent.attempts += end.attempts;
        self.spent.cost += end.cost;
        match refusal {
            Some(error) if !end.is_installed => vec![self.end_with(error)],
            refusal => match (self.over_budget(), refusal) {
                (Some(over), _) => vec![over],
                (None, None) => self.sample(),
                (None, Some(_)) => self.resample(),
            },
        }
    }

    /// A response is whole: its items are recorded together, and then its tools may run.
    fn complete(&mut self, response: Response) -> Vec<Action> {
        self.has_shrunk = false;
        let usage = response.usage.unwrap_or_default();
        self.spent.usage.add(&usage);
        self.spent.cost += self.limits.price.cost(&usage);
        if let Some(message) = last_message(&response) {
            self.last_message = Some(message);
        }
        let calls = Calls::of(&response.items, &self.limits);
        let mut actions = vec![Action::Commit(response)];
        if calls.is_settled() {
            actions.push(self.finish(TurnEnd::Complete));
        } else {
            actions.extend(calls.judge());
            self.phase = Phase::RunningTools(calls);
        }
        actions
    }
}

/// The text of the last message of the model in `response`.
fn last_message(response: &Response) -> Option<String> {
    let is_message = |kind| kind == ItemKind::Message(Role::Assistant);
    let message = response.items.iter().rfind(|item| is_message(item.kind()))?;
    longhaul_history::turn_item::TurnItemKind::of(message)?.message_text()
}
