//! Middle truncation: the beginning and the end stay, because a task is stated at the one and its
//! newest turn at the other.

use std::borrow::Cow;

use super::{Cut, Truncated, boundary_after, boundary_before, estimate_tokens};

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
    if text.len() <= max_bytes {
        return Truncated::unchanged(text);
    }
    // The widest marker this text can need: then its width does not depend on where we cut.
    let widest_marker = marker(estimate_tokens(text.len()));
    match max_bytes.checked_sub(widest_marker.len()) {
        Some(kept_bytes) => around_marker(text, kept_bytes),
        None => head(text, max_bytes),
    }
}

fn marker(removed_tokens: usize) -> String {
    format!("…{removed_tokens} tokens truncated…\n")
}

/// Prefix and suffix of at most `kept_bytes` together, which is less than the text has.
fn around_marker(text: &str, kept_bytes: usize) -> Truncated<'_> {
    let left_bytes = kept_bytes / 2;
    let prefix = &text[..prefix_end(text, left_bytes)];
    let suffix = &text[suffix_start(text, kept_bytes - left_bytes)..];
    let cut =
        Cut { original_bytes: text.len(), removed_bytes: text.len() - prefix.len() - suffix.len() };
    let text = [prefix, &marker(cut.removed_tokens()), suffix].concat();
    Truncated { text: Cow::Owned(text), cut: Some(cut) }
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

fn head(text: &str, max_bytes: usize) -> Truncated<'_> {
    let (kept, removed) = text.split_at(boundary_before(text, max_bytes));
    let cut = Cut { original_bytes: text.len(), removed_bytes: removed.len() };
    Truncated { text: Cow::Borrowed(kept), cut: Some(cut) }
}
