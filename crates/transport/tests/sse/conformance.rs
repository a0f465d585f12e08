//! The list of what decoders get wrong, each once. `assert_events` cuts every body everywhere.

use longhaul_transport::sse::{Decoder, SseError};

use super::support::{assert_events, cut, decode};

#[test]
fn e01_one_byte_order_mark_is_dropped_and_a_later_one_is_part_of_a_name() {
    assert_events("\u{feff}data:1\n\n\u{feff}data:2\n\ndata:3\n\n", &["1", "3"]);
    assert_events("\u{feff}: comment\n\u{feff}data:1\n\n", &[]);
    assert_events("data:\u{feff}1\n\n", &["\u{feff}1"]);
    assert_events("\n\u{feff}data:1\n\ndata:2\n\n", &["2"]);
}

#[test]
fn e02_of_two_byte_order_marks_the_second_spoils_the_first_line() {
    assert_events("\u{feff}\u{feff}data:1\n\ndata:2\n\ndata:3\n\n", &["2", "3"]);
}

#[test]
fn e03_a_byte_order_mark_in_three_pieces() {
    let body = "\u{feff}data:1\n\n".as_bytes();
    for (first, second) in [(1, 2), (1, 3), (2, 3), (1, 4), (2, 9)] {
        let pieces = [&body[..first], &body[first..second], &body[second..]];
        assert_eq!(decode(pieces), (vec!["1".to_owned()], None));
    }
    let empty: &[u8] = b"";
    assert_eq!(decode([empty, &body[..1], empty, &body[1..]]).0, ["1"]);
    assert_events("\u{feff}data: 1\n\n", &["1"]);
    assert_events(b"\xEF\xBBdata:1\n\ndata:2\n\n", &["2"]);
    assert_events("\u{feff}\n\ndata\n\n", &[""]);
}

#[test]
fn e04_lines_end_in_lf_cr_or_both() {
    assert_events("data:test\r\ndata\ndata:test\r\n\r", &["test\n\ntest"]);
    assert_events("data:1\n\ndata:2\r\rdata:3\r\n\r\n", &["1", "2", "3"]);
    assert_events("data:1\r\n\ndata:2\n\r\ndata:3\r\r\n", &["1", "2", "3"]);
    assert_events("data:1\n\rdata:2\n\n", &["1", "2"]);
}

#[test]
fn e05_cr_and_lf_in_two_pieces_are_one_line_end() {
    assert_eq!(decode([b"data:1\r" as &[u8], b"\ndata:2\n\n"]).0, ["1\n2"]);
    assert_eq!(decode([b"data:1\r" as &[u8], b"data:2\n\n"]).0, ["1\n2"]);
    assert_eq!(decode([b"data:1\r" as &[u8], b"", b"\n", b"\r", b"\n"]).0, ["1"]);
    assert_eq!(decode([b"data:1\r\n\r" as &[u8], b"\n\ndata:2\n\n"]).0, ["1", "2"]);
}

#[test]
fn e06_a_lone_cr_ends_an_event_without_a_further_byte() {
    let mut decoder = Decoder::new(100);
    let mut piece: &[u8] = b"data:1\r\r";
    assert_eq!(decoder.next_event(&mut piece), Ok(Some("1")));
    let mut piece: &[u8] = b"\ndata:2\r\n\r";
    assert_eq!(decoder.next_event(&mut piece), Ok(Some("2")));
}

#[test]
fn e07_fields_are_read_by_the_letter() {
    let body = "data:\0\ndata:  2\rData:1\ndata\0:2\ndata:1\r\0data:4\nda-ta:3\rdata_5\ndata:3\rdata:\r\n data:32\ndata:4\n\n";
    assert_events(body, &["\0\n 2\n1\n3\n\n4"]);
}

#[test]
fn e08_data_may_be_empty() {
    assert_events("data:\n\ndata\ndata\n\ndata:test", &["", "\n"]);
    assert_events("data\n\ndata: \n\ndata:\ndata:\n\n", &["", "", "\n"]);
}

#[test]
fn e09_one_space_goes_and_tabs_stay() {
    assert_events("data: 1\n\ndata:  2\n\ndata:\t3\n\ndata: \t4 \n\n", &["1", " 2", "\t3", "\t4 "]);
    assert_events("data : 1\n\n data: 2\n\ndata:: 3\n\n", &[": 3"]);
}

