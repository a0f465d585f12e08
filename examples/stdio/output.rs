//! Events, a line each.

use std::collections::VecDeque;

use longhaul::Session;
use longhaul::compaction::Report;
use longhaul::events::SessionEvent;
use longhaul::history::turn_item::{AgentPart, TurnItem, TurnItemKind};
use longhaul::rollout::{RECENT_BYTES, RECENT_MESSAGES, RecentMessages};
use longhaul::state::protocol::{Event, TurnError};
use serde_json::{Value, json};
use tokio::io::{AsyncWriteExt, Stdout};
use tokio::sync::Mutex;

/// Stdout, a whole line at a time.
pub(crate) struct Output(Mutex<Stdout>);

impl Default for Output {
    fn default() -> Self {
        Self(Mutex::new(tokio::io::stdout()))
    }
}

impl Output {
    /// Writes one event.
    pub(crate) async fn send(&self, id: &str, message: &Value) -> std::io::Result<()> {
        let line = format!("{}\n", json!({"id": id, "msg": message}));
        let mut stdout = self.0.lock().await;
        stdout.write_all(line.as_bytes()).await?;
        stdout.flush().await
    }
}

/// The first event.
pub(crate) fn configured(session: &Session, is_new: bool) -> Value {
    let mut event = json!({"type": "session_configured", "session_id": session.id(),
        "model": session.settings().model});
    if let Some(path) = session.log_path() {
        event["rollout_path"] = json!(path.to_string_lossy());
    }
    if !is_new {
        let (messages, is_truncated) = initial_messages(&session.take_recent_messages());
        event["initial_messages"] = messages.into();
        if is_truncated {
            event["initial_messages_truncated"] = true.into();
        }
    }
    event
}

/// The newest of these messages, in order, and whether there are more. As events they take more bytes,
/// and an item may be several.
fn initial_messages(recent: &RecentMessages) -> (Vec<Value>, bool) {
    let (mut newest, mut bytes) = (VecDeque::new(), 0);
    for message in recent.items.iter().flat_map(texts).rev() {
        bytes += message.to_string().len();
        if newest.len() == RECENT_MESSAGES || bytes > RECENT_BYTES {
            return (newest.into(), true);
        }
        newest.push_front(message);
    }
    (newest.into(), recent.is_truncated)
}

/// An error as an event.
pub(crate) fn error_event(error: &TurnError) -> Value {
    without_nulls(json!({"type": "error", "message": error.to_string(), "code": error.code(),
        "retryable": error.is_retryable(), "request_id": error.request_id(),
        "phase": error.phase(), "reason": error.reason()}))
}

/// What is written for one event of the session.
pub(crate) fn messages(thread_id: &str, event: &SessionEvent) -> Vec<Value> {
    let item = |name: &str, item: &TurnItem| json!({"type": name, "thread_id": thread_id, "turn_id": &*event.turn_id, "item": item});
    match &event.event {
        Event::ItemStarted(started) => vec![item("item_started", started)],
        Event::ItemCompleted(completed) => {
            let mut messages = vec![item("item_completed", completed)];
            messages.extend(texts(completed));
            messages
        }
        event => message(event).into_iter().map(without_nulls).collect(),
    }
}

/// The texts of a finished item, as events of their own.
fn texts(item: &TurnItem) -> Vec<Value> {
    match &item.kind {
        TurnItemKind::UserMessage { .. } => {
            vec![json!({"type": "user_message", "message": item.kind.message_text()})]
        }
        TurnItemKind::AgentMessage { content } => {
            let texts = content.iter().filter_map(AgentPart::text);
            texts.map(|text| json!({"type": "agent_message", "message": text})).collect()
        }
        TurnItemKind::Reasoning { summary_text, raw_content } => {
            let shown = if summary_text.is_empty() { raw_content } else { summary_text };
            shown.iter().map(|text| json!({"type": "agent_reasoning", "text": text})).collect()
        }
        _ => Vec::new(),
    }
}

