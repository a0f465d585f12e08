//! Events, short to write; cells, short to read.

use std::sync::Arc;
use std::time::Duration;

use longhaul_compaction::{Report, Trigger};
use longhaul_history::turn_item::{AgentPart, TurnItem, TurnItemKind, UserPart};
use longhaul_state::protocol::{AbortReason, CallDigest, Event, ReviewOutput, TurnError};
use serde_json::json;

use crate::events::SessionEvent;
use crate::transcript::*;

/// Takes events in, as the turn `t` or as it is told.
pub(super) struct Reader {
    pub(super) transcript: Transcript,
    pub(super) turn: &'static str,
    pub(super) number: u64,
}

impl Reader {
    pub(super) fn new() -> Self {
        Self { transcript: Transcript::new(), turn: "t", number: 0 }
    }

    /// The reader after these events.
    pub(super) fn of(events: impl IntoIterator<Item = Event>) -> Self {
        let mut reader = Self::new();
        reader.read(events);
        reader
    }

    pub(super) fn read(&mut self, events: impl IntoIterator<Item = Event>) -> Changes {
        let mut changes = Changes::Nothing;
        for event in events {
            let event = self.next(event);
            changes = self.transcript.apply(&event);
        }
        changes
    }

    /// Events are missed, so many.
    pub(super) fn miss(&mut self, count: u64) {
        let (first, last) = (self.number + 1, self.number + count);
        self.number = last - 1;
        let mut event = self.next(Event::Missed { first, last });
        (event.turn_id, event.submission_id) = (Arc::default(), Arc::default());
        self.transcript.apply(&event);
    }

    fn next(&mut self, event: Event) -> SessionEvent {
        self.number += 1;
        let turn: Arc<str> = self.turn.into();
        SessionEvent { number: self.number, submission_id: turn.clone(), turn_id: turn, event }
    }

    pub(super) fn lines(&self) -> Vec<String> {
        lines(&self.transcript)
    }
}

