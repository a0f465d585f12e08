//! What it costs to decode a stream of 100,000 small events.

use std::convert::Infallible;
use std::hint::black_box;

use bytes::Bytes;
use criterion::{Criterion, Throughput};
use eventsource_stream::Eventsource;
use futures_util::{FutureExt, Stream, StreamExt, stream};
use longhaul_transport::provider::DEFAULT_MAX_EVENT_BYTES;
use longhaul_transport::{ResponseEvent, event, sse};
use serde_json::Value;

const EVENTS: usize = 100_000;

/// What a TCP segment carries.
const PIECE_BYTES: usize = 1_400;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let stream = Bytes::from((0..EVENTS).map(delta).collect::<String>());
    let pieces: Vec<Bytes> =
        stream.chunks(PIECE_BYTES).map(|piece| stream.slice_ref(piece)).collect();
    let text_bytes = (0..EVENTS).map(|index| text(index).len()).sum();
    assert_eq!(longhaul(&pieces), Some(text_bytes));
    assert_eq!(eventsource(&pieces), Some(text_bytes));

    let mut group = criterion.benchmark_group("sse");
    group.sample_size(30).throughput(Throughput::Bytes(stream.len() as u64));
    group.bench_function("longhaul", |b| b.iter(|| longhaul(black_box(&pieces))));
    group.bench_function("eventsource_stream", |b| {
        b.iter(|| eventsource(black_box(&pieces)));
    });
    group.finish();
    criterion.final_summary();
}

fn text(index: usize) -> &'static str {
    ["The", " parser", " keeps", " \"the\"", " text\n"][index % 5]
}

fn delta(index: usize) -> String {
    let data = serde_json::json!({"type": "response.output_text.delta", "sequence_number": index,
        "item_id": "msg_68af2b3f1d0081a1b2c3d4e5f60718290a1b2c3d4e5f6071",
        "output_index": 1, "content_index": 0, "delta": text(index), "logprobs": []});
    format!("event: response.output_text.delta\ndata: {data}\n\n")
}

fn body(pieces: &[Bytes]) -> impl Stream<Item = Result<Bytes, Infallible>> {
    stream::iter(pieces.iter().cloned().map(Ok))
}

/// The bytes of text in the stream; `None` if any event is not a delta of text.
fn longhaul(pieces: &[Bytes]) -> Option<usize> {
    let events = sse::events(body(pieces), DEFAULT_MAX_EVENT_BYTES);
    let sizes = events.map(|data| match event::decode(&data.ok()?).ok()?? {
        ResponseEvent::TextDelta(delta) => Some(delta.text.len()),
        _ => None,
    });
    sum(sizes)
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
