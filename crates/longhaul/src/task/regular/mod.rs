//! The regular turn: asks the model, runs its tools, until it answers.
//!
//! What to do next is decided by [`Turn`]; this module does it and reports what came of it.

mod gate;
mod record;
mod sampling;
mod tools;
mod wait;

use std::collections::VecDeque;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use longhaul_history::Item;
use longhaul_state::budget::Spent;
use longhaul_state::protocol::{TurnEnd, TurnError, TurnResult};
use longhaul_state::turn::{Action, Answer, CompactionEnd, Fact, PlannedCall, Turn, TurnRecord};
use tokio::time::Instant;

use self::gate::Gate;
use self::sampling::Sampling;
use self::tools::RunningTools;
use self::wait::kept;
use super::{SessionTask, TaskScope, compact};

/// The task of ordinary input: asks the model and runs its tools, until it answers. Tasks of one's own
/// can be made around it, over the session's conversation or over [one beside it](TaskScope::aside).
///
/// A task may run it more than once: bounds and budget are those of the turn, and so are the sums in its
/// result.
#[derive(Debug, Clone, Copy, Default)]
pub struct Regular;

#[async_trait]
impl SessionTask for Regular {
    async fn run(&self, scope: &TaskScope) -> Result<TurnResult, TurnError> {
        scope.note_beginning();
        Driver::new(scope).run().await
    }
}

/// The task that goes on with what was cut off before its session was opened again: a turn, or inputs
/// that waited for one.
pub(crate) struct Continue;

#[async_trait]
impl SessionTask for Continue {
    async fn run(&self, scope: &TaskScope) -> Result<TurnResult, TurnError> {
        match scope.take_open_turn() {
            Some(open) => {
                let outputs = open.outputs();
                scope.follow(open.output_schema);
                let driver = Driver::resumed(scope, open.records);
                if scope.is_cancelled() && !driver.turn.is_done() {
                    return Ok(driver.abandon(outputs));
                }
                driver.run().await
            }
            None if scope.has_joined() => Regular.run(scope).await,
            None => Ok(TurnResult::empty(TurnEnd::Complete)),
        }
    }
}

/// Performs the actions of one turn.
struct Driver<'a> {
    scope: &'a TaskScope,
    turn: Turn,
    /// What the turn had spent already.
    before: Spent,
    todo: VecDeque<Action>,
    sampling: Option<Sampling>,
    compacting: Option<BoxFuture<'a, CompactionEnd>>,
    gate: Gate,
    tools: RunningTools,
    deadline: Option<Instant>,
    interrupt_told: bool,
}

impl<'a> Driver<'a> {
    fn new(scope: &'a TaskScope) -> Self {
        let before = scope.spent();
        Self {
            scope,
            turn: Turn::new(scope.context().limits.clone()).after(before),
            before,
            todo: VecDeque::new(),
            sampling: None,
            compacting: None,
            gate: Gate::new(),
            tools: RunningTools::new(),
            deadline: scope.deadline(),
            interrupt_told: false,
        }
    }

    /// Goes on where the log of the turn ends.
    fn resumed(scope: &'a TaskScope, records: Vec<TurnRecord>) -> Self {
        let limits = scope.context().limits.clone();
        let (turn, actions) = Turn::resume(limits, records);
        let mut driver = Self::new(scope);
        (driver.turn, driver.todo) = (turn, actions.into());
        driver
    }

    /// Ends the turn before anything more of it is done: nothing starts only to be stopped, so that the
    /// `outputs` of its calls say which of them had.
    fn abandon(mut self, outputs: Vec<Item>) -> TurnResult {
        for output in outputs {
            self.scope.record_output(output);
        }
        // They are all that is left to be recorded.
        let _recorded = self.cut_off();
        self.turn.result(TurnEnd::INTERRUPTED)
    }

    /// Ends the turn at once. Gives what its calls get.
    fn cut_off(&mut self) -> Vec<Answer> {
        let stopped = [Fact::Interrupted, Fact::ToolsStopped]
            .map(|fact| self.turn.apply(fact).unwrap_or_default());
        let actions =
            std::mem::take(&mut self.todo).into_iter().chain(stopped.into_iter().flatten());
        let answer = |action| match action {
            Action::Answer(answer) => Some(answer),
            _ => None,
        };
        actions.filter_map(answer).collect()
    }

