//! What takes the place of a conversation.

use longhaul_history::{Item, Part};
use serde::{Deserialize, Serialize};

/// What takes the place of the items that a compaction may replace
/// ([`View::prefix_len`](crate::View::prefix_len)). It refers to what it keeps and holds what is new.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replacement {
    /// In their order. Ranges are indexes into the conversation as it was.
    pub parts: Vec<Part>,
    /// Tokens that were cut out of the user's last message, estimated; 0 if it is whole.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cut_tokens: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_zero(tokens: &u64) -> bool {
    *tokens == 0
}

impl Replacement {
    /// How many of the old items it keeps.
    pub fn kept_items(&self) -> usize {
        let kept = self.parts.iter().map(|part| match part {
            Part::Keep(range) => range.len(),
            Part::New(_) => 0,
        });
        kept.sum()
    }

    /// What it adds.
    pub fn new_items(&self) -> impl Iterator<Item = &Item> {
        self.parts.iter().filter_map(|part| match part {
            Part::New(item) => Some(item),
            Part::Keep(_) => None,
        })
    }
}

impl From<Vec<Part>> for Replacement {
    fn from(parts: Vec<Part>) -> Self {
        Self { parts, cut_tokens: 0 }
    }
}
