//! The checker of logs behind a crash: a sound log passes, and each planted fault is found.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use longhaul_rollout::{Record, RecordKind, blob_digest};
use longhaul_testkit::check::log::{Ack, Evidence, Note, check};
use serde_json::value::to_raw_value;
use serde_json::{Value, json};

const SESSION: &str = "s";
const LONG: &str = "a text that lies beside the log";

fn message(role: &str, text: &str) -> (&'static str, Value) {
    ("response_item", json!({"type": "message", "role": role, "content": [{"text": text}]}))
}

fn call(call_id: &str, tool: &str) -> (&'static str, Value) {
    let payload = json!({"type": "function_call", "call_id": call_id, "name": tool});
    ("response_item", payload)
}

fn output(call_id: &str, text: &str) -> (&'static str, Value) {
    let payload = json!({"type": "function_call_output", "call_id": call_id, "output": text});
    ("response_item", payload)
}

fn state(state: &str) -> (&'static str, Value) {
    ("call", json!({"turn_id": "t", "state": state, "calls": 1, "position": 0}))
}

/// Seals records from an ordinal on.
fn seal(records: &[(&str, Value)], ordinal: u64, epoch: u64) -> Vec<u8> {
    let mut log = Vec::new();
    for ((kind, payload), ordinal) in records.iter().zip(ordinal..) {
        let kind = match *kind {
            "response_item" => RecordKind::ResponseItem,
            "call" => RecordKind::Call,
            "event_msg" => RecordKind::EventMsg,
            "compacted" => RecordKind::Compacted,
            other => panic!("{other}"),
        };
        let blob = format!("\"blob:{}\"", blob_digest(LONG.as_bytes()));
        let payload = to_raw_value(payload).unwrap();
        let places: Vec<_> = payload.get().match_indices(&blob).map(|(at, _)| at).collect();
        let record = Record::new(jiff::Timestamp::UNIX_EPOCH, kind, payload);
        let record = if places.is_empty() { record } else { record.with_blobs(&places) };
        record.seal(ordinal, epoch, &mut log);
    }
    log
}

/// What the first process recorded: an input, a call that is done, one that it was cut off in.
fn first() -> Vec<(&'static str, Value)> {
    vec![
        message("user", "one"),
        call("c1", "change"),
        state("response"),
        state("started"),
        output("c1", &format!("blob:{}", blob_digest(LONG.as_bytes()))),
        state("answered"),
        message("assistant", "done"),
        ("event_msg", json!({"type": "task_complete", "turn_id": "t1"})),
        ("compacted", json!({})),
        message("user", "two"),
        call("c2", "change"),
        state("response"),
        state("started"),
    ]
}

fn second() -> Vec<(&'static str, Value)> {
    vec![
        output("c2", "aborted: had started, effect unknown"),
        state("answered"),
        message("assistant", "sorry"),
        message("user", "three"),
    ]
}

fn acked(ack: Ack) -> Note {
    Note::Acked { session: SESSION.into(), ack }
}

fn submitted(text: &str) -> Note {
    Note::Submitted { session: SESSION.into(), text: text.into() }
}

fn start(call_id: &str, nonce: u64, durable: u64) -> Note {
    let (session, call_id, tool) = (SESSION.into(), call_id.into(), "change".into());
    Note::Start { session, call_id, tool, nonce, durable }
}

fn end(call_id: &str, nonce: u64, durable: u64) -> Note {
    Note::End { session: SESSION.into(), call_id: call_id.into(), nonce, durable }
}

fn request(outputs: &[&str], durable: u64) -> Note {
    let outputs = outputs.iter().map(ToString::to_string).collect();
    Note::Request { session: SESSION.into(), outputs, durable }
}

fn recovered(items: Vec<Value>) -> Note {
    Note::Recovered { session: SESSION.into(), items, also: Value::Null }
}

fn items(records: &[(&str, Value)]) -> Vec<Value> {
    let items = records.iter().filter(|(kind, _)| *kind == "response_item");
    items.map(|(_, item)| item.clone()).collect()
}

/// How long the log is behind so many records of the first process.
fn length(records: usize) -> u64 {
    seal(&first()[..records], 0, 1).len() as u64
}

