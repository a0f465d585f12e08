//! The tools of a response while they run.

use std::collections::BTreeMap;
use std::time::Duration;

use longhaul_compaction::truncate;
use longhaul_history::{CallKind, CallOutput, OutputPart};
use longhaul_state::protocol::Event;
use longhaul_state::turn::{PlannedCall, ToolEnd};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::task::TaskScope;
use crate::tool::{ToolCall, ToolContext, ToolForm, ToolOutput, ToolSet};

/// Tools have this long to end after an interrupt.
const GRACE: Duration = Duration::from_millis(100);

/// Stopping a task that yields takes microseconds; one that does not is waited for no longer than this.
const STOPPING: Duration = Duration::from_millis(10);

/// Calls that run. Dropping it stops them.
pub(super) struct RunningTools {
    set: JoinSet<ToolOutput>,
    running: BTreeMap<Id, Running>,
    durations: BTreeMap<usize, Duration>,
    cancel: CancellationToken,
}

struct Running {
    position: usize,
    name: String,
    since: Instant,
    max_output_bytes: usize,
}

impl RunningTools {
    pub(super) fn new() -> Self {
        Self {
            set: JoinSet::new(),
            running: BTreeMap::new(),
            durations: BTreeMap::new(),
            cancel: CancellationToken::new(),
        }
    }

    /// Starts a call.
    pub(super) fn start(&mut self, scope: &TaskScope, call: PlannedCall) {
        scope.emit(Event::ToolCallBegin {
            call_id: call.call_id.clone(),
            name: call.name.clone(),
            arguments: call.arguments.clone(),
        });
        let context = scope.tool_context(&call.call_id, self.cancel.child_token());
        let running = Running {
            position: call.position,
            name: call.name.clone(),
            since: Instant::now(),
            max_output_bytes: context.max_output_bytes,
        };
        let span = tracing::info_span!(
            "execute_tool",
            otel.name = %format_args!("execute_tool {}", call.name),
            otel.kind = "internal",
            gen_ai.operation.name = "execute_tool",
            gen_ai.tool.name = call.name,
            gen_ai.tool.call.id = call.call_id,
        );
        let task = self.set.spawn(run(scope.tools().clone(), call, context).instrument(span));
        self.running.insert(task.id(), running);
    }

    /// Waits for the next call to end; never, if none runs.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub(super) async fn next(&mut self) -> (usize, ToolEnd) {
        loop {
            let Some(joined) = self.set.join_next_with_id().await else {
                std::future::pending::<()>().await;
                continue;
            };
            if let Some(ended) = self.end(joined) {
                return ended;
            }
        }
    }

    fn end(&mut self, joined: Result<(Id, ToolOutput), JoinError>) -> Option<(usize, ToolEnd)> {
        let (id, output) = match joined {
            Ok((id, output)) => (id, Some(output)),
            Err(error) => (error.id(), None),
        };
        let call = self.running.remove(&id)?;
        let output = output.unwrap_or_else(|| {
            let message = format!("the tool `{}` crashed; its effect is unknown", call.name);
            ToolOutput::error(message)
        });
        self.durations.insert(call.position, call.since.elapsed());
        let end = ToolEnd {
            output: bounded(output.content, call.max_output_bytes),
            success: output.success,
        };
        Some((call.position, end))
    }

    /// Tells all calls to stop, waits for a grace period, and stops those that still run. Gives
    /// what ended by itself.
    pub(super) async fn stop(&mut self) -> Vec<(usize, ToolEnd)> {
        self.cancel.cancel();
        let deadline = Instant::now() + GRACE;
        let mut ended = Vec::new();
        while !self.set.is_empty() {
            let Ok(Some(joined)) = timeout_at(deadline, self.set.join_next_with_id()).await else {
                break;
            };
            ended.extend(self.end(joined));
        }
        self.set.abort_all();
        // What a tool holds, children among it, is gone before the turn says that it has ended.
        let gone = async { while self.set.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(STOPPING, gone).await;
        self.forget_running();
        ended
    }

    /// Gives what has ended by itself so far, and forgets the rest.
    pub(super) fn give_up(&mut self) -> Vec<(usize, ToolEnd)> {
        let mut ended = Vec::new();
        while let Some(joined) = self.set.try_join_next_with_id() {
            ended.extend(self.end(joined));
        }
        self.forget_running();
        ended
    }

    fn forget_running(&mut self) {
        for call in std::mem::take(&mut self.running).into_values() {
            self.durations.insert(call.position, call.since.elapsed());
        }
    }

    /// How long the call ran.
    pub(super) fn duration(&mut self, position: usize) -> Duration {
        self.durations.remove(&position).unwrap_or_default()
    }
}

