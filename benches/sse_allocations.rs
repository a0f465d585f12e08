//! How often memory is taken for a delta, and how much: printed, not timed.
//!
//! A binary apart, because counting replaces the allocator.

use std::convert::Infallible;
use std::io::{self, Write};

use allocation_counter::measure;
use bytes::Bytes;
use eventsource_stream::Eventsource;
use futures_util::{FutureExt, StreamExt, stream};
use longhaul_benches::deltas;
use longhaul_transport::provider::DEFAULT_MAX_EVENT_BYTES;
use longhaul_transport::{event, sse};
use serde_json::Value;

const EVENTS: usize = 100_000;

fn main() -> io::Result<()> {
    let stream = Bytes::from(deltas::stream(EVENTS));
    for piece_bytes in [256, 1_400, 16_384] {
        let pieces: Vec<Bytes> =
            stream.chunks(piece_bytes).map(|piece| stream.slice_ref(piece)).collect();
        report("longhaul", piece_bytes, || longhaul(&pieces))?;
        report("eventsource_stream", piece_bytes, || eventsource(&pieces))?;
    }
    Ok(())
}

fn report(name: &str, piece_bytes: usize, decode: impl FnOnce() -> usize) -> io::Result<()> {
    let mut events = 0;
    let info = measure(|| events = decode());
    assert_eq!(events, EVENTS);
    let (times, bytes) = (info.count_total, info.bytes_total);
    writeln!(
        io::stdout(),
        "sse_allocations/{name}/{piece_bytes}: {times} allocations, {bytes} bytes, {EVENTS} events"
    )
}

fn longhaul(pieces: &[Bytes]) -> usize {
    let mut lines = sse::Decoder::new(DEFAULT_MAX_EVENT_BYTES);
    let mut events = event::Decoder::default();
    let mut count = 0;
    for piece in pieces {
        let mut rest = &piece[..];
        while let Ok(Some(data)) = lines.next_event(&mut rest) {
            count += usize::from(events.decode(data).is_ok_and(|event| event.is_some()));
        }
    }
    count
}

fn eventsource(pieces: &[Bytes]) -> usize {
    let events = stream::iter(pieces.iter().cloned().map(Ok::<_, Infallible>)).eventsource();
    let values = events.filter_map(async |event| {
        let value: Value = serde_json::from_str(&event.ok()?.data).ok()?;
        Some(value["delta"].as_str()?.to_owned())
    });
    values.count().now_or_never().unwrap_or_default()
}
