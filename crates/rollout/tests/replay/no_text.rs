//! Logs in which stands what is no text, or no JSON.

use longhaul_rollout::{Flaw, ReadError};

use crate::damage::{log, read};
use crate::log::{Log, outline};

/// Each row: what stands between the lines of `a` and `b`, and what is said of it.
#[test]
fn f089_what_stands_between_lines_is_tolerated_or_named() {
    let table: [(&[u8], Option<&str>); 9] = [
        (b"\n", None),
        (b"\r\n", None),
        (b" \t\r\n\n", None),
        (b"\0\n", Some("the line has no checksum: `\u{fffd}`")),
        (b"\xff\xfe\n", Some("the line has no checksum: `\u{fffd}\u{fffd}`")),
        (b"{}\n", Some("the line has no checksum: `{}`")),
        (b"{\"a\":\"\\ud800\"}\n", Some("the line has no checksum: `{\"a\":\"\\ud800\"}`")),
        (b"\xef\xbb\xbf\n", Some("the line has no checksum: `\u{feff}`")),
        (
            b"[\",\"crc\":\"00000000\"}\n",
            Some("the checksum is 00000000, that of the line is cdf6d784"),
        ),
    ];
    for (between, message) in table {
        let mut log = Log::new();
        log.user("a");
        let start = log.bytes.len();
        log.bytes.extend_from_slice(between);
        log.user("b");
        match (log.read(), message) {
            (Ok(replay), None) => assert_eq!(outline(&replay), "a b "),
            (Err(ReadError::Damaged(damage)), Some(message)) => {
                assert_eq!((damage.line, damage.offset), (3, start as u64));
                assert_eq!(damage.flaw.to_string(), message);
            }
            (read, _) => panic!("{between:?}: {:?}", read.err()),
        }
        assert_eq!(outline(&log.salvage()), "a b ", "{between:?}");
    }
}

#[test]
fn f089_a_log_in_utf_16_is_no_log() {
    for to_bytes in [u16::to_le_bytes, u16::to_be_bytes] {
        for mark in ["", "\u{feff}"] {
            let log = mark.to_owned() + &String::from_utf8(log().bytes).unwrap();
            let utf16: Vec<u8> = log.encode_utf16().flat_map(to_bytes).collect();
            let Err(ReadError::Damaged(damage)) = read(&utf16) else { panic!() };
            assert_eq!((damage.line, damage.offset), (1, 0));
        }
    }
}

/// Each row: what stands in a message, and whether that is text as it may be.
#[test]
fn f089_what_is_no_text_within_a_line_is_named_and_what_is_escaped_is_kept() {
    let table: [(&[u8], bool); 6] = [
        (br"a lone \ud800 surrogate", true),
        (br"a NUL \u0000 and a mark \ufeff", true),
        ("a mark \u{feff} and \u{2028}".as_bytes(), true),
        (b"\xff\xfe", false),
        (b"\xc3", false),
        (b"a NUL \0", false),
    ];
    for (text, is_text) in table {
        let item = [br#"{"type":"hologram","text":""#, text, br#""}"#].concat();
        let head = br#"{"timestamp":"2026-11-28T10:00:00.000Z","ordinal":1,"epoch":1,"type":"response_item","payload":"#;
        let line = [head, &*item].concat();
        let crc = crc32fast::hash(&line);
        let mut log = Log::new();
        log.bytes.extend_from_slice(&line);
        log.bytes.extend(format!(",\"crc\":\"{crc:08x}\"}}\n").bytes());
        log.ordinal += 1;
        log.user("b");
        match log.read() {
            Ok(replay) => {
                assert!(is_text);
                assert_eq!(replay.items[0].item.json().as_bytes(), item);
            }
            Err(ReadError::Damaged(damage)) => {
                assert!(!is_text);
                assert!(matches!((damage.line, damage.flaw), (2, Flaw::Payload(_))));
                assert_eq!(outline(&log.salvage()), "b ");
            }
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn f089_a_byte_order_mark_and_other_line_ends_change_nothing() {
    let log = log().bytes;
    let expected = read(&log).unwrap();
    let crlf = String::from_utf8(log.clone()).unwrap().replace('\n', "\r\n").into_bytes();
    let with_mark = [b"\xef\xbb\xbf".as_slice(), &log].concat();
    for other in [crlf, with_mark] {
        let replay = read(&other).unwrap();
        assert_eq!(outline(&replay), outline(&expected));
        assert_eq!((replay.good_len, replay.damage), (other.len() as u64, vec![]));
    }
}

#[test]
fn what_is_sealed_and_no_json_is_damage_of_its_line() {
    for payload in ["\u{1}", "{", "\"\\x\"", "7"] {
        let mut log = Log::new();
        let line = format!(
            r#"{{"timestamp":"2026-11-28T10:00:00.000Z","ordinal":1,"epoch":1,"type":"response_item","payload":{payload}"#
        );
        let crc = crc32fast::hash(line.as_bytes());
        log.bytes.extend(format!("{line},\"crc\":\"{crc:08x}\"}}\n").bytes());
        log.ordinal += 1;
        log.user("a");
        let Err(ReadError::Damaged(damage)) = log.read() else { panic!("{payload}") };
        assert!(matches!((damage.line, damage.flaw), (2, Flaw::Payload(_))), "{payload}");
        assert_eq!(outline(&log.salvage()), "a ");
    }
}
