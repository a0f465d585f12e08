//! Sessions that are kept in a log, and opened again.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use longhaul::ForkPoint;
use longhaul::approval::{ApprovalDecision, Approvals};
use longhaul::prelude::*;
use longhaul::rollout::{LogRef, MemoryStore, OnDamage, Store};
use longhaul_testkit::ScriptedModel;

use super::full::Full;
use super::support::{Probe, conversation, lines, scripted, until};

/// A session like the one with this id, out of its log.
pub(crate) async fn again(agent: &Agent, id: &str) -> Session {
    let which = LogRef::Id(id.to_owned());
    agent.session().resume(which, OnDamage::Refuse).start().await.unwrap()
}

#[tokio::test]
async fn a_session_goes_on_where_it_was_left() {
    let model = ScriptedModel::new().call("c1", "look", "{}").text("one").text("two");
    let store = MemoryStore::new();
    let agent = scripted(&model).tool(Probe::echo("look")).store(store.clone()).build().unwrap();
    let session = agent.session().start().await.unwrap();
    let id = session.id().to_owned();
    let mut turn = session.prompt("go").await.unwrap();
    let seen = lines(&mut turn).await;
    assert_eq!(seen.last().unwrap(), "complete one");
    turn.await.unwrap();
    let expected = session.preview_request("next").await.unwrap();
    let (used, _) = session.token_count();
    session.shutdown().await.unwrap();

    let session = again(&agent, &id).await;
    assert_eq!(session.id(), id);
    assert_eq!(session.resumed().unwrap().open_turn, None);
    assert_eq!(session.token_count().0, used);
    assert_eq!(session.preview_request("next").await.unwrap(), expected);
    let result = session.prompt("next").await.unwrap().await.unwrap();
    assert_eq!(result.last_message.as_deref(), Some("two"));
    model.assert_complete();
}

#[tokio::test]
async fn one_owner_at_a_time() {
    let store = MemoryStore::new();
    let model = ScriptedModel::new();
    let agent = scripted(&model).store(store).build().unwrap();
    let session = agent.session().start().await.unwrap();
    let which = LogRef::Id(session.id().to_owned());
    let open = || agent.session().resume(which.clone(), OnDamage::Refuse).start();
    let error = open().await.unwrap_err().to_string();
    assert!(error.contains("open for writing"), "{error}");
    session.shutdown().await.unwrap();
    open().await.unwrap();
}

#[tokio::test]
async fn f107_a_session_whose_log_was_taken_over_sends_nothing_any_more() {
    let store = MemoryStore::new();
    let model = ScriptedModel::new().text("one").text("two");
    let agent = scripted(&model).store(store.clone()).build().unwrap();
    let old = agent.session().start().await.unwrap();
    store.expire(old.id());
    old.prompt("a").await.unwrap().await.unwrap();
    let new = again(&agent, old.id()).await;
    let error = old.prompt("lost").await.unwrap_err();
    assert!(error.to_string().contains("epoch"), "{error}");
    new.prompt("b").await.unwrap().await.unwrap();
    old.shutdown().await.unwrap_err();
    new.shutdown().await.unwrap();
    let left = conversation(&again(&agent, old.id()).await.history());
    assert_eq!(left, ["user a", "assistant one", "user b", "assistant two"]);
    model.assert_complete();
}

#[tokio::test]
async fn f080_what_cannot_be_kept_is_not_acknowledged_and_is_kept_when_there_is_space() {
    let model = ScriptedModel::new().text("one").text("two").text("three");
    let store = Full::default();
    let agent = scripted(&model).store(store.clone()).build().unwrap();
    let session = agent.session().start().await.unwrap();
    session.prompt("a").await.unwrap().await.unwrap();

    store.no_space.store(true, Ordering::Relaxed);
    for text in ["b", "c"] {
        let error = session.prompt(text).await.unwrap_err();
        assert!(error.is_retryable() && error.to_string().contains("make space"), "{error}");
    }
    assert_eq!(model.requests().len(), 1, "no request leaves before what it says is kept");

    store.no_space.store(false, Ordering::Relaxed);
    let mut turn = session.prompt("d").await.unwrap();
    let seen = lines(&mut turn).await;
    assert_eq!(seen[..3], ["started", "item+ user", "item= user d"]);
    assert_eq!(turn.await.unwrap().last_message.as_deref(), Some("two"));
    let expected = session.preview_request("next").await.unwrap();
    let id = session.id().to_owned();
    session.shutdown().await.unwrap();
    let session = again(&agent, &id).await;
    assert_eq!(
        conversation(&session.history()),
        ["user a", "assistant one", "user b", "user d", "assistant two"]
    );
    assert_eq!(session.preview_request("next").await.unwrap(), expected);
}

