//! What can be said of a conversation without a model.

use longhaul_history::{Item, ItemKind, ItemView};

use super::{Progress, Step, Strategy};
use crate::assemble;
use crate::keep::Tail;
use crate::quote::{Quota, last_within};
use crate::{Budget, Cause, Replacement, View};

/// Takes what can be taken from a conversation as it stands: the initial context, pinned items, the
/// user's messages, the summary that an earlier bridge holds, the last plan, and the newest items as far
/// as there is room. Asks no model and always gives the same.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Extract {
    /// The tools whose last call is the plan. Default: `update_plan`.
    pub plan_tools: Vec<String>,
    /// Tokens for the earlier summary and for the plan, each. Default: 4,000.
    pub text_tokens: u64,
}

impl Default for Extract {
    fn default() -> Self {
        Self { plan_tools: vec!["update_plan".to_owned()], text_tokens: 4_000 }
    }
}

/// How much an extract takes, less and less until it fits.
struct Size {
    tail: u64,
    quota: Quota,
    texts: u64,
}

impl Strategy for Extract {
    fn name(&self) -> &'static str {
        "extract"
    }

    fn next(&self, view: &View, budget: &Budget, _: &Progress) -> Step {
        let quota = view.quota(budget);
        let room = budget.room().unwrap_or(u64::MAX);
        let last = Quota { messages: 0, images: 0, ..quota };
        let sizes = [
            Size { tail: room / 4, quota, texts: self.text_tokens },
            Size { tail: 0, quota, texts: self.text_tokens },
            Size { tail: 0, quota: Quota { images: 0, ..quota }, texts: self.text_tokens / 8 },
            Size { tail: 0, quota: last, texts: 0 },
        ];
        // What a server refused does not fit, whatever is counted; unless that was an extract.
        let is_refused = matches!(budget.cause, Cause::Refused(_));
        let fits = view.sent_tokens() <= room && (!is_refused || is_extract(view));
        let mut smallest = Step::Skip;
        for size in sizes {
            match self.extract(view, budget, &size, fits) {
                Ok(None) if fits => return Step::Skip,
                Ok(None) => {}
                Ok(Some((extract, tokens))) => {
                    smallest = Step::Install(extract);
                    if tokens <= room {
                        break;
                    }
                }
                Err(error) => return Step::Fail(error),
            }
        }
        smallest
    }
}

impl Extract {
    /// An extract of this size and its tokens; `None` if it would leave nothing out: no item, and
    /// nothing of an earlier bridge, which is left alone where the conversation fits.
    fn extract(
        &self,
        view: &View,
        budget: &Budget,
        size: &Size,
        fits: bool,
    ) -> Result<Option<(Replacement, u64)>, crate::Error> {
        let tail = view.tail_start(Tail::Tokens(size.tail), budget);
        if fits && !view.has_more_than_kept(tail) {
            return Ok(None);
        }
        let summary = self.summary(view, tail, size.texts);
        let extract = assemble::bridged(view, &summary, size.quota, tail)?;
        let tokens = view.with(&extract.parts)?.prompt(view.filter()).tokens();
        let leaves_out = view.has_more_than_kept(tail) || tokens < view.sent_tokens();
        Ok(leaves_out.then_some((extract, tokens)))
    }

    fn summary(&self, view: &View, tail: usize, max_tokens: u64) -> String {
        let counter = &*view.history().config().counter;
        let within = |text: &str| last_within(text, max_tokens, counter).text.into_owned();
        let known = Known::of(view, tail);
        let plan = self.plan(view, tail).or(known.plan);
        let texts = [(EARLIER, known.summary), (PLAN, plan)];
        let mut summary = HEADING.to_owned();
        for (title, text) in texts {
            let text = text.map(|text| within(&text)).filter(|text| !text.trim().is_empty());
            if let Some(text) = text {
                summary.extend(["\n\n", title, "\n", &text]);
            }
        }
        summary
    }

    /// What the last call of a tool for plans says.
    fn plan(&self, view: &View, tail: usize) -> Option<String> {
        let calls = (0..tail).rev().filter_map(|index| view.history().get(index));
        calls.filter(|item| item.kind() == ItemKind::FunctionCall).find_map(|item| {
            match item.view() {
                ItemView::FunctionCall { name, arguments } if self.plan_tools.contains(&name) => {
                    Some(arguments)
                }
                _ => None,
            }
        })
    }
}

/// Whether the last bridge is an extract.
fn is_extract(view: &View) -> bool {
    let bridge = view.layout().bridges.last().and_then(|index| view.history().get(*index));
    let parts = bridge.and_then(Item::bridge_parts);
    parts.is_some_and(|parts| parts.summary.starts_with(HEADING))
}

/// What an extract begins with, so that the next one knows it.
const HEADING: &str = "No model could sum this up; what follows was taken from the conversation.";
const EARLIER: &str = "Summary of the work before:";
const PLAN: &str = "The last plan:";

/// What the last bridge knows.
#[derive(Default)]
struct Known {
    summary: Option<String>,
    plan: Option<String>,
}

impl Known {
    fn of(view: &View, tail: usize) -> Self {
        let bridge = view.layout().bridges.iter().rfind(|index| **index < tail);
        let bridge = bridge.and_then(|index| view.history().get(*index));
        match bridge.and_then(Item::bridge_parts) {
            Some(parts) => Self::read(parts.summary),
            None => Self::default(),
        }
    }

    /// An extract is taken apart, so that extracts do not nest.
    fn read(summary: String) -> Self {
        let Some(extract) = summary.strip_prefix(HEADING) else {
            return Self { summary: Some(summary), plan: None };
        };
        let plan_title = ["\n\n", PLAN, "\n"].concat();
        let (before, plan) = match extract.rsplit_once(&plan_title) {
            Some((before, plan)) => (before, Some(plan.to_owned())),
            None => (extract, None),
        };
        let earlier = before.strip_prefix(&["\n\n", EARLIER, "\n"].concat());
        Self { summary: earlier.map(str::to_owned), plan }
    }
}
