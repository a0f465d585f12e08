//! Turns of longhaul, as an embedder runs them.

use std::convert::Infallible;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use longhaul::prelude::*;
use longhaul::state::protocol::TurnEnd;
use longhaul::task::{SessionTask, TaskScope};
use longhaul::{AgentBuilder, ModelSource, TurnHandle};
use longhaul_history::Item;

use crate::answer::{self, Failure, MESSAGE};

/// A window in which no conversation of the benchmarks is compacted, in tokens.
const WINDOW_TOKENS: u64 = 1_000_000_000;

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct City {
    #[expect(dead_code, reason = "what the tool gives is always the same")]
    city: String,
}

/// An agent behind `model`.
pub fn agent(model: impl Into<ModelSource>) -> AgentBuilder {
    Agent::builder("gpt-5", model).context_window(WINDOW_TOKENS)
}

/// A tool that has its output at once.
pub fn weather() -> impl Tool + use<> {
    let weather = |_: City| std::future::ready(Ok::<_, Infallible>(answer::OUTPUT));
    tool(answer::TOOL, "Weather now in a city.", weather).read_only()
}

/// Reads a turn to its end: its message. Gives each piece of that to `show`.
///
/// # Errors
///
/// If it fails, or says nothing.
pub async fn finish(mut turn: TurnHandle, mut show: impl FnMut(&str)) -> Result<String, Failure> {
    while let Some(event) = turn.next().await {
        match event {
            Event::TextDelta(text) => show(&text),
            Event::TurnComplete { .. } => break,
            _ => {}
        }
    }
    turn.await?.last_message.ok_or_else(|| "a turn without a message".into())
}

/// So many first turns of sessions, which are opened and ended outside of the measurement.
///
/// # Errors
///
/// If one fails, or says anything but the [message](answer::text).
pub async fn sum(agent: Agent, times: u64) -> Result<Duration, Failure> {
    let mut sum = Duration::ZERO;
    for _ in 0..times {
        let session = agent.session().start().await?;
        let start = Instant::now();
        let turn = session.prompt(MESSAGE).await?;
        let message = finish(turn, |delta| _ = black_box(delta)).await?;
        sum += start.elapsed();
        answer::check(&message)?;
        session.shutdown().await?;
    }
    Ok(sum)
}

/// A session whose conversation has these items.
///
/// # Errors
///
/// If it cannot be opened.
pub async fn session_with(agent: &Agent, items: &Arc<[Item]>) -> Result<Session, Failure> {
    let session = agent.session().start().await?;
    if !items.is_empty() {
        let recording = Input::from("Go on.").task(Recording(Arc::clone(items)));
        session.prompt(recording).await?.await?;
    }
    Ok(session)
}

/// A task that only records.
struct Recording(Arc<[Item]>);

#[async_trait]
impl SessionTask for Recording {
    async fn run(&self, scope: &TaskScope) -> Result<TurnResult, TurnError> {
        scope.record(self.0.iter().cloned());
        Ok(TurnResult::empty(TurnEnd::Complete))
    }
}
