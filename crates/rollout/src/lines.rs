//! A log as a sequence of lines, each read on its own.

use crate::{Error, Record};

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Reads a log, or any beginning of one.
///
/// Lines end with a newline; a carriage return before it, blank lines and a byte order mark at the
/// start are tolerated. Bytes after the last newline are a torn line, even if they are a whole
/// record: its writer did not get to the newline, so it was never acknowledged.
///
/// ```
/// use longhaul_rollout::{Error, Line, lines};
///
/// let log = b"\n[1]\n{\"torn";
/// let read: Vec<Line> = lines(log).collect();
/// let bad = Err(Error::NotAnObject { excerpt: "[1]".into() });
/// assert_eq!(read[0], Line::Whole { number: 2, offset: 1, record: bad });
/// assert_eq!(read[1], Line::Torn { number: 3, offset: 5, bytes: b"{\"torn" });
/// ```
pub fn lines(log: &[u8]) -> Lines<'_> {
    let rest = log.strip_prefix(BYTE_ORDER_MARK).unwrap_or(log);
    Lines { rest, number: 0, offset: log.len() - rest.len() }
}

/// One line of a log that is not blank.
#[derive(Debug, Clone, PartialEq)]
pub enum Line<'a> {
    /// A line with its newline.
    Whole {
        /// The line's number in the log, from 1; blank lines count.
        number: usize,
        /// Where the line starts, in bytes from the start of the log.
        offset: usize,
        /// The record, or what is wrong with the line.
        record: Result<Record, Error>,
    },
    /// The end of a log that does not end with a newline; always the last line. Before anything is
    /// appended, cut the log at `offset`, or complete the line.
    Torn {
        /// The line's number in the log, from 1; blank lines count.
        number: usize,
        /// Where the line starts, in bytes from the start of the log.
        offset: usize,
        /// What is there of it; never empty. [`Record::decode`] tells whether only the newline is
        /// missing, as it may be in a file that was edited by hand.
        bytes: &'a [u8],
    },
}

/// The iterator that [`lines`] returns.
#[derive(Debug, Clone)]
pub struct Lines<'a> {
    rest: &'a [u8],
    number: usize,
    offset: usize,
}

impl<'a> Iterator for Lines<'a> {
    type Item = Line<'a>;

    fn next(&mut self) -> Option<Line<'a>> {
        loop {
            let (number, offset, bytes) = self.advance()?;
            let Some(line) = bytes.strip_suffix(b"\n") else {
                return Some(Line::Torn { number, offset, bytes });
            };
            if !line.trim_ascii().is_empty() {
                let record = Record::decode(line);
                return Some(Line::Whole { number, offset, record });
            }
        }
    }
}

impl<'a> Lines<'a> {
    /// Takes the next line, newline included: its number, its offset, its bytes.
    fn advance(&mut self) -> Option<(usize, usize, &'a [u8])> {
        let bytes = self.rest.split_inclusive(|&b| b == b'\n').next()?;
        let offset = self.offset;
        self.rest = &self.rest[bytes.len()..];
        self.offset += bytes.len();
        self.number += 1;
        Some((self.number, offset, bytes))
    }
}
