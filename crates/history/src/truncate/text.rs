//! Plain text: a header that says how much there was, the head, a marker, the tail.

use std::borrow::Cow;

use super::room::Room;
use super::{boundary_after, boundary_before, line};

/// A text with what is cut from it left out, and how many bytes that was.
pub(super) struct Shortened {
    pub(super) text: String,
    pub(super) removed_bytes: usize,
}

/// Makes `text`, which does not fit, fit the room as plain text.
pub(super) fn shorten(text: &str, room: &Room) -> Shortened {
    let ends = Ends::of(text, room);
    match (&ends.tail, Frame::of(&ends, room)) {
        (None, _) if ends.head.len() <= room.max_bytes && room.holds_lines(&ends.head) => {
            let removed_bytes = text.len().saturating_sub(ends.head.len());
            Shortened { text: ends.head.into_owned(), removed_bytes }
        }
        (_, Some(frame)) => framed(&ends, &frame, room),
        (_, None) => pinched(&ends, room),
    }
}

/// The two ends of a text, as much of them as is read, their lines capped.
pub(super) struct Ends<'a> {
    pub(super) head: Cow<'a, str>,
    /// `None` if the head is the whole text.
    tail: Option<Cow<'a, str>>,
    total: Total,
    total_bytes: usize,
}

/// What header and marker count.
#[derive(Clone, Copy)]
enum Total {
    Lines(usize),
    Bytes(usize),
}

impl<'a> Ends<'a> {
    pub(super) fn of(text: &'a str, room: &Room) -> Self {
        let total_bytes = text.len();
        if total_bytes <= room.readable_bytes() {
            let head = line::capped(text, room);
            let total = Total::Lines(line::count(text));
            return Self { head, tail: None, total, total_bytes };
        }
        let half = room.readable_bytes() / 2;
        let head = &text[..boundary_before(text, half)];
        let tail = &text[boundary_after(text, total_bytes - half)..];
        Self {
            head: line::capped_head(head, room),
            tail: Some(line::capped_tail(tail, room)),
            total: Total::Bytes(total_bytes),
            total_bytes,
        }
    }

    /// What the tail is taken from, once the head has `head_bytes` bytes.
    fn after(&self, head_bytes: usize) -> &str {
        self.tail.as_deref().unwrap_or(&self.head[head_bytes..])
    }

    /// Head and tail of at most so many bytes and lines together.
    pub(super) fn keep(&self, max_bytes: usize, max_lines: usize, room: &Room) -> Kept<'_> {
        let head_lines = room.head_share(max_lines);
        let head_end = line::head_end(&self.head, room.head_share(max_bytes), head_lines);
        let head = &self.head[..head_end];
        let rest = self.after(head_end);
        let left_lines = max_lines - line::count(head);
        let tail = &rest[line::tail_start(rest, max_bytes - head.len(), left_lines)..];
        Kept { head, tail }
    }

    fn header(&self) -> String {
        match self.total {
            Total::Lines(total) => format!("Total output lines: {total}\n\n"),
            Total::Bytes(total) => format!("Total output bytes: {total}\n\n"),
        }
    }

    fn marker(&self, kept: &Kept<'_>, room: &Room) -> String {
        let (total, kept, unit) = match self.total {
            Total::Lines(total) => (total, kept.lines(), "lines"),
            Total::Bytes(total) => (total, kept.bytes(), "bytes"),
        };
        // Of a line that is cut in two, both parts are counted as kept.
        let omitted = total.saturating_sub(kept);
        match omitted {
            0 => fitting(room),
            _ => omission(omitted, total, unit),
        }
    }

    /// The bytes of the longest marker that can be needed.
    fn widest_marker(&self, room: &Room) -> usize {
        let (Total::Lines(total) | Total::Bytes(total)) = self.total;
        omission(total, total, "bytes").len().max(fitting(room).len())
    }
}

fn omission(omitted: usize, total: usize, unit: &str) -> String {
    format!("\n[... omitted {omitted} of {total} {unit} ...]\n\n")
}

fn fitting(room: &Room) -> String {
    format!("\n[... output truncated to fit {} ...]\n\n", room.limit)
}

/// What stays of the two ends.
pub(super) struct Kept<'a> {
    pub(super) head: &'a str,
    pub(super) tail: &'a str,
}

impl Kept<'_> {
    fn bytes(&self) -> usize {
        self.head.len() + self.tail.len()
    }

    fn lines(&self) -> usize {
        line::count(self.head) + line::count(self.tail)
    }
}

/// What is written around head and tail, and the room that it leaves for them.
struct Frame {
    header: String,
    max_bytes: usize,
    max_lines: usize,
}

impl Frame {
    /// The marker, a blank line before and one after it.
    const MARKER_LINES: usize = 3;

    /// With a header if it may be, without one if it must be; `None` if even a marker would take
    /// more than half of the room.
    fn of(ends: &Ends<'_>, room: &Room) -> Option<Self> {
        let widest_marker = ends.widest_marker(room);
        let fitting = |header: String| {
            let bytes = header.len() + widest_marker;
            let lines = line::count(&header) + Self::MARKER_LINES;
            let fits = bytes <= room.max_bytes / 2
                && lines + 2 <= room.max_lines
                && widest_marker.max(header.len()) <= room.max_line_bytes;
            fits.then(|| Self {
                header,
                max_bytes: room.max_bytes - bytes,
                max_lines: room.max_lines - lines,
            })
        };
        fitting(ends.header()).or_else(|| fitting(String::new()))
    }
}

fn framed(ends: &Ends<'_>, frame: &Frame, room: &Room) -> Shortened {
    let kept = ends.keep(frame.max_bytes, frame.max_lines, room);
    let marker = ends.marker(&kept, room);
    let text = [&frame.header, kept.head, &marker, kept.tail].concat();
    Shortened { text, removed_bytes: ends.total_bytes.saturating_sub(kept.bytes()) }
}

/// Too little room for a marker of its own: the last line of the head and the first of the tail
/// become one, with `…` between them. Where not even that has room, the tail is kept.
fn pinched(ends: &Ends<'_>, room: &Room) -> Shortened {
    let max_bytes = room.max_bytes.min(room.max_line_bytes);
    let (head, marker, rest) = match line::around_ellipsis(max_bytes) {
        Some(kept_bytes) if room.max_lines > 0 => {
            let lines = room.head_share(room.max_lines.saturating_add(1));
            let end = line::head_end(&ends.head, room.head_share(kept_bytes), lines);
            (&ends.head[..end], line::ELLIPSIS, ends.after(end))
        }
        _ => ("", "", ends.after(0)),
    };
    // What head and tail share is one line of both.
    let left_lines = room.max_lines - line::count(head).saturating_sub(1);
    let left_bytes = max_bytes - marker.len() - head.len();
    let tail = &rest[line::tail_start(rest, left_bytes, left_lines)..];
    let text = [head.strip_suffix('\n').unwrap_or(head), marker, tail].concat();
    let removed_bytes = ends.total_bytes.saturating_sub(head.len() + tail.len());
    Shortened { text, removed_bytes }
}
