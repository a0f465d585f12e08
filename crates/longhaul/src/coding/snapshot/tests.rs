//! Real git in real folders.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// A repository that is removed in the end.
struct Repository(PathBuf);

impl Repository {
    fn empty() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::SeqCst);
        let name = format!("longhaul-snapshot-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(path.join("work")).unwrap();
        let repository = Self(path.canonicalize().unwrap());
        repository.git(&["init", "--quiet"]);
        repository
    }

    /// With `tracked` and `dir/inner` committed, and `*.ign` and `ignored/` ignored.
    fn new() -> Self {
        let repository = Self::empty();
        repository.write("tracked", "one");
        repository.write("dir/inner", "one");
        repository.write(".gitignore", "*.ign\nignored/\n");
        repository.git(&["add", "--all"]);
        repository.commit();
        repository
    }

    fn work(&self) -> PathBuf {
        self.0.join("work")
    }

    fn at(&self, name: impl AsRef<OsStr>) -> PathBuf {
        self.work().join(name.as_ref())
    }

    fn git(&self, arguments: &[&str]) -> String {
        let git = Command::new("git")
            .args(["-c", "user.name=x", "-c", "user.email=x@x"])
            .args(arguments)
            .current_dir(self.work())
            .output()
            .expect("git is installed");
        assert!(git.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&git.stderr));
        String::from_utf8_lossy(&git.stdout).into_owned()
    }

    fn commit(&self) {
        self.git(&["commit", "--quiet", "--allow-empty", "--no-verify", "-m", "m"]);
    }

    fn write(&self, name: impl AsRef<OsStr>, text: &str) {
        let path = self.at(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Every file with its kind, mode and content, but for git's own.
    fn files(&self) -> BTreeMap<PathBuf, String> {
        let mut files = BTreeMap::new();
        list(&self.work(), &self.work(), &mut files);
        files
    }

    /// What git knows of the index, of refs and of stashes.
    fn known(&self) -> [String; 3] {
        [
            self.git(&["status", "--porcelain=2", "--ignored", "--untracked-files=all"]),
            self.git(&["for-each-ref"]),
            self.git(&["stash", "list"]),
        ]
    }

    async fn take(&self) -> GhostCommit {
        GhostCommit::take(&self.work()).await.unwrap()
    }
}

impl Drop for Repository {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn list(root: &Path, folder: &Path, files: &mut BTreeMap<PathBuf, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let facts = path.symlink_metadata().unwrap();
        let name = path.strip_prefix(root).unwrap().to_owned();
        if facts.is_symlink() {
            files.insert(name, format!("-> {}", fs::read_link(&path).unwrap().display()));
        } else if facts.is_dir() {
            if name != Path::new(".git") {
                list(root, &path, files);
            }
        } else {
            let mode = facts.permissions().mode() & 0o100;
            files.insert(name, format!("{mode:o} {:?}", fs::read(&path).unwrap()));
        }
    }
}

#[tokio::test]
async fn everything_goes_back_and_taking_changes_nothing() {
    let repository = Repository::new();
    repository.write("untracked", "mine");
    repository.write("staged", "index");
    repository.git(&["add", "staged"]);
    repository.write("staged", "work tree");
    repository.write("ignored/kept", "kept");
    repository.write("old.ign", "kept");
    let (files, known) = (repository.files(), repository.known());
    let snapshot = repository.take().await;
    assert_eq!((repository.files(), repository.known()), (files.clone(), known.clone()));
    assert_eq!(snapshot.short_id().len(), 7);

    repository.write("tracked", "changed");
    fs::remove_file(repository.at("dir/inner")).unwrap();
    fs::remove_dir(repository.at("dir")).unwrap();
    repository.write("dir", "a file now");
    fs::remove_file(repository.at("untracked")).unwrap();
    repository.write("untracked/inside", "a folder now");
    repository.write("new/deep/file", "new");
    repository.write("new.ign", "new and ignored");
    repository.write("newer/ignored/x", "new and ignored");
    repository.git(&["add", "new/deep/file"]);
    snapshot.restore(&repository.work()).await.unwrap();
    assert_eq!((repository.files(), repository.known()), (files.clone(), known.clone()));
    snapshot.restore(&repository.work()).await.unwrap();
    assert_eq!((repository.files(), repository.known()), (files, known), "twice is as once");
}

#[tokio::test]
async fn commits_since_then_stay_and_their_files_go_back() {
    let repository = Repository::new();
    let files = repository.files();
    let snapshot = repository.take().await;
    repository.write("committed", "x");
    repository.git(&["add", "committed"]);
    repository.commit();
    let head = repository.git(&["rev-parse", "HEAD"]);
    snapshot.restore(&repository.work()).await.unwrap();
    assert_eq!((repository.files(), repository.git(&["rev-parse", "HEAD"])), (files, head));
}

#[tokio::test]
async fn a_repository_without_a_commit_goes_back_too() {
    let repository = Repository::empty();
    let snapshot = repository.take().await;
    repository.write("new", "new");
    snapshot.restore(&repository.work()).await.unwrap();
    assert_eq!(repository.files(), BTreeMap::new());

    repository.write("first", "mine");
    let (files, known) = (repository.files(), repository.known());
    let snapshot = repository.take().await;
    repository.write("first", "changed");
    repository.write("new", "new");
    repository.git(&["add", "--all"]);
    snapshot.restore(&repository.work()).await.unwrap();
    assert_eq!((repository.files(), repository.known()), (files, known));
}

#[tokio::test]
async fn names_of_all_kinds_are_only_names() {
    let repository = Repository::new();
    let names: [&[u8]; 8] = [
        b"with space",
        b"new\nline",
        b"\"quoted\"",
        b"-rf",
        b"*.txt",
        b":(exclude)x",
        b"bytes-\xff\xfe",
        "gr\u{fc}n".as_bytes(),
    ];
    for name in &names[..4] {
        repository.write(OsStr::from_bytes(name), "before");
    }
    repository.write("x.txt", "not meant by a star");
    let files = repository.files();
    let snapshot = repository.take().await;
    let json = serde_json::to_string(&snapshot).unwrap();
    assert_eq!(serde_json::from_str::<GhostCommit>(&json).unwrap(), snapshot);
    for name in names {
        repository.write(OsStr::from_bytes(name), "after");
        repository.write([b"other-", name].concat().as_slice().to_os(), "new");
    }
    snapshot.restore(&repository.work()).await.unwrap();
    assert_eq!(repository.files(), files);
}

trait ToOs {
    fn to_os(&self) -> std::ffi::OsString;
}

impl ToOs for [u8] {
    fn to_os(&self) -> std::ffi::OsString {
        OsStr::from_bytes(self).to_owned()
    }
}

#[tokio::test]
async fn links_are_never_followed_out_of_the_work_tree() {
    let repository = Repository::new();
    let outside = repository.0.join("outside");
    fs::create_dir_all(outside.join("deep")).unwrap();
    fs::write(outside.join("precious"), "x").unwrap();
    fs::write(outside.join("inner"), "x").unwrap();
    symlink("tracked", repository.at("link")).unwrap();
    let files = repository.files();
    let snapshot = repository.take().await;
    symlink(&outside, repository.at("out")).unwrap();
    symlink(&outside, repository.at("out.ign")).unwrap();
    fs::remove_dir_all(repository.at("dir")).unwrap();
    symlink(&outside, repository.at("dir")).unwrap();
    fs::remove_file(repository.at("link")).unwrap();
    symlink(&outside, repository.at("link")).unwrap();
    snapshot.restore(&repository.work()).await.unwrap();
    assert_eq!(repository.files(), files);
    assert!(outside.join("precious").exists() && outside.join("deep").exists());
    assert_eq!(fs::read_to_string(outside.join("inner")).unwrap(), "x");
}

#[tokio::test]
async fn a_folder_of_the_work_tree_goes_back_alone() {
    let repository = Repository::new();
    repository.write("dir/mine", "mine");
    let sub = repository.at("dir");
    let snapshot = GhostCommit::take(&sub).await.unwrap();
    repository.write("tracked", "changed outside");
    repository.write("outside", "new outside");
    repository.write("dir/inner", "changed");
    repository.write("dir/new", "new");
    snapshot.restore(&sub).await.unwrap();
    let read = |name: &str| fs::read_to_string(repository.at(name)).ok();
    assert_eq!(
        ["tracked", "outside", "dir/inner", "dir/mine", "dir/new"].map(read),
        [
            Some("changed outside".into()),
            Some("new outside".into()),
            Some("one".into()),
            Some("mine".into()),
            None
        ]
    );
    let error = snapshot.restore(&repository.work()).await.unwrap_err();
    assert_eq!(error, SnapshotError::OtherFolder { of: "dir/".into(), here: String::new() });
}

#[tokio::test]
async fn repositories_of_others_within_are_left_alone() {
    let repository = Repository::new();
    let snapshot = repository.take().await;
    let nested = repository.at("nested");
    fs::create_dir_all(&nested).unwrap();
    let made = Command::new("git").args(["init", "--quiet"]).current_dir(&nested).status().unwrap();
    assert!(made.success());
    fs::write(nested.join("precious"), "x").unwrap();
    snapshot.restore(&repository.work()).await.unwrap();
    assert!(nested.join("precious").exists());
}

#[tokio::test]
async fn where_a_repository_took_the_place_of_a_file_nothing_is_changed() {
    for (gone, repository_at, told) in [
        ("tracked", "tracked", "tracked"),
        ("tracked", "tracked/deep/er", "tracked"),
        ("dir", "dir", "dir"),
    ] {
        let repository = Repository::new();
        let snapshot = repository.take().await;
        let gone = repository.at(gone);
        fs::remove_file(&gone).or_else(|_| fs::remove_dir_all(&gone)).unwrap();
        repository.git(&["init", "--quiet", repository_at]);
        repository.write(format!("{repository_at}/precious"), "x");
        repository.write("new", "new");
        let now = (repository.files(), repository.known());
        let error = snapshot.restore(&repository.work()).await.unwrap_err();
        assert_eq!(error, SnapshotError::Repository(told.into()));
        assert_eq!((repository.files(), repository.known()), now);
    }
}

#[tokio::test]
async fn a_repository_that_was_in_the_folder_of_a_file_does_not_hinder() {
    let repository = Repository::new();
    repository.git(&["init", "--quiet", "dir"]);
    let files = repository.files();
    let snapshot = repository.take().await;
    repository.write("dir/inner", "changed");
    snapshot.restore(&repository.work()).await.unwrap();
    assert_eq!(repository.files(), files);
}

#[tokio::test]
async fn what_was_ignored_stays_whatever_is_ignored_now() {
    for (before, after) in [("*.log\n", "build/\n"), ("build/\n", "*.log\n")] {
        let repository = Repository::new();
        repository.write(".git/info/exclude", before);
        repository.write("build/deep/run.log", "mine");
        let mut expected = repository.files();
        let snapshot = repository.take().await;
        repository.write(".git/info/exclude", after);
        repository.write("build/new/file", "new");
        repository.write("build/deep/new", "new");
        repository.write("build/theirs/.git", "x");
        let changed = repository.files();
        snapshot.restore(&repository.work()).await.unwrap();
        // Of a folder that was ignored as a whole nobody knows what is new.
        let stays: &[&str] = match before {
            "build/\n" => &["build/new/file", "build/deep/new", "build/theirs/.git"],
            _ => &["build/theirs/.git"],
        };
        for path in stays.iter().map(PathBuf::from) {
            expected.insert(path.clone(), changed[&path].clone());
        }
        assert_eq!(repository.files(), expected, "{before}");
    }
}

#[tokio::test]
async fn the_index_goes_back_also_if_the_files_cannot() {
    let repository = Repository::new();
    repository.write("mine", "not tracked");
    let index = repository.git(&["ls-files", "--stage"]);
    let snapshot = repository.take().await;
    repository.write("tracked", "changed");
    repository.write("new", "new");
    repository.git(&["config", "filter.bad.smudge", "false"]);
    repository.git(&["config", "filter.bad.required", "true"]);
    repository.write(".git/info/attributes", "tracked filter=bad\n");
    let error = snapshot.restore(&repository.work()).await.unwrap_err();
    assert!(
        matches!(&error, SnapshotError::Git { command, .. } if command == "restore"),
        "{error}"
    );
    assert_eq!(repository.git(&["ls-files", "--stage"]), index);
    assert!(repository.at("new").exists(), "what fails removes nothing");
}

#[tokio::test]
async fn git_that_hangs_is_stopped_and_leaves_no_lock() {
    let repository = Repository::new();
    repository.write("mine", "not tracked");
    let index = repository.git(&["ls-files", "--stage"]);
    let snapshot = repository.take().await;
    repository.write("tracked", "changed");
    let gate = repository.0.join("gate");
    assert!(Command::new("mkfifo").arg(&gate).status().unwrap().success());
    let smudge = format!("cat '{}' >/dev/null; cat", gate.display());
    repository.git(&["config", "filter.gated.smudge", &smudge]);
    repository.write(".git/info/attributes", "tracked filter=gated\n");
    let work = repository.work();
    let restoring = tokio::spawn(async move { snapshot.restore(&work).await });
    let opening = move || fs::File::options().write(true).open(gate).unwrap();
    let gate = tokio::task::spawn_blocking(opening).await.unwrap();
    assert!(repository.at(".git/index.lock").exists());
    tokio::time::pause();
    tokio::time::advance(LIMIT).await;
    tokio::time::resume();
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    drop(gate);
    assert_eq!(restoring.await.unwrap(), Err(SnapshotError::TimedOut { limit: LIMIT }));
    assert!(!repository.at(".git/index.lock").exists());
    assert_eq!(repository.git(&["ls-files", "--stage"]), index);
}

#[tokio::test]
async fn without_lists_and_in_another_work_tree_nothing_is_removed() {
    let repository = Repository::new();
    let mut snapshot = repository.take().await;
    repository.write("mine", "x");
    repository.write("mine.ign", "x");
    repository.git(&["worktree", "add", "--quiet", "../other"]);
    let other = repository.0.join("other");
    fs::write(other.join("precious"), "x").unwrap();
    let error = snapshot.restore(&other).await.unwrap_err();
    assert!(matches!(error, SnapshotError::OtherFolder { .. }), "{error}");
    assert!(other.join("precious").exists());
    snapshot.preexisting_untracked_files = None;
    snapshot.restore(&repository.work()).await.unwrap();
    assert!(repository.at("mine").exists() && repository.at("mine.ign").exists());
}

#[tokio::test]
async fn the_folder_itself_and_repositories_deep_in_new_folders_stay() {
    let repository = Repository::new();
    fs::create_dir_all(repository.at("fresh")).unwrap();
    let fresh = repository.at("fresh");
    let snapshot = GhostCommit::take(&fresh).await.unwrap();
    fs::write(fresh.join("new"), "x").unwrap();
    snapshot.restore(&fresh).await.unwrap();
    assert!(fresh.is_dir() && !fresh.join("new").exists());

    let snapshot = repository.take().await;
    repository.write("ignored/dep/.git/HEAD", "x");
    repository.write("ignored/dep/precious", "x");
    snapshot.restore(&repository.work()).await.unwrap();
    assert!(repository.at("ignored/dep/precious").exists());
}

#[tokio::test]
async fn what_fails_removes_nothing_and_says_why() {
    let repository = Repository::new();
    let snapshot = repository.take().await;
    repository.write("new", "new");
    repository.write("tracked", "changed");
    let files = repository.files();
    let lock = repository.at(".git/index.lock");
    fs::write(&lock, "").unwrap();
    let error = snapshot.restore(&repository.work()).await.unwrap_err();
    assert!(
        matches!(&error, SnapshotError::Git { command, stderr }
        if command == "restore" && stderr.contains("index.lock")),
        "{error}"
    );
    fs::remove_file(&lock).unwrap();
    let changed = |change: fn(&mut GhostCommit)| {
        let mut changed = snapshot.clone();
        change(&mut changed);
        changed
    };
    let table: [(GhostCommit, &str); 3] = [
        (changed(|it| it.id = "0".repeat(40)), "does not have the snapshot"),
        (changed(|it| it.id = "--help".into()), "`--help` is no object id"),
        (changed(|it| it.index = Some("HEAD".into())), "`HEAD` is no object id"),
    ];
    for (snapshot, part) in table {
        let error = snapshot.restore(&repository.work()).await.unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
    assert_eq!(repository.files(), files);

    let none = repository.0.join("none");
    let gone = GhostCommit::take(&none).await.unwrap_err();
    assert_eq!(gone, SnapshotError::NoFolder(none));
    let bare = repository.0.clone();
    assert_eq!(GhostCommit::take(&bare).await.unwrap_err(), SnapshotError::NotARepository(bare));
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    let root = GitPath(std::env::temp_dir().as_os_str().as_bytes().to_vec());
    for name in ["/etc/passwd", "../x", "a/../../x", "", ".", ".git/config", "a/.GIT/hooks/x"] {
        let path = GitPath(name.into());
        assert_eq!(path.inside(), None, "{name}");
        let now = status::Untracked { files: [path].into(), ..Default::default() };
        let (root, prefix) = (root.clone(), GitPath::default());
        let new = clean::New { root, prefix, now, before: status::Untracked::default() };
        let removed = new.remove();
        assert!(matches!(removed, Err(SnapshotError::BadRecord(_))), "{name}");
    }
    assert!(GitPath("a/b".into()).inside().is_some());
}

#[test]
fn records_of_others_are_read() {
    let record = r#"{"id":"0123456789012345678901234567890123456789","parent":null,"more":1,
        "preexisting_untracked_files":["a",{"base64":"/w=="}],"preexisting_untracked_dirs":["b/"]}"#;
    let read: GhostCommit = serde_json::from_str(record).unwrap();
    let files = vec![GitPath(b"a".to_vec()), GitPath(vec![0xff])];
    assert_eq!(read.preexisting_untracked_files, Some(files));
    assert_eq!((read.short_id(), &read.prefix, &read.index), ("0123456", &None, &None));
}

#[derive(Debug, Clone)]
enum Change {
    Write(usize, u8),
    Run(usize),
    Delete(usize),
    Rename(usize, usize),
    Link(usize, usize),
    Add(usize),
    Commit,
    /// What is ignored, by a file that is itself restored or by one that is not.
    Ignore(bool, usize),
}

const RULES: [&str; 6] =
    ["*.ign\nignored/\n", "d/\n", "h.*\nignored/i\n", "", "/d/f\n/-x\n", "/d/*\nb c\n"];

const NAMES: [&str; 8] = ["a", "b c", "d/e", "d/f/g", "h.ign", "ignored/i", "-x", "d/*"];

fn change() -> impl Strategy<Value = Change> {
    let name = || 0..NAMES.len();
    prop_oneof![
        5 => (name(), 0..4_u8).prop_map(|(name, text)| Change::Write(name, text)),
        1 => name().prop_map(Change::Run),
        3 => name().prop_map(Change::Delete),
        2 => (name(), name()).prop_map(|(from, to)| Change::Rename(from, to)),
        1 => (name(), name()).prop_map(|(name, to)| Change::Link(name, to)),
        2 => name().prop_map(Change::Add),
        1 => Just(Change::Commit),
        3 => (any::<bool>(), 0..RULES.len()).prop_map(|(here, rule)| Change::Ignore(here, rule)),
    ]
}

/// Does it, as far as that is possible.
fn apply(repository: &Repository, change: &Change) {
    let at = |name: &usize| repository.at(NAMES[*name]);
    let parents = |path: &Path| fs::create_dir_all(path.parent().unwrap());
    match change {
        Change::Write(name, text) => {
            let _ = parents(&at(name)).and_then(|()| fs::write(at(name), [b'0' + text]));
        }
        Change::Run(name) => {
            let _ = fs::set_permissions(at(name), fs::Permissions::from_mode(0o755));
        }
        Change::Delete(name) => {
            let _ = fs::remove_file(at(name)).or_else(|_| fs::remove_dir_all(at(name)));
        }
        Change::Rename(from, to) => {
            let _ = parents(&at(to)).and_then(|()| fs::rename(at(from), at(to)));
        }
        Change::Link(name, to) => {
            let _ = parents(&at(name)).and_then(|()| symlink(NAMES[*to], at(name)));
        }
        Change::Add(name) => {
            let _ = Command::new("git")
                .args(["--literal-pathspecs", "add", "--force", "--", NAMES[*name]])
                .current_dir(repository.work())
                .output();
        }
        Change::Commit => repository.commit(),
        Change::Ignore(is_restored, rule) => {
            let place = if *is_restored { ".gitignore" } else { ".git/info/exclude" };
            repository.write(place, RULES[*rule]);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever was done before and after: what is not ignored goes back as it was, with its place in
    /// the index; what was ignored is still there.
    #[test]
    fn any_changes_go_back(before in vec(change(), 0..12), after in vec(change(), 0..12)) {
        let repository = Repository::new();
        for change in &before {
            apply(&repository, change);
        }
        let others = ["ls-files", "-z", "--others", "--ignored", "--exclude-standard"];
        let ignored = repository.git(&others);
        let ignored: Vec<_> = ignored.split_terminator('\0').map(Path::new).collect();
        let (files, known) = (repository.files(), repository.known());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let snapshot = runtime.block_on(repository.take());
        prop_assert_eq!((repository.files(), repository.known()), (files.clone(), known.clone()));
        let index = repository.git(&["ls-files", "--stage"]);
        for change in &after {
            apply(&repository, change);
        }
        let changed = repository.files();
        runtime.block_on(snapshot.restore(&repository.work())).unwrap();
        let restored = repository.files();
        prop_assert_eq!(repository.git(&["ls-files", "--stage"]), index);
        for (path, file) in &files {
            if ignored.contains(&path.as_path()) {
                prop_assert!(restored.contains_key(path) || !changed.contains_key(path), "{:?}", path);
            } else {
                prop_assert_eq!(restored.get(path), Some(file), "{:?}", path);
            }
        }
        // Of a folder that was ignored as a whole nobody knows what is new.
        let lists = [&snapshot.preexisting_untracked_files, &snapshot.preexisting_untracked_dirs];
        let named: Vec<_> = lists.into_iter().flatten().flatten().map(GitPath::as_path).collect();
        for path in restored.keys().filter(|path| !files.contains_key(*path)) {
            prop_assert!(named.iter().any(|name| path.starts_with(name)), "{:?} is new", path);
        }
    }
}
