//! Snapshots, and going back to them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use longhaul::coding::Snapshots;
use longhaul::history::ItemKind;
use longhaul::prelude::*;
use longhaul::task::Regular;
use longhaul_testkit::ScriptedModel;
use longhaul_testkit::server::Gate;

use super::support::{Probe, blocking, items, lines, scripted, until};

/// A folder that is removed in the end.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::SeqCst);
        let path =
            std::env::temp_dir().join(format!("longhaul-undo-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path.canonicalize().unwrap())
    }

    /// A folder that is a repository with one committed file.
    pub(crate) fn repository() -> Self {
        let folder = Self::new();
        folder.write("a.txt", "one");
        for arguments in [
            &["init", "--quiet"][..],
            &["add", "."],
            &["-c", "user.name=x", "-c", "user.email=x@x", "commit", "--quiet", "-m", "first"],
        ] {
            let git = Command::new("git").args(arguments).current_dir(&folder.0).status();
            assert!(git.expect("git is installed").success());
        }
        folder
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.join(name), text).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> Option<String> {
        std::fs::read_to_string(self.0.join(name)).ok()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A tool that writes its arguments, a JSON string, to `a.txt` and to a new file.
pub(crate) fn writer(folder: &Path) -> Probe {
    let folder = folder.to_owned();
    let write = move |call: longhaul::tool::ToolCall, _| {
        let folder = folder.clone();
        async move {
            std::fs::write(folder.join("a.txt"), &call.arguments).unwrap();
            std::fs::write(folder.join(format!("new-{}.txt", call.call_id)), "new").unwrap();
            ToolOutput::text("written")
        }
    };
    Probe::new("write", write).write()
}

/// Lets git wait, in mid-restore of `a.txt`, until the gate is opened and dropped.
#[cfg(unix)]
struct Gated(Folder);

#[cfg(unix)]
impl Gated {
    fn new(folder: &Folder) -> Self {
        let gated = Self(Folder::new());
        let gate = gated.0.0.join("gate");
        assert!(Command::new("mkfifo").arg(&gate).status().unwrap().success());
        let smudge = format!("cat '{}' >/dev/null; cat", gate.display());
        let config = ["config", "filter.gated.smudge", &smudge];
        let git = Command::new("git").args(config).current_dir(&folder.0).status();
        assert!(git.unwrap().success());
        std::fs::write(folder.0.join(".git/info/attributes"), "a.txt filter=gated\n").unwrap();
        gated
    }

    /// Completes when git waits.
    async fn reached(&self) -> std::fs::File {
        let gate = self.0.0.join("gate");
        blocking(move || std::fs::File::options().write(true).open(gate).unwrap()).await
    }
}

async fn turns() {
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
}

async fn open(model: &ScriptedModel, folder: &Folder) -> Session {
    open_with(model, folder, |agent| agent).await
}

async fn open_with(
    model: &ScriptedModel,
    folder: &Folder,
    with: impl Fn(longhaul::AgentBuilder) -> longhaul::AgentBuilder,
) -> Session {
    let agent = scripted(model).tool(writer(&folder.0)).task(Snapshots).cwd(&folder.0);
    with(agent).build().unwrap().session().start().await.unwrap()
}

pub(crate) async fn undo(session: &Session) -> (bool, String) {
    let mut turn = session.undo().unwrap();
    let seen = lines(&mut turn).await;
    assert_eq!((&*seen[0], &*seen[seen.len() - 1]), ("started", "complete -"));
    assert!(seen[1].starts_with("UndoStarted"), "{seen:?}");
    turn.await.unwrap();
    let told = seen[2].strip_prefix("UndoCompleted { success: ").unwrap();
    let (success, message) = told.split_once(", message: Some(").unwrap();
    (success == "true", message.to_owned())
}

pub(crate) fn snapshots(session: &Session) -> usize {
    let history = session.history();
    history.iter().filter(|item| item.kind() == ItemKind::GhostSnapshot).count()
}

#[tokio::test]
async fn each_undo_goes_back_before_one_more_turn() {
    let folder = Folder::repository();
    folder.write("mine.txt", "not yet added");
    let model = ScriptedModel::new()
        .call("c1", "write", "2")
        .text("done")
        .call("c2", "write", "3")
        .text("done");
    let session = open(&model, &folder).await;
    for prompt in ["a", "b"] {
        session.prompt(prompt).await.unwrap().await.unwrap();
    }
    assert_eq!((folder.read("a.txt").unwrap(), snapshots(&session)), ("3".into(), 2));
    let seen = items(&model.requests()[3].input());
    assert!(!seen.iter().any(|item| item.contains("ghost")), "no model sees it: {seen:?}");

    assert!(undo(&session).await.0);
    assert_eq!(folder.read("a.txt").unwrap(), "2");
    assert!(folder.read("new-c1.txt").is_some() && folder.read("new-c2.txt").is_none());
    assert!(undo(&session).await.0);
    assert_eq!(folder.read("a.txt").unwrap(), "one");
    assert!(folder.read("new-c1.txt").is_none());
    assert_eq!(folder.read("mine.txt").unwrap(), "not yet added", "what was there is kept");
    let (success, message) = undo(&session).await;
    assert!(!success && message.contains("no snapshot"), "{message}");
    assert_eq!(snapshots(&session), 0);
    model.assert_complete();
}

#[tokio::test]
async fn an_undo_works_after_a_compaction() {
    let folder = Folder::repository();
    let model = ScriptedModel::new().call("c1", "write", "2").text("done").text("SUMMARY");
    let session = open(&model, &folder).await;
    session.prompt("a").await.unwrap().await.unwrap();
    session.compact().unwrap().await.unwrap();
    assert_eq!(snapshots(&session), 1);
    assert!(undo(&session).await.0);
    assert_eq!(folder.read("a.txt").unwrap(), "one");
}

#[tokio::test]
async fn where_no_snapshot_can_be_taken_that_is_told_and_the_turn_goes_on() {
    let folder = Folder::new();
    let model = ScriptedModel::new().call("c1", "write", "2").text("done");
    let session = open(&model, &folder).await;
    let mut turn = session.prompt("a").await.unwrap();
    let seen = lines(&mut turn).await;
    let told: Vec<_> = seen.iter().filter(|line| line.contains("Snapshots disabled: ")).collect();
    assert_eq!(told.len(), 1, "{seen:?}");
    assert_eq!(seen.last().unwrap(), "complete done");
    assert_eq!(folder.read("a.txt").unwrap(), "2");
    let (success, message) = undo(&session).await;
    assert!(!success && message.contains("no snapshot"), "{message}");
    assert_eq!(folder.read("a.txt").unwrap(), "2", "nothing is touched");
}

#[tokio::test]
async fn an_undo_that_fails_deletes_nothing_and_can_be_tried_again() {
    let folder = Folder::repository();
    let model = ScriptedModel::new().call("c1", "write", "2").text("done");
    let session = open(&model, &folder).await;
    session.prompt("a").await.unwrap().await.unwrap();
    let lock = folder.0.join(".git/index.lock");
    std::fs::write(&lock, "").unwrap();
    let (success, message) = undo(&session).await;
    assert!(!success && message.contains("index.lock"), "{message}");
    assert!(folder.read("new-c1.txt").is_some());
    std::fs::remove_file(&lock).unwrap();
    assert!(undo(&session).await.0);
    assert_eq!((folder.read("a.txt").unwrap(), folder.read("new-c1.txt")), ("one".into(), None));
}

#[tokio::test]
async fn an_interrupted_turn_has_its_snapshot_too() {
    let folder = Folder::repository();
    let gate = Gate::new("after the tool");
    let model = ScriptedModel::new().call("c1", "write", "2").hold(&gate).text("never read");
    let session = open(&model, &folder).await;
    let turn = session.prompt("a").await.unwrap();
    gate.reached().await;
    session.interrupt();
    assert!(turn.await.unwrap().is_interrupted());
    assert_eq!(folder.read("a.txt").unwrap(), "2");
    assert!(undo(&session).await.0);
    assert_eq!(folder.read("a.txt").unwrap(), "one");
}

#[tokio::test]
async fn an_undo_replaces_the_running_turn() {
    let folder = Folder::repository();
    let model = ScriptedModel::new().call("c1", "write", "2").hang();
    let session = open(&model, &folder).await;
    let mut turn = session.prompt("a").await.unwrap();
    model.wait_for_requests(2).await;
    assert!(undo(&session).await.0);
    assert_eq!(lines(&mut turn).await.last().unwrap(), "aborted replaced");
    assert_eq!(folder.read("a.txt").unwrap(), "one");
}

#[tokio::test]
async fn an_undo_that_is_ended_before_it_began_restores_nothing() {
    let folder = Folder::repository();
    let model = ScriptedModel::new().call("c1", "write", "2").text("done").hang();
    let session = open(&model, &folder).await;
    session.prompt("a").await.unwrap().await.unwrap();

    let mut undoing = session.undo().unwrap();
    session.interrupt();
    assert_eq!(lines(&mut undoing).await, ["started", "aborted"]);
    let mut undoing = session.undo().unwrap();
    let review = session.review("x").unwrap();
    let seen = lines(&mut undoing).await;
    assert_eq!(seen.last().unwrap(), "aborted replaced");
    assert!(!seen.iter().any(|line| line.starts_with("Undo")), "{seen:?}");
    session.interrupt();
    review.await.unwrap();
    assert_eq!((folder.read("a.txt").unwrap(), snapshots(&session)), ("2".into(), 1));
}

#[cfg(unix)]
#[tokio::test]
async fn an_undo_that_waits_for_another_can_be_interrupted() {
    let folder = Folder::repository();
    let model = ScriptedModel::new().call("c1", "write", "2").text("done");
    let session = open(&model, &folder).await;
    session.prompt("a").await.unwrap().await.unwrap();
    let gated = Gated::new(&folder);
    let first = session.undo().unwrap();
    let gate = gated.reached().await;
    let mut second = session.undo().unwrap();
    assert!(first.await.unwrap().is_interrupted());
    until(&mut second, |line| line.starts_with("UndoStarted")).await;
    session.interrupt();
    let seen = lines(&mut second).await;
    assert!(seen[0].contains("interrupted before anything was changed"), "{seen:?}");
    assert_eq!(seen.last().unwrap(), "aborted");
    drop(gate);
}

#[cfg(unix)]
#[tokio::test]
async fn the_tools_of_later_turns_wait_for_an_undo_that_was_interrupted() {
    let folder = Folder::repository();
    let model = ScriptedModel::new().call("c1", "write", "2").text("done");
    let model = model.call("c2", "write", "3").text("done");
    let session = open(&model, &folder).await;
    session.prompt("a").await.unwrap().await.unwrap();
    let gated = Gated::new(&folder);
    let mut undoing = session.undo().unwrap();
    let gate = gated.reached().await;
    tokio::time::pause();
    let interrupted = tokio::time::Instant::now();
    session.interrupt();
    let seen = lines(&mut undoing).await;
    assert_eq!(interrupted.elapsed(), Duration::ZERO, "it need not be dropped");
    tokio::time::resume();
    assert!(seen[2].contains("finishes what it has begun"), "{seen:?}");
    assert_eq!(seen.last().unwrap(), "aborted");
    let mut turn = session.prompt(Input::from("b").task(Regular)).await.unwrap();
    let mut seen = until(&mut turn, |line| line.starts_with("tokens")).await;
    turns().await;
    assert_eq!(folder.read("new-c2.txt"), None, "no tool runs yet");
    drop(gate);
    seen.extend(lines(&mut turn).await);
    assert!(seen.contains(&"end c2 ok written".to_owned()), "{seen:?}");
    assert_eq!(folder.read("a.txt").unwrap(), "3", "what came last stands");
}

/// The snapshot stands elsewhere then.
#[cfg(unix)]
#[tokio::test]
async fn a_compaction_that_is_taken_back_during_an_undo_does_not_bring_its_snapshot_back() {
    let folder = Folder::repository();
    let model = ScriptedModel::new().call("c1", "write", "2").text("done").text("SUMMARY");
    let session = open(&model, &folder).await;
    session.prompt("a").await.unwrap().await.unwrap();
    session.compact().unwrap().await.unwrap();
    let gated = Gated::new(&folder);
    let mut undoing = session.undo().unwrap();
    let gate = gated.reached().await;
    assert!(session.undo_compaction().await.unwrap());
    assert_eq!(snapshots(&session), 1);
    drop(gate);
    let seen = lines(&mut undoing).await;
    assert!(seen[2].starts_with("UndoCompleted { success: true"), "{seen:?}");
    assert_eq!((folder.read("a.txt").unwrap(), snapshots(&session)), ("one".into(), 0));
}

#[cfg(unix)]
#[tokio::test]
async fn a_shutdown_waits_for_an_undo_at_work() {
    let folder = Folder::repository();
    let model = ScriptedModel::new().call("c1", "write", "2").text("done");
    let session = open(&model, &folder).await;
    session.prompt("a").await.unwrap().await.unwrap();
    let gated = Gated::new(&folder);
    let mut undoing = session.undo().unwrap();
    let gate = gated.reached().await;
    let mut shutdown = std::pin::pin!(session.shutdown());
    tokio::select! {
        biased;
        _ = &mut shutdown => panic!("git is at work"),
        seen = lines(&mut undoing) => assert_eq!(seen.last().unwrap(), "aborted"),
    }
    tokio::select! {
        biased;
        _ = &mut shutdown => panic!("git is at work"),
        () = turns() => {}
    }
    drop(gate);
    shutdown.await.unwrap();
    assert_eq!((folder.read("a.txt").unwrap(), folder.read("new-c1.txt")), ("one".into(), None));
}

#[cfg(unix)]
#[tokio::test]
async fn a_turn_behind_an_undo_at_work_ends_without_a_snapshot() {
    let late = "background Snapshots disabled: none was taken before the turn's deadline";
    let off = "background snapshots are off: an undo is still at work";
    for (deadline, told) in [(5, late), (1_000, off)] {
        let folder = Folder::repository();
        let model = ScriptedModel::new().call("c1", "write", "2").text("done").text("at once");
        let deadline = Duration::from_secs(deadline);
        let session = open_with(&model, &folder, |agent| agent.turn_deadline(deadline)).await;
        session.prompt("a").await.unwrap().await.unwrap();
        let gated = Gated::new(&folder);
        let undoing = session.undo().unwrap();
        let gate = gated.reached().await;
        session.interrupt();
        undoing.await.unwrap();
        let mut turn = session.prompt("b").await.unwrap();
        tokio::time::pause();
        let seen = lines(&mut turn).await;
        tokio::time::resume();
        drop(gate);
        let tells = |line: &&String| line.starts_with("background");
        let ends = (seen.iter().filter(tells).collect(), &**seen.last().unwrap());
        assert_eq!(ends, (vec![&told.to_owned()], "complete at once"));
    }
}

#[tokio::test]
async fn a_turn_that_answers_again_has_one_snapshot() {
    #[derive(serde::Deserialize, schemars::JsonSchema)]
    struct Count {
        number: u32,
    }
    let folder = Folder::repository();
    let model =
        ScriptedModel::new().call("c1", "write", "2").text("no JSON").text(r#"{"number":7}"#);
    let session = open(&model, &folder).await;
    let count = session.prompt_as::<Count>("a").await.unwrap().await.unwrap();
    assert_eq!((count.number, snapshots(&session)), (7, 1));
    assert!(undo(&session).await.0);
    assert_eq!(folder.read("a.txt").unwrap(), "one");
}
