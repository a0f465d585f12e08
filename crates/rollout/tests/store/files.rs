//! What is in the folder of a store, and what others do to it.

use std::fs;

use longhaul_rollout::{Fsync, OnDamage, Record, RecordKind, Store, StoreError};
use longhaul_testkit::disk::{Fault, Operation, Step};

use crate::support::*;

const LOG: &str =
    "sessions/2026/11/22/rollout-2026-11-22T10-00-00-01a20298-0571-7a40-bd9c-000000000000.jsonl";

/// What was done, with paths from the home.
fn done(folder: &Folder, steps: &[Step]) -> Vec<String> {
    let shown = |step: &Step| {
        let path = step.path.strip_prefix(folder.path().parent().unwrap()).unwrap();
        let path = path.to_str().unwrap().split_once('/').map_or("", |(_, path)| path);
        let path = path.replace(&std::process::id().to_string(), "PID");
        let mut parts = path.split('.').filter(|part| part.parse::<u32>().is_err());
        let first = parts.next().unwrap_or_default().to_owned();
        let path =
            parts.filter(|it| !it.starts_with("PID")).fold(first, |path, part| path + "." + part);
        format!("{:?} {}", step.operation, path.replace(&LOG[..LOG.len() - 6], "LOG"))
    };
    steps.iter().map(shown).collect()
}

#[tokio::test]
async fn f093_f094_names_and_contents_are_durable_before_a_start_is_acknowledged() {
    let folder = Folder::new();
    let (store, disk) = folder.faulty(|_| Fault::None);
    let (mut writer, _) = start(&store).await;
    let expected = [
        "SyncFolder ",
        "MakeFolder sessions",
        "MakeFolder sessions/2026",
        "MakeFolder sessions/2026/11",
        "MakeFolder sessions/2026/11/22",
        "SyncFolder sessions/2026/11",
        "SyncFolder sessions/2026",
        "SyncFolder sessions",
        "SyncFolder ",
        "Create LOG.jsonl.new",
        "Write LOG.jsonl.new",
        "Sync LOG.jsonl.new",
        "Rename LOG.jsonl",
        "SyncFolder sessions/2026/11/22",
        "Remove LOCK",
    ];
    let lock = format!("sessions/{}.lock", session_id(0));
    let steps = done(&folder, &disk.steps()).into_iter().map(|step| step.replace(&lock, "LOCK"));
    assert_eq!(steps.collect::<Vec<_>>(), expected);

    let from = disk.steps().len();
    writer.append(vec![item("a"), item("b"), item("c")]).await.unwrap();
    let expected = ["Write LOG.jsonl.new", "Sync LOG.jsonl.new"];
    assert_eq!(done(&folder, &disk.steps()[from..]), expected, "one write and one sync");
}

/// What is above may belong to others, and be there to be passed, not to be read.
#[tokio::test]
async fn what_is_above_a_home_is_left_alone_once_there_is_something_in_it() {
    const NOT_PERMITTED: i32 = 13;
    let folder = Folder::new();
    let above = folder.path().parent().unwrap().to_owned();
    let is_above = move |step: &Step| step.path == above;
    let denied = is_above.clone();
    let (store, disk) = folder
        .faulty(move |step| if denied(step) { Fault::Error(NOT_PERMITTED) } else { Fault::None });
    let (mut writer, _) = start(&store).await;
    writer.append(vec![item(&"x".repeat(70_000))]).await.unwrap();
    assert_eq!(disk.steps().iter().filter(|step| is_above(step)).count(), 2, "sessions and blobs");
    let from = disk.steps().len();
    store.create(vec![session(1)]).await.unwrap().close().await.unwrap();
    writer.append(vec![item(&"y".repeat(70_000))]).await.unwrap();
    let later = &disk.steps()[from..];
    assert!(later.iter().any(|step| step.operation == Operation::SyncFolder));
    assert!(!later.iter().any(is_above), "{later:?}");
}

#[tokio::test]
async fn a_blob_is_durable_before_the_record_that_names_it() {
    let folder = Folder::new();
    let (store, disk) = folder.faulty(|_| Fault::None);
    let (mut writer, path) = start(&store).await;
    let from = disk.steps().len();
    writer.append(vec![item(&"x".repeat(70_000))]).await.unwrap();
    let operations = |from: usize| {
        let steps = disk.steps();
        let parts = steps[from..].iter().map(|it| (it.operation, is_blob(&it.path)));
        parts.filter(|(operation, _)| *operation != Operation::MakeFolder).collect::<Vec<_>>()
    };
    let log = [(Operation::Write, false), (Operation::Sync, false)];
    let blob = [
        // The home's own name, as at the first start: the folder is the first of its kind.
        (Operation::SyncFolder, false),
        (Operation::SyncFolder, true),
        (Operation::SyncFolder, false),
        // Beside the log, where it is swept if its writer dies.
        (Operation::Create, false),
        (Operation::Write, false),
        (Operation::Sync, false),
        (Operation::Rename, true),
        (Operation::SyncFolder, true),
    ];
    assert_eq!(operations(from), [&blob[..], &log].concat());

    // The same once more is stored once.
    let from = disk.steps().len();
    let length = fs::metadata(&path).unwrap().len();
    writer.append(vec![item(&"x".repeat(70_000))]).await.unwrap();
    assert!(operations(from).iter().all(|(operation, _)| *operation != Operation::Create));
    assert_eq!(folder.names().len(), 3, "log, lock and blob: {:?}", folder.names());
    assert!(fs::metadata(&path).unwrap().len() - length < 600);

    // One that was damaged is put right.
    let blob = folder.path().join(&folder.names()[0]);
    fs::write(&blob, "damaged").unwrap();
    writer.append(vec![item(&"x".repeat(70_000))]).await.unwrap();
    assert_eq!(fs::read(&blob).unwrap(), vec![b'x'; 70_000]);
}

