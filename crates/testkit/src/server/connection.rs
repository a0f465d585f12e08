//! One connection: requests in turn, each with its reply.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use super::inbound::{Broken, Inbound, wants_close};
use super::listen::Control;
use super::outbound::Outbound;
use super::reply::{Ending, Framing};
use super::state::{Entry, Shared, refusal};
use super::{Cut, Reply, ReplyOutcome};

/// Serves a connection until either side closes it.
pub(super) async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    connection: usize,
    control: Control,
    shared: Arc<Shared>,
) {
    let (read, mut write) = tokio::io::split(stream);
    let mut inbound = Inbound::new(read, connection);
    loop {
        let (request, keep_alive) = match inbound.request(&mut write).await {
            Ok(request) => request,
            Err(Broken::Closed) => return,
            Err(Broken::Malformed(why)) => {
                return refuse(&why, connection, &mut write, &shared).await;
            }
        };
        let (entry, reply) = shared.take(request);
        let exchanged = exchange(&reply, &entry, &mut inbound, &mut write, &control);
        if !exchanged.await || !keep_alive {
            return;
        }
    }
}

/// Sends one reply; true if the connection can carry another request.
async fn exchange(
    reply: &Reply,
    entry: &Entry,
    inbound: &mut Inbound<impl AsyncRead + Unpin>,
    write: &mut (impl AsyncWrite + Unpin),
    control: &Control,
) -> bool {
    let sent = &entry.sent;
    let outbound = Outbound { reply, write, entry: Some(entry), sent };
    let ending = tokio::select! {
        biased;
        () = inbound.closed() => None,
        ending = outbound.run() => ending.ok(),
    };
    let client_closed = || ReplyOutcome::ClientClosed { after_bytes: sent.load(Ordering::Relaxed) };
    match ending {
        None => entry.set(client_closed()),
        Some(Ending::Complete) => {
            entry.set(ReplyOutcome::Complete);
            return reply.framing != Framing::Close && !wants_close(&reply.headers);
        }
        Some(Ending::KeepOpen) => {
            entry.set(ReplyOutcome::Held);
            inbound.closed().await;
            entry.set(client_closed());
        }
        Some(Ending::Cut(how)) => {
            entry.set(ReplyOutcome::Cut);
            cut(how, inbound, write, control).await;
        }
    }
    false
}

/// Breaks the connection off; the caller closes it.
async fn cut(
    how: Cut,
    inbound: &mut Inbound<impl AsyncRead + Unpin>,
    write: &mut (impl AsyncWrite + Unpin),
    control: &Control,
) {
    // A client that is gone already needs no cut, so errors do not matter.
    match how {
        Cut::Fin | Cut::Stream(_) | Cut::GoAway(_) => {
            let _ = write.shutdown().await;
        }
        Cut::Truncate => control.fin(),
        Cut::HalfClose => {
            let _ = write.shutdown().await;
            inbound.closed().await;
        }
        Cut::Rst => control.reset_on_close(),
    }
}

/// Answers what is no HTTP request, and remembers it.
async fn refuse(
    why: &str,
    connection: usize,
    write: &mut (impl AsyncWrite + Unpin),
    shared: &Shared,
) {
    shared.fault(format!("Connection {connection} sent no valid HTTP request: {why}."));
    let reply = refusal(400, "invalid_request_error", &Value::Null, why);
    let outbound = Outbound { reply: &reply, write, entry: None, sent: &AtomicUsize::new(0) };
    // The client may be gone; the fault is noted all the same.
    let _ = outbound.run().await;
}
