//! How much of a log is held, and how often it is read.

use std::cell::Cell;
use std::io;

use longhaul_history::Item;
use longhaul_rollout::{
    Flaw, MAX_LINE_BYTES, OnDamage, RECENT_MESSAGES, ReadError, ReplayConfig, Source, replay,
};
use serde_json::json;

use crate::log::{Log, new, outline, record};

const WINDOW: usize = 256 * 1024;

/// Counts what is read. What is held is never more than the largest buffer that was offered, apart
/// from what is kept at the end.
struct Counted<S> {
    source: S,
    bytes: Cell<usize>,
    largest: Cell<usize>,
}

impl<S> Counted<S> {
    fn new(source: S) -> Self {
        Self { source, bytes: Cell::new(0), largest: Cell::new(0) }
    }
}

impl<S: Source> Source for Counted<S> {
    fn len(&self) -> io::Result<u64> {
        self.source.len()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read_at(offset, buf)?;
        self.bytes.set(self.bytes.get() + count);
        self.largest.set(self.largest.get().max(buf.len()));
        Ok(count)
    }
}

/// Gives at most so many bytes at once, and is interrupted now and then.
struct Slow<'a>(&'a [u8], usize, Cell<u32>);

impl Source for Slow<'_> {
    fn len(&self) -> io::Result<u64> {
        Source::len(self.0)
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.2.set(self.2.get() + 1);
        if self.2.get().is_multiple_of(3) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let count = buf.len().min(self.1);
        self.0.read_at(offset, &mut buf[..count])
    }
}