/// Events of one turn, after its beginning, and the lines of the cells that they come to.
pub(super) type Case = (&'static str, Vec<Event>, &'static [&'static str]);

/// Each case comes to its lines.
pub(super) fn check(table: Vec<Case>) {
    for (name, events, expected) in table {
        let mut reader = Reader::of([begin()]);
        reader.read(events);
        assert_eq!(reader.lines(), expected, "{name}");
    }
}

pub(super) fn lines(transcript: &Transcript) -> Vec<String> {
    transcript.cells().iter().map(|cell| line(&cell.kind)).collect()
}

/// What a cell shows, as a line.
pub(super) fn line(kind: &CellKind) -> String {
    match kind {
        CellKind::User { text, images: 0, nth } => format!("user {nth}: {text}"),
        CellKind::User { text, images, nth } => format!("user {nth}: {text} +{images}"),
        CellKind::Context { text } => format!("context: {text}"),
        CellKind::Agent { text, state } => format!("agent{} {text}", mark(*state)),
        CellKind::Reasoning { text, state } => format!("reasoning{} {text}", mark(*state)),
        CellKind::WebSearch { query, state } => format!("search{} {query}", mark(*state)),
        CellKind::Tool { call_id, name, arguments, state } => {
            let state = match state {
                ToolState::Waiting { .. } => "waits".into(),
                ToolState::Answered { approved: true } => "may run".into(),
                ToolState::Answered { approved: false } => "may not run".into(),
                ToolState::Denied { reason } => format!("denied {reason}"),
                ToolState::Running { progress } => {
                    format!("runs {}", progress.as_deref().unwrap_or("-"))
                }
                ToolState::Ended { success: true, output, .. } => format!("ok {output}"),
                ToolState::Ended { output, .. } => format!("failed {output}"),
                ToolState::Stopped { had_started: true } => "stopped".into(),
                ToolState::Stopped { had_started: false } => "not run".into(),
                ToolState::Unknown => "unknown".into(),
            };
            format!("tool {call_id} {name} {arguments}: {state}")
        }
        CellKind::Compaction { trigger, state } => {
            let trigger = trigger.map_or("-", Trigger::as_str);
            let state = match state {
                CompactionState::Running => "runs".into(),
                CompactionState::Done { report } => {
                    format!("done {}", report.as_ref().map_or("-", |report| &report.strategy))
                }
                CompactionState::Failed(problem) => format!("failed {}", problem.code),
                CompactionState::GivenUp => "given up".into(),
            };
            format!("compaction {trigger}: {state}")
        }
        CellKind::Review { prompt, state, output } => {
            let output = output.as_ref().map_or("-", |output| &output.overall_explanation);
            format!("review{} {prompt}: {output}", mark(*state))
        }
        CellKind::Undo { message, state } => {
            format!("undo {}: {state:?}", message.as_deref().unwrap_or("-"))
        }
        CellKind::Repair { repairs } => format!("repaired {}", repairs.len()),
        CellKind::Notice { text } => format!("notice {text}"),
        CellKind::Warning(problem) => format!("warning {}", problem.code),
        CellKind::Error(problem) => format!("error {}", problem.code),
        CellKind::Aborted { reason } => format!("aborted {}", reason.as_str()),
        CellKind::Gap { first, last } => format!("gap {first}-{last}"),
    }
}

/// Nothing for what is whole, `+` for what is coming, `/` for what is cut off.
fn mark(state: ItemState) -> &'static str {
    match state {
        ItemState::Coming => "+",
        ItemState::Complete => "",
        ItemState::CutOff => "/",
    }
}

pub(super) fn begin() -> Event {
    Event::TurnStarted { model_context_window: Some(100) }
}

pub(super) fn complete() -> Event {
    Event::TurnComplete { last_agent_message: None }
}

pub(super) fn abort() -> Event {
    Event::TurnAborted { reason: AbortReason::Interrupted }
}

pub(super) fn started(item: TurnItem) -> Event {
    Event::ItemStarted(item)
}

pub(super) fn completed(item: TurnItem) -> Event {
    Event::ItemCompleted(item)
}

/// What a session tells of an input.
pub(super) fn said(id: &str, text: &str) -> [Event; 2] {
    [started(user(id, text)), completed(user(id, text))]
}

pub(super) fn user(id: &str, text: &str) -> TurnItem {
    let content = vec![UserPart::Text { text: text.into() }];
    TurnItem { id: id.into(), kind: TurnItemKind::UserMessage { content } }
}

pub(super) fn agent(id: &str, text: &str) -> TurnItem {
    let content =
        if text.is_empty() { vec![] } else { vec![AgentPart::Text { text: text.into() }] };
    TurnItem { id: id.into(), kind: TurnItemKind::AgentMessage { content } }
}

pub(super) fn reasoning(id: &str, texts: &[&str]) -> TurnItem {
    let summary_text = texts.iter().map(|text| (*text).into()).collect();
    let raw_content = Vec::new();
    TurnItem { id: id.into(), kind: TurnItemKind::Reasoning { summary_text, raw_content } }
}

pub(super) fn search(id: &str, query: &str) -> TurnItem {
    TurnItem { id: id.into(), kind: TurnItemKind::WebSearch { query: query.into() } }
}

pub(super) fn bridge(id: &str) -> TurnItem {
    TurnItem { id: id.into(), kind: TurnItemKind::ContextCompaction }
}

pub(super) fn text(delta: &str) -> Event {
    Event::TextDelta(delta.into())
}

pub(super) fn think(delta: &str) -> Event {
    Event::ReasoningDelta(delta.into())
}

pub(super) fn tokens() -> Event {
    Event::TokenCount { info: None, rate_limits: None }
}

pub(super) fn failed() -> TurnError {
    TurnError::TooManyModelCalls { limit: 1 }
}

pub(super) fn retry(attempt: u32) -> Event {
    let delay = Duration::from_secs(1);
    Event::StreamError { attempt, max_attempts: 5, delay, error: failed() }
}

pub(super) fn recovered() -> Event {
    Event::StreamRecovered { attempts: 1 }
}

pub(super) fn ask(call_id: &str, arguments: &str) -> Event {
    let digest = CallDigest::of("tool", arguments);
    let (name, arguments) = ("tool".into(), arguments.into());
    Event::ApprovalRequest { call_id: call_id.into(), name, arguments, digest }
}

pub(super) fn answered(call_id: &str, arguments: &str, approved: bool) -> Event {
    let digest = CallDigest::of("tool", arguments);
    Event::ApprovalAnswered { call_id: call_id.into(), digest, approved }
}

pub(super) fn run(call_id: &str, arguments: &str) -> Event {
    let (name, arguments) = ("tool".into(), arguments.into());
    Event::ToolCallBegin { call_id: call_id.into(), name, arguments }
}

pub(super) fn denied(call_id: &str, arguments: &str) -> Event {
    let (name, arguments, reason) = ("tool".into(), arguments.into(), "no".into());
    Event::ToolCallDenied { call_id: call_id.into(), name, arguments, reason }
}

pub(super) fn progress(call_id: &str, message: &str) -> Event {
    Event::ToolProgress { call_id: call_id.into(), message: message.into() }
}

pub(super) fn end(call_id: &str, success: bool, output: &str) -> Event {
    let duration = Duration::from_millis(7);
    Event::ToolCallEnd { call_id: call_id.into(), success, output: output.into(), duration }
}

pub(super) fn compacting() -> Event {
    Event::CompactionStarted { trigger: Trigger::Manual }
}

pub(super) fn compacted(strategy: &str) -> Event {
    Event::ContextCompacted(report(strategy))
}

pub(super) fn report(strategy: &str) -> Report {
    let report = json!({"trigger": "manual", "strategy": strategy, "tokens_before": 9,
        "tokens_after": 3, "kept_items": 0, "dropped_items": 2, "trimmed_items": 0, "cut_tokens": 0,
        "requests": 1, "duration_ms": 5});
    serde_json::from_value(report).unwrap()
}

pub(super) fn reviewing(prompt: &str) -> Event {
    Event::EnteredReviewMode { prompt: prompt.into() }
}

pub(super) fn reviewed(explanation: Option<&str>) -> Event {
    let output = explanation.map(|explanation| {
        let mut output = ReviewOutput::default();
        output.overall_explanation = explanation.into();
        output
    });
    Event::ExitedReviewMode { output }
}

/// Events, one list after the other.
pub(super) fn all<const N: usize>(lists: [&[Event]; N]) -> Vec<Event> {
    lists.concat()
}
