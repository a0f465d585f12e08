//! Futures that are dropped.

use std::sync::mpsc;

use longhaul_rollout::{FileStore, LogWriter, OnDamage, Store, StoreError};
use longhaul_testkit::disk::{Fault, NO_SPACE, Operation, Step};

use crate::support::*;

/// A store whose second write of a log waits for a word.
fn waiting(folder: &Folder, fault: Fault) -> (FileStore, mpsc::Sender<()>) {
    let (send, receive) = mpsc::channel();
    let receive = std::sync::Mutex::new(receive);
    let second = at(Operation::Write, 1, fault);
    let (store, _) = folder.faulty(move |step| {
        let is_second = step.operation == Operation::Write && second(step) != Fault::None;
        if !is_second {
            return Fault::None;
        }
        receive.lock().unwrap().recv().unwrap();
        fault
    });
    (store, send)
}

/// Polls an append once, and drops it.
fn drop_append(writer: &mut Box<dyn LogWriter>, text: &str) {
    let mut append = writer.append(vec![item(text)]);
    let waker = std::task::Waker::noop();
    let polled = append.as_mut().poll(&mut std::task::Context::from_waker(waker));
    assert!(polled.is_pending());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_append_that_is_dropped_goes_on_and_is_waited_for() {
    let folder = Folder::new();
    let (store, go) = waiting(&folder, Fault::Short(usize::MAX));
    let (mut writer, path) = start(&store).await;
    drop_append(&mut writer, "a");
    go.send(()).unwrap();
    writer.append(vec![item("b")]).await.unwrap();
    assert_eq!(texts(&path), ["a", "b"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_failure_of_an_append_that_was_dropped_is_told_next() {
    let folder = Folder::new();
    let (store, go) = waiting(&folder, Fault::Error(NO_SPACE));
    let (mut writer, path) = start(&store).await;
    drop_append(&mut writer, "a");
    go.send(()).unwrap();
    let error = writer.append(vec![item("b")]).await.unwrap_err();
    assert!(matches!(error, StoreError::NoSpace { .. }), "{error}");
    writer.append(vec![item("c")]).await.unwrap();
    assert_eq!(texts(&path), ["c"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_close_waits_for_an_append_that_was_dropped() {
    for fault in [Fault::Short(usize::MAX), Fault::Error(NO_SPACE)] {
        let folder = Folder::new();
        let (store, go) = waiting(&folder, fault);
        let (mut writer, path) = start(&store).await;
        drop_append(&mut writer, "a");
        go.send(()).unwrap();
        let closed = writer.close().await;
        assert_eq!(closed.is_ok(), texts(&path) == ["a"]);
        assert_eq!(folder.names().len(), 1, "the lock is gone");
    }
}

/// The disk waits in the middle of a sync, for as long as the test likes, and the runtime has one thread.
#[tokio::test]
async fn f084_a_sync_that_takes_long_holds_up_nobody_else() {
    let folder = Folder::new();
    let (go, wait) = mpsc::channel();
    let wait = std::sync::Mutex::new(wait);
    let (store, disk) = folder.faulty(move |step| {
        if step.operation == Operation::Sync && is_slow(step) {
            wait.lock().unwrap().recv().unwrap();
        }
        Fault::None
    });
    go.send(()).unwrap();
    let (mut slow, path) = start(&store).await;
    let appending = tokio::spawn(async move {
        slow.append(vec![item("a")]).await.unwrap();
        // All that came meanwhile shares the next sync.
        slow.append((0..100).map(|n| item(&n.to_string())).collect()).await.unwrap();
        slow
    });
    tokio::task::yield_now().await;
    let mut other = store.create(vec![session(1)]).await.unwrap();
    for n in 0..20 {
        other.append(vec![item(&n.to_string())]).await.unwrap();
    }
    assert_eq!(store.list(&longhaul_rollout::Query::default()).await.unwrap().sessions.len(), 2);
    assert_eq!(texts(other.path().unwrap()).len(), 20);
    assert!(!appending.is_finished(), "it is not acknowledged");
    (0..2).for_each(|_| go.send(()).unwrap());
    let slow = appending.await.unwrap();
    assert_eq!((texts(&path).len(), slow.path()), (101, Some(&*path)));
    // The start, `a`, and the hundred.
    let is_own = |it: &&Step| it.operation == Operation::Sync && is_slow(it);
    assert_eq!(disk.steps().iter().filter(is_own).count(), 3);
}

fn is_slow(step: &Step) -> bool {
    step.path.to_str().unwrap().contains(&session_id(0))
}

/// How many bytes this process has asked the system for, ever.
#[cfg(target_os = "linux")]
fn bytes_read() -> u64 {
    let io = std::fs::read_to_string("/proc/self/io").unwrap();
    io.lines().find_map(|line| line.strip_prefix("rchar: ")).unwrap().parse().unwrap()
}

/// A log behind which 10 GB of nothing stand: to read them takes long, and nobody waits for it.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f090_reading_ends_when_nobody_waits_for_it() {
    const BYTES: u64 = 10_000_000_000;
    let folder = Folder::new();
    let store = folder.store();
    let (writer, path) = start(&store).await;
    writer.close().await.unwrap();
    std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(BYTES).unwrap();
    let before = bytes_read();
    let waker = std::task::Waker::noop();
    let mut context = std::task::Context::from_waker(waker);
    for on_damage in [OnDamage::Refuse, OnDamage::Salvage] {
        let which = first();
        // The second finds the lock taken, unless the first is done.
        let _ = store.open(&which, on_damage).as_mut().poll(&mut context);
        assert!(store.read(&which, on_damage.into()).as_mut().poll(&mut context).is_pending());
    }
    // The list reads heads alone.
    assert_eq!(store.list(&longhaul_rollout::Query::default()).await.unwrap().sessions.len(), 1);
    // Whoever starts this log again takes its lock first.
    while let Err(StoreError::Locked { .. }) = store.create(vec![session(0)]).await {
        tokio::task::yield_now().await;
    }
    let read = bytes_read() - before;
    assert!(read < BYTES / 2, "{read}");
}
