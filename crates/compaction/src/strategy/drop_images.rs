//! Old images make room.

use std::collections::BTreeMap;

use longhaul_history::ImageEdit;

use super::{Progress, Step, Strategy};
use crate::edit::{self, Edited};
use crate::{Budget, View};

/// What stands in the place of an image.
const DROPPED: &str = "[image left out to save room]";

/// Replaces old images, the user's and those of tools, by a short text. Costs no request.
///
/// It does nothing unless that brings the conversation to half of its limit, and nothing where somebody
/// asked for a compaction.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct DropImages {
    /// The newest items with images stay, up to so many tokens; never more than a quarter of the
    /// window. Default: 6,000.
    pub keep_tokens: u64,
}

impl Default for DropImages {
    fn default() -> Self {
        Self { keep_tokens: 6_000 }
    }
}

impl Strategy for DropImages {
    fn name(&self) -> &'static str {
        "drop_images"
    }

    fn next(&self, view: &View, budget: &Budget, _: &Progress) -> Step {
        edit::step(view, budget, || self.dropped(view, budget))
    }
}

impl DropImages {
    fn dropped(&self, view: &View, budget: &Budget) -> Edited {
        let history = view.history();
        let mut left = budget.quarter(self.keep_tokens);
        let mut edited = Edited { items: BTreeMap::new(), freed_tokens: 0 };
        let last_message = view.layout().users.last();
        let images = view.layout().images.iter().rev();
        let images = images.filter(|index| **index < view.prefix_len());
        for index in images.filter(|index| Some(*index) != last_message).copied() {
            let Some(item) = history.get(index) else { continue };
            let tokens = view.tokens(index..index + 1);
            if left >= tokens {
                left -= tokens;
                continue;
            }
            // Older ones go too, also those that would still fit: what stays is in one piece.
            left = 0;
            let Some((short, _)) = item.edit_images(&ImageEdit::replace(DROPPED)) else { continue };
            let short_tokens = history.config().counter.count_item(&short);
            edited.freed_tokens += tokens.saturating_sub(short_tokens);
            edited.items.insert(index, short);
        }
        edited
    }
}
