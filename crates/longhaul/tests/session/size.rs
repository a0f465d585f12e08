//! How long a log becomes: what was said stands in it once, whatever is done with it.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use longhaul::ForkPoint;
use longhaul::compaction::{Config, Tail};
use longhaul::prelude::*;
use longhaul::rollout::{FileStore, Fsync, LogRef, OnDamage, Record, RecordKind, Store};
use longhaul_testkit::ScriptedModel;
use longhaul_testkit::model::{Answer, Recorded};
use longhaul_testkit::sse::ResponseBuilder;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Value;

use super::policy::{Hopeless, Host};
use super::support::{
    Folder, Probe, Yielding, in_virtual_time, move_to, scripted, until, yield_times,
};

/// What a record may take beside what it says.
const RECORD_BYTES: usize = 512;

/// The folder of a store.
struct Home(Folder);

impl Home {
    fn new() -> Self {
        Self(Folder::new())
    }

    fn store(&self) -> FileStore {
        FileStore::new(&self.0.0).fsync(Fsync::Off)
    }

    /// The files below a folder of it, with their bytes.
    fn files(&self, below: &str) -> Vec<Vec<u8>> {
        let (mut files, mut open) = (Vec::new(), vec![self.0.0.join(below)]);
        while let Some(folder) = open.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    open.push(path);
                } else if path.extension().is_none_or(|it| it != "lock") {
                    files.push(fs::read(path).unwrap());
                }
            }
        }
        files
    }
}

/// How long a log is, and how long it may be.
struct Size {
    bytes: usize,
    records: usize,
    /// Of all that was said, each item once.
    content: usize,
    /// Of it, what bridges say before their summaries: they quote the user, each by itself.
    quoted: usize,
}

/// What a bridge says before its summary.
fn quoted(item: &Value) -> usize {
    let bridge = &item["longhaul_bridge"];
    let text = item["content"][0]["text"].as_str().filter(|_| bridge.is_object());
    let text = text.unwrap_or_default();
    let summary = bridge["summary"][0].as_u64().and_then(|at| usize::try_from(at).ok());
    // One that is beside the log says nothing in it.
    text.get(..summary.unwrap_or(text.len())).map_or(0, escaped)
}

/// The bytes of a text, as a log escapes it.
fn escaped(text: &str) -> usize {
    serde_json::to_string(text).unwrap().len()
}

impl Size {
    fn of(log: &[u8]) -> Self {
        let (mut said, mut quoted) = (BTreeSet::new(), 0);
        let records: Vec<Record> = log
            .split_inclusive(|b| *b == b'\n')
            .map(|it| Record::open(it).unwrap().record)
            .collect();
        for record in &records {
            match record.kind {
                RecordKind::ResponseItem | RecordKind::Shown => {
                    said.insert(record.payload.get().to_owned());
                }
                RecordKind::Input => {
                    let payload: Value = serde_json::from_str(record.payload.get()).unwrap();
                    said.extend(payload.get("item").map(Value::to_string));
                }
                // What the host's policy put in the place of arguments, and why a call may not run.
                RecordKind::Call => {
                    let payload: Value = serde_json::from_str(record.payload.get()).unwrap();
                    let texts = ["arguments", "reason"].map(|key| payload.get(key));
                    let new = |text: &String| !said.iter().any(|it: &String| it.contains(text));
                    let new: Vec<_> =
                        texts.into_iter().flatten().map(Value::to_string).filter(new).collect();
                    said.extend(new);
                }
                RecordKind::Compacted | RecordKind::Edited => {
                    let payload: Value = serde_json::from_str(record.payload.get()).unwrap();
                    let parts = payload["parts"].as_array().unwrap().iter();
                    for item in parts.filter_map(|part| part.get("new")) {
                        quoted += self::quoted(item);
                        said.insert(item.to_string());
                    }
                }
                _ => {}
            }
        }
        let content = said.iter().map(String::len).sum();
        Self { bytes: log.len(), records: records.len(), content, quoted }
    }

    fn assert_bounded(&self) {
        let Self { bytes, records, content, .. } = *self;
        let bound = content + content / 10 + RECORD_BYTES * records;
        assert!(bytes <= bound, "{bytes} bytes for {content} of content in {records} records");
    }
}

fn assert_bounded(home: &Home) {
    home.files("sessions").iter().for_each(|log| Size::of(log).assert_bounded());
}

