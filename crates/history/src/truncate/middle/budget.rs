//! What fits, and the search for the ends that do.

use std::borrow::Cow;

use super::MiddleLimits;
use super::gap::{Gap, marker};
use crate::truncate::budget::CountTokens;
use crate::truncate::room::{
    MAX_BYTES_PER_TOKEN, in_proportion, largest, saturating_usize, shrink,
};
use crate::truncate::{BYTES_PER_TOKEN, Cut, Truncated, boundary_before, estimate_tokens};

/// The limits together with the one who counts tokens.
pub(super) struct Budget<'a> {
    limits: &'a MiddleLimits,
    count_tokens: CountTokens<'a>,
    /// What no text that fits is longer than.
    max_bytes: usize,
}

impl<'a> Budget<'a> {
    pub(super) fn new(limits: &'a MiddleLimits, count_tokens: CountTokens<'a>) -> Self {
        let max_tokens = limits.max_tokens.map_or(usize::MAX, saturating_usize);
        let max_bytes = limits.max_bytes.min(max_tokens.saturating_mul(MAX_BYTES_PER_TOKEN));
        Self { limits, count_tokens, max_bytes }
    }

    /// Whether `text` needs no cut. It is counted only if its bytes leave that open.
    pub(super) fn holds(&self, text: &str) -> bool {
        let surely = |max: u64| text.len() <= saturating_usize(max);
        text.len() <= self.max_bytes
            && (self.limits.max_tokens.is_none_or(surely) || self.allows(text))
    }

    /// The same, but always counted if tokens are limited: a result is held to what the counter says.
    fn allows(&self, text: &str) -> bool {
        let counted = |max| (self.count_tokens)(text) <= max;
        text.len() <= self.max_bytes && self.limits.max_tokens.is_none_or(counted)
    }

    /// The two ends of a text that does not fit, around a marker; `None` if there is no room for one.
    pub(super) fn ends<'t>(&self, text: &'t str) -> Option<Truncated<'t>> {
        // The widest marker this text can need: then its width does not depend on where we cut.
        let widest_marker = self.widest_marker(text);
        let kept_bytes = self.max_bytes.checked_sub(widest_marker.len())?;
        let kept_bytes = kept_bytes.min(text.len().saturating_sub(1));
        let gap = match self.limits.max_tokens {
            Some(max) => self.gap_by_tokens(text, kept_bytes, max, &widest_marker)?,
            None => Gap::leaving(kept_bytes, text),
        };
        Some(self.counted(&gap).unwrap_or_else(|| gap.marked(None)))
    }

    /// As much of the beginning of a text as fits.
    pub(super) fn head<'t>(&self, text: &'t str) -> Truncated<'t> {
        // More tokens than this would have held the marker, so more bytes cannot fit.
        let most = self.widest_marker(text).len().saturating_mul(MAX_BYTES_PER_TOKEN);
        let start = |bytes| text.split_at(boundary_before(text, bytes));
        let fits = |bytes| self.allows(start(bytes).0);
        let (kept, removed) = start(largest(0, most.min(self.max_bytes).min(text.len()), fits));
        let cut =
            Cut { original_bytes: text.len(), removed_bytes: removed.len(), counted_tokens: None };
        Truncated { text: Cow::Borrowed(kept), cut: Some(cut) }
    }

    fn widest_marker(&self, text: &str) -> String {
        let most_counted = self.limits.max_counted_bytes.min(text.len());
        marker(estimate_tokens(text.len()).max(most_counted))
    }

    /// A gap that leaves at most `kept_bytes`, and at most `max` tokens whatever number of those that
    /// can be gets into the marker.
    fn gap_by_tokens<'t>(
        &self,
        text: &'t str,
        kept_bytes: usize,
        max: u64,
        widest_marker: &str,
    ) -> Option<Gap<'t>> {
        let reserved = (self.count_tokens)(widest_marker);
        let max_beside = max.checked_sub(reserved)?;
        let leaving = |bytes| {
            let gap = Gap::leaving(bytes, text);
            (gap, self.cost(&gap, reserved))
        };
        let beside = |(_, cost): &(Gap<'_>, u64)| cost.saturating_sub(reserved);

        // A first try at four bytes a token tells how dense the text is.
        let guess = saturating_usize(max_beside).saturating_mul(BYTES_PER_TOKEN).min(kept_bytes);
        let tokens = beside(&leaving(guess)).max(1);
        let room = in_proportion(guess, max_beside, tokens).min(kept_bytes);
        let (gap, cost) = shrink(room, max_beside, leaving, beside);
        (cost <= max).then_some(gap)
    }

    /// The tokens of the result, or more: as if its marker took as many as the widest.
    fn cost(&self, gap: &Gap<'_>, reserved: u64) -> u64 {
        let tokens = (self.count_tokens)(&gap.marked(None).text);
        let unused = reserved.saturating_sub((self.count_tokens)(&gap.estimated_marker()));
        tokens.saturating_add(unused)
    }

    /// The result with a counted number in its marker, if one is asked for and fits.
    fn counted<'t>(&self, gap: &Gap<'t>) -> Option<Truncated<'t>> {
        let is_bounded = gap.removed.len() <= self.limits.max_counted_bytes;
        let tokens = is_bounded.then(|| (self.count_tokens)(gap.removed))?;
        Some(gap.marked(Some(tokens))).filter(|short| self.allows(&short.text))
    }
}
