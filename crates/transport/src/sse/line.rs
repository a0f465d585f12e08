//! One line of a stream, whole or still open.

/// The mark that may stand before the first line of a stream.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// So many bytes at the start of a line tell what it is: a byte order mark, `data:` and a space.
const HEAD_BYTES: usize = 9;

/// A buffer that grew beyond this is not kept for the next event.
const KEPT_BYTES: usize = 64 * 1024;

/// What a line says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// The event ends.
    Blank,
    /// Data, without the field's name.
    Data(&'a [u8]),
    Comment,
    /// Something that is read over, or data that is held already.
    Other,
}

impl<'a> Line<'a> {
    /// Reads a whole line, or the start of one that tells what it is.
    #[inline]
    pub(super) fn read(line: &'a [u8], is_first: bool) -> Self {
        let mark = if is_first { line.strip_prefix(BYTE_ORDER_MARK) } else { None };
        let line = mark.unwrap_or(line);
        match line {
            [] => Self::Blank,
            [b':', ..] => Self::Comment,
            b"data" => Self::Data(b""),
            _ => match line.strip_prefix(b"data:") {
                Some(data) => Self::Data(data.strip_prefix(b" ").unwrap_or(data)),
                None => Self::Other,
            },
        }
    }
}

/// The data of the open event, as far as it is held.
#[derive(Debug)]
pub(super) struct Data {
    bytes: Vec<u8>,
    /// Whether there is any: one empty line is some.
    is_some: bool,
    max_bytes: usize,
}

impl Data {
    /// None yet, and never more than `max_bytes`.
    pub(super) fn new(max_bytes: usize) -> Self {
        Self { bytes: Vec::new(), is_some: false, max_bytes }
    }

    pub(super) fn is_some(&self) -> bool {
        self.is_some
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn push_line(&mut self, line: &[u8]) {
        if self.is_some {
            self.push(b"\n");
        }
        self.is_some = true;
        self.push(line);
    }

    /// Adds to the last line. The buffer doubles, as buffers do, but not beyond the bound.
    fn push(&mut self, part: &[u8]) {
        let needed = self.bytes.len() + part.len();
        if needed > self.bytes.capacity() {
            let doubled = self.bytes.capacity().saturating_mul(2).min(self.max_bytes);
            self.bytes.reserve_exact(doubled.max(needed) - self.bytes.len());
        }
        self.bytes.extend_from_slice(part);
    }

    pub(super) fn clear(&mut self) {
        self.is_some = false;
        self.bytes.clear();
        self.bytes.shrink_to(KEPT_BYTES);
    }
}

/// The line that the end of a piece left open. Of all but data, only the head is held.
#[derive(Debug, Default)]
pub(super) struct OpenLine {
    bytes: usize,
    head: Vec<u8>,
    kind: Kind,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// There is too little of it to tell.
    #[default]
    Unknown,
    Data,
    Comment,
    Other,
}

impl OpenLine {
    /// Its length so far.
    #[inline]
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// More of the line comes.
    pub(super) fn extend(&mut self, mut part: &[u8], is_first: bool, data: &mut Data) {
        self.bytes += part.len();
        if self.kind == Kind::Unknown {
            let (head, rest) = part.split_at(part.len().min(HEAD_BYTES - self.head.len()));
            self.head.extend_from_slice(head);
            if self.head.len() == HEAD_BYTES {
                self.decide(is_first, data);
            }
            part = rest;
        }
        if self.kind == Kind::Data {
            data.push(part);
        }
    }

    /// The line ends. Data that it brought is held.
    pub(super) fn close(&mut self, is_first: bool, data: &mut Data) -> Line<'static> {
        if self.kind == Kind::Unknown {
            self.decide(is_first, data);
        }
        self.bytes = 0;
        match std::mem::take(&mut self.kind) {
            Kind::Unknown => Line::Blank,
            Kind::Comment => Line::Comment,
            Kind::Data | Kind::Other => Line::Other,
        }
    }

    fn decide(&mut self, is_first: bool, data: &mut Data) {
        self.kind = match Line::read(&self.head, is_first) {
            Line::Blank => Kind::Unknown,
            Line::Data(start) => {
                data.push_line(start);
                Kind::Data
            }
            Line::Comment => Kind::Comment,
            Line::Other => Kind::Other,
        };
        self.head.clear();
    }
}
