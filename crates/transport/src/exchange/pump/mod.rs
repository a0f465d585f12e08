//! Takes a body off the HTTP stack as it comes, whatever its reader does meanwhile.
//!
//! HTTP stacks allow only so many small unread frames before they end a connection, and each of
//! them holds on to a larger buffer. So a task reads ahead, up to one window, and copies.

#[cfg(test)]
mod tests;

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, Stream, StreamExt};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::{DoneSignal, ExchangeError, ExchangeErrorKind};

/// As much is read ahead of the reader: as much as a server may send unasked on an HTTP/2 stream.
/// When it is full, reading stops, and the connection's own flow control holds the server back.
pub(super) const STREAM_WINDOW_BYTES: usize = 1024 * 1024;

/// So long is the rest of a body waited for that its reader no longer wants. A new connection with
/// TLS takes about as long.
const LINGER: Duration = Duration::from_millis(250);

/// As much of such a rest is read: it is the end of a body, not more of it.
const LINGER_BYTES: usize = 64 * 1024;

/// `source`, read ahead by a task of its own. What is there comes in one piece; bytes that came
/// before a failure come before it.
///
/// Dropping the stream ends the task and drops `source`: at once, or, if `done` was given, after
/// the little that may be left of it.
pub(super) fn pump<S>(
    source: S,
    done: DoneSignal,
) -> impl Stream<Item = Result<Bytes, ExchangeError>> + Send + 'static
where
    S: Stream<Item = Result<Bytes, ExchangeError>> + Send + Unpin + 'static,
{
    let tank = Arc::new(Tank::default());
    let reading = tokio::spawn(run(source, Inlet(Arc::clone(&tank))));
    let outlet = Outlet { tank, done, reading };
    stream::unfold(outlet, |outlet| async { Some((outlet.tank.take().await?, outlet)) })
}

/// What was read and not yet taken.
#[derive(Default)]
struct Tank {
    level: Mutex<Level>,
    /// There is something to take.
    filled: Notify,
    /// There is room again.
    drained: Notify,
    /// Nobody will take anything any more.
    let_go: Notify,
}

#[derive(Default)]
struct Level {
    bytes: BytesMut,
    inflow: Inflow,
}

#[derive(Default)]
enum Inflow {
    #[default]
    Open,
    Broken(ExchangeError),
    Ended,
}

impl Tank {
    fn lock(&self) -> MutexGuard<'_, Level> {
        self.level.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All that is there, as soon as there is something; `None` at the end.
    async fn take(&self) -> Option<Result<Bytes, ExchangeError>> {
        loop {
            if let Poll::Ready(taken) = self.lock().take() {
                self.drained.notify_one();
                return taken;
            }
            self.filled.notified().await;
        }
    }

    /// Adds `piece`, part by part as there is room.
    async fn add(&self, mut piece: Bytes) {
        loop {
            let is_in = self.lock().add(&mut piece);
            self.filled.notify_one();
            if is_in {
                return;
            }
            self.drained.notified().await;
        }
    }

    fn end(&self, how: Inflow) {
        let mut level = self.lock();
        if matches!(level.inflow, Inflow::Open) {
            level.inflow = how;
        }
        drop(level);
        self.filled.notify_one();
    }
}

impl Level {
    /// What to give the reader: bytes first, then how they ended.
    fn take(&mut self) -> Poll<Option<Result<Bytes, ExchangeError>>> {
        if !self.bytes.is_empty() {
            return Poll::Ready(Some(Ok(mem::take(&mut self.bytes).freeze())));
        }
        match mem::replace(&mut self.inflow, Inflow::Ended) {
            Inflow::Open => {
                self.inflow = Inflow::Open;
                Poll::Pending
            }
            Inflow::Broken(error) => Poll::Ready(Some(Err(error))),
            Inflow::Ended => Poll::Ready(None),
        }
    }

    /// Takes in what there is room for; says whether that was all.
    fn add(&mut self, piece: &mut Bytes) -> bool {
        let room = STREAM_WINDOW_BYTES - self.bytes.len();
        self.bytes.extend_from_slice(&piece.split_to(piece.len().min(room)));
        piece.is_empty()
    }
}

/// The reader's end.
struct Outlet {
    tank: Arc<Tank>,
    done: DoneSignal,
    reading: JoinHandle<()>,
}

impl Drop for Outlet {
    fn drop(&mut self) {
        if self.done.is_done() {
            self.tank.let_go.notify_one();
        } else {
            self.reading.abort();
        }
    }
}

/// The task's end. However the task ends, the reader hears of it.
struct Inlet(Arc<Tank>);

impl Drop for Inlet {
    fn drop(&mut self) {
        let gone = "its runtime was shut down";
        self.0.end(Inflow::Broken(ExchangeError::new(ExchangeErrorKind::Broken, gone)));
    }
}

async fn run<S>(mut source: S, inlet: Inlet)
where
    S: Stream<Item = Result<Bytes, ExchangeError>> + Unpin,
{
    let tank = &*inlet.0;
    tokio::select! {
        biased;
        () = tank.let_go.notified() => {}
        how = fill(&mut source, tank) => return tank.end(how),
    }
    // However this ends, the connection is as good as it can be.
    let _ = tokio::time::timeout(LINGER, finish(&mut source)).await;
}

async fn fill<S>(source: &mut S, tank: &Tank) -> Inflow
where
    S: Stream<Item = Result<Bytes, ExchangeError>> + Unpin,
{
    loop {
        match source.next().await {
            Some(Ok(piece)) => tank.add(piece).await,
            Some(Err(error)) => return Inflow::Broken(error),
            None => return Inflow::Ended,
        }
    }
}

/// Reads the rest, if it is short, so that the connection can be used again.
async fn finish<S>(source: &mut S)
where
    S: Stream<Item = Result<Bytes, ExchangeError>> + Unpin,
{
    let mut read = 0;
    while let Some(Ok(piece)) = source.next().await {
        read += piece.len();
        if read > LINGER_BYTES {
            return;
        }
    }
}
