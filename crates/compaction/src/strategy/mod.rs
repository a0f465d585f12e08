//! The seam for ways to make a conversation shorter.

mod clear_outputs;
mod drop_images;
mod extract;
mod summarise;

use longhaul_history::Part;

use crate::{Budget, Error, Replacement, View};

pub use clear_outputs::ClearOutputs;
pub(crate) use clear_outputs::is_cleared;
pub use drop_images::DropImages;
pub use extract::Extract;
pub use summarise::{Summarise, SummaryModel};

/// A way to make a conversation shorter: a rung of the ladder.
///
/// Pure: it is given what stands and what has happened, and says what to do. What it makes is put to
/// the same test as every other result before it is installed, so it need not count what comes out.
///
/// One that asks no model because the agent keeps notes in a file:
///
/// ```
/// use std::sync::Arc;
/// use longhaul_compaction::{Budget, Config, Progress, Step, Strategy, View};
///
/// struct Notes;
///
/// impl Strategy for Notes {
///     fn name(&self) -> &str {
///         "notes"
///     }
///
///     fn next(&self, view: &View, budget: &Budget, _: &Progress) -> Step {
///         if view.is_compact(budget) {
///             return Step::Skip;
///         }
///         match view.bridge("Everything so far is in NOTES.md: read it first.", budget) {
///             Ok(replacement) => Step::Install(replacement),
///             Err(error) => Step::Fail(error),
///         }
///     }
/// }
///
/// let mut config = Config::default();
/// config.rungs = vec![Arc::new(Notes)];
/// ```
pub trait Strategy: Send + Sync {
    /// Its name in reports.
    fn name(&self) -> &str;

    /// What to do next. Called first with no answers in `progress`, and again with each answer to
    /// what it asked, until it installs something or gives up.
    fn next(&self, view: &View, budget: &Budget, progress: &Progress) -> Step;
}

/// What a strategy wants.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Step {
    /// Put this in the place of the conversation.
    Install(Replacement),
    /// Ask a model this.
    Ask(Ask),
    /// The next rung is to try; nothing went wrong.
    Skip,
    /// The next rung is to try, because of this.
    Fail(Error),
}

/// A request to a model: the conversation, and a prompt behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// The part of the conversation that is sent, as parts of it; new items may stand between.
    pub input: Vec<Part>,
    /// What is asked, as the last message of the user.
    pub prompt: String,
    /// The model; `None` for the one in use.
    pub model: Option<String>,
    /// Items of the conversation that are left out.
    pub trimmed_items: usize,
    /// Tokens of the whole request, by the local count.
    pub tokens: u64,
}

/// What has happened on a rung so far.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Progress {
    /// What the strategy asked and what came of it, in order.
    pub answers: Vec<(Ask, Answer)>,
}

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Answer {
    /// All texts of the answer; may be blank. Calls in it were not run.
    Text(String),
    /// The server found the request too long; the counts are its own, as far as it stated any.
    TooLong {
        /// Tokens of the request.
        prompt: Option<u64>,
        /// The raw context window.
        window: Option<u64>,
    },
    /// There is no answer: a failure that no retry could cure.
    Failed,
}
