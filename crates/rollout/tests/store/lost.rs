//! What of a log is lost with a blob or a line, and what a salvage makes of the records that count it.

use std::fs;

use longhaul_rollout::{OnDamage, Record, RecordKind, StoreError};

use crate::recovery::{damage, log, messages, open};
use crate::support::*;

#[tokio::test]
async fn a_blob_that_is_missing_or_other_is_damage_of_its_record() {
    for other in [None, Some("other")] {
        let folder = Folder::new();
        log(&folder, &["0", &"x".repeat(70_000), "2"]).await;
        let blob = folder.path().join(&folder.names()[0]);
        match other {
            Some(bytes) => fs::write(blob, bytes).unwrap(),
            None => fs::remove_file(blob).unwrap(),
        }
        let error = open(&folder, OnDamage::Refuse).await.unwrap_err();
        assert!(
            matches!(&error, StoreError::Damaged { damage, .. } if damage.line == 3),
            "{error}"
        );
        let opened = open(&folder, OnDamage::Salvage).await.unwrap();
        assert_eq!(messages(&opened), ["0", "2"]);
    }
}

#[tokio::test]
async fn an_input_whose_blob_is_lost_goes_with_its_item() {
    let folder = Folder::new();
    log(&folder, &["0"]).await;
    let raw = |json: String| serde_json::value::RawValue::from_string(json).unwrap();
    let now = session(0).timestamp;
    let long = item(&"x".repeat(70_000));
    let accepted = format!(r#"{{"id":"in","state":"accepted","item":{}}}"#, long.payload.get());
    let accepted = Record::new(now, RecordKind::Input, raw(accepted));
    let taken = Record::new(now, RecordKind::ResponseItem, raw("{}".into())).with_input("in");
    let mut opened = open(&folder, OnDamage::Refuse).await.unwrap();
    opened.writer.append(vec![accepted, item("1"), taken, item("2")]).await.unwrap();
    opened.writer.close().await.unwrap();
    fs::remove_file(folder.path().join(&folder.names()[0])).unwrap();
    for on_damage in [OnDamage::Salvage, OnDamage::Refuse] {
        let opened = open(&folder, on_damage).await.unwrap();
        assert_eq!(messages(&opened), ["0", "1", "2"], "{on_damage:?}");
    }
}

/// `replaced` items go, and the item `n` of them stays.
fn compacted(replaced: usize, n: usize) -> Record {
    let json = format!(
        r#"{{"message":"","replaced":{replaced},"parts":[{{"keep":[{n},{}]}}],"report":{{}},"told":null}}"#,
        n + 1
    );
    let payload = serde_json::value::RawValue::from_string(json).unwrap();
    Record::new(session(0).timestamp, RecordKind::Compacted, payload)
}

#[tokio::test]
async fn places_that_later_records_name_are_those_of_before_the_salvage() {
    let folder = Folder::new();
    let path = log(&folder, &["0", "1", "2"]).await;
    let mut opened = open(&folder, OnDamage::Refuse).await.unwrap();
    opened.writer.append(vec![compacted(3, 2), item("3"), item("4")]).await.unwrap();
    opened.writer.close().await.unwrap();
    damage(&path, "0");
    damage(&path, "3");
    let mut opened = open(&folder, OnDamage::Salvage).await.unwrap();
    assert_eq!(messages(&opened), ["2", "4"]);
    assert_eq!(opened.replay.damage.len(), 2);
    opened.writer.append(vec![compacted(2, 1), item("5")]).await.unwrap();
    opened.writer.close().await.unwrap();
    assert_eq!(messages(&open(&folder, OnDamage::Refuse).await.unwrap()), ["4", "5"]);
}

/// All items go; in their place come a short one, two long ones that are in blobs, and the last of them.
fn replaced(kind: RecordKind, count: usize, long: &str) -> Record {
    let new = |text: &str| format!(r#"{{"new":{}}}"#, item(text).payload.get());
    let json = format!(
        r#"{{"replaced":{count},"parts":[{},{},{},{{"keep":[{},{count}]}}],"told":null,"reason":"x"}}"#,
        new("a"),
        new(long),
        new(&behind()),
        count - 1,
    );
    let payload = serde_json::value::RawValue::from_string(json).unwrap();
    Record::new(session(0).timestamp, kind, payload)
}

/// The second long one, whose blob stays.
fn behind() -> String {
    "b".repeat(66_000)
}

#[tokio::test]
async fn of_a_replacement_an_item_that_is_lost_goes_and_the_others_stay() {
    for kind in [RecordKind::Compacted, RecordKind::Edited] {
        for lost in ["x", "y"] {
            let folder = Folder::new();
            let (x, y, b) = ("x".repeat(70_000), "y".repeat(80_000), behind());
            log(&folder, &["0", "1"]).await;
            let mut opened = open(&folder, OnDamage::Refuse).await.unwrap();
            let second = replaced(kind.clone(), 4, &y);
            let records = vec![replaced(kind.clone(), 2, &x), second, item("2")];
            opened.writer.append(records).await.unwrap();
            opened.writer.close().await.unwrap();
            // The first is no longer active, so that nobody misses it.
            let bytes = if lost == "x" { x.len() } else { y.len() };
            let files = folder
                .files()
                .into_iter()
                .filter(|(name, it)| name.starts_with("blobs") && it.len() == bytes);
            for (name, _) in files {
                fs::remove_file(folder.path().join(name)).unwrap();
            }
            let expected = if lost == "x" {
                vec!["a", &y, &b, "1", "2"]
            } else {
                let error = open(&folder, OnDamage::Refuse).await.unwrap_err();
                assert!(
                    matches!(&error, StoreError::Damaged { damage, .. } if damage.line == 5),
                    "{error}"
                );
                vec!["a", &b, "1", "2"]
            };
            let opened = open(&folder, OnDamage::Salvage).await.unwrap();
            assert_eq!(messages(&opened), expected, "{kind:?}");
            assert_eq!(opened.salvaged_from.is_some(), lost == "y");
            drop(opened);
            let mut opened = open(&folder, OnDamage::Refuse).await.unwrap();
            assert_eq!(messages(&opened), expected);
            // Places are counted without it from here on.
            let count = expected.len();
            opened.writer.append(vec![compacted(count, count - 2)]).await.unwrap();
            opened.writer.close().await.unwrap();
            assert_eq!(messages(&open(&folder, OnDamage::Refuse).await.unwrap()), ["1"]);
        }
    }
}

/// The place where it is, and not that of the log.
#[tokio::test]
async fn a_blob_that_cannot_be_read_is_named() {
    let folder = Folder::new();
    log(&folder, &["0", &"x".repeat(70_000)]).await;
    let blob = folder.path().join(&folder.names()[0]);
    fs::remove_file(&blob).unwrap();
    fs::create_dir(&blob).unwrap();
    for error in [
        open(&folder, OnDamage::Refuse).await.unwrap_err(),
        open(&folder, OnDamage::Salvage).await.unwrap_err(),
    ] {
        let said = error.to_string();
        assert!(matches!(error, StoreError::Io { operation: "reading the blob", .. }), "{said}");
        let begin = format!("reading the blob {} failed: ", blob.display());
        assert!(said.starts_with(&begin), "{said}");
        assert!(said.ends_with("are there and sound, and try again"), "{said}");
    }
}