#[tokio::test]
async fn a_session_that_ends_says_whether_its_log_is_whole() {
    for comes_space in [false, true] {
        let model = ScriptedModel::new().text("one").text("two");
        let store = Full::default();
        let agent = scripted(&model).store(store.clone()).build().unwrap();
        let session = agent.session().start().await.unwrap();
        store.no_space.store(true, Ordering::Relaxed);
        session.prompt("a").await.unwrap_err();
        store.no_space.store(!comes_space, Ordering::Relaxed);
        let ended = session.shutdown().await.map_err(|error| error.code());
        assert_eq!(ended, if comes_space { Ok(()) } else { Err("storage") });
        store.no_space.store(false, Ordering::Relaxed);
        let left = conversation(&again(&agent, session.id()).await.history());
        assert_eq!(left, if comes_space { vec!["user a"] } else { vec![] });
    }
}

#[tokio::test]
async fn a_fork_begins_when_its_parent_is_kept_until_there() {
    let model = ScriptedModel::new().text("one").text("two");
    let store = Full::default();
    let agent = scripted(&model).store(store.clone()).build().unwrap();
    let session = agent.session().start().await.unwrap();
    session.prompt("a").await.unwrap().await.unwrap();
    store.no_space.store(true, Ordering::Relaxed);
    session.prompt("b").await.unwrap_err();
    for at in [ForkPoint::BeforeUserMessage(1), ForkPoint::Behind(0), ForkPoint::End] {
        let fork = agent.session().fork(&session, at).unwrap().start().await;
        assert!(fork.err().unwrap().to_string().contains("make space"), "{at:?}");
    }
    store.no_space.store(false, Ordering::Relaxed);
    let fork = agent.session().fork(&session, ForkPoint::End).unwrap().start().await.unwrap();
    assert_eq!(conversation(&fork.history()), ["user a", "assistant one", "user b"]);
    let which = |session: &Session| LogRef::Id(session.id().to_owned());
    let child = store.read(&which(&fork), OnDamage::Refuse.into()).await.unwrap();
    let parent = store.read(&which(&session), OnDamage::Refuse.into()).await.unwrap();
    let from = child.meta.unwrap().forked_from.unwrap();
    assert_eq!(from.ordinal, Some(parent.next_ordinal - 1));
    assert_eq!(session.log_position(), from.ordinal);
}

#[tokio::test]
async fn a_compaction_asks_when_what_it_says_is_kept() {
    let model = ScriptedModel::new().text("one").text("SUMMARY");
    let store = Full::default();
    let agent = scripted(&model).store(store.clone()).build().unwrap();
    let session = agent.session().start().await.unwrap();
    session.prompt("a".repeat(1_000)).await.unwrap().await.unwrap();
    store.no_space.store(true, Ordering::Relaxed);
    let pinned = session.pin(&longhaul::history::Item::user("pinned")).await;
    assert_eq!(pinned.unwrap_err().code(), "storage");
    let error = session.compact().unwrap().await.unwrap_err();
    assert_eq!((error.code(), model.requests().len()), ("storage", 1));
    store.no_space.store(false, Ordering::Relaxed);
    session.compact().unwrap().await.unwrap();
    assert_eq!(model.requests().len(), 2);
}

#[tokio::test]
async fn a_session_that_has_ended_stays_kept_whatever_is_tried_then() {
    let model = ScriptedModel::new().text("one");
    let agent = scripted(&model).store(MemoryStore::new()).build().unwrap();
    let session = agent.session().start().await.unwrap();
    let mut events = session.events();
    session.prompt("a").await.unwrap().await.unwrap();
    session.shutdown().await.unwrap();
    assert_eq!(session.prompt("late").await.err().unwrap().code(), "closed");
    assert_eq!(session.steer("late").await.err().unwrap().code(), "closed");
    session.shutdown().await.unwrap();
    let mut last = None;
    while let Some(event) = events.next().await {
        last = Some(super::support::line(&event.event));
    }
    assert_eq!(last.as_deref(), Some("ended"));
}

#[tokio::test]
async fn a_tool_starts_when_that_it_starts_is_kept() {
    let model = ScriptedModel::new().call("c1", "look", "{}").text("done");
    let store = Full::default();
    let no_space = Arc::clone(&store.no_space);
    let agent = scripted(&model).tool(Probe::echo("look")).store(store).build().unwrap();
    let session = agent.session().start().await.unwrap();
    let mut turn = session.prompt("go").await.unwrap();
    model.wait_for_requests(1).await;
    no_space.store(true, Ordering::Relaxed);
    let seen = lines(&mut turn).await;
    assert!(!seen.iter().any(|line| line.starts_with("begin")), "{seen:?}");
    assert_eq!(turn.await.unwrap_err().code(), "storage");
    no_space.store(false, Ordering::Relaxed);
    session.prompt("on").await.unwrap().await.unwrap();
    assert_eq!(
        conversation(&session.history())[..3],
        ["user go", "call c1 look {}", "output c1 aborted: had started, effect unknown"]
    );
}

