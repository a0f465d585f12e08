//! Sealed lines: what is written is read, and nothing else is.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use longhaul_rollout::{Error, Record, RecordKind, Sealed};
use serde_json::value::RawValue;

fn record(payload: &str) -> Record {
    let payload = RawValue::from_string(payload.into()).unwrap();
    Record::new("2026-11-28T10:00:00Z".parse().unwrap(), RecordKind::ResponseItem, payload)
}

fn seal(record: &Record, ordinal: u64, epoch: u64) -> String {
    let mut line = Vec::new();
    record.seal(ordinal, epoch, &mut line);
    String::from_utf8(line).unwrap()
}

const LINE: &str = concat!(
    r#"{"timestamp":"2026-11-28T10:00:00.000Z","ordinal":7,"epoch":2,"at":3,"blobs":[5],"#,
    r#""type":"response_item","payload":{"a":"blob:00"},"crc":"956d7605"}"#,
    "\n"
);

#[test]
fn a_sealed_line_is_this() {
    let record = record(r#"{"a":"blob:00"}"#).with_at(3).with_blobs(&[5]);
    assert_eq!(seal(&record, 7, 2), LINE);
    assert_eq!((record.at(), record.blobs()), (Some(3), vec![5]));
    let sealed = Sealed { record, ordinal: 7, epoch: 2 };
    for end in ["\n", "\r\n", "\r", ""] {
        let line = LINE.replace('\n', end);
        assert_eq!(Record::open(line.as_bytes()), Ok(sealed.clone()), "{end:?}");
    }
}

#[test]
fn a_field_is_set_once() {
    let record = record("0").with_at(3).with_blobs(&[]).with_at(4);
    assert_eq!((record.at(), record.blobs()), (Some(4), vec![]));
    assert_eq!(record.extra().count(), 2);
}

#[test]
fn places_of_another_log_are_left_out() {
    let line =
        r#"{"timestamp":"2026-11-28T10:00:00Z","ordinal":9,"x":1,"type":"a","payload":0,"crc":1}"#;
    let sealed = seal(&Record::decode(line.as_bytes()).unwrap(), 0, 1);
    let start =
        r#"{"timestamp":"2026-11-28T10:00:00.000Z","ordinal":0,"epoch":1,"x":1,"type":"a","#;
    assert!(sealed.starts_with(start), "{sealed}");
    let Sealed { record, ordinal: 0, epoch: 1 } = Record::open(sealed.as_bytes()).unwrap() else {
        panic!("{sealed}");
    };
    assert_eq!(record.extra().map(|(name, _)| name).collect::<Vec<_>>(), ["x"]);
}

#[test]
fn a_bit_that_flips_is_found() {
    let line = LINE.trim_end();
    for (byte, bit) in (0..line.len()).flat_map(|byte| (0..8).map(move |bit| (byte, bit))) {
        let mut flipped = line.as_bytes().to_vec();
        flipped[byte] ^= 1 << bit;
        let read = Record::open(&flipped);
        let is_found = matches!(read, Err(Error::BadChecksum { .. } | Error::NotSealed { .. }));
        assert!(is_found, "bit {bit} of byte {byte}: {read:?}");
    }
}

#[test]
fn a_cut_is_found() {
    let line = LINE.trim_end();
    for cut in 0..line.len() {
        assert!(Record::open(&line.as_bytes()[..cut]).is_err(), "at {cut}");
        assert!(cut == 0 || Record::open(&line.as_bytes()[cut..]).is_err(), "from {cut}");
    }
}

#[test]
fn a_writers_mistake_has_a_name() {
    let sealed_by_hand = |fields: &str| {
        let crc = crc32fast::hash(fields.as_bytes());
        Record::open(format!(r#"{fields},"crc":"{crc:08x}"}}"#).as_bytes())
    };
    let end = r#""type":"a","payload":0"#;
    let start = r#"{"timestamp":"2026-11-28T10:00:00Z","#;
    let both = format!(r#"{start}"ordinal":1,"epoch":-1,{end}"#);
    let bad = Error::BadNumber { field: "epoch", excerpt: "-1".into() };
    assert_eq!(sealed_by_hand(&both), Err(bad));
    let missing = sealed_by_hand(&format!(r#"{start}"epoch":1,{end}"#));
    assert!(matches!(missing, Err(Error::MissingField { field: "ordinal", .. })));
    let twice = sealed_by_hand(&format!(r#"{start}"ordinal":1,"ordinal":1,"epoch":1,{end}"#));
    assert!(matches!(twice, Err(Error::RepeatedField { field: "ordinal", .. })));
}
