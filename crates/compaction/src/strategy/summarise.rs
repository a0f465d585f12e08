//! A model sums the conversation up.

use std::borrow::Cow;

use super::{Answer, Ask, Progress, Step, Strategy};
use crate::budget::{countable, less_reserve};
use crate::trim::{Trimmed, fixed_tokens, trim, whole};
use crate::{Budget, Cause, Error, Refused, SUMMARIZATION_PROMPT, View};

/// Has a model sum the conversation up, and puts a bridge in its place.
///
/// The request is the ordinary one with the prompt as its last message, so that the server's prompt
/// cache still has it. If the window is known the request is made to fit it before it is sent; if the
/// server refuses it all the same, it is sent again with what the server's counts say that fits, or with
/// half of what may be left out. The initial context, pinned items, the last bridge and the user's last
/// message are never left out.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Summarise {
    /// What the model is told. Default: [`SUMMARIZATION_PROMPT`].
    pub prompt: Cow<'static, str>,
    /// What it is told besides: what matters in this session. Default: nothing.
    pub guidance: Option<String>,
    /// The model that is asked. Default: the one in use.
    pub model: Option<SummaryModel>,
}

/// Another model that sums conversations up, behind the same server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SummaryModel {
    /// Its slug.
    pub slug: String,
    /// Its effective context window in tokens, if you know it.
    pub window: Option<u64>,
}

impl Default for Summarise {
    fn default() -> Self {
        Self { prompt: Cow::Borrowed(SUMMARIZATION_PROMPT), guidance: None, model: None }
    }
}

impl Strategy for Summarise {
    fn name(&self) -> &'static str {
        "summarise"
    }

    fn next(&self, view: &View, budget: &Budget, progress: &Progress) -> Step {
        if view.is_compact(budget) {
            return Step::Skip;
        }
        match progress.answers.last() {
            None => self.first(view, budget),
            Some((_, Answer::Text(text))) if text.trim().is_empty() => Step::Fail(Error::NoSummary),
            Some((_, Answer::Text(text))) => match view.bridge(text, budget) {
                Ok(replacement) => Step::Install(replacement),
                Err(error) => Step::Fail(error),
            },
            Some((ask, Answer::TooLong { prompt, window })) => {
                let refused = Refused { counted: ask.tokens, prompt: *prompt, window: *window };
                self.again(view, budget, ask, refused)
            }
            Some((_, Answer::Failed)) => Step::Fail(Error::Model),
        }
    }
}

impl Summarise {
    /// The first request: as much of the conversation as is known to fit.
    fn first(&self, view: &View, budget: &Budget) -> Step {
        let input = whole(view);
        let own = self.own_tokens(view, budget);
        let by_window = self.window(budget).map(|window| {
            budget.items_within(less_reserve(window)).saturating_sub(own - budget.overhead)
        });
        let by_refusal = match budget.cause {
            // Another model may take what the one in use refused.
            Cause::Refused(refused) if self.model.is_none() => {
                Some(fitting_items(view, input.tokens, own, refused))
            }
            _ => None,
        };
        let most = by_window.into_iter().chain(by_refusal).min();
        match most.filter(|most| input.tokens > *most) {
            None => Step::Ask(self.ask(input, own)),
            Some(most) => {
                let trimmed = trim(view, most);
                let surely_too_long = by_window.is_some_and(|fitting| trimmed.tokens > fitting);
                if surely_too_long {
                    return Step::Fail(Error::RequestTooLong { trimmed_items: trimmed.items });
                }
                Step::Ask(self.ask(trimmed, own))
            }
        }
    }

    /// The next request, after the server found one too long.
    fn again(&self, view: &View, budget: &Budget, before: &Ask, refused: Refused) -> Step {
        let own = self.own_tokens(view, budget);
        let sent = before.tokens.saturating_sub(own);
        let trimmed = trim(view, fitting_items(view, sent, own, refused));
        if trimmed.items <= before.trimmed_items {
            return Step::Fail(Error::RequestTooLong { trimmed_items: before.trimmed_items });
        }
        Step::Ask(self.ask(trimmed, own))
    }

    fn ask(&self, Trimmed { input, tokens, items }: Trimmed, own: u64) -> Ask {
        Ask {
            input,
            prompt: self.text(),
            model: self.model.as_ref().map(|model| model.slug.clone()),
            trimmed_items: items,
            tokens: tokens.saturating_add(own),
        }
    }

    fn text(&self) -> String {
        match &self.guidance {
            None => self.prompt.clone().into_owned(),
            Some(guidance) => [&*self.prompt, guidance].join("\n\n"),
        }
    }

    /// Tokens of the request besides the conversation.
    fn own_tokens(&self, view: &View, budget: &Budget) -> u64 {
        let prompt = view.history().config().counter.count_text(&self.text());
        budget.overhead.saturating_add(prompt)
    }

    /// The window of the model that is asked.
    fn window(&self, budget: &Budget) -> Option<u64> {
        match &self.model {
            Some(model) => countable(model.window),
            None => budget.countable_window(),
        }
    }
}

/// Tokens that the conversation may have after a request with `sent` of them was refused: what the
/// server's counts say, else half of what may be left out.
fn fitting_items(view: &View, sent: u64, own: u64, refused: Refused) -> u64 {
    let fixed = fixed_tokens(view);
    let half = fixed + sent.saturating_sub(fixed) / 2;
    match refused.fitting() {
        Some(fitting) => fitting.saturating_sub(own).min(sent.saturating_sub(1)),
        None => half,
    }
}
