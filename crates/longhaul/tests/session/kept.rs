//! Sessions that are kept in a log, and opened again.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use longhaul::ForkPoint;
use longhaul::approval::{ApprovalDecision, Approvals};
use longhaul::prelude::*;
use longhaul::rollout::{
    LogRef, LogWriter, MemoryStore, OnDamage, Opened, Page, Query, Record, Replay, ReplayConfig,
    Store, StoreError,
};
use longhaul_testkit::ScriptedModel;
use longhaul_testkit::model::{Answer, Recorded};
use longhaul_testkit::sse::ResponseBuilder;
use longhaul_transport::{ErrorCode, ModelError};
use proptest::collection::vec;
use proptest::prelude::*;
use tokio::sync::watch;

use super::support::{
    Probe, Yielding, conversation, in_virtual_time, lines, move_to, scripted, until, yield_times,
    yield_twice,
};

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
    let error = old.prompt("lost").await.unwrap().await.unwrap_err();
    assert!(error.to_string().contains("epoch"), "{error}");
    new.prompt("b").await.unwrap().await.unwrap();
    old.shutdown().await.unwrap_err();
    new.shutdown().await.unwrap();
    let left = conversation(&again(&agent, old.id()).await.history());
    assert_eq!(left, ["user a", "assistant one", "user b", "assistant two"]);
    model.assert_complete();
}

/// A store whose disk is full while somebody says so (it cannot be read then either), and whose syncs take as long as somebody says.
#[derive(Debug, Clone, Default)]
pub(crate) struct Full {
    pub(crate) store: MemoryStore,
    pub(crate) no_space: Arc<AtomicBool>,
    pub(crate) is_slow: watch::Sender<bool>,
    /// Of each append, the types of its records.
    pub(crate) appends: Arc<Mutex<Vec<Vec<String>>>>,
}

fn full() -> StoreError {
    let source = std::io::Error::from(std::io::ErrorKind::StorageFull);
    StoreError::NoSpace { path: "the log".into(), source }
}

#[async_trait]
impl Store for Full {
    async fn create(&self, records: Vec<Record>) -> Result<Box<dyn LogWriter>, StoreError> {
        let writer = self.store.create(records).await?;
        Ok(Box::new(FullWriter { writer, store: self.clone() }))
    }

    async fn open(&self, which: &LogRef, on_damage: OnDamage) -> Result<Opened, StoreError> {
        let mut opened = self.store.open(which, on_damage).await?;
        opened.writer = Box::new(FullWriter { writer: opened.writer, store: self.clone() });
        Ok(opened)
    }

    async fn read(&self, which: &LogRef, config: ReplayConfig) -> Result<Replay, StoreError> {
        if self.no_space.load(Ordering::Relaxed) {
            return Err(full());
        }
        self.store.read(which, config).await
    }

    async fn list(&self, query: &Query) -> Result<Page, StoreError> {
        self.store.list(query).await
    }
}

#[derive(Debug)]
struct FullWriter {
    writer: Box<dyn LogWriter>,
    store: Full,
}

#[async_trait]
impl LogWriter for FullWriter {
    async fn append(&mut self, records: Vec<Record>) -> Result<(), StoreError> {
        // Whatever comes now comes before the writer has done anything.
        yield_twice().await;
        let mut is_slow = self.store.is_slow.subscribe();
        is_slow.wait_for(|is_slow| !is_slow).await.unwrap();
        if self.store.no_space.load(Ordering::Relaxed) {
            return Err(full());
        }
        let kinds = records.iter().map(|record| record.kind.as_str().to_owned()).collect();
        self.store.appends.lock().unwrap().push(kinds);
        self.writer.append(records).await
    }

    fn path(&self) -> Option<&Path> {
        None
    }

    fn session_id(&self) -> &str {
        self.writer.session_id()
    }

    fn epoch(&self) -> u64 {
        self.writer.epoch()
    }

    fn next_ordinal(&self) -> u64 {
        self.writer.next_ordinal()
    }

    async fn close(self: Box<Self>) -> Result<(), StoreError> {
        self.writer.close().await
    }
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
        let mut turn = session.prompt(text).await.unwrap();
        let seen = lines(&mut turn).await;
        assert_eq!(seen, ["started", "item+ user", "error storage", "complete -"], "{text}");
        let error = turn.await.unwrap_err();
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
        ["user a", "assistant one", "user b", "user c", "user d", "assistant two"]
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
        session.prompt("a").await.unwrap().await.unwrap_err();
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
    session.prompt("b").await.unwrap().await.unwrap_err();
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

/// What somebody does.
#[derive(Debug, Clone, Copy)]
enum Step {
    Prompt,
    Steer,
    Interrupt,
    Compact,
    UndoCompaction,
    /// In the session, and in one that is opened out of a copy of its log.
    UndoTwice,
    Move(u8),
    Wait(u8),
    Reopen,
    Fork(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => Just(Step::Prompt),
        2 => Just(Step::Steer),
        2 => Just(Step::Interrupt),
        2 => Just(Step::Compact),
        1 => Just(Step::UndoCompaction),
        2 => Just(Step::UndoTwice),
        1 => (0..3_u8).prop_map(Step::Move),
        8 => (1..60_u8).prop_map(Step::Wait),
        2 => Just(Step::Reopen),
        1 => any::<usize>().prop_map(Step::Fork),
    ]
}

/// A response by the number of its request.
fn respond(seed: u64, request: &Recorded) -> Answer {
    let order = request.order as u64;
    let chance = (seed ^ order).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
    let call = |response: ResponseBuilder, n: u64| {
        let name = ["look", "change"][usize::try_from((chance + n) % 2).unwrap()];
        response.call(&format!("c{order}_{n}"), name, "{}")
    };
    if request.body["tool_choice"] == "none" {
        return Answer::from(ResponseBuilder::new().text("SUMMARY"));
    }
    match chance % 8 {
        0..4 => Answer::from(ResponseBuilder::new().reasoning("hm", Some("x")).text("answer")),
        4..7 => Answer::from((0..=chance / 16 % 3).fold(ResponseBuilder::new().text("hm"), call)),
        _ => Answer::failure(ModelError::new(ErrorCode::InvalidRequest, "no").retryable(false)),
    }
}

/// Where the sessions of a case are kept.
struct Kept {
    seed: u64,
    store: MemoryStore,
    agent: Agent,
}

impl Kept {
    fn new(seed: u64, store: MemoryStore) -> Self {
        Self { seed, agent: agent(seed, store.clone()), store }
    }

