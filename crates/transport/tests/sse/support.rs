//! Bodies in pieces, and what becomes of them.

use longhaul_transport::sse::{Decoder, SseError};

/// More than any body here.
pub(crate) const NO_LIMIT: usize = 1024 * 1024 * 1024;

/// The data of each event, and the error that ended it, if one did.
pub(crate) fn decode_within<'a>(
    limit: usize,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<String>, Option<SseError>) {
    let mut decoder = Decoder::new(limit);
    let mut events = Vec::new();
    for mut piece in pieces {
        loop {
            match decoder.next_event(&mut piece) {
                Ok(Some(data)) => events.push(data.to_owned()),
                Ok(None) => break,
                Err(error) => return (events, Some(error)),
            }
        }
        assert!(piece.is_empty(), "all bytes are taken");
    }
    (events, None)
}

/// The same without a bound that matters.
pub(crate) fn decode<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<String>, Option<SseError>) {
    decode_within(NO_LIMIT, pieces)
}

/// `body` in two pieces, cut at `cut`.
pub(crate) fn cut(body: &[u8], cut: usize) -> [&[u8]; 2] {
    let (before, after) = body.split_at(cut);
    [before, after]
}

/// Asserts that `body` gives these events and no error, however it is cut.
#[track_caller]
pub(crate) fn assert_events(body: impl AsRef<[u8]>, expected: &[&str]) {
    let body = body.as_ref();
    let what = String::from_utf8_lossy(body);
    let whole = decode([body]);
    assert_eq!(whole.0, expected, "{what:?}");
    assert_eq!(whole.1, None, "{what:?}");
    assert_eq!(decode(body.chunks(1)), whole, "{what:?} byte by byte");
    for at in 0..=body.len() {
        assert_eq!(decode(cut(body, at)), whole, "{what:?} cut at {at}");
    }
}
