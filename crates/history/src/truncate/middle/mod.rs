//! Middle truncation: the beginning and the end stay, because a task is stated at the one and its
//! newest turn at the other.

mod budget;
mod gap;
mod limits;

pub use limits::MiddleLimits;

use super::Truncated;
use budget::Budget;

/// Cuts the middle out of `text`, so that what is left has at most `max_bytes` bytes.
///
/// Text that fits is returned as it is. Otherwise the result is a prefix of the text, the line
/// `…{n} tokens truncated…` and a suffix of the text; the marker is paid for out of the budget, and
/// prefix and suffix share the rest evenly. They are cut between lines where they can be: the
/// prefix ends after the last newline in its share, the suffix starts after the first newline in
/// its own (unless that newline ends the text, which would leave no suffix). A share without a
/// newline is cut between two chars.
///
/// If `max_bytes` does not even hold the marker (24 bytes and the digits of its number), the result
/// is as much of the beginning as fits, without a marker; [`Truncated::cut`] still reports the cut.
///
/// Doing it again with the same budget changes nothing. Beyond the copy of what stays, the cost is
/// a search for newlines in the two shares, so it depends on the budget and not on the text.
///
/// ```
/// use longhaul_history::truncate::middle;
///
/// assert_eq!(middle("short", 80_000).cut, None);
///
/// let long = "a".repeat(60) + &"z".repeat(60);
/// assert_eq!(middle(&long, 40).text, "aaaaaaa…27 tokens truncated…\nzzzzzzz");
/// assert_eq!(middle(&long, 10).text, "aaaaaaaaaa");
/// ```
pub fn middle(text: &str, max_bytes: usize) -> Truncated<'_> {
    middle_within(text, &MiddleLimits::bytes(max_bytes), &|_| 0)
}

/// As [`middle`], within a budget of bytes, of tokens, or of both, and with a marker whose number is
/// counted where [`MiddleLimits::max_counted_bytes`] allows it.
///
/// # Tokens
///
/// The result counts at most [`MiddleLimits::max_tokens`], marker included, whatever `count_tokens`
/// makes of it: it is counted last, and made shorter until that is so. The shares are even in bytes.
/// If there is no room for the marker, the result is as much of the beginning as fits.
///
/// Three things are taken for granted: the empty text counts 0; no byte counts more than one token,
/// so a text of no more bytes than `max_tokens` fits without being counted; and no text worth
/// keeping has more than 16 bytes a token, so a longer one does not fit, without being counted
/// either. A text between the two is counted whole, once. That is all there is to count of a text
/// that fits.
///
/// # The number in the marker
///
/// It is an estimate by bytes ([`estimate_tokens`](super::estimate_tokens)), unless what was removed
/// has at most `max_counted_bytes` bytes: then `count_tokens` counts it, once, and
/// [`Cut::counted_tokens`](super::Cut::counted_tokens) holds the number. Should the line with the
/// counted number break the budget where the estimate does not, the estimate stays; a counter that
/// adds up, and counts a number no higher than a longer one, never does that.
///
/// # Cost
///
/// That of [`middle`], and that of counting. To settle a budget in tokens, `count_tokens` sees no
/// text longer than 16 bytes for each allowed token, and all texts together are at most 10 times as
/// long as that and another 10 KiB; mostly it is the two ends, twice or three times. Counting for
/// the marker adds at most `max_counted_bytes` and, with a budget in tokens, the result once more.
///
/// ```
/// use longhaul_history::truncate::{MiddleLimits, middle_within};
///
/// // A token for each word.
/// let count = |text: &str| text.split_whitespace().count() as u64;
/// let log = "two words\n".repeat(100);
///
/// let mut limits = MiddleLimits::tokens(12);
/// let short = middle_within(&log, &limits, &count);
/// assert_eq!(short.text, "two words\ntwo words\n…240 tokens truncated…\ntwo words\ntwo words\n");
///
/// limits.max_counted_bytes = 10_000;
/// let short = middle_within(&log, &limits, &count);
/// assert_eq!(short.text, "two words\ntwo words\n…192 tokens truncated…\ntwo words\ntwo words\n");
/// assert_eq!(short.cut.and_then(|cut| cut.counted_tokens), Some(192));
/// ```
pub fn middle_within<'a>(
    text: &'a str,
    limits: &MiddleLimits,
    count_tokens: &dyn Fn(&str) -> u64,
) -> Truncated<'a> {
    let budget = Budget::new(limits, count_tokens);
    if budget.holds(text) {
        return Truncated::unchanged(text);
    }
    budget.ends(text).unwrap_or_else(|| budget.head(text))
}
