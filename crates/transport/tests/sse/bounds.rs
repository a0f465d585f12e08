//! How much memory is held and taken, counted.

use allocation_counter::measure;
use longhaul_transport::event;
use longhaul_transport::sse::{Decoder, SseError};

use super::support::{NO_LIMIT, decode_within};

const LIMIT: usize = 1_000_000;
const PIECE: usize = 1_000;

/// Decodes pieces until the first error; how many there were.
fn pieces_until_error(decoder: &mut Decoder, head: &[u8], piece: &[u8]) -> (usize, SseError) {
    let mut head = head;
    assert_eq!(decoder.next_event(&mut head), Ok(None));
    for count in 1..10_000 {
        let mut piece = piece;
        match decoder.next_event(&mut piece) {
            Ok(event) => assert_eq!(event, None),
            Err(error) => return (count, error),
        }
    }
    panic!("no error");
}

/// Endless data in one line and in many, endless comments, endless names: all end at the bound, and until then
/// no more is held than the bound.
#[test]
fn f049_an_endless_event_line_or_comment_is_an_error_and_no_memory() {
    let table: [(&[u8], &[u8]); 7] = [
        (b"data: ", b"x"),
        (b"", b"data: 1\n"),
        (b"", b"data\n"),
        (b": ", b"x"),
        (b"event: ", b"x"),
        (b"", b"x"),
        (b"", b"event: x\n"),
    ];
    for (head, repeated) in table {
        let piece = repeated.repeat(PIECE / repeated.len());
        let mut result = None;
        let mut decoder = Decoder::new(LIMIT);
        let info = measure(|| result = Some(pieces_until_error(&mut decoder, head, &piece)));
        let (count, error) = result.unwrap();
        let what = String::from_utf8_lossy(repeated);
        assert_eq!(error, SseError::TooLarge { limit: LIMIT }, "{what:?}");
        // Line ends do not count.
        let most = LIMIT / piece.len() * repeated.len() / repeated.trim_ascii_end().len() + 2;
        assert!((LIMIT / PIECE..=most).contains(&count), "{what:?}: {count} pieces");
        let held = usize::try_from(info.bytes_current).unwrap();
        assert!(held <= LIMIT + 64, "{what:?}: {info:?}");
        // While the buffer grows there are two, the old one smaller.
        assert!(info.bytes_max < 2 * LIMIT as u64, "{what:?}: {info:?}");
    }
}

/// The event of 64 MiB: it is given where the bound allows it, and the memory is given back.
#[test]
fn f049_a_large_event_leaves_no_large_buffer() {
    let body = [b"data: ", "x".repeat(64 * 1024 * 1024).as_bytes(), b"\n\ndata: 1\n\n"].concat();
    let mut decoder = Decoder::new(body.len());
    let info = measure(|| {
        let mut sizes = Vec::new();
        for mut piece in body.chunks(16 * 1024) {
            while let Some(data) = decoder.next_event(&mut piece).unwrap() {
                sizes.push(data.len());
            }
        }
        assert_eq!(sizes, [64 * 1024 * 1024, 1]);
    });
    assert!(info.bytes_current < 128 * 1024, "{info:?}");
    let refused = decode_within(64 * 1024 * 1024, body.chunks(16 * 1024));
    assert_eq!(refused, (vec![], Some(SseError::TooLarge { limit: 64 * 1024 * 1024 })));
}

#[test]
fn e22_events_and_lines_are_bounded_and_comments_only_while_they_are_open() {
    let error = Some(SseError::TooLarge { limit: 12 });
    let table: [(&[u8], usize, bool); 9] = [
        (b"data: 123456\n\ndata: 123456\n\n", 2, false),
        (b"data: 1\n\ndata: 1234567\n\n", 1, true),
        (b"data:1\ndata:2\n\n", 1, false),
        (b"data:1\ndata:23\n\n", 0, true),
        (b"event:1\ndata:\n\n", 1, false),
        (b"event:12\ndata:\n\n", 0, true),
        (b": 34567890\n: 34567890\ndata:1\n: 34\ndata:2\n\n", 1, false),
        (b": 34567890123\ndata:1\n\n", 0, true),
        (b"data:1\n\n\n\ndata:12\n\ndata: 1234567", 2, true),
    ];
    for (body, events, is_error) in table {
        let what = String::from_utf8_lossy(body);
        for size in 1..=body.len() {
            let (given, ended) = decode_within(12, body.chunks(size));
            assert_eq!(given.len(), events, "{what:?} in pieces of {size}");
            assert_eq!(ended, error.clone().filter(|_| is_error), "{what:?} in pieces of {size}");
        }
    }
}

/// Memory is taken once for each time that the buffer doubles, and events that are whole take none.
#[test]
fn e23_the_memory_taken_grows_as_the_body_does() {
    let long_line = |n: usize| [b"data: ".to_vec(), b"x".repeat(n), b"\n\n".to_vec()].concat();
    let many_lines = |n: usize| [b"data: x\n".repeat(n / 8), b"\n".to_vec()].concat();
    let many_events = |n: usize| b"data: x\n\n".repeat(n / 9);
    let bodies: [&dyn Fn(usize) -> Vec<u8>; 3] = [&long_line, &many_lines, &many_events];
    for (kind, body) in bodies.into_iter().enumerate() {
        for piece in [1, 16, 1_000, NO_LIMIT] {
            let cost = |n: usize| {
                let body = body(n);
                measure(|| {
                    let mut decoder = Decoder::new(NO_LIMIT);
                    for mut piece in body.chunks(piece) {
                        while decoder.next_event(&mut piece).unwrap().is_some() {}
                    }
                })
            };
            let (once, twice) = (cost(1 << 18), cost(1 << 19));
            assert!(once.bytes_total <= 5 << 18, "{kind}, {piece}: {once:?}");
            assert!(twice.bytes_total <= 5 << 19, "{kind}, {piece}: {twice:?}");
            assert!(twice.count_total <= once.count_total + 2, "{kind}, {piece}: {twice:?}");
            assert!(twice.count_total < 30, "{kind}, {piece}: {twice:?}");
        }
    }
}

/// For the text alone; the id is shared. A text with escapes goes through a buffer of the JSON parser, which grows.
#[test]
fn a_delta_takes_memory_once() {
    for (text, times) in [("hello", 1), ("hello \\\"you\\\"\\n", 4)] {
        let delta = format!(
            "event: response.output_text.delta\ndata: {{\"type\":\"response.output_text.delta\",\
             \"sequence_number\":7,\"item_id\":\"msg_1\",\"output_index\":0,\"content_index\":0,\
             \"delta\":\"{text}\",\"logprobs\":[],\"obfuscation\":\"x\"}}\n\n"
        );
        let body = delta.repeat(1_000);
        for piece in [100, 1_400, NO_LIMIT] {
            let mut count = 0;
            let info = measure(|| {
                let mut lines = Decoder::new(NO_LIMIT);
                let mut events = event::Decoder::default();
                for mut piece in body.as_bytes().chunks(piece) {
                    while let Some(data) = lines.next_event(&mut piece).unwrap() {
                        count += usize::from(events.decode(data).unwrap().is_some());
                    }
                }
            });
            assert_eq!(count, 1_000);
            assert!(
                info.count_total <= times * 1_000 + 10,
                "{text} in pieces of {piece}: {info:?}"
            );
        }
    }
}
