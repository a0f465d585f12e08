//! How much memory a replay takes: what the conversation at its end takes, not what the log does.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use allocation_counter::measure;
use longhaul_history::Item;
use longhaul_rollout::{OnDamage, ReadError, Replay, Source, replay};
use serde_json::json;

use crate::log::{Log, new, outline, record};

const MB: usize = 1_000_000;

/// What a replay may take beside twice what is active.
const FIXED: u64 = 16 * MB as u64;

/// The most bytes that were held at once while `source` was replayed, and what came of it.
fn peak(source: &dyn Source) -> (u64, Result<Replay, ReadError>) {
    let mut read = None;
    let memory = measure(|| read = Some(replay(source, &(), OnDamage::Refuse)));
    (memory.bytes_max, read.unwrap())
}

/// A log on disk, so that its own bytes are not counted.
fn on_disk<T>(name: &str, bytes: &[u8], look: impl FnOnce(File) -> T) -> T {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, bytes).unwrap();
    let looked = look(File::open(&path).unwrap());
    fs::remove_file(path).unwrap();
    looked
}

/// So much was said, and compacted a megabyte at a time; `active` bytes in small items are left.
fn compacted(bytes: usize, active: usize) -> Log {
    let text = "x".repeat(1_000);
    let mut log = Log::new();
    for _ in 0..bytes / MB {
        (0..MB / 1_000).for_each(|_| {
            log.user(&text);
        });
        log.add("compacted", json!({"replaced": MB / 1_000, "parts": [new("y")], "told": null}));
        log.add("edited", json!({"replaced": 1, "parts": [], "reason": "removed"}));
    }
    (0..active / 1_000).for_each(|_| {
        log.user(&text);
    });
    log
}

fn active_bytes(replay: &Replay) -> u64 {
    replay.items.iter().map(|it| it.item.json().len() as u64).sum()
}

#[test]
fn memory_follows_what_is_active_and_not_the_log() {
    let mut peaks = Vec::new();
    for megabytes in [1, 10] {
        let log = compacted(megabytes * MB, MB / 2);
        let (peak, replay) = on_disk(&format!("active-{megabytes}"), &log.bytes, |it| peak(&it));
        let active = active_bytes(&replay.unwrap());
        println!("{megabytes} MB of log, {active} bytes active: at most {peak} bytes held");
        assert!(active > MB as u64 / 2 && peak < 2 * active + FIXED, "{megabytes}: {peak}");
        peaks.push(peak);
    }
    // Ten times the log takes no more, but for what varies with its last window.
    assert!(peaks[1] < peaks[0] + MB as u64 / 2, "{peaks:?}");
}

/// One long item, also one of which most is in a blob.
#[test]
fn a_long_item_is_held_twice_at_most() {
    let text = "x".repeat(20 * MB);
    let mut log = Log::new();
    log.user(&text);
    let (peak, replay) = on_disk("long", &log.bytes, |it| peak(&it));
    let active = active_bytes(&replay.unwrap());
    assert!(active > 20 * MB as u64 && peak < 2 * active + FIXED / 16, "{peak}");

    let digest = longhaul_rollout::blob_digest(text.as_bytes());
    let item = Item::user(format!("blob:{digest}"));
    let place = item.json().find("\"blob:").unwrap();
    let mut log = Log::new();
    log.seal(&record("response_item", item.json()).with_blobs(&[place]));
    let blobs = Once(text.into_bytes());
    let mut read = None;
    let memory = measure(|| read = Some(replay_with(&log, &blobs)));
    let active = active_bytes(&read.unwrap());
    let peak = memory.bytes_max;
    assert!(active > 20 * MB as u64 && peak < 2 * active + FIXED / 16, "{peak}");
}

/// Whatever a later version writes, and what a later record of its kind replaces, is passed by.
#[test]
fn f091_what_is_not_looked_at_is_not_held_however_long() {
    let mut log = Log::new();
    log.user("a");
    for kind in ["a_later_kind", "settings", "surface", "session_opened"] {
        log.add(kind, serde_json::json!({"model": "x".repeat(4 * MB)}));
    }
    log.add("settings", serde_json::json!({"model": "m"}));
    log.add("surface", serde_json::json!({}));
    let (peak, replay) = on_disk("passed-by", &log.bytes, |it| peak(&it));
    assert_eq!(replay.unwrap().items.len(), 1);
    assert!(peak < FIXED / 16, "{peak}");
}

