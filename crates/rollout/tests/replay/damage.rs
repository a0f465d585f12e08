//! Logs of which bytes are missing, or others than were written.

use longhaul_rollout::{Damage, Error, Flaw, OnDamage, ReadError, Replay, Torn, replay};
use proptest::prelude::*;
use serde_json::json;

use crate::log::{Log, new, record, text, whole};

/// `a b c d e`, with a compaction and more of all.
pub(crate) fn log() -> Log {
    let mut log = Log::new();
    log.turn("1").user("a").user("b");
    log.add("compacted", json!({"replaced": 1, "parts": [new("x")], "told": null}));
    log.epoch = 2;
    log.add("session_opened", json!({"differences": []})).turn("2").user("c").item_at(1, "d");
    log.user("e");
    log
}

pub(crate) fn read(bytes: &[u8]) -> Result<Replay, ReadError> {
    replay(&bytes, &(), OnDamage::Refuse)
}

pub(crate) fn salvage(bytes: &[u8]) -> Replay {
    replay(&bytes, &(), OnDamage::Salvage).unwrap()
}

/// Where lines start.
pub(crate) fn starts(log: &[u8]) -> Vec<u64> {
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
