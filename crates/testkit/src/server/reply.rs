//! One answer, down to its single writes.

use std::fmt::Display;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use serde_json::Value;

use super::Gate;
use crate::sse::{Format, ResponseBuilder};

/// One answer: status, headers, and a body made of steps. Every piece of body is a write of its own.
///
/// With chunked framing each write is one HTTP chunk, so a client sees the pieces as they are; with the other
/// framings the operating system may join them, unless a [`Gate`] lies between.
///
/// ```
/// use longhaul_testkit::server::{Cut, Reply};
///
/// // A stream that breaks in the middle of an event, having arrived byte by byte.
/// let reply = Reply::text("hello").one_byte_pieces().cut_after(100, Cut::Rst);
/// assert!(reply.body().starts_with(b"event: response.created\n"));
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) head: Head,
    pub(super) framing: Framing,
    pub(super) steps: Vec<Step>,
    pub(super) ending: Ending,
    /// Body bytes after which the ending comes, though steps are left.
    pub(super) limit: Option<usize>,
    format: Format,
}

/// How the end of the body is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Framing {
    /// `transfer-encoding: chunked`, one chunk a write. The default of event streams.
    Chunked,
    /// `content-length`, of the whole body also if it is cut.
    ContentLength,
    /// By closing the connection.
    Close,
}

/// How the server breaks a connection off. Over HTTP/2 [`Fin`](Self::Fin), [`HalfClose`](Self::HalfClose) and
/// [`Truncate`](Self::Truncate) are the same: the TCP connection is closed, without a `GOAWAY`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cut {
    /// Closes it in order: the client reads an end of file.
    Fin,
    /// Resets it: the client gets an error, and may lose bytes that it had not read yet.
    Rst,
    /// Closes the server's sending half only, and goes on reading until the client closes.
    HalfClose,
    /// Closes it without the end that TLS asks for (`close_notify`). Without TLS the same as [`Fin`](Self::Fin).
    Truncate,
    /// Over HTTP/2 ends the stream only, by `RST_STREAM` with an error code of RFC 9113, section 7; the connection
    /// goes on. Over HTTP/1.1 the same as [`Fin`](Self::Fin).
    Stream(u32),
    /// Over HTTP/2 ends the connection by `GOAWAY` with an error code, which covers all streams so far, and closes
    /// it. Over HTTP/1.1 the same as [`Fin`](Self::Fin).
    GoAway(u32),
}

#[derive(Clone, Debug)]
pub(super) enum Head {
    Sent,
    Behind(Gate),
    LeftOut,
}

#[derive(Clone, Debug)]
pub(super) enum Step {
    Write(Bytes),
    Gate(Gate),
    Pause(Duration),
    GoAway,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Complete,
    KeepOpen,
    Cut(Cut),
}

/// Whole replies.
impl Reply {
    /// An event stream without events yet: status 200, `text/event-stream`, chunked.
    pub fn sse() -> Self {
        Self {
            status: 200,
            headers: vec![("content-type".into(), "text/event-stream".into())],
            head: Head::Sent,
            framing: Framing::Chunked,
            steps: Vec::new(),
            ending: Ending::Complete,
            limit: None,
            format: Format { event_line: true, crlf: false },
        }
    }

    /// A completed response that says `text`.
    pub fn text(text: &str) -> Self {
        ResponseBuilder::new().text(text).into()
    }

    /// A completed response that reasons, with a summary, and then says `text`.
    pub fn reasoned_text(summary: &str, text: &str) -> Self {
        ResponseBuilder::new().reasoning(summary, Some("gAAAAtestkit")).text(text).into()
    }

    /// A completed response with function calls: call id, name, arguments (sent as displayed).
    pub fn calls<'a, A: Display>(calls: impl IntoIterator<Item = (&'a str, &'a str, A)>) -> Self {
        let add =
            |response: ResponseBuilder, (id, name, arguments)| response.call(id, name, arguments);
        calls.into_iter().fold(ResponseBuilder::new(), add).into()
    }

    /// A completed response with one call of a custom tool.
    pub fn custom_call(call_id: &str, name: &str, input: &str) -> Self {
        ResponseBuilder::new().custom_call(call_id, name, input).into()
    }

    /// A JSON document with status 200 and a content length.
    pub fn json(body: &Value) -> Self {
        Self::sse()
            .header("content-type", "application/json")
            .framing(Framing::ContentLength)
            .bytes(body.to_string())
    }

    /// A JSON document with an error status.
    pub fn error(status: u16, body: &Value) -> Self {
        Self::json(body).status(status)
    }
}

/// The head.
impl Reply {
    /// Sets the status.
    pub fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// Adds a header; `content-type` replaces the one there is. Sent as it is, valid or not.
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        if name.eq_ignore_ascii_case("content-type") {
            self.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("content-type"));
        }
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Sets how the end of the body is told.
    pub fn framing(mut self, framing: Framing) -> Self {
        self.framing = framing;
        self
    }

    /// Waits at `gate` before the first byte of the head. A gate that never opens is a server that never answers.
    pub fn hold_head(mut self, gate: &Gate) -> Self {
        self.head = Head::Behind(gate.clone());
        self
    }

    /// Sends no head: the body's bytes are all that goes out, and the connection closes after them.
    pub fn without_head(mut self) -> Self {
        self.head = Head::LeftOut;
        self.framing(Framing::Close)
    }
}

