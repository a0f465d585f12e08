//! A log that is written slowly.

use std::path::Path;

use futures_util::FutureExt;
use longhaul::rollout::MemoryStore;
use longhaul::state::protocol::SettingsUpdate;
use longhaul_testkit::ScriptedModel;

use super::kept::{Full, again};
use super::support::{scripted, yield_twice};

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