    async fn run(mut self) -> Result<TurnResult, TurnError> {
        if self.turn.is_done() && self.todo.is_empty() {
            // It had its answer, and nobody was told.
            return Ok(self.turn.result(TurnEnd::Complete));
        }
        if self.todo.is_empty() {
            self.tell(Fact::Started)?;
        }
        loop {
            while let Some(action) = self.todo.pop_front() {
                match action {
                    Action::Finish(result) => {
                        compact::tell_breaker(self.scope);
                        return Ok(result);
                    }
                    Action::Fail(error) => {
                        self.tell_full_window(&error);
                        return Err(error);
                    }
                    action => self.perform(action).await?,
                }
            }
            let fact = self.next_fact().await;
            if let Some(sampling) = &mut self.sampling {
                self.turn.charge(&sampling.take_wasted());
            }
            let is_spent = matches!(fact, Fact::AttemptFailed | Fact::TooLong { .. });
            let is_compacted = matches!(fact, Fact::CompactionEnded(_));
            self.tell(fact)?;
            self.note_spending(is_spent, is_compacted);
        }
    }

    /// The log knows what failed attempts were, and that the conversation shrank for this step. What a
    /// compaction took it knows already.
    fn note_spending(&self, is_spent: bool, is_compacted: bool) {
        let spending = self.turn.spending();
        let has_shrunk = matches!(spending, TurnRecord::Spent { has_shrunk: true, .. });
        if is_spent || is_compacted && has_shrunk {
            self.scope.note(spending);
        }
    }

    fn tell(&mut self, fact: Fact) -> Result<(), TurnError> {
        let actions = self.turn.apply(fact).map_err(|e| TurnError::Internal(e.to_string()))?;
        self.todo.extend(actions);
        Ok(())
    }

    async fn perform(&mut self, action: Action) -> Result<(), TurnError> {
        match action {
            Action::Prepare => {
                self.scope.take_steers();
                self.tell(compact::due(self.scope))?;
            }
            Action::Compact(cause) => {
                self.sampling = None;
                let compacting = compact::between_steps(self.scope, cause, self.turn.spent());
                self.compacting = Some(Box::pin(compacting));
            }
            Action::Sample => {
                // What came while room was made for the request.
                self.scope.take_messages();
                if kept(self.scope, self.deadline).await? {
                    self.sampling = Some(Sampling::start(self.scope, self.deadline));
                }
            }
            Action::Commit(response) => self.commit(response),
            Action::Judge(calls) => self.gate.judge(self.scope, calls),
            Action::Ask(call) => self.gate.ask(self.scope, call),
            Action::RunTools(calls) => self.run_tools(calls).await?,
            Action::Answer(answer) => self.answer(answer),
            Action::StopTools => self.stop_tools().await?,
            action => {
                let message = format!("this version cannot perform {action:?}");
                return Err(TurnError::Internal(message));
            }
        }
        Ok(())
    }

    /// That they start is kept before they do.
    async fn run_tools(&mut self, calls: Vec<PlannedCall>) -> Result<(), TurnError> {
        for PlannedCall { position, .. } in &calls {
            self.scope.note(TurnRecord::Started { position: *position });
        }
        match kept(self.scope, self.deadline).await {
            Ok(true) => calls.into_iter().for_each(|call| self.tools.start(self.scope, call)),
            Ok(false) => {}
            Err(error) => self.tell(Fact::Failed(error))?,
        }
        Ok(())
    }

    /// Stops the tools. Those that end in their grace period keep their output.
    async fn stop_tools(&mut self) -> Result<(), TurnError> {
        self.gate.close(self.scope);
        let ended = self.tools.stop().await;
        for (position, end) in ended {
            self.tell(Fact::ToolFinished { position, end })?;
        }
        self.tell(Fact::ToolsStopped)
    }
}

impl Drop for Driver<'_> {
    /// Whoever stops the turn from outside leaves no call without an output, so that the log says which of
    /// them had started; and what it spent is spent.
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        self.scope.spend(&self.turn.spent().since(&self.before));
        if self.gate.is_open() {
            self.gate.close(self.scope);
        }
        for (position, end) in self.tools.give_up() {
            let actions = self.turn.apply(Fact::ToolFinished { position, end });
            self.todo.extend(actions.unwrap_or_default());
        }
        self.cut_off().into_iter().for_each(|answer| self.answer(answer));
    }
}
