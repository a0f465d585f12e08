//! The calls of a response out of the log of their turn.

use longhaul_history::CallOutput;

use super::{CallState, Calls, ToolEnd};
use crate::turn::{Action, wording};

/// What a log says of a call.
#[derive(Debug)]
pub(in crate::turn) enum Known {
    Ready { arguments: Option<String> },
    Asked { arguments: String },
    Denied { reason: String },
    Started,
    Answered,
}

impl Calls {
    /// What a log says of a call. Where the log and the calls disagree nothing changes.
    pub(in crate::turn) fn restore(&mut self, position: usize, known: Known) {
        let Some(call) = self.calls.get_mut(position) else {
            return;
        };
        // What has happened to a call is not undone, a no is not taken back, and outputs are recorded in
        // the order of the calls.
        let is_next = position == self.answered;
        let fits = match (&call.state, &known) {
            (CallState::Answered, _)
            | (CallState::Denied(_), Known::Ready { .. } | Known::Asked { .. })
            | (
                CallState::Running,
                Known::Ready { .. } | Known::Asked { .. } | Known::Denied { .. },
            ) => false,
            (_, Known::Answered) => is_next,
            _ => true,
        };
        if !fits {
            return;
        }
        self.answered += usize::from(matches!(known, Known::Answered));
        call.state = match known {
            Known::Ready { arguments } => {
                if let Some(arguments) = arguments {
                    call.planned.arguments = arguments;
                }
                CallState::Ready
            }
            Known::Asked { arguments } => {
                call.planned.arguments = arguments;
                CallState::Asked
            }
            Known::Denied { reason } => CallState::Denied(reason),
            Known::Started => CallState::Running,
            Known::Answered => CallState::Answered,
        };
    }

    /// After a crash nothing runs: what ran is run again if it may be, and else its outcome is unknown.
    /// Gives what is to be done.
    pub(in crate::turn) fn resume(&mut self) -> Vec<Action> {
        for call in &mut self.calls {
            if matches!(call.state, CallState::Running) {
                call.state = if call.handling.may_run_again {
                    CallState::Ready
                } else {
                    let output = CallOutput::text(wording::aborted(true));
                    CallState::Ended(ToolEnd { output, success: false })
                };
            }
        }
        let asked = self.calls.iter().filter(|call| matches!(call.state, CallState::Asked));
        let mut actions: Vec<_> = asked.map(|call| Action::Ask(call.planned.clone())).collect();
        actions.extend(self.judge());
        actions.extend(self.proceed());
        actions
    }
}