fn sound() -> Evidence {
    let mut evidence = Evidence { session: SESSION.into(), ..Evidence::default() };
    evidence.log = seal(&first(), 0, 1);
    evidence.crashed = [&evidence.log[..], b"{\"torn"].concat();
    evidence.log.extend(seal(&second(), first().len() as u64, 2));
    evidence.blobs.insert(blob_digest(LONG.as_bytes()), LONG.into());
    let at_rest = items(&first()[..8]);
    let parent = &evidence.log[..usize::try_from(length(9)).unwrap()];
    evidence.notes = vec![
        Note::Run,
        submitted("one"),
        request(&[], length(1)),
        acked(Ack::Message { text: "one".into() }),
        start("c1", 1, length(4)),
        end("c1", 1, length(4)),
        request(&["c1"], length(6)),
        acked(Ack::Output { call_id: "c1".into(), text: LONG.into() }),
        acked(Ack::Ended { turn_id: "t1".into() }),
        Note::Rests { session: SESSION.into(), items: at_rest, durable: length(8) },
        acked(Ack::Compacted),
        Note::Rests { session: SESSION.into(), items: vec![json!("bridge")], durable: length(9) },
        Note::Forked {
            parent: SESSION.into(),
            parent_bytes: length(9),
            parent_digest: blob_digest(parent),
            session: "other".into(),
            items: Vec::new(),
        },
        submitted("two"),
        start("c2", 2, length(13)),
        submitted("lost"),
        Note::Run,
        recovered(vec![json!("bridge"), json!("two")]),
        recovered(vec![json!("bridge"), json!("two")]),
        request(&["c2"], evidence.log.len() as u64),
        submitted("three"),
    ];
    evidence
}

#[test]
fn a_sound_log_passes() {
    let summary = check(&sound()).unwrap();
    assert_eq!((summary.records, summary.acks), (17, 4));
    assert_eq!((summary.starts, summary.unknown), (2, 1));
}

