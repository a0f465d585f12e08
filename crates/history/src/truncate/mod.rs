//! Text made to fit a budget, the rest replaced by a marker that says how much is gone.
//!
//! Pure functions: which text is cut, and to which budget, is the caller's policy. [`middle`] fits a
//! text into bytes, [`middle_within`] into tokens too; [`output`] fits what a tool said into bytes,
//! lines and tokens, and keeps JSON what it is; [`output_item`] does that to the item that answers a
//! call. Text that fits is borrowed, not copied, and what was cut once fits from then on.
//!
//! Tokens in a marker are estimated from bytes ([`estimate_tokens`]): a marker is not worth a
//! tokenizer's run over the whole text. Who wants them counted says for how many bytes
//! ([`MiddleLimits::max_counted_bytes`]). A budget in tokens is kept by counting what is kept, once
//! or a few times, and never a text that is surely too long.
//!
//! ```
//! use longhaul_history::truncate::middle;
//!
//! let log = "first line\n".repeat(50) + "last line\n";
//! let short = middle(&log, 64);
//! assert_eq!(short.text, "first line\n…135 tokens truncated…\nlast line\n");
//! assert_eq!(short.cut.map(|cut| cut.removed_bytes), Some(539));
//! ```

mod budget;
mod document;
mod item;
mod limits;
mod line;
mod middle;
mod output;
mod room;
mod stub;
#[cfg(test)]
mod tests;
mod text;

use std::borrow::Cow;

pub use item::output_item;
pub use limits::OutputLimits;
pub use middle::{MiddleLimits, middle, middle_within};
pub use output::output;

/// Texts up to this length are read whole: 1 MiB. To count the lines of as much takes some tens of
/// microseconds, to understand it as JSON some milliseconds (tens, if it is all short values). Of
/// longer ones, only the ends are looked at.
pub const READ_WHOLE_BYTES: usize = 1 << 20;

/// Bytes that count as one token wherever no tokenizer is asked.
pub const BYTES_PER_TOKEN: usize = 4;

/// The tokens that `bytes` bytes of text are taken for: a quarter, rounded up.
pub const fn estimate_tokens(bytes: usize) -> usize {
    bytes.div_ceil(BYTES_PER_TOKEN)
}

/// A text within its budget, and what that cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Truncated<'a> {
    /// The text: the input itself if it fits, else a shorter copy with a marker.
    pub text: Cow<'a, str>,
    /// What was cut; `None` if the text is unchanged.
    pub cut: Option<Cut>,
}

/// How much of a text was cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// Length of the text before the cut, in bytes.
    pub original_bytes: usize,
    /// Bytes of the original that are gone. What is written in their place is not counted; of JSON,
    /// this is by how much the text got shorter.
    pub removed_bytes: usize,
    /// Tokens that are gone, if they were counted: only [`middle_within`] does that, where it is
    /// asked to. `None` if the number in the marker is an estimate, or if there is none.
    pub counted_tokens: Option<usize>,
}

impl Cut {
    /// Estimated tokens of the text before the cut.
    pub const fn original_tokens(self) -> usize {
        estimate_tokens(self.original_bytes)
    }

    /// Tokens that are gone, counted or else estimated; the number in the marker of [`middle`].
    pub const fn removed_tokens(self) -> usize {
        match self.counted_tokens {
            Some(tokens) => tokens,
            None => estimate_tokens(self.removed_bytes),
        }
    }
}

impl<'a> Truncated<'a> {
    /// Estimated tokens of the original text, cut or not.
    pub fn original_tokens(&self) -> usize {
        self.cut.map_or(estimate_tokens(self.text.len()), Cut::original_tokens)
    }

    fn unchanged(text: &'a str) -> Self {
        Self { text: Cow::Borrowed(text), cut: None }
    }
}

/// The nearest char boundary at or before byte `at`; the end if the text is shorter.
pub(crate) fn boundary_before(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|&i| text.is_char_boundary(i)).unwrap_or(0)
}

/// The nearest char boundary at or after byte `at`; the end if there is none.
pub(crate) fn boundary_after(text: &str, at: usize) -> usize {
    (at..text.len()).find(|&i| text.is_char_boundary(i)).unwrap_or(text.len())
}