#[test]
fn e10_comments_are_read_over() {
    assert_events(":\n\n: x\n\ndata:1\n:data:2\ndata:3\n: x\n\n:\r\r", &["1\n3"]);
    let piece = b": long".repeat(1000);
    let info = allocation_counter::measure(|| {
        let mut decoder = Decoder::new(piece.len() * 1000);
        for _ in 0..1000 {
            assert_eq!(decoder.next_event(&mut &piece[..]), Ok(None));
        }
    });
    assert!(info.bytes_max < 100, "a long comment is not held: {info:?}");
}

#[test]
fn e11_an_event_without_data_is_none() {
    assert_events(
        "event: x\n\nid: 1\n\ndata:1\n\nevent: y\nretry: 1\n\n\n\ndata:2\n\n",
        &["1", "2"],
    );
}

/// Names are not looked at: the type inside the data decides.
#[test]
fn e12_an_event_with_an_empty_name_or_another_is_given() {
    assert_events(
        "event:\ndata:1\n\nevent: \ndata:2\n\nevent\ndata:3\n\ndata:4\nevent: z\n\n",
        &["1", "2", "3", "4"],
    );
}

/// No use is made of ids: a response cannot be taken up again.
#[test]
fn e13_ids_change_nothing() {
    assert_events(
        "id: 1\ndata:1\n\nid\ndata:2\n\nid: \0\ndata:3\n\nid: \u{feff}\n\n",
        &["1", "2", "3"],
    );
}

/// Nor of times: when to try again is decided elsewhere.
#[test]
fn e14_times_of_reconnection_are_ignored() {
    assert_events(
        "retry: 1000\ndata:1\n\nretry: 1000x\nretry:+5\nretry\nretry:\ndata:2\n\n",
        &["1", "2"],
    );
}

#[test]
fn e15_names_of_fields_are_exact() {
    assert_events(
        "DATA:1\nData:2\ndata2:3\ndat:4\ndataa\nd\n: 5\nx: data: 6\n\ndata:7\n\n",
        &["7"],
    );
}

#[test]
fn e16_bytes_that_are_not_utf8_are_an_error_and_never_a_replacement() {
    for bad in
        [b"\xff" as &[u8], b"\xc3", b"\xe6\x97", b"\xf0\x9f\x98", b"\xed\xa0\x80", b"\xc0\x80"]
    {
        let body = [b"data:1\n\ndata: a", bad, b"b\n\ndata:2\n\n"].concat();
        for at in 0..=body.len() {
            let (events, error) = decode(cut(&body, at));
            assert_eq!((events, error), (vec!["1".to_owned()], Some(SseError::NotUtf8)));
        }
    }
    // Characters of two, three and four bytes, cut within.
    assert_events("data: é日😀\ndata: é\n\n", &["é日😀\né"]);
    // A character that a line end breaks in two is none.
    assert_eq!(decode([b"data:\xc3\ndata:\xa9\n\n" as &[u8]]).1, Some(SseError::NotUtf8));
}

/// Where nothing is read, nothing can be wrong.
#[test]
fn e16_what_is_read_over_may_be_any_bytes() {
    assert_events(b": \xff\nevent: \xff\n\xff\n\xff: x\nid: \xc3\ndata:1\n\n", &["1"]);
}

#[test]
fn e20_nul_is_data() {
    assert_events("data: a\0b\n\ndata:\0\n\n", &["a\0b", "\0"]);
}

/// As every test here does; once more with all sizes of pieces and two cuts.
#[test]
fn e21_where_pieces_end_makes_no_difference() {
    let body = "\u{feff}: x\r\ndata: é1\r\n\r\nevent: x\ndata\ndata:😀\r\rretry: 1\n\ndata: 3\n\n: \ndata: cut";
    let whole = decode([body.as_bytes()]);
    assert_eq!(whole, (vec!["é1".into(), "\n😀".into(), "3".into()], None));
    for size in 1..=body.len() {
        assert_eq!(decode(body.as_bytes().chunks(size)), whole, "pieces of {size}");
    }
    for first in 0..=body.len() {
        for second in first..=body.len() {
            let (before, after) = body.as_bytes().split_at(second);
            let [before, between] = cut(before, first);
            assert_eq!(decode([before, between, after]), whole, "cut at {first} and {second}");
        }
    }
}