/// Runs one call to an output, whatever it takes.
async fn run(tools: ToolSet, call: PlannedCall, context: ToolContext) -> ToolOutput {
    let Some(entry) = tools.get(&call.name) else {
        return unsupported(&call);
    };
    if let Err(problem) = fits(&entry.form, &call) {
        return ToolOutput::error(problem);
    }
    let tool_call = ToolCall { call_id: call.call_id, name: call.name, arguments: call.arguments };
    let running = entry.tool.call(tool_call, context);
    match entry.tool.timeout() {
        None => running.await,
        Some(limit) => tokio::time::timeout(limit, running).await.unwrap_or_else(|_| {
            let limit = limit.as_millis();
            let message = format!("the tool was stopped after {limit} ms; its effect is unknown");
            ToolOutput::error(message)
        }),
    }
}

/// Whether the tool of a call exists and can take it.
pub(super) fn could_run(tools: &ToolSet, call: &PlannedCall) -> bool {
    tools.get(&call.name).is_some_and(|entry| fits(&entry.form, call).is_ok())
}

fn unsupported(call: &PlannedCall) -> ToolOutput {
    let name = &call.name;
    ToolOutput::error(match call.kind {
        CallKind::Custom => format!("unsupported custom tool call: {name}"),
        CallKind::Function | CallKind::LocalShell => format!("unsupported call: {name}"),
    })
}

/// Whether the model called the tool as it is to be called. Arguments are never repaired.
fn fits(form: &ToolForm, call: &PlannedCall) -> Result<(), String> {
    let name = &call.name;
    match (form, call.kind) {
        (ToolForm::Function { .. }, CallKind::Function) => {
            match serde_json::from_str::<serde::de::IgnoredAny>(&call.arguments) {
                Ok(_) => Ok(()),
                Err(error) => Err(format!("the arguments are not valid JSON: {error}")),
            }
        }
        (ToolForm::Custom { .. }, CallKind::Custom)
        | (ToolForm::Hosted(_), CallKind::LocalShell) => Ok(()),
        (ToolForm::Custom { .. }, _) => Err(format!("`{name}` takes free text, not arguments")),
        _ => Err(format!("`{name}` takes JSON arguments, not free text")),
    }
}

/// The output within its bound, all parts together: of a larger text head and tail are kept, and a
/// larger image gives way to a line that says so.
fn bounded(output: CallOutput, max_bytes: usize) -> CallOutput {
    let mut left = max_bytes;
    match output {
        CallOutput::Text(text) => CallOutput::Text(cut(text, &mut left)),
        CallOutput::Parts(parts) => {
            let parts = parts.into_iter().map(|part| match part {
                OutputPart::InputText { text } => {
                    OutputPart::InputText { text: cut(text, &mut left) }
                }
                OutputPart::InputImage { image_url } if image_url.len() > left => {
                    let length = image_url.len();
                    let text = format!("[an image of {length} bytes is left out]");
                    OutputPart::InputText { text: cut(text, &mut left) }
                }
                OutputPart::InputImage { image_url } => {
                    left -= image_url.len();
                    OutputPart::InputImage { image_url }
                }
                part => part,
            });
            CallOutput::Parts(parts.collect())
        }
        output => output,
    }
}

/// The text within so many bytes, which are fewer then.
fn cut(text: String, left: &mut usize) -> String {
    let truncated = truncate::middle(&text, *left);
    let kept = match truncated.cut {
        None => text,
        Some(_) => truncated.text.into_owned(),
    };
    *left = left.saturating_sub(kept.len());
    kept
}
