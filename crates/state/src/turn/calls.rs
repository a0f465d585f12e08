//! The calls of one response: who may run, which run together, and in which order their outputs are
//! recorded.
//!
//! All calls are judged at once, and all that have to ask do so at once. They run in order: a call
//! that changes something runs alone, after all before it are over; calls that may run together do,
//! as soon as each may.

mod restore;

use longhaul_history::{CallKind, CallOutput, Item};

use super::fact::{Action, Answer, CallEnd, Fact, IllegalFact, Ruling, Verdict};
use super::limits::{Handling, TurnLimits};
use super::wording;

pub(super) use restore::Known;

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
    /// What its tool gets: JSON arguments, free text, or the action of a local shell call. What the
    /// model wrote, unless the host's policy put something else in its place.
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
    handling: Handling,
    state: CallState,
}

#[derive(Debug)]
enum CallState {
    /// Nobody has said yet whether it may run.
    Judged,
    /// Somebody is asked whether it may run.
    Asked,
    /// It may run.
    Ready,
    Running,
    Denied(String),
    Ended(ToolEnd),
    Answered,
}

impl CallState {
    fn is_over(&self) -> bool {
        matches!(self, Self::Denied(_) | Self::Ended(_) | Self::Answered)
    }
}

impl Calls {
    /// The calls among `items` that a client answers. One without an id cannot be answered.
    pub(super) fn of(items: &[Item], limits: &TurnLimits) -> Self {
        let planned = items.iter().filter_map(planned);
        let calls = planned.enumerate().map(|(position, call)| Call {
            handling: limits.handling_of(&call.name),
            planned: PlannedCall { position, ..call },
            state: CallState::Judged,
        });
        Self { calls: calls.collect(), answered: 0 }
    }

    /// Whether every call has its output.
    pub(super) fn is_settled(&self) -> bool {
        self.answered == self.calls.len()
    }

    /// Whether nothing happens until somebody answers.
    pub(super) fn wait_for_approval(&self) -> bool {
        let any = |is: fn(&CallState) -> bool| self.calls.iter().any(|call| is(&call.state));
        any(|state| matches!(state, CallState::Asked))
            && !any(|state| matches!(state, CallState::Running | CallState::Judged))
    }

    /// What is to be done before any may run.
    pub(super) fn judge(&self) -> Option<Action> {
        let unjudged = self.calls.iter().filter(|call| matches!(call.state, CallState::Judged));
        let calls: Vec<_> = unjudged.map(|call| call.planned.clone()).collect();
        (!calls.is_empty()).then_some(Action::Judge(calls))
    }

    /// The host's policy has ruled on a call.
    pub(super) fn rule(
        &mut self,
        position: usize,
        ruling: Ruling,
    ) -> Result<Vec<Action>, IllegalFact> {
        let call = self.calls.get_mut(position);
        let Some(call) = call.filter(|call| matches!(call.state, CallState::Judged)) else {
            return Err(IllegalFact::new(
                "not judging that call",
                &Fact::CallJudged { position, ruling },
            ));
        };
        let (state, arguments) = match ruling {
            Ruling::Allow { arguments } => (CallState::Ready, arguments),
            Ruling::Ask { arguments } => (CallState::Asked, arguments),
            Ruling::Deny { reason } => (CallState::Denied(wording::denied(&reason)), None),
        };
        call.state = state;
        if let Some(arguments) = arguments {
            call.planned.arguments = arguments;
        }
        if matches!(call.state, CallState::Asked) {
            return Ok(vec![Action::Ask(call.planned.clone())]);
        }
        Ok(self.proceed())
    }

    /// Somebody has answered for a call.
    pub(super) fn decide(
        &mut self,
        position: usize,
        verdict: Verdict,
    ) -> Result<Vec<Action>, IllegalFact> {
        let call = self.calls.get_mut(position);
        let Some(call) = call.filter(|call| matches!(call.state, CallState::Asked)) else {
            return Err(IllegalFact::new(
                "not asking for that call",
                &Fact::ApprovalAnswered { position, verdict },
            ));
        };
        call.state = verdict.denial().map_or(CallState::Ready, CallState::Denied);
        Ok(self.proceed())
    }

    /// A call has ended: records what can be recorded, and starts what can be started.
    pub(super) fn finish(
        &mut self,
        position: usize,
        end: ToolEnd,
    ) -> Result<Vec<Action>, IllegalFact> {
        self.keep(position, end)?;
        Ok(self.proceed())
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

    /// Records what can be recorded, and starts what can be started.
    pub(super) fn proceed(&mut self) -> Vec<Action> {
        let mut actions = Vec::new();
        while let Some(call) = self.calls.get_mut(self.answered) {
            if !call.state.is_over() {
                break;
            }
            actions.push(Action::Answer(call.answer()));
            self.answered += 1;
        }
        actions.extend(self.start());
        actions
    }

    /// Starts the calls whose turn it is and that may run.
    fn start(&mut self) -> Option<Action> {
        let first = self.calls.iter().position(|call| !call.state.is_over())?;
        let together = self.calls[first..].iter().take_while(|call| call.handling.parallel);
        let length = together.count().max(1);
        let mut group = Vec::new();
        for call in &mut self.calls[first..first + length] {
            if matches!(call.state, CallState::Ready) {
                call.state = CallState::Running;
                group.push(call.planned.clone());
            }
        }
        (!group.is_empty()).then_some(Action::RunTools(group))
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
        let text = |text: &str| CallOutput::text(text);
        let (output, end) = match state {
            CallState::Ended(ToolEnd { output, success }) => (output, CallEnd::Ran { success }),
            CallState::Denied(reason) => (text(&reason), CallEnd::Denied { reason }),
            CallState::Running => (text(wording::aborted(true)), CallEnd::Stopped),
            _ => (text(wording::aborted(false)), CallEnd::NotStarted),
        };
        Answer { call: self.planned.clone(), output, end }
    }
}

fn planned(item: &Item) -> Option<PlannedCall> {
    let kind = item.kind().call()?;
    // Empty where the outline was whole, but a text in it is not valid Unicode.
    let (name, arguments) = item.view().into_call().unwrap_or_default();
    Some(PlannedCall { position: 0, kind, call_id: item.call_id()?.to_owned(), name, arguments })
}
