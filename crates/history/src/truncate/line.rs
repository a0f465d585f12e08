//! Lines: counting them, cutting between them, and capping them.

use std::borrow::Cow;

use memchr::{memchr, memchr_iter, memrchr, memrchr_iter};

use super::room::Room;
use super::{boundary_after, boundary_before};

/// The lines of `text`; a last one without a newline counts.
pub(super) fn count(text: &str) -> usize {
    let unfinished = !text.is_empty() && !text.ends_with('\n');
    memchr_iter(b'\n', text.as_bytes()).count() + usize::from(unfinished)
}

/// Whether no line has more than `max_bytes` bytes, without its newline.
pub(super) fn are_within(text: &str, max_bytes: usize) -> bool {
    text.len() <= max_bytes || text.split('\n').all(|line| line.len() <= max_bytes)
}

/// Where a head of at most `max_bytes` bytes and `max_lines` lines ends: after a line where that
/// costs no more than half of it, else between two chars.
pub(super) fn head_end(text: &str, max_bytes: usize, max_lines: usize) -> usize {
    let Some(last) = max_lines.checked_sub(1) else {
        return 0;
    };
    let end = boundary_before(text, max_bytes);
    let head = &text.as_bytes()[..end];
    if let Some(newline) = memchr_iter(b'\n', head).nth(last) {
        return newline + 1;
    }
    match memrchr(b'\n', head) {
        Some(newline) if end < text.len() && newline >= end / 2 => newline + 1,
        _ => end,
    }
}

/// Where a tail of at most `max_bytes` bytes and `max_lines` lines starts: with a line where that
/// costs no more than half of it, else between two chars.
pub(super) fn tail_start(text: &str, max_bytes: usize, max_lines: usize) -> usize {
    let Some(last) = max_lines.checked_sub(1) else {
        return text.len();
    };
    let start = boundary_after(text, text.len() - max_bytes.min(text.len()));
    let tail = &text.as_bytes()[start..];
    let unended = tail.strip_suffix(b"\n").unwrap_or(tail);
    if let Some(newline) = memrchr_iter(b'\n', unended).nth(last) {
        return start + newline + 1;
    }
    if start == 0 || text.as_bytes()[start - 1] == b'\n' {
        return start;
    }
    match memchr(b'\n', unended) {
        Some(newline) if newline < tail.len() / 2 => start + newline + 1,
        _ => start,
    }
}

/// The text with every line capped.
pub(super) fn capped<'a>(text: &'a str, room: &Room) -> Cow<'a, str> {
    if are_within(text, room.max_line_bytes) {
        return Cow::Borrowed(text);
    }
    let mut all_capped = String::new();
    for line in text.split_inclusive('\n') {
        let unended = line.strip_suffix('\n').unwrap_or(line);
        if unended.len() <= room.max_line_bytes {
            all_capped.push_str(line);
        } else {
            all_capped.push_str(&pinched(unended, room));
            all_capped.push_str(&line[unended.len()..]);
        }
    }
    Cow::Owned(all_capped)
}

/// The broken line at the end of `window`, cut to its cap; the others capped.
pub(super) fn capped_head<'a>(window: &'a str, room: &Room) -> Cow<'a, str> {
    let broken_at = memrchr(b'\n', window.as_bytes()).map_or(0, |newline| newline + 1);
    let end = boundary_before(window, room.max_line_bytes.saturating_add(broken_at));
    capped(&window[..end], room)
}

/// The broken line at the beginning of `window`, cut to its cap; the others capped.
pub(super) fn capped_tail<'a>(window: &'a str, room: &Room) -> Cow<'a, str> {
    let broken_to = memchr(b'\n', window.as_bytes()).unwrap_or(window.len());
    let start = boundary_after(window, broken_to.saturating_sub(room.max_line_bytes));
    capped(&window[start..], room)
}

/// Stands for what is left out where there is no room to say more.
pub(super) const ELLIPSIS: &str = "…";

