//! What the tests share: events and requests as short lines, and tools made of closures.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use longhaul::history::turn_item::TurnItemKind;
use longhaul::history::{History, ReasoningFilter};
use longhaul::rollout::MemoryStore;
use longhaul::task::{SessionTask, TaskScope};
use longhaul::tool::{Effect, Tool, ToolCall, ToolContext, ToolOutput, ToolSpec};
use longhaul::transport::{Model, Provider, Request, ResponseStream};
use longhaul::{Agent, AgentBuilder, Session, TurnHandle};
use longhaul_state::protocol::{
    AbortReason, Event, SettingsUpdate, TurnEnd, TurnError, TurnResult,
};
use longhaul_testkit::ScriptedModel;
#[cfg(unix)]
use longhaul_testkit::patience;
use longhaul_testkit::server::Server;
use longhaul_transport::ModelError;
use serde_json::{Value, json};

/// No table knows the test's model: what is not configured would be assumed, with a warning.
pub(crate) const WINDOW: u64 = 100_000;

/// A copy of a folder, as it would be found if the process died now.
pub(crate) fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy_folder(&from, &to);
        } else if let Err(error) = std::fs::copy(from, to) {
            // Sessions that this one was forked from are being shut down.
            assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{error}");
        }
    }
}

/// A task that leaves nothing.
pub(crate) struct Nothing;

#[async_trait]
impl SessionTask for Nothing {
    async fn run(&self, _: &TaskScope) -> Result<TurnResult, TurnError> {
        Ok(TurnResult::empty(TurnEnd::Complete))
    }
}

/// An agent over a scripted model.
pub(crate) fn scripted(model: &ScriptedModel) -> AgentBuilder {
    Agent::builder("test-model", Arc::new(model.clone())).context_window(WINDOW)
}

/// The same agent, with a log of each session or without.
pub(crate) fn kept_if(agent: AgentBuilder, is_kept: bool) -> AgentBuilder {
    if is_kept { agent.store(MemoryStore::new()) } else { agent }
}

/// A session with nothing but a model, with or without a log.
pub(crate) async fn started(model: &ScriptedModel, is_kept: bool) -> Session {
    kept_if(scripted(model), is_kept).build().unwrap().session().start().await.unwrap()
}

/// An agent over real HTTP.
pub(crate) fn over_http(server: &Server) -> AgentBuilder {
    Agent::builder("test-model", provider(server)).context_window(WINDOW)
}

pub(crate) fn provider(server: &Server) -> Provider {
    Provider::custom(&server.base_url()).unwrap()
}

/// An event as one line.
pub(crate) fn line(event: &Event) -> String {
    match event {
        Event::TurnStarted { .. } => "started".into(),
        Event::ItemStarted(item) => format!("item+ {}", kind(&item.kind)),
        Event::ItemCompleted(item) => match item.kind.message_text() {
            Some(text) => format!("item= {} {text}", kind(&item.kind)),
            None => format!("item= {}", kind(&item.kind)),
        },
        Event::TextDelta(text) => format!("text {text}"),
        Event::ReasoningDelta(text) => format!("think {text}"),
        Event::ToolCallBegin { call_id, name, arguments } => {
            format!("begin {call_id} {name} {arguments}")
        }
        Event::ToolProgress { call_id, message } => format!("progress {call_id} {message}"),
        Event::ToolCallEnd { call_id, success, output, .. } => {
            format!("end {call_id} {} {output}", if *success { "ok" } else { "failed" })
        }
        Event::TokenCount { info, .. } => {
            let total = info.map_or(0, |info| info.total_token_usage.total);
            format!("tokens {total}")
        }
        Event::StreamError { attempt, max_attempts, error, .. } => {
            format!("retry {attempt}/{max_attempts} {}", error.code())
        }
        Event::StreamRecovered { attempts } => format!("recovered {attempts}"),
        Event::HistoryRepaired(repairs) => format!("repaired {}", repairs.len()),
        Event::Background(message) => format!("background {message}"),
        Event::CompactionStarted { trigger } => format!("compacting {}", trigger.as_str()),
        Event::ContextCompacted(report) => {
            let (trigger, strategy) = (report.trigger.as_str(), &report.strategy);
            format!("compacted {trigger} {strategy} requests {}", report.requests)
        }
        Event::Warning(error) => format!("warning {}", error.code()),
        Event::Error(error) => format!("error {}", error.code()),
        Event::TurnComplete { last_agent_message } => {
            format!("complete {}", last_agent_message.as_deref().unwrap_or("-"))
        }
        Event::TurnAborted { reason: AbortReason::Interrupted } => "aborted".into(),
        Event::TurnAborted { reason } => format!("aborted {}", reason.as_str()),
        Event::ApprovalRequest { call_id, name, arguments, .. } => {
            format!("ask {call_id} {name} {arguments}")
        }
        Event::ApprovalAnswered { call_id, approved, .. } => {
            format!("answered {call_id} {}", if *approved { "yes" } else { "no" })
        }
        Event::ToolCallDenied { call_id, reason, .. } => format!("denied {call_id} {reason}"),
        Event::ShutdownComplete => "ended".into(),
        event => format!("{event:?}"),
    }
}

