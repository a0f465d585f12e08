//! The lines of a log, checked, and not parsed where they are ours.
//!
//! A line of ours is known by its checksum; what its record is stands at its beginning, in a fixed
//! order. So a line of any length is checked in one pass over its bytes, and never held.

mod head;
mod order;
mod window;

use std::borrow::Cow;
use std::io;
use std::ops::Range;

use memchr::memchr;

use crate::error::excerpt;
use crate::record::{SEAL_BYTES, unsealed};
use crate::{Damage, Error, Flaw, RecordKind, SessionMeta, Source, Torn};
use order::{Follows, Order};
use window::Window;

pub(crate) use head::Head;
pub(crate) use window::read_exact;

/// So many bytes are read at once.
const WINDOW_BYTES: usize = 256 * 1024;
/// The least that is looked at, to see which line follows.
const PEEK_BYTES: usize = 8 * 1024;
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Reads a log line by line.
pub(crate) struct Scan<'a> {
    source: &'a dyn Source,
    window: Window<'a>,
    /// How much of the window is the line that was found last: its payload may still be asked for.
    taken: usize,
    end: u64,
    max_line_bytes: u64,
    format: Format,
    order: Order,
    /// The number of the next line.
    number: u64,
    /// Records that were found.
    records: u64,
    /// Where the last whole line ends.
    good_len: u64,
}

/// Whose log it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    /// No line has told yet.
    Unknown,
    Ours,
    Foreign,
}

/// What stands at a place of a log.
#[derive(Debug)]
pub(crate) enum Found {
    /// A record; and if lines are missing before it, that.
    Line(Line, Option<Damage>),
    /// A line that is no record, or not in its place.
    Damage(Damage),
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
    /// Where it ends, its newline included.
    pub(crate) end: u64,
    pub(crate) head: Head,
}

impl Line {
    /// Where in the source the payload is.
    pub(crate) fn payload(&self) -> Range<u64> {
        let Range { start, end } = self.head.payload;
        self.offset + start as u64..self.offset + end as u64
    }
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
    long: Option<Long>,
}

/// The part of a line of which only the checksum is kept.
struct Long {
    hasher: crc32fast::Hasher,
    head: Option<Head>,
}

impl<'a> Scan<'a> {
    pub(crate) fn new(source: &'a dyn Source, max_line_bytes: u64) -> io::Result<Self> {
        let end = source.len()?;
        let mut window = Window::new(source, 0, end, WINDOW_BYTES);
        while window.len() < BYTE_ORDER_MARK.len() && window.fill()? {}
        if window.bytes().starts_with(BYTE_ORDER_MARK) {
            window.consume(BYTE_ORDER_MARK.len());
        }
        let (format, order) = (Format::Unknown, Order::new());
        let good_len = window.offset();
        Ok(Self {
            source,
            window,
            taken: 0,
            end,
            max_line_bytes,
            format,
            order,
            number: 1,
            records: 0,
            good_len,
        })
    }

    pub(crate) fn is_foreign(&self) -> bool {
        self.format == Format::Foreign
    }

    /// The newest epoch.
    pub(crate) fn epoch(&self) -> u64 {
        self.order.epoch()
    }

    /// The ordinal of the next record; of a log of others, how many records there were.
    pub(crate) fn next_ordinal(&self) -> u64 {
        if self.is_foreign() { self.records } else { self.order.next }
    }

    /// Where the last whole line ends.
    pub(crate) fn good_len(&self) -> u64 {
        self.good_len
    }

    /// What stands next in the log; `None` at its end.
    pub(crate) fn next(&mut self) -> io::Result<Option<Found>> {
        let found = self.next_sound()?;
        let Some(Found::Line(line, _)) = found else {
            return Ok(found);
        };
        self.records += 1;
        if self.format == Format::Ours {
            self.in_order(line).map(Some)
        } else {
            Ok(Some(Found::Line(line, None)))
        }
    }

