//! Server-sent events out of a body in pieces, with a bound on their size.
//!
//! By the rules of the [HTML standard], of which a client of one response needs little: the data of
//! each event. Names, ids and times of reconnection are read over.
//!
//! [HTML standard]: https://html.spec.whatwg.org/multipage/server-sent-events.html

mod line;

use self::line::{Data, Line, OpenLine};

/// Why a stream of events cannot be read on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SseError {
    /// An event is larger than allowed. The server is at fault, or the bound is too small.
    #[error("an event of the server is larger than {limit} bytes")]
    TooLarge {
        /// The bound in bytes.
        limit: usize,
    },
    /// The data of an event is not UTF-8. The server, or something on the way, is at fault.
    #[error("the server sent an event that is not UTF-8")]
    NotUtf8,
}

/// Takes the bytes of a body as they come and gives the data of its events.
///
/// Each byte is looked at once. Data that lies whole in one piece is not copied; of other data
/// there is one copy, within the bound on events, and little else is held between pieces. While the
/// copy grows, its old and its new place may exist for a moment.
///
/// ```
/// use longhaul_transport::sse::Decoder;
///
/// let mut decoder = Decoder::new(1024);
/// let mut piece: &[u8] = b": hello\n\ndata: 1\n\nda";
/// assert_eq!(decoder.next_event(&mut piece)?, Some("1"));
/// assert_eq!(decoder.next_event(&mut piece)?, None);
///
/// let mut piece: &[u8] = b"ta: 2\n\n";
/// assert_eq!(decoder.next_event(&mut piece)?, Some("2"));
/// # Ok::<(), longhaul_transport::sse::SseError>(())
/// ```
#[derive(Debug)]
pub struct Decoder {
    max_event_bytes: usize,
    /// Bytes in the finished lines of the open event; comments do not count.
    event_bytes: usize,
    open: OpenLine,
    data: Data,
    /// Whether `data` was given and is to be forgotten.
    is_given: bool,
    /// Whether a line feed at the start belongs to the line end before it.
    after_cr: bool,
    /// Whether the first line has yet to end.
    is_first: bool,
}

impl Decoder {
    /// A decoder of one body that refuses events of more than `max_event_bytes` bytes, counted over
    /// their lines. A comment counts only until its line ends.
    pub fn new(max_event_bytes: usize) -> Self {
        Self {
            max_event_bytes,
            event_bytes: 0,
            open: OpenLine::default(),
            data: Data::new(max_event_bytes),
            is_given: false,
            after_cr: false,
            is_first: true,
        }
    }

    /// Takes bytes from the front of `piece`, up to the end of the next event that has data, and
    /// gives that data. `None`: all bytes are taken and more are needed.
    ///
    /// An event that the end of the body cuts off is never given.
    ///
    /// # Errors
    ///
    /// [`SseError`]; the rest of the body is of no use then. Where the pieces end makes no
    /// difference.
    pub fn next_event<'a, 'piece: 'a>(
        &'a mut self,
        piece: &mut &'piece [u8],
    ) -> Result<Option<&'a str>, SseError> {
        if std::mem::take(&mut self.is_given) {
            self.data.clear();
        }
        // A line of data that is whole in the piece; copied only if the event goes on.
        let mut whole = None;
        loop {
            let Some(line) = self.take_line(piece) else {
                self.hold(whole);
                self.leave_open(std::mem::take(piece))?;
                return Ok(None);
            };
            match (self.finish(line)?, whole) {
                (Line::Data(data), None) if !self.data.is_some() => whole = Some(data),
                (Line::Data(data), _) => {
                    self.hold(whole.take());
                    self.hold(Some(data));
                }
                (Line::Blank, Some(data)) => return text(data),
                (Line::Blank, None) if self.data.is_some() => {
                    self.is_given = true;
                    return text(self.data.bytes());
                }
                (Line::Blank | Line::Comment | Line::Other, _) => {}
            }
        }
    }

    /// Takes a line with its end, if its end is there.
    #[inline]
    fn take_line<'a>(&mut self, piece: &mut &'a [u8]) -> Option<&'a [u8]> {
        if self.after_cr && !piece.is_empty() {
            self.after_cr = false;
            *piece = piece.strip_prefix(b"\n").unwrap_or(piece);
        }
        let end = memchr::memchr2(b'\n', b'\r', piece)?;
        let line = &piece[..end];
        self.after_cr = piece[end] == b'\r';
        *piece = &piece[end + 1..];
        Some(line)
    }

    /// What a line says that ends with `rest`.
    #[inline]
    fn finish<'a>(&mut self, rest: &'a [u8]) -> Result<Line<'a>, SseError> {
        let bytes = self.open.bytes() + rest.len();
        self.check(bytes)?;
        let line = if self.open.bytes() == 0 {
            Line::read(rest, self.is_first)
        } else {
            self.open.extend(rest, self.is_first, &mut self.data);
            self.open.close(self.is_first, &mut self.data)
        };
        self.is_first = false;
        match line {
            Line::Blank => self.event_bytes = 0,
            Line::Comment => {}
            Line::Data(_) | Line::Other => self.event_bytes += bytes,
        }
        Ok(line)
    }

    fn hold(&mut self, line: Option<&[u8]>) {
        if let Some(line) = line {
            self.data.push_line(line);
        }
    }

    fn leave_open(&mut self, part: &[u8]) -> Result<(), SseError> {
        self.check(self.open.bytes() + part.len())?;
        self.open.extend(part, self.is_first, &mut self.data);
        Ok(())
    }

    /// Whether the event may have an open line of so many bytes.
    #[inline]
    fn check(&self, line_bytes: usize) -> Result<(), SseError> {
        if self.event_bytes.saturating_add(line_bytes) > self.max_event_bytes {
            return Err(SseError::TooLarge { limit: self.max_event_bytes });
        }
        Ok(())
    }
}

fn text(data: &[u8]) -> Result<Option<&str>, SseError> {
    std::str::from_utf8(data).map(Some).map_err(|_| SseError::NotUtf8)
}