#[tokio::test]
async fn a_call_that_a_crash_cut_off_is_answered_with_what_is_known_of_it() {
    let model = ScriptedModel::new()
        .calls([("c1", "look", "1"), ("c2", "hang", "2"), ("c3", "change", "3")])
        .text("well");
    let store = MemoryStore::new();
    let builder = || {
        let agent = scripted(&model).store(store.clone()).tool(Probe::echo("look"));
        agent.tool(Probe::endless("hang").write()).tool(Probe::echo("change").write())
    };
    let agent = builder().build().unwrap();
    let id = cut_off(agent, "begin c2").await;

    let agent = builder().build().unwrap();
    let session = again(&agent, &id).await;
    let resumed = session.resumed().unwrap();
    assert_eq!(resumed.open_turn.as_deref(), Some("turn"));
    assert_eq!(resumed.unknown_calls, ["c2"]);
    session.prompt("and now?").await.unwrap().await.unwrap();
    assert_eq!(
        conversation(&session.history()),
        [
            "user go",
            "call c1 look 1",
            "output c1 1",
            "call c2 hang 2",
            "output c2 aborted: had started, effect unknown",
            "call c3 change 3",
            "output c3 aborted: not started",
            "user and now?",
            "assistant well",
        ]
    );
    assert_eq!(model.problems(), [""; 0]);
}

/// A process that is gone as soon as an event like this is told; gives the session's id.
pub(crate) async fn cut_off(agent: Agent, at: &'static str) -> String {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let running = runtime.spawn(async move {
        let session = agent.session().start().await.unwrap();
        let mut turn = session.prompt(Input::from("go").id("turn")).await.unwrap();
        until(&mut turn, |line| line.starts_with(at)).await;
        let id = session.id().to_owned();
        // Whoever is killed lets nothing go.
        std::mem::forget((session, turn));
        id
    });
    let id = running.await.unwrap();
    tokio::task::spawn_blocking(move || drop(runtime)).await.unwrap();
    id
}

#[tokio::test]
async fn a_turn_that_was_cut_off_goes_on_and_its_approvals_wait_again() {
    let model =
        ScriptedModel::new().calls([("c1", "look", "1"), ("c2", "risky", "2")]).text("well");
    let store = MemoryStore::new();
    let builder = || {
        let agent = scripted(&model).store(store.clone()).tool(Probe::echo("look"));
        let agent = agent.tool(Probe::echo("risky").write().asks());
        agent.approvals(Approvals::answered()).build().unwrap()
    };
    let id = cut_off(builder(), "end c1").await;
    let session = again(&builder(), &id).await;
    assert_eq!(session.resumed().unwrap().unknown_calls, [""; 0]);
    let mut turn = session.continue_turn().unwrap();
    assert_eq!(turn.id(), "turn");
    until(&mut turn, |line| line.starts_with("ask c2 risky 2")).await;
    assert_eq!(session.pending_approvals().len(), 1);
    session.answer("c2", None, ApprovalDecision::Approved).await.unwrap();
    let seen = lines(&mut turn).await;
    assert_eq!(turn.await.unwrap().last_message.as_deref(), Some("well"), "{seen:?}");
    let history = conversation(&session.history());
    assert_eq!(history[3..], ["call c2 risky 2", "output c2 2", "assistant well"]);
    assert_eq!(session.continue_turn().err().unwrap().code(), "invalid_submission", "once");
    model.assert_complete();
}

#[tokio::test]
async fn what_had_started_runs_again_if_its_tool_allows_that() {
    let model =
        ScriptedModel::new().calls([("c1", "reads", "1"), ("c2", "writes", "2")]).text("well");
    let store = MemoryStore::new();
    let first = scripted(&model).store(store.clone()).tool(Probe::endless("reads"));
    let id = cut_off(first.tool(Probe::echo("writes").write()).build().unwrap(), "begin c1").await;
    let second = scripted(&model).store(store.clone()).tool(Probe::echo("reads"));
    let agent = second.tool(Probe::echo("writes").write()).build().unwrap();
    let session = again(&agent, &id).await;
    assert_eq!(session.resumed().unwrap().unknown_calls, [""; 0]);
    session.continue_turn().unwrap().await.unwrap();
    assert_eq!(
        conversation(&session.history())[1..],
        ["call c1 reads 1", "output c1 1", "call c2 writes 2", "output c2 2", "assistant well"]
    );
}
