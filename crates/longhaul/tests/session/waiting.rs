//! Inputs that were accepted and wait for a turn: a crash loses none, and none comes twice.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};

use longhaul::prelude::*;
use longhaul::rollout::{FileStore, LogRef, MemoryStore, OnDamage, Replay, Store};
use longhaul_state::protocol::SettingsUpdate;
use longhaul_testkit::ScriptedModel;
use serde_json::{Value, json};

use super::full::Full;
use super::kept::again;
use super::support::{Folder, Probe, Yielding, conversation, scripted, until, yield_twice};

/// The process is gone, with all that the agent was about to do.
async fn crash<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let done = runtime.spawn(work).await.unwrap();
    tokio::task::spawn_blocking(move || drop(runtime)).await.unwrap();
    done
}

/// Input under this id and with this text.
fn input(name: &str) -> Input {
    Input::from(name).id(name)
}

#[tokio::test]
async fn what_waited_when_the_process_went_is_in_the_next_request_of_its_turn() {
    let model = ScriptedModel::new().call("c1", "hang", "{}").text("well").text("last");
    let store = MemoryStore::new();
    let builder = || scripted(&model).store(store.clone()).tool(Probe::endless("hang").write());
    let agent = builder().build().unwrap();
    let id = crash(async move {
        let session = agent.session().start().await.unwrap();
        let mut turn = session.prompt(input("go")).await.unwrap();
        until(&mut turn, |line| line.starts_with("begin c1")).await;
        let steer = session.steer(input("s1")).await.unwrap();
        let gone = session.prompt(input("p3")).await.unwrap();
        session.withdraw("p3").await.unwrap();
        let mut settings = SettingsUpdate::default();
        settings.effort = Some(Some("high".into()));
        let own = input("p2").settings(settings).output_schema(json!({"type": "object"}));
        let own = session.prompt(own).await.unwrap();
        let id = session.id().to_owned();
        std::mem::forget((session, turn, steer, own, gone));
        id
    })
    .await;

    let session = again(&builder().build().unwrap(), &id).await;
    assert_eq!(session.resumed().unwrap().inputs, ["s1", "p2"]);
    let mut turn = session.continue_turn().unwrap();
    assert_eq!(turn.id(), "go");
    until(&mut turn, |line| line == "complete well").await;
    let conversation = conversation(&session.history());
    let expected = [
        "user go",
        "call c1 hang {}",
        "output c1 aborted: had started, effect unknown",
        "user s1",
        "user p2",
        "assistant well",
    ];
    assert_eq!(conversation, expected);
    let request = &model.requests()[1].body;
    assert_eq!(request["text"]["format"]["schema"], json!({"type": "object"}));
    let effort = session.settings().reasoning.and_then(|it| it.effort);
    assert_eq!(effort.as_deref(), Some("high"));
    // They waited once.
    session.shutdown().await.unwrap();
    let session = again(&builder().build().unwrap(), &id).await;
    assert_eq!(session.resumed().unwrap().inputs, [""; 0]);
    assert!(session.continue_turn().is_err());
    session.prompt("next").await.unwrap().await.unwrap();
}

#[tokio::test]
async fn without_a_turn_they_start_one_together_or_come_before_what_starts_one() {
    for is_continued in [true, false] {
        let model = ScriptedModel::new().call("c1", "hang", "{}").text("well");
        let store = MemoryStore::new();
        let builder = || scripted(&model).store(store.clone()).tool(Probe::endless("hang"));
        let agent = builder().build().unwrap();
        let id = crash(async move {
            let session = agent.session().start().await.unwrap();
            let mut turn = session.prompt(input("go")).await.unwrap();
            until(&mut turn, |line| line.starts_with("begin c1")).await;
            let steers = [session.steer(input("s1")).await, session.steer(input("s2")).await];
            session.interrupt();
            until(&mut turn, |line| line.starts_with("aborted")).await;
            let id = session.id().to_owned();
            std::mem::forget((session, turn, steers));
            id
        })
        .await;
        // Whoever opens the session and leaves it again takes nothing.
        again(&builder().build().unwrap(), &id).await.shutdown().await.unwrap();
        let session = again(&builder().build().unwrap(), &id).await;
        let resumed = session.resumed().unwrap();
        assert_eq!(
            (resumed.open_turn.as_deref(), &*resumed.inputs),
            (None, &["s1".into(), "s2".into()][..])
        );
        let mut expected = vec!["user s1", "user s2"];
        let turn = if is_continued {
            session.continue_turn().unwrap()
        } else {
            expected.push("user next");
            session.prompt("next").await.unwrap()
        };
        expected.push("assistant well");
        assert_eq!(turn.await.unwrap().last_message.as_deref(), Some("well"));
        assert_eq!(conversation(&session.history())[3..], expected);
    }
}

#[tokio::test]
async fn an_input_that_begins_its_turn_at_once_shares_its_sync() {
    let model = ScriptedModel::new().text("one");
    let store = Full::default();
    let agent = scripted(&model).store(store.clone()).build().unwrap();
    let session = agent.session().start().await.unwrap();
    store.appends.lock().unwrap().clear();
    session.prompt("a").await.unwrap().await.unwrap();
    let appends = store.appends.lock().unwrap().clone();
    let expected = [
        vec!["turn_context", "response_item"],
        vec!["response_item", "call", "event_msg", "event_msg"],
    ];
    assert_eq!(appends, expected);
}

