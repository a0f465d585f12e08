//! A log that a store of another home opens: its blobs are those of the home in which it lies.

use std::fs;
use std::path::Path;

use jiff::Timestamp;
use longhaul_rollout::{
    FileStore, LogRef, OnDamage, Record, RecordKind, Replay, ReplayConfig, Store, StoreError,
};

use crate::recovery::{damage, log};
use crate::support::*;

fn long(letter: &str) -> String {
    letter.repeat(70_000)
}

fn messages(replay: &Replay) -> Vec<String> {
    replay.items.iter().map(|it| text(it.item.json()).unwrap()).collect()
}

async fn read(store: &FileStore, which: &LogRef) -> Result<Vec<String>, StoreError> {
    store.read(which, OnDamage::Refuse.into()).await.map(|replay| messages(&replay))
}

/// Opens it by another store, and appends.
async fn go_on(store: &FileStore, which: &LogRef, texts: &[&str]) -> Vec<String> {
    let mut opened = store.open(which, OnDamage::Refuse).await.unwrap();
    opened.writer.append(texts.iter().map(|text| item(text)).collect()).await.unwrap();
    opened.writer.close().await.unwrap();
    messages(&opened.replay)
}

fn blobs(folder: &Path) -> usize {
    let folders = fs::read_dir(folder.join("blobs")).into_iter().flatten();
    folders.map(|it| fs::read_dir(it.unwrap().path()).unwrap().count()).sum()
}

#[tokio::test]
async fn a_log_of_another_home_is_read_and_goes_on_with_the_blobs_of_its_own() {
    let (a, b) = (Folder::new(), Folder::new());
    let (x, y) = (long("x"), long("y"));
    let which = LogRef::Path(log(&a, &[&x, "1"]).await);
    assert_eq!(read(&b.store(), &which).await.unwrap(), [&*x, "1"]);
    assert_eq!(go_on(&b.store(), &which, &[&y, &x]).await, [&*x, "1"]);
    assert_eq!(b.names(), [""; 0], "nothing of it is in the other home");
    assert_eq!(blobs(a.path()), 2);
    assert_eq!(read(&a.store(), &first()).await.unwrap(), [&*x, "1", &y, &x]);
    // The same by a path from the home, and by a link.
    let name = a.path().file_name().unwrap();
    let LogRef::Path(path) = &which else { panic!() };
    let inside = Path::new("..").join(name).join(path.strip_prefix(a.path()).unwrap());
    assert_eq!(go_on(&b.store(), &inside.into(), &[&long("z")]).await.len(), 4);
    assert_eq!((b.names().len(), blobs(a.path())), (0, 3));
    assert_eq!(read(&a.store(), &first()).await.unwrap().len(), 5);
}

#[tokio::test]
async fn what_another_home_exports_or_starts_of_a_log_is_whole() {
    let (a, b) = (Folder::new(), Folder::new());
    let which = LogRef::Path(log(&a, &[&long("x"), "1"]).await);
    let mut config = ReplayConfig::default();
    config.times = true;
    let replay = b.store().read(&which, config).await.unwrap();
    let exported = replay.export(Timestamp::now()).unwrap();
    assert!(String::from_utf8(exported).unwrap().contains(&long("x")));
    let items = replay.items.iter().map(|it| {
        let raw = serde_json::value::RawValue::from_string(it.item.json().to_owned());
        Record::new(Timestamp::now(), RecordKind::ResponseItem, raw.unwrap())
    });
    let child = [session(1)].into_iter().chain(items).collect();
    b.store().create(child).await.unwrap().close().await.unwrap();
    drop(a);
    let child = LogRef::Id(session_id(1));
    assert_eq!(read(&b.store(), &child).await.unwrap(), [&*long("x"), "1"]);
    assert_eq!(blobs(b.path()), 1);
}

/// Both compete for one lock, and who reads sees the other's blobs.
#[tokio::test]
async fn two_homes_have_one_log_at_the_same_time() {
    let (a, b) = (Folder::new(), Folder::new());
    let (mut writer, path) = start(&a.store()).await;
    let which = LogRef::Path(path);
    for letter in ["x", "y"] {
        writer.append(vec![item(&long(letter))]).await.unwrap();
        let locked = b.store().open(&which, OnDamage::Refuse).await.unwrap_err();
        assert!(matches!(locked, StoreError::Locked { .. }), "{locked}");
        assert_eq!(read(&b.store(), &which).await.unwrap().last(), Some(&long(letter)));
    }
    writer.close().await.unwrap();
    let mut opened = b.store().open(&which, OnDamage::Refuse).await.unwrap();
    opened.writer.append(vec![item(&long("z"))]).await.unwrap();
    let locked = a.store().open(&first(), OnDamage::Refuse).await.unwrap_err();
    assert!(matches!(locked, StoreError::Locked { .. }), "{locked}");
    assert_eq!(read(&a.store(), &first()).await.unwrap().last(), Some(&long("z")));
    assert_eq!((blobs(a.path()), b.names().len()), (3, 0));
}