/// What `max_bytes` leave beside the ellipsis; `None` if that is not even a byte for each side.
pub(super) fn around_ellipsis(max_bytes: usize) -> Option<usize> {
    max_bytes.checked_sub(ELLIPSIS.len()).filter(|kept_bytes| *kept_bytes >= 2)
}

/// The two ends of a line that is too long, around a marker if there is room for both.
fn pinched(line: &str, room: &Room) -> String {
    let marker = |bytes: usize| format!("…{bytes} bytes…");
    let widest = marker(line.len()).len();
    if widest <= room.max_line_bytes / 2 {
        let (head, tail) = ends(line, room.max_line_bytes - widest, room);
        return [head, &marker(line.len() - head.len() - tail.len()), tail].concat();
    }
    match around_ellipsis(room.max_line_bytes) {
        Some(kept_bytes) => {
            let (head, tail) = ends(line, kept_bytes, room);
            [head, ELLIPSIS, tail].concat()
        }
        None => line[boundary_after(line, line.len() - room.max_line_bytes)..].to_owned(),
    }
}

fn ends<'a>(line: &'a str, kept_bytes: usize, room: &Room) -> (&'a str, &'a str) {
    let head_end = boundary_before(line, room.head_share(kept_bytes));
    let tail_start = boundary_after(line, line.len() - (kept_bytes - head_end));
    (&line[..head_end], &line[tail_start..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::truncate::OutputLimits;

    #[test]
    fn a_last_line_counts_with_and_without_its_newline() {
        let counts = ["", "\n", "a", "a\n", "a\r\nb", "\n\n"].map(count);
        assert_eq!(counts, [0, 1, 1, 1, 2, 2]);
    }

    #[test]
    fn ends_are_cut_between_lines_where_that_costs_half_at_most() {
        let text = "one\ntwo\nthree\n";
        let heads = [0, 1, 4, 7, 8, 13, 14].map(|bytes| &text[..head_end(text, bytes, 9)]);
        assert_eq!(heads, ["", "o", "one\n", "one\n", "one\ntwo\n", "one\ntwo\n", text]);
        let tails = [0, 1, 6, 7, 9, 10, 14].map(|bytes| &text[tail_start(text, bytes, 9)..]);
        let last = "three\n";
        assert_eq!(tails, ["", "\n", last, last, last, "two\nthree\n", text]);
        assert_eq!(head_end("one\ntwo, and more", 10, 9), 10);
        assert_eq!(tail_start("one, and more\ntwo", 10, 9), 7);
    }

    #[test]
    fn ends_have_few_enough_lines() {
        let text = "1\n2\n3\n4";
        let heads = [0, 1, 3, 4].map(|lines| &text[..head_end(text, 99, lines)]);
        assert_eq!(heads, ["", "1\n", "1\n2\n3\n", text]);
        let tails = [0, 1, 3, 4].map(|lines| &text[tail_start(text, 99, lines)..]);
        assert_eq!(tails, ["", "4", "2\n3\n4", text]);
        assert_eq!(&"1\n2\n"[tail_start("1\n2\n", 99, 1)..], "2\n");
    }

    #[test]
    fn a_long_line_keeps_its_ends() {
        let text = format!("short\n{}é\r\nshort", "ab".repeat(50));
        let table = [
            (103, text.clone()),
            (40, "short\nabababababab…78 bytes…abababababé\r\nshort".to_owned()),
            (10, "short\naba…bé\r\nshort".to_owned()),
            (4, "hort\nbé\r\nhort".to_owned()),
        ];
        for (max, expected) in table {
            let limits = OutputLimits { max_line_bytes: Some(max), ..OutputLimits::default() };
            let once = capped(&text, &Room::new(&limits)).into_owned();
            assert_eq!(once, expected);
            assert_eq!(capped(&once, &Room::new(&limits)), once);
        }
    }
}
