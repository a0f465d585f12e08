//! What happens on one connection.

use bytes::Bytes;

use super::http2;
use crate::server::Gate;

/// What happens on one connection, step by step. After the last step the server closes its sending half, and reads on
/// until the client has closed too.
///
/// A client that closes earlier ends the course at the next step that notices.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Course {
    pub(super) steps: Vec<Step>,
}

#[derive(Clone, Debug)]
pub(super) enum Step {
    Read(usize),
    ReadHead,
    ReadRequest,
    /// Up to a frame of this kind that has all of these flags.
    ReadHttp2 {
        kinds: &'static [u8],
        flags: u8,
    },
    Write(Bytes),
    Flood {
        bytes: Bytes,
        times: u64,
    },
    Hold(Gate),
    Drain,
    Rst,
}

impl Course {
    /// A course without steps.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads exactly `bytes` bytes, and no more.
    pub fn read(self, bytes: usize) -> Self {
        self.step(Step::Read(bytes))
    }

    /// Reads the head of an HTTP/1 request, byte by byte: the body stays with the operating system.
    pub fn read_head(self) -> Self {
        self.step(Step::ReadHead)
    }

    /// Reads an HTTP/1 request whose length is in `content-length`.
    pub fn read_request(self) -> Self {
        self.step(Step::ReadRequest)
    }

    /// Reads HTTP/2 frames, after the client's preface if that has not come yet, until one ends a stream: a whole
    /// request. `SETTINGS` and `PING` are acknowledged.
    pub fn read_http2_request(self) -> Self {
        self.step(Step::ReadHttp2 {
            kinds: &[http2::DATA, http2::HEADERS],
            flags: http2::END_STREAM,
        })
    }

    /// Reads HTTP/2 frames in the same way until the client resets a stream.
    pub fn read_http2_reset(self) -> Self {
        self.step(Step::ReadHttp2 { kinds: &[http2::RST_STREAM], flags: 0 })
    }

    /// Writes `bytes`.
    pub fn write(self, bytes: impl Into<Bytes>) -> Self {
        self.step(Step::Write(bytes.into()))
    }

    /// Writes `bytes` `times` times, and meanwhile reads and forgets what comes.
    pub fn flood(self, bytes: impl Into<Bytes>, times: u64) -> Self {
        self.step(Step::Flood { bytes: bytes.into(), times })
    }

    /// Waits until `gate` is open. A gate that never opens is a server that went silent.
    ///
    /// What the client sends or closes meanwhile is not read.
    pub fn hold(self, gate: &Gate) -> Self {
        self.step(Step::Hold(gate.clone()))
    }

    /// Reads and forgets what comes, until the client closes.
    pub fn drain(self) -> Self {
        self.step(Step::Drain)
    }

    /// Resets the connection.
    pub fn rst(self) -> Self {
        self.step(Step::Rst)
    }

    fn step(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }
}
