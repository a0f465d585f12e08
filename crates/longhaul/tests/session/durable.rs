//! What a session acknowledges of what changes it beside turns: nothing before its log has it.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use longhaul::TurnHandle;
use longhaul::approval::{ApprovalDecision, Approvals};
use longhaul::history::Item;
use longhaul::prelude::*;
use longhaul::rollout::{FileStore, LogRef, OnDamage, Replay, Store};
use longhaul::state::protocol::{InputPart, Op, SettingsUpdate, TurnEnd};
use longhaul_testkit::ScriptedModel;
use tokio::sync::Notify;

use super::full::Full;
use super::support::{Folder, Probe, scripted, until, yield_times, yield_twice};

/// Something that is done to a session, and whether a log says so.
struct Operation {
    name: &'static str,
    perform: for<'a> fn(&'a Session) -> BoxFuture<'a, Result<(), String>>,
    is_kept: fn(&Replay) -> bool,
}

const SESSION_LONG: ApprovalDecision = ApprovalDecision::ApprovedForSession;

fn folder(cwd: &str) -> SettingsUpdate {
    let mut change = SettingsUpdate::default();
    change.cwd = Some(cwd.into());
    change
}

fn says(replay: &Replay, text: &str) -> bool {
    replay.items.iter().any(|it| it.item.json().contains(text))
}

fn is_moved(replay: &Replay) -> bool {
    replay.settings.as_ref().unwrap().get().contains("\"/new\"")
}

/// All that a session acknowledges beside its turns.
fn operations() -> Vec<Operation> {
    let withdrawn = |replay: &Replay| replay.inputs.is_empty() && !says(replay, "later");
    let granted = |replay: &Replay| replay.grants.len() == 1;
    vec![
        Operation {
            name: "withdraw",
            perform: |session| {
                async { session.withdraw("w").await.map_err(|error| error.to_string()) }.boxed()
            },
            is_kept: withdrawn,
        },
        Operation {
            name: "pin",
            perform: |session| {
                async {
                    session.pin(&Item::user("pinned")).await.map_err(|error| error.to_string())
                }
                .boxed()
            },
            is_kept: |replay| says(replay, "pinned"),
        },
        Operation {
            name: "configure",
            perform: |session| {
                async { session.configure(folder("/new")).await.map_err(|error| error.to_string()) }
                    .boxed()
            },
            is_kept: is_moved,
        },
        Operation {
            name: "set_tools",
            perform: |session| {
                let tools: [Arc<dyn longhaul::tool::Tool>; 1] = [Arc::new(Probe::echo("other"))];
                async move { session.set_tools(&tools).await.map_err(|it| it.to_string()) }.boxed()
            },
            is_kept: |replay| replay.surface.as_ref().unwrap().get().contains("other"),
        },
        Operation {
            name: "answer",
            perform: |session| {
                async {
                    session
                        .answer("c1", None, SESSION_LONG)
                        .await
                        .map_err(|error| error.to_string())
                }
                .boxed()
            },
            is_kept: granted,
        },
        Operation {
            name: "undo_compaction",
            perform: |session| {
                async {
                    session
                        .undo_compaction()
                        .await
                        .map(|it| assert!(it))
                        .map_err(|error| error.to_string())
                }
                .boxed()
            },
            is_kept: |replay| !replay.has_compaction && says(replay, "aaaa"),
        },
        Operation {
            name: "submit override_turn_context",
            perform: |session| submit(session, Op::OverrideTurnContext(folder("/new"))),
            is_kept: is_moved,
        },
        Operation {
            name: "submit withdraw",
            perform: |session| submit(session, Op::Withdraw { input_id: "w".into() }),
            is_kept: withdrawn,
        },
        Operation {
            name: "submit approval",
            perform: |session| {
                let (call_id, decision) = ("c1".to_owned(), SESSION_LONG);
                submit(session, Op::Approval { call_id, decision })
            },
            is_kept: granted,
        },
        Operation {
            name: "submit user_input",
            perform: |session| {
                let items = vec![InputPart::Text { text: "more".into() }];
                submit(session, Op::UserInput { items })
            },
            is_kept: |replay| replay.inputs.iter().any(|input| input.get().contains("more")),
        },
    ]
}

fn submit(session: &Session, op: Op) -> BoxFuture<'_, Result<(), String>> {
    async { session.submit("op", op).await.map(drop).map_err(|error| error.to_string()) }.boxed()
}

/// A session in a turn that asks for an approval, behind a compaction, while an input waits.
struct Scene {
    store: Full,
    session: Session,
    turn: TurnHandle,
    waiting: TurnHandle,
}

