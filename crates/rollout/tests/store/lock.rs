//! One writer among processes, and a name for who it is.

use std::fs;
use std::sync::mpsc;
use std::time::Duration;

use longhaul_rollout::{Holder, LogRef, MemoryStore, OnDamage, Replay, Store, StoreError};

use crate::child::Child;
use crate::support::*;

const NEVER: usize = usize::MAX;

async fn holder(folder: &Folder) -> Option<Holder> {
    match folder.store().open(&first(), OnDamage::Refuse).await {
        Err(StoreError::Locked { holder, .. }) => Some(holder),
        opened => {
            opened.unwrap().writer.close().await.unwrap();
            None
        }
    }
}

/// As long as an opener is asked whether it takes the log, nobody else is.
#[tokio::test]
async fn a_log_in_memory_is_locked_while_its_opener_is_asked() {
    let store = MemoryStore::new();
    store.create(vec![session(0)]).await.unwrap().close().await.unwrap();
    let open = |answer: bool| {
        let (store, (said, hear)) = (store.clone(), mpsc::channel());
        let open_too = async move {
            let accept = Box::new(|_: &Replay| panic!("two are asked"));
            said.send(store.open_if(&first(), OnDamage::Refuse, accept).await).unwrap();
        };
        Box::new(move |_: &Replay| {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            std::thread::spawn(move || runtime.block_on(open_too));
            // A lock that is never given back does not hang the test.
            let second = hear.recv_timeout(Duration::from_secs(60)).unwrap();
            assert!(matches!(second, Err(StoreError::Locked { .. })), "{second:?}");
            answer
        })
    };
    // Who says no leaves nothing, not even an epoch.
    let refused = store.open_if(&first(), OnDamage::Refuse, open(false)).await.unwrap();
    assert!(refused.is_none());
    let opened = store.open_if(&first(), OnDamage::Refuse, open(true)).await.unwrap().unwrap();
    assert_eq!(opened.writer.epoch(), 2);
    let error = store.open(&first(), OnDamage::Refuse).await.unwrap_err();
    assert!(matches!(error, StoreError::Locked { .. }), "{error}");
}

#[tokio::test]
async fn a_second_opener_is_told_who_the_first_is() {
    let folder = Folder::new();
    let (writer, _) = start(&folder.store()).await;
    let holder = holder(&folder).await.unwrap();
    assert_eq!(holder.pid, Some(std::process::id()));
    assert!(holder.since.is_some() && holder.host.is_some(), "{holder:?}");

    let mut child = Child::start(folder.path(), "hold", NEVER, 0);
    let said = child.hear().unwrap();
    let pid = std::process::id();
    let host = holder.host.unwrap();
    assert!(said.contains(&format!("by process {pid} on {host} since 20")), "{said}");
    drop(writer);
}

#[tokio::test]
async fn a_process_that_holds_the_log_is_named_and_one_that_is_killed_holds_nothing() {
    let folder = Folder::new();
    let (writer, path) = start(&folder.store()).await;
    writer.close().await.unwrap();
    for round in 0..3 {
        let mut child = Child::start(folder.path(), "hold", NEVER, 0);
        assert_eq!(child.hear().as_deref(), Some("holding"));
        assert_eq!(holder(&folder).await.unwrap().pid, Some(child.id()));
        let mut other = Child::start(folder.path(), "hold", NEVER, 0);
        assert!(other.hear().unwrap().contains(&format!("process {}", child.id())));
        if round == 0 {
            child.release();
            assert_eq!(folder.names().len(), 1, "an orderly end leaves no lock");
        } else {
            child.kill();
        }
        assert_eq!(holder(&folder).await, None);
    }
    assert_eq!(texts(&path), [""; 0]);
    assert_eq!(folder.names().len(), 1);
}

/// By whichever name it is opened, a log has one writer.
#[tokio::test]
async fn a_link_to_a_log_is_that_log() {
    use std::os::unix::fs::symlink;
    let (folder, other) = (Folder::new(), Folder::new());
    let (writer, path) = start(&folder.store()).await;
    let path = path.canonicalize().unwrap();
    symlink(&path, other.path().join("file.jsonl")).unwrap();
    symlink(path.parent().unwrap(), other.path().join("folder")).unwrap();
    // In another home, where the session is found by its id.
    let day = other.path().join("sessions/2026/11/22");
    fs::create_dir_all(&day).unwrap();
    symlink(&path, day.join(path.file_name().unwrap())).unwrap();
    let in_folder = other.path().join("folder").join(path.file_name().unwrap());
    let names = [LogRef::Path(other.path().join("file.jsonl")), LogRef::Path(in_folder), first()];
    for name in &names {
        let error = other.store().open(name, OnDamage::Refuse).await.unwrap_err();
        assert!(matches!(error, StoreError::Locked { .. }), "{name:?}: {error}");
    }
    writer.close().await.unwrap();
    for name in &names {
        let opened = other.store().open(name, OnDamage::Refuse).await.unwrap();
        assert_eq!(opened.writer.path().unwrap().canonicalize().unwrap(), path);
        let error = folder.store().open(&first(), OnDamage::Refuse).await.unwrap_err();
        assert!(matches!(error, StoreError::Locked { .. }), "{name:?}: {error}");
        opened.writer.close().await.unwrap();
    }
}

/// What a dead holder left may be anything.
#[tokio::test]
async fn a_lock_file_that_nobody_holds_means_nothing() {
    let folder = Folder::new();
    let (writer, path) = start(&folder.store()).await;
    writer.close().await.unwrap();
    for note in ["", "1 2026-11-28T10:00:00Z host\n", "\u{1b}[2J", &"x".repeat(10_000)] {
        fs::write(format!("{}.lock", path.display()), note).unwrap();
        assert_eq!(holder(&folder).await, None);
    }
}

/// Whoever opens while others close gets the log or a typed error, and never one beside another.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_that_open_and_close_are_one_at_a_time() {
    let folder = Folder::new();
    let (writer, path) = start(&folder.store()).await;
    writer.close().await.unwrap();
    let open = |_| {
        let store = folder.store();
        tokio::spawn(async move {
            let mut appended = 0;
            for _ in 0..50 {
                match store.open(&first(), OnDamage::Refuse).await {
                    Ok(mut opened) => {
                        opened.writer.append(vec![item("a"), item("b")]).await.unwrap();
                        opened.writer.close().await.unwrap();
                        appended += 1;
                    }
                    Err(StoreError::Locked { .. }) => tokio::task::yield_now().await,
                    Err(other) => panic!("{other}"),
                }
            }
            appended
        })
    };
    let mut appended = 0;
    for task in (0..4).map(open).collect::<Vec<_>>() {
        appended += task.await.unwrap();
    }
    let records = records(&path);
    assert_eq!(records.len(), 1 + 2 * appended);
    assert_eq!(records.last().unwrap().epoch, 1 + appended as u64);
}