    /// The next line, if it is in its place.
    fn in_order(&mut self, line: Line) -> io::Result<Found> {
        let ordinal = line.head.ordinal.unwrap_or_default();
        let epoch = line.head.epoch.unwrap_or_default();
        let (flaw, is_next) = match self.order.follows(ordinal, epoch) {
            Follows::Yes => (None, true),
            Follows::Later(flaw) => (Some(flaw), self.leads_on(&line, ordinal)?),
            Follows::No(flaw) => (Some(flaw), false),
        };
        let damage = flaw.map(|flaw| Damage { line: line.number, offset: line.offset, flaw });
        if is_next {
            self.order.take(ordinal, epoch);
        } else if ordinal == self.order.next {
            self.order.lose();
        }
        Ok(match damage {
            Some(damage) if !is_next => Found::Damage(damage),
            damage => Found::Line(line, damage),
        })
    }

    /// Whether the log goes on from this line, before which others are missing. Else it is a stray.
    fn leads_on(&self, line: &Line, ordinal: u64) -> io::Result<bool> {
        let window = Window::new(self.source, line.end, self.end, PEEK_BYTES);
        let mut ahead = Self { window, taken: 0, ..*self };
        match ahead.next_sound()? {
            Some(Found::Line(next, _)) => Ok(next.head.ordinal == ordinal.checked_add(1)),
            _ => Ok(true),
        }
    }

    /// What stands next, whatever its place.
    fn next_sound(&mut self) -> io::Result<Option<Found>> {
        loop {
            let raw = match self.next_raw()? {
                Ok(raw) => raw,
                Err(torn) => return Ok(torn.map(Found::Torn)),
            };
            let found = if self.is_blank(&raw) { None } else { Some(self.check(&raw)?) };
            self.taken = raw.in_window + 1;
            self.good_len = self.window.offset() + self.taken as u64;
            let (line, offset, end) = (raw.number, raw.offset, self.good_len);
            match found {
                None => {}
                Some(Ok(head)) => {
                    return Ok(Some(Found::Line(Line { number: line, offset, end, head }, None)));
                }
                Some(Err(flaw)) => {
                    self.order.lose();
                    return Ok(Some(Found::Damage(Damage { line, offset, flaw })));
                }
            }
        }
    }

    /// Finds the end of the next line. Without one, what is left; nothing at the end of the log.
    fn next_raw(&mut self) -> io::Result<Result<Raw, Option<Torn>>> {
        self.window.consume(std::mem::take(&mut self.taken));
        let (number, offset) = (self.number, self.window.offset());
        let mut long = None;
        let mut searched = 0;
        loop {
            if let Some(at) = memchr(b'\n', &self.window.bytes()[searched..]) {
                self.number += 1;
                let in_window = searched + at;
                let bytes = self.window.offset() - offset + in_window as u64;
                return Ok(Ok(Raw { number, offset, bytes, in_window, long }));
            }
            searched = self.window.len();
            if self.window.fill()? {
                continue;
            }
            if !self.window.is_full() {
                let len = self.window.offset() - offset + searched as u64;
                self.taken = searched;
                return Ok(Err((len > 0).then_some(Torn { line: number, offset, len })));
            }
            searched = self.make_room(&mut long);
        }
    }

    /// Makes room for more of a line that fills the window, and says how much of it stays there.
    fn make_room(&mut self, long: &mut Option<Long>) -> usize {
        let bytes = self.window.bytes();
        let is_ours = match self.format {
            Format::Unknown => Head::fixed(bytes).is_some(),
            format => format == Format::Ours,
        };
        if long.is_none() && !is_ours && bytes.len() as u64 <= self.max_line_bytes {
            self.window.grow();
            return self.window.len();
        }
        let long = long.get_or_insert_with(|| Long {
            hasher: crc32fast::Hasher::new(),
            head: Head::fixed(bytes),
        });
        // A carriage return may follow the seal.
        let (covered, rest) = bytes.split_at(bytes.len() - SEAL_BYTES - 1);
        long.hasher.update(covered);
        let (covered, rest) = (covered.len(), rest.len());
        self.window.consume(covered);
        rest
    }

