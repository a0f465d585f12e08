//! The lines of a log, each on its own.
//!
//! A line of ours is known by its checksum; what its record is stands at its beginning, in a fixed
//! order. So a line of any length is checked in one pass over its bytes, and never held. Lines of
//! others are parsed.

use std::borrow::Cow;
use std::io;
use std::ops::Range;

use memchr::memchr;

use super::Line;
use super::head::Head;
use super::window::{Window, read_exact};
use crate::error::excerpt;
use crate::record::{SEAL_BYTES, unsealed};
use crate::{Damage, Error, Flaw, RecordKind, SessionMeta, Source, Torn};

/// So many bytes are read at once.
const WINDOW_BYTES: usize = 256 * 1024;
/// And so many to see which line follows.
const AHEAD_BYTES: usize = 8 * 1024;
/// More than a message quotes, and more than most heads.
const HEAD_BYTES: u64 = 400;
pub(crate) const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Reads a log line by line.
pub(super) struct Lines<'a> {
    source: &'a dyn Source,
    end: u64,
    window: Window<'a>,
    /// How much of the window is the line that was found last: its payload may still be asked for.
    taken: usize,
    /// Where the last line ends that has a newline.
    good_len: u64,
    max_line_bytes: u64,
    format: Format,
    /// The number of the next line.
    number: u64,
}

/// Whose log it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// No line has told yet.
    Unknown,
    Ours,
    Foreign,
}

/// What stands next, blank lines aside.
pub(super) enum Next {
    Line(Line),
    /// And what is left of its head.
    Damage(Box<Damage>, Option<Box<Head>>),
    Torn(Torn),
    End,
}

/// A line, as far as it is in the window.
struct Raw {
    number: u64,
    offset: u64,
    /// Its length, its newline aside.
    bytes: u64,
    /// How much of it is at the beginning of the window.
    in_window: usize,
    /// What was read of it before, if it did not fit in.
    long: Option<Box<Long>>,
}

/// The part of a line of which only the checksum is kept.
struct Long {
    hasher: crc32fast::Hasher,
    head: Option<Head>,
}

impl<'a> Lines<'a> {
    pub(super) fn new(source: &'a dyn Source, max_line_bytes: u64) -> io::Result<Self> {
        let end = source.len()?;
        let mut window = Window::new(source, 0, end, WINDOW_BYTES);
        while window.len() < BYTE_ORDER_MARK.len() && window.fill()? {}
        if window.bytes().starts_with(BYTE_ORDER_MARK) {
            window.consume(BYTE_ORDER_MARK.len());
        }
        let (good_len, format) = (window.offset(), Format::Unknown);
        Ok(Self { source, end, window, taken: 0, good_len, max_line_bytes, format, number: 1 })
    }