    /// What would be found if the process died now.
    fn copy(&self) -> Self {
        Self::new(self.seed, self.store.copy())
    }
}

fn agent(seed: u64, store: MemoryStore) -> Agent {
    let model =
        ScriptedModel::new().respond_with(move |request| respond(seed, request)).repeat_last();
    let agent = longhaul::Agent::builder("test-model", Arc::new(Yielding(model)));
    let agent = agent.context_window(1_000_000).max_model_calls(4).store(store);
    let agent = agent.context(longhaul::coding::CodingContext::new(None)).cwd("/0");
    agent.tool(Probe::echo("look")).tool(Probe::echo("change").write()).build().unwrap()
}

/// Shuts the session down and opens it again: the same request would leave.
async fn reopen(agent: &Agent, session: &Session) -> Session {
    session.drain(std::time::Duration::from_secs(1_000)).await.unwrap();
    let resumed = again(agent, session.id()).await;
    assert_same(&resumed, session).await;
    resumed
}

/// Takes the last compaction back, live and out of the log: the same comes of both.
async fn undo_live_and_from_log(kept: &Kept, session: &Session) -> Session {
    // When its turn is over, nothing runs, and no input waits that an interrupt has left.
    let _ = session.prompt("last").await.unwrap().await;
    let copy = kept.copy();
    let is_undone = session.undo_compaction().await.unwrap();
    let copy = again(&copy.agent, session.id()).await;
    assert_eq!(copy.undo_compaction().await.unwrap(), is_undone);
    let resumed = reopen(&kept.agent, session).await;
    assert_same(&copy, session).await;
    assert!(!copy.undo_compaction().await.unwrap() && !resumed.undo_compaction().await.unwrap());
    resumed
}

/// The same conversation, and the same request next.
async fn assert_same(one: &Session, other: &Session) {
    let turns = |session: &Session| {
        let history = session.history();
        (history.turn_starts(0).collect::<Vec<_>>(), history.awaits_turn())
    };
    assert_eq!(conversation(&one.history()), conversation(&other.history()));
    assert_eq!(turns(one), turns(other));
    assert_eq!(one.token_count(), other.token_count());
    let (one, other) = (one.preview_request("next").await, other.preview_request("next").await);
    let (one, other) = (one.unwrap(), other.unwrap());
    assert_eq!(String::from_utf8_lossy(&one), String::from_utf8_lossy(&other));
}

async fn take(kept: &Kept, session: &mut Session, number: usize, step: Step) {
    let agent = &kept.agent;
    match step {
        Step::Prompt => drop(session.prompt(format!("p{number}")).await),
        Step::Steer => drop(session.steer(format!("s{number}")).await),
        Step::Interrupt => drop(session.interrupt()),
        Step::Compact => drop(session.compact()),
        Step::UndoCompaction => drop(session.undo_compaction().await.unwrap()),
        Step::UndoTwice => *session = undo_live_and_from_log(kept, session).await,
        Step::Move(n) => move_to(session, n).await,
        Step::Wait(polls) => yield_times(polls).await,
        Step::Reopen => *session = reopen(agent, session).await,
        Step::Fork(n) => {
            let messages = session.history().user_message_count();
            let records = session.log_position().unwrap() + 1;
            let at = match n % 3 {
                0 if messages > 0 => ForkPoint::BeforeUserMessage(n % messages),
                1 => ForkPoint::Behind(n as u64 % records),
                _ => ForkPoint::End,
            };
            *session = agent.session().fork(session, at).unwrap().start().await.unwrap();
        }
    }
}

/// Takes the steps; then the session is opened again.
fn live_is_resumed(seed: u64, steps: Vec<Step>) {
    in_virtual_time(async {
        let kept = Kept::new(seed, MemoryStore::new());
        let mut session = kept.agent.session().start().await.unwrap();
        for (number, step) in steps.into_iter().enumerate() {
            take(&kept, &mut session, number, step).await;
        }
        let session = reopen(&kept.agent, &session).await;
        session.shutdown().await.unwrap();
    });
}

#[test]
fn a_fork_whose_model_was_told_nothing_tells_it_everything_also_when_it_is_opened_again() {
    use Step::{Compact, Fork, Move, Prompt, UndoCompaction, Wait};
    // What was told behind a compaction is told anew once that is undone.
    let (there, back) = ([Prompt, Wait(59), Compact, Wait(59)], [UndoCompaction, Fork(0)]);
    let steps = there.into_iter().chain([Move(1), Prompt, Wait(59)]).chain(back);
    live_is_resumed(0, steps.collect());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_session_out_of_its_log_is_the_session(seed: u64, steps in vec(step(), 1..30)) {
        live_is_resumed(seed, steps);
    }
}