fn kind(kind: &TurnItemKind) -> &'static str {
    match kind {
        TurnItemKind::UserMessage { .. } => "user",
        TurnItemKind::AgentMessage { .. } => "agent",
        TurnItemKind::Reasoning { .. } => "reasoning",
        TurnItemKind::WebSearch { .. } => "search",
        TurnItemKind::ContextCompaction => "compaction",
        _ => "other",
    }
}

/// All events that are left, as lines.
pub(crate) async fn lines(turn: &mut TurnHandle) -> Vec<String> {
    let mut lines = Vec::new();
    while let Some(event) = turn.next().await {
        lines.push(line(&event));
    }
    lines
}

/// Reads on until an event of which `is_it` says yes; gives the lines up to it.
pub(crate) async fn until(turn: &mut TurnHandle, is_it: impl Fn(&str) -> bool) -> Vec<String> {
    let mut lines = Vec::new();
    while let Some(event) = turn.next().await {
        lines.push(line(&event));
        if is_it(&lines[lines.len() - 1]) {
            return lines;
        }
    }
    panic!("it never came: {lines:?}");
}

/// How often the turn says that it is over.
pub(crate) fn ends(lines: &[String]) -> usize {
    let is_end = |line: &&String| line.starts_with("complete") || line.starts_with("aborted");
    lines.iter().filter(is_end).count()
}

/// The items of a request or a conversation, one short line each.
pub(crate) fn items(input: &[Value]) -> Vec<String> {
    input.iter().map(item).collect()
}

fn item(item: &Value) -> String {
    let text = |key: &str| match &item[key] {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        parts => texts(parts),
    };
    match item["type"].as_str().unwrap_or_default() {
        "message" => format!("{} {}", text("role"), text("content")),
        "function_call" => {
            format!("call {} {} {}", text("call_id"), text("name"), text("arguments"))
        }
        "custom_tool_call" => {
            format!("custom {} {} {}", text("call_id"), text("name"), text("input"))
        }
        "function_call_output" => format!("output {} {}", text("call_id"), text("output")),
        "custom_tool_call_output" => {
            format!("custom output {} {}", text("call_id"), text("output"))
        }
        "reasoning" => format!("reasoning {}", text("summary")),
        _ => item.to_string(),
    }
}

fn texts(parts: &Value) -> String {
    let parts = parts.as_array().map(Vec::as_slice).unwrap_or_default();
    let texts = parts
        .iter()
        .map(|part| part["text"].as_str().or(part["image_url"].as_str()).unwrap_or_default());
    texts.collect::<Vec<_>>().join("|")
}

/// The conversation as the session holds it.
pub(crate) fn conversation(history: &History) -> Vec<String> {
    let json = history.prompt(ReasoningFilter::KeepAll).to_json();
    items(&serde_json::from_str::<Vec<Value>>(&json).unwrap())
}