/// The body, in order of the calls.
impl Reply {
    /// Leaves the `event:` line out of the events added from here on.
    pub fn without_event_lines(mut self) -> Self {
        self.format.event_line = false;
        self
    }

    /// Ends lines with CRLF in what is added from here on.
    pub fn crlf(mut self) -> Self {
        self.format.crlf = true;
        self
    }

    /// Adds one event, named by its `type`.
    pub fn event(self, event: &Value) -> Self {
        let bytes = self.format.event(event);
        self.bytes(bytes)
    }

    /// Adds events, each a piece of its own.
    pub fn events(self, events: impl IntoIterator<Item = Value>) -> Self {
        events.into_iter().fold(self, |reply, event| reply.event(&event))
    }

    /// Adds a comment, as servers send to keep a stream alive.
    pub fn comment(self, text: &str) -> Self {
        let bytes = self.format.comment(text);
        self.bytes(bytes)
    }

    /// Adds `data: [DONE]`.
    pub fn done_marker(self) -> Self {
        let bytes = self.format.data("[DONE]");
        self.bytes(bytes)
    }

    /// Adds bytes as one piece.
    pub fn bytes(mut self, bytes: impl Into<Bytes>) -> Self {
        self.steps.push(Step::Write(bytes.into()));
        self
    }

    /// Waits here until the test opens the gate.
    pub fn gate(mut self, gate: &Gate) -> Self {
        self.steps.push(Step::Gate(gate.clone()));
        self
    }

    /// Waits here for a time. For examples that show streaming; tests use gates.
    pub fn pause(mut self, pause: Duration) -> Self {
        self.steps.push(Step::Pause(pause));
        self
    }

    /// Cuts the body so far anew, at these offsets in bytes and nowhere else; gates and pauses stay between the
    /// bytes that they were between.
    pub fn split_at(mut self, offsets: &[usize]) -> Self {
        let mut start = 0;
        let mut steps = Vec::new();
        for step in joined(self.steps) {
            match step {
                Step::Write(run) => {
                    let end = start + run.len();
                    steps.extend(pieces(run, start, offsets).map(Step::Write));
                    start = end;
                }
                other => steps.push(other),
            }
        }
        self.steps = steps;
        self
    }

    /// Over HTTP/2 announces the end of the connection, in order (`GOAWAY` without an error), and goes on with the
    /// reply. Over HTTP/1.1 nothing happens.
    pub fn go_away(mut self) -> Self {
        self.steps.push(Step::GoAway);
        self
    }

    /// Cuts the body so far into single bytes.
    pub fn one_byte_pieces(self) -> Self {
        let offsets: Vec<usize> = (1..self.body().len()).collect();
        self.split_at(&offsets)
    }

    /// Waits for `pause` before each piece so far.
    pub fn paced(mut self, pause: Duration) -> Self {
        let pace = |step| match step {
            Step::Write(_) => vec![Step::Pause(pause), step],
            other => vec![other],
        };
        self.steps = self.steps.into_iter().flat_map(pace).collect();
        self
    }

    /// The body as it would go out uncut, without framing.
    pub fn body(&self) -> Vec<u8> {
        let writes = self.steps.iter().filter_map(|step| match step {
            Step::Write(bytes) => Some(bytes.as_ref()),
            _ => None,
        });
        writes.collect::<Vec<_>>().concat()
    }
}

/// The end. The default is a proper end of body, after which the connection can carry the next request.
impl Reply {
    /// Breaks the connection off after the last step.
    pub fn cut(mut self, cut: Cut) -> Self {
        self.ending = Ending::Cut(cut);
        self.limit = None;
        self
    }

    /// Breaks the connection off when `bytes` bytes of body are out and more would follow, or after the last step.
    ///
    /// Framing does not count: the client can decode exactly these bytes.
    pub fn cut_after(mut self, bytes: usize, cut: Cut) -> Self {
        self.ending = Ending::Cut(cut);
        self.limit = Some(bytes);
        self
    }

    /// Sends no end of body after the last step, and keeps the connection until the client closes it.
    ///
    /// With [`Framing::ContentLength`] the body ends all the same, by its length.
    pub fn keep_open(mut self) -> Self {
        self.ending = Ending::KeepOpen;
        self.limit = None;
        self
    }
}

impl From<ResponseBuilder> for Reply {
    /// The response, completed.
    fn from(response: ResponseBuilder) -> Self {
        Self::sse().events(response.completed())
    }
}

/// The steps with neighbouring writes made one.
fn joined(steps: Vec<Step>) -> Vec<Step> {
    let mut all: Vec<Step> = Vec::new();
    let mut run = BytesMut::new();
    for step in steps {
        match step {
            Step::Write(bytes) => run.extend_from_slice(&bytes),
            other => all.extend([Step::Write(run.split().freeze()), other]),
        }
    }
    all.push(Step::Write(run.freeze()));
    all
}

/// A run that begins at `start` of the body, cut at the offsets within it. No piece is empty.
fn pieces(run: Bytes, start: usize, offsets: &[usize]) -> impl Iterator<Item = Bytes> {
    let len = run.len();
    let mut cuts: Vec<usize> =
        offsets.iter().filter_map(|offset| offset.checked_sub(start)).collect();
    cuts.retain(|cut| *cut < len);
    cuts.extend([0, len]);
    cuts.sort_unstable();
    cuts.dedup();
    let ranges: Vec<_> = cuts.windows(2).map(|pair| pair[0]..pair[1]).collect();
    ranges.into_iter().map(move |range| run.slice(range))
}
