//! One request for a summary.

use std::sync::Arc;

use futures_util::StreamExt;
use longhaul_compaction::Answer;
use longhaul_history::usage::TokenUsage;
use longhaul_history::{ContentPart, Item, ItemView, Role};
use longhaul_state::protocol::{Event, TurnError};
use longhaul_transport::{
    Completed, ErrorCode, ModelError, Request, ResponseEvent, SampleEvent, SampleStream, sample,
};
use tokio::time::Instant;

use crate::task::{TaskScope, retrying};

/// A request for a summary on its way. Nothing of its response is recorded: a stream that breaks leaves
/// nothing behind.
pub(super) struct Asking {
    stream: SampleStream,
    model: String,
    done: Vec<Item>,
    asked: Asked,
}

/// What came of it.
pub(super) struct Asked {
    pub(super) answer: Answer,
    pub(super) usage: TokenUsage,
    /// Requests besides the first.
    pub(super) repeats: u32,
    /// What it cost.
    pub(super) cost: f64,
    /// Why there is no answer, if there is none.
    pub(super) error: Option<TurnError>,
}

impl Asking {
    pub(super) fn start(scope: &TaskScope, request: Request, deadline: Option<Instant>) -> Self {
        let model = request.model.clone();
        let stream = sample(Arc::clone(scope.model()), Arc::new(request), deadline);
        let asked = Asked {
            answer: Answer::Failed,
            usage: TokenUsage::default(),
            repeats: 0,
            cost: 0.0,
            error: None,
        };
        Self { stream, model, done: Vec::new(), asked }
    }

    /// Reads the response to its end.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the connection.
    pub(super) async fn finish(mut self, scope: &TaskScope) -> Asked {
        while let Some(event) = self.stream.next().await {
            match event {
                Ok(SampleEvent::Response(ResponseEvent::Completed(completed))) => {
                    self.complete(&completed, scope);
                    break;
                }
                Ok(SampleEvent::Response(ResponseEvent::ItemDone(item))) => self.done.push(item),
                Ok(SampleEvent::Response(ResponseEvent::RateLimits(limits))) => {
                    scope.state().record_rate_limits(limits);
                    scope.emit_token_count();
                }
                Ok(SampleEvent::Retrying(event)) => {
                    self.done.clear();
                    self.asked.repeats += 1;
                    let used = retrying::tell(event, scope, scope.price_of(&self.model));
                    self.charge(&used, scope);
                }
                Ok(SampleEvent::Refreshed) => self.asked.repeats += 1,
                Ok(SampleEvent::Recovered { attempts }) => {
                    scope.emit(Event::StreamRecovered { attempts });
                }
                // Deltas are not for eyes.
                Ok(_) => {}
                Err(error) => self.fail(error, scope),
            }
        }
        self.asked
    }

    fn complete(&mut self, completed: &Completed, scope: &TaskScope) {
        let items = completed.reconcile(std::mem::take(&mut self.done));
        self.asked.answer = Answer::Text(text(&items));
        if let Some(usage) = completed.usage {
            self.charge(&usage, scope);
            scope.state().add_cost(scope.price_of(&self.model).cost(&usage));
            scope.state().record_usage(usage, scope.context_window().known_tokens());
        }
        scope.emit_token_count();
    }

    /// Counts what an attempt used.
    fn charge(&mut self, usage: &TokenUsage, scope: &TaskScope) {
        self.asked.usage.add(usage);
        self.asked.cost += scope.price_of(&self.model).cost(usage);
    }

    fn fail(&mut self, error: ModelError, scope: &TaskScope) {
        let used = retrying::note(&error, scope, scope.price_of(&self.model));
        self.charge(&used, scope);
        if let Some(tokens) = error.context_window() {
            scope.state().learn_window(&self.model, tokens);
        }
        if error.code() == ErrorCode::ContextWindowExceeded {
            let (prompt, window) = (error.prompt_tokens(), error.context_window());
            self.asked.answer = Answer::TooLong { prompt, window };
        }
        self.asked.error = Some(error.into());
    }
}

/// What the model said: all texts of all its messages. What it refuses, thinks or calls is none.
fn text(items: &[Item]) -> String {
    let messages = items.iter().filter_map(|item| match item.view() {
        ItemView::Message { role: Role::Assistant, content } => Some(content),
        _ => None,
    });
    let text = |part: &ContentPart| match part {
        ContentPart::OutputText { text } | ContentPart::InputText { text } => Some(text.clone()),
        _ => None,
    };
    let texts = messages.map(|content| content.iter().filter_map(text).collect::<String>());
    let texts: Vec<String> = texts.filter(|text| !text.trim().is_empty()).collect();
    texts.join("\n\n")
}
