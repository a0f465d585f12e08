//! Reviews: a turn over a conversation of its own, of which the session learns the result.

mod note;
mod parse;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use async_trait::async_trait;
use longhaul_history::Item;
use longhaul_state::protocol::{Event, ReviewOutput, Settings, TurnEnd, TurnError, TurnResult};
use longhaul_transport::request::{Reasoning, TaskKind};

use super::CodingContext;
use crate::task::{Aside, Regular, SessionTask, TaskScope};

pub use parse::parse;

/// What a reviewing model is told to do.
pub const RUBRIC: &str = include_str!("rubric.md");

/// Reviews something with a model that has not seen the conversation.
///
/// It asks over a history of its own, with the session's tools and its own instructions; that history
/// is compacted like any other. What the model says until then is kept from those who watch. At its
/// end, whatever that is, one [`Event::ExitedReviewMode`] tells the result, and one note about it goes
/// into the session's conversation.
#[derive(Debug, Clone)]
pub struct Review {
    prompt: String,
    model: Option<String>,
}

impl Review {
    /// A review of what `prompt` says.
    pub fn of(prompt: impl Into<String>) -> Self {
        Self { prompt: prompt.into(), model: None }
    }

    /// By another model than the session's.
    #[must_use]
    pub fn by(mut self, model: impl Into<String>) -> Self {
        self.model = Some(model.into());
        self
    }

    fn settings(&self, session: &Settings) -> Settings {
        let mut settings = session.clone();
        if let Some(model) = &self.model {
            settings.model.clone_from(model);
        }
        settings.verbosity = None;
        let (effort, summary) = (Some("low".into()), Some("detailed".into()));
        settings.reasoning = Some(Reasoning { effort, summary });
        settings
    }
}

#[async_trait]
impl SessionTask for Review {
    async fn run(&self, scope: &TaskScope) -> Result<TurnResult, TurnError> {
        scope.emit(Event::EnteredReviewMode { prompt: self.prompt.clone() });
        let mut leaving = Leaving { scope, output: None };
        let mut aside = Aside::new(self.settings(&scope.context().settings));
        aside.instructions = Some(RUBRIC.into());
        aside.context = Arc::new(CodingContext::new(None));
        aside.task_kind = TaskKind::Review;
        aside.hosted_tools = false;
        aside.hides_messages = true;
        let beside = scope.aside(aside, [Item::user(&self.prompt)]);
        let result = Regular.run(&beside).await;
        if let Ok(TurnResult { end: TurnEnd::Complete, last_message: Some(text), .. }) = &result {
            leaving.output = Some(parse(text));
        }
        result
    }
}

/// Ends the review when it is dropped: once, whatever ends it.
struct Leaving<'a> {
    scope: &'a TaskScope,
    output: Option<ReviewOutput>,
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        let output = self.output.take();
        self.scope.record([note::of(output.as_ref())]);
        self.scope.emit(Event::ExitedReviewMode { output });
    }
}
