//! What was said before a session was opened, also before it was forked or taken over.

use longhaul::ForkPoint;
use longhaul::prelude::*;
use longhaul::rollout::{
    LogRef, MemoryStore, OnDamage, RECENT_BYTES, RECENT_MESSAGES, RecentMessages, Store,
};
use longhaul_testkit::ScriptedModel;

use super::support::scripted;

fn texts(recent: &RecentMessages) -> Vec<String> {
    recent.items.iter().map(|it| it.kind.message_text().unwrap()).collect()
}

/// An agent that says the number of its answer.
fn agent(store: &MemoryStore) -> Agent {
    let model = ScriptedModel::new().text("1").text("2").text("summary").text("3").text("4");
    scripted(&model.repeat_last()).store(store.clone()).build().unwrap()
}

/// A session that was compacted behind two turns, and went on for two; closed.
async fn compacted(agent: &Agent) -> LogRef {
    let session = agent.session().start().await.unwrap();
    session.prompt("a").await.unwrap().await.unwrap();
    session.prompt("b").await.unwrap().await.unwrap();
    session.compact().unwrap().await.unwrap();
    session.prompt("c").await.unwrap().await.unwrap();
    session.prompt("d").await.unwrap().await.unwrap();
    let which = LogRef::Id(session.id().to_owned());
    session.shutdown().await.unwrap();
    which
}

async fn resumed(agent: &Agent, id: &str) -> RecentMessages {
    let which = LogRef::Id(id.to_owned());
    let session = agent.session().resume(which, OnDamage::Refuse).start().await.unwrap();
    let recent = session.take_recent_messages();
    session.shutdown().await.unwrap();
    recent
}

/// Of what was compacted before the fork, a fork shows as much when it is opened again, and when that
/// is forked, as when it began; and the model is sent none of it.
#[tokio::test]
async fn a_fork_shows_what_was_said_before_it_whenever_it_is_opened() {
    let store = MemoryStore::new();
    let agent = agent(&store);
    let mut which = compacted(&agent).await;
    for _ in 0..3 {
        let fork = agent.session().fork_log(which.clone(), ForkPoint::End);
        let fork = fork.start().await.unwrap();
        let begun = fork.take_recent_messages();
        assert_eq!(texts(&begun), ["a", "1", "b", "2", "c", "3", "d", "4"]);
        let len = fork.history().len();
        fork.shutdown().await.unwrap();
        for _ in 0..2 {
            assert_eq!(resumed(&agent, fork.id()).await, begun, "with the same ids");
        }
        which = LogRef::Id(fork.id().to_owned());
        let replay = store.read(&which, OnDamage::Refuse.into()).await.unwrap();
        assert_eq!(replay.items.len(), len, "they are not of the conversation");
    }
    // What was compacted is shown of a fork that begins before a later message, too.
    let fork = agent.session().fork_log(which, ForkPoint::BeforeUserMessage(1));
    let fork = fork.start().await.unwrap();
    let begun = fork.take_recent_messages();
    assert_eq!(texts(&begun).len(), 6);
    fork.shutdown().await.unwrap();
    assert_eq!(resumed(&agent, fork.id()).await, begun);
}

/// What it keeps of them is what is shown at most, however much was compacted.
#[tokio::test]
async fn what_a_fork_keeps_to_be_shown_is_bounded() {
    let store = MemoryStore::new();
    let model = ScriptedModel::new().text("x".repeat(RECENT_BYTES / 8)).repeat_last();
    let agent = scripted(&model).store(store.clone()).context_window(10_000_000).build().unwrap();
    let session = agent.session().start().await.unwrap();
    for turn in 0..12 {
        session.prompt(turn.to_string()).await.unwrap().await.unwrap();
    }
    session.compact().unwrap().await.unwrap();
    let which = LogRef::Id(session.id().to_owned());
    session.shutdown().await.unwrap();
    let parent = store.bytes(session.id()).unwrap().len();
    assert!(parent > RECENT_BYTES * 5 / 4);
    let fork = agent.session().fork_log(which, ForkPoint::End).start().await.unwrap();
    let begun = fork.take_recent_messages();
    assert!(begun.is_truncated && begun.items.len() < RECENT_MESSAGES);
    fork.shutdown().await.unwrap();
    assert_eq!(resumed(&agent, fork.id()).await, begun);
    let len = store.bytes(fork.id()).unwrap().len();
    println!("{len} bytes in the log of the fork, {parent} in that of its parent");
    assert!(len < RECENT_BYTES + RECENT_BYTES / 10 + 64 * 1024, "{len}");
}
