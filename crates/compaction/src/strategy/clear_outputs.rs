//! Old outputs of tools make room.

use longhaul_history::{CallOutput, Item, ItemKind, ItemView};

use super::{Progress, Step, Strategy};
use crate::{Budget, View, edit};

/// What stands in the place of an output.
const CLEARED: &str = "[output cleared to save room; call the tool again if it is needed]";

/// Replaces old outputs of tools by a short text. Costs no request, and leaves everything that was
/// said; but what the outputs held is gone.
///
/// Outputs that no model has seen yet are left alone. It does nothing unless that brings the conversation to half of its limit, so that it is not needed
/// again soon, and nothing where somebody asked for a compaction: then a summary is wanted.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ClearOutputs {
    /// The newest outputs stay, up to so many tokens; never more than a quarter of the window.
    /// Default: 40,000.
    pub keep_tokens: u64,
    /// Outputs of tools that failed stay. Default: yes; what went wrong is what must not happen
    /// again.
    pub keep_errors: bool,
}

impl Default for ClearOutputs {
    fn default() -> Self {
        Self { keep_tokens: 40_000, keep_errors: true }
    }
}

impl Strategy for ClearOutputs {
    fn name(&self) -> &'static str {
        "clear_outputs"
    }

    fn next(&self, view: &View, budget: &Budget, _: &Progress) -> Step {
        let keep_tokens = budget.quarter(self.keep_tokens);
        let old = edit::before_newest(view, budget, &view.layout().outputs, keep_tokens);
        edit::step(view, budget, &old, |output| {
            cleared(output).filter(|_| !(self.keep_errors && output.is_failed()))
        })
    }
}

fn cleared(output: &Item) -> Option<Item> {
    let call_id = output.call_id()?;
    match output.kind() {
        ItemKind::FunctionCallOutput => {
            Some(Item::function_call_output(call_id, CallOutput::text(CLEARED)))
        }
        ItemKind::CustomToolCallOutput => {
            Some(Item::custom_tool_call_output(call_id, CallOutput::text(CLEARED)))
        }
        _ => None,
    }
}

/// Whether an output was cleared.
pub(crate) fn is_cleared(output: &Item) -> bool {
    matches!(output.view(), ItemView::Output(CallOutput::Text(text)) if text == CLEARED)
}