impl Scene {
    async fn new() -> Self {
        let model = ScriptedModel::new().text("one").text("SUMMARY").call("c1", "risky", "1");
        let store = Full::default();
        let agent = scripted(&model.text("two").repeat_last()).store(store.clone());
        let agent = agent.tool(Probe::echo("risky").write().asks());
        let agent = agent.approvals(Approvals::answered()).build().unwrap();
        let session = agent.session().start().await.unwrap();
        session.prompt("a".repeat(1_000)).await.unwrap().await.unwrap();
        session.compact().unwrap().await.unwrap();
        let mut turn = session.prompt("go").await.unwrap();
        until(&mut turn, |line| line.starts_with("ask c1")).await;
        let waiting = session.prompt(Input::from("later").id("w")).await.unwrap();
        Self { store, session, turn, waiting }
    }

    fn stall(&self, is_slow: bool) {
        self.store.is_slow.send_replace(is_slow);
    }

    fn fill(&self, no_space: bool) {
        self.store.no_space.store(no_space, Ordering::Relaxed);
    }

    /// What another process would find, if this one were gone now.
    async fn found(&self) -> Replay {
        let which = LogRef::Id(self.session.id().to_owned());
        self.store.store.copy().read(&which, OnDamage::Refuse.into()).await.unwrap()
    }
}

/// Nobody is told, however long it takes.
async fn stays_pending<F: Future + Unpin>(future: &mut F, name: &str) {
    for _ in 0..5 {
        let poll = future.poll_unpin(&mut Context::from_waker(Waker::noop()));
        assert!(poll.is_pending(), "{name} is told before it is kept");
        yield_twice().await;
    }
}

#[tokio::test]
async fn what_a_slow_log_does_not_have_is_not_acknowledged() {
    for Operation { name, perform, is_kept } in operations() {
        let scene = Scene::new().await;
        assert!(!is_kept(&scene.found().await), "{name} is not done yet");
        scene.stall(true);
        let mut performing = perform(&scene.session);
        stays_pending(&mut performing, name).await;
        assert!(!is_kept(&scene.found().await), "{name}");
        scene.stall(false);
        performing.await.unwrap();
        assert!(is_kept(&scene.found().await), "{name} is acknowledged, and lost");
    }
}

#[tokio::test]
async fn who_does_not_wait_has_done_it_all_the_same() {
    for Operation { name, perform, is_kept } in operations() {
        if name.ends_with("user_input") {
            // It is the exception: who gives up has given no input.
            continue;
        }
        let scene = Scene::new().await;
        scene.stall(true);
        assert!(perform(&scene.session).now_or_never().is_none(), "{name}");
        scene.stall(false);
        scene.session.configure(SettingsUpdate::default()).await.unwrap();
        assert!(is_kept(&scene.found().await), "{name}");
    }
}

#[tokio::test]
async fn what_cannot_be_kept_is_told_and_kept_with_what_is_kept_next() {
    for Operation { name, perform, is_kept } in operations() {
        let scene = Scene::new().await;
        scene.fill(true);
        let error = perform(&scene.session).await.unwrap_err();
        assert!(error.contains("the log"), "{name}: {error}");
        scene.fill(false);
        assert!(!is_kept(&scene.found().await), "{name}");
        scene.session.configure(SettingsUpdate::default()).await.unwrap();
        let is_input = name.ends_with("user_input");
        assert_eq!(is_kept(&scene.found().await), !is_input, "{name}");
    }
}

#[tokio::test]
async fn a_handle_says_that_its_input_is_taken_back_when_the_log_knows() {
    for is_cancelled in [true, false] {
        let Scene { store, session, turn, waiting } = Scene::new().await;
        let (control, mut ended) = (waiting.control(), waiting.into_future());
        store.is_slow.send_replace(true);
        if is_cancelled {
            control.cancel();
        } else {
            assert!(session.withdraw("w").now_or_never().is_none());
        }
        stays_pending(&mut ended, "the handle").await;
        store.is_slow.send_replace(false);
        assert_eq!(ended.await.unwrap().end, TurnEnd::Withdrawn);
        let which = LogRef::Id(session.id().to_owned());
        let found = store.store.copy().read(&which, OnDamage::Refuse.into()).await.unwrap();
        assert_eq!(found.inputs.len(), 0);
        drop(turn);
    }
    let Scene { store, session, waiting, .. } = Scene::new().await;
    store.no_space.store(true, Ordering::Relaxed);
    assert!(session.withdraw("w").await.is_err());
    assert_eq!(waiting.await.unwrap_err().code(), "storage");
}

