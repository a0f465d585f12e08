//! Folders and devices on which no log can be.

use std::fs;
use std::sync::Arc;

use longhaul_rollout::{LogRef, OnDamage, Query, Store, StoreError};

use crate::support::*;

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

#[tokio::test]
async fn a_file_where_the_home_should_be_is_told_by_its_name() {
    let folder = Folder::new();
    let home = folder.path().join("file");
    fs::write(&home, "").unwrap();
    for below in ["", "below"] {
        let store = longhaul_rollout::FileStore::new(home.join(below));
        let error = store.create(vec![session(0)]).await.unwrap_err();
        let expected = format!(
            "making the folder {} failed: a file has its name; move that away, or take another home",
            home.display()
        );
        assert_eq!(error.to_string(), expected);
    }
    assert_eq!(fs::read(&home).unwrap(), b"");
}

/// Whoever is told that there is no log begins another.
#[cfg(unix)]
#[tokio::test]
async fn a_log_that_may_not_be_looked_at_is_not_said_to_be_gone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    let (_, path) = start(&folder.store()).await;
    let day = path.parent().unwrap();
    fs::set_permissions(day, fs::Permissions::from_mode(0o000)).unwrap();
    // The superuser looks at anything.
    let holds = fs::read(&path).is_err();
    let closed = folder.store().read(&LogRef::Path(path.clone()), OnDamage::Refuse.into()).await;
    fs::set_permissions(day, fs::Permissions::from_mode(0o700)).unwrap();
    match closed {
        Err(error) => assert!(matches!(error, StoreError::ReadOnly { .. }), "{error}"),
        Ok(_) => assert!(!holds),
    }
    // A name that no file can have holds back everybody.
    let long = LogRef::Path("x".repeat(5000).into());
    let error = folder.store().read(&long, OnDamage::Refuse.into()).await.unwrap_err();
    assert!(matches!(error, StoreError::Io { .. }), "{error}");
    let gone = LogRef::Path(path.join("below"));
    let error = folder.store().read(&gone, OnDamage::Refuse.into()).await.unwrap_err();
    assert!(matches!(error, StoreError::NotFound { .. }), "{error}");
}

/// A pipe would be waited for.
#[cfg(unix)]
#[tokio::test]
async fn a_pipe_is_no_log() {
    let folder = Folder::new();
    let (_, path) = start(&folder.store()).await;
    fs::remove_file(&path).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    let store = folder.store();
    for which in [first(), LogRef::Path(path.clone())] {
        assert!(matches!(
            store.read(&which, OnDamage::Refuse.into()).await,
            Err(StoreError::Io { .. })
        ));
        assert!(matches!(store.open(&which, OnDamage::Refuse).await, Err(StoreError::Io { .. })));
    }
    let page = store.list(&Query::default()).await.unwrap();
    assert_eq!((page.sessions.len(), &*page.unreadable[0].problem), (0, "no regular file"));
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
