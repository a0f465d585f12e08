//! Every operation on the disk that can fail, fails.

use std::fs;

use longhaul_rollout::{LogWriter, OnDamage, Store, StoreError};
use longhaul_testkit::disk::{BAD_MEDIUM, Fault, INTERRUPTED, NO_SPACE, Operation};

use crate::support::*;
use crate::sweep::{hurt, told};

async fn append(writer: &mut Box<dyn LogWriter>, text: &str) -> Result<(), StoreError> {
    writer.append(vec![item(text)]).await
}

fn is_poisoned(result: &Result<(), StoreError>) -> bool {
    matches!(result, Err(StoreError::Poisoned { .. }))
}

#[tokio::test]
async fn f078_a_short_write_is_completed() {
    for length in [1, 7, 100] {
        let folder = Folder::new();
        let (store, disk) = folder.faulty(at(Operation::Write, 1, Fault::Short(length)));
        let (mut writer, path) = start(&store).await;
        append(&mut writer, "a").await.unwrap();
        assert_eq!(texts(&path), ["a"]);
        let count = disk.steps().into_iter().filter(|it| it.operation == Operation::Write);
        assert_eq!(count.count(), 3);
    }
}

#[tokio::test]
async fn f079_an_interrupted_write_is_tried_again() {
    let folder = Folder::new();
    let (store, _) = folder.faulty(at(Operation::Write, 1, Fault::Error(INTERRUPTED)));
    let (mut writer, path) = start(&store).await;
    append(&mut writer, "a").await.unwrap();
    assert_eq!(texts(&path), ["a"]);
}

/// `EDQUOT` of Linux.
#[cfg(target_os = "linux")]
const OVER_QUOTA: i32 = 122;
#[cfg(not(target_os = "linux"))]
const OVER_QUOTA: i32 = 69;
/// `EFBIG`.
const TOO_BIG: i32 = 27;

#[tokio::test]
async fn f080_f081_without_space_nothing_is_acknowledged_and_later_it_goes_on() {
    for number in [NO_SPACE, OVER_QUOTA, TOO_BIG] {
        let folder = Folder::new();
        // The second write of a log is short, and its rest fails: half a line is on disk.
        let short = at(Operation::Write, 2, Fault::Short(20));
        let full = at(Operation::Write, 3, Fault::Error(number));
        let (store, disk) = folder.faulty(move |step| match (short(step), full(step)) {
            (Fault::None, other) | (other, _) => other,
        });
        let (mut writer, path) = start(&store).await;
        append(&mut writer, "a").await.unwrap();
        let before = fs::read(&path).unwrap();
        let error = writer.append(vec![item("lost"), item("lost")]).await.unwrap_err();
        assert!(matches!(error, StoreError::NoSpace { .. }), "{error}");
        assert_eq!(fs::read(&path).unwrap(), before);
        append(&mut writer, "b").await.unwrap();
        assert_eq!(texts(&path), ["a", "b"]);
        let cuts = disk.steps().into_iter().filter(|it| it.operation == Operation::Truncate);
        assert_eq!(cuts.map(|it| it.bytes).collect::<Vec<_>>(), [before.len() as u64]);
    }
}

#[tokio::test]
async fn f081_a_write_that_the_medium_fails_ends_the_writer() {
    let folder = Folder::new();
    let (store, _) = folder.faulty(at(Operation::Write, 1, Fault::Error(BAD_MEDIUM)));
    let (mut writer, path) = start(&store).await;
    let error = append(&mut writer, "a").await.unwrap_err();
    assert!(matches!(error, StoreError::Unsettled { operation: "writing", .. }), "{error}");
    assert!(is_poisoned(&append(&mut writer, "b").await));
    assert_eq!(texts(&path), [""; 0]);
}

#[tokio::test]
async fn f082_after_a_sync_that_failed_nothing_is_acknowledged_any_more() {
    let full = [NO_SPACE, OVER_QUOTA, TOO_BIG].map(Fault::Error);
    for fault in [Fault::Error(BAD_MEDIUM), Fault::LateError(BAD_MEDIUM)].into_iter().chain(full) {
        let folder = Folder::new();
        let (store, disk) = folder.faulty(at(Operation::Sync, 2, fault));
        let (mut writer, path) = start(&store).await;
        append(&mut writer, "a").await.unwrap();
        let error = append(&mut writer, "lost").await.unwrap_err();
        assert!(matches!(error, StoreError::Unsettled { operation: "syncing", .. }), "{error}");
        assert!(!error.is_transient(), "{error}");
        assert!(
            error.to_string().ends_with("shut this session down, and open it again"),
            "{error}"
        );
        let steps = disk.steps().len();
        for _ in 0..3 {
            let again = append(&mut writer, "b").await;
            assert!(is_poisoned(&again));
            let said = again.unwrap_err().to_string();
            assert!(said.ends_with("shut this session down, and open it again"), "{said}");
            assert_eq!(said.matches("open it again").count(), 1, "{said}");
        }
        assert_eq!(disk.steps().len(), steps, "the file is left alone");
        assert_eq!(texts(&path), ["a"]);
    }
}

#[tokio::test]
async fn f083_a_cut_that_failed_ends_the_writer() {
    let folder = Folder::new();
    let full = at(Operation::Write, 1, Fault::Error(NO_SPACE));
    let cut = at(Operation::Truncate, 0, Fault::Error(BAD_MEDIUM));
    let (store, _) = folder.faulty(move |step| match (full(step), cut(step)) {
        (Fault::None, other) | (other, _) => other,
    });
    let (mut writer, _) = start(&store).await;
    let error = append(&mut writer, "a").await.unwrap_err();
    assert!(matches!(error, StoreError::Unsettled { operation: "cutting", .. }), "{error}");
    assert!(is_poisoned(&append(&mut writer, "b").await));
}

