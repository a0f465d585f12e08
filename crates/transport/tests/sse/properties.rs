//! Any bytes in any pieces, against the slow reference; and streams in order, against another
//! decoder.

use std::convert::Infallible;

use eventsource_stream::Eventsource;
use futures_util::{FutureExt, StreamExt, stream};
use longhaul_transport::sse::SseError;
use proptest::collection::vec;
use proptest::prelude::*;

use super::reference;
use super::support::{decode, decode_within};

const MARKS: [&str; 14] = [
    "data", "data:", "data: ", ":", " ", "\n", "\r", "\r\n", "\n\n", "event: x", "\u{feff}", "é",
    "😀", "\0",
];

/// Bytes that matter to a decoder, more often than others.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let fragment = prop_oneof![
        20 => prop::sample::select(&MARKS[..]).prop_map(|mark| mark.as_bytes().to_vec()),
        2 => vec(any::<u8>(), 1..4),
        1 => "[a-z{}\":,]{1,20}".prop_map(String::into_bytes),
    ];
    vec(fragment, 0..40).prop_map(|fragments| fragments.concat())
}

/// `body` cut at each of `cuts`, empty pieces and all.
fn pieces<'a>(body: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(body.len() + 1)).collect();
    cuts.sort_unstable();
    let ends = cuts.iter().copied().chain([body.len()]);
    let starts = std::iter::once(0).chain(cuts.iter().copied());
    starts.zip(ends).map(|(start, end)| &body[start..end]).collect()
}

/// What the reference gives, up to the first event that is no text.
fn expected(body: &[u8]) -> (Vec<String>, Option<SseError>) {
    let mut events = Vec::new();
    for data in reference::events(body) {
        match String::from_utf8(data) {
            Ok(data) => events.push(data),
            Err(_) => return (events, Some(SseError::NotUtf8)),
        }
    }
    (events, None)
}

#[derive(Debug, Clone)]
struct Event {
    before: Vec<&'static str>,
    data: Vec<String>,
    line_end: &'static str,
}

impl Event {
    fn write(&self) -> String {
        let fields = self.before.iter().map(|field| format!("{field}{}", self.line_end));
        let data = self.data.iter().map(|line| format!("data: {line}{}", self.line_end));
        fields.chain(data).chain([self.line_end.to_owned()]).collect()
    }
}

/// As servers send them.
fn event() -> impl Strategy<Value = Event> {
    let fields = &["event: response.created", "id: 7", "retry: 10", ": comment", "other: x"];
    let before = prop::sample::subsequence(&fields[..], 0..fields.len());
    // Another decoder gives no event whose data is empty.
    let data = prop_oneof![
        9 => vec("[ -~é日😀\t]{1,30}", 1..4),
        1 => Just(vec!["{\"type\":\"error\"}".to_owned(); 50]),
    ];
    let line_end = prop::sample::select(&["\n", "\r\n"][..]);
    (before, data, line_end).prop_map(|(before, data, line_end)| Event { before, data, line_end })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn any_bytes_in_any_pieces_give_what_the_standard_says(
        body in bytes(),
        cuts in vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let expected = expected(&body);
        prop_assert_eq!(&decode([&body[..]]), &expected);
        prop_assert_eq!(&decode(pieces(&body, &cuts)), &expected);
        prop_assert_eq!(&decode(body.chunks(1)), &expected);
    }

    #[test]
    fn a_bound_is_met_at_the_same_event_in_any_pieces(
        body in bytes(),
        cuts in vec(any::<prop::sample::Index>(), 0..12),
        limit in 0..60_usize,
    ) {
        let whole = decode_within(limit, [&body[..]]);
        prop_assert_eq!(&decode_within(limit, pieces(&body, &cuts)), &whole);
        // What is given within the bound is a beginning of what is given without.
        let all = expected(&body).0;
        prop_assert_eq!(&whole.0[..], &all[..whole.0.len()]);
    }

    #[test]
    fn streams_in_order_give_what_eventsource_stream_gives(
        events in vec(event(), 0..12),
        cuts in vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let body: String = events.iter().map(Event::write).collect();
        let pieces = pieces(body.as_bytes(), &cuts);
        let theirs = stream::iter(pieces.iter().map(|piece| Ok::<_, Infallible>(*piece)));
        let theirs = theirs.eventsource().map(|event| event.unwrap().data);
        let theirs: Vec<String> = theirs.collect().now_or_never().unwrap();
        let written: Vec<String> = events.iter().map(|event| event.data.join("\n")).collect();
        prop_assert_eq!(&theirs, &written);
        prop_assert_eq!(decode(pieces), (theirs, None));
    }
}