    fn is_blank(&self, raw: &Raw) -> bool {
        raw.long.is_none() && self.window.bytes()[..raw.in_window].trim_ascii().is_empty()
    }

    /// What the line says of its record, if it is sound.
    fn check(&mut self, raw: &Raw) -> io::Result<Result<Head, Flaw>> {
        if raw.bytes > self.max_line_bytes {
            return Ok(Err(Flaw::TooLong { bytes: raw.bytes, max: self.max_line_bytes }));
        }
        let line = &self.window.bytes()[..raw.in_window];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if self.format == Format::Foreign {
            return Ok(Head::parse(line).map_err(Flaw::Line));
        }
        let fixed = match &raw.long {
            Some(long) => long.head.clone(),
            None => Head::fixed(line),
        };
        let is_ours = self.format == Format::Ours || fixed.is_some() || unsealed(line).is_some();
        if is_ours {
            self.format = Format::Ours;
            return self.check_ours(raw, fixed);
        }
        let head = Head::parse(line);
        if let Ok(head) = &head {
            let is_ours = names_our_format(head, &line[head.payload.clone()]);
            self.format = if is_ours { Format::Ours } else { Format::Foreign };
            if is_ours {
                return Ok(Err(Flaw::Line(Error::NotSealed { excerpt: excerpt(line) })));
            }
        }
        Ok(head.map_err(Flaw::Line))
    }

    fn check_ours(&self, raw: &Raw, fixed: Option<Head>) -> io::Result<Result<Head, Flaw>> {
        let line = &self.window.bytes()[..raw.in_window];
        let end = line.len() - usize::from(line.ends_with(b"\r"));
        let Some((covered, stated)) = unsealed(&line[..end]) else {
            let excerpt = excerpt(&self.bytes(raw.offset..raw.offset + raw.bytes.min(400))?);
            return Ok(Err(Flaw::Line(Error::NotSealed { excerpt })));
        };
        let mut hasher = raw.long.as_ref().map(|it| it.hasher.clone()).unwrap_or_default();
        hasher.update(covered);
        let computed = hasher.finalize();
        if stated != computed {
            return Ok(Err(Flaw::Line(Error::BadChecksum { stated, computed })));
        }
        let bytes = raw.bytes - (line.len() - end) as u64;
        match fixed.and_then(|head| Head::of_sealed(bytes, head)) {
            Some(head) => Ok(Ok(head)),
            None => {
                Ok(Head::parse_ours(&self.bytes(raw.offset..raw.offset + bytes)?)
                    .map_err(Flaw::Line))
            }
        }
    }

    /// Bytes of the log: from the window, if they are there.
    pub(crate) fn bytes(&self, range: Range<u64>) -> io::Result<Cow<'_, [u8]>> {
        let from_window = || {
            let start = usize::try_from(range.start.checked_sub(self.window.offset())?).ok()?;
            let len = usize::try_from(range.end - range.start).ok()?;
            self.window.bytes().get(start..start.checked_add(len)?)
        };
        if let Some(bytes) = from_window() {
            return Ok(Cow::Borrowed(bytes));
        }
        let len = usize::try_from(range.end - range.start).map_err(io::Error::other)?;
        let mut bytes = vec![0; len];
        read_exact(self.source, range.start, &mut bytes)?;
        Ok(Cow::Owned(bytes))
    }
}

fn names_our_format(head: &Head, payload: &[u8]) -> bool {
    let meta = || serde_json::from_slice::<SessionMeta>(payload);
    head.kind == Some(RecordKind::SessionMeta) && meta().is_ok_and(|it| it.format_version.is_some())
}