/// The log at the end is made of other records.
fn rewrite(evidence: &mut Evidence, change: impl FnOnce(&mut Vec<(&'static str, Value)>)) {
    let mut records = second();
    change(&mut records);
    let first = seal(&first(), 0, 1);
    let ordinal = 13;
    evidence.log = [first, seal(&records, ordinal, 2)].concat();
}

type Plant = fn(&mut Evidence);

const FAULTS: [(&str, &str, Plant); 28] = [
    ("a tool starts twice", "I3", |it| it.notes.push(start("c1", 3, length(4)))),
    ("a tool starts again in the same process, though it may behind a crash", "I3", |it| {
        it.may_run_again.insert("change".into());
        it.notes.insert(5, start("c1", 3, length(4)));
    }),
    ("a tool starts before that is durable", "I4", |it| it.notes[4] = start("c1", 1, length(3))),
    ("a tool starts that never was to", "I4", |it| it.notes.push(start("c3", 3, length(13)))),
    ("a tool ends that had not begun", "I4", |it| it.notes[5] = end("c1", 9, length(4))),
    ("a result is there before its end", "I4", |it| it.notes[5] = end("c1", 1, length(5))),
    ("a request says what is not durable", "I4", |it| it.notes[6] = request(&["c1"], length(4))),
    ("an unknown outcome is not told", "I5", |it| {
        rewrite(it, |records| drop(records.remove(0)));
    }),
    ("an unknown outcome is told twice", "I5", |it| {
        rewrite(it, |records| records.push(records[0].clone()));
    }),
    ("what had started is told as not started", "I5", |it| {
        rewrite(it, |records| records[0] = output("c2", "aborted: not started"));
    }),
    ("an unknown outcome is told as if known", "I5", |it| {
        rewrite(it, |records| records[0] = output("c2", "done"));
    }),
    ("the next request does not say it", "I5", |it| it.notes[19] = request(&[], length(13))),
    ("an acknowledged message is lost", "I13", |it| {
        it.notes.push(acked(Ack::Message { text: "gone".into() }));
    }),
    ("an acknowledged message is there twice", "I13", |it| {
        rewrite(it, |records| records.push(message("assistant", "done")));
        it.notes.push(acked(Ack::Message { text: "done".into() }));
    }),
    ("an acknowledged output has other bytes", "I13", |it| {
        it.notes[7] = acked(Ack::Output { call_id: "c1".into(), text: "other".into() });
    }),
    ("an acknowledged end is lost", "I13", |it| {
        it.notes.push(acked(Ack::Ended { turn_id: "t2".into() }));
    }),
    ("an acknowledged compaction is lost", "I13", |it| it.notes.push(acked(Ack::Compacted))),
    ("an input that was taken back may come again", "I13", |it| {
        it.notes.push(acked(Ack::Withdrawn { text: "gone".into() }));
    }),
    ("an acknowledged folder is lost", "I13", |it| {
        it.notes.push(acked(Ack::Moved { cwd: "/gone".into() }));
    }),
    ("an acknowledged grant is lost", "I13", |it| it.notes.push(acked(Ack::Granted))),
    ("something that nobody submitted", "I14", |it| {
        rewrite(it, |records| records.push(message("user", "who said that?")));
    }),
    ("a gap in what was submitted", "I14", |it| it.notes.insert(13, submitted("skipped"))),
    ("a torn tail at the end", "I15", |it| it.log.extend(b"{\"torn")),
    ("a line that was whole is another", "I15", |it| {
        let end = it.crashed.len();
        it.crashed[end - 10..end - 7].copy_from_slice(b"0\"}");
    }),
    ("an ordinal twice, and an epoch that goes back", "I16", |it| {
        it.log.extend(seal(&[message("assistant", "late")], 16, 1));
    }),
    ("the epoch is not raised", "I16", |it| {
        it.log = [seal(&first(), 0, 1), seal(&second(), 13, 1)].concat();
    }),
    ("opened twice, other things are there", "I17", |it| it.notes[18] = recovered(Vec::new())),
    ("a fork wrote to its parent", "I18", |it| {
        if let Note::Forked { parent_digest, .. } = &mut it.notes[12] {
            parent_digest.clear();
        }
    }),
];

#[test]
fn each_planted_fault_is_found_under_its_invariant() {
    for (name, invariant, plant) in FAULTS {
        let mut evidence = sound();
        plant(&mut evidence);
        let found = check(&evidence).err().unwrap_or_default();
        let is_found = found.iter().any(|violation| violation.invariant == invariant);
        assert!(is_found, "{name} ({invariant}): {found:?}");
    }
}

#[test]
fn epochs_and_ordinals_are_each_looked_at() {
    for (ordinal, epoch, expected) in [
        (16, 2, "I16: The ordinal 16 comes twice."),
        (17, 1, "I16: The epoch goes back at ordinal 17."),
        (18, 2, "I15: The ordinal 17 is missing."),
    ] {
        let mut evidence = sound();
        evidence.log.extend(seal(&[message("assistant", "late")], ordinal, epoch));
        let found: Vec<_> = check(&evidence).unwrap_err().iter().map(ToString::to_string).collect();
        assert_eq!(found, [expected]);
    }
}

#[test]
fn what_was_before_the_crash_is_found_again() {
    let mut evidence = sound();
    evidence.notes[17] = recovered(vec![json!("two")]);
    evidence.notes[18] = evidence.notes[17].clone();
    let found = check(&evidence).unwrap_err();
    assert_eq!(
        found[0].to_string(),
        "I17: The session that was opened again is not the one that was."
    );
    // Behind an edit nobody can tell from what was before.
    evidence.notes.remove(11);
    check(&evidence).unwrap();
}

#[test]
fn a_fork_has_what_stood_before_its_cut() {
    let mut evidence = Evidence { session: "fork".into(), ..Evidence::default() };
    evidence.log = seal(&[message("user", "a"), message("user", "b")], 0, 1);
    let inherited = items(&[message("user", "a")]);
    let forked = |items| Note::Forked {
        parent: SESSION.into(),
        parent_bytes: 0,
        parent_digest: String::new(),
        session: "fork".into(),
        items,
    };
    let b = Note::Submitted { session: "fork".into(), text: "b".into() };
    evidence.notes = vec![Note::Run, forked(inherited), b];
    check(&evidence).unwrap();
    evidence.notes[1] = forked(items(&[message("user", "c")]));
    let found = check(&evidence).unwrap_err();
    assert_eq!(found[0].to_string(), "I18: A fork does not have what stood before its cut.");
}

#[test]
fn a_blob_that_is_missing_or_other_is_found() {
    for spoil in [
        |it: &mut Evidence| it.blobs.clear(),
        |it: &mut Evidence| {
            it.blobs.values_mut().for_each(|bytes| bytes.push(b'!'));
        },
    ] {
        let mut evidence = sound();
        spoil(&mut evidence);
        let found = check(&evidence).unwrap_err();
        assert!(found.iter().any(|it| it.to_string() == "I15: The record 4 lacks a blob."));
    }
}
