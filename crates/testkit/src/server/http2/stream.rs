//! One stream: a request and its reply.

use std::future::poll_fn;
use std::sync::atomic::Ordering;

use bytes::{Bytes, BytesMut};
use h2::RecvStream;
use h2::server::SendResponse;
use http::Request;
use http::request::Parts;

use super::super::reply::Ending;
use super::super::state::Entry;
use super::super::{RecordedRequest, ReplyOutcome};
use super::outbound::{Outbound, Side};
use super::{Order, Place};

/// Reads a request and sends its reply.
pub(super) async fn serve(
    request: Request<RecvStream>,
    respond: SendResponse<Bytes>,
    place: Place,
) {
    let (head, body) = request.into_parts();
    let Some(body) = read(body).await else { return };
    let (entry, reply) = place.shared.take(record(&head, body, place.connection));
    let mut side = Side::Head(respond);
    let ending =
        Outbound { reply: &reply, side: &mut side, entry: &entry, place: &place }.run().await;
    match ending {
        None => entry.set(gone(&entry, &place)),
        Some(Ending::Complete) => entry.set(ReplyOutcome::Complete),
        Some(Ending::KeepOpen) => {
            entry.set(ReplyOutcome::Held);
            poll_fn(|cx| side.poll_gone(cx)).await;
            entry.set(gone(&entry, &place));
        }
        Some(Ending::Cut(cut)) => {
            entry.set(ReplyOutcome::Cut);
            // A connection that is gone needs no cut.
            let _ = place.orders.send(Order::Cut(cut, side)).await;
        }
    }
}

/// How a reply ended that could not go on.
fn gone(entry: &Entry, place: &Place) -> ReplyOutcome {
    if place.cut.load(Ordering::Relaxed) {
        return ReplyOutcome::Cut;
    }
    ReplyOutcome::ClientClosed { after_bytes: entry.sent.load(Ordering::Relaxed) }
}

/// The body; `None` if the client gave up.
async fn read(mut body: RecvStream) -> Option<Bytes> {
    let mut all = BytesMut::new();
    while let Some(piece) = body.data().await {
        let piece = piece.ok()?;
        all.extend_from_slice(&piece);
        body.flow_control().release_capacity(piece.len()).ok()?;
    }
    Some(all.freeze())
}

fn record(head: &Parts, body: Bytes, connection: usize) -> RecordedRequest {
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    let authority = head.uri.authority().map(|name| (":authority".to_owned(), name.to_string()));
    let headers =
        head.headers.iter().map(|(name, value)| (name.to_string(), text(value.as_bytes())));
    RecordedRequest {
        order: 0,
        connection,
        method: head.method.to_string(),
        target: head.uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
        headers: authority.into_iter().chain(headers).collect(),
        body,
        reply_outcome: ReplyOutcome::Pending,
    }
}