/// The bytes of all that the user, the model and tools gave, as a log escapes it: counted where it is
/// given, so that what a log says twice is counted once. What a bridge quotes is said anew.
#[derive(Debug, Clone, Default)]
struct Given(Arc<AtomicUsize>);

impl Given {
    fn note(&self, text: String) -> String {
        self.0.fetch_add(escaped(&text), Ordering::SeqCst);
        text
    }

    fn assert_bounds(&self, home: &Home) {
        for log in home.files("sessions") {
            let mut size = Size::of(&log);
            size.content = self.0.load(Ordering::SeqCst) + size.quoted;
            size.assert_bounded();
        }
    }
}

/// What the model and the tools say: `kilobytes` of it, and nothing twice.
fn text(what: &str, number: usize, kilobytes: usize) -> String {
    let word = format!("{what}{number} \"x\"\n");
    word.repeat(kilobytes * 1_000 / word.len() + 1)
}

/// Answers, thoughts and calls of any length, by the number of the request.
fn respond(seed: u64, given: &Given, request: &Recorded) -> Answer {
    let order = request.order;
    let text = |what, number, kilobytes| given.note(text(what, number, kilobytes));
    let chance = (seed ^ order as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
    let kilobytes = usize::try_from(chance % 12).unwrap();
    if request.body["tool_choice"] == "none" {
        return ResponseBuilder::new().text(text("summary", order, kilobytes)).into();
    }
    let said = ResponseBuilder::new().reasoning("hm", Some(&text("why", order, 1)));
    match chance / 16 % 3 {
        0 => {
            let call = |response: ResponseBuilder, n: u64| {
                let arguments =
                    serde_json::json!({"x": self::text("arg", order, kilobytes)}).to_string();
                // Once as arguments, and once as what the tool says.
                let arguments = given.note(given.note(arguments));
                response.call(
                    &format!("c{order}_{n}"),
                    if n == 1 { "ask" } else { "look" },
                    arguments,
                )
            };
            (0..=chance / 64 % 3).fold(said, call).into()
        }
        _ => said.text(text("answer", order, kilobytes)).into(),
    }
}

fn agent(home: &Home, seed: u64, given: &Given) -> Agent {
    let given = given.clone();
    let model = ScriptedModel::new();
    let model = model.respond_with(move |request| respond(seed, &given, request)).repeat_last();
    let mut config = Config::default();
    config.keep.tail = Tail::Turns(2);
    let agent = longhaul::Agent::builder("test-model", Arc::new(Yielding(model)));
    let agent = agent.context_window(1_000_000).max_model_calls(4).compaction_config(config);
    let agent = agent.context(longhaul::coding::CodingContext::new(None)).cwd("/0");
    let agent = agent.tool(Probe::echo("look")).tool(Probe::echo("ask").write().asks());
    let answered = longhaul::approval::Approvals::answered();
    agent.approvals(answered).store(home.store()).build().unwrap()
}

/// What somebody does.
#[derive(Debug, Clone, Copy)]
enum Step {
    Prompt(usize),
    Steer,
    Answer,
    Interrupt,
    Compact,
    UndoCompaction,
    Move(u8),
    Wait(u8),
    Reopen,
    Fork(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..8_usize).prop_map(Step::Prompt),
        2 => Just(Step::Steer),
        3 => Just(Step::Answer),
        1 => Just(Step::Interrupt),
        3 => Just(Step::Compact),
        2 => Just(Step::UndoCompaction),
        1 => (0..3_u8).prop_map(Step::Move),
        8 => (1..80_u8).prop_map(Step::Wait),
        2 => Just(Step::Reopen),
        1 => any::<usize>().prop_map(Step::Fork),
    ]
}

async fn reopen(agent: &Agent, session: &Session) -> Session {
    session.drain(std::time::Duration::from_secs(1_000)).await.unwrap();
    let which = LogRef::Id(session.id().to_owned());
    agent.session().resume(which, OnDamage::Refuse).start().await.unwrap()
}