#[tokio::test]
async fn a_handle_says_that_the_session_is_closed_when_the_log_knows() {
    let Scene { store, session, turn, waiting } = Scene::new().await;
    let mut ended = waiting.into_future();
    store.is_slow.send_replace(true);
    let mut ending = Box::pin(session.shutdown());
    stays_pending(&mut ending, "shutdown").await;
    stays_pending(&mut ended, "the handle").await;
    store.is_slow.send_replace(false);
    assert_eq!(ended.await.unwrap_err().code(), "closed");
    let which = LogRef::Id(session.id().to_owned());
    let found = store.store.copy().read(&which, OnDamage::Refuse.into()).await.unwrap();
    assert_eq!(found.inputs.len(), 0);
    ending.await.unwrap();
    assert!(turn.await.unwrap().is_interrupted());
}

/// Somebody who waits for a handle and is so quick that it looks again while it is being told.
struct Quick<T> {
    waiting: Mutex<BoxFuture<'static, T>>,
    told: Mutex<Option<T>>,
}

impl<T: Send + 'static> Quick<T> {
    fn new(waiting: BoxFuture<'static, T>) -> Arc<Self> {
        let quick = Arc::new(Self { waiting: Mutex::new(waiting), told: Mutex::default() });
        Arc::clone(&quick).wake();
        quick
    }

    fn is_told(&self) -> bool {
        self.told.lock().unwrap().is_some()
    }
}

impl<T: Send + 'static> Wake for Quick<T> {
    fn wake(self: Arc<Self>) {
        // Not while it looks, and not again once it was told.
        let Ok(mut waiting) = self.waiting.try_lock() else { return };
        if self.is_told() {
            return;
        }
        let waker = Waker::from(Arc::clone(&self));
        if let Poll::Ready(told) = waiting.poll_unpin(&mut Context::from_waker(&waker)) {
            *self.told.lock().unwrap() = Some(told);
        }
    }
}

#[tokio::test]
async fn a_handle_that_is_looked_at_while_it_is_told_waits_for_the_log_too() {
    for is_closed in [false, true] {
        let Scene { store, session, waiting, .. } = Scene::new().await;
        let quick = Quick::new(waiting.into_future());
        assert!(!quick.is_told(), "its input waits");
        store.is_slow.send_replace(true);
        let mut ending = if is_closed {
            async { session.shutdown().await.unwrap() }.boxed()
        } else {
            async { session.withdraw("w").await.unwrap() }.boxed()
        };
        stays_pending(&mut ending, "the end").await;
        assert!(!quick.is_told(), "the log does not know yet; closed: {is_closed}");
        store.is_slow.send_replace(false);
        ending.await;
        yield_twice().await;
        assert!(quick.is_told());
    }
}

#[tokio::test]
async fn a_call_that_is_approved_for_the_session_starts_in_the_same_sync() {
    let Scene { store, session, mut turn, .. } = Scene::new().await;
    store.appends.lock().unwrap().clear();
    session.answer("c1", None, SESSION_LONG).await.unwrap();
    until(&mut turn, |line| line.starts_with("begin c1")).await;
    let appends = store.appends.lock().unwrap().clone();
    let first = &appends[0];
    assert_eq!((first[0].as_str(), first[1].as_str()), ("grant", "call"), "{appends:?}");
}

/// Tells when it is dropped.
struct Stopped(Arc<Notify>);

