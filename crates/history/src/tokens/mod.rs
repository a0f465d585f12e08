//! How many tokens a text, an image or an item takes.
//!
//! A [`TokenCounter`] counts. [`Estimator`] is the one without a vocabulary: one pass over the bytes,
//! right to some percent. `O200k` (feature `tiktoken`) counts texts exactly, and takes thirty times
//! as long. Both are guesses about a server that adds framing of its own, so a [`Calibration`] learns
//! from the usage that the server reports.
//!
//! # How far an estimate is off
//!
//! Measured against `o200k_base` on texts of 1 to 4 KB which the weights were not fitted to: within
//! 10 % on English, German, French and Russian prose, code, JSON, logs, base64 and hex, within 15 %
//! on Chinese, Japanese and Korean, and within 20 % on any piece of 600 bytes of these.
//! `tests/tokens_accuracy.rs` holds these bounds, `docs/benchmarks.md` has the figures. Elsewhere there
//! is no bound: some languages were off by 14 %, pieces of 600 bytes by 30 %, and a row of one letter
//! counts three times its tokens.
//!
//! ```
//! use longhaul_history::Item;
//! use longhaul_history::tokens::{Estimator, TokenCounter};
//!
//! let counter: &dyn TokenCounter = &Estimator::default();
//! assert_eq!(counter.count_text("The tide turns twice a day."), 6);
//! assert_eq!(counter.count_item(&Item::user("The tide turns twice a day.")), 10);
//! ```

mod calibration;
mod estimate;
#[cfg(feature = "tiktoken")]
mod exact;
mod image;
mod item;
#[cfg(test)]
mod tests;
mod weights;

use std::borrow::Cow;

use crate::{Item, json};

pub use calibration::Calibration;
pub use estimate::Estimator;
#[cfg(feature = "tiktoken")]
pub use exact::O200k;
pub use image::{ImageBudget, ImageDetail, ImageRule, ImageSize};

/// Counts tokens.
///
/// Only [`TokenCounter::count_text`] must be written; the rest is defined by it. It is asked while an item
/// is recorded and others wait for the conversation: it should be quick, block on nothing, and not panic.
pub trait TokenCounter: Send + Sync {
    /// Tokens of a plain text. 0 for the empty text only.
    fn count_text(&self, text: &str) -> u64;

    /// Tokens of the text that a JSON string stands for; `json` is the string with its quotes, as it
    /// is written in a valid document.
    ///
    /// Unescapes into a new string where there are escapes. A counter that can read escapes in place
    /// should.
    fn count_json_string(&self, json: &str) -> u64 {
        // What is no JSON string counts as it stands there.
        self.count_text(&json::mended_string(json).unwrap_or(Cow::Borrowed(json)))
    }

    /// Tokens of an image; `size` where it is known. By default what [`ImageRule::default`] says.
    fn count_image(&self, detail: ImageDetail, size: Option<ImageSize>) -> u64 {
        ImageRule::default().tokens(detail, size)
    }

    /// Tokens that an item takes in a request.
    ///
    /// * The strings that a model reads: texts, names, arguments, inputs, outputs. Ids, types, and
    ///   what is not sent (`annotations`, `logprobs`, fields of our own) count nothing.
    /// * Framing: 4 tokens for a message, 10 for a call, 8 for an output. These are the markers that
    ///   the harmony format of OpenAI's open models puts around each; what hosted models get is not
    ///   published.
    /// * An image by its detail, and by its size where a `data:` URL shows it
    ///   ([`TokenCounter::count_image`]). Its bytes are never text.
    /// * `encrypted_content` by its length, in place of everything else in a reasoning item: three
    ///   quarters for base64, less 650 bytes of envelope, then four bytes a token, as the Codex client
    ///   estimates it.
    /// * The bytes of a file (`file_data`): nobody but the server knows what it reads from them. One
    ///   token for 16 of them, and at most 50,000.
    /// * A ghost snapshot counts 0: it is never sent.
    /// * An item of unknown type: its JSON text, but with images (also as bare base64 of a PNG, JPEG,
    ///   GIF or WebP) and encrypted content counted as above.
    ///
    /// One pass over the item's JSON.
    fn count_item(&self, item: &Item) -> u64 {
        item::count(self, item)
    }
}
