//! What the tests of compaction share.

use std::sync::Arc;

use longhaul::compaction::{Bridge, Report, SUMMARIZATION_PROMPT};
use longhaul::events::SessionEvents;
use longhaul::history::{History, Item};
use longhaul::prelude::*;
use longhaul::transport::{ErrorCode, ModelError, TaskKind};
use longhaul::{AgentBuilder, TurnHandle};
use longhaul_testkit::ScriptedModel;
use longhaul_testkit::model::{Answer, Recorded};
use longhaul_testkit::sse::ResponseBuilder;
use tokio::sync::Barrier;

use crate::support::{Probe, items, line};

/// A session of `agent`.
pub(super) async fn open(agent: AgentBuilder) -> Session {
    agent.build().unwrap().session().start().await.unwrap()
}

/// Says `text` and waits for the end of the turn.
pub(super) async fn say(session: &Session, text: &str) -> TurnResult {
    session.prompt(text).await.unwrap().await.unwrap()
}

/// The same, as the lines of its events.
pub(super) async fn told(session: &Session, text: &str) -> Vec<String> {
    crate::support::lines(&mut session.prompt(text).await.unwrap()).await
}

/// The lines of the events of a turn, and its result.
pub(super) async fn end(mut turn: TurnHandle) -> (Vec<String>, Result<TurnResult, TurnError>) {
    let lines = crate::support::lines(&mut turn).await;
    (lines, turn.await)
}

/// What the requests so far were for.
pub(super) fn kinds(model: &ScriptedModel) -> Vec<&'static str> {
    model.requests().iter().map(|request| request.task_kind.as_str()).collect()
}

/// The items of a request, one short line each.
pub(super) fn sent(model: &ScriptedModel, request: usize) -> Vec<String> {
    items(&model.requests()[request].input())
}

/// The items of the newest request.
pub(super) fn last_sent(model: &ScriptedModel) -> Vec<String> {
    items(&model.requests().last().unwrap().input())
}

pub(super) fn is_compaction(request: &Recorded) -> bool {
    request.task_kind == TaskKind::Compact
}

/// The item that stands for a conversation, as a line.
pub(super) fn bridge(user_messages: &[&str], summary: &str) -> String {
    let user_messages: Vec<String> = user_messages.iter().map(|text| (*text).into()).collect();
    let text = Bridge { user_messages: &user_messages, summary }.render().unwrap();
    format!("user {text}")
}

/// The last item of a request for a summary, as a line.
pub(super) fn prompt() -> String {
    format!("user {SUMMARIZATION_PROMPT}")
}

/// The server finds the request too long.
pub(super) fn too_long() -> ModelError {
    ModelError::new(ErrorCode::ContextWindowExceeded, "too long")
}

/// What `summary` says of a request for a summary, and `ordinary` of every other.
pub(super) fn two_voices(
    ordinary: impl Fn(&Recorded) -> Answer + Send + Sync + 'static,
    summary: impl Fn(&Recorded) -> Answer + Send + Sync + 'static,
) -> ScriptedModel {
    let answer = move |request: &Recorded| match request.task_kind {
        TaskKind::Compact => summary(request),
        _ => ordinary(request),
    };
    ScriptedModel::new().respond_with(answer).repeat_last()
}

/// A summary, whatever is asked.
pub(super) fn summary(_: &Recorded) -> Answer {
    ResponseBuilder::new().text("SUMMARY").into()
}

/// A tool that waits for the test, twice: when it has begun, and before it ends.
pub(super) fn held(barrier: &Arc<Barrier>) -> Probe {
    let barrier = Arc::clone(barrier);
    Probe::new("held", move |_, _| {
        let barrier = Arc::clone(&barrier);
        async move {
            barrier.wait().await;
            barrier.wait().await;
            ToolOutput::text("done")
        }
    })
}

/// So many tokens of words, at least.
pub(super) fn words(tokens: usize) -> String {
    "some words ".repeat(tokens / 2)
}

/// The tokens that a session counts for the items of a request.
pub(super) fn count(request: &Recorded) -> u64 {
    let mut history = History::default();
    history.extend(request.input().iter().map(|item| Item::from_json(&item.to_string()).unwrap()));
    history.tokens()
}

/// The reports of all compactions that `events` have told of so far.
pub(super) async fn reports(session: &Session, mut events: SessionEvents) -> Vec<Report> {
    session.shutdown().await.unwrap();
    let mut reports = Vec::new();
    while let Some(event) = events.next().await {
        if let Event::ContextCompacted(report) = event.event {
            reports.push(report);
        }
    }
    reports
}

/// The lines of all events of the session, each with the input and the turn that it belongs to.
pub(super) async fn all(session: &Session, mut events: SessionEvents) -> Vec<String> {
    session.shutdown().await.unwrap();
    let mut shown = Vec::new();
    while let Some(event) = events.next().await {
        if matches!(event.event, Event::ShutdownComplete) {
            break;
        }
        let (input, turn) = (&event.submission_id, &event.turn_id);
        shown.push(format!("{input} in {turn}: {}", line(&event.event)));
    }
    shown
}
