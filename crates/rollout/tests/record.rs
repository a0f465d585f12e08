//! One record and its line: round trips, tolerance, errors.

use jiff::Timestamp;
use longhaul_rollout::{Error, Record, RecordKind};
use proptest::prelude::*;
use serde_json::value::RawValue;
use serde_json::{Value, json};

const FIXTURES: [&str; 3] = [
    include_str!("fixtures/plain.jsonl"),
    include_str!("fixtures/tools.jsonl"),
    include_str!("fixtures/compacted.jsonl"),
];

fn encode(record: &Record) -> String {
    let mut log = Vec::new();
    record.encode(&mut log);
    String::from_utf8_lossy(&log).into_owned()
}

fn raw(json: &str) -> Box<RawValue> {
    RawValue::from_string(json.into()).unwrap_or_default()
}

#[test]
fn logs_of_codex_survive() {
    for line in FIXTURES.iter().flat_map(|log| log.split_inclusive('\n')) {
        let record = Record::decode(line.as_bytes()).unwrap();
        let (_, payload) = line.split_once(",\"payload\":").unwrap();
        assert!(payload.starts_with(record.payload.get()));

        let encoded = encode(&record);
        let json = |line: &str| serde_json::from_str::<Value>(line).unwrap();
        assert_eq!(json(&encoded), json(line));
        assert_eq!(encoded.len(), line.len());
        assert_eq!(Record::decode(encoded.as_bytes()), Ok(record));
    }
}

#[test]
fn types_have_names() {
    let names = [
        "session_meta",
        "session_opened",
        "turn_context",
        "settings",
        "surface",
        "response_item",
        "compacted",
        "compaction_undone",
        "edited",
        "event_msg",
        "call",
        "grant",
        "breaker",
        "input",
        "lost_item",
        "salvaged",
    ];
    for name in names {
        let kind = RecordKind::from(name.to_owned());
        assert_eq!(kind.as_str(), name);
        assert!(!matches!(kind, RecordKind::Other(_)));
    }
    assert_eq!(RecordKind::from("other".to_owned()), RecordKind::Other("other".into()));
}

#[test]
fn a_payload_with_line_breaks_becomes_one_line() {
    let payload = raw("{\r\n  \"a\\nb\": [1.0,\n 1e400],\n  \"a\\nb\": \"c \\r d\"\n}");
    let line = encode(&Record::new(Timestamp::UNIX_EPOCH, RecordKind::Compacted, payload));
    assert_eq!(
        line,
        r#"{"timestamp":"1970-01-01T00:00:00.000Z","type":"compacted","#.to_owned()
            + r#""payload":{  "a\nb": [1.0, 1e400],  "a\nb": "c \r d"}}"#
            + "\n"
    );
}

#[test]
fn reads_what_other_writers_write() {
    let line = b" {\"payload\": null ,\"z\":[\n],\"type\":\"a\\u002fb\",\"timestamp\":\"2026-11-22T10:30:47.0469+01:00\",\"\":0}\r\n";
    let record = Record::decode(line).unwrap();
    let written =
        r#"{"timestamp":"2026-11-22T09:30:47.046Z","z":[],"":0,"type":"a/b","payload":null}"#;
    assert_eq!(encode(&record), format!("{written}\n"));
}

#[test]
fn a_deeply_nested_payload_is_read() {
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    let record = Record::new(Timestamp::UNIX_EPOCH, RecordKind::EventMsg, raw("0"));
    let line = encode(&record).replace("\"payload\":0", &format!("\"payload\":{deep}"));
    assert_eq!(Record::decode(line.as_bytes()).map(|record| encode(&record)), Ok(line));
}