#[tokio::test]
async fn without_sync_nothing_is_synced() {
    let folder = Folder::new();
    let (store, disk) = folder.faulty(|_| Fault::None);
    let (mut writer, path) = start(&store.fsync(Fsync::Off)).await;
    writer.append(vec![item("a"), item(&"x".repeat(70_000))]).await.unwrap();
    let is_sync = |it: &Step| matches!(it.operation, Operation::Sync | Operation::SyncFolder);
    assert!(!disk.steps().iter().any(is_sync));
    assert_eq!(texts(&path)[0], "a");
}

#[cfg(unix)]
#[tokio::test]
async fn folders_and_files_are_for_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    let home = folder.path().join("new/home");
    let store = longhaul_rollout::FileStore::new(&home);
    let (mut writer, path) = start(&store).await;
    writer.append(vec![item(&"x".repeat(70_000))]).await.unwrap();
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let root = folder.path().join("new");
    let levels = path.ancestors().skip(1).take_while(|level| level.starts_with(&root));
    assert_eq!(levels.map(mode).collect::<Vec<_>>(), [0o700; 6]);
    let files = folder.names().into_iter().map(|name| mode(&folder.path().join(name)));
    assert_eq!(files.collect::<Vec<_>>(), [0o600; 3]);
}

async fn disturbed(what: &str, disturb: impl FnOnce(&std::path::Path)) {
    let folder = Folder::new();
    let (mut writer, path) = start(&folder.store()).await;
    writer.append(vec![item("a")]).await.unwrap();
    disturb(&path);
    let before = fs::read(&path).ok();
    let found = match writer.append(vec![item("b")]).await.unwrap_err() {
        error @ StoreError::Disturbed { what, .. } => {
            assert!(error.to_string().contains("shut this session down, and open it again"));
            what
        }
        other => panic!("{other}"),
    };
    assert_eq!(found, what);
    assert_eq!(fs::read(&path).ok(), before, "what another wrote is left alone");
    let again = writer.append(vec![item("c")]).await.unwrap_err();
    assert!(matches!(again, StoreError::Poisoned { .. }));
}

#[tokio::test]
async fn f092_what_others_do_to_the_file_is_found_before_an_acknowledgement() {
    disturbed("removed", |path| fs::remove_file(path).unwrap()).await;
    disturbed("removed", |path| fs::rename(path, path.with_extension("moved")).unwrap()).await;
    disturbed("replaced", |path| {
        let copy = path.with_extension("copy");
        fs::copy(path, &copy).unwrap();
        fs::rename(copy, path).unwrap();
    })
    .await;
    disturbed("cut", |path| {
        let file = fs::OpenOptions::new().write(true).open(path).unwrap();
        file.set_len(10).unwrap();
    })
    .await;
    disturbed("written to", |path| {
        use std::io::Write;
        fs::OpenOptions::new().append(true).open(path).unwrap().write_all(b"{}\n").unwrap();
    })
    .await;
    disturbed("removed", |path| fs::remove_dir_all(path.parent().unwrap()).unwrap()).await;
}

/// Between the write and the acknowledgement, too.
#[tokio::test]
async fn f092_a_file_that_is_removed_during_an_append_is_not_acknowledged() {
    let folder = Folder::new();
    let removing = at(Operation::Sync, 1, Fault::Short(0));
    let home = folder.path().to_owned();
    let (store, _) = folder.faulty(move |step| {
        if removing(step) != Fault::None {
            fs::remove_dir_all(home.join("sessions")).unwrap();
        }
        Fault::None
    });
    let (mut writer, _) = start(&store).await;
    let error = writer.append(vec![item("a")]).await.unwrap_err();
    assert!(matches!(error, StoreError::Disturbed { what: "removed", .. }), "{error}");
}

/// The name of a model may be of any length: sums of what all records say go by it.
#[tokio::test]
async fn names_of_fields_stay_in_the_log() {
    let folder = Folder::new();
    let (mut writer, path) = start(&folder.store()).await;
    let (name, long) = ("m".repeat(70_000), "x".repeat(80_000));
    let json = |models: &str| format!(r#"{{"type":"token_count","models":{{{models}}}}}"#);
    let said = [json(&format!(r#""{name}" : {{"a":"{long}"}}"#)), json(r#""n":1"#)];
    let records = said.map(|json| {
        let payload = serde_json::value::RawValue::from_string(json).unwrap();
        Record::new(session(0).timestamp, RecordKind::EventMsg, payload)
    });
    writer.append(records.to_vec()).await.unwrap();
    writer.close().await.unwrap();
    let bytes = fs::read(&path).unwrap().len();
    assert!((70_000..80_000).contains(&bytes), "the name, and not the text: {bytes}");
    let opened = folder.store().open(&first(), OnDamage::Refuse).await.unwrap();
    let sums = opened.replay.token_count.unwrap();
    let sums: serde_json::Value = serde_json::from_str(sums.get()).unwrap();
    let expected = serde_json::json!({name: {"a": long}, "n": 1});
    assert_eq!(sums["models"], expected);
}
