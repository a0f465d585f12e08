//! The body of a request, on its way.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::exchange::SentSignal;

/// The body is handed to the network in pieces of this size, so that the end of sending is seen.
const UPLOAD_PIECE_BYTES: usize = 64 * 1024;

/// A body of known length that tells when its first byte was asked for, and its last one taken.
pub(super) struct Upload {
    rest: Bytes,
    signal: SentSignal,
}

impl Upload {
    pub(super) fn new(body: Bytes, signal: SentSignal) -> Self {
        Self { rest: body, signal }
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        // Nobody asks for a body before there is a connection to send it on.
        self.signal.connected();
        if self.rest.is_empty() {
            self.signal.sent();
            return Poll::Ready(None);
        }
        let length = self.rest.len().min(UPLOAD_PIECE_BYTES);
        let piece = self.rest.split_to(length);
        if self.rest.is_empty() {
            self.signal.sent();
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}
