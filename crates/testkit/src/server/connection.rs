//! One connection: requests in turn, each with its reply.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::Value;
use socket2::SockRef;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::WriteHalf;

use super::inbound::{Broken, Inbound, wants_close};
use super::outbound::Outbound;
use super::reply::{Ending, Framing};
use super::state::{Entry, Shared, refusal};
use super::{Cut, Reply, ReplyOutcome};

/// Serves a connection until either side closes it.
pub(super) async fn serve(stream: TcpStream, connection: usize, shared: Arc<Shared>) {
    let _closing = Closing { shared: Arc::clone(&shared), connection };
    let mut stream = stream; // Declared after `_closing`, so that it is closed before that is told.
    // Best effort: without it writes come late, not wrong.
    let _ = stream.set_nodelay(true);
    let (read, mut write) = stream.split();
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
        if !exchange(&reply, &entry, &mut inbound, &mut write).await || !keep_alive {
            return;
        }
    }
}

/// Sends one reply; true if the connection can carry another request.
async fn exchange(
    reply: &Reply,
    entry: &Entry,
    inbound: &mut Inbound<'_>,
    write: &mut WriteHalf<'_>,
) -> bool {
    let sent = AtomicUsize::new(0);
    let outbound = Outbound { reply, write, entry: Some(entry), sent: &sent };
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
            cut(how, inbound, write).await;
        }
    }
    false
}

/// Breaks the connection off; the caller closes it.
async fn cut(how: Cut, inbound: &mut Inbound<'_>, write: &mut WriteHalf<'_>) {
    // A client that is gone already needs no cut, so errors do not matter.
    match how {
        Cut::Fin => {
            let _ = write.shutdown().await;
        }
        Cut::HalfClose => {
            let _ = write.shutdown().await;
            inbound.closed().await;
        }
        // Lingering for no time makes the close a reset.
        Cut::Rst => {
            let _ = SockRef::from(write.as_ref()).set_linger(Some(Duration::ZERO));
        }
    }
}

/// Answers what is no HTTP request, and remembers it.
async fn refuse(why: &str, connection: usize, write: &mut WriteHalf<'_>, shared: &Shared) {
    shared.fault(format!("Connection {connection} sent no valid HTTP request: {why}."));
    let reply = refusal(400, "invalid_request_error", &Value::Null, why);
    let outbound = Outbound { reply: &reply, write, entry: None, sent: &AtomicUsize::new(0) };
    // The client may be gone; the fault is noted all the same.
    let _ = outbound.run().await;
}

/// Tells that the connection is closed, however its task ends.
struct Closing {
    shared: Arc<Shared>,
    connection: usize,
}

impl Drop for Closing {
    fn drop(&mut self) {
        self.shared.log.send_modify(|log| {
            log.closed.insert(self.connection);
        });
    }
}
