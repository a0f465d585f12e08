//! Server-sent events out of a body in pieces, with a bound on their size.
//!
//! `sse-stream` decodes (byte order marks, lone CR, split CRLF and UTF-8; linear in its input);
//! what it lacks, a bound, stands in front of it.

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use sse_stream::SseByteStream;

/// Why a stream of events broke.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SseError<E: std::error::Error + Send + Sync + 'static> {
    /// The body broke.
    #[error(transparent)]
    Body(E),
    /// An event is larger than allowed. The server is at fault, or the bound is too small.
    #[error("an event of the server is larger than {limit} bytes")]
    TooLarge {
        /// The bound in bytes.
        limit: usize,
    },
    /// The bytes are not UTF-8.
    #[error("the server sent an event that is not UTF-8")]
    NotUtf8,
}

/// The data of each event in `body` that has any, in order.
///
/// Memory stays within `max_event_bytes` and one piece of the body. An event that the body's end
/// cuts off is not given. After an error the stream ends.
///
/// # Cancel safety
///
/// Polling may stop at any time; nothing is lost.
pub fn events<S, E>(
    body: S,
    max_event_bytes: usize,
) -> impl Stream<Item = Result<String, SseError<E>>>
where
    S: Stream<Item = Result<Bytes, E>>,
    E: std::error::Error + Send + Sync + 'static,
{
    let mut meter = Meter::new(max_event_bytes);
    let bounded = body.map(move |piece| {
        let piece = piece.map_err(SseError::Body)?;
        if meter.admits(&piece) {
            Ok(piece)
        } else {
            Err(SseError::TooLarge { limit: max_event_bytes })
        }
    });
    SseByteStream::new(bounded).filter_map(|event| async {
        match event {
            Ok(event) => event.data.filter(|data| !data.is_empty()).map(Ok),
            Err(error) => Some(Err(unwrap(error))),
        }
    })
}

/// The error that the decoder wrapped.
fn unwrap<E: std::error::Error + Send + Sync + 'static>(error: sse_stream::Error) -> SseError<E> {
    match error {
        sse_stream::Error::Body(inner) => match inner.downcast::<SseError<E>>() {
            Ok(inner) => *inner,
            Err(_) => SseError::NotUtf8,
        },
        _ => SseError::NotUtf8,
    }
}

/// Counts the bytes that the decoder may have to hold: those of the event that is not yet
/// dispatched. Comments count only while their line is open.
struct Meter {
    limit: usize,
    /// Bytes in the finished lines of the event.
    event: usize,
    /// Bytes in the open line.
    line: usize,
    is_comment: bool,
    after_cr: bool,
}

impl Meter {
    fn new(limit: usize) -> Self {
        Self { limit, event: 0, line: 0, is_comment: false, after_cr: false }
    }

    /// Whether the event stays within the limit with `piece`.
    fn admits(&mut self, piece: &[u8]) -> bool {
        let mut rest = piece;
        while let Some(end) = memchr::memchr2(b'\n', b'\r', rest) {
            let is_second_half = self.after_cr && end == 0 && rest[0] == b'\n';
            self.extend_line(&rest[..end]);
            self.after_cr = rest[end] == b'\r';
            if !is_second_half && !self.end_line() {
                return false;
            }
            rest = &rest[end + 1..];
        }
        self.extend_line(rest);
        self.within_limit()
    }

    fn extend_line(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.after_cr = false;
        if self.line == 0 {
            self.is_comment = bytes[0] == b':';
        }
        self.line += bytes.len();
    }

    /// Closes a line; says whether the event is still within the limit.
    fn end_line(&mut self) -> bool {
        let admitted = self.within_limit();
        match (self.line, self.is_comment) {
            (0, _) => self.event = 0,
            (_, true) => {}
            (length, false) => self.event += length + 1,
        }
        self.line = 0;
        self.is_comment = false;
        admitted
    }

    fn within_limit(&self) -> bool {
        self.event + self.line <= self.limit
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::{FutureExt, stream};

    use super::*;

    fn decode(pieces: &[&[u8]], limit: usize) -> Vec<Result<String, String>> {
        let pieces: Vec<_> =
            pieces.iter().map(|p| Ok::<_, Infallible>(Bytes::copy_from_slice(p))).collect();
        let events = events(stream::iter(pieces), limit).map(|e| e.map_err(|e| e.to_string()));
        events.collect::<Vec<_>>().now_or_never().unwrap()
    }

    fn ok(texts: &[&str]) -> Vec<Result<String, String>> {
        texts.iter().map(|text| Ok((*text).to_owned())).collect()
    }

    #[test]
    fn events_with_data_are_given_whatever_the_line_ends() {
        let body = b"\xEF\xBB\xBFdata: 1\n\n: comment\n\nevent: x\ndata: 2\r\n\r\ndata:3\rdata: 4\r\rdata\n\nevent: y\n\ndata: cut";
        for size in 1..=body.len() {
            let pieces: Vec<&[u8]> = body.chunks(size).collect();
            assert_eq!(decode(&pieces, 1000), ok(&["1", "2", "3\n4"]), "pieces of {size}");
        }
    }

    #[test]
    fn a_larger_event_is_an_error_wherever_the_pieces_end() {
        let body = b"data: 12345\n\ndata: 123456\n\ndata: 1\n\n";
        for size in 1..=body.len() {
            let pieces: Vec<&[u8]> = body.chunks(size).collect();
            let events = decode(&pieces, 11);
            let error = Err("an event of the server is larger than 11 bytes".to_owned());
            assert_eq!(events.last(), Some(&error), "pieces of {size}");
            assert!(events.len() <= 2);
        }
    }

    #[test]
    fn the_limit_counts_what_is_held_and_no_more() {
        let comments = b": a comment that is long\n".repeat(100);
        let event = b"data: 1\n\n";
        let pieces = [&comments[..], event, &comments[..], event];
        assert_eq!(decode(&pieces, 30), ok(&["1", "1"]));
        let many_lines = b"data: 1\n".repeat(10);
        assert!(decode(&[&many_lines], 30)[0].is_err());
        assert!(decode(&[b":", &[b'x'; 100]], 30)[0].is_err(), "an endless comment");
        let crlf = b"data: 1\r\ndata: 2\r\n\r\n".repeat(50);
        assert_eq!(decode(&[&crlf], 30).len(), 50);
        assert!(decode(&crlf.chunks(1).collect::<Vec<_>>(), 30).iter().all(Result::is_ok));
    }

    #[test]
    fn bytes_that_are_not_utf8_are_an_error_at_once() {
        let events = decode(&[b"data: \xff\n\n", b"data: 1\n\n"], 1000);
        assert_eq!(events, [Err("the server sent an event that is not UTF-8".to_owned())]);
    }
}