/// At every step of a start that can fail: no log is there, and the same start works later.
#[tokio::test]
async fn f083_a_start_that_fails_anywhere_leaves_no_log() {
    let whole = Folder::new();
    let (store, disk) = whole.faulty(|_| Fault::None);
    let long = "x".repeat(100_000);
    let start = || vec![session(0), item(&long), item("a")];
    let writer = store.create(start()).await.unwrap();
    // Whether a lock's file goes in the end does not matter.
    let steps = disk.steps().iter().filter(|it| it.operation != Operation::Remove).count();
    drop(writer);
    for fault in [Fault::Error(NO_SPACE), Fault::Error(BAD_MEDIUM), Fault::LateError(BAD_MEDIUM)] {
        for failing in 0..steps {
            let folder = Folder::new();
            let (store, _) =
                folder.faulty(move |step| if step.number == failing { fault } else { Fault::None });
            let error = store.create(start()).await.unwrap_err();
            let typed = matches!(error, StoreError::Io { .. } | StoreError::NoSpace { .. });
            assert!(typed, "{failing}: {error}");
            let logs = folder.names().into_iter().filter(|name| name.contains("rollout"));
            assert_eq!(logs.collect::<Vec<_>>(), [""; 0], "{fault:?} of step {failing}");
            let writer = folder.store().create(start()).await.unwrap();
            assert_eq!(texts(writer.path().unwrap()).last().unwrap(), "a");
        }
    }
    tell(&format!("a start failed at each of {steps} steps, in 3 ways"));
}

/// Every operation of a salvage fails in turn: whoever opens the log next is told of what was left out.
#[tokio::test]
async fn a_salvage_that_fails_anywhere_is_told_of_by_the_next() {
    let whole = Folder::new();
    hurt(&whole, true).await;
    let (store, disk) = whole.faulty(|_| Fault::None);
    store.open(&first(), OnDamage::Salvage).await.unwrap().writer.close().await.unwrap();
    let steps = disk.steps().len();
    for fault in [Fault::Error(NO_SPACE), Fault::Error(BAD_MEDIUM), Fault::LateError(BAD_MEDIUM)] {
        for failing in 0..steps {
            let folder = Folder::new();
            let path = hurt(&folder, true).await;
            let (store, _) =
                folder.faulty(move |step| if step.number == failing { fault } else { Fault::None });
            drop(store.open(&first(), OnDamage::Salvage).await);
            for _ in 0..2 {
                assert_eq!(told(&folder).await, (Some(path.clone()), 1), "{fault:?} of {failing}");
            }
        }
    }
    tell(&format!("a salvage failed at each of {steps} steps, in 3 ways"));
    assert!(steps > 4);
}

/// Every operation of an append with a blob fails in turn. Where that leaves open what is on disk, of the
/// log or of a name that it needs, the writer ends; else it goes on.
#[tokio::test]
async fn an_append_that_fails_anywhere_leaves_what_was_acknowledged() {
    let whole = Folder::new();
    let (store, disk) = whole.faulty(|_| Fault::None);
    let long = "x".repeat(100_000);
    let (mut writer, _) = start(&store).await;
    append(&mut writer, "a").await.unwrap();
    let from = disk.steps().len();
    append(&mut writer, &long).await.unwrap();
    let steps: Vec<_> = disk.steps().into_iter().map(|it| it.operation).collect();
    let of_log = steps.len() - 2;
    assert_eq!(steps[of_log..], [Operation::Write, Operation::Sync], "the log's own come last");
    let mut ended = 0;
    for fault in [Fault::Error(NO_SPACE), Fault::Error(BAD_MEDIUM), Fault::LateError(BAD_MEDIUM)] {
        for (failing, operation) in steps.iter().enumerate().skip(from) {
            let folder = Folder::new();
            let (store, disk) =
                folder.faulty(move |step| if step.number == failing { fault } else { Fault::None });
            let (mut writer, path) = start(&store).await;
            append(&mut writer, "a").await.unwrap();
            let error = append(&mut writer, &long).await.unwrap_err();
            assert_eq!(texts(&path), ["a"], "{fault:?} of step {failing}");
            let is_full = fault == Fault::Error(NO_SPACE);
            let ends = match operation {
                Operation::SyncFolder => !is_full,
                Operation::Write => failing >= of_log && !is_full,
                Operation::Sync => failing >= of_log,
                _ => false,
            };
            let what = format!("{fault:?} of step {failing}, {operation:?}: {error}");
            assert_eq!(matches!(error, StoreError::Unsettled { .. }), ends, "{what}");
            assert_eq!(error.is_transient(), is_full && !ends, "{what}");
            let done = disk.steps().len();
            let next = append(&mut writer, "b").await;
            assert_eq!(is_poisoned(&next), ends, "{what}");
            if ends {
                assert_eq!((disk.steps().len(), texts(&path)), (done, vec!["a".into()]), "{what}");
                ended += 1;
                continue;
            }
            append(&mut writer, &long).await.unwrap();
            assert_eq!(texts(&path).len(), 3, "{what}");
        }
    }
    tell(&format!("{} failures, {ended} of them ended the writer", 3 * (steps.len() - from)));
    assert!(ended > 10);
}
