//! A session whose log cannot be written: what is not kept is not acknowledged, and what waits does not
//! grow.

use std::sync::atomic::Ordering;

use longhaul::events::SessionEvents;
use longhaul::prelude::*;
use longhaul::rollout::{LogRef, OnDamage, Replay, Store};
use longhaul::state::protocol::{InputPart, Op, SettingsUpdate};
use longhaul_testkit::ScriptedModel;

use super::full::Full;
use super::kept::{again, cut_off};
use super::support::{Nothing, Probe, conversation, in_virtual_time, line, scripted};

fn agent(model: &ScriptedModel, store: &Full) -> Agent {
    scripted(model).store(store.clone()).build().unwrap()
}

/// What another process would find, if this one were gone now.
async fn found(store: &Full, id: &str) -> Replay {
    let which = LogRef::Id(id.to_owned());
    store.store.copy().read(&which, OnDamage::Refuse.into()).await.unwrap()
}

/// How often the log says this text.
async fn count_of(store: &Full, id: &str, text: &str) -> usize {
    let replay = found(store, id).await;
    let waiting = replay.inputs.iter().filter(|it| it.get().contains(text));
    replay.items.iter().filter(|it| it.item.json().contains(text)).count() + waiting.count()
}

/// The ways in which an input is given.
const WAYS: [&str; 4] = ["prompt", "steer", "submit", "typed"];

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Answered {
    #[expect(dead_code, reason = "nobody reads it")]
    yes: bool,
}

async fn give(session: &Session, way: &str, text: &str) -> Result<(), TurnError> {
    match way {
        "prompt" => session.prompt(text).await.map(drop),
        "steer" => session.steer(text).await.map(drop),
        "submit" => {
            let items = vec![InputPart::Text { text: text.to_owned() }];
            session.submit("id", Op::UserInput { items }).await.map(drop)
        }
        _ => session.prompt_as::<Answered>(text).await.map(drop),
    }
}

#[tokio::test]
async fn an_input_that_begins_a_turn_and_cannot_be_kept_is_not_acknowledged() {
    for way in WAYS {
        let model = ScriptedModel::new().text("one");
        let store = Full::default();
        let agent = agent(&model, &store);
        let session = agent.session().start().await.unwrap();
        let mut events = session.events();
        store.no_space.store(true, Ordering::Relaxed);
        let refused = give(&session, way, "lost").await;
        assert_eq!(refused.unwrap_err().code(), "storage", "{way}");
        // The turn that took it is over, for the same reason.
        let seen = to_the_end(&mut events).await;
        assert_eq!(seen, ["started", "item+ user", "error storage", "complete -"], "{way}");
        assert_eq!(count_of(&store, session.id(), "lost").await, 0, "{way}");
        // It is in memory, and kept with what is kept next.
        store.no_space.store(false, Ordering::Relaxed);
        session.prompt("next").await.unwrap().await.unwrap();
        let left = conversation(&found_again(&store, &agent, &session).await.history());
        assert_eq!(left, ["user lost", "user next", "assistant one"], "{way}");
        assert_eq!(model.requests().len(), 1, "{way}");
    }
}

/// What is told until a turn has ended.
async fn to_the_end(events: &mut SessionEvents) -> Vec<String> {
    let mut seen: Vec<String> = Vec::new();
    while seen.last().is_none_or(|it| !it.starts_with("complete")) {
        seen.push(line(&events.next().await.unwrap().event));
    }
    seen
}

async fn found_again(store: &Full, agent: &Agent, session: &Session) -> Session {
    session.shutdown().await.unwrap();
    assert!(!store.no_space.load(Ordering::Relaxed));
    again(agent, session.id()).await
}

/// Whenever attempts to write fail: what is acknowledged is in the log, once; what is not leaves with no
/// request of its own, and the session goes on.
#[test]
fn whichever_attempts_fail_what_is_acknowledged_is_kept() {
    for misses in 0..256 {
        in_virtual_time(async move {
            let model = ScriptedModel::new().text("well").repeat_last();
            let store = Full::default();
            let agent = agent(&model, &store);
            let session = agent.session().start().await.unwrap();
            store.misses.store(misses, Ordering::Relaxed);
            for way in WAYS {
                let asked = model.requests().len();
                let mut events = session.events();
                let given = give(&session, way, &format!("by {way}")).await;
                let kept = count_of(&store, session.id(), &format!("by {way}")).await;
                match given {
                    Ok(()) => {
                        assert_eq!(kept, 1, "{misses:b}: {way}");
                        to_the_end(&mut events).await;
                    }
                    Err(error) => {
                        assert_eq!(error.code(), "storage");
                        assert_eq!(model.requests().len(), asked, "{misses:b}: {way}");
                    }
                }
            }
            store.misses.store(0, Ordering::Relaxed);
            session.prompt("last").await.unwrap().await.unwrap();
            let live = conversation(&session.history());
            let again = found_again(&store, &agent, &session).await;
            assert_eq!(conversation(&again.history()), live, "{misses:b}");
            for way in WAYS {
                let said = format!("user by {way}");
                let count = live.iter().filter(|it| **it == said).count();
                assert!(count <= 1, "{misses:b}: {live:?}");
            }
        });
    }
}

