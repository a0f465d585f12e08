use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::FutureExt;
use proptest::prelude::*;
use tokio::sync::mpsc;
use tokio::task::yield_now;
use tokio::time::Instant;

use super::*;

type Piece = Result<Bytes, ExchangeError>;

fn broken() -> ExchangeError {
    ExchangeError::new(ExchangeErrorKind::Broken, "as told")
}

/// A source that is fed by hand and tells how much was taken of it, and when it is dropped.
struct Source {
    feed: mpsc::UnboundedReceiver<Piece>,
    taken: Arc<AtomicUsize>,
}

impl Stream for Source {
    type Item = Piece;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> Poll<Option<Piece>> {
        let piece = self.feed.poll_recv(cx);
        if let Poll::Ready(Some(Ok(bytes))) = &piece {
            self.taken.fetch_add(bytes.len(), Ordering::Relaxed);
        }
        piece
    }
}

fn source() -> (mpsc::UnboundedSender<Piece>, Arc<AtomicUsize>, Source) {
    let (sender, feed) = mpsc::unbounded_channel();
    let taken = Arc::new(AtomicUsize::new(0));
    (sender, Arc::clone(&taken), Source { feed, taken })
}

/// Lets the task do all that it can.
async fn settle() {
    for _ in 0..1000 {
        yield_now().await;
    }
}

async fn collect(body: impl Stream<Item = Piece>) -> (Vec<u8>, Option<String>) {
    let pieces: Vec<Piece> = body.collect().await;
    let error = pieces.last().and_then(|last| last.as_ref().err()).map(ToString::to_string);
    let broken_before = pieces.iter().filter(|piece| piece.is_err()).count();
    assert_eq!(broken_before, usize::from(error.is_some()), "an error is the last");
    let bytes = pieces.into_iter().filter_map(Result::ok).flatten().collect();
    (bytes, error)
}

proptest! {
    /// Whatever the pieces, and whenever they are taken: the same bytes, then the same end.
    #[test]
    fn nothing_is_lost_and_the_end_comes_last(
        pieces in prop::collection::vec((0_usize..700_000, any::<bool>()), 0..8),
        breaks in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let (feed, _, source) = source();
            let mut body = Box::pin(pump(source, DoneSignal::default()));
            let (mut sent, mut seen) = (Vec::new(), Vec::new());
            for (number, (length, take)) in pieces.into_iter().enumerate() {
                let piece = Bytes::from(vec![u8::try_from(number).unwrap(); length]);
                sent.extend_from_slice(&piece);
                feed.send(Ok(piece)).unwrap();
                if take {
                    settle().await;
                    if let Some(Some(piece)) = body.next().now_or_never() {
                        seen.extend_from_slice(&piece.unwrap());
                    }
                }
            }
            if breaks {
                feed.send(Err(broken())).unwrap();
            }
            drop(feed);
            let (rest, error) = collect(body).await;
            seen.extend(rest);
            assert!(seen == sent, "{} bytes of {}", seen.len(), sent.len());
            assert_eq!(error.is_some(), breaks);
        });
    }
}

/// F023 (reading side): small pieces are taken as they come, up to one window and no further, and
/// are given in one piece.
#[tokio::test]
async fn f023_one_window_is_read_ahead_and_no_more() {
    let (feed, taken, source) = source();
    let mut body = Box::pin(pump(source, DoneSignal::default()));
    let piece = Bytes::from_static(&[b'x'; 20]);
    for _ in 0..100_000 {
        feed.send(Ok(piece.clone())).unwrap();
    }
    settle().await;
    let read = taken.load(Ordering::Relaxed);
    assert!((STREAM_WINDOW_BYTES..STREAM_WINDOW_BYTES + 20).contains(&read), "{read}");
    let first = body.next().await.unwrap().unwrap();
    assert_eq!(first.len(), STREAM_WINDOW_BYTES);
    drop(feed);
    let (rest, error) = collect(body).await;
    assert_eq!((first.len() + rest.len(), error), (2_000_000, None));
}

/// One piece that is larger than the window is bounded too.
#[tokio::test]
async fn a_huge_piece_is_given_window_by_window() {
    let (feed, _, source) = source();
    let body = pump(source, DoneSignal::default());
    feed.send(Ok(Bytes::from(vec![1; 3 * STREAM_WINDOW_BYTES + 5]))).unwrap();
    drop(feed);
    let lengths: Vec<usize> = body.map(|piece| piece.unwrap().len()).collect().await;
    assert!(lengths.iter().all(|length| *length <= STREAM_WINDOW_BYTES), "{lengths:?}");
    assert_eq!(lengths.iter().sum::<usize>(), 3 * STREAM_WINDOW_BYTES + 5);
}

/// Dropping the reader ends the source, whether it is silent, busy, or stopped by a full window.
#[tokio::test]
async fn a_dropped_reader_ends_the_source_at_once() {
    for pieces in [0, 1, 3] {
        let (feed, _, source) = source();
        let mut body = Box::pin(pump(source, DoneSignal::default()));
        for _ in 0..pieces {
            feed.send(Ok(Bytes::from(vec![0; STREAM_WINDOW_BYTES]))).unwrap();
        }
        settle().await;
        let _ = body.next().now_or_never();
        drop(body);
        settle().await;
        assert!(feed.is_closed(), "after {pieces} pieces");
    }
}

/// A reader that has all that it wants leaves the rest to be read: to its end, or up to a bound in
/// bytes or time.
#[tokio::test(start_paused = true)]
async fn a_reader_that_is_done_lets_the_body_end() {
    // The end comes in time.
    let (feed, taken, source) = source();
    let done = DoneSignal::default();
    let body = Box::pin(pump(source, done.clone()));
    done.done();
    drop(body);
    settle().await;
    assert!(!feed.is_closed(), "the rest is waited for");
    feed.send(Ok(Bytes::from_static(b"rest"))).unwrap();
    settle().await;
    assert_eq!(taken.load(Ordering::Relaxed), 4);
    assert!(!feed.is_closed());

    // It does not come.
    let start = Instant::now();
    tokio::time::timeout(10 * LINGER, feed.closed()).await.unwrap();
    assert_eq!(start.elapsed(), LINGER);
}

#[tokio::test(start_paused = true)]
async fn more_of_a_body_is_no_end_of_it() {
    let (feed, taken, source) = source();
    let done = DoneSignal::default();
    let body = Box::pin(pump(source, done.clone()));
    // The window is full, and the task waits for room that no reader will make.
    feed.send(Ok(Bytes::from(vec![0; 2 * STREAM_WINDOW_BYTES]))).unwrap();
    settle().await;
    let before = taken.load(Ordering::Relaxed);
    done.done();
    drop(body);
    let start = Instant::now();
    for _ in 0..10 * LINGER_BYTES / 1024 {
        // Once the source is dropped, there is nobody to send to.
        let _ = feed.send(Ok(Bytes::from_static(&[0; 1024])));
        settle().await;
    }
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert!(feed.is_closed());
    assert_eq!(taken.load(Ordering::Relaxed) - before, LINGER_BYTES + 1024);
}

/// A runtime that is shut down takes its tasks with it; their readers hear of it.
#[test]
fn a_task_that_is_gone_is_a_broken_body() {
    let (feed, _, source) = source();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let body = runtime.block_on(async {
        let body = pump(source, DoneSignal::default());
        feed.send(Ok(Bytes::from_static(b"begun"))).unwrap();
        settle().await;
        body
    });
    drop(runtime);
    let (bytes, error) = collect(body).now_or_never().unwrap();
    assert_eq!(bytes, b"begun");
    assert!(error.unwrap().contains("runtime"));
}