fn message(event: &Event) -> Option<Value> {
    Some(match event {
        Event::TurnStarted { model_context_window } => {
            json!({"type": "task_started", "model_context_window": model_context_window})
        }
        Event::TextDelta(delta) => json!({"type": "agent_message_delta", "delta": delta}),
        Event::ReasoningDelta(delta) => json!({"type": "agent_reasoning_delta", "delta": delta}),
        Event::WebSearchBegin { call_id } => {
            json!({"type": "web_search_begin", "call_id": call_id})
        }
        Event::WebSearchEnd { call_id, query } => {
            json!({"type": "web_search_end", "call_id": call_id, "query": query})
        }
        Event::TokenCount { info, rate_limits } => {
            json!({"type": "token_count", "info": info, "rate_limits": rate_limits})
        }
        Event::StreamRecovered { attempts } => json!({"type": "stream_recovered",
            "message": format!("The connection is back after {attempts} failed attempts"),
            "attempts": attempts}),
        Event::Background(message) => json!({"type": "background_event", "message": message}),
        Event::HistoryRepaired(repairs) => json!({"type": "history_repaired", "repairs": repairs}),
        Event::Error(error) | Event::Warning(error) => error_event(error),
        Event::TurnComplete { last_agent_message } => {
            json!({"type": "task_complete", "last_agent_message": last_agent_message})
        }
        Event::TurnAborted { reason } => json!({"type": "turn_aborted", "reason": reason}),
        event => return tool(event).or_else(|| compaction_or_retry(event)),
    })
}

fn tool(event: &Event) -> Option<Value> {
    Some(match event {
        Event::ApprovalRequest { call_id, name, arguments, .. } => {
            json!({"type": "approval_request", "call_id": call_id, "name": name,
            "arguments": arguments})
        }
        Event::ToolCallBegin { call_id, name, arguments } => {
            json!({"type": "tool_call_begin", "call_id": call_id, "name": name,
            "arguments": arguments})
        }
        Event::ToolProgress { call_id, message } => {
            json!({"type": "background_event", "message": format!("{call_id}: {message}")})
        }
        Event::ToolCallEnd { call_id, success, output, duration } => {
            json!({"type": "tool_call_end", "call_id": call_id, "success": success,
            "output": output, "duration_ms": millis(*duration)})
        }
        _ => return None,
    })
}

fn compaction_or_retry(event: &Event) -> Option<Value> {
    Some(match event {
        Event::CompactionStarted { .. } => {
            json!({"type": "background_event", "message": "Compacting the conversation"})
        }
        Event::ContextCompacted(report) => compacted(report),
        Event::StreamError { attempt, max_attempts, delay, .. } => json!({"type": "stream_error",
            "message": format!("Reconnecting... {attempt}/{max_attempts}"),
            "attempt": attempt, "max_attempts": max_attempts, "delay_ms": millis(*delay)}),
        Event::EnteredReviewMode { .. } => json!({"type": "entered_review_mode"}),
        Event::ExitedReviewMode { output } => {
            json!({"type": "exited_review_mode", "review_output": output})
        }
        Event::UndoStarted { .. } => json!({"type": "undo_started"}),
        Event::UndoCompleted { success, message } => {
            json!({"type": "undo_completed", "success": success, "message": message})
        }
        Event::Missed { first, last } => json!({"type": "background_event",
            "message": format!("events {first} to {last} were left out: nobody read them")}),
        _ => return None,
    })
}

fn compacted(report: &Report) -> Value {
    json!({"type": "context_compacted", "trigger": report.trigger, "strategy": report.strategy,
        "tokens_before": report.tokens_before, "tokens_after": report.tokens_after,
        "kept_items": report.kept_items, "dropped_items": report.dropped_items,
        "trimmed_items": report.trimmed_items, "requests": report.requests,
        "duration_ms": millis(report.duration)})
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Fields that would be null are left out.
fn without_nulls(mut message: Value) -> Value {
    if let Some(fields) = message.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    message
}
