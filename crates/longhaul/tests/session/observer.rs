//! All that is seen of a session from outside, noted for the testkit's checker.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::StreamExt;
use longhaul::history::Item;
use longhaul::history::turn_item::TurnItemKind;
use longhaul::prelude::*;
use longhaul::state::protocol::TurnEnd;
use longhaul::transport::{Model, ModelError, Request, ResponseEvent, ResponseStream};
use longhaul_testkit::check::session::{
    Call, EventKind, InputEnd, Recorder, RequestKind, Rules, Summary, check,
};
use longhaul_transport::{RetryPolicy, TaskKind};
use serde_json::Value;
use tokio::task::JoinHandle;

use super::support::Probe;

/// Notes what its model is asked, what its tools do, and what its reader reads.
#[derive(Clone, Default)]
pub(crate) struct Observer {
    seen: Recorder,
}

impl Observer {
    /// What else is to be noted: inputs, answers, ends.
    pub(crate) fn seen(&self) -> &Recorder {
        &self.seen
    }

    /// A model whose requests and responses are noted.
    pub(crate) fn model(&self, model: impl Model + 'static) -> Arc<dyn Model> {
        Arc::new(Observed { model, seen: self.seen.clone() })
    }

    /// A function tool whose starts and ends are noted.
    pub(crate) fn tool(&self, tool: Probe) -> Probe {
        let seen = self.seen.clone();
        tool.around(move |call| {
            seen.effect_start(Call::new(&*call.call_id, &*call.name, &*call.arguments));
            Box::new(Ended { call_id: call.call_id.clone(), seen: seen.clone() })
        })
    }

    /// Reads all events of a session that has just begun, until it is shut down.
    pub(crate) fn read(&self, session: &Session) -> JoinHandle<()> {
        let (seen, mut events) = (self.seen.clone(), session.subscribe(1));
        tokio::spawn(async move {
            let mut failed = false;
            while let Some(event) = events.next().await {
                let kind = kind(&event.event, &mut failed);
                let is_cut = kind == EventKind::TurnAborted;
                seen.event(event.number, &*event.turn_id, kind);
                if is_cut {
                    seen.interrupt_returned(&*event.turn_id);
                }
            }
        })
    }

    /// The handle of an input told its end.
    pub(crate) fn settled(&self, input: &str, result: &Result<TurnResult, TurnError>) {
        let end = match result.as_ref().map(|result| &result.end) {
            Ok(TurnEnd::Complete) => InputEnd::Completed,
            Ok(TurnEnd::Withdrawn) => InputEnd::Withdrawn,
            Ok(_) => InputEnd::Aborted,
            Err(_) => InputEnd::Failed,
        };
        self.seen.settled(input, end);
    }

    /// Holds everything against what a session promises; tools of these names need a yes.
    pub(crate) fn check(&self, asks: &[&str]) -> Summary {
        let rules = Rules { asks: asks.iter().map(ToString::to_string).collect() };
        let log = self.seen.log();
        check(&log, &rules).unwrap_or_else(|found| {
            let entries: Vec<_> =
                log.entries.iter().map(|entry| serde_json::to_string(entry).unwrap()).collect();
            panic!("{found:#?}\n{}", entries.join("\n"))
        })
    }
}

fn kind(event: &Event, failed: &mut bool) -> EventKind {
    match event {
        Event::TurnStarted { .. } => EventKind::TurnStarted,
        Event::TurnComplete { .. } => EventKind::TurnComplete { failed: std::mem::take(failed) },
        Event::TurnAborted { .. } => EventKind::TurnAborted,
        Event::TextDelta(text) => EventKind::TextDelta(text.clone()),
        Event::ItemCompleted(item) => EventKind::ItemCompleted {
            text: item.kind.message_text(),
            is_user: matches!(item.kind, TurnItemKind::UserMessage { .. }),
        },
        Event::StreamError { .. } => EventKind::StreamError,
        Event::ToolCallBegin { call_id, .. } => EventKind::ToolBegin { call_id: call_id.clone() },
        Event::ToolCallEnd { call_id, .. } => EventKind::ToolEnd { call_id: call_id.clone() },
        Event::ContextCompacted(_) => EventKind::Compacted,
        Event::UndoCompleted { success: true, .. } => EventKind::Undone,
        Event::Missed { first, last } => EventKind::Missed { first: *first, last: *last },
        other => {
            *failed |= matches!(other, Event::Error(_));
            EventKind::Other(format!("{other:?}"))
        }
    }
}

/// Notes the end of a tool, also of one that is stopped.
struct Ended {
    call_id: String,
    seen: Recorder,
}

impl Drop for Ended {
    fn drop(&mut self) {
        self.seen.effect_end(&*self.call_id);
    }
}

struct Observed<M> {
    model: M,
    seen: Recorder,
}

#[async_trait]
impl<M: Model> Model for Observed<M> {
    async fn stream(&self, request: &Request) -> Result<ResponseStream, ModelError> {
        let kind = match request.task_kind {
            TaskKind::Review => RequestKind::Review,
            TaskKind::Compact => RequestKind::Compact,
            _ => RequestKind::Turn,
        };
        let body: Value = serde_json::from_slice(&self.model.encode(request)?).unwrap();
        self.seen.request(kind, body["input"].as_array().unwrap().clone());
        let response = self.model.stream(request).await;
        let response = response.inspect_err(|_| self.seen.response_failed())?;
        let (seen, mut calls) = (self.seen.clone(), Vec::new());
        Ok(response
            .inspect(move |event| match event {
                Ok(ResponseEvent::ItemDone(item)) => calls.extend(call(item)),
                Ok(ResponseEvent::Completed(_)) => {
                    seen.response_completed(std::mem::take(&mut calls));
                }
                Ok(_) => {}
                Err(_) => seen.response_failed(),
            })
            .boxed())
    }

    fn retry_policy(&self) -> RetryPolicy {
        self.model.retry_policy()
    }
}

fn call(item: &Item) -> Option<Call> {
    let item: Value = serde_json::from_str(item.json()).unwrap();
    let field = |name: &str| item[name].as_str().map(str::to_owned);
    (item["type"] == "function_call")
        .then(|| Some(Call::new(field("call_id")?, field("name")?, field("arguments")?)))?
}