impl Drop for Stopped {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

#[tokio::test]
async fn an_interrupt_stops_what_runs_while_other_operations_wait_for_the_log() {
    let stopped = Arc::new(Notify::new());
    let tell = Arc::clone(&stopped);
    let tool = Probe::endless("hang").around(move |_| Box::new(Stopped(Arc::clone(&tell))));
    let model = ScriptedModel::new().call("c1", "hang", "{}");
    let store = Full::default();
    let agent = scripted(&model).store(store.clone()).tool(tool).build().unwrap();
    let session = agent.session().start().await.unwrap();
    let mut turn = session.prompt("go").await.unwrap();
    until(&mut turn, |line| line.starts_with("begin c1")).await;
    store.is_slow.send_replace(true);
    let mut moving = submit(&session, Op::OverrideTurnContext(folder("/new")));
    stays_pending(&mut moving, "override_turn_context").await;
    let interrupted = submit(&session, Op::Interrupt).now_or_never();
    assert_eq!(interrupted, Some(Ok(())), "it waits for nothing");
    stopped.notified().await;
    stays_pending(&mut moving, "override_turn_context").await;
    store.is_slow.send_replace(false);
    moving.await.unwrap();
    assert!(turn.await.unwrap().is_interrupted());
}

#[tokio::test]
async fn operations_have_their_effect_in_their_order_also_where_one_reads_a_file() {
    let Scene { session, .. } = Scene::new().await;
    let items = vec![InputPart::LocalImage { path: "/nowhere".into() }];
    let mut giving = Box::pin(session.submit("image", Op::UserInput { items }));
    assert!((&mut giving).now_or_never().is_none(), "the file is read elsewhere");
    let mut withdrawing = submit(&session, Op::Withdraw { input_id: "image".into() });
    assert!((&mut withdrawing).now_or_never().is_none(), "it comes after");
    let (given, withdrawn) = tokio::join!(giving, withdrawing);
    withdrawn.unwrap();
    let longhaul::Accepted::Turn(handle) = given.unwrap() else { panic!() };
    assert_eq!(handle.await.unwrap().end, TurnEnd::Withdrawn);
}

/// What was acknowledged when the log had so many bytes.
struct Acknowledged {
    len: u64,
    name: String,
    is_kept: Box<dyn Fn(&Replay) -> bool>,
}

#[tokio::test]
async fn wherever_the_log_ends_what_was_acknowledged_is_in_it() {
    let model = ScriptedModel::new().call("c", "risky", "0").call("c", "risky", "1");
    let model = model.call("c", "risky", "2").call("c", "risky", "3").call("c", "risky", "4");
    let place = Folder::new();
    let store = FileStore::new(&place.0);
    let agent = scripted(&model.text("done")).store(store.clone());
    let agent = agent.tool(Probe::echo("risky").write().asks());
    let agent = agent.approvals(Approvals::answered()).build().unwrap();
    let session = agent.session().start().await.unwrap();
    let log = session.log_path().unwrap().to_owned();
    let mut acknowledged = Vec::new();
    let mut ack = |name: String, is_kept: Box<dyn Fn(&Replay) -> bool>| {
        let len = std::fs::metadata(&log).unwrap().len();
        acknowledged.push(Acknowledged { len, name, is_kept });
    };
    let mut turn = session.prompt("go").await.unwrap();
    for n in 0..5 {
        until(&mut turn, |line| line.starts_with("ask c")).await;
        let id = format!("w{n}");
        let waiting = session.prompt(Input::from(&*id).id(&*id)).await.unwrap();
        session.withdraw(&id).await.unwrap();
        let kept = Box::new(move |it: &Replay| it.inputs.iter().all(|i| !i.get().contains(&id)));
        ack(format!("withdraw {n}"), kept);
        let text = format!("pinned {n}");
        session.pin(&Item::user(&*text)).await.unwrap();
        ack(format!("pin {n}"), Box::new(move |it| says(it, &text)));
        let mut change = SettingsUpdate::default();
        change.model = Some(format!("m{n}"));
        session.configure(change).await.unwrap();
        let later: Vec<_> = (n..5).map(|n| format!("\"m{n}\"")).collect();
        let is_kept = move |it: &Replay| {
            let settings = it.settings.as_ref().unwrap().get();
            later.iter().any(|model| settings.contains(model))
        };
        ack(format!("configure {n}"), Box::new(is_kept));
        session.answer("c", None, SESSION_LONG).await.unwrap();
        ack(format!("answer {n}"), Box::new(move |it| it.grants.len() > n));
        assert_eq!(waiting.await.unwrap().end, TurnEnd::Withdrawn);
    }
    turn.await.unwrap();
    session.shutdown().await.unwrap();
    let bytes = std::fs::read(&log).unwrap();
    let ends = bytes.iter().enumerate().filter(|(_, b)| **b == b'\n').map(|(at, _)| at + 1);
    let mut checked = 0;
    for end in ends {
        std::fs::write(&log, &bytes[..end]).unwrap();
        let which = LogRef::Path(log.clone());
        let replay = store.read(&which, OnDamage::Refuse.into()).await.unwrap();
        for Acknowledged { name, is_kept, .. } in
            acknowledged.iter().filter(|it| it.len <= end as u64)
        {
            assert!(is_kept(&replay), "{name} is missing behind byte {end}");
            checked += 1;
        }
    }
    println!("{checked} acknowledgements checked");
    assert!(checked > 300, "{checked}");
}

/// What was undone before it was kept leaves nothing to write. But whether the log is sound is asked all
/// the same: the attempt that failed may have left something.
#[tokio::test]
async fn a_withdrawal_of_what_could_not_be_kept_is_not_acknowledged_by_a_log_that_fails() {
    let scene = Scene::new().await;
    scene.stall(true);
    let mut giving = scene.session.prompt(Input::from("more").id("x")).boxed();
    stays_pending(&mut giving, "prompt").await;
    scene.fill(true);
    scene.stall(false);
    yield_times(10).await;
    assert_eq!(scene.session.withdraw("x").await.unwrap_err().code(), "storage");
    scene.fill(false);
    scene.session.withdraw("w").await.unwrap();
}