/// Everything that begins a turn. All of it is refused.
async fn try_all(session: &Session) {
    for way in WAYS {
        assert_eq!(give(session, way, "no").await.unwrap_err().code(), "storage", "{way}");
    }
    let mut begun = vec![session.compact().unwrap()];
    #[cfg(feature = "coding")]
    begun.extend([session.undo().unwrap(), session.review("this").unwrap()]);
    begun.push(session.replace(longhaul::task::Regular).unwrap());
    for turn in begun {
        assert!(turn.await.map_or_else(|e| e.code() == "storage", |end| end.is_interrupted()));
    }
}

#[tokio::test]
async fn what_waits_for_a_full_log_does_not_grow_with_what_is_tried() {
    let model = ScriptedModel::new().text("one").text("two");
    let store = Full::default();
    let agent = agent(&model, &store);
    let session = agent.session().start().await.unwrap();
    session.prompt("a").await.unwrap().await.unwrap();
    store.no_space.store(true, Ordering::Relaxed);
    session.prompt("b").await.unwrap_err();
    for rounds in [1, 9, 990] {
        for _ in 0..rounds {
            try_all(&session).await;
        }
        // How the turn of `b` begins, what it said, and how it ended.
        let waiting = store.attempts.lock().unwrap().last().copied();
        assert_eq!(waiting, Some(3), "{rounds} rounds more");
    }
    store.no_space.store(false, Ordering::Relaxed);
    session.prompt("c").await.unwrap().await.unwrap();
    let live = conversation(&session.history());
    assert_eq!(live, ["user a", "assistant one", "user b", "user c", "assistant two"]);
    assert_eq!(conversation(&found_again(&store, &agent, &session).await.history()), live);
}

#[tokio::test]
async fn nothing_is_made_for_a_log_that_is_not_written_to_any_more() {
    let model = ScriptedModel::new().text("one");
    let store = Full::default();
    let agent = agent(&model, &store);
    let session = agent.session().start().await.unwrap();
    session.prompt("a").await.unwrap().await.unwrap();
    let before = store.attempts.lock().unwrap().len();
    store.is_bad.store(true, Ordering::Relaxed);
    session.prompt("b").await.unwrap_err();
    for _ in 0..1_000 {
        try_all(&session).await;
        session.configure(SettingsUpdate::default()).await.unwrap_err();
    }
    // The one at which the medium failed, and the one that said so.
    assert_eq!(store.attempts.lock().unwrap()[before..].len(), 2);
    assert_eq!(session.shutdown().await.unwrap_err().code(), "storage");
    store.is_bad.store(false, Ordering::Relaxed);
    let left = conversation(&again(&agent, session.id()).await.history());
    assert_eq!(left, ["user a", "assistant one"]);
}

/// A task that does not begin ends nothing: what was cut off can be gone on with when there is space again.
#[tokio::test]
async fn a_task_that_cannot_begin_leaves_what_was_cut_off() {
    let (model, store) = (ScriptedModel::new(), Full::default());
    let model = model.call("c1", "hang", "1").text("well");
    let agent = |tool: Probe| scripted(&model).store(store.clone()).tool(tool).build().unwrap();
    let id = cut_off(agent(Probe::endless("hang")), "begin c1").await;
    let session = again(&agent(Probe::echo("hang")), &id).await;
    store.no_space.store(true, Ordering::Relaxed);
    let mut change = SettingsUpdate::default();
    change.cwd = Some("/elsewhere".into());
    assert_eq!(session.configure(change).await.unwrap_err().code(), "storage");
    for _ in 0..2 {
        let refused = session.replace(Nothing).unwrap().await;
        assert_eq!(refused.unwrap_err().code(), "storage");
    }
    store.no_space.store(false, Ordering::Relaxed);
    session.continue_turn().unwrap().await.unwrap();
    let left = conversation(&session.history());
    assert_eq!(left[..3], ["user go", "call c1 hang 1", "output c1 1"], "{left:?}");
    assert_eq!(left.last().unwrap(), "assistant well");
    session.shutdown().await.unwrap();
}
