//! Copies that are taken while a log is written, and logs of other versions.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use longhaul_rollout::{
    LogRef, OnDamage, ReadError, Record, RecordKind, SessionMeta, Store, StoreError,
};
use longhaul_testkit::disk::{Fault, Operation};
use serde_json::value::to_raw_value;

use crate::support::*;

/// Copies what is in a folder: the logs before the blobs, since a blob is there before its record.
fn copy(from: &Path, to: &Path) {
    for part in ["sessions", "blobs"] {
        let mut open = vec![from.join(part)];
        while let Some(folder) = open.pop() {
            let target = to.join(folder.strip_prefix(from).unwrap());
            let Ok(entries) = fs::read_dir(&folder) else { continue };
            fs::create_dir_all(&target).unwrap();
            for entry in entries.map(Result::unwrap) {
                if entry.path().is_dir() {
                    open.push(entry.path());
                } else {
                    fs::copy(entry.path(), target.join(entry.file_name())).unwrap();
                }
            }
        }
    }
}

/// Before each step of its disk, in the middle of each write too.
#[tokio::test]
async fn f113_a_copy_taken_at_any_step_opens_to_what_was_acknowledged_or_later() {
    let folder = Folder::new();
    let acknowledged = Arc::new(AtomicUsize::new(0));
    let copies = Arc::new(Mutex::new(Vec::new()));
    let (home, count, taken) = (folder.path().to_owned(), acknowledged.clone(), copies.clone());
    let (store, _) = folder.faulty(move |step| {
        let target = Folder::new();
        copy(&home, target.path());
        taken.lock().unwrap().push((count.load(Ordering::Relaxed), target));
        match step.operation {
            // Written in two parts, or three.
            Operation::Write if step.bytes > 100 => {
                Fault::Short(usize::try_from(step.bytes / 2).unwrap())
            }
            _ => Fault::None,
        }
    });
    let texts: Vec<String> =
        (0..12).map(|n| if n % 5 == 3 { "x".repeat(70_000 + n) } else { n.to_string() }).collect();
    let (mut writer, _) = start(&store).await;
    let mut expected = Vec::new();
    for pair in texts.chunks(2) {
        writer.append(pair.iter().map(|text| item(text)).collect()).await.unwrap();
        expected.extend(pair.iter().map(|text| item(text).payload.get().to_owned()));
        acknowledged.store(expected.len(), Ordering::Relaxed);
    }
    writer.close().await.unwrap();
    let (mut torn, mut empty) = (0, 0);
    let copies = std::mem::take(&mut *copies.lock().unwrap());
    for (acknowledged, copy) in copies {
        let mut opened = match copy.store().open(&first(), OnDamage::Refuse).await {
            Err(StoreError::NotFound { .. }) if acknowledged == 0 => {
                empty += 1;
                continue;
            }
            opened => opened.unwrap(),
        };
        let items: Vec<_> =
            opened.replay.items.iter().map(|it| it.item.json().to_owned()).collect();
        assert!(items.len() >= acknowledged && expected.starts_with(&items));
        torn += usize::from(opened.set_aside.is_some());
        opened.writer.append(vec![item("new")]).await.unwrap();
    }
    tell(&format!("{torn} copies were torn, in {empty} the log was not there yet"));
    assert!(torn >= 6 && empty > 0);
}

fn other(kind: &str, extra: &str) -> Record {
    let line = format!(
        r#"{{"timestamp":"2026-11-28T10:00:00.000Z",{extra}"type":"{kind}","payload":{{"later": [1e400, "\\ud800"]}}}}"#
    );
    Record::decode(line.as_bytes()).unwrap()
}

/// Types and fields of later versions are kept as they are: by who opens and appends, and by a salvage.
#[tokio::test]
async fn f091_what_is_not_known_is_kept_to_the_byte() {
    let folder = Folder::new();
    let (mut writer, path) = start(&folder.store()).await;
    let field = r#""shard":{"of": [1,2]},"at_last":1.50,"#;
    let unknown = [other("hologram", ""), other("hologram", field), other("event_msg2", field)];
    let mut item_with = Record::decode(
        format!(
            r#"{{"timestamp":"2026-11-28T10:00:00.000Z",{field}"type":"response_item","payload":{}}}"#,
            item("a").payload
        )
        .as_bytes(),
    )
    .unwrap();
    item_with.kind = RecordKind::ResponseItem;
    writer
        .append([&unknown[..], &[item_with.clone(), item("lost"), item("b")]].concat())
        .await
        .unwrap();
    writer.close().await.unwrap();
    let before = fs::read(&path).unwrap();
    let opened = folder.store().open(&first(), OnDamage::Refuse).await.unwrap();
    assert_eq!(opened.replay.items.len(), 3);
    let mut writer = opened.writer;
    writer.append(vec![unknown[1].clone()]).await.unwrap();
    writer.close().await.unwrap();
    let kept = |path: &Path| {
        let records = records(path).into_iter().map(|it| it.record);
        records
            .filter(|it| it.extra().count() > 0 || it.kind.as_str().starts_with("hol"))
            .collect::<Vec<_>>()
    };
    let expected =
        [unknown[0].clone(), unknown[1].clone(), unknown[2].clone(), item_with, unknown[1].clone()];
    assert!(fs::read(&path).unwrap().starts_with(&before));
    assert_eq!(kept(&path), expected);

    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.windows(6).position(|it| it == b"\"lost\"").unwrap();
    bytes[at + 1] ^= 1;
    fs::write(&path, bytes).unwrap();
    let opened = folder.store().open(&first(), OnDamage::Salvage).await.unwrap();
    let salvaged = opened.writer.path().unwrap().to_owned();
    assert_eq!((opened.replay.items.len(), salvaged != path), (2, true));
    assert_eq!(kept(&salvaged), expected);
}

#[tokio::test]
async fn f091_a_log_of_a_later_version_is_refused_and_left_alone() {
    let folder = Folder::new();
    let (writer, path) = start(&folder.store()).await;
    writer.close().await.unwrap();
    let mut meta = SessionMeta::new(session_id(0), session(0).timestamp);
    meta.format_version = Some(2);
    let mut log = Vec::new();
    let first_record =
        Record::new(session(0).timestamp, RecordKind::SessionMeta, to_raw_value(&meta).unwrap());
    first_record.seal(0, 1, &mut log);
    other("hologram", "").seal(1, 1, &mut log);
    log.extend(b"{\"torn");
    fs::write(&path, &log).unwrap();
    let before = folder.files();
    for on_damage in [OnDamage::Refuse, OnDamage::Salvage] {
        for which in [first(), LogRef::Path(path.clone())] {
            let read = folder.store().read(&which, on_damage.into()).await.unwrap_err();
            let open = folder.store().open(&which, on_damage).await.unwrap_err();
            for error in [read, open] {
                let StoreError::Unreadable { source, .. } = error else { panic!("{error}") };
                assert!(matches!(source, ReadError::NewerFormat { found: 2, known: 1 }));
            }
        }
    }
    assert_eq!(folder.files(), before);
    // Its head can be read: it is listed.
    let page = folder.store().list(&longhaul_rollout::Query::default()).await.unwrap();
    assert_eq!(page.sessions.len(), 1);
}
