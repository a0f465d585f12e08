//! Logs with lines that are not sound, or not in their places.

use longhaul_rollout::{Damage, Error, Flaw, OnDamage, ReadError, Replay, Torn, replay};
use proptest::prelude::*;
use serde_json::json;

use crate::log::{Log, new, outline, record, text, whole};

/// `a b c d e`, with a compaction and more of all.
fn log() -> Log {
    let mut log = Log::new();
    log.turn("1").user("a").user("b");
    log.add("compacted", json!({"replaced": 1, "parts": [new("x")], "told": null}));
    log.epoch = 2;
    log.add("session_opened", json!({"differences": []})).turn("2").user("c").item_at(1, "d");
    log.user("e");
    log
}

fn read(bytes: &[u8]) -> Result<Replay, ReadError> {
    replay(&bytes, &(), OnDamage::Refuse)
}

fn salvage(bytes: &[u8]) -> Replay {
    replay(&bytes, &(), OnDamage::Salvage).unwrap()
}

/// Where lines start.
fn starts(log: &[u8]) -> Vec<u64> {
    let ends = log.iter().enumerate().filter(|(_, b)| **b == b'\n').map(|(at, _)| at as u64 + 1);
    std::iter::once(0).chain(ends).collect()
}

#[test]
fn f086_a_log_cut_anywhere_in_its_last_three_records_keeps_the_others() {
    let log = log().bytes;
    let starts = starts(&log);
    let first = starts[starts.len() - 4];
    for cut in usize::try_from(first).unwrap()..=log.len() {
        let replay = read(&log[..cut]).unwrap();
        let whole_lines = starts.iter().filter(|start| **start <= cut as u64).count() - 1;
        let good_len = starts[whole_lines];
        let torn = (good_len < cut as u64).then(|| Torn {
            line: whole_lines as u64 + 1,
            offset: good_len,
            len: cut as u64 - good_len,
        });
        assert_eq!((replay.torn, replay.good_len), (torn, good_len), "cut at {cut}");
        assert_eq!(replay.next_ordinal, whole_lines as u64);
        let good_len = usize::try_from(good_len).unwrap();
        assert_eq!(whole(&replay), whole(&read(&log[..good_len]).unwrap()), "cut at {cut}");
    }
}

#[test]
fn a_log_cut_in_its_first_record_names_no_session() {
    let log = Log::new().bytes;
    for cut in 0..log.len() {
        let Err(ReadError::NoMeta { torn }) = read(&log[..cut]) else { panic!("{cut}") };
        let expected = Torn { line: 1, offset: 0, len: cut as u64 };
        assert_eq!(torn, (cut > 0).then_some(expected));
    }
}

#[test]
fn f087_each_bit_that_flips_is_named_by_line_and_offset() {
    let log = log().bytes;
    let starts = starts(&log);
    for (byte, bit) in (0..log.len()).flat_map(|byte| (0..8).map(move |bit| (byte, bit))) {
        let mut flipped = log.clone();
        flipped[byte] ^= 1 << bit;
        let line = starts.iter().filter(|start| **start <= byte as u64).count();
        match read(&flipped) {
            Err(ReadError::Damaged(Damage { line: found, offset, .. })) => {
                assert_eq!((found, offset), (line as u64, starts[line - 1]), "{byte}.{bit}");
            }
            // What ends the log is its last newline.
            Ok(replay) => {
                assert_eq!((byte, replay.good_len), (log.len() - 1, starts[line - 1]), "{bit}");
                assert!(replay.torn.is_some_and(|it| it.offset == starts[line - 1]));
            }
            Err(error) => panic!("{byte}.{bit}: {error}"),
        }
        let salvaged = salvage(&flipped);
        assert!(!salvaged.damage.is_empty() || salvaged.torn.is_some(), "{byte}.{bit}");
        assert!(!salvaged.is_foreign, "{byte}.{bit}");
    }
}