/// A tool made of a closure.
#[derive(Clone)]
pub(crate) struct Probe {
    spec: ToolSpec,
    effect: Effect,
    timeout: Option<Duration>,
    asks: bool,
    run: Arc<dyn Fn(ToolCall, ToolContext) -> BoxFuture<'static, ToolOutput> + Send + Sync>,
}

impl Probe {
    /// A function tool with [`Effect::Read`].
    pub(crate) fn new<F: Future<Output = ToolOutput> + Send + 'static>(
        name: &str,
        run: impl Fn(ToolCall, ToolContext) -> F + Send + Sync + 'static,
    ) -> Self {
        Self {
            spec: ToolSpec::function(name, "", json!({"type": "object"})),
            effect: Effect::Read,
            timeout: None,
            asks: false,
            run: Arc::new(move |call, context| Box::pin(run(call, context))),
        }
    }

    /// A tool that answers with its own arguments.
    pub(crate) fn echo(name: &str) -> Self {
        Self::new(name, |call, _| async move { ToolOutput::text(call.arguments) })
    }

    /// A tool that never ends by itself.
    pub(crate) fn endless(name: &str) -> Self {
        Self::new(name, |_, _| std::future::pending())
    }

    pub(crate) fn write(mut self) -> Self {
        self.effect = Effect::Write;
        self
    }

    /// A tool whose calls ask first.
    pub(crate) fn asks(mut self) -> Self {
        self.asks = true;
        self
    }

    /// Calls `begin` when the tool starts, and drops what it gives when the tool ends or is stopped.
    pub(crate) fn around(
        mut self,
        begin: impl Fn(&ToolCall) -> Box<dyn Send> + Send + Sync + 'static,
    ) -> Self {
        let run = Arc::clone(&self.run);
        self.run = Arc::new(move |call, context| {
            let (run, running) = (Arc::clone(&run), begin(&call));
            Box::pin(async move {
                let _running = running;
                run(call, context).await
            })
        });
        self
    }

    pub(crate) fn custom(mut self) -> Self {
        self.spec = ToolSpec::custom(self.spec.name, "");
        self
    }

    pub(crate) fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }
}

#[async_trait]
impl Tool for Probe {
    fn spec(&self) -> ToolSpec {
        self.spec.clone()
    }

    fn effect(&self) -> Effect {
        self.effect
    }

    fn timeout(&self) -> Option<Duration> {
        self.timeout
    }

    fn needs_approval(&self) -> bool {
        self.asks
    }

    async fn call(&self, call: ToolCall, context: ToolContext) -> ToolOutput {
        (self.run)(call, context).await
    }
}

/// A model that lets others run before each of its events, so that a test sees every state.
pub(crate) struct Yielding(pub(crate) ScriptedModel);

#[async_trait]
impl Model for Yielding {
    async fn stream(&self, request: &Request) -> Result<ResponseStream, ModelError> {
        use futures_util::StreamExt;
        yield_twice().await;
        let events = self.0.stream(request).await?;
        Ok(events
            .then(|event| async {
                yield_twice().await;
                event
            })
            .boxed())
    }

    fn retry_policy(&self) -> longhaul_transport::RetryPolicy {
        Model::retry_policy(&self.0)
    }
}

/// Runs a case of a property on one thread, where time passes when nothing else can.
pub(crate) fn in_virtual_time(case: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(case);
}

/// The test runs, and whatever the test woke.
pub(crate) async fn yield_twice() {
    yield_times(3).await;
}

/// Lets others run so often.
pub(crate) async fn yield_times(times: u8) {
    for _ in 0..times {
        tokio::task::yield_now().await;
    }
}

/// Later turns work in the folder `/n`.
pub(crate) async fn move_to(session: &Session, n: u8) {
    let mut change = SettingsUpdate::default();
    change.cwd = Some(format!("/{n}").into());
    session.configure(change).await.unwrap();
}

/// Waits for what another process does. Virtual time stands still meanwhile.
#[cfg(unix)]
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(|| patience::in_time(work)).await.unwrap().unwrap()
}

/// A folder that is removed in the end.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::SeqCst);
        let name = format!("longhaul-session-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
