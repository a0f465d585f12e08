//! What holds for any body: nothing panics, where its pieces end makes no difference, and the data
//! of its events is what the standard says.

use longhaul_transport::{ErrorCode, ResponseEvent, event, sse};

use crate::reference;

/// One event, or what ended the stream.
type Outcome = Result<ResponseEvent, (ErrorCode, String)>;

/// # Panics
///
/// If something does not hold.
pub(crate) fn check(body: &[u8]) {
    let cut =
        body.iter().fold(0, |sum: usize, byte| sum.wrapping_mul(31).wrapping_add((*byte).into()));
    let (before, after) = body.split_at(cut % (body.len() + 1));
    for limit in [usize::MAX, 100] {
        let whole = outcomes([body], limit);
        assert_eq!(outcomes(body.chunks(1), limit), whole, "byte by byte");
        assert_eq!(outcomes(body.chunks(7), limit), whole, "in pieces of seven");
        assert_eq!(outcomes([before, after], limit), whole, "cut at {}", before.len());
    }
    assert_data(body);
}

/// The events in pieces of a body, up to the first error.
fn outcomes<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, limit: usize) -> Vec<Outcome> {
    let mut lines = sse::Decoder::new(limit);
    let mut events = event::Decoder::default();
    let mut outcomes = Vec::new();
    for mut piece in pieces {
        loop {
            let event = match lines.next_event(&mut piece) {
                Ok(Some(data)) => events.decode(data).map_err(|e| (e.code(), e.to_string())),
                Ok(None) => break,
                Err(error) => Err((ErrorCode::Protocol, error.to_string())),
            };
            let is_end = event.is_err();
            outcomes.extend(event.transpose());
            if is_end {
                return outcomes;
            }
        }
    }
    outcomes
}

/// Compares the data of the events with what a literal decoder gives.
fn assert_data(body: &[u8]) {
    let mut decoder = sse::Decoder::new(usize::MAX);
    let mut rest = body;
    for expected in reference::events(body) {
        match decoder.next_event(&mut rest) {
            Ok(Some(data)) => assert_eq!(data.as_bytes(), expected),
            Ok(None) => panic!("an event is missing: {expected:?}"),
            Err(error) => {
                assert!(std::str::from_utf8(&expected).is_err(), "{error}");
                return;
            }
        }
    }
    assert_eq!(decoder.next_event(&mut rest), Ok(None));
}
