//! What was said of calls, in logs that end behind any record: nobody is asked twice, nothing runs twice.

use std::collections::BTreeSet;
use std::fs;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use longhaul::TurnHandle;
use longhaul::approval::{ApprovalDecision, Approvals, CallInQuestion, Ruling};
use longhaul::prelude::*;
use longhaul::rollout::{
    FileStore, Fsync, LogRef, MemoryStore, OnDamage, Record, RecordKind, Store,
};
use longhaul_testkit::ScriptedModel;
use longhaul_testkit::model::{Answer, Recorded};
use longhaul_testkit::sse::ResponseBuilder;
use serde_json::{Value, json};

use super::full::Full;
use super::policy::Host;
use super::support::{Folder, Probe, conversation, items, lines, scripted, until};

/// The calls, and the output of each if nothing cuts it off. The last is of a response of its own.
const CALLS: [(&str, &str, &str); 8] = [
    ("c1", "1", "1"),
    ("c2", "2", "20"),
    ("c3", "3", "rejected by the user: not run: not that"),
    ("c4", "4", "4"),
    ("c5", "5", "5"),
    ("c6", "6", "60"),
    ("c7", "7", "denied: not run: stay"),
    ("c8", "4", "4"),
];

const UNKNOWN: &str = "aborted: had started, effect unknown";
const NOT_STARTED: &str = "aborted: not started";

fn respond(request: &Recorded) -> Answer {
    let call = |response: ResponseBuilder, (id, arguments, _): &(&str, &str, &str)| {
        response.call(id, "change", *arguments)
    };
    let (new, last) = (ResponseBuilder::new(), items(&request.input()).pop().unwrap());
    match &*last {
        "user go" => CALLS[..7].iter().fold(new, call).into(),
        output if output.starts_with("output c7") => call(new, &CALLS[7]).into(),
        _ => new.text("done").into(),
    }
}

fn rule(call: &CallInQuestion) -> Ruling {
    match &*call.call.arguments {
        "2" => Ruling::Ask { arguments: Some("20".into()) },
        "6" => Ruling::Allow { arguments: Some("60".into()) },
        "7" => Ruling::Deny { reason: "stay".into() },
        _ => Ruling::Ask { arguments: None },
    }
}

/// What somebody says of a call.
fn decision(call_id: &str) -> ApprovalDecision {
    match call_id {
        "c3" => ApprovalDecision::Denied { reason: Some("not that".into()) },
        "c4" => ApprovalDecision::ApprovedForSession,
        _ => ApprovalDecision::Approved,
    }
}

/// A process with a folder of its own.
struct Process {
    folder: Folder,
    agent: Agent,
    model: ScriptedModel,
    ran: Arc<Mutex<Vec<String>>>,
}

/// What a process leaves.
struct Left {
    log: Vec<u8>,
    asked: BTreeSet<String>,
    /// The calls that its tool ran.
    ran: Vec<String>,
    /// By their calls.
    outputs: Vec<(String, String)>,
}

impl Process {
    fn new() -> Self {
        let (folder, ran) = (Folder::new(), Arc::new(Mutex::new(Vec::new())));
        let model = ScriptedModel::new().respond_with(respond).repeat_last();
        let log = Arc::clone(&ran);
        let tool = Probe::echo("change").write().around(move |call| {
            log.lock().unwrap().push(call.call_id.clone());
            Box::new(())
        });
        let agent = scripted(&model).tool(tool).policy(Host(rule)).approvals(Approvals::answered());
        let agent = agent.store(FileStore::new(&folder.0).fsync(Fsync::Off)).build().unwrap();
        Self { folder, agent, model, ran }
    }

    /// Runs until `c5` alone waits for an answer, and is gone then.
    async fn first(&self) -> Vec<u8> {
        let session = self.agent.session().start().await.unwrap();
        let mut turn = session.prompt("go").await.unwrap();
        until(&mut turn, |line| line.starts_with("ask c5")).await;
        // The first comes last, so that what was said of the others is kept long before it shows.
        for call_id in ["c4", "c3", "c2", "c1"] {
            session.answer(call_id, None, decision(call_id)).await.unwrap();
            until(&mut turn, |line| line.starts_with(&format!("answered {call_id}"))).await;
        }
        until(&mut turn, |line| line.starts_with("end c4")).await;
        let log = fs::read(session.log_path().unwrap()).unwrap();
        // Whoever is killed lets nothing go.
        std::mem::forget((session, turn));
        log
    }

