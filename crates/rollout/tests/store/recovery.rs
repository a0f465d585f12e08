//! Logs that are torn or damaged are made fit to go on, and nothing of them is thrown away.

use std::fs;
use std::path::{Path, PathBuf};

use longhaul_rollout::{Fsync, LogRef, OnDamage, Opened, Store, StoreError};
use longhaul_testkit::disk::{Fault, Operation};

use crate::support::*;

pub(crate) async fn open(folder: &Folder, on_damage: OnDamage) -> Result<Opened, StoreError> {
    folder.store().open(&first(), on_damage).await
}

pub(crate) fn messages(opened: &Opened) -> Vec<String> {
    opened.replay.items.iter().filter_map(|it| text(it.item.json())).collect()
}

pub(crate) async fn log(folder: &Folder, items: &[&str]) -> PathBuf {
    let (mut writer, path) = start(&folder.store()).await;
    writer.append(items.iter().copied().map(item).collect()).await.unwrap();
    writer.close().await.unwrap();
    path
}

fn add(path: &Path, bytes: &[u8]) {
    let mut log = fs::read(path).unwrap();
    log.extend_from_slice(bytes);
    fs::write(path, log).unwrap();
}

/// Changes one byte of the line of the message `text`.
pub(crate) fn damage(path: &Path, text: &str) {
    let quoted = format!("\"{text}\"");
    let mut log = fs::read(path).unwrap();
    let at = log.windows(quoted.len()).position(|it| it == quoted.as_bytes()).unwrap();
    log[at + 1] ^= 1;
    fs::write(path, log).unwrap();
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

const STEM: &str = "rollout-2026-11-22T10-00-00-01a20298-0571-7a40-bd9c-000000000000";

#[tokio::test]
async fn f086_a_file_cut_at_any_byte_of_its_last_records_goes_on() {
    let whole = Folder::new();
    let path = log(&whole, &["0", "1", "2", "3"]).await;
    let bytes = fs::read(&path).unwrap();
    let ends: Vec<_> = (0..bytes.len()).filter(|&at| bytes[at] == b'\n').map(|at| at + 1).collect();
    let folder = Folder::new();
    let path = log(&folder, &["0"]).await;
    for cut in ends[1]..=bytes.len() {
        fs::write(&path, &bytes[..cut]).unwrap();
        let kept = ends.iter().filter(|&&end| end <= cut).count();
        let torn = &bytes[ends[kept - 1]..cut];
        let store = folder.store().fsync(Fsync::Off);
        let mut opened = store.open(&first(), OnDamage::Refuse).await.unwrap();
        let expected: Vec<_> = (0..kept - 1).map(|n| n.to_string()).collect();
        assert_eq!(messages(&opened), expected);
        let aside = opened.set_aside.take();
        assert_eq!(aside.is_some(), !torn.is_empty());
        if let Some(aside) = aside {
            assert_eq!(fs::read(&aside).unwrap(), torn);
            fs::remove_file(aside).unwrap();
        }
        opened.writer.append(vec![item("new")]).await.unwrap();
        opened.writer.close().await.unwrap();
        assert_eq!(texts(&path), [expected, vec!["new".into()]].concat());
    }
    tell(&format!("cut at each of {} bytes", bytes.len() - ends[1] + 1));
}

#[tokio::test]
async fn torn_ends_are_all_kept_and_one_that_was_copied_before_is_not_copied_again() {
    let folder = Folder::new();
    let path = log(&folder, &["0"]).await;
    let mut aside = Vec::new();
    for torn in ["{\"a", "{\"b", "{\"b", "{\"a"] {
        add(&path, torn.as_bytes());
        let opened = open(&folder, OnDamage::Refuse).await.unwrap();
        aside.push(name(&opened.set_aside.unwrap()).replace(STEM, ""));
    }
    let names = [".jsonl.torn-2", ".jsonl.torn-2-2", ".jsonl.torn-2-2", ".jsonl.torn-2"];
    assert_eq!(aside, names);
    assert_eq!(folder.names().len(), 3);
}

#[tokio::test]
async fn a_damaged_log_is_refused_and_left_as_it_is() {
    let folder = Folder::new();
    let path = log(&folder, &["0", "1", "2"]).await;
    damage(&path, "1");
    add(&path, b"{\"torn");
    let before = folder.files();
    for _ in 0..2 {
        let error = open(&folder, OnDamage::Refuse).await.unwrap_err();
        let StoreError::Damaged { damage, .. } = &error else { panic!("{error}") };
        assert_eq!(damage.line, 3);
        assert!(error.to_string().contains("line 3, at byte"), "{error}");
        assert_eq!(folder.files(), before);
    }
}

#[tokio::test]
async fn a_salvaged_log_goes_on_in_a_new_file_and_so_for_ever() {
    let folder = Folder::new();
    let path = log(&folder, &["0", "1", &"x".repeat(70_000), "2"]).await;
    damage(&path, "1");
    add(&path, b"{\"torn");
    let before = fs::read(&path).unwrap();

    let mut opened = open(&folder, OnDamage::Salvage).await.unwrap();
    assert_eq!((opened.salvaged_from.as_deref(), opened.set_aside.take()), (Some(&*path), None));
    assert_eq!(opened.replay.torn.map(|torn| torn.len), Some(6), "it stays with the damaged log");
    assert_eq!(messages(&opened), ["0", &"x".repeat(70_000), "2"]);
    let next = opened.writer.path().unwrap().to_owned();
    assert_eq!(name(&next), format!("{STEM}.salvaged-2.jsonl"));
    opened.writer.append(vec![item("3")]).await.unwrap();
    // The whole family has one lock.
    for which in [first(), LogRef::Path(path.clone()), LogRef::Path(next.clone())] {
        let error = folder.store().open(&which, OnDamage::Salvage).await.unwrap_err();
        assert!(matches!(error, StoreError::Locked { .. }), "{error}");
    }
    opened.writer.close().await.unwrap();
    // The place of the lost item, and that it is given up, are two of them.
    assert_eq!(records(&next).len(), 7);
    assert_eq!(fs::read(&path).unwrap(), before);

    // By its id, or by the path that it had, the log that goes on is opened. It is sound.
    for which in [first(), LogRef::Path(path.clone()), LogRef::Path(next.clone())] {
        let opened = folder.store().open(&which, OnDamage::Refuse).await.unwrap();
        assert_eq!(opened.writer.path(), Some(&*next));
        assert_eq!((opened.salvaged_from, opened.replay.damage), (None, vec![]));
    }
    // The same log is read by each of them; the damaged one only from its bytes.
    for which in [first(), LogRef::Path(path.clone()), LogRef::Path(next.clone())] {
        let read = folder.store().read(&which, OnDamage::Refuse.into()).await.unwrap();
        assert_eq!((read.next_ordinal, read.damage), (7, vec![]));
    }
    let damaged = longhaul_rollout::replay(&before, &(), OnDamage::Refuse);
    assert!(matches!(damaged, Err(longhaul_rollout::ReadError::Damaged(_))));

    // Damaged once more, it goes on in a third.
    damage(&next, "3");
    let opened = open(&folder, OnDamage::Salvage).await.unwrap();
    assert_eq!(name(opened.writer.path().unwrap()), format!("{STEM}.salvaged-3.jsonl"));
    assert_eq!(opened.writer.epoch(), 3, "the epoch of the lost record is not given again");
    assert_eq!(messages(&opened), ["0", &"x".repeat(70_000), "2"]);
}

#[tokio::test]
async fn a_log_whose_first_line_is_damaged_has_the_id_of_its_name() {
    let folder = Folder::new();
    let path = log(&folder, &["0", "1"]).await;
    damage(&path, "longhaul");
    let mut opened = open(&folder, OnDamage::Salvage).await.unwrap();
    assert_eq!(
        (messages(&opened), opened.writer.session_id()),
        (vec!["0".into(), "1".into()], &*session_id(0))
    );
    opened.writer.append(vec![item("2")]).await.unwrap();
    opened.writer.close().await.unwrap();
    let opened = open(&folder, OnDamage::Refuse).await.unwrap();
    assert_eq!((messages(&opened).len(), opened.writer.session_id()), (3, &*session_id(0)));
}

#[tokio::test]
async fn what_was_appended_and_not_synced_is_synced_before_it_is_shown() {
    let folder = Folder::new();
    log(&folder, &["0"]).await;
    let (store, disk) = folder.faulty(|_| Fault::None);
    store.open(&first(), OnDamage::Refuse).await.unwrap();
    let done: Vec<_> = disk.steps().into_iter().map(|it| it.operation).collect();
    let names = [Operation::SyncFolder; 5];
    let expected = [&[Operation::Open, Operation::Sync], &names[..], &[Operation::Remove]];
    assert_eq!(done, expected.concat());
}

#[tokio::test]
async fn the_log_of_another_program_is_read_and_never_written_to() {
    let folder = Folder::new();
    let path = folder.path().join("codex.jsonl");
    fs::write(&path, include_str!("../fixtures/plain.jsonl")).unwrap();
    let before = folder.files();
    let which = LogRef::Path("codex.jsonl".into());
    assert!(folder.store().read(&which, OnDamage::Refuse.into()).await.unwrap().is_foreign);
    let error = folder.store().open(&which, OnDamage::Refuse).await.unwrap_err();
    assert!(matches!(error, StoreError::Foreign { .. }), "{error}");
    assert_eq!(folder.files(), before);
}

#[tokio::test]
async fn what_is_no_log_is_refused() {
    let folder = Folder::new();
    fs::write(folder.path().join("empty.jsonl"), "").unwrap();
    fs::create_dir(folder.path().join("folder.jsonl")).unwrap();
    for name in ["empty.jsonl", "folder.jsonl"] {
        let which = LogRef::Path(name.into());
        let read = folder.store().read(&which, OnDamage::Refuse.into()).await.unwrap_err();
        let open = folder.store().open(&which, OnDamage::Refuse).await.unwrap_err();
        let is_refused =
            |it: &StoreError| matches!(it, StoreError::Unreadable { .. } | StoreError::Io { .. });
        assert!(is_refused(&read) && is_refused(&open), "{read} / {open}");
    }
    let which = LogRef::Path("missing.jsonl".into());
    let error = folder.store().read(&which, OnDamage::Refuse.into()).await.unwrap_err();
    assert!(matches!(error, StoreError::NotFound { .. }), "{error}");
    assert_eq!(folder.names(), ["empty.jsonl"]);
}
