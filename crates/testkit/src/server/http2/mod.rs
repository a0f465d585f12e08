//! One HTTP/2 connection: its streams, each with its reply, and the ends that concern them all.

mod outbound;
mod stream;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use h2::Reason;
use h2::server::Connection;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use self::outbound::Side;
use super::Cut;
use super::listen::Control;
use super::state::Shared;

/// Orders that may wait: each stream gives few, and the connection is quick.
const ORDERS: usize = 16;

/// What a stream asks of its connection. All that the stream has sent before is out when the connection follows.
enum Order {
    /// Breaks the stream off, or the connection with it.
    Cut(Cut, Side),
    /// Announces the end of the connection.
    GoAway,
}

/// What a stream knows of its connection.
#[derive(Clone)]
struct Place {
    connection: usize,
    shared: Arc<Shared>,
    orders: mpsc::Sender<Order>,
    /// The script, not the client, ended the connection.
    cut: Arc<AtomicBool>,
}

/// Serves a connection until either side closes it.
pub(super) async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    connection: usize,
    control: Control,
    shared: Arc<Shared>,
) {
    let mut h2 = match h2::server::handshake(stream).await {
        Ok(h2) => h2,
        Err(error) if error.is_io() => return,
        Err(error) => {
            return shared.fault(format!("Connection {connection} sent no HTTP/2: {error}."));
        }
    };
    let (orders, mut ordered) = mpsc::channel(ORDERS);
    let place = Place { connection, shared, orders, cut: Arc::default() };
    let mut streams = JoinSet::new();
    loop {
        tokio::select! {
            // Orders come second: accepting writes first what the streams have sent.
            biased;
            accepted = h2.accept() => match accepted {
                Some(Ok((request, respond))) => {
                    streams.spawn(stream::serve(request, respond, place.clone()));
                }
                _ => break,
            },
            Some(order) = ordered.recv() => if !follow(order, &mut h2, &control, &place) {
                break;
            },
            Some(_) = streams.join_next() => {}
        }
    }
    drop(h2);
    // What still runs learns that the connection is gone.
    drop(ordered);
    while streams.join_next().await.is_some() {}
}

/// Does what a stream asked for; true if the connection goes on.
fn follow<S>(order: Order, h2: &mut Connection<S, Bytes>, control: &Control, place: &Place) -> bool
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (cut, mut side) = match order {
        Order::Cut(cut, side) => (cut, side),
        Order::GoAway => {
            h2.graceful_shutdown();
            return true;
        }
    };
    if let Cut::Stream(code) = cut {
        side.reset(Reason::from(code));
        return true;
    }
    place.cut.store(true, Ordering::Relaxed);
    match cut {
        Cut::GoAway(code) => {
            // Written by the next poll, which then closes; streams say nothing after it.
            h2.abrupt_shutdown(Reason::from(code));
            return true;
        }
        Cut::Rst => control.reset_on_close(),
        _ => control.fin(),
    }
    false
}
