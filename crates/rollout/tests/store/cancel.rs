//! Appends whose future is dropped.

use std::sync::mpsc;

use longhaul_rollout::{FileStore, LogWriter, StoreError};
use longhaul_testkit::disk::{Fault, NO_SPACE, Operation};

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