#[test]
fn errors_name_what_is_wrong() {
    let at = r#""timestamp":"2026-11-22T09:30:47Z""#;
    let excerpt = String::from;
    let in_line = |fields: &str| format!("{{{fields}}}");
    let missing = |field, fields: &str| Error::MissingField { field, excerpt: in_line(fields) };
    let table = [
        (String::new(), Error::NotJson { column: 0, excerpt: excerpt("") }),
        ("{\"a\" 1}".into(), Error::NotJson { column: 6, excerpt: excerpt("{\"a\" 1}") }),
        ("{}{}".into(), Error::NotJson { column: 3, excerpt: excerpt("{}{}") }),
        ("\0\0".into(), Error::NotJson { column: 1, excerpt: excerpt("\u{fffd}\u{fffd}") }),
        ("[{}]".into(), Error::NotAnObject { excerpt: excerpt("[{}]") }),
        ("\"\x7f\"".into(), Error::NotAnObject { excerpt: excerpt("\"\u{fffd}\"") }),
        (in_line(""), missing("timestamp", "")),
        (in_line(at), missing("type", at)),
        (
            in_line(&format!(r#"{at},"type":"x""#)),
            missing("payload", &format!(r#"{at},"type":"x""#)),
        ),
        (in_line(r#""timestamp":47"#), Error::BadTimestamp { excerpt: excerpt("47") }),
        (in_line(r#""timestamp":"today""#), Error::BadTimestamp { excerpt: excerpt("\"today\"") }),
        (in_line(&format!(r#"{at},"type":["x"]"#)), Error::BadType { excerpt: excerpt("[\"x\"]") }),
        (
            in_line(&format!("{at},{at}")),
            Error::RepeatedField { field: "timestamp", excerpt: in_line(&format!("{at},{at}")) },
        ),
    ];
    for (line, error) in table {
        assert_eq!(Record::decode(line.as_bytes()), Err(error), "{line}");
    }
    let invalid_utf8 = Record::decode(b"{\"a\":\"\xff\"}");
    assert!(matches!(invalid_utf8, Err(Error::NotJson { .. })));
}

#[test]
fn errors_quote_little_and_safely() {
    let line = format!("\"{}\u{1b}[2J", "é".repeat(10_000));
    let message = Record::decode(line.as_bytes()).unwrap_err().to_string();
    assert_eq!(message, format!("not JSON at column 20002: `\"{}`", "é".repeat(79)));
}

/// JSON of any shape, with white space between tokens now and then.
fn payload() -> impl Strategy<Value = Box<RawValue>> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    let value = leaf.prop_recursive(3, 20, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map(any::<String>(), inner, 0..4).prop_map(|map| json!(map)),
        ]
    });
    (value, any::<bool>()).prop_map(|(value, pretty)| {
        raw(&if pretty { format!("{value:#}") } else { value.to_string() })
    })
}

fn timestamp() -> impl Strategy<Value = Timestamp> {
    let range = Timestamp::MIN.as_millisecond()..=Timestamp::MAX.as_millisecond();
    range.prop_map(|ms| Timestamp::from_millisecond(ms).unwrap_or_default())
}

fn kind() -> impl Strategy<Value = RecordKind> {
    let known = prop::sample::select(vec!["session_meta", "response_item", "turn_context"]);
    prop_oneof![known.prop_map(String::from), any::<String>()].prop_map(RecordKind::from)
}

proptest! {
    #[test]
    fn decode_undoes_encode(timestamp in timestamp(), kind in kind(), payload in payload()) {
        let record = Record::new(timestamp, kind, payload);
        let line = encode(&record);
        prop_assert_eq!(line.find(['\n', '\r']), Some(line.len() - 1));
        let decoded = Record::decode(line.as_bytes());
        if record.payload.get().contains('\n') {
            let decoded = decoded.map_err(|e| TestCaseError::fail(e.to_string()))?;
            let value = |record: &Record| serde_json::from_str::<Value>(record.payload.get()).ok();
            prop_assert_eq!(value(&decoded), value(&record));
            prop_assert_eq!((decoded.timestamp, decoded.kind), (record.timestamp, record.kind));
        } else {
            prop_assert_eq!(decoded, Ok(record));
        }
    }

    #[test]
    fn encode_undoes_decode(
        timestamp in timestamp(),
        kind in kind(),
        payload in payload(),
        extra in prop::collection::vec(("[^\"\\\\\u{0}-\u{1f}]{0,9}!", payload()), 0..4),
    ) {
        let extra = extra.iter().map(|(name, value)| format!("{}:{value},", json!(name)));
        let extra = extra.collect::<Vec<_>>().concat().replace('\n', "");
        let plain = encode(&Record::new(timestamp, kind, payload));
        let line = plain.replacen(",\"type\":", &format!(",{extra}\"type\":"), 1);
        let decoded = Record::decode(line.as_bytes()).map_err(|e| TestCaseError::fail(e.to_string()))?;
        prop_assert_eq!(encode(&decoded), line);
    }

    #[test]
    fn any_bytes_are_a_record_or_an_error(line in prop::collection::vec(any::<u8>(), 0..99)) {
        if let Err(error) = Record::decode(&line) {
            let message = error.to_string();
            prop_assert!(message.chars().count() < 160 && !message.contains(char::is_control));
        }
    }
}
