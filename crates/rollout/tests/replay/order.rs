//! Logs with lines that are sound, and not in their places.

use longhaul_rollout::{Damage, Flaw, ReadError};
use serde_json::json;

use crate::damage::{read, salvage, starts};
use crate::log::{Log, outline};

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
