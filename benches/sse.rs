//! What it costs to turn a stream of 100,000 deltas of text into typed events, against
//! `eventsource-stream` and a `serde_json::Value` for each, whatever the size of the pieces.

use std::convert::Infallible;
use std::hint::black_box;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput};
use eventsource_stream::Eventsource;
use futures_util::{FutureExt, Stream, StreamExt, stream};
use longhaul_benches::deltas;
use longhaul_transport::provider::DEFAULT_MAX_EVENT_BYTES;
use longhaul_transport::{ResponseEvent, event, sse};
use serde_json::Value;

const EVENTS: usize = 100_000;

/// Less than an event, a TCP segment, a TLS record.
const PIECE_BYTES: [usize; 3] = [256, 1_400, 16_384];

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    for piece_bytes in PIECE_BYTES {
        compare(&mut criterion, piece_bytes);
    }
    criterion.final_summary();
}

fn compare(criterion: &mut Criterion, piece_bytes: usize) {
    let stream = Bytes::from(deltas::stream(EVENTS));
    let pieces: Vec<Bytes> =
        stream.chunks(piece_bytes).map(|piece| stream.slice_ref(piece)).collect();
    let text_bytes = (0..EVENTS).map(|index| deltas::text(index).len()).sum();
    assert_eq!(longhaul(&pieces), Some(text_bytes));
    assert_eq!(eventsource(&pieces), Some(text_bytes));

    let mut group = criterion.benchmark_group("sse");
    group.sample_size(30).throughput(Throughput::Bytes(stream.len() as u64));
    group.bench_function(BenchmarkId::new("longhaul", piece_bytes), |b| {
        b.iter(|| longhaul(black_box(&pieces)));
    });
    group.bench_function(BenchmarkId::new("eventsource_stream", piece_bytes), |b| {
        b.iter(|| eventsource(black_box(&pieces)));
    });
    group.finish();
}

fn body(pieces: &[Bytes]) -> impl Stream<Item = Result<Bytes, Infallible>> {
    stream::iter(pieces.iter().cloned().map(Ok))
}

/// The bytes of text in the stream; `None` if any event is not a delta of text.
fn longhaul(pieces: &[Bytes]) -> Option<usize> {
    let mut lines = sse::Decoder::new(DEFAULT_MAX_EVENT_BYTES);
    let mut events = event::Decoder::default();
    let mut sum = 0;
    for piece in pieces {
        let mut rest = &piece[..];
        while let Some(data) = lines.next_event(&mut rest).ok()? {
            match events.decode(data).ok()?? {
                ResponseEvent::TextDelta(delta) => sum += delta.text.len(),
                _ => return None,
            }
        }
    }
    Some(sum)
}

fn eventsource(pieces: &[Bytes]) -> Option<usize> {
    let sizes = body(pieces).eventsource().map(|event| {
        let event: Value = serde_json::from_str(&event.ok()?.data).ok()?;
        match event["type"].as_str()? {
            "response.output_text.delta" => Some(event["delta"].as_str()?.to_owned().len()),
            _ => None,
        }
    });
    sum(sizes)
}

/// The pieces are there already, so that the sum never waits.
fn sum(sizes: impl Stream<Item = Option<usize>>) -> Option<usize> {
    let sum = sizes.fold(Some(0), async |sum: Option<usize>, size| Some(sum? + size?));
    sum.now_or_never()?
}