/// A log with one line of 10 MB, which is compacted away.
fn long_line(extra: &str) -> Log {
    let mut log = Log::new();
    let item = format!(r#"{{"type":"hologram","text":"{}"}}"#, "x".repeat(10_000_000));
    let huge = record("response_item", &item);
    if extra.is_empty() {
        log.seal(&huge);
    } else {
        let mut line = Vec::new();
        huge.encode(&mut line);
        let line = String::from_utf8(line).unwrap().replacen(",\"type\"", extra, 1);
        log.seal(&longhaul_rollout::Record::decode(line.as_bytes()).unwrap());
    }
    log.user("a");
    log.add("compacted", json!({"replaced": 1, "parts": [new("x")], "told": null}));
    log
}

#[test]
fn f090_a_long_line_is_checked_and_never_held() {
    let log = long_line("");
    let source = Counted::new(log.bytes.as_slice());
    assert_eq!(outline(&replay(&source, &(), OnDamage::Refuse).unwrap()), "x a ");
    assert_eq!(source.largest.get(), WINDOW);
    assert!(source.bytes.get() < log.bytes.len() + 1_000, "{}", source.bytes.get());

    let mut damaged = log.bytes.clone();
    damaged[5_000_000] ^= 1;
    let Err(ReadError::Damaged(damage)) = replay(&damaged, &(), OnDamage::Refuse) else {
        panic!();
    };
    assert_eq!(damage.line, 2);
    let cut = &log.bytes[..5_000_000];
    let source = Counted::new(cut);
    let torn = replay(&source, &(), OnDamage::Refuse).unwrap().torn.unwrap();
    assert_eq!((torn.line, torn.offset + torn.len), (2, 5_000_000));
    assert_eq!(source.largest.get(), WINDOW);
}

#[test]
fn a_long_line_that_begins_otherwise_is_read_all_the_same() {
    let log = long_line(r#","x":1,"type""#);
    assert_eq!(outline(&log.read().unwrap()), "x a ");
    let crlf = String::from_utf8(log.bytes).unwrap().replace('\n', "\r\n");
    assert_eq!(outline(&replay(&crlf.as_bytes(), &(), OnDamage::Refuse).unwrap()), "x a ");
}

#[test]
fn f090_a_long_line_of_another_program_is_held_once() {
    let mut bytes = Vec::new();
    record("session_meta", r#"{"id":"x"}"#).encode(&mut bytes);
    let long = format!(r#"{{"type":"hologram","text":"{}"}}"#, "x".repeat(1_000_000));
    record("response_item", &long).encode(&mut bytes);
    let end = bytes.len();
    (0..3_000).for_each(|_| record("response_item", Item::user("a").json()).encode(&mut bytes));
    let source = Counted::new(bytes.as_slice());
    let replay = replay(&source, &(), OnDamage::Refuse).unwrap();
    assert_eq!((replay.items.len(), replay.items[0].item.json() == long), (3_001, true));
    assert!(source.largest.get() <= end, "{}", source.largest.get());
}

#[test]
fn f090_a_line_that_is_too_long_is_damage_and_not_held() {
    let mut config = ReplayConfig::default();
    assert_eq!(config.max_line_bytes, MAX_LINE_BYTES);
    config.max_line_bytes = 1_000_000;
    config.on_damage = OnDamage::Salvage;
    let ours = long_line("").bytes;
    let mut foreign = Vec::new();
    record("session_meta", r#"{"id":"x"}"#).encode(&mut foreign);
    foreign.extend_from_slice(&b"x".repeat(10_000_000));
    foreign.push(b'\n');
    record("response_item", Item::user("a").json()).encode(&mut foreign);
    for (log, left) in [(ours, "x a "), (foreign, "^a ")] {
        let source = Counted::new(log.as_slice());
        let replay = replay(&source, &(), config).unwrap();
        let flaw = &replay.damage[0].flaw;
        assert!(matches!(flaw, Flaw::TooLong { bytes: 10_000_000.., max: 1_000_000 }), "{flaw}");
        assert_eq!(outline(&replay), left);
        assert!(source.largest.get() <= 1_000_000, "{}", source.largest.get());
    }
}

#[test]
fn a_log_is_read_once_and_of_what_was_compacted_away_the_newest_messages_again() {
    let mut log = Log::new();
    (0..5_000).for_each(|n| {
        log.user(&format!("{n} {}", "x".repeat(500)));
    });
    log.add("compacted", json!({"replaced": 5_000, "parts": [new("x")], "told": null}));
    let source = Counted::new(log.bytes.as_slice());
    assert_eq!(replay(&source, &(), OnDamage::Refuse).unwrap().items.len(), 1);
    let longest = Item::user(format!("4999 {}", "x".repeat(500))).json().len();
    // One more is read to see that there is one.
    let newest = (RECENT_MESSAGES + 1) * longest;
    // And of the one item, when it was recorded.
    assert!(source.bytes.get() < log.bytes.len() + newest + 200);
    assert_eq!(source.largest.get(), WINDOW);
}

#[test]
fn a_source_may_give_little_at_once() {
    let mut log = Log::new();
    (0..300).for_each(|n| {
        log.user(&n.to_string());
    });
    let expected = outline(&log.read().unwrap());
    for most in [1, 2, 3, 7, 100, 1_000] {
        let slow = Slow(&log.bytes, most, Cell::new(0));
        assert_eq!(outline(&replay(&slow, &(), OnDamage::Refuse).unwrap()), expected);
    }
}

/// Its length is asked once, so a writer may go on meanwhile; but it must not become shorter.
#[test]
fn a_log_that_becomes_shorter_is_an_error() {
    struct Shrinking(Vec<u8>);
    impl Source for Shrinking {
        fn len(&self) -> io::Result<u64> {
            Ok(self.0.len() as u64 + 7)
        }
        fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
            self.0.read_at(offset, buf)
        }
    }
    let Err(ReadError::Io(error)) = replay(&Shrinking(Log::new().bytes), &(), OnDamage::Refuse)
    else {
        panic!();
    };
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
}

/// Lines of each length about the size of the window, with both line ends.
#[test]
fn lines_end_anywhere_in_the_window() {
    let empty = Log::new().user("").bytes.len() - Log::new().bytes.len();
    for bytes in WINDOW - 60..WINDOW + 30 {
        let text = "x".repeat(bytes - empty);
        let mut log = Log::new();
        log.user(&text).user("a").user(&text).user("b");
        let crlf = String::from_utf8(log.bytes.clone()).unwrap().replace('\n', "\r\n").into_bytes();
        for log in [log.bytes, crlf] {
            let replay = replay(&log, &(), OnDamage::Refuse).unwrap();
            let lengths: Vec<usize> =
                replay.items.iter().map(|it| crate::log::text(&it.item).len()).collect();
            assert_eq!(lengths, [text.len(), 1, text.len(), 1], "{bytes}");
        }
    }
}
