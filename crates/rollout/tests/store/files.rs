//! What is in the folder of a store, and what others do to it.

use std::fs;
use std::sync::Arc;
use std::sync::mpsc;

use longhaul_rollout::{Fsync, LogWriter, Store, StoreError};
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
        "MakeFolder sessions",
        "MakeFolder sessions/2026",
        "MakeFolder sessions/2026/11",
        "MakeFolder sessions/2026/11/22",
        "SyncFolder sessions/2026/11",
        "SyncFolder sessions/2026",
        "SyncFolder sessions",
        "SyncFolder ",
        "SyncFolder ",
        "Create LOG.jsonl.new",
        "Write LOG.jsonl.new",
        "Sync LOG.jsonl.new",
        "Rename LOG.jsonl",
        "SyncFolder sessions/2026/11/22",
    ];
    assert_eq!(done(&folder, &disk.steps()), expected);

    let from = disk.steps().len();
    writer.append(vec![item("a"), item("b"), item("c")]).await.unwrap();
    let expected = ["Write LOG.jsonl.new", "Sync LOG.jsonl.new"];
    assert_eq!(done(&folder, &disk.steps()[from..]), expected, "one write and one sync");
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
        (Operation::SyncFolder, true),
        (Operation::SyncFolder, false),
        (Operation::SyncFolder, false),
        (Operation::Create, true),
        (Operation::Write, true),
        (Operation::Sync, true),
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
    let found = match writer.append(vec![item("b")]).await.unwrap_err() {
        StoreError::Disturbed { what, .. } => what,
        other => panic!("{other}"),
    };
    assert_eq!(found, what);
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

/// A store whose second write of a log waits for a word.
fn waiting(folder: &Folder, fault: Fault) -> (longhaul_rollout::FileStore, mpsc::Sender<()>) {
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
    let (store, go) = waiting(&folder, Fault::Error(longhaul_testkit::disk::NO_SPACE));
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
    for fault in [Fault::Short(usize::MAX), Fault::Error(longhaul_testkit::disk::NO_SPACE)] {
        let folder = Folder::new();
        let (store, go) = waiting(&folder, fault);
        let (mut writer, path) = start(&store).await;
        drop_append(&mut writer, "a");
        go.send(()).unwrap();
        let closed = writer.close().await;
        assert_eq!(closed.is_ok(), texts(&path) == ["a"]);
        assert_eq!(folder.names(), [LOG], "the lock is gone");
    }
}

#[tokio::test]
async fn f085_a_home_that_cannot_be_is_an_error_at_the_start() {
    let folder = Folder::new();
    fs::write(folder.path().join("file"), "").unwrap();
    for home in ["file", "file/below", "\0"] {
        let store = longhaul_rollout::FileStore::new(folder.path().join(home));
        let error = store.create(vec![session(0)]).await.unwrap_err();
        assert!(matches!(error, StoreError::Io { .. }), "{home}: {error}");
    }
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("loop", folder.path().join("loop")).unwrap();
        let store = longhaul_rollout::FileStore::new(folder.path().join("loop"));
        let error = store.create(vec![session(0)]).await.unwrap_err();
        assert!(matches!(error, StoreError::Io { .. }), "{error}");
    }
}

/// Only where modes hold one back: the superuser writes anywhere.
#[cfg(unix)]
#[tokio::test]
async fn f085_a_folder_that_may_not_be_written_to_is_named() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    let home = folder.path().join("home");
    fs::create_dir(&home).unwrap();
    fs::set_permissions(&home, fs::Permissions::from_mode(0o500)).unwrap();
    let holds = fs::write(home.join("probe"), "").is_err();
    let created = longhaul_rollout::FileStore::new(&home).create(vec![session(0)]).await;
    fs::set_permissions(&home, fs::Permissions::from_mode(0o700)).unwrap();
    match created {
        Err(StoreError::ReadOnly { path, .. }) => {
            assert_eq!(path, home.join("sessions").to_str().unwrap());
        }
        other => assert!(!holds && other.is_ok(), "{other:?}"),
    }
}

/// The device on which each write finds no space, behind a real file.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn f080_a_device_that_is_full_is_told_as_such() {
    use longhaul_rollout::{Disk, Identity, LocalDisk, Medium};
    use std::io;
    use std::path::Path;

    #[derive(Debug)]
    struct Full(fs::File, fs::File);
    impl Medium for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            io::Write::write(&mut self.1, bytes)
        }
        fn sync(&mut self) -> io::Result<()> {
            self.0.sync()
        }
        fn truncate(&mut self, length: u64) -> io::Result<()> {
            self.0.truncate(length)
        }
        fn identity(&self) -> io::Result<Identity> {
            self.0.identity()
        }
    }
    #[derive(Debug)]
    struct FullDisk;
    impl Disk for FullDisk {
        fn make_folder(&self, path: &Path) -> io::Result<()> {
            LocalDisk.make_folder(path)
        }
        fn create(&self, path: &Path) -> io::Result<Box<dyn Medium>> {
            let full = fs::OpenOptions::new().write(true).open("/dev/full")?;
            Ok(Box::new(Full(fs::File::create_new(path)?, full)))
        }
        fn open(&self, path: &Path) -> io::Result<Box<dyn Medium>> {
            LocalDisk.open(path)
        }
        fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
            LocalDisk.rename(from, to)
        }
        fn remove(&self, path: &Path) -> io::Result<()> {
            LocalDisk.remove(path)
        }
        fn sync_folder(&self, path: &Path) -> io::Result<()> {
            LocalDisk.sync_folder(path)
        }
    }
    let folder = Folder::new();
    let store = folder.store().disk(Arc::new(FullDisk));
    let error = store.create(vec![session(0)]).await.unwrap_err();
    assert!(matches!(error, StoreError::NoSpace { .. }), "{error}");
    assert_eq!(folder.names(), [""; 0]);
}
