//! How a turn ends: with its answer, by an interrupt, or by an error.

use super::{Action, Fact, IllegalFact, Phase, Turn};
use crate::budget::Spent;
use crate::protocol::{TurnEnd, TurnError, TurnResult};

impl Turn {
    /// The user wants it to end.
    pub(super) fn interrupt(&mut self) -> Vec<Action> {
        match std::mem::replace(&mut self.phase, Phase::Done) {
            Phase::RunningTools(calls) => {
                self.phase = Phase::Aborting(calls, None);
                vec![Action::StopTools]
            }
            // A second interrupt changes nothing: the tools are being stopped.
            phase @ Phase::Aborting(..) => {
                self.phase = phase;
                Vec::new()
            }
            _ => vec![self.finish(TurnEnd::INTERRUPTED)],
        }
    }

    /// An error ends the turn. Calls that wait for an output get one first, so that the
    /// conversation stays whole.
    pub(super) fn fail(&mut self, error: TurnError) -> Result<Vec<Action>, IllegalFact> {
        match std::mem::replace(&mut self.phase, Phase::Done) {
            Phase::Done => Err(IllegalFact::new("done", &Fact::Failed(error))),
            Phase::RunningTools(calls) => {
                self.phase = Phase::Aborting(calls, Some(error));
                Ok(vec![Action::StopTools])
            }
            // What came first has ended the turn.
            phase @ Phase::Aborting(..) => {
                self.phase = phase;
                Ok(Vec::new())
            }
            _ => Ok(vec![self.end_with(error)]),
        }
    }

    /// Its tools are stopped: their `outputs` come first.
    pub(super) fn stopped(
        &mut self,
        mut outputs: Vec<Action>,
        error: Option<TurnError>,
    ) -> Vec<Action> {
        outputs.push(match error {
            None => self.finish(TurnEnd::INTERRUPTED),
            Some(error) => self.end_with(error),
        });
        outputs
    }

    pub(super) fn end_with(&mut self, error: TurnError) -> Action {
        self.phase = Phase::Done;
        Action::Fail(error)
    }

    pub(super) fn finish(&mut self, end: TurnEnd) -> Action {
        self.phase = Phase::Done;
        Action::Finish(self.result(end))
    }

    /// What the turn comes to if it ends like this.
    pub fn result(&self, end: TurnEnd) -> TurnResult {
        let Spent { usage, model_calls, attempts, cost } = self.spent;
        let last_message = self.last_message.clone();
        TurnResult { end, usage, model_calls, attempts, cost, last_message }
    }
}
