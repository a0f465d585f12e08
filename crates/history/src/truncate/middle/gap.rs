//! Where a text is cut, and the line that stands in the gap.

use std::borrow::Cow;

use crate::truncate::room::saturating_usize;
use crate::truncate::{Cut, Truncated, boundary_after, boundary_before, estimate_tokens};

/// A text without its middle.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gap<'a> {
    prefix: &'a str,
    pub(super) removed: &'a str,
    suffix: &'a str,
}

impl<'a> Gap<'a> {
    /// Leaves two ends of at most `kept_bytes` together, which must be less than the text has.
    pub(super) fn leaving(kept_bytes: usize, text: &'a str) -> Self {
        let left_bytes = kept_bytes / 2;
        let end = prefix_end(text, left_bytes);
        let start = suffix_start(text, kept_bytes - left_bytes);
        Self { prefix: &text[..end], removed: &text[end..start], suffix: &text[start..] }
    }

    /// The marker that has an estimate in it.
    pub(super) fn estimated_marker(&self) -> String {
        marker(estimate_tokens(self.removed.len()))
    }

    /// The ends around a marker; `counted_tokens` is its number, else an estimate is.
    pub(super) fn marked(&self, counted_tokens: Option<u64>) -> Truncated<'a> {
        let cut = Cut {
            original_bytes: self.prefix.len() + self.removed.len() + self.suffix.len(),
            removed_bytes: self.removed.len(),
            counted_tokens: counted_tokens.map(saturating_usize),
        };
        let text = [self.prefix, &marker(cut.removed_tokens()), self.suffix].concat();
        Truncated { text: Cow::Owned(text), cut: Some(cut) }
    }
}

pub(super) fn marker(removed_tokens: usize) -> String {
    format!("…{removed_tokens} tokens truncated…\n")
}

fn prefix_end(text: &str, max_bytes: usize) -> usize {
    let end = boundary_before(text, max_bytes);
    text[..end].rfind('\n').map_or(end, |newline| newline + 1)
}

fn suffix_start(text: &str, max_bytes: usize) -> usize {
    let start = boundary_after(text, text.len() - max_bytes);
    match text[start..].find('\n') {
        Some(newline) if start + newline + 1 < text.len() => start + newline + 1,
        _ => start,
    }
}