    async fn open(&self, log: &[u8]) -> Session {
        let path = self.folder.0.join("log.jsonl");
        fs::write(&path, log).unwrap();
        self.agent.session().resume(LogRef::Path(path), OnDamage::Refuse).start().await.unwrap()
    }

    /// Goes on with the turn, answers whatever asks, and ends.
    async fn go_on(&self, log: &[u8]) -> Left {
        let session = self.open(log).await;
        let mut turn = session.continue_turn().unwrap();
        let mut asked = BTreeSet::new();
        while let Some(event) = turn.next().await {
            if let Event::ApprovalRequest { call_id, .. } = event {
                session.answer(&call_id, None, decision(&call_id)).await.unwrap();
                assert!(asked.insert(call_id.clone()), "{call_id} twice");
            }
        }
        turn.await.unwrap();
        self.leave(session, asked).await
    }

    /// Says something else, so that the turn is over.
    async fn let_go(&self, log: &[u8]) -> Left {
        let session = self.open(log).await;
        session.prompt("and now?").await.unwrap().await.unwrap();
        self.leave(session, BTreeSet::new()).await
    }

    async fn leave(&self, session: Session, asked: BTreeSet<String>) -> Left {
        let said = conversation(&session.history());
        if let Some(last) = self.model.requests().last() {
            let sent = items(&last.input());
            assert_eq!(sent, said[..sent.len()], "the model sees what is kept");
            assert_eq!(self.model.problems(), [""; 0]);
        }
        session.shutdown().await.unwrap();
        let log = fs::read(self.folder.0.join("log.jsonl")).unwrap();
        let ran = std::mem::take(&mut *self.ran.lock().unwrap());
        Left { log, asked, ran, outputs: said.iter().filter_map(|it| output(it)).collect() }
    }
}

fn output(item: &str) -> Option<(String, String)> {
    let (call_id, text) = item.strip_prefix("output ")?.split_once(' ')?;
    Some((call_id.to_owned(), text.to_owned()))
}

/// Each on a runtime of its own, which ends with it.
fn in_a_process<T>(life: impl AsyncFnOnce(&Process) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let process = Process::new();
    runtime.block_on(life(&process))
}

/// What a log knows of its calls.
#[derive(Debug, Default)]
struct Known {
    /// Those of all responses, in order.
    calls: Vec<String>,
    has_response: bool,
    said: BTreeSet<String>,
    denied: BTreeSet<String>,
    started: BTreeSet<String>,
    outputs: Vec<(String, String)>,
    is_over: bool,
}

impl Known {
    fn of(log: &[u8]) -> Self {
        let (mut known, mut first) = (Self::default(), 0);
        for line in log.split_inclusive(|b| *b == b'\n') {
            let record = Record::open(line).unwrap().record;
            let payload: Value = serde_json::from_str(record.payload.get()).unwrap();
            let text = |key: &str| payload[key].as_str().unwrap_or_default().to_owned();
            match record.kind {
                RecordKind::ResponseItem => match &*text("type") {
                    "function_call" => {
                        known.calls.push(text("call_id"));
                        known.has_response = false;
                    }
                    "function_call_output" => known.outputs.push((text("call_id"), text("output"))),
                    _ => {}
                },
                RecordKind::Call if text("state") == "response" => {
                    let count = usize::try_from(payload["calls"].as_u64().unwrap()).unwrap();
                    (known.has_response, first) = (true, known.calls.len() - count);
                }
                RecordKind::Call => {
                    let position = usize::try_from(payload["position"].as_u64().unwrap()).unwrap();
                    let call = known.calls[first + position].clone();
                    match &*text("state") {
                        "allowed" => known.said.extend([call]),
                        "denied" => {
                            known.said.extend([call.clone()]);
                            known.denied.extend([call]);
                        }
                        "started" => known.started.extend([call]),
                        _ => {}
                    }
                }
                // `c4`, for the length of the session.
                RecordKind::Grant => known.said.extend(["c4".to_owned()]),
                RecordKind::EventMsg if text("type") == "task_complete" => known.is_over = true,
                _ => {}
            }
        }
        known
    }

    /// The output of a call if the process is gone now and another goes on with the turn.
    fn output(&self, call_id: &str, expected: &str) -> String {
        if let Some((_, output)) = self.outputs.iter().find(|(of, _)| of == call_id) {
            return output.clone();
        }
        let is_torn = self.calls.last().is_some_and(|last| last == call_id) && !self.has_response;
        let cut_off = if is_torn { Some(NOT_STARTED) } else { None };
        let unknown = self.started.contains(call_id).then_some(UNKNOWN);
        unknown.or(cut_off).unwrap_or(expected).to_owned()
    }