fn replay_with(log: &Log, blobs: &Once) -> Replay {
    replay(&log.bytes, blobs, OnDamage::Refuse).unwrap()
}

/// One blob under any name.
struct Once(Vec<u8>);

impl longhaul_rollout::Blobs for Once {
    fn get(&self, _: &str) -> io::Result<Option<Vec<u8>>> {
        Ok(Some(self.0.clone()))
    }

    fn byte_count(&self, _: &str) -> io::Result<Option<u64>> {
        Ok(Some(self.0.len() as u64))
    }
}

/// Zeros without end, as in a file with a hole.
struct Hole<'a> {
    before: &'a [u8],
    bytes: u64,
}

impl Source for Hole<'_> {
    fn len(&self) -> io::Result<u64> {
        Ok(self.bytes)
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let count = self.before.read_at(offset, buf)?;
        if count > 0 {
            return Ok(count);
        }
        buf.fill(0);
        Ok(buf.len().min(usize::try_from(self.bytes - offset).unwrap()))
    }
}

#[test]
fn f090_a_hole_of_any_length_is_not_held_whoever_wrote_the_log() {
    let ours = Log::new().bytes;
    let mut foreign = Vec::new();
    record("session_meta", r#"{"id":"x"}"#).encode(&mut foreign);
    for (before, is_log) in [(ours, true), (foreign, true), (Vec::new(), false)] {
        let hole = Hole { before: &before, bytes: 100 * MB as u64 };
        let (peak, read) = peak(&hole);
        assert!(peak < MB as u64, "{peak}");
        let torn = match read {
            Ok(replay) => replay.torn.filter(|_| is_log),
            Err(ReadError::NoMeta { torn }) => torn.filter(|_| !is_log),
            Err(error) => panic!("{error}"),
        };
        let torn = torn.unwrap();
        assert_eq!(torn.offset + torn.len, hole.bytes);
    }
}

/// The same with a newline behind it: then it is a line.
#[test]
fn f090_a_line_that_is_no_record_is_not_held_however_long() {
    for byte in [b'\0', b' ', b'x', b'['] {
        let mut foreign = Vec::new();
        record("session_meta", r#"{"id":"x"}"#).encode(&mut foreign);
        let mut log = Log::new();
        for bytes in [&mut foreign, &mut log.bytes] {
            let start = bytes.len();
            bytes.resize(start + 10 * MB, byte);
            bytes.push(b'\n');
        }
        record("response_item", Item::user("a").json()).encode(&mut foreign);
        log.user("a");
        for (bytes, left) in [(foreign, "^a "), (log.bytes, "a ")] {
            let mut read = None;
            let memory = measure(|| read = replay(&bytes, &(), OnDamage::Salvage).ok());
            assert!(memory.bytes_max < MB as u64, "{byte}: {}", memory.bytes_max);
            let read = read.unwrap();
            assert_eq!((outline(&read).as_str(), read.damage[0].line), (left, 2), "{byte}");
        }
    }
}

#[test]
fn f090_a_line_of_100_mb_is_checked_in_passing() {
    let mut log = Log::new();
    log.user(&"x".repeat(100 * MB)).user("a");
    log.add("compacted", json!({"replaced": 1, "parts": [new("x")], "told": null}));
    on_disk("line", &log.bytes, |file| {
        let (peak, replay) = peak(&file);
        assert_eq!(outline(&replay.unwrap()), "x a ");
        assert!(peak < MB as u64, "{peak}");
    });
    let at = log.bytes.len() / 2;
    log.bytes[at] ^= 1;
    on_disk("flipped", &log.bytes, |file| {
        let (peak, read) = peak(&file);
        assert!(matches!(read, Err(ReadError::Damaged(damage)) if damage.line == 2));
        assert!(peak < MB as u64, "{peak}");
    });
}
