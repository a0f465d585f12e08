//! A turn as a value: facts in, actions out.
//!
//! The one who drives it performs each action and reports what came of it as a fact. A fact that
//! does not fit the turn's state is an error value, and changes nothing.

mod calls;
mod fact;
#[cfg(test)]
mod tests;

use longhaul_compaction::{Cause, Refused};
use longhaul_history::usage::TokenUsage;
use longhaul_history::{CallOutput, ItemKind, Role};

use crate::protocol::{TurnEnd, TurnError, TurnResult};
use calls::Calls;

pub use calls::{Effect, PlannedCall, ToolEnd};
pub use fact::{Action, Answer, CompactionEnd, Fact, IllegalFact, Response, TurnLimits};

/// One turn, from the user's input to the model's final answer.
#[derive(Debug)]
pub struct Turn {
    limits: TurnLimits,
    phase: Phase,
    usage: TokenUsage,
    model_calls: u32,
    attempts: u32,
    last_message: Option<String>,
    /// The conversation was compacted because the server found this step's request too long.
    has_shrunk: bool,
}

#[derive(Debug)]
enum Phase {
    /// Nothing has happened yet.
    New,
    /// The next request is being prepared.
    Preparing,
    /// The conversation is being compacted, for this reason; and what the server said of the request,
    /// if it was refused.
    Compacting(Cause, Option<TurnError>),
    /// A request is on its way, or its response is coming.
    Sampling,
    /// An attempt failed; the next one waits.
    BackingOff,
    /// The tools of a response run.
    RunningTools(Calls),
    /// The user interrupted; tools are being stopped.
    Aborting(Calls),
    /// Over.
    Done,
}

impl Turn {
    /// A turn that has not begun.
    pub fn new(limits: TurnLimits) -> Self {
        Self {
            limits,
            phase: Phase::New,
            usage: TokenUsage::default(),
            model_calls: 0,
            attempts: 0,
            last_message: None,
            has_shrunk: false,
        }
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
            (Phase::Sampling | Phase::BackingOff, Fact::AttemptFailed) => {
                self.attempts += 1;
                self.phase = Phase::BackingOff;
                Ok(Vec::new())
            }
            (Phase::BackingOff, Fact::StreamRecovered) => {
                self.phase = Phase::Sampling;
                Ok(Vec::new())
            }
            (Phase::Sampling | Phase::BackingOff, Fact::ResponseCompleted(response)) => {
                Ok(self.complete(response))
            }
            (Phase::RunningTools(calls), Fact::ToolFinished { position, end }) => {
                let mut actions = calls.finish(position, end)?;
                if calls.is_settled() {
                    actions.extend(self.prepare());
                }
                Ok(actions)
            }
            (Phase::Aborting(calls), Fact::ToolFinished { position, end }) => {
                calls.keep(position, end)?;
                Ok(Vec::new())
            }
            (Phase::Aborting(calls), Fact::ToolsStopped) => {
                let mut actions = calls.abort();
                actions.push(self.finish(TurnEnd::INTERRUPTED));
                Ok(actions)
            }
            (phase, fact) => Err(IllegalFact::new(phase.name(), &fact)),
        }
    }

    /// The next step, if there may be one.
    fn prepare(&mut self) -> Vec<Action> {
        let limit = self.limits.max_model_calls;
        if self.model_calls >= limit {
            self.phase = Phase::Done;
            return vec![Action::Fail(TurnError::TooManyModelCalls { limit })];
        }
        self.phase = Phase::Preparing;
        vec![Action::Prepare]
    }

    /// The request of a step.
    fn sample(&mut self) -> Vec<Action> {
        self.model_calls += 1;
        self.resample()
    }

    /// The same request over a shorter conversation.
    fn resample(&mut self) -> Vec<Action> {
        self.attempts += 1;
        self.phase = Phase::Sampling;
        vec![Action::Sample]
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
        self.usage.add(&end.usage);
        self.attempts += end.attempts;
        match refusal {
            None => self.sample(),
            Some(_) if end.is_installed => self.resample(),
            Some(error) => {
                self.phase = Phase::Done;
                vec![Action::Fail(error)]
            }
        }
    }

    /// A response is whole: its items are recorded together, and then its tools may run.
    fn complete(&mut self, response: Response) -> Vec<Action> {
        self.has_shrunk = false;
        self.usage.add(&response.usage.unwrap_or_default());
        if let Some(message) = last_message(&response) {
            self.last_message = Some(message);
        }
        let mut calls = Calls::of(&response.items, &self.limits.effects);
        let mut actions = vec![Action::Commit(response)];
        if calls.is_settled() {
            actions.push(self.finish(TurnEnd::Complete));
        } else {
            actions.extend(calls.start_next());
            self.phase = Phase::RunningTools(calls);
        }
        actions
    }

    fn interrupt(&mut self) -> Vec<Action> {
        match std::mem::replace(&mut self.phase, Phase::Done) {
            Phase::RunningTools(calls) => {
                self.phase = Phase::Aborting(calls);
                vec![Action::StopTools]
            }
            // A second interrupt changes nothing: the tools are being stopped.
            phase @ Phase::Aborting(_) => {
                self.phase = phase;
                Vec::new()
            }
            _ => vec![self.finish(TurnEnd::INTERRUPTED)],
        }
    }

    /// An error ends the turn. Calls that wait for an output get one first, so that the
    /// conversation stays whole.
    fn fail(&mut self, error: TurnError) -> Result<Vec<Action>, IllegalFact> {
        match std::mem::replace(&mut self.phase, Phase::Done) {
            Phase::Done => Err(IllegalFact::new("done", &Fact::Failed(error))),
            Phase::RunningTools(mut calls) | Phase::Aborting(mut calls) => {
                let mut actions = vec![Action::StopTools];
                actions.extend(calls.abort());
                actions.push(Action::Fail(error));
                Ok(actions)
            }
            _ => Ok(vec![Action::Fail(error)]),
        }
    }

    fn finish(&mut self, end: TurnEnd) -> Action {
        self.phase = Phase::Done;
        Action::Finish(self.result(end))
    }

    fn result(&self, end: TurnEnd) -> TurnResult {
        TurnResult {
            end,
            usage: self.usage,
            model_calls: self.model_calls,
            attempts: self.attempts,
            last_message: self.last_message.clone(),
        }
    }
}

impl Phase {
    fn name(&self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Preparing => "preparing",
            Self::Compacting(..) => "compacting",
            Self::Sampling => "sampling",
            Self::BackingOff => "backing off",
            Self::RunningTools(_) => "running tools",
            Self::Aborting(_) => "aborting",
            Self::Done => "done",
        }
    }
}

/// The text of the last message of the model in `response`.
fn last_message(response: &Response) -> Option<String> {
    let is_message = |kind| kind == ItemKind::Message(Role::Assistant);
    let message = response.items.iter().rfind(|item| is_message(item.kind()))?;
    longhaul_history::turn_item::TurnItemKind::of(message)?.message_text()
}

/// The output that tells the model of a call that was cut off.
fn aborted(had_started: bool) -> CallOutput {
    CallOutput::text(if had_started {
        "aborted: had started, effect unknown"
    } else {
        "aborted: not started"
    })
}
