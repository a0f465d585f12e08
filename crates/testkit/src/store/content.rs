//! What is appended comes back, in its order, byte for byte.

use longhaul_rollout::{
    LogRef, OnDamage, ReadError, Record, RecordKind, Replay, ReplayConfig, Store, StoreError,
};
use serde_json::value::RawValue;

use super::Subject;
use super::sample::{START, item, session, session_id};

/// The first session.
pub(super) fn first() -> LogRef {
    LogRef::Id(session_id(0))
}

pub(super) async fn read(store: &dyn Store) -> Replay {
    store.read(&first(), OnDamage::Refuse.into()).await.unwrap()
}

/// The JSON of the items that were replayed.
pub(super) fn items(replay: &Replay) -> Vec<&str> {
    replay.items.iter().map(|it| it.item.json()).collect()
}

/// The JSON of the items that were recorded.
pub(super) fn payloads(records: &[Record]) -> Vec<&str> {
    records.iter().map(|record| record.payload.get()).collect()
}

/// A session of these records, closed again.
pub(super) async fn store_all(store: &dyn Store, records: &[Record]) {
    let mut writer = store.create(vec![session(0)]).await.unwrap();
    for record in records {
        writer.append(vec![record.clone()]).await.unwrap();
    }
    writer.close().await.unwrap();
}

pub(super) async fn comes_back_byte_for_byte(subject: &impl Subject) {
    let long = "\\u00e9x\\n".repeat(150_000);
    let texts = [
        "plain",
        "",
        r"a NUL \u0000 and a lone surrogate \ud800 and half another \udfff",
        r#"quotes \" and \\\" and a line \n end \r\n and \/"#,
        "é, 漢字, \u{1f600}, \u{2028}, \u{7f}",
        "blob:0000000000000000000000000000000000000000000000000000000000000000",
        &long,
        &long,
        &"\\\\".repeat(100_000),
        &format!("data:image/png;base64,{}", "QUJD".repeat(300_000)),
    ];
    let records: Vec<_> = texts.into_iter().map(item).collect();
    let store = subject.store();
    store_all(&*store, &records).await;
    assert_eq!(items(&read(&*store).await), payloads(&records));
    let settings = r#"{ "model" : "m", "x":1.0 , "y":1e400, "x":"\u0000\ud800" }"#;
    let mut opened = store.open(&first(), OnDamage::Refuse).await.unwrap();
    let payload = RawValue::from_string(settings.into()).unwrap();
    let record = Record::new(START, RecordKind::Settings, payload);
    opened.writer.append(vec![record]).await.unwrap();
    opened.writer.close().await.unwrap();
    let again = subject.store().open(&first(), OnDamage::Refuse).await.unwrap();
    assert_eq!(items(&again.replay), payloads(&records));
    assert_eq!(again.replay.settings.unwrap().get(), settings);
}

/// Ten thousand levels, in an item and in a record of a type that nobody knows.
pub(super) async fn what_is_nested_deeply_comes_back(subject: &impl Subject) {
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let json = format!(r#"{{"type":"hologram","depth":{deep}}}"#);
    let record = |kind: RecordKind, json: &str| {
        Record::new(START, kind, RawValue::from_string(json.to_owned()).unwrap())
    };
    let records = [
        item("before"),
        record(RecordKind::ResponseItem, &json),
        record(RecordKind::Other("later".into()), &json),
        item("behind"),
    ];
    let store = subject.store();
    store_all(&*store, &records).await;
    let replay = read(&*store).await;
    let expected = [records[0].payload.get(), &*json, records[3].payload.get()];
    assert_eq!(items(&replay), expected);
}

pub(super) async fn many_records_in_one_append(subject: &impl Subject) {
    let records: Vec<_> = (0..2000).map(|n| item(&n.to_string())).collect();
    let store = subject.store();
    let mut writer = store.create(vec![session(0), item("-1")]).await.unwrap();
    writer.append(records.clone()).await.unwrap();
    writer.close().await.unwrap();
    let replay = read(&*store).await;
    assert_eq!(items(&replay)[1..], payloads(&records));
    assert_eq!((replay.next_ordinal, replay.epoch), (2002, 1));
}

pub(super) async fn ordinals_and_epochs_go_on(subject: &impl Subject) {
    store_all(&*subject.store(), &[item("0")]).await;
    for opening in 1..5 {
        let mut opened = subject.store().open(&first(), OnDamage::Refuse).await.unwrap();
        let (ordinal, epoch) = (opened.replay.next_ordinal, opened.replay.epoch);
        assert_eq!((ordinal, epoch), (opening + 1, opening));
        assert_eq!(
            (opened.writer.epoch(), opened.writer.session_id()),
            (epoch + 1, &*session_id(0))
        );
        assert_eq!((opened.set_aside, opened.salvaged_from), (None, None));
        assert_eq!(opened.writer.next_ordinal(), ordinal);
        opened.writer.append(vec![item(&opening.to_string())]).await.unwrap();
        assert_eq!(opened.writer.next_ordinal(), ordinal + 1);
        opened.writer.close().await.unwrap();
    }
    let expected: Vec<_> = (0..5).map(|n| item(&n.to_string())).collect();
    assert_eq!(items(&read(&*subject.store()).await), payloads(&expected));
}

pub(super) async fn no_records_are_no_append(subject: &impl Subject) {
    let store = subject.store();
    let mut writer = store.create(vec![session(0)]).await.unwrap();
    writer.append(Vec::new()).await.unwrap();
    writer.append(vec![item("0")]).await.unwrap();
    assert_eq!(read(&*store).await.next_ordinal, 2);
}

pub(super) async fn reads_as_far_as_it_is_asked_to(subject: &impl Subject) {
    let store = subject.store();
    let records: Vec<_> = (0..5).map(|n| item(&n.to_string())).collect();
    let mut writer = store.create(vec![session(0)]).await.unwrap();
    assert_eq!(writer.next_ordinal(), 1);
    writer.append(records.clone()).await.unwrap();
    assert_eq!(writer.next_ordinal(), 6);
    let mut config = ReplayConfig::default();
    for through in 0..6 {
        config.through = Some(through);
        let replay = store.read(&first(), config).await.unwrap();
        assert_eq!(replay.next_ordinal, through + 1);
        assert_eq!(items(&replay), payloads(&records)[..usize::try_from(through).unwrap()]);
    }
    config.through = Some(6);
    let error = store.read(&first(), config).await.unwrap_err();
    let missing = ReadError::NoSuchOrdinal { asked: 6, available: 6 }.to_string();
    let is_missing = |error: &StoreError| matches!(error, StoreError::Unreadable { source, .. } if source.to_string() == missing);
    assert!(is_missing(&error), "{error}");
}