    /// The same if nobody goes on with it.
    fn output_without(&self, call_id: &str, expected: &str) -> String {
        let is_said = self.denied.contains(call_id) || self.started.contains(call_id);
        let expected = if is_said { expected } else { NOT_STARTED };
        self.output(call_id, expected)
    }
}

/// Where the log can be cut once the first response is whole, and before the turn is over.
fn cuts(log: &[u8], from: usize) -> Vec<usize> {
    let ends = log.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1);
    let is_within = |end: &usize| {
        let known = Known::of(&log[..*end]);
        let is_begun = known.has_response || known.calls.len() > 7;
        is_begun && !known.is_over
    };
    ends.filter(|end| *end > from).filter(is_within).collect()
}

fn check(log: &[u8], left: &Left) {
    let known = Known::of(log);
    let again: Vec<_> = left.asked.intersection(&known.said).collect();
    assert!(again.is_empty(), "{again:?} were answered: {known:?}");
    assert!(!left.asked.contains("c8"), "what holds for the session: {known:?}");
    let again: Vec<_> = left.ran.iter().filter(|call| known.started.contains(*call)).collect();
    assert!(again.is_empty(), "{again:?} ran twice: {known:?}");
    assert!(!left.ran.iter().any(|call| call == "c3" || call == "c7"), "{:?}", left.ran);
    let expected = CALLS.iter().map(|(id, _, it)| ((*id).to_owned(), known.output(id, it)));
    assert_eq!(left.outputs, expected.collect::<Vec<_>>(), "{known:?}");
}

#[test]
fn what_was_said_of_a_call_holds_wherever_a_log_ends() {
    let log = in_a_process(async |process| process.first().await);
    let known = Known::of(&log);
    assert_eq!(known.said.len(), 6, "all but c5: {known:?}");
    assert_eq!(known.outputs.len(), 4);
    let mut lives = 0;
    for cut in cuts(&log, 0) {
        let log = &log[..cut];
        let left = in_a_process(async |process| process.go_on(log).await);
        check(log, &left);
        // And the same once more.
        for again in cuts(&left.log, cut) {
            let log = &left.log[..again];
            let left = in_a_process(async |process| process.go_on(log).await);
            check(log, &left);
            lives += 1;
        }
    }
    println!("{lives} processes went on behind two others");
    assert!(lives > 500);
}

#[test]
fn what_was_said_of_a_call_is_told_to_the_model_also_where_its_turn_is_let_go() {
    let log = in_a_process(async |process| process.first().await);
    let mut denied = 0;
    for cut in cuts(&log, 0) {
        let log = &log[..cut];
        let known = Known::of(log);
        let left = in_a_process(async |process| process.let_go(log).await);
        let calls = CALLS[..7].iter();
        let expected = calls.map(|(id, _, it)| ((*id).to_owned(), known.output_without(id, it)));
        assert_eq!(left.outputs, expected.collect::<Vec<_>>(), "{known:?}");
        assert_eq!(left.ran, [""; 0]);
        denied += left.outputs.iter().filter(|(_, output)| output.ends_with("not that")).count();
    }
    assert!(denied > 10);
}

/// No session says so of one that had started. But a log may, and what was done is not told as undone.
#[tokio::test]
async fn a_call_that_had_started_is_not_told_as_denied_whatever_a_log_says_behind_that() {
    let model = ScriptedModel::new().call("c1", "hang", "{}").text("well");
    let store = MemoryStore::new();
    let agent = scripted(&model).store(store.clone()).tool(Probe::endless("hang").write());
    let agent = agent.build().unwrap();
    let session = agent.session().start().await.unwrap();
    let mut turn = session.prompt(Input::from("go").id("t")).await.unwrap();
    until(&mut turn, |line| line.starts_with("begin c1")).await;
    let left = store.copy();
    let which = LogRef::Id(session.id().to_owned());
    let mut writer = left.open(&which, OnDamage::Refuse).await.unwrap().writer;
    let denied = json!({"turn_id": "t", "state": "denied", "position": 0, "reason": "no"});
    let denied = serde_json::value::to_raw_value(&denied).unwrap();
    let record = Record::new("2026-11-28T10:00:00Z".parse().unwrap(), RecordKind::Call, denied);
    writer.append(vec![record]).await.unwrap();
    writer.close().await.unwrap();
    let agent = scripted(&model).store(left).tool(Probe::endless("hang").write()).build().unwrap();
    let session = agent.session().resume(which, OnDamage::Refuse).start().await.unwrap();
    session.prompt("next").await.unwrap().await.unwrap();
    let said = conversation(&session.history());
    assert_eq!(said[2], format!("output c1 {UNKNOWN}"));
}

