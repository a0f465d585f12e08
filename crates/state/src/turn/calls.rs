//! The calls of one response: which run together, and in which order their outputs are recorded.

use std::collections::BTreeMap;

use longhaul_history::{CallKind, CallOutput, Item, ItemView};

use super::aborted;
use super::fact::{Action, Answer, Fact, IllegalFact};

/// What running a tool does to the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Effect {
    /// It only looks: such calls of a response run together.
    Read,
    /// It changes something: such a call runs alone.
    Write,
}

/// A call that is to be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedCall {
    /// Its place among the calls of its response, from 0.
    pub position: usize,
    /// How it is answered.
    pub kind: CallKind,
    /// The id that pairs it with its output.
    pub call_id: String,
    /// The tool.
    pub name: String,
    /// What the model wrote: JSON arguments, free text, or the action of a local shell call.
    pub arguments: String,
}

/// How a tool ended.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolEnd {
    /// What the model is told.
    pub output: CallOutput,
    /// Whether it did what it should.
    pub success: bool,
}

/// The calls of a response on their way.
#[derive(Debug)]
pub(super) struct Calls {
    calls: Vec<Call>,
    /// How many outputs are recorded; always those of the first calls.
    answered: usize,
}

#[derive(Debug)]
struct Call {
    planned: PlannedCall,
    effect: Effect,
    state: CallState,
}

#[derive(Debug)]
enum CallState {
    Waiting,
    Running,
    Ended(ToolEnd),
    Answered,
}

impl Calls {
    /// The calls among `items` that a client answers. One without an id cannot be answered.
    pub(super) fn of(items: &[Item], effects: &BTreeMap<String, Effect>) -> Self {
        let planned = items.iter().filter_map(planned);
        let calls = planned.enumerate().map(|(position, call)| Call {
            // A tool that does not exist does nothing.
            effect: effects.get(&call.name).copied().unwrap_or(Effect::Read),
            planned: PlannedCall { position, ..call },
            state: CallState::Waiting,
        });
        Self { calls: calls.collect(), answered: 0 }
    }

    /// Whether every call has its output.
    pub(super) fn is_settled(&self) -> bool {
        self.answered == self.calls.len()
    }

    /// Starts the next calls, if none runs: those that only look together, others alone.
    pub(super) fn start_next(&mut self) -> Option<Action> {
        let is_running = |call: &Call| matches!(call.state, CallState::Running);
        if self.calls.iter().any(is_running) {
            return None;
        }
        let mut group = Vec::new();
        let waiting = self.calls.iter_mut().filter(|c| matches!(c.state, CallState::Waiting));
        for call in waiting {
            if call.effect == Effect::Write && !group.is_empty() {
                break;
            }
            call.state = CallState::Running;
            group.push(call.planned.clone());
            if call.effect == Effect::Write {
                break;
            }
        }
        (!group.is_empty()).then_some(Action::RunTools(group))
    }

    /// A call has ended: records what can be recorded, and starts what can be started.
    pub(super) fn finish(
        &mut self,
        position: usize,
        end: ToolEnd,
    ) -> Result<Vec<Action>, IllegalFact> {
        self.keep(position, end)?;
        let mut actions = Vec::new();
        while let Some(call) = self.calls.get_mut(self.answered) {
            let CallState::Ended(_) = call.state else {
                break;
            };
            actions.push(Action::Answer(call.answer()));
            self.answered += 1;
        }
        actions.extend(self.start_next());
        Ok(actions)
    }

    /// A call has ended; its output waits.
    pub(super) fn keep(&mut self, position: usize, end: ToolEnd) -> Result<(), IllegalFact> {
        match self.calls.get_mut(position) {
            Some(call) if matches!(call.state, CallState::Running) => {
                call.state = CallState::Ended(end);
                Ok(())
            }
            _ => {
                let fact = Fact::ToolFinished { position, end };
                Err(IllegalFact::new("not running that call", &fact))
            }
        }
    }

    /// The outputs that are left, in order: finished ones as they are, the others aborted.
    pub(super) fn abort(&mut self) -> Vec<Action> {
        let rest = &mut self.calls[self.answered..];
        self.answered += rest.len();
        rest.iter_mut().map(|call| Action::Answer(call.answer())).collect()
    }
}

impl Call {
    /// The output, now on its way to the history.
    fn answer(&mut self) -> Answer {
        let state = std::mem::replace(&mut self.state, CallState::Answered);
        let had_started = !matches!(state, CallState::Waiting);
        let end = match state {
            CallState::Ended(end) => end,
            _ => ToolEnd { output: aborted(had_started), success: false },
        };
        Answer { call: self.planned.clone(), output: end.output, success: end.success, had_started }
    }
}

fn planned(item: &Item) -> Option<PlannedCall> {
    let kind = item.kind().call()?;
    let (name, arguments) = match item.view() {
        ItemView::FunctionCall { name, arguments } => (name, arguments),
        ItemView::CustomToolCall { name, input } => (name, input),
        ItemView::LocalShellCall { action } => ("local_shell".to_owned(), action.to_string()),
        // The outline was whole, but a text in it is not valid Unicode.
        _ => (String::new(), String::new()),
    };
    Some(PlannedCall { position: 0, kind, call_id: item.call_id()?.to_owned(), name, arguments })
}
