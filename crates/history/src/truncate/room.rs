//! The room that one text gets, and the search for the room whose result costs little enough.

use std::fmt;

use super::{OutputLimits, READ_WHOLE_BYTES, document, line};

/// No text worth keeping has more bytes per token, on average; runs of one character may.
pub(super) const MAX_BYTES_PER_TOKEN: usize = 16;

/// What one text may take, and which limit its marker names.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    pub(super) max_bytes: usize,
    pub(super) max_lines: usize,
    pub(super) max_line_bytes: usize,
    pub(super) limit: Limit,
    pub(super) head_percent: usize,
    pub(super) max_tokens: Option<u64>,
}

/// A limit as a marker names it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Limit {
    Bytes(usize),
    Tokens(u64),
}

impl Room {
    pub(super) fn new(limits: &OutputLimits) -> Self {
        let room = Self {
            max_bytes: limits.max_bytes,
            max_lines: limits.max_lines,
            max_line_bytes: limits.max_line_bytes.unwrap_or(usize::MAX),
            limit: Limit::Bytes(limits.max_bytes),
            head_percent: usize::from(limits.head_percent.clamp(10, 90)),
            max_tokens: limits.max_tokens,
        };
        match limits.max_tokens {
            Some(max) => room.shrunk(saturating_usize(max).saturating_mul(MAX_BYTES_PER_TOKEN)),
            None => room,
        }
    }

    /// The same with at most `max_bytes` bytes. Less than before is for the sake of tokens, if those
    /// are limited.
    pub(super) fn shrunk(self, max_bytes: usize) -> Self {
        if max_bytes >= self.max_bytes {
            return self;
        }
        let limit = self.max_tokens.map_or(self.limit, Limit::Tokens);
        Self { max_bytes, limit, ..self }
    }

    /// The head's share of `whole`: something for both ends, if `whole` is at least 2.
    pub(super) fn head_share(&self, whole: usize) -> usize {
        let share = whole / 100 * self.head_percent + whole % 100 * self.head_percent / 100;
        share.max(1).min(whole)
    }

    /// The longest text that is read whole.
    pub(super) fn readable_bytes(&self) -> usize {
        READ_WHOLE_BYTES.max(self.max_bytes.saturating_mul(2))
    }

    /// Whether `text` needs no cut, tokens apart. Looks at `max_bytes` bytes at most.
    pub(super) fn holds(&self, text: &str) -> bool {
        text.len() <= self.max_bytes
            && line::count(text) <= self.max_lines
            && document::holds_strings(text, self)
                .unwrap_or_else(|| line::are_within(text, self.max_line_bytes))
    }

    /// Whether the lines of `text` are few and short enough.
    pub(super) fn holds_lines(&self, text: &str) -> bool {
        line::count(text) <= self.max_lines && line::are_within(text, self.max_line_bytes)
    }

    /// Whether every text in `json` surely has few and short enough lines: `false` says nothing.
    /// An escape of a newline takes a backslash, and no text is longer than its JSON.
    pub(super) fn surely_holds_lines_in(&self, json: &str) -> bool {
        json.len() <= self.max_line_bytes
            && memchr::memchr_iter(b'\\', json.as_bytes()).count() < self.max_lines
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(max) => write!(f, "{max} bytes"),
            Self::Tokens(max) => write!(f, "{max} tokens"),
        }
    }
}

/// So often a room is found by proportion; then each is half of the last.
const PROPORTIONAL_ROUNDS: usize = 6;

/// Gives `render` `room` bytes, then less and less, until what it makes costs `max` at most or has no
/// room. All rooms together are at most 8 times the first.
pub(super) fn shrink<T>(
    mut room: usize,
    max: u64,
    render: impl Fn(usize) -> T,
    cost: impl Fn(&T) -> u64,
) -> T {
    let mut round = 0;
    loop {
        let rendered = render(room);
        let cost = cost(&rendered);
        if cost <= max || room == 0 {
            return rendered;
        }
        let smaller = if round < PROPORTIONAL_ROUNDS { room - 1 } else { room / 2 };
        room = in_proportion(room, max, cost).min(smaller);
        round += 1;
    }
}

/// What of `room` would cost `max`, less a little: a part of the cost does not shrink with the room.
pub(super) fn in_proportion(room: usize, max: u64, cost: u64) -> usize {
    let room = room as u128 * u128::from(max) / u128::from(cost);
    usize::try_from(room - room.div_ceil(64)).unwrap_or(usize::MAX)
}

/// The largest number from `low` to `high` that `fits`, if those up to some number do and `low` does.
pub(super) fn largest(low: usize, high: usize, fits: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (low, high);
    while low < high {
        let middle = high - (high - low) / 2;
        if fits(middle) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    low
}

pub(super) fn saturating_usize(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}
