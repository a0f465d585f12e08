//! What takes long: compactions, reviews, undos.

use longhaul_compaction::{Report, Trigger};
use longhaul_state::protocol::ReviewOutput;

use super::fold::Fold;
use super::{CellKind, CompactionState, ItemState, Problem, UndoState};

impl Fold<'_> {
    /// A model is about to be asked for a summary. In a review that is the review's affair.
    pub(super) fn begin_compaction(&mut self, trigger: Trigger) {
        if self.transcript.running.review.is_none() {
            let state = CompactionState::Running;
            self.push_open(CellKind::Compaction { trigger: Some(trigger), state });
        }
    }

    /// What stands for the old conversation is shown, or the server compacts by itself.
    pub(super) fn start_bridge(&mut self, id: &str) {
        let running = &self.transcript.running;
        if running.review.is_some() || running.bridge.is_some() || self.compaction().is_some() {
            return;
        }
        let state = CompactionState::Running;
        let index = self.push_open(CellKind::Compaction { trigger: None, state });
        self.change(index, |cell| cell.item_id = Some(id.to_owned()));
    }

    /// What stands for the old conversation is recorded. Where one compaction shows several, they are
    /// one cell.
    pub(super) fn complete_bridge(&mut self, id: &str) {
        if self.transcript.running.review.is_some() {
            return;
        }
        let begun = self.server_compaction(id);
        if begun.is_none() && self.transcript.running.bridge.is_some() {
            return;
        }
        let index = begun.or_else(|| self.compaction()).unwrap_or_else(|| {
            let state = CompactionState::Running;
            self.push_open(CellKind::Compaction { trigger: None, state })
        });
        self.finish(index, |cell| {
            cell.item_id = Some(id.to_owned());
            set(&mut cell.kind, CompactionState::Done { report: None });
        });
        self.transcript.running.is_committing = true;
        self.transcript.running.bridge = Some(index);
    }

    /// The conversation was compacted: by the compaction that runs or whose bridge was just shown, or
    /// by one that asked no model and needs no bridge.
    pub(super) fn end_compaction(&mut self, report: &Report) {
        if self.transcript.running.review.is_some() {
            return;
        }
        let done = CompactionState::Done { report: Some(report.clone()) };
        let index = self.transcript.running.bridge.take().or_else(|| self.compaction());
        let index = index.unwrap_or_else(|| {
            self.push_open(CellKind::Compaction { trigger: None, state: CompactionState::Running })
        });
        self.finish(index, |cell| {
            cell.kind = CellKind::Compaction { trigger: Some(report.trigger), state: done };
        });
    }

    /// Something failed: the compaction, if one runs.
    pub(super) fn warn(&mut self, problem: Problem) {
        match self.compaction() {
            Some(index) => self.finish(index, |cell| {
                set(&mut cell.kind, CompactionState::Failed(problem));
            }),
            None => {
                self.push(CellKind::Warning(problem));
            }
        }
    }

    /// The turn goes on, and nothing was said of what the compaction came to.
    pub(super) fn give_up_compaction(&mut self) {
        self.transcript.running.bridge = None;
        if let Some(index) = self.compaction() {
            self.close(index);
            self.forget(index);
        }
    }

    /// Where the client's compaction is that runs.
    fn compaction(&self) -> Option<usize> {
        self.open(|cell| {
            cell.kind.is_open()
                && matches!(cell.kind, CellKind::Compaction { trigger: Some(_), .. })
        })
    }

    /// Where the compaction is that runs and is shown as this item.
    fn server_compaction(&self, id: &str) -> Option<usize> {
        self.open(|cell| {
            let is_server = matches!(cell.kind, CellKind::Compaction { trigger: None, .. });
            is_server && cell.item_id.as_deref() == Some(id)
        })
    }

    /// From now on the model speaks beside the conversation.
    pub(super) fn begin_review(&mut self, prompt: &str) {
        let (prompt, state) = (prompt.to_owned(), ItemState::Coming);
        let index = self.push_open(CellKind::Review { prompt, state, output: None });
        self.transcript.running.review = Some(index);
    }

    pub(super) fn end_review(&mut self, found: Option<&ReviewOutput>) {
        let index = self.transcript.running.review.take().unwrap_or_else(|| {
            let (prompt, state) = (String::new(), ItemState::Coming);
            self.push_open(CellKind::Review { prompt, state, output: None })
        });
        self.finish(index, |cell| {
            if let CellKind::Review { state, output, .. } = &mut cell.kind {
                *state = if found.is_some() { ItemState::Complete } else { ItemState::CutOff };
                *output = found.cloned();
            }
        });
    }

    pub(super) fn begin_undo(&mut self, message: Option<&String>) {
        let message = message.cloned();
        self.push_open(CellKind::Undo { message, state: UndoState::Running });
    }

    pub(super) fn end_undo(&mut self, success: bool, message: Option<&String>) {
        let state = if success { UndoState::Done } else { UndoState::Failed };
        let index = self.open(|cell| matches!(cell.kind, CellKind::Undo { .. }));
        let index =
            index.unwrap_or_else(|| self.push_open(CellKind::Undo { message: None, state }));
        self.finish(index, |cell| {
            if let CellKind::Undo { message: shown, state: now } = &mut cell.kind {
                *now = state;
                // The first message stays where the second says nothing.
                *shown = message.cloned().or(shown.take());
            }
        });
    }
}

fn set(kind: &mut CellKind, now: CompactionState) {
    if let CellKind::Compaction { state, .. } = kind {
        *state = now;
    }
}
