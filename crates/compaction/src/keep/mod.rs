//! What a compaction has to keep, as data that an embedder sets.

mod blocks;
mod image;
mod message;
mod tail;

use std::sync::Arc;

use crate::Bridge;

pub(crate) use blocks::{cut, within};
pub(crate) use image::{Images, KeptImage};
pub(crate) use message::{Share, shares};
pub use tail::Tail;

/// Tokens of what the user said that a bridge quotes: so much of what was said last, and so much of all
/// else together.
pub const USER_MESSAGE_TOKENS: u64 = 20_000;

/// Writes the bridge in place of the template.
pub type BridgeText = Arc<dyn Fn(&Bridge<'_>) -> String + Send + Sync>;

/// What a compaction keeps besides the initial context, pinned items and ghost snapshots, which it
/// always keeps whole.
#[derive(Clone)]
#[non_exhaustive]
pub struct Keep {
    /// How much of the newest part stays as it is. Default: [`Tail::None`].
    pub tail: Tail,
    /// Tokens for the user's messages in the bridge; never more than a quarter of the effective window,
    /// if that is known. So much has what was said last, and so much all others together (with what was
    /// said last, up to an eighth). Of the others what was pasted (above 1,024 tokens) is cut first,
    /// then the longest, each where its longest paragraphs are; and when each has 128 left the oldest
    /// go. Default: [`USER_MESSAGE_TOKENS`].
    pub user_message_tokens: u64,
    /// Tokens for images of the user's messages, the newest first; never more than a quarter of the
    /// window. Default: 6,000, two to six pictures by the default rule.
    pub image_tokens: u64,
    /// Writes the bridge. It has to quote the last of the user's messages word for word, else the result
    /// is refused; what it does not quote of the others the bridge still remembers, for later
    /// compactions. Default: the template.
    pub bridge_text: Option<BridgeText>,
}

impl Default for Keep {
    fn default() -> Self {
        Self {
            tail: Tail::None,
            user_message_tokens: USER_MESSAGE_TOKENS,
            image_tokens: 6_000,
            bridge_text: None,
        }
    }
}

impl std::fmt::Debug for Keep {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keep")
            .field("tail", &self.tail)
            .field("user_message_tokens", &self.user_message_tokens)
            .field("image_tokens", &self.image_tokens)
            .finish_non_exhaustive()
    }
}
