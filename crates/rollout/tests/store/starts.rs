//! A session is started once, whenever and by whomever, and its log goes before one of another program.

use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::mpsc::channel;

use longhaul_rollout::{
    FileStore, Fsync, OnDamage, Query, Record, RecordKind, SessionMeta, Store, StoreError,
};
use longhaul_testkit::disk::{Fault, Operation};

use crate::child::Child;
use crate::support::*;

pub(crate) const NEVER: usize = usize::MAX;
const MANY: usize = 64;
const MANY_ROUNDS: usize = 4;

/// A start that stops before the name is there keeps out one with another time, and thus another name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_tasks_that_start_a_session_at_once_give_it_one_log() {
    let folder = Folder::new();
    let ((said, is_renaming), (go, may_go_on)) = (channel(), channel::<()>());
    let (said, may_go_on) = (Mutex::new(said), Mutex::new(may_go_on));
    let (slow, _) = folder.faulty(move |step| {
        if step.operation == Operation::Rename {
            said.lock().unwrap().send(()).unwrap();
            let _ = may_go_on.lock().unwrap().recv();
        }
        Fault::None
    });
    let first_start = tokio::spawn(async move { slow.create(late(9)).await });
    tokio::task::spawn_blocking(move || is_renaming.recv().unwrap()).await.unwrap();
    let error = folder.store().create(late(0)).await.unwrap_err();
    assert!(matches!(&error, StoreError::Locked { path, .. } if *path == session_id(0)), "{error}");
    assert!(folder.store().create(vec![session(1)]).await.is_ok(), "another id");
    drop(go);
    let writer = first_start.await.unwrap().unwrap();
    let error = folder.store().create(late(0)).await.unwrap_err();
    assert!(matches!(error, StoreError::Locked { .. }), "{error}");
    let path = writer.path().unwrap().to_owned();
    writer.close().await.unwrap();
    let error = folder.store().create(late(0)).await.unwrap_err();
    assert!(matches!(error, StoreError::Exists { path: there } if there == path.to_str().unwrap()));
    assert_eq!(folder.names().len(), 2, "{:?}", folder.names());
}

