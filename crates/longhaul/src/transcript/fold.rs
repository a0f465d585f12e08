//! An event becomes changes of cells.

use std::sync::Arc;

use longhaul_history::turn_item::{TurnItem, TurnItemKind};
use longhaul_state::protocol::Event;

use super::items::Streamed;
use super::{CellKind, Changes, Problem, Retry, Running, Transcript};
use crate::events::SessionEvent;

/// Applies an event that is newer than all before it.
pub(super) fn fold(transcript: &mut Transcript, event: &SessionEvent) -> Changes {
    let mut fold = Fold { transcript, event, changes: Changes::Nothing };
    fold.enter_turn();
    fold.settle();
    fold.take();
    fold.changes
}

/// One event on its way into a transcript.
pub(super) struct Fold<'a> {
    pub(super) transcript: &'a mut Transcript,
    pub(super) event: &'a SessionEvent,
    pub(super) changes: Changes,
}

impl Fold<'_> {
    /// Notices that another turn runs, also where its beginning or the end of the one before was
    /// missed.
    fn enter_turn(&mut self) {
        let turn_id = &self.event.turn_id;
        // An input that no turn took is refused by an error.
        let is_beside = matches!(self.event.event, Event::Error(_) | Event::Missed { .. });
        let is_start = matches!(self.event.event, Event::TurnStarted { .. });
        let is_same = self.transcript.status.turn_id.as_ref() == Some(turn_id);
        if is_beside || turn_id.is_empty() || (is_same && !is_start) {
            return;
        }
        self.end_turn();
        self.transcript.status.turn_id = Some(Arc::clone(turn_id));
        self.transcript.running.is_torn = !is_start;
    }

    /// What was going on before the event is over, if the event shows that.
    fn settle(&mut self) {
        match &self.event.event {
            Event::StreamError { .. } | Event::ContextCompacted(_) => self.end_response(),
            // A part of a response, or a bridge.
            Event::ItemStarted(item) | Event::ItemCompleted(item) if is_compaction(item) => {
                self.transcript.status.retry = None;
            }
            Event::ItemStarted(item) | Event::ItemCompleted(item) if is_users(item) => {
                self.end_response();
                self.give_up_compaction();
            }
            // Parts of a response.
            Event::ItemStarted(_)
            | Event::ItemCompleted(_)
            | Event::TextDelta(_)
            | Event::ReasoningDelta(_)
            | Event::WebSearchBegin { .. }
            | Event::WebSearchEnd { .. } => {
                self.transcript.status.retry = None;
                self.give_up_compaction();
            }
            // These come when a response is over.
            Event::ApprovalRequest { .. }
            | Event::ApprovalAnswered { .. }
            | Event::ToolCallDenied { .. }
            | Event::ToolCallBegin { .. }
            | Event::CompactionStarted { .. } => {
                self.end_response();
                self.give_up_compaction();
            }
            Event::TokenCount { .. } if self.transcript.running.is_committing => {
                self.end_response();
                self.transcript.running.bridge = None;
            }
            _ => {}
        }
    }

    fn take(&mut self) {
        match &self.event.event {
            Event::ItemStarted(item) => self.start(item),
            Event::ItemCompleted(item) => self.complete(item),
            Event::TextDelta(delta) => self.stream(Streamed::Agent, delta),
            Event::ReasoningDelta(delta) => self.stream(Streamed::Reasoning, delta),
            Event::WebSearchBegin { call_id } => self.begin_search(call_id),
            Event::WebSearchEnd { call_id, query } => self.end_search(call_id, query),
            Event::ApprovalRequest { call_id, name, arguments, digest } => {
                self.ask([call_id, name, arguments], *digest);
            }
            Event::ApprovalAnswered { call_id, digest, approved } => {
                self.settle_question(call_id, *digest, *approved);
            }
            Event::ToolCallDenied { call_id, name, arguments, reason } => {
                self.deny([call_id, name, arguments], reason);
            }
            Event::ToolCallBegin { call_id, name, arguments } => {
                self.begin_call([call_id, name, arguments]);
            }
            Event::ToolProgress { call_id, message } => self.note_progress(call_id, message),
            Event::ToolCallEnd { call_id, success, output, duration } => {
                self.end_call(call_id, *success, output, *duration);
            }
            Event::CompactionStarted { trigger } => self.begin_compaction(*trigger),
            Event::ContextCompacted(report) => self.end_compaction(report),
            Event::EnteredReviewMode { prompt } => self.begin_review(prompt),
            Event::ExitedReviewMode { output } => self.end_review(output.as_ref()),
            Event::UndoStarted { message } => self.begin_undo(message.as_ref()),
            Event::UndoCompleted { success, message } => self.end_undo(*success, message.as_ref()),
            Event::HistoryRepaired(repairs) => {
                self.push(CellKind::Repair { repairs: repairs.clone() });
            }
            Event::Background(text) => {
                self.push(CellKind::Notice { text: text.clone() });
            }
            Event::Warning(error) => self.warn(Problem::of(error)),
            Event::Error(error) => {
                self.push(CellKind::Error(Problem::of(error)));
            }
            Event::TurnComplete { .. } => self.end_turn(),
            Event::TurnAborted { reason } => {
                self.end_turn();
                self.push(CellKind::Aborted { reason: *reason });
            }
            Event::Missed { first, last } => self.miss(*first, *last),
            _ => self.take_status(),
        }
    }

    /// Takes what is no cell.
    fn take_status(&mut self) {
        let is_reviewing = self.transcript.running.review.is_some();
        let status = &mut self.transcript.status;
        match &self.event.event {
            Event::TurnStarted { model_context_window } => {
                status.model_context_window = *model_context_window;
            }
            Event::TokenCount { info, rate_limits } => {
                if !is_reviewing {
                    status.usage = *info;
                }
                status.rate_limits = *rate_limits;
            }
            Event::StreamError { attempt, max_attempts, delay, error } => {
                status.retry = Some(Retry {
                    attempt: *attempt,
                    max_attempts: *max_attempts,
                    delay: *delay,
                    problem: Problem::of(error),
                });
            }
            Event::StreamRecovered { .. } => status.retry = None,
            Event::ShutdownComplete => {
                self.end_turn();
                self.transcript.status.has_ended = true;
            }
            _ => {}
        }
    }

    /// Events were missed: what was going on may be over, and what comes may be the rest of what was
    /// not seen to begin.
    fn miss(&mut self, first: u64, last: u64) {
        self.push(CellKind::Gap { first, last });
        self.transcript.gap = last;
        self.transcript.status.retry = None;
        let running = &mut self.transcript.running;
        (running.bridge, running.ended_search) = (None, None);
        (running.is_torn, running.is_committing) = (true, false);
    }

    /// The turn is over, and all that belongs to it.
    fn end_turn(&mut self) {
        for index in std::mem::take(&mut self.transcript.running.open) {
            self.close(index);
        }
        self.transcript.running = Running::default();
        self.transcript.status.turn_id = None;
        self.transcript.status.retry = None;
    }

    /// The response that was coming is over. What was streamed and is not recorded by now is void,
    /// unless it may have been recorded where nobody looked.
    fn end_response(&mut self) {
        let running = &mut self.transcript.running;
        (running.is_torn, running.is_committing) = (false, false);
        self.transcript.status.retry = None;
        let is_streamed = |index: &usize| self.kind(*index).is_some_and(Streamed::is_part);
        let streamed: Vec<usize> =
            self.transcript.running.open.iter().copied().filter(is_streamed).collect();
        for index in streamed.into_iter().rev() {
            if self.is_unsure(index) {
                self.close(index);
                self.forget(index);
            } else {
                self.remove(index);
            }
        }
    }
}

fn is_compaction(item: &TurnItem) -> bool {
    matches!(item.kind, TurnItemKind::ContextCompaction)
}

fn is_users(item: &TurnItem) -> bool {
    matches!(item.kind, TurnItemKind::UserMessage { .. })
}
