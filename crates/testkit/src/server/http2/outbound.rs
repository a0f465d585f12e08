//! Writes a reply as frames: one `DATA` frame a piece, as the client's windows allow.

use std::future::poll_fn;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::FutureExt;
use h2::server::SendResponse;
use h2::{Reason, SendStream};
use http::{HeaderName, HeaderValue, Response};

use super::super::reply::{Ending, Framing, Head, Reply, Step};
use super::super::state::Entry;
use super::super::{Gate, ReplyOutcome};
use super::{Order, Place};

/// The largest frame that every client takes.
const MAX_FRAME_BYTES: usize = 16_384;

/// The sending side of a stream, before and after the head.
pub(super) enum Side {
    Head(SendResponse<Bytes>),
    Body(SendStream<Bytes>),
}

impl Side {
    /// Ready when the client has given the stream up, or the connection is gone.
    pub(super) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Head(respond) => respond.poll_reset(cx).map(drop),
            Self::Body(body) => body.poll_reset(cx).map(drop),
        }
    }

    pub(super) fn reset(&mut self, reason: Reason) {
        match self {
            Self::Head(respond) => respond.send_reset(reason),
            Self::Body(body) => body.send_reset(reason),
        }
    }
}

pub(super) struct Outbound<'a> {
    pub(super) reply: &'a Reply,
    pub(super) side: &'a mut Side,
    pub(super) entry: &'a Entry,
    pub(super) place: &'a Place,
}

impl Outbound<'_> {
    /// Sends everything up to the ending, and says which ending that is; `None` if the client is gone.
    pub(super) async fn run(mut self) -> Option<Ending> {
        self.head().await?;
        let reply = self.reply;
        let mut ended = false;
        for (index, step) in reply.steps.iter().enumerate() {
            match step {
                Step::Gate(gate) => self.wait(gate).await?,
                Step::Pause(pause) => self.unless_gone(tokio::time::sleep(*pause)).await?,
                Step::GoAway => self.place.orders.send(Order::GoAway).await.ok()?,
                Step::Write(bytes) => {
                    // The end goes out with the last bytes: a client that then closes has had it all.
                    ended = reply.ending == Ending::Complete && index + 1 == reply.steps.len();
                    if !self.piece(bytes, ended).await? {
                        return Some(reply.ending);
                    }
                }
            }
        }
        if reply.ending == Ending::Complete && !ended {
            self.piece(&Bytes::new(), true).await?;
        }
        Some(reply.ending)
    }

    async fn head(&mut self) -> Option<()> {
        match &self.reply.head {
            Head::LeftOut => return Some(()),
            Head::Behind(gate) => self.wait(gate).await?,
            Head::Sent => {}
        }
        let response = self.response();
        let Side::Head(respond) = self.side else { return Some(()) };
        let body = respond.send_response(response, false).ok()?;
        *self.side = Side::Body(body);
        Some(())
    }

    fn response(&self) -> Response<()> {
        let mut response = Response::new(());
        let status = self.reply.status.try_into();
        *response.status_mut() = status.unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
        for (name, value) in &self.reply.headers {
            match (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value)) {
                (Ok(name), Ok(value)) => {
                    response.headers_mut().append(name, value);
                }
                _ => self.place.shared.fault(format!("Header {name} cannot go over HTTP/2.")),
            }
        }
        if self.reply.framing == Framing::ContentLength {
            let length = HeaderValue::from(self.reply.body().len());
            response.headers_mut().insert(http::header::CONTENT_LENGTH, length);
        }
        response
    }

    async fn wait(&mut self, gate: &Gate) -> Option<()> {
        self.entry.set(ReplyOutcome::Held);
        self.unless_gone(gate.pass()).await?;
        self.entry.set(ReplyOutcome::Pending);
        Some(())
    }

    async fn unless_gone(&mut self, waiting: impl Future<Output = ()>) -> Option<()> {
        tokio::select! {
            biased;
            () = poll_fn(|cx| self.side.poll_gone(cx)) => None,
            () = waiting => Some(()),
        }
    }

    /// Sends one piece, up to the reply's limit; false if the limit left bytes out.
    async fn piece(&mut self, bytes: &Bytes, end: bool) -> Option<bool> {
        let sent = self.entry.sent.load(Ordering::Relaxed);
        let left = self.reply.limit.map_or(usize::MAX, |limit| limit - sent);
        let mut piece = bytes.slice(..bytes.len().min(left));
        let whole = piece.len() == bytes.len();
        let Side::Body(body) = self.side else {
            // Without a head there can be no body.
            return piece.is_empty().then_some(whole);
        };
        loop {
            let frame = piece.split_to(piece.len().min(MAX_FRAME_BYTES));
            let length = frame.len();
            room(body, length, self.entry).await?;
            body.send_data(frame, end && piece.is_empty()).ok()?;
            self.entry.sent.fetch_add(length, Ordering::Relaxed);
            if piece.is_empty() {
                return Some(whole);
            }
        }
    }
}

/// Waits until the client's windows have room for `length` bytes; `None` if it is gone.
async fn room(body: &mut SendStream<Bytes>, length: usize, entry: &Entry) -> Option<()> {
    body.reserve_capacity(length);
    let mut room = std::pin::pin!(poll_fn(|cx| {
        while body.capacity() < length {
            match ready!(body.poll_capacity(cx)) {
                Some(Ok(_)) => {}
                _ => return Poll::Ready(None),
            }
        }
        Poll::Ready(Some(()))
    }));
    if let Some(room) = room.as_mut().now_or_never() {
        return room;
    }
    entry.set(ReplyOutcome::Blocked);
    room.await?;
    entry.set(ReplyOutcome::Pending);
    Some(())
}
