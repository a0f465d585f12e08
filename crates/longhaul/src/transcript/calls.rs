//! Calls of tools, from the question whether they may run to their output.

use std::time::Duration;

use longhaul_state::protocol::CallDigest;

use super::fold::Fold;
use super::{CellKind, ToolState};

/// The id of a call, its tool, and what the tool gets.
type Call<'a> = [&'a str; 3];

impl Fold<'_> {
    /// Somebody is asked.
    pub(super) fn ask(&mut self, call: Call<'_>, digest: CallDigest) {
        self.push_open(tool(call, ToolState::Waiting { digest }));
    }

    /// The oldest question of this call is answered.
    pub(super) fn settle_question(&mut self, call_id: &str, digest: CallDigest, approved: bool) {
        let asked = self.open(|cell| match &cell.kind {
            CellKind::Tool { call_id: id, state, .. } => {
                id == call_id && *state == ToolState::Waiting { digest }
            }
            _ => false,
        });
        if let Some(index) = asked {
            self.set(index, ToolState::Answered { approved });
        }
    }

    pub(super) fn deny(&mut self, call: Call<'_>, reason: &str) {
        let denied = ToolState::Denied { reason: reason.to_owned() };
        match self.asked(call, false) {
            Some(index) => {
                self.set(index, denied);
                self.forget(index);
            }
            None => {
                self.push(tool(call, denied));
            }
        }
    }

    pub(super) fn begin_call(&mut self, call: Call<'_>) {
        let running = ToolState::Running { progress: None };
        match self.asked(call, true) {
            Some(index) => self.set(index, running),
            None => {
                self.push_open(tool(call, running));
            }
        }
    }

    /// A tool says how far it is. One may say so after it was stopped.
    pub(super) fn note_progress(&mut self, call_id: &str, message: &str) {
        if let Some(index) = self.begun(call_id) {
            self.set(index, ToolState::Running { progress: Some(message.to_owned()) });
        }
    }

    pub(super) fn end_call(
        &mut self,
        call_id: &str,
        success: bool,
        output: &str,
        duration: Duration,
    ) {
        let output = output.to_owned();
        let ended = ToolState::Ended { success, output, duration: Some(duration) };
        match self.begun(call_id) {
            Some(index) => {
                self.set(index, ended);
                self.forget(index);
            }
            None => {
                self.push(tool([call_id, "", ""], ended));
            }
        }
    }

    fn set(&mut self, index: usize, now: ToolState) {
        self.change(index, |cell| {
            if let CellKind::Tool { state, .. } = &mut cell.kind {
                *state = now;
            }
        });
    }

    /// Where the call is that was asked about and has this answer; where none has, one whose answer was
    /// missed. What is approved is what runs, so that calls with one id are told apart by what they ask
    /// for.
    fn asked(&self, call: Call<'_>, approved: bool) -> Option<usize> {
        let calls = |is: &dyn Fn(&ToolState) -> bool| {
            self.open(|cell| match &cell.kind {
                CellKind::Tool { call_id, name, arguments, state } => {
                    [call_id, name, arguments] == call && is(state)
                }
                _ => false,
            })
        };
        let answered = ToolState::Answered { approved };
        let told = calls(&|state| *state == answered);
        told.or_else(|| calls(&|state| matches!(state, ToolState::Waiting { .. })))
    }

    /// Where the oldest call of this id runs; where none does, one whose beginning may have been
    /// missed.
    fn begun(&self, call_id: &str) -> Option<usize> {
        let gap = self.transcript.gap;
        let calls = |is: fn(&ToolState) -> bool, until: u64| {
            self.open(|cell| match &cell.kind {
                CellKind::Tool { call_id: id, state, .. } => {
                    id == call_id && is(state) && cell.changed <= until
                }
                _ => false,
            })
        };
        let running = calls(|state| matches!(state, ToolState::Running { .. }), u64::MAX);
        running.or_else(|| calls(|state| state.is_asked() && !state.is_refused(), gap))
    }
}

pub(super) fn tool([call_id, name, arguments]: Call<'_>, state: ToolState) -> CellKind {
    CellKind::Tool {
        call_id: call_id.to_owned(),
        name: name.to_owned(),
        arguments: arguments.to_owned(),
        state,
    }
}
