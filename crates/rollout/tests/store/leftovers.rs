//! What a process leaves that dies while it writes: swept by the next who may, and by nobody else.

use std::fs;
use std::path::Path;

use longhaul_rollout::{OnDamage, Store, StoreError};
use longhaul_testkit::disk::Fault;

use crate::child::{Child, ENDS};
use crate::support::*;

const NEVER: usize = usize::MAX;

fn unfinished(folder: &Folder) -> Vec<String> {
    let is_new = |name: &String| Path::new(name).extension().is_some_and(|it| it == "new");
    folder.names().into_iter().filter(is_new).collect()
}

/// Wherever a process ends, the next that opens or starts its log finds nothing unfinished in the
/// whole home, be it of a log, a blob, a torn end or a salvage.
#[tokio::test]
async fn what_is_unfinished_is_swept_when_its_log_is_opened() {
    let whole = Folder::new();
    let (said, _) = Child::start(whole.path(), "script", NEVER, 0).hear_all();
    let steps: usize = said.last().unwrap().strip_prefix("steps ").unwrap().parse().unwrap();
    let midway = ENDS.iter().position(|end| *end == Fault::AbortMidway).unwrap();
    let mut left = 0;
    for step in 0..steps {
        let folder = Folder::new();
        Child::start(folder.path(), "script", step, midway).hear_all();
        left += unfinished(&folder).len();
        let opened = folder.store().open(&first(), OnDamage::Refuse).await;
        if let Err(StoreError::NotFound { .. }) = opened {
            folder.store().create(vec![session(0)]).await.unwrap();
        }
        assert_eq!(unfinished(&folder), [""; 0], "step {step}");
    }
    tell(&format!("{left} unfinished files in {steps} ends"));
    assert!(left >= 4, "of the log and of a blob");
}

fn touch(path: &Path) {
    fs::write(path, "half").unwrap();
}

/// What was to become a log and never did is nobody's: whoever writes in its folder next sweeps it.
#[tokio::test]
async fn what_never_became_a_log_is_swept_by_its_neighbours() {
    let folder = Folder::new();
    let (writer, path) = start(&folder.store()).await;
    writer.close().await.unwrap();
    let stray = |n: usize| {
        let name = path.to_str().unwrap().replace(&session_id(0), &session_id(n));
        format!("{name}.4000000000-7.new")
    };
    touch(stray(1).as_ref());
    folder.store().open(&first(), OnDamage::Refuse).await.unwrap();
    assert_eq!(folder.names().len(), 1, "{:?}", folder.names());
    touch(stray(1).as_ref());
    folder.store().create(vec![session(24)]).await.unwrap();
    assert!(Path::new(&stray(1)).exists(), "another day's");
}

/// Those of logs whose locks others hold, those of logs that are there, and what is none of ours.
#[tokio::test]
async fn what_may_be_written_by_others_is_left_alone() {
    let folder = Folder::new();
    let store = folder.store();
    let (_, path) = start(&store).await;
    let other = store.create(vec![session(1)]).await.unwrap();
    let held = store.create(vec![session(2)]).await.unwrap();
    let day = path.parent().unwrap();
    let beside = |log: &Path, end: &str| {
        let path = format!("{}{end}", log.display());
        touch(path.as_ref());
        path
    };
    let (own, others) = (&path, other.path().unwrap());
    let swept = [beside(own, ".12-0.new"), beside(own, ".12-1.new")];
    let mut kept = vec![
        beside(own, ".new"),
        beside(own, ".x-0.new"),
        beside(own, ".12-0.new.txt"),
        beside(others, ".12-0.new"),
        beside(held.path().unwrap(), ".12-0.new"),
        beside(&day.join("notes"), ".12-0.new"),
    ];
    // Its writer starts it just now: the log is not there yet, its lock is held.
    let starting = held.path().unwrap();
    fs::remove_file(starting).unwrap();
    other.close().await.unwrap();
    store.open(&first(), OnDamage::Refuse).await.unwrap();
    let exists = |path: &String| Path::new(path).exists();
    assert!(!swept.iter().any(exists) && kept.iter().all(exists));
    // Whoever opens the other takes its own.
    store.open(&longhaul_rollout::LogRef::Id(session_id(1)), OnDamage::Refuse).await.unwrap();
    assert!(!exists(&kept.remove(3)) && kept.iter().all(exists));
}