/// Starts sessions of different ids at the same time, again and again, the `part`-th of those who do.
pub(crate) async fn start_many(store: &FileStore, part: usize) {
    let store = store.clone().fsync(Fsync::Off);
    for round in 0..MANY_ROUNDS {
        let numbers = (0..MANY).map(|n| (part * MANY_ROUNDS + round) * MANY + n);
        let tasks = numbers.map(|n| {
            let store = store.clone();
            tokio::spawn(async move { store.create(vec![session(n)]).await?.close().await })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap().unwrap();
        }
    }
}

/// Each sees the locks of the others, and looks whether they are left from the dead.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn starts_of_different_ids_keep_nobody_out() {
    let folder = Folder::new();
    start_many(&folder.store(), 0).await;
    assert_eq!(folder.names().len(), MANY_ROUNDS * MANY, "no lock is left");
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn starts_of_different_ids_in_different_processes_keep_nobody_out() {
    let folder = Folder::new();
    let children = [1, 2, 3].map(|part| Child::start(folder.path(), "many", NEVER - part, 0));
    start_many(&folder.store(), 0).await;
    for child in children {
        let (said, has_failed) = child.hear_all();
        assert!(!has_failed, "{said:?}");
    }
    assert_eq!(folder.names().len(), 4 * MANY_ROUNDS * MANY, "no lock is left");
}

/// What stands in folders of before an id was made is not looked at: so starting a session costs the same
/// however long a home has been in use.
#[tokio::test]
async fn a_start_looks_at_no_folder_of_before_its_id_was_made() {
    let folder = Folder::new();
    let store = folder.store();
    store.create(vec![session(1)]).await.unwrap().close().await.unwrap();
    // Of 2025, by its own time.
    let id = "01941f29-7c00-7000-8000-000000000001";
    let with = |at: &str| {
        let mut meta = SessionMeta::new(id, at.parse().unwrap());
        meta.cwd = Some("/".into());
        let payload = serde_json::value::to_raw_value(&meta).unwrap();
        vec![Record::new(at.parse().unwrap(), RecordKind::SessionMeta, payload)]
    };
    let older = folder.path().join("sessions/2024/12/29");
    fs::create_dir_all(&older).unwrap();
    let name = format!("rollout-2024-12-29T00-00-00-{id}.jsonl");
    fs::write(older.join(name), "not read").unwrap();
    store.create(with("2026-11-28T10:00:00Z")).await.unwrap().close().await.unwrap();
    for at in ["2026-11-29T10:00:00Z", "2024-12-30T10:00:00Z"] {
        let error = store.create(with(at)).await.unwrap_err();
        assert!(matches!(error, StoreError::Exists { .. }), "{error}");
    }
}

#[tokio::test]
async fn two_processes_that_start_a_session_at_once_give_it_one_log() {
    let folder = Folder::new();
    let mut child = Child::start(folder.path(), "start", NEVER, 0);
    assert_eq!(child.hear().as_deref(), Some("renaming"));
    let error = folder.store().create(late(0)).await.unwrap_err();
    assert!(
        matches!(&error, StoreError::Locked { path, holder }
            if *path == session_id(0) && holder.pid == Some(child.id())),
        "{error}"
    );
    child.release();
    let error = folder.store().create(late(0)).await.unwrap_err();
    assert!(matches!(error, StoreError::Exists { .. }), "{error}");
    assert_eq!(folder.names().len(), 1, "{:?}", folder.names());
    // The other way round, the other is told.
    let folder = Folder::new();
    let writer = folder.store().create(late(0)).await.unwrap();
    let (said, _) = Child::start(folder.path(), "start", NEVER, 0).hear_all();
    assert!(said[0].contains(&format!("is open for writing by process {}", std::process::id())));
    writer.close().await.unwrap();
    let (said, _) = Child::start(folder.path(), "start", NEVER, 0).hear_all();
    assert!(said[0].contains("has the log"), "{said:?}");
}

/// What a process locked that was killed meanwhile keeps nobody out, and goes with the next start of
/// any session.
#[tokio::test]
async fn a_start_that_was_killed_leaves_nothing_that_counts() {
    let folder = Folder::new();
    let mut child = Child::start(folder.path(), "start", NEVER, 0);
    assert_eq!(child.hear().as_deref(), Some("renaming"));
    let held = folder.names();
    assert!(held.contains(&format!("sessions/{}.lock", session_id(0))), "{held:?}");
    // Nobody takes away what is held.
    folder.store().create(vec![session(1)]).await.unwrap().close().await.unwrap();
    assert_eq!(folder.names().len(), held.len() + 1);
    child.kill();
    folder.store().create(vec![session(2)]).await.unwrap().close().await.unwrap();
    assert!(!folder.names().iter().any(
        |name| name.ends_with(&format!("{}.lock", session_id(0))) && !name.contains("rollout")
    ));
    folder.store().create(late(9)).await.unwrap().close().await.unwrap();
    let page = folder.store().list(&Query::default()).await.unwrap();
    assert_eq!(page.sessions.len(), 3);
}

/// Another program may keep its logs in the same home, and name them by a later, local time.
#[tokio::test]
async fn a_log_of_ours_goes_before_one_of_another_program() {
    let log = include_str!("../fixtures/plain.jsonl");
    let foreign = log.replace("01a20298-0250-7381-b6bd-90dbbc3d1c96", &session_id(0));
    let folder = Folder::new();
    let store = folder.store().fsync(Fsync::Off);
    let day = folder.path().join("sessions/2026/12/01");
    fs::create_dir_all(&day).unwrap();
    let theirs = day.join(format!("rollout-2026-12-01T00-00-00-{}.jsonl", session_id(0)));
    fs::write(&theirs, &foreign).unwrap();
    let is_foreign = async || {
        let read = folder.store().read(&first(), OnDamage::Refuse.into()).await;
        read.map(|replay| replay.is_foreign)
    };
    assert!(is_foreign().await.unwrap(), "there is no other");
    let mut writer = store.create(vec![session(0)]).await.unwrap();
    writer.append(vec![item("a")]).await.unwrap();
    let ours = writer.path().unwrap().to_owned();
    writer.close().await.unwrap();
    let check = async |path: &PathBuf| {
        assert!(!is_foreign().await.unwrap());
        let opened = folder.store().open(&first(), OnDamage::Refuse).await.unwrap();
        assert_eq!(opened.writer.path(), Some(&**path));
        opened.writer.close().await.unwrap();
    };
    check(&ours).await;
    // Also where its name says nothing of the session.
    let renamed = ours.to_str().unwrap().replace(&session_id(0), &session_id(9)).into();
    fs::rename(&ours, &renamed).unwrap();
    check(&renamed).await;
    fs::rename(&renamed, &ours).unwrap();
    // One that cannot be read is ours, unless another is.
    fs::write(&theirs, "{}\n").unwrap();
    check(&ours).await;
    fs::write(&theirs, &foreign).unwrap();
    let bytes = fs::read(&ours).unwrap();
    let mut damaged = bytes.clone();
    damaged[2] ^= 1;
    fs::write(&ours, damaged).unwrap();
    assert!(matches!(is_foreign().await, Err(StoreError::Damaged { .. })), "not theirs instead");
    let error = store.create(late(5)).await.unwrap_err();
    assert!(matches!(error, StoreError::Exists { .. }), "{error}");
}