#[tokio::test]
async fn a_log_of_another_home_is_salvaged_with_the_blobs_of_its_own() {
    let (a, b) = (Folder::new(), Folder::new());
    let path = log(&a, &["0", "1"]).await;
    let new = |text: &str| format!(r#"{{"new":{}}}"#, item(text).payload.get());
    let (x, y) = (new(&long("x")), new(&long("y")));
    let json = format!(r#"{{"replaced":2,"parts":[{x},{y}],"told":null,"reason":"x"}}"#);
    let payload = serde_json::value::RawValue::from_string(json).unwrap();
    let edited = Record::new(session(0).timestamp, RecordKind::Edited, payload);
    let mut opened = a.store().open(&first(), OnDamage::Refuse).await.unwrap();
    opened.writer.append(vec![edited, item("2"), item("3")]).await.unwrap();
    opened.writer.close().await.unwrap();
    // One of two blobs is lost, and a line.
    let is_lost =
        |(name, bytes): &(String, Vec<u8>)| name.starts_with("blobs") && bytes.starts_with(b"x");
    let (lost, _) = a.files().into_iter().find(is_lost).unwrap();
    fs::remove_file(a.path().join(lost)).unwrap();
    damage(&path, "2");
    let which = LogRef::Path(path);
    let mut opened = b.store().open(&which, OnDamage::Salvage).await.unwrap();
    assert_eq!(messages(&opened.replay), [&*long("y"), "3"]);
    opened.writer.append(vec![item(&long("z"))]).await.unwrap();
    opened.writer.close().await.unwrap();
    assert_eq!(b.names(), [""; 0]);
    let expected = [&*long("y"), "3", &long("z")];
    assert_eq!(read(&a.store(), &first()).await.unwrap(), expected);
    assert_eq!(read(&b.store(), &which).await.unwrap(), expected);
}

/// A copy somewhere has no home of its own, so that its blobs are those of the store.
#[tokio::test]
async fn a_log_that_lies_elsewhere_has_the_blobs_of_the_store() {
    let (a, elsewhere) = (Folder::new(), Folder::new());
    let path = log(&a, &[&long("x")]).await;
    for part in ["copy.jsonl", "sessions/copy.jsonl", "sessions/aaaa/bb/cc/copy.jsonl"] {
        let copy = elsewhere.path().join(part);
        fs::create_dir_all(copy.parent().unwrap()).unwrap();
        fs::copy(&path, &copy).unwrap();
        let which = LogRef::Path(copy);
        assert_eq!(go_on(&a.store(), &which, &[&long("y")]).await, [long("x")], "{part}");
        assert_eq!((blobs(a.path()), blobs(elsewhere.path())), (2, 0));
        assert_eq!(read(&a.store(), &which).await.unwrap(), [long("x"), long("y")]);
    }
}

/// A store of another home may have left blobs in its own. They come to where the log lies.
#[tokio::test]
async fn blobs_that_are_in_the_home_of_the_store_alone_come_to_the_log() {
    let (a, b) = (Folder::new(), Folder::new());
    let which = LogRef::Path(log(&a, &[&long("x"), &long("y")]).await);
    fs::rename(a.path().join("blobs"), b.path().join("blobs")).unwrap();
    let error = read(&a.store(), &first()).await.unwrap_err();
    let place = a.path().join("blobs").to_str().unwrap().to_owned();
    assert!(error.to_string().contains(&format!("is missing at {place}")), "{error}");
    assert_eq!(read(&b.store(), &which).await.unwrap(), [long("x"), long("y")]);
    assert_eq!(blobs(a.path()), 0, "who reads changes nothing");
    go_on(&b.store(), &which, &["1"]).await;
    assert_eq!((blobs(a.path()), blobs(b.path())), (2, 2));
    assert_eq!(read(&a.store(), &first()).await.unwrap(), [&*long("x"), &long("y"), "1"]);
}

#[cfg(unix)]
mod links {
    use std::os::unix::fs::symlink;

    use super::*;

    #[tokio::test]
    async fn a_linked_log_has_the_blobs_of_the_home_behind_the_link() {
        let (a, b) = (Folder::new(), Folder::new());
        let path = log(&a, &[&long("x")]).await;
        let link = b.path().join(path.strip_prefix(a.path()).unwrap());
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        symlink(&path, &link).unwrap();
        let outside = b.path().join("link.jsonl");
        symlink(&path, &outside).unwrap();
        let store = b.store();
        let mut expected = vec![long("x")];
        for (which, letter) in [(first(), "y"), (link.into(), "z"), (outside.into(), "w")] {
            assert_eq!(go_on(&store, &which, &[&long(letter)]).await, expected);
            expected.push(long(letter));
            assert_eq!(read(&store, &which).await.unwrap(), expected);
        }
        assert_eq!((blobs(a.path()), blobs(b.path())), (4, 0));
        assert_eq!(read(&a.store(), &first()).await.unwrap(), expected);
    }

    /// Behind a linked `sessions` is the home itself; where one below it is linked, blobs are in both.
    #[tokio::test]
    async fn folders_that_are_links_change_nothing() {
        for part in ["sessions", "sessions/2026"] {
            let (a, disk) = (Folder::new(), Folder::new());
            log(&a, &[&long("x")]).await;
            let moved = disk.path().join(part);
            fs::create_dir_all(moved.parent().unwrap()).unwrap();
            fs::rename(a.path().join(part), &moved).unwrap();
            symlink(&moved, a.path().join(part)).unwrap();
            assert_eq!(go_on(&a.store(), &first(), &[&long("y")]).await, [long("x")], "{part}");
            assert_eq!(read(&a.store(), &first()).await.unwrap(), [long("x"), long("y")]);
            assert_eq!(
                blobs(a.path()) + blobs(disk.path()),
                if part == "sessions" { 2 } else { 3 }
            );
        }
    }

    /// A home by another of its names is the same.
    #[tokio::test]
    async fn a_home_that_is_a_link_is_the_home_behind_it() {
        let (a, b) = (Folder::new(), Folder::new());
        log(&a, &[&long("x")]).await;
        symlink(a.path(), b.path().join("home")).unwrap();
        let store = FileStore::new(b.path().join("home"));
        assert_eq!(go_on(&store, &first(), &[&long("y")]).await, [long("x")]);
        assert_eq!(blobs(a.path()), 2);
        assert_eq!(read(&a.store(), &first()).await.unwrap(), [long("x"), long("y")]);
    }
}
