//! Snapshots of sessions that were opened again: an undo goes back to them, and once only.

use longhaul::coding::Snapshots;
use longhaul::prelude::*;
use longhaul::rollout::{FileStore, LogRef, OnDamage};
use longhaul_testkit::ScriptedModel;

use super::support::{scripted, until};
use super::undo::{Folder, snapshots, undo, writer};

/// A repository, and a session that works in it and is kept in files.
struct Work {
    folder: Folder,
    agent: Agent,
}

impl Work {
    /// Two turns, each of which writes; then summaries.
    fn new() -> Self {
        let model = ScriptedModel::new()
            .call("c1", "write", "2")
            .text("done")
            .call("c2", "write", "3")
            .text("done")
            .text("SUMMARY")
            .repeat_last();
        Self::with(&model)
    }

    fn with(model: &ScriptedModel) -> Self {
        let folder = Folder::repository();
        let store = FileStore::new(folder.0.join(".git/sessions"));
        let agent = scripted(model).tool(writer(&folder.0)).task(Snapshots).cwd(&folder.0);
        Self { agent: agent.store(store).build().unwrap(), folder }
    }

    async fn after_turns(&self) -> Session {
        let session = self.agent.session().start().await.unwrap();
        for prompt in ["a", "b"] {
            session.prompt(prompt).await.unwrap().await.unwrap();
        }
        session
    }

    /// The session, opened again.
    async fn again(&self, session: Session) -> Session {
        session.shutdown().await.unwrap();
        let which = LogRef::Path(session.log_path().unwrap().to_owned());
        let again = self.agent.session().resume(which, OnDamage::Refuse).start().await.unwrap();
        assert_eq!(
            again.preview_request("x").await.unwrap(),
            session.preview_request("x").await.unwrap()
        );
        again
    }

    fn text(&self) -> String {
        self.folder.read("a.txt").unwrap()
    }
}

#[tokio::test]
async fn each_undo_goes_one_turn_back_and_what_was_undone_does_not_come_back() {
    let work = Work::new();
    let mut session = work.after_turns().await;
    for (left, text) in [(1, "2"), (0, "one")] {
        session = work.again(session).await;
        assert_eq!(snapshots(&session), left + 1);
        assert!(undo(&session).await.0);
        assert_eq!((work.text(), snapshots(&session)), (text.into(), left));
    }
    session = work.again(session).await;
    assert_eq!(snapshots(&session), 0);
    let (success, message) = undo(&session).await;
    assert!(!success && message.contains("no snapshot"), "{message}");
}

#[tokio::test]
async fn snapshots_are_there_after_a_compaction_too() {
    let work = Work::new();
    let session = work.after_turns().await;
    session.compact().unwrap().await.unwrap();
    let session = work.again(session).await;
    assert!(undo(&session).await.0);
    assert_eq!((work.text(), snapshots(&session)), ("2".into(), 1));
    let session = work.again(session).await;
    assert!(!session.undo_compaction().await.unwrap(), "a snapshot would come back with it");
    assert!(undo(&session).await.0);
    assert_eq!((work.text(), snapshots(&session)), ("one".into(), 0));
}

/// The conversation of before has the snapshots that it had.
#[tokio::test]
async fn a_compaction_that_is_taken_back_loses_no_snapshot() {
    let work = Work::new();
    let session = work.after_turns().await;
    session.compact().unwrap().await.unwrap();
    let session = work.again(session).await;
    assert!(session.undo_compaction().await.unwrap());
    let session = work.again(session).await;
    for text in ["2", "one"] {
        assert!(undo(&session).await.0);
        assert_eq!(work.text(), text);
    }
}

#[tokio::test]
async fn a_turn_that_was_cut_off_is_undone_after_it_went_on_and_has_one_snapshot() {
    let model = ScriptedModel::new().call("c1", "write", "2").hang().text("done");
    let work = Work::with(&model);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let agent = work.agent.clone();
    let path = runtime.spawn(async move {
        let session = agent.session().start().await.unwrap();
        let mut turn = session.prompt("a").await.unwrap();
        until(&mut turn, |line| line.starts_with("end c1")).await;
        let path = session.log_path().unwrap().to_owned();
        // Whoever is killed lets nothing go.
        std::mem::forget((session, turn));
        path
    });
    let path = path.await.unwrap();
    tokio::task::spawn_blocking(move || drop(runtime)).await.unwrap();
    let opening = work.agent.session().resume(LogRef::Path(path), OnDamage::Refuse);
    let session = opening.start().await.unwrap();
    session.continue_turn().unwrap().await.unwrap();
    assert_eq!((work.text(), snapshots(&session)), ("2".into(), 1));
    let session = work.again(session).await;
    assert!(undo(&session).await.0);
    assert_eq!((work.text(), work.folder.read("new-c1.txt")), ("one".into(), None));
}
