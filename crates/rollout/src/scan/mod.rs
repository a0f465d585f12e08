//! The records of a log in their order, checked, and not parsed where they are ours.

mod head;
mod lines;
mod order;
mod window;

use std::borrow::Cow;
use std::io;
use std::ops::Range;

use crate::{Damage, RecordKind, Source, Torn};
use lines::{Format, Lines, Next};
use order::{Follows, Order};

pub(crate) use head::Head;
pub(crate) use lines::BYTE_ORDER_MARK;
pub(crate) use window::read_exact;

/// Reads a log record by record.
pub(crate) struct Scan<'a> {
    lines: Lines<'a>,
    order: Order,
    /// Records that were found.
    records: u64,
    /// The record that comes next, behind others that are missing.
    ahead: Option<Line>,
}

/// What stands at a place of a log.
#[derive(Debug)]
pub(crate) enum Found {
    /// A record.
    Line(Line),
    /// A line that is no record, or not in its place; or lines that are missing before the next.
    Damage(Box<Damage>),
    /// A line that is not sound, and was an item: one that was inserted, or appended.
    LostItem(Box<Damage>, Option<usize>),
    /// The end of a log that has no newline.
    Torn(Torn),
}

/// A line that is a record.
#[derive(Debug)]
pub(crate) struct Line {
    /// The line's number in the log, from 1.
    pub(crate) number: u64,
    /// Where the line starts.
    pub(crate) offset: u64,
    pub(crate) head: Head,
}

impl Line {
    /// Where in the source the payload is.
    pub(crate) fn payload(&self) -> Range<u64> {
        let Range { start, end } = self.head.payload;
        self.offset + start as u64..self.offset + end as u64
    }
}

impl<'a> Scan<'a> {
    pub(crate) fn new(source: &'a dyn Source, max_line_bytes: u64) -> io::Result<Self> {
        let lines = Lines::new(source, max_line_bytes)?;
        Ok(Self { lines, order: Order::new(), records: 0, ahead: None })
    }

    pub(crate) fn is_foreign(&self) -> bool {
        self.lines.format() == Format::Foreign
    }

    /// The newest epoch.
    pub(crate) fn epoch(&self) -> u64 {
        self.order.epoch()
    }

    /// The ordinal of the next record; of a log of others, how many records there were.
    pub(crate) fn next_ordinal(&self) -> u64 {
        if self.is_foreign() { self.records } else { self.order.next() }
    }

    /// Where the last whole line ends.
    pub(crate) fn good_len(&self) -> u64 {
        self.lines.good_len()
    }

    /// Bytes of the log. Those of the line that was found last are there, unless it is very long;
    /// others are read again.
    pub(crate) fn bytes(&self, range: Range<u64>) -> io::Result<Cow<'_, [u8]>> {
        self.lines.bytes(range)
    }

    /// The whole of the line that was found last, with its newline.
    pub(crate) fn line(&self, last: &Line) -> io::Result<Cow<'_, [u8]>> {
        self.bytes(last.offset..self.good_len())
    }

    /// What stands next in the log; `None` at its end.
    pub(crate) fn next(&mut self) -> io::Result<Option<Found>> {
        if let Some(line) = self.ahead.take() {
            return Ok(Some(self.take(line)));
        }
        match self.lines.next()? {
            Next::Line(line) if self.is_foreign() => {
                self.records += 1;
                Ok(Some(Found::Line(line)))
            }
            Next::Line(line) => self.in_order(line).map(Some),
            Next::Damage(damage, head) => Ok(Some(self.lose(damage, head.as_deref()))),
            Next::Torn(torn) => Ok(Some(Found::Torn(torn))),
            Next::End => Ok(None),
        }
    }

    /// The line, if it is in its place.
    fn in_order(&mut self, line: Line) -> io::Result<Found> {
        let Head { ordinal, epoch, .. } = line.head;
        let flaw = match self.order.follows(ordinal, epoch) {
            Follows::Yes => return Ok(self.take(line)),
            Follows::Later(flaw) | Follows::No(flaw) => flaw,
        };
        let damage = Box::new(Damage { line: line.number, offset: line.offset, flaw });
        if ordinal > self.order.next() && self.leads_on(ordinal)? {
            self.ahead = Some(line);
        } else if ordinal == self.order.next() {
            self.order.lose(Some(ordinal));
        }
        Ok(Found::Damage(damage))
    }

    fn lose(&mut self, damage: Box<Damage>, head: Option<&Head>) -> Found {
        let is_in_place = self.order.lose(head.map(|head| head.ordinal));
        match head {
            Some(&Head { kind: Some(RecordKind::ResponseItem), at, .. }) if is_in_place => {
                Found::LostItem(damage, at)
            }
            _ => Found::Damage(damage),
        }
    }

    fn take(&mut self, line: Line) -> Found {
        self.order.take(line.head.ordinal, line.head.epoch);
        Found::Line(line)
    }

    /// Whether the log goes on from this ordinal, before which others are missing. Else the line is
    /// a stray.
    fn leads_on(&self, ordinal: u64) -> io::Result<bool> {
        Ok(match self.lines.ahead().next()? {
            Next::Line(next) => Some(next.head.ordinal) == ordinal.checked_add(1),
            _ => true,
        })
    }
}