/// Two calls that are the same to the last byte are two calls.
#[test]
fn calls_that_are_alike_are_told_apart_by_their_place() {
    fn agent(folder: &Folder, ran: &Arc<Mutex<usize>>) -> Agent {
        let twin = json!({"type": "function_call", "id": "fc", "call_id": "a", "name": "change", "arguments": "1"});
        let model = ScriptedModel::new().respond_with(move |request| {
            let response = ResponseBuilder::new();
            match &*items(&request.input()).pop().unwrap() {
                "user go" => response.item(twin.clone()).item(twin.clone()).into(),
                _ => Answer::from(response.text("done")),
            }
        });
        let ran = Arc::clone(ran);
        let tool = Probe::echo("change").write().around(move |_| {
            *ran.lock().unwrap() += 1;
            Box::new(())
        });
        let agent = scripted(&model.repeat_last()).tool(tool);
        agent.store(FileStore::new(&folder.0).fsync(Fsync::Off)).build().unwrap()
    }
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let log = runtime().block_on(async {
        let folder = Folder::new();
        let session = agent(&folder, &Arc::default()).session().start().await.unwrap();
        session.prompt("go").await.unwrap().await.unwrap();
        fs::read(session.log_path().unwrap()).unwrap()
    });
    let ends: Vec<_> = log.iter().enumerate().filter(|(_, b)| **b == b'\n').collect();
    let mut cuts = 0;
    for (end, _) in ends {
        let cut = &log[..=end];
        let text = String::from_utf8_lossy(cut);
        if !text.contains(r#""state":"response""#) || text.contains("task_complete") {
            continue;
        }
        cuts += 1;
        let (started, answered) = (
            text.matches(r#""state":"started""#).count(),
            text.matches("function_call_output").count(),
        );
        let (folder, ran) = (Folder::new(), Arc::default());
        let outputs: Vec<_> = runtime().block_on(async {
            let path = folder.0.join("log.jsonl");
            fs::write(&path, cut).unwrap();
            let opening = agent(&folder, &ran).session();
            let session =
                opening.resume(LogRef::Path(path), OnDamage::Refuse).start().await.unwrap();
            session.continue_turn().unwrap().await.unwrap();
            conversation(&session.history()).iter().filter_map(|it| output(it)).collect()
        });
        let texts: Vec<_> = outputs.iter().map(|(_, text)| &**text).collect();
        let expected = (0..2).map(|at| if answered <= at && at < started { UNKNOWN } else { "1" });
        assert_eq!(texts, expected.collect::<Vec<_>>(), "{text}");
        assert_eq!(*ran.lock().unwrap(), 2 - started, "{text}");
    }
    assert!(cuts > 6, "{cuts}");
}

/// A session whose store may be full, in a turn that asks about `c1`.
async fn asked() -> (Full, Session, TurnHandle) {
    let model = ScriptedModel::new().call("c1", "change", "1").text("done");
    let store = Full::default();
    let agent = scripted(&model).store(store.clone()).tool(Probe::echo("change").asks());
    let agent = agent.approvals(Approvals::answered()).build().unwrap();
    let session = agent.session().start().await.unwrap();
    let mut turn = session.prompt("go").await.unwrap();
    until(&mut turn, |line| line.starts_with("ask")).await;
    (store, session, turn)
}

#[tokio::test]
async fn an_answer_is_told_when_it_is_kept() {
    for decision in [decision("c1"), decision("c3")] {
        let (store, session, mut turn) = asked().await;
        store.no_space.store(true, Ordering::Relaxed);
        session.answer("c1", None, decision).await.unwrap();
        let seen = lines(&mut turn).await;
        assert_eq!(seen, ["error storage", "complete -"]);
        assert_eq!(turn.await.unwrap_err().code(), "storage");
    }
}

#[tokio::test]
async fn an_answer_costs_no_write_of_its_own() {
    let (store, session, mut turn) = asked().await;
    let before = store.appends.lock().unwrap().len();
    session.answer("c1", None, decision("c1")).await.unwrap();
    let seen: Vec<_> = lines(&mut turn).await;
    assert_eq!(seen[..3], ["answered c1 yes", "begin c1 change 1", "end c1 ok 1"]);
    let appends = store.appends.lock().unwrap()[before..].to_vec();
    // That it may run and that it starts; its output; what the model says to it, and the end.
    let end = vec!["response_item", "call", "event_msg", "event_msg"];
    assert_eq!(appends, [vec!["call", "call"], vec!["response_item", "call"], end]);
}
