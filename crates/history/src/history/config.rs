//! How a conversation is kept.

use std::fmt;
use std::sync::Arc;

use crate::tokens::{Estimator, TokenCounter};
use crate::truncate::{OutputLimits, output_item};
use crate::{Item, WireFormat};

/// How a conversation is kept. Part of no item: the same items under the same configuration give
/// the same bytes.
#[derive(Clone)]
#[non_exhaustive]
pub struct HistoryConfig {
    /// How items are written for the model. [`History::set_format`](super::History::set_format)
    /// changes it. Default: [`WireFormat::default`].
    pub format: WireFormat,
    /// What counts the tokens of each item, once. Default: [`Estimator`].
    pub counter: Arc<dyn TokenCounter>,
    /// To what outputs of tools are cut when they are recorded. `None`: they are kept whole. Default:
    /// [`OutputLimits::default`].
    pub output_limits: Option<OutputLimits>,
    /// The longest item that a server takes, in bytes of JSON, images left aside. A longer one is
    /// cut by [`normalise`](super::History::normalise), or removed where it cannot be. Default:
    /// [`MAX_ITEM_BYTES`].
    pub max_item_bytes: usize,
}

impl HistoryConfig {
    /// `item`, cut to the limits if it is an output.
    pub(super) fn limited(&self, item: Item) -> Item {
        let limits = self.output_limits.as_ref().filter(|_| item.kind().is_output());
        let count = |text: &str| self.counter.count_text(text);
        limits.and_then(|limits| output_item(&item, limits, &count)).unwrap_or(item)
    }

    /// The tokens of `item` as the format shows it.
    pub(super) fn count(&self, item: &Item) -> u64 {
        match item.shown_in(self.format) {
            Some(shown) => self.counter.count_item(&shown),
            None => self.counter.count_item(item),
        }
    }
}

/// The longest text that OpenAI takes in one field: 10 MiB. Its server says so in the error
/// `string_above_max_length`.
pub const MAX_ITEM_BYTES: usize = 10 * 1024 * 1024;

impl Default for HistoryConfig {
    fn default() -> Self {
        Self {
            format: WireFormat::default(),
            counter: Arc::new(Estimator::default()),
            output_limits: Some(OutputLimits::default()),
            max_item_bytes: MAX_ITEM_BYTES,
        }
    }
}

impl fmt::Debug for HistoryConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HistoryConfig")
            .field("format", &self.format)
            .field("output_limits", &self.output_limits)
            .field("max_item_bytes", &self.max_item_bytes)
            .finish_non_exhaustive()
    }
}
