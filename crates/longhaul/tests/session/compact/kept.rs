//! A compaction is taken back out of the log, after the session was opened again.

use std::sync::atomic::Ordering;

use longhaul::prelude::*;
use longhaul::rollout::{LogRef, MemoryStore};
use longhaul_testkit::ScriptedModel;

use super::support::{bridge, last_sent, say};
use crate::full::Full;
use crate::kept::again;
use crate::support::{Probe, conversation, scripted};

fn model() -> ScriptedModel {
    ScriptedModel::new()
        .call("c1", "echo", "{}")
        .text("one")
        .text("SUMMARY")
        .text("x")
        .repeat_last()
}

const BEFORE: [&str; 4] = ["user first", "call c1 echo {}", "output c1 {}", "assistant one"];

fn agent(model: &ScriptedModel, store: impl longhaul::rollout::Store + 'static) -> Agent {
    scripted(model).tool(Probe::echo("echo")).store(store).build().unwrap()
}

/// A session with a turn, compacted, and left.
async fn left(agent: &Agent) -> Session {
    let session = agent.session().start().await.unwrap();
    say(&session, "first").await;
    session.compact().unwrap().await.unwrap();
    session.shutdown().await.unwrap();
    session
}

#[tokio::test]
async fn once_with_what_was_said_since_over_any_number_of_openings() {
    let model = model();
    let agent = agent(&model, MemoryStore::new());
    let id = left(&agent).await.id().to_owned();
    for text in ["second", "third"] {
        let session = again(&agent, &id).await;
        say(&session, text).await;
        session.shutdown().await.unwrap();
    }
    let session = again(&agent, &id).await;
    assert_eq!(conversation(&session.history())[0], bridge(&["first"], "SUMMARY"));
    assert!(session.undo_compaction().await.unwrap());
    let since = ["user second", "assistant x", "user third", "assistant x"];
    let expected = [&BEFORE[..], &since].concat();
    assert_eq!(conversation(&session.history()), expected);
    let next = session.preview_request("next").await.unwrap();
    assert!(!session.undo_compaction().await.unwrap(), "once");
    session.shutdown().await.unwrap();

    let session = again(&agent, &id).await;
    assert_eq!(session.preview_request("next").await.unwrap(), next);
    assert!(!session.undo_compaction().await.unwrap(), "once for ever");
    say(&session, "next").await;
    assert_eq!(last_sent(&model), [&expected[..], &["user next"]].concat());
}

#[tokio::test]
async fn what_a_session_compacts_after_it_was_opened_is_taken_back_first_and_alone() {
    let agent = agent(&model(), MemoryStore::new());
    let id = left(&agent).await.id().to_owned();
    let session = again(&agent, &id).await;
    say(&session, "second").await;
    let before = conversation(&session.history());
    session.compact().unwrap().await.unwrap();
    assert!(session.undo_compaction().await.unwrap());
    assert_eq!(conversation(&session.history()), before);
    assert!(!session.undo_compaction().await.unwrap());
}

#[tokio::test]
async fn of_two_who_ask_at_once_one_takes_it_back() {
    let agent = agent(&model(), MemoryStore::new());
    let session = again(&agent, left(&agent).await.id()).await;
    let both = tokio::join!(session.undo_compaction(), session.undo_compaction());
    let (one, other) = (both.0.unwrap(), both.1.unwrap());
    assert!(one ^ other);
    assert_eq!(conversation(&session.history()), BEFORE);
    session.shutdown().await.unwrap();
    assert_eq!(conversation(&again(&agent, session.id()).await.history()), BEFORE);
}

#[tokio::test]
async fn a_log_that_cannot_be_read_or_written_changes_nothing_that_is_not_told() {
    let store = Full::default();
    let agent = agent(&model(), store.clone());
    let session = again(&agent, left(&agent).await.id()).await;
    let compacted = conversation(&session.history());
    store.no_space.store(true, Ordering::Relaxed);
    let error = session.undo_compaction().await.unwrap_err();
    assert_eq!(error.code(), "storage");
    assert_eq!(conversation(&session.history()), compacted);

    // What is in memory is taken back, and told not to be kept yet.
    store.no_space.store(false, Ordering::Relaxed);
    say(&session, "second").await;
    let before = conversation(&session.history());
    session.compact().unwrap().await.unwrap();
    assert_ne!(conversation(&session.history()), before);
    store.no_space.store(true, Ordering::Relaxed);
    assert_eq!(session.undo_compaction().await.unwrap_err().code(), "storage");
    assert_eq!(conversation(&session.history()), before);
    store.no_space.store(false, Ordering::Relaxed);
    say(&session, "third").await;
    session.shutdown().await.unwrap();
    assert_eq!(session.undo_compaction().await.unwrap_err().code(), "closed");
    let expected = [&before[..], &["user third".into(), "assistant x".into()]].concat();
    assert_eq!(conversation(&again(&agent, session.id()).await.history()), expected);
}

/// The child's log has what it took over, and no compaction.
#[tokio::test]
async fn a_fork_takes_back_nothing() {
    let agent = agent(&model(), MemoryStore::new());
    let session = again(&agent, left(&agent).await.id()).await;
    say(&session, "second").await;
    let live = agent.session().fork(&session, 0).unwrap().start().await.unwrap();
    session.shutdown().await.unwrap();
    let which = LogRef::Id(session.id().to_owned());
    let kept = agent.session().fork_log(which, 0).start().await.unwrap();
    for fork in [live, kept] {
        assert!(!fork.undo_compaction().await.unwrap());
        fork.shutdown().await.unwrap();
        assert!(!again(&agent, fork.id()).await.undo_compaction().await.unwrap());
    }
}