/// Which lines, the line, the expected and the found ordinal of each that is not in place, and what is
/// salvaged.
type Row = (&'static [usize], &'static [(u64, u64, u64)], &'static str);

/// Each row: which lines of `0 a b c d e` stand in which order, the flaws of those that are not in
/// place and where they stand, and what is salvaged.
#[test]
fn f088_lines_that_are_not_in_their_places_are_named() {
    let mut log = Log::new();
    log.user("a").user("b").user("c").user("d").user("e");
    let lines: Vec<&[u8]> = log.bytes.split_inclusive(|b| *b == b'\n').collect();
    let table: [Row; 9] = [
        (&[0, 1, 1, 2, 3, 4, 5], &[(3, 2, 1)], "a b c d e "),
        (&[0, 1, 2, 3, 4, 5, 1], &[(7, 6, 1)], "a b c d e "),
        (&[0, 1, 3, 4, 5], &[(3, 2, 3)], "a c d e "),
        (&[0, 1, 2, 3, 5], &[(5, 4, 5)], "a b c e "),
        (&[0, 1, 5], &[(3, 2, 5)], "a e "),
        (&[0, 1, 3, 2, 4, 5], &[(3, 2, 3), (5, 3, 4)], "a b d e "),
        (&[0, 1, 2, 3, 5, 4], &[(5, 4, 5)], "a b c d "),
        (&[0, 5, 1, 2, 3, 4], &[(2, 1, 5)], "a b c d "),
        (&[0, 1, 2, 0, 1, 2, 3, 4, 5], &[(4, 3, 0), (5, 3, 1), (6, 3, 2)], "a b c d e "),
    ];
    for (order, flaws, left) in table {
        let log = order.iter().map(|line| lines[*line]).collect::<Vec<_>>().concat();
        let starts = starts(&log);
        let flaws = flaws.iter().map(|&(line, expected, found)| Damage {
            line,
            offset: starts[usize::try_from(line).unwrap() - 1],
            flaw: Flaw::Ordinal { expected, found },
        });
        let flaws: Vec<Damage> = flaws.collect();
        let Err(ReadError::Damaged(first)) = read(&log) else { panic!("{order:?}") };
        assert_eq!(first, flaws[0], "{order:?}");
        let salvaged = salvage(&log);
        assert_eq!(
            (salvaged.damage.as_slice(), outline(&salvaged).as_str()),
            (&*flaws, left),
            "{order:?}"
        );
    }
}

#[test]
fn f088_of_two_sessions_in_one_log_the_first_is_salvaged() {
    let session = |name: &str| {
        let mut log = Log::new();
        (0..9).for_each(|n| {
            log.user(&format!("{name}{n}"));
        });
        log.bytes
    };
    let (a, b) = (session("a"), session("b"));
    let lines =
        |log: &[u8]| log.split_inclusive(|b| *b == b'\n').map(<[u8]>::to_vec).collect::<Vec<_>>();
    let interleaved = lines(&a).into_iter().zip(lines(&b)).flat_map(|(a, b)| [a, b]);
    let log = interleaved.collect::<Vec<_>>().concat();
    let Err(ReadError::Damaged(Damage { line: 2, flaw, .. })) = read(&log) else { panic!() };
    assert_eq!(flaw, Flaw::Ordinal { expected: 1, found: 0 });
    let salvaged = salvage(&log);
    assert_eq!(
        (outline(&salvaged), salvaged.damage.len()),
        ("a0 a1 a2 a3 a4 a5 a6 a7 a8 ".into(), 10)
    );
}

#[test]
fn an_epoch_never_goes_back() {
    let mut log = Log::new();
    log.epoch = 3;
    log.user("a");
    log.epoch = 2;
    log.user("b");
    log.epoch = 3;
    log.user("c");
    let Err(ReadError::Damaged(damage)) = log.read() else { panic!() };
    assert_eq!((damage.line, &damage.flaw), (3, &Flaw::Epoch { before: 3, found: 2 }));
    let salvaged = log.salvage();
    assert_eq!(
        (outline(&salvaged).as_str(), salvaged.damage, salvaged.epoch),
        ("a c ", vec![damage], 3)
    );
    let mut zero = Log::empty();
    zero.epoch = 0;
    zero.add("session_meta", json!({"format_version": 1, "id": "x"}));
    let Err(ReadError::Damaged(damage)) = zero.read() else { panic!() };
    assert_eq!(damage.flaw, Flaw::Epoch { before: 0, found: 0 });
}

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

/// A page that was never written, or a hole in the file, reads as zeros: in the place of what was
/// there, or between lines.
#[test]
fn f087_pages_of_zeros_are_named_wherever_they_stand() {
    let mut log = Log::new();
    (0..80).for_each(|n| {
        log.user(&n.to_string());
    });
    let log = log.bytes;
    let starts = starts(&log);
    let line_of = |byte: usize| starts.iter().filter(|start| **start <= byte as u64).count();
    for hole in [512, 4096] {
        for start in (0..log.len() - hole).step_by(100) {
            let mut damaged = log.clone();
            damaged[start..start + hole].fill(0);
            let Err(ReadError::Damaged(damage)) = read(&damaged) else { panic!("{start}") };
            // The newline before it may be gone, too.
            let line = line_of(start);
            assert_eq!((damage.line, damage.offset), (line as u64, starts[line - 1]), "{start}");
            let salvaged = salvage(&damaged);
            // A line is sound if it is whole, and the newline before it.
            let is_sound = |n: &usize| {
                let byte = |n: usize| usize::try_from(starts[n]).unwrap();
                let (from, to) = (byte(n + 1) - 1, byte(n + 2));
                to <= start || from >= start + hole
            };
            let texts: Vec<String> = salvaged.items.iter().map(|it| text(&it.item)).collect();
            let sound = (0..80).filter(is_sound).map(|n| n.to_string());
            assert_eq!(texts, sound.collect::<Vec<_>>(), "{start}");

            let at = usize::try_from(starts[line - 1]).unwrap();
            let grown = [&log[..at], &vec![0; hole], &log[at..]].concat();
            let Err(ReadError::Damaged(damage)) = read(&grown) else { panic!("{start}") };
            assert_eq!((damage.line, damage.offset), (line as u64, starts[line - 1]), "{start}");
        }
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

#[test]
fn a_log_of_ours_is_known_though_its_first_line_is_lost() {
    let log = log().bytes;
    let first = starts(&log)[1];
    let mut lost = log.clone();
    lost[..usize::try_from(first).unwrap() - 1].fill(0);
    let Err(ReadError::Damaged(damage)) = read(&lost) else { panic!() };
    assert_eq!((damage.line, damage.offset), (1, 0));
    let salvaged = salvage(&lost);
    assert_eq!((salvaged.meta, salvaged.is_foreign), (None, false));
    assert_eq!(salvaged.items, read(&log).unwrap().items);
}

#[test]
fn a_log_without_its_first_record_names_no_session() {
    let mut log = Log::empty();
    log.user("a");
    assert!(matches!(log.read(), Err(ReadError::NoMeta { torn: None })));
    assert!(matches!(read(b"\n \n"), Err(ReadError::NoMeta { torn: None })));
    let garbage = replay(&b"x\ny\n".as_slice(), &(), OnDamage::Salvage);
    assert!(matches!(garbage, Err(ReadError::NoMeta { torn: None })));
}

#[test]
fn a_first_record_of_ours_that_is_not_sealed_is_damage() {
    let mut log = Vec::new();
    record("session_meta", r#"{"format_version":1,"id":"x"}"#).encode(&mut log);
    let Err(ReadError::Damaged(damage)) = read(&log) else { panic!() };
    assert!(matches!(damage.flaw, Flaw::Line(Error::NotSealed { .. })), "{damage}");
}

/// An item that is lost keeps its place while records that count items are read.
#[test]
fn what_counts_items_counts_those_that_are_lost() {
    let mut log = Log::new();
    log.turn("1").user("a").turn("2").user("b").item_at(1, "c").user("d");
    log.add("turn_context", json!({"turn_id": "3", "model": "m", "told": true})).user("e");
    let compacted = json!({"replaced": 3, "parts": [new("x"), {"keep": [2, 3]}], "told": null});
    let edited = json!({"replaced": 2, "parts": [{"keep": [0, 1]}], "reason": "removed"});
    let starts = starts(&log.bytes);
    // Which line is lost, and what is left then: at once, with the compaction, with the edit.
    let table = [
        (2, ["^c ^b d ^e ", "x ^b d ^e ", "x ^d ^e "]),
        (4, ["^a c ^d ^e ", "x ^d ^e ", "x ^d ^e "]),
        (5, ["^a ^b d ^e ", "x ^b d ^e ", "x ^d ^e "]),
        (6, ["^a c ^b ^e ", "x ^b ^e ", "x ^e "]),
    ];
    for (line, left) in table {
        let mut log = log.clone();
        // In the payload, so that the head can still be read.
        let end = usize::try_from(starts[line + 1]).unwrap();
        log.bytes[end - 40] ^= 1;
        assert_eq!(outline(&log.salvage()), left[0], "{line}");
        assert_eq!(log.salvage().told[0].0, 3);
        log.add("compacted", compacted.clone());
        assert_eq!(outline(&log.salvage()), left[1], "{line}");
        log.add("edited", edited.clone());
        assert_eq!(outline(&log.salvage()), left[2], "{line}");
        assert_eq!(log.salvage().damage.len(), 1);
    }
}

/// What is not sound and not where it should be holds no place.
#[test]
fn a_damaged_copy_of_an_item_is_no_lost_item() {
    let mut log = Log::new();
    log.user("a").user("b");
    let start = usize::try_from(starts(&log.bytes)[1]).unwrap();
    let end = usize::try_from(starts(&log.bytes)[2]).unwrap();
    let mut copy = log.bytes[start..end].to_vec();
    copy[end - start - 40] ^= 1;
    log.bytes.extend(copy);
    log.user("c").add("edited", json!({"replaced": 3, "parts": [{"keep": [0, 2]}], "reason": "x"}));
    assert_eq!(outline(&log.salvage()), "a b ");
}

/// What a salvage writes in a new log comes to what the damaged log does, and goes on from there.
#[test]
fn the_places_of_lost_items_are_held_until_the_salvage_ends() {
    let mut log = Log::new();
    log.turn("1").add("lost_item", json!({})).turn("2").user("a");
    log.seal(&record("lost_item", "{}").with_at(1)).user("b").user("c");
    log.add("turn_context", json!({"turn_id": "3", "model": "m", "told": true})).user("d");
    // `(^) () ^a b c ^d`
    let edited = |n: usize| json!({"replaced": n, "parts": [{"keep": [0, n - 1]}], "reason": "x"});
    log.add("edited", edited(4));
    assert_eq!(
        (outline(&log.read().unwrap()).as_str(), log.read().unwrap().told[0].0),
        ("^a c ^d ", 3)
    );
    log.add("salvaged", json!({}));
    assert_eq!(
        (outline(&log.read().unwrap()).as_str(), log.read().unwrap().told[0].0),
        ("^a c ^d ", 3)
    );
    log.add("edited", edited(2));
    assert_eq!(outline(&log.read().unwrap()), "^a ^d ");
}

proptest! {
    #[test]
    fn f087_garbage_in_the_middle_is_named_and_the_rest_is_salvaged(
        garbage in prop::collection::vec(any::<u8>(), 1..300), at in 1..9_usize,
    ) {
        let log = log().bytes;
        let start = usize::try_from(starts(&log)[at]).unwrap();
        let damaged = [&log[..start], &garbage, b"\n", &log[start..]].concat();
        let is_blank = garbage.iter().all(u8::is_ascii_whitespace);
        match read(&damaged) {
            Err(ReadError::Damaged(damage)) => {
                prop_assert!((start as u64..(start + garbage.len()) as u64).contains(&damage.offset));
                prop_assert!(damage.line > at as u64);
            }
            read => prop_assert!(is_blank, "{:?}", read.err()),
        }
        let mut salvaged = salvage(&damaged);
        prop_assert_eq!(salvaged.damage.is_empty(), is_blank);
        salvaged.good_len -= garbage.len() as u64 + 1;
        prop_assert_eq!(whole(&salvaged), whole(&read(&log).unwrap()));
    }

    #[test]
    fn f087_bytes_that_change_anywhere_never_pass(
        at in any::<prop::sample::Index>(), bytes in prop::collection::vec(any::<u8>(), 1..40),
    ) {
        let log = log().bytes;
        let start = at.index(log.len() - 1);
        let end = (start + bytes.len()).min(log.len() - 1);
        let mut changed = log.clone();
        changed[start..end].copy_from_slice(&bytes[..end - start]);
        prop_assume!(changed != log);
        let Err(ReadError::Damaged(damage)) = read(&changed) else {
            return Err(TestCaseError::fail("passed"));
        };
        let line = starts(&log).into_iter().rfind(|it| *it <= end as u64);
        prop_assert!(damage.offset <= line.unwrap_or_default());
    }
}