/// A session in the middle of a turn whose tool never ends.
async fn hanging(store: &Full) -> (Agent, Session, longhaul::TurnHandle) {
    let model = ScriptedModel::new().call("c1", "hang", "{}").text("well");
    let agent = scripted(&model).store(store.clone()).tool(Probe::endless("hang"));
    let agent = agent.build().unwrap();
    let session = agent.session().start().await.unwrap();
    let mut turn = session.prompt("go").await.unwrap();
    until(&mut turn, |line| line.starts_with("begin c1")).await;
    (agent, session, turn)
}

#[tokio::test]
async fn what_cannot_be_kept_is_not_accepted() {
    let store = Full::default();
    let (agent, session, mut turn) = hanging(&store).await;
    store.no_space.store(true, Ordering::Relaxed);
    assert_eq!(session.steer("lost").await.err().unwrap().code(), "storage");
    assert_eq!(session.prompt("lost, too").await.err().unwrap().code(), "storage");
    store.no_space.store(false, Ordering::Relaxed);
    let kept = session.steer("kept").await.unwrap();
    session.interrupt();
    until(&mut turn, |line| line.starts_with("aborted")).await;
    let next = session.prompt("next").await.unwrap();
    next.await.unwrap();
    kept.await.unwrap();
    let said = conversation(&session.history());
    assert_eq!(said[3..], ["user kept", "user next", "assistant well"]);
    let id = session.id().to_owned();
    session.shutdown().await.unwrap();
    assert_eq!(again(&agent, &id).await.resumed().unwrap().inputs, [""; 0]);
}

#[tokio::test]
async fn who_no_longer_waits_to_be_acknowledged_takes_the_input_back() {
    let store = Full::default();
    let (_agent, session, mut turn) = hanging(&store).await;
    store.is_slow.send_replace(true);
    let mut accepting = Box::pin(session.steer("late"));
    for _ in 0..5 {
        let poll = accepting.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(poll, Poll::Pending), "it is not kept");
        yield_twice().await;
    }
    drop(accepting);
    store.is_slow.send_replace(false);
    session.interrupt();
    until(&mut turn, |line| line.starts_with("aborted")).await;
    session.prompt("next").await.unwrap().await.unwrap();
    assert_eq!(conversation(&session.history())[3..], ["user next", "assistant well"]);
}

/// How often each text that a user said is in the conversation, or waits.
fn said(replay: &Replay) -> BTreeMap<String, usize> {
    let text = |item: &Value| item["content"][0]["text"].as_str().unwrap_or_default().to_owned();
    let items =
        replay.items.iter().map(|it| serde_json::from_str::<Value>(it.item.json()).unwrap());
    let items = items.filter(|item| item["role"] == "user");
    let waiting = replay.inputs.iter().map(|it| serde_json::from_str::<Value>(it.get()).unwrap());
    let mut said = BTreeMap::new();
    for item in items.chain(waiting.map(|input| input["item"].clone())) {
        *said.entry(text(&item)).or_default() += 1;
    }
    said
}

#[tokio::test]
async fn wherever_the_log_ends_each_accepted_input_is_in_it_once() {
    let model = ScriptedModel::new().text("well").repeat_last();
    let folder = Folder::new();
    let store = FileStore::new(&folder.0);
    let model = Arc::new(Yielding(model));
    let agent = longhaul::Agent::builder("test-model", model).context_window(100_000);
    let agent = agent.store(store.clone()).build().unwrap();
    let session = agent.session().start().await.unwrap();
    let log = session.log_path().unwrap().to_owned();
    // What was accepted when the log had so many bytes.
    let mut accepted = Vec::new();
    for number in 0..40 {
        let text = format!("i{number}");
        let input = Input::from(text.as_str()).id(text.as_str());
        let handle = match number % 3 {
            0 => session.prompt(input).await.unwrap(),
            _ => session.steer(input).await.unwrap(),
        };
        accepted.push((std::fs::metadata(&log).unwrap().len(), text));
        match number % 7 {
            2 => drop(session.interrupt()),
            4 => drop(handle.await),
            _ => yield_twice().await,
        }
    }
    session.drain(std::time::Duration::from_secs(60)).await.unwrap();
    let bytes = std::fs::read(&log).unwrap();
    let ends = bytes.iter().enumerate().filter(|(_, b)| **b == b'\n').map(|(at, _)| at + 1);
    let (mut waited, mut cuts) = (0, 0);
    for end in ends {
        std::fs::write(&log, &bytes[..end]).unwrap();
        let which = LogRef::Path(log.clone());
        let replay = store.read(&which, OnDamage::Refuse.into()).await.unwrap();
        let said = said(&replay);
        assert!(said.values().all(|count| *count == 1), "behind byte {end}: {said:?}");
        for (_, text) in accepted.iter().filter(|(len, _)| *len <= end as u64) {
            assert!(said.contains_key(text), "{text} is missing behind byte {end}");
        }
        waited += replay.inputs.len();
        cuts += 1;
    }
    println!("{cuts} cuts, {waited} inputs waited");
    assert!(waited > 40, "{waited}");
}