async fn take(agent: &Agent, session: &mut Session, number: usize, step: Step, given: &Given) {
    let text = |what, kilobytes| given.note(text(what, number, kilobytes));
    match step {
        Step::Prompt(kilobytes) => drop(session.prompt(text("prompt", kilobytes)).await),
        Step::Steer => drop(session.steer(text("steer", 1)).await),
        Step::Answer => {
            for pending in session.pending_approvals() {
                let approved = longhaul::approval::ApprovalDecision::Approved;
                let _ = session.answer(&pending.call_id, None, approved).await;
            }
        }
        Step::Interrupt => drop(session.interrupt()),
        Step::Compact => drop(session.compact()),
        Step::UndoCompaction => drop(session.undo_compaction().await),
        Step::Move(n) => move_to(session, n).await,
        Step::Wait(polls) => yield_times(polls).await,
        Step::Reopen => *session = reopen(agent, session).await,
        Step::Fork(n) => {
            let messages = session.history().user_message_count();
            if messages > 0 {
                let fork = agent.session().fork(session, n % messages).unwrap();
                *session = fork.start().await.unwrap();
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_log_is_as_long_as_what_was_said(seed: u64, steps in vec(step(), 1..40)) {
        let (home, given) = (Home::new(), Given::default());
        in_virtual_time(async {
            let agent = agent(&home, seed, &given);
            let mut session = agent.session().start().await.unwrap();
            for (number, step) in steps.into_iter().enumerate() {
                take(&agent, &mut session, number, step, &given).await;
            }
            let session = reopen(&agent, &session).await;
            session.shutdown().await.unwrap();
        });
        assert_bounded(&home);
        given.assert_bounds(&home);
    }
}

/// A conversation that stays large through fifty compactions: what is kept is never written again.
#[tokio::test]
async fn fifty_compactions_write_nothing_again() {
    let (home, given) = (Home::new(), Given::default());
    let answers = given.clone();
    let respond = move |request: &Recorded| {
        let order = request.order;
        let response = ResponseBuilder::new();
        let is_compaction = request.body["tool_choice"] == "none";
        let said = if is_compaction { text("sum", order, 3) } else { text("answer", order, 20) };
        Answer::from(response.text(answers.note(said)))
    };
    let prompt = |number| given.note(text("prompt", number, 1));
    let mut config = Config::default();
    config.keep.tail = Tail::Turns(200);
    let model = ScriptedModel::new().respond_with(respond).repeat_last();
    let agent = scripted(&model).context_window(100_000_000);
    let agent = agent.compaction_config(config).store(home.store()).build().unwrap();
    let session = agent.session().start().await.unwrap();
    for number in 0..250 {
        session.prompt(prompt(number)).await.unwrap().await.unwrap();
    }
    for number in 250..300 {
        session.prompt(prompt(number)).await.unwrap().await.unwrap();
        session.compact().unwrap().await.unwrap();
        if number % 10 == 0 {
            assert!(session.undo_compaction().await.unwrap());
        }
    }
    session.shutdown().await.unwrap();
    let logs = home.files("sessions");
    let size = Size::of(&logs[0]);
    println!("{} bytes, {} of content, {} records", size.bytes, size.content, size.records);
    assert!(logs.len() == 1 && size.content > 6_000_000);
    size.assert_bounded();
    given.assert_bounds(&home);
    // What the compactions took, and no more: a summary each, and a few numbers.
    assert!(size.bytes < size.content + size.content / 20 + 300 * size.records);
    for line in logs[0].split_inclusive(|b| *b == b'\n') {
        let record = Record::open(line).unwrap().record;
        let payload: Value = serde_json::from_str(record.payload.get()).unwrap();
        assert!(payload.get("turns").is_none(), "two hundred turns are told anew");
    }
}

/// A hundred compactions with an image in each turn, of which each is sent twice: as many blobs as there
/// are images, and a log that grows by the same each time.
#[tokio::test]
async fn f176_a_hundred_compactions_with_images_hold_each_image_once() {
    let home = Home::new();
    let respond = |request: &Recorded| {
        let is_compaction = request.body["tool_choice"] == "none";
        let kilobytes = if is_compaction { 1 } else { 2 };
        Answer::from(ResponseBuilder::new().text(text("said", request.order, kilobytes)))
    };
    let mut config = Config::default();
    config.keep.tail = Tail::Turns(3);
    let model = ScriptedModel::new().respond_with(respond).repeat_last();
    let agent = scripted(&model).context_window(100_000_000);
    let agent = agent.compaction_config(config).store(home.store()).build().unwrap();
    let session = agent.session().start().await.unwrap();
    let image = |number: usize| {
        let pixels = format!("{number:04}").repeat(20_000);
        format!("data:image/png;base64,{pixels}")
    };
    let mut lengths = vec![0];
    for number in 0..100 {
        let look = Input::from("look").image(image(number / 2));
        session.prompt(look).await.unwrap().await.unwrap();
        session.compact().unwrap().await.unwrap();
        lengths.push(home.files("sessions")[0].len());
    }
    session.shutdown().await.unwrap();
    let mut blobs: Vec<usize> = home.files("blobs").iter().map(Vec::len).collect();
    blobs.dedup();
    assert_eq!((home.files("blobs").len(), blobs), (50, vec![image(0).len()]));
    // Linear: no turn costs more than any other by a part of an image.
    let steps = lengths.windows(2).map(|pair| pair[1] - pair[0]).skip(10);
    let (least, most) = (steps.clone().min().unwrap(), steps.max().unwrap());
    assert!(most < least * 2 && most < image(0).len() / 4, "{least} to {most}");
    assert_bounded(&home);
}

/// What the log of a session says of models.
async fn models(home: &Home, session: &Session) -> serde_json::Map<String, Value> {
    let which = LogRef::Id(session.id().to_owned());
    let replay = home.store().read(&which, OnDamage::Refuse.into()).await.unwrap();
    let count: Value = serde_json::from_str(replay.token_count.unwrap().get()).unwrap();
    count["models"].as_object().unwrap().clone()
}

/// Fifty models, each of which is learned of anew: a record tells of what has changed.
#[tokio::test]
async fn many_models_cost_what_is_learned_of_them() {
    let home = Home::new();
    let model = ScriptedModel::new().text("well").repeat_last();
    let agent = super::support::scripted(&model).store(home.store()).build().unwrap();
    let mut session = agent.session().start().await.unwrap();
    for round in 0..4 {
        for n in 0..50 {
            let mut change = longhaul::state::protocol::SettingsUpdate::default();
            change.model = Some(format!("a-model-of-many-{n}"));
            session.configure(change).await.unwrap();
            session.prompt(text("prompt", round * 50 + n, 1)).await.unwrap().await.unwrap();
        }
        let known = models(&home, &session).await;
        assert_eq!(known.len(), 50);
        session = reopen(&agent, &session).await;
        assert_eq!(models(&home, &session).await, known);
    }
    let known = models(&home, &session).await;
    for at in [ForkPoint::End, ForkPoint::BeforeUserMessage(1)] {
        let mut fork = agent.session().fork(&session, at).unwrap().start().await.unwrap();
        for _ in 0..4 {
            assert_eq!(models(&home, &fork).await, known);
            fork = reopen(&agent, &fork).await;
        }
        fork.shutdown().await.unwrap();
    }
    session.shutdown().await.unwrap();
    assert_bounded(&home);
    let counts = home.files("sessions").into_iter().map(|log| {
        let counts = payloads(&log).into_iter().filter(|it| it["type"] == "token_count");
        let counts: Vec<usize> = counts.map(|it| it.to_string().len()).collect();
        assert!(counts.iter().all(|bytes| *bytes < 2 * RECORD_BYTES), "{counts:?}");
        counts.len()
    });
    let mut counts: Vec<usize> = counts.collect();
    counts.sort_unstable();
    assert_eq!(counts, [13, 13, 1 + 200], "four models a record at first; then one an answer");
}

/// The payloads of all records of a log.
fn payloads(log: &[u8]) -> Vec<Value> {
    let lines = log.split_inclusive(|b| *b == b'\n').map(|it| Record::open(it).unwrap().record);
    lines.map(|record| serde_json::from_str(record.payload.get()).unwrap()).collect()
}

/// Tools are told of when they change: not once more for each opening.
#[tokio::test]
async fn two_hundred_tools_are_told_once() {
    let home = Home::new();
    let model = ScriptedModel::new().text("well").repeat_last();
    let builder = || {
        let agent = super::support::scripted(&model).store(home.store());
        let tools = (0..200).map(|n| Probe::echo(&format!("a_tool_{n}")));
        tools.fold(agent, longhaul::AgentBuilder::tool).build().unwrap()
    };
    let mut session = builder().session().start().await.unwrap();
    session.prompt("a").await.unwrap().await.unwrap();
    let first = home.files("sessions")[0].len();
    for _ in 0..30 {
        session = reopen(&builder(), &session).await;
        assert_eq!(session.resumed().unwrap().differences, [""; 0]);
    }
    session.shutdown().await.unwrap();
    let logs = home.files("sessions");
    let kinds =
        logs[0].split_inclusive(|b| *b == b'\n').map(|it| Record::open(it).unwrap().record.kind);
    assert_eq!(kinds.filter(|kind| *kind == RecordKind::Surface).count(), 1);
    assert!(logs[0].len() < first + 30 * RECORD_BYTES, "{} after {first}", logs[0].len());
}

/// Images and outputs that are used in many turns, sessions and forks are stored once.
#[tokio::test]
async fn what_is_long_is_stored_once_for_all_sessions() {
    let home = Home::new();
    let output = "o".repeat(100_000);
    let tool = Probe::new("look", move |_, _| {
        let output = output.clone();
        async move { ToolOutput::text(output) }
    });
    let respond = |request: &Recorded| match request.order % 2 {
        0 => {
            Answer::from(ResponseBuilder::new().call(&format!("c{}", request.order), "look", "{}"))
        }
        _ => Answer::from(ResponseBuilder::new().text("done")),
    };
    let model = ScriptedModel::new().respond_with(respond).repeat_last();
    let agent = scripted(&model).context_window(100_000_000);
    let agent = agent.max_tool_output_bytes(1_000_000).tool(tool).store(home.store());
    let agent = agent.build().unwrap();
    let image = format!("data:image/png;base64,{}", "QUJD".repeat(50_000));
    let look = || Input::from("look").image(image.clone());
    for _ in 0..3 {
        let session = agent.session().start().await.unwrap();
        for _ in 0..4 {
            session.prompt(look()).await.unwrap().await.unwrap();
        }
        let fork = agent.session().fork(&session, 3).unwrap().start().await.unwrap();
        fork.prompt(look()).await.unwrap().await.unwrap();
        let fork = reopen(&agent, &fork).await;
        fork.prompt(look()).await.unwrap().await.unwrap();
        fork.shutdown().await.unwrap();
        session.shutdown().await.unwrap();
    }
    let logs = home.files("sessions");
    assert_eq!((logs.len(), model.requests().len()), (6, 36));
    let mut blobs: Vec<usize> = home.files("blobs").iter().map(Vec::len).collect();
    blobs.sort_unstable();
    assert_eq!(blobs, [100_000, image.len()]);
    assert_bounded(&home);
}

/// A process that goes on with a session, or begins one, and is gone when it tells of this.
fn live(agent: &Agent, id: Option<String>, at: &str) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let left = runtime.block_on(async {
        let opening = agent.session();
        let (session, mut turn);
        if let Some(id) = id {
            session = opening.resume(LogRef::Id(id), OnDamage::Refuse).start().await.unwrap();
            turn = session.continue_turn().unwrap();
        } else {
            session = opening.start().await.unwrap();
            turn = session.prompt("go").await.unwrap();
        }
        until(&mut turn, |line| line.starts_with(at)).await;
        (session, turn)
    });
    drop(runtime);
    let id = left.0.id().to_owned();
    // Whoever is killed lets nothing go.
    std::mem::forget(left);
    id
}

#[test]
fn what_waits_for_approval_is_written_once_however_often_the_session_is_opened() {
    let home = Home::new();
    let long = |what| serde_json::json!({"x": text(what, 0, 15)}).to_string();
    let calls = ["one", "two", "shown"].map(long);
    let model = ScriptedModel::new().calls([
        ("c1", "ask", &*calls[0]),
        ("c2", "ask", &calls[1]),
        ("c3", "ask", &calls[2]),
    ]);
    let agent = || {
        let agent = scripted(&model).tool(Probe::echo("ask").write()).store(home.store());
        agent.approvals(longhaul::approval::Approvals::answered())
    };
    let (before, changed) = (calls[1].clone(), long("changed"));
    let host = Host(move |call: &longhaul::approval::CallInQuestion| {
        let arguments = (call.call.arguments == before).then(|| changed.clone());
        longhaul::approval::Ruling::Ask { arguments }
    });
    // The first is gone before anybody is asked.
    let undecided = agent().policy(Hopeless { panics: false }).build().unwrap();
    let mut id = live(&undecided, None, "tokens");
    let decided = agent().policy(host).build().unwrap();
    for _ in 0..30 {
        id = live(&decided, Some(id), "ask c3");
    }
    assert_bounded(&home);
    let size = Size::of(&home.files("sessions")[0]);
    assert!(size.content > 60_000 && size.records > 30 && size.records < 50, "{}", size.records);
}
