//! Old images make room.

use longhaul_history::ImageEdit;

use super::{Progress, Step, Strategy};
use crate::{Budget, View, edit};

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
        let last_message = view.layout().users.last();
        let images = view.layout().images.iter().copied();
        let images: Vec<_> = images.filter(|index| Some(index) != last_message).collect();
        let old = edit::before_newest(view, budget, &images, budget.quarter(self.keep_tokens));
        let edit = ImageEdit::replace(DROPPED);
        edit::step(view, budget, &old, |item| Some(item.edit_images(&edit)?.0))
    }
}