    /// The same from here on, on its own.
    pub(super) fn ahead(&self) -> Lines<'a> {
        let window = Window::new(self.source, self.good_len(), self.end, AHEAD_BYTES);
        Self { window, taken: 0, ..*self }
    }

    pub(super) fn format(&self) -> Format {
        self.format
    }

    /// Where the last line ends that has a newline.
    pub(super) fn good_len(&self) -> u64 {
        self.good_len
    }

    pub(super) fn bytes(&self, range: Range<u64>) -> io::Result<Cow<'_, [u8]>> {
        let len = usize::try_from(range.end - range.start).map_err(io::Error::other)?;
        if let Some(bytes) = self.window.get(range.start, len) {
            return Ok(Cow::Borrowed(bytes));
        }
        let mut bytes = vec![0; len];
        read_exact(self.source, range.start, &mut bytes)?;
        Ok(Cow::Owned(bytes))
    }

    pub(super) fn next(&mut self) -> io::Result<Next> {
        loop {
            let raw = match self.find()? {
                Ok(raw) => raw,
                Err(end) => return Ok(end),
            };
            if self.is_blank(&raw) {
                continue;
            }
            let (number, offset) = (raw.number, raw.offset);
            return Ok(match self.check(raw)? {
                Ok(head) => Next::Line(Line { number, offset, head }),
                Err(flaw) => {
                    let damage = Box::new(Damage { line: number, offset, flaw });
                    Next::Damage(damage, self.lost_head(offset, self.good_len)?)
                }
            });
        }
    }

    /// The head of a line of ours that is not sound, as far as can be seen.
    fn lost_head(&self, offset: u64, end: u64) -> io::Result<Option<Box<Head>>> {
        let start = self.bytes(offset..end.min(offset + HEAD_BYTES))?;
        let head = Head::fixed(&start).filter(|_| self.format == Format::Ours);
        Ok(head.map(Box::new))
    }

    /// Finds the end of the next line; without one, what ends the log.
    fn find(&mut self) -> io::Result<Result<Raw, Next>> {
        self.window.consume(std::mem::take(&mut self.taken));
        let (number, offset) = (self.number, self.window.offset());
        let mut long = None;
        let mut searched = 0;
        loop {
            if let Some(at) = memchr(b'\n', &self.window.bytes()[searched..]) {
                self.number += 1;
                let in_window = searched + at;
                self.taken = in_window + 1;
                self.good_len = self.window.offset() + self.taken as u64;
                let bytes = self.window.offset() - offset + in_window as u64;
                return Ok(Ok(Raw { number, offset, bytes, in_window, long }));
            }
            searched = self.window.len();
            if self.window.fill()? {
                continue;
            }
            if !self.window.is_full() {
                return Ok(Err(self.torn(number, offset)));
            }
            searched = self.make_room(&mut long);
        }
    }

    /// What is left without a newline. It is not found again.
    fn torn(&mut self, line: u64, offset: u64) -> Next {
        let len = self.window.offset() + self.window.len() as u64 - offset;
        self.taken = self.window.len();
        if len == 0 { Next::End } else { Next::Torn(Torn { line, offset, len }) }
    }

    /// Makes room for more of a line that fills the window, and says how much of it stays there.
    fn make_room(&mut self, long: &mut Option<Box<Long>>) -> usize {
        let bytes = self.window.bytes();
        let is_ours = match self.format {
            Format::Unknown => Head::fixed(bytes).is_some(),
            format => format == Format::Ours,
        };
        let is_held = !is_ours && may_be_record(bytes);
        if long.is_none() && is_held && bytes.len() as u64 <= self.max_line_bytes {
            self.window.grow();
            return self.window.len();
        }
        let long = long.get_or_insert_with(|| {
            Box::new(Long { hasher: crc32fast::Hasher::new(), head: Head::fixed(bytes) })
        });
        // A carriage return may follow the seal.
        let (covered, rest) = bytes.split_at(bytes.len() - SEAL_BYTES - 1);
        long.hasher.update(covered);
        let (covered, rest) = (covered.len(), rest.len());
        self.window.consume(covered);
        rest
    }

    fn is_blank(&self, raw: &Raw) -> bool {
        raw.long.is_none() && self.in_window(raw).iter().all(u8::is_ascii_whitespace)
    }

    fn in_window(&self, raw: &Raw) -> &[u8] {
        &self.window.bytes()[..raw.in_window]
    }

    /// What the line says of its record, if it is sound.
    fn check(&mut self, raw: Raw) -> io::Result<Result<Head, Flaw>> {
        if raw.bytes > self.max_line_bytes {
            return Ok(Err(Flaw::TooLong { bytes: raw.bytes, max: self.max_line_bytes }));
        }
        if self.format != Format::Ours && raw.long.as_ref().is_some_and(|it| it.head.is_none()) {
            return Ok(Err(Error::NotAnObject { excerpt: self.excerpt(&raw)? }.into()));
        }
        let line = self.in_window(&raw);
        match self.format {
            Format::Ours => self.check_ours(raw),
            Format::Foreign => Ok(Head::parse(line).map_err(Flaw::Line)),
            Format::Unknown => {
                let parsed = Head::parse(line);
                self.format = whose(line, raw.long.is_some(), parsed.as_ref().ok());
                match self.format {
                    Format::Ours => self.check_ours(raw),
                    _ => Ok(parsed.map_err(Flaw::Line)),
                }
            }
        }
    }

    /// The beginning of a line, which may have left the window.
    fn excerpt(&self, raw: &Raw) -> io::Result<String> {
        let start = raw.offset..raw.offset + raw.bytes.min(HEAD_BYTES);
        Ok(excerpt(&self.bytes(start)?))
    }

    fn check_ours(&self, raw: Raw) -> io::Result<Result<Head, Flaw>> {
        let line = self.in_window(&raw);
        let end = line.len() - usize::from(line.ends_with(b"\r"));
        let Some((covered, stated)) = unsealed(&line[..end]) else {
            return Ok(Err(Error::NotSealed { excerpt: self.excerpt(&raw)? }.into()));
        };
        let (mut hasher, fixed) = match raw.long {
            Some(long) => (long.hasher, long.head),
            None => (crc32fast::Hasher::new(), Head::fixed(line)),
        };
        hasher.update(covered);
        let computed = hasher.finalize();
        if stated != computed {
            return Ok(Err(Error::BadChecksum { stated, computed }.into()));
        }
        let bytes = raw.bytes - (line.len() - end) as u64;
        if let Some(head) = fixed.and_then(|head| head.of_sealed(bytes)) {
            return Ok(Ok(head));
        }
        let line = self.bytes(raw.offset..raw.offset + bytes)?;
        Ok(Head::parse_ours(&line).map_err(Flaw::Line))
    }
}

/// Whether a line that begins so may be a record: an object. What is not is never held.
fn may_be_record(line: &[u8]) -> bool {
    line.trim_ascii_start().starts_with(b"{")
}

/// Whose log the line is of. Ours begins as no other does, and says what it is: where one of both is
/// damaged, the other still tells.
fn whose(line: &[u8], is_long: bool, parsed: Option<&Head>) -> Format {
    if is_long || Head::fixed(line).is_some() {
        return Format::Ours;
    }
    let Some(Head { kind, payload, .. }) = parsed else {
        return Format::Unknown;
    };
    let meta = || serde_json::from_slice::<SessionMeta>(&line[payload.clone()]);
    let is_meta = *kind == Some(RecordKind::SessionMeta);
    let is_ours = is_meta && meta().is_ok_and(|it| it.format_version.is_some());
    if is_ours { Format::Ours } else { Format::Foreign }
}
