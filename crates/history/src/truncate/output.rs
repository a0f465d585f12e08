//! Cutting what a tool said.

use std::borrow::Cow;

use super::budget::Budget;
use super::room::Room;
use super::{Cut, OutputLimits, Truncated, document, text};

/// Makes the output of a tool fit the limits.
///
/// Text that fits is borrowed as it is. Else the result is within all limits, header and markers
/// included, so that doing it again with the same limits changes nothing. The caller still has the
/// full output, for its log and for whoever watches.
///
/// `count_tokens` is asked only if tokens are limited, and for no text longer than the limits allow
/// (16 bytes per token); the empty text must count 0. Together, what it sees is at most 9 times as
/// long as that, and mostly two or three times.
///
/// # Plain text
///
/// First, lines longer than [`OutputLimits::max_line_bytes`] keep their two ends around
/// `…{n} bytes…`. If that is not enough, the result is the header `Total output lines: {n}`, a blank
/// line, the head of the text, a marker between blank lines, and the tail of the text. The marker is
/// `[... omitted {k} of {n} lines ...]`, where lines of which a part is kept are not omitted; if none
/// is omitted whole, it is `[... output truncated to fit {max} bytes ...]` (or tokens). Head and tail
/// are cut between lines where that costs no more than half of one, else between chars.
///
/// If header and marker take more than half of the room, the header is left out; then the marker
/// becomes a `…` within the line where head and tail meet; below 5 bytes, only the tail is kept.
///
/// # JSON
///
/// A text that is a JSON object or list stays one. White space between its tokens goes first. Then
/// its longest strings are cut, each as plain text, down to 256 bytes; then lists keep their first
/// and last elements around the string `[... omitted {k} of {n} elements ...]`; then strings are cut
/// down to 64 bytes. Numbers and strings that are not cut keep their spelling, objects keep all keys.
/// If it still does not fit, or if it is longer than [`READ_WHOLE_BYTES`](super::READ_WHOLE_BYTES)
/// and only looks like JSON by its two ends, it becomes
/// `{"truncated":true,"total_bytes":…,"head":…,"tail":…}`, with the ends of its text; without these
/// if there is no room for them, and `{}` or nothing at last. [`Cut::removed_bytes`] is by how much
/// the text got shorter.
///
/// # Cost
///
/// That of copying what is kept, and of reading the text once if it has up to
/// [`READ_WHOLE_BYTES`](super::READ_WHOLE_BYTES), or twice `max_bytes` if that is more. Of a longer
/// text, no more than that is looked at: its lines are not counted, and header and marker speak of
/// bytes (`Total output bytes: {n}`, `[... omitted {k} of {n} bytes ...]`).
///
/// ```
/// use longhaul_history::truncate::{OutputLimits, estimate_tokens, output};
///
/// let by_bytes = |text: &str| estimate_tokens(text.len()) as u64;
/// let limits = OutputLimits::default();
///
/// let log: String = (1..=1_000).map(|n| format!("line {n}\n")).collect();
/// let short = output(&log, &limits, &by_bytes).text;
/// assert!(short.starts_with("Total output lines: 1000\n\nline 1\n"));
/// assert!(short.contains("line 125\n\n[... omitted 749 of 1000 lines ...]\n\nline 875\n"));
/// assert!(short.ends_with("line 1000\n"));
/// assert_eq!(output(&short, &limits, &by_bytes).cut, None);
/// ```
pub fn output<'a>(
    text: &'a str,
    limits: &OutputLimits,
    count_tokens: &dyn Fn(&str) -> u64,
) -> Truncated<'a> {
    let budget = Budget::new(limits, count_tokens);
    if budget.room.holds(text) && budget.allows(budget.tokens([text])) {
        return Truncated::unchanged(text);
    }
    let render = |room: &Room| shortened(text, room);
    let short = budget.fit(text.len(), render, |short| budget.tokens([&*short.text]));
    let cut = Cut {
        original_bytes: text.len(),
        removed_bytes: short.removed_bytes,
        counted_tokens: None,
    };
    Truncated { text: Cow::Owned(short.text), cut: Some(cut) }
}

/// Makes `text`, which does not fit, fit the room.
pub(super) fn shortened(text: &str, room: &Room) -> text::Shortened {
    let of_json = |short: String| {
        let removed_bytes = text.len().saturating_sub(short.len());
        text::Shortened { text: short, removed_bytes }
    };
    if let Some(json) = document::shorten(text, room) {
        return of_json(json);
    }
    let plain = text::shorten(text, room);
    // The ends of broken JSON may happen to be JSON, which other rules are for.
    match document::holds_strings(&plain.text, room) {
        Some(false) => document::shorten(&plain.text, room).map_or(plain, of_json),
        _ => plain,
    }
}
