//! Asking again where an answer cannot be read.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use longhaul_history::{ContentPart, History, Item, ItemView};
use longhaul_state::protocol::{Event, TurnEnd, TurnError, TurnResult};

use crate::task::{SessionTask, TaskScope};

/// Says what is wrong with an answer, if anything is.
type Check = dyn Fn(&str) -> Option<String> + Send + Sync;

/// A turn whose answer is read before it ends. Where that fails its model is told why and answers
/// again, so often; a refusal is an answer.
pub(super) struct Repairing {
    pub(super) task: Arc<dyn SessionTask>,
    pub(super) check: Box<Check>,
    pub(super) repairs: u32,
    pub(super) said: Said,
}

/// What the model said that is no answer.
#[derive(Clone, Default)]
pub(super) struct Said(Arc<Mutex<NoAnswer>>);

#[derive(Clone, Default)]
pub(super) struct NoAnswer {
    /// In the place of its answer, if it refused one.
    pub(super) refusal: Option<String>,
    /// An answer that cannot be read, where it was asked again.
    pub(super) unreadable: Option<String>,
}

impl Said {
    pub(super) fn take(&self) -> NoAnswer {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn set(&self, said: NoAnswer) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = said;
    }
}

#[async_trait]
impl SessionTask for Repairing {
    async fn run(&self, scope: &TaskScope) -> Result<TurnResult, TurnError> {
        let mut result = self.task.run(scope).await?;
        for _ in 0..self.repairs {
            let Some(problem) = self.problem(scope, &result) else {
                return Ok(result);
            };
            let unreadable = result.last_message.take();
            self.said.set(NoAnswer { unreadable, refusal: None });
            scope.emit(Event::Background(format!("asking again: {problem}")));
            scope.record([ask_again(&problem)]);
            result = self.task.run(scope).await?;
        }
        self.problem(scope, &result);
        Ok(result)
    }
}

impl Repairing {
    /// What is wrong with the answer that can be put right. Takes note of a refusal.
    fn problem(&self, scope: &TaskScope, result: &TurnResult) -> Option<String> {
        if result.end != TurnEnd::Complete {
            return None;
        }
        let refusal = refusal(&scope.history());
        let is_refused = refusal.is_some();
        self.said.set(NoAnswer { refusal, unreadable: None });
        let answer = result.last_message.as_deref().unwrap_or_default();
        (self.check)(answer).filter(|_| !is_refused)
    }
}

/// It is context: not the user's words, and not to be quoted as such.
fn ask_again(problem: &str) -> Item {
    Item::user(format!(
        "<additional_context>\nYour last answer cannot be read: {}\nAnswer again, with nothing but \
         JSON that follows the schema.\n</additional_context>",
        problem.replace("</", "<\\/")
    ))
}

/// The refusal in the last message, if there is one: in an earlier one it answers something else.
fn refusal(history: &History) -> Option<String> {
    let content = history.iter().rev().find_map(|item| match item.view() {
        ItemView::Message { content, .. } => Some(content),
        _ => None,
    });
    content?.into_iter().find_map(|part| match part {
        ContentPart::Refusal { refusal } => Some(refusal),
        _ => None,
    })
}
