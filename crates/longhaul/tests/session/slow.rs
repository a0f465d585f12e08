//! A log that is written slowly.

use std::path::Path;

use futures_util::FutureExt;
use longhaul::rollout::MemoryStore;
use longhaul::state::protocol::SettingsUpdate;
use longhaul_testkit::ScriptedModel;
use longhaul_testkit::model::Answer;
use longhaul_testkit::server::Gate;
use longhaul_testkit::sse::ResponseBuilder;

use super::full::Full;
use super::kept::again;
use super::support::{Probe, lines, scripted, yield_times, yield_twice};

/// While a sync takes long the turn waits, others go on, and what waits to be kept does not grow.
#[tokio::test]
async fn f084_a_turn_waits_for_a_slow_log_and_no_more_than_its_step_waits_with_it() {
    let model = ScriptedModel::new().text("one").text("two").text("three");
    let store = Full::default();
    let agent = scripted(&model).store(store.clone()).build().unwrap();
    let slow = agent.session().start().await.unwrap();
    store.appends.lock().unwrap().clear();
    store.is_slow.send_replace(true);
    let session = slow.clone();
    let turn = tokio::spawn(async move { session.prompt("a").await.unwrap().await.unwrap() });
    yield_twice().await;
    assert_eq!(model.requests().len(), 0, "what it says is not kept yet");
    let others = scripted(&model).store(MemoryStore::new()).build().unwrap();
    let other = others.session().start().await.unwrap();
    for expected in ["one", "two"] {
        let result = other.prompt("b").await.unwrap().await.unwrap();
        assert_eq!(result.last_message.as_deref(), Some(expected));
    }
    for n in 0..1_000 {
        let mut change = SettingsUpdate::default();
        change.cwd = Some(format!("/{n}").into());
        assert!(slow.configure(change).now_or_never().is_none(), "not kept yet");
        yield_twice().await;
    }
    store.is_slow.send_replace(false);
    assert_eq!(turn.await.unwrap().last_message.as_deref(), Some("three"));
    slow.shutdown().await.unwrap();
    let appends = store.appends.lock().unwrap().clone();
    assert!(appends.iter().all(|records| records.len() < 10), "{appends:?}");
    let again = again(&agent, slow.id()).await;
    assert_eq!(again.settings().cwd.as_deref(), Some(Path::new("/999")));
}

/// Inputs that are given and taken back while nothing can be written leave nothing to be written.
#[tokio::test]
async fn what_is_given_and_taken_back_while_the_log_is_slow_leaves_nothing_behind() {
    let model = ScriptedModel::new().text("one");
    let store = Full::default();
    let agent = scripted(&model).store(store.clone()).build().unwrap();
    let session = agent.session().start().await.unwrap();
    store.appends.lock().unwrap().clear();
    store.is_slow.send_replace(true);
    let first = session.clone();
    let turn = tokio::spawn(async move { first.prompt("a").await.unwrap().await.unwrap() });
    yield_twice().await;
    for n in 0..1_000 {
        let given = session.prompt(format!("no {n}")).now_or_never();
        assert!(given.is_none(), "it is not kept yet");
    }
    store.is_slow.send_replace(false);
    assert_eq!(turn.await.unwrap().last_message.as_deref(), Some("one"));
    session.shutdown().await.unwrap();
    let appends = store.appends.lock().unwrap().clone();
    assert!(appends.iter().all(|records| records.len() < 10), "{appends:?}");
    assert_eq!(again(&agent, session.id()).await.resumed().unwrap().inputs, [""; 0]);
}

/// A turn that has its response while nothing can be written starts no tool and asks nothing more: what
/// waits is one step. It is interrupted, and its session ends, as soon as something can be.
#[tokio::test]
async fn a_turn_whose_log_stands_still_does_one_step_and_can_be_ended() {
    for shuts_down in [false, true] {
        let gate = Gate::new("the response");
        let calls = ResponseBuilder::new().call("c1", "look", "1").call("c2", "look", "2");
        let model = ScriptedModel::new().respond(Answer::default().hold(&gate).then(calls));
        let store = Full::default();
        let agent = scripted(&model).tool(Probe::echo("look")).store(store.clone());
        let agent = agent.build().unwrap();
        let session = agent.session().start().await.unwrap();
        let mut turn = session.prompt("a").await.unwrap();
        model.wait_for_requests(1).await;
        store.is_slow.send_replace(true);
        gate.open();
        yield_times(200).await;
        assert_eq!(session.history().len(), 3, "the response is there");
        let ending = session.clone();
        let ending = tokio::spawn(async move {
            if shuts_down {
                return ending.shutdown().await;
            }
            assert!(ending.interrupt());
            Ok(())
        });
        yield_times(200).await;
        assert_eq!(model.requests().len(), 1);
        store.is_slow.send_replace(false);
        let seen = lines(&mut turn).await;
        assert!(!seen.iter().any(|line| line.starts_with("begin")), "{seen:?}");
        assert!(turn.await.unwrap().is_interrupted());
        ending.await.unwrap().unwrap();
    }
}
