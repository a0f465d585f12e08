//! A whole log: what is tolerated, and what is left of a log that was cut.

use longhaul_rollout::{Error, Line, Record, lines};
use proptest::prelude::*;

const LINES: [&str; 3] = [
    r#"{"timestamp":"2026-11-22T09:30:47.001Z","type":"session_meta","payload":{"id":"é"}}"#,
    r#"{"timestamp":"2026-11-22T09:30:47.002Z","n":1,"type":"world_state","payload":[1, 2]}"#,
    r#"{"timestamp":"2026-11-22T09:30:47.003Z","type":"event_msg","payload":"\n"}"#,
];

fn whole(number: usize, offset: usize, line: &str) -> Line<'static> {
    Line::Whole { number, offset, record: Record::decode(line.as_bytes()) }
}

fn read(log: &[u8]) -> Vec<Line<'_>> {
    lines(log).collect()
}

#[test]
fn an_empty_log_has_no_lines() {
    for log in ["", "\u{feff}", "\n", "\r\n \t\n", "\u{feff}\n"] {
        assert_eq!(read(log.as_bytes()), []);
    }
}

#[test]
fn tolerates_a_byte_order_mark_crlf_and_blank_lines() {
    let [a, b, c] = LINES;
    let log = format!("\u{feff}{a}\r\n\r\n\n{b}\n{c}\r\n");
    let b_at = 3 + a.len() + 2 + 2 + 1;
    let c_at = b_at + b.len() + 1;
    assert_eq!(read(log.as_bytes()), [whole(1, 3, a), whole(4, b_at, b), whole(5, c_at, c)]);
}

#[test]
fn a_bad_line_spoils_no_other() {
    let [a, b, c] = LINES;
    let log = [a, "\n", b, c, "\n", c, "\n"].concat();
    let read = read(log.as_bytes());
    assert_eq!(read.len(), 3);
    assert_eq!(read[0], whole(1, 0, a));
    let column = b.len() + 1;
    assert!(matches!(
        &read[1],
        Line::Whole { number: 2, record: Err(Error::NotJson { column: at, .. }), .. } if *at == column
    ));
    assert_eq!(read[2], whole(3, log.len() - c.len() - 1, c));
}

#[test]
fn a_whole_record_without_its_newline_is_torn() {
    let log = LINES[0].as_bytes();
    assert_eq!(read(log), [Line::Torn { number: 1, offset: 0, bytes: log }]);
}

#[test]
fn a_log_cut_anywhere_gives_its_whole_records_and_one_torn_line() {
    let log: String = LINES.iter().flat_map(|line| [line, "\n"]).collect();
    let mut whole_lines = Vec::new();
    let mut start = 0;
    for cut in 0..=log.len() {
        if cut > 0 && log.as_bytes()[cut - 1] == b'\n' {
            let number = whole_lines.len() + 1;
            whole_lines.push(whole(number, start, LINES[number - 1]));
            start = cut;
        }
        let mut expected = whole_lines.clone();
        if start < cut {
            let bytes = &log.as_bytes()[start..cut];
            expected.push(Line::Torn { number: expected.len() + 1, offset: start, bytes });
        }
        assert_eq!(read(&log.as_bytes()[..cut]), expected, "cut at {cut}");
    }
    assert_eq!(whole_lines.len(), 3);
}

proptest! {
    #[test]
    fn lines_cover_any_bytes_in_order(log in prop::collection::vec(prop::sample::select(b"\n\r {}\"a\xff".to_vec()), 0..60)) {
        let ends_with_newline = log.last().is_none_or(|&b| b == b'\n');
        let mut expected = Vec::new();
        let mut offset = 0;
        for (index, bytes) in log.split_inclusive(|&b| b == b'\n').enumerate() {
            let number = index + 1;
            if !bytes.ends_with(b"\n") {
                expected.push(Line::Torn { number, offset, bytes });
            } else if !bytes.trim_ascii().is_empty() {
                let record = Record::decode(&bytes[..bytes.len() - 1]);
                expected.push(Line::Whole { number, offset, record });
            }
            offset += bytes.len();
        }
        let torn = matches!(expected.last(), Some(Line::Torn { .. }));
        prop_assert_eq!(torn, !ends_with_newline);
        prop_assert_eq!(read(&log), expected);
    }
}
