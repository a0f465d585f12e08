//! Sessions that other programs began, and sessions for them.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use longhaul::approval::Approvals;
use longhaul::prelude::*;
use longhaul::rollout::{
    ImportedFrom, LogRef, LogWriter, MemoryStore, OnDamage, Opened, Page, Query, Record, Replay,
    ReplayConfig, Store, StoreError, replay,
};
use longhaul::state::protocol::{ApprovalPolicy, Settings};
use longhaul::transport::request::Reasoning;
use longhaul::{BuildError, ForkPoint};
use longhaul_testkit::ScriptedModel;
use longhaul_testkit::server::{Reply, Server};
use serde_json::{Value, json};

use super::support::{Probe, conversation, items, over_http, scripted};

/// Logs that codex has written.
const LOGS: [&str; 3] = ["plain", "tools", "compacted"];

fn codex(name: &str) -> PathBuf {
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/../rollout/tests/fixtures");
    Path::new(fixtures).join(name).with_extension("jsonl")
}

/// A file of its own, gone in the end.
struct File(PathBuf);

impl File {
    fn new(name: &str, content: impl AsRef<[u8]>) -> Self {
        let name = format!("import-{}-{name}.jsonl", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::write(&path, content).unwrap();
        Self(path)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn read(path: &Path) -> Replay {
    replay(&std::fs::read(path).unwrap(), &(), OnDamage::Refuse).unwrap()
}

/// The items of a log, one short line each, as they are sent.
fn said(replay: &Replay) -> Vec<String> {
    let mut history = longhaul::history::History::default();
    history.extend(replay.items.iter().map(|it| it.item.clone()));
    conversation(&history)
}

#[tokio::test]
async fn a_session_of_codex_goes_on() {
    for name in LOGS {
        let server = Server::start(["one", "two"].map(Reply::text)).await.unwrap();
        let store = MemoryStore::new();
        let agent = over_http(&server).store(store.clone()).build().unwrap();
        let (path, log) = (codex(name), read(&codex(name)));
        let left = std::fs::read(&path).unwrap();
        let import = agent.session().import(&*path, OnDamage::Refuse);
        let session = import.start().await.unwrap();
        let id = log.meta.clone().unwrap().id;
        assert_eq!(session.id(), id, "the cache key stays");
        assert!(session.resumed().is_none());
        let from = ImportedFrom { id: id.clone(), path: Some(path.to_str().unwrap().into()) };
        let imported = session.imported().unwrap().clone();
        assert_eq!((imported.from.clone(), imported.torn_bytes), (from.clone(), 0));
        assert!(imported.damage.is_empty() && imported.unanswered_calls.is_empty());
        let states = "record of the type `world_state`, which says nothing here";
        assert!(
            imported
                .left_out
                .iter()
                .any(|it| it.contains(states) || it.contains("records of the type `world_state`")),
            "{imported:?}"
        );
        let mut settings = Settings::new("mock-model");
        settings.approval_policy = ApprovalPolicy::Never;
        settings.cwd = Some("/home/user/project".into());
        assert_eq!(session.settings(), settings);
        let (usage, _) = session.token_count();
        assert!(usage.unwrap().total_token_usage.total > 0);
        session.prompt("more").await.unwrap().await.unwrap();
        session.shutdown().await.unwrap();

        let which = LogRef::Id(id.clone());
        let session =
            agent.session().resume(which.clone(), OnDamage::Refuse).start().await.unwrap();
        assert!(session.imported().is_none());
        session.prompt("still more").await.unwrap().await.unwrap();
        session.shutdown().await.unwrap();

        let input = |request: usize| {
            let body = server.requests()[request].json();
            assert_eq!(
                (&body["prompt_cache_key"], &body["model"]),
                (&json!(id), &json!("mock-model"))
            );
            items(body["input"].as_array().unwrap())
        };
        let mut expected = said(&log);
        expected.push("user more".into());
        assert_eq!(input(0), expected, "{name}");
        expected.extend(["assistant one".into(), "user still more".into()]);
        assert_eq!(input(1), expected, "{name}");
        server.assert_complete();
        let meta = store.read(&which, OnDamage::Refuse.into()).await.unwrap().meta.unwrap();
        assert_eq!((meta.imported_from, meta.forked_from), (Some(from), None));
        assert_eq!(std::fs::read(&path).unwrap(), left);

        let again = agent.session().import(&*path, OnDamage::Refuse).start().await;
        assert_eq!(again.err().unwrap(), BuildError::AlreadyImported { log: id });
    }
}

#[tokio::test]
async fn a_log_in_files_says_which_to_resume_and_a_foreign_one_is_not_resumed() {
    let home =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("import-home-{}", std::process::id()));
    let store = longhaul::rollout::FileStore::new(&home);
    let model = ScriptedModel::new().text("one").repeat_last();
    let agent = scripted(&model).store(store.clone()).build().unwrap();
    let path = codex("tools");
    let resumed =
        agent.session().resume(LogRef::Path(path.clone()), OnDamage::Refuse).start().await;
    let error = resumed.err().unwrap();
    assert_eq!(error, BuildError::Foreign { path: path.to_str().unwrap().into() });
    assert!(error.to_string().contains("import it"), "{error}");
    let session = agent.session().import(&*path, OnDamage::Refuse).start().await.unwrap();
    let log = session.log_path().unwrap().to_owned();
    let again = agent.session().import(&*path, OnDamage::Refuse).start().await.err().unwrap();
    assert_eq!(again, BuildError::AlreadyImported { log: log.to_str().unwrap().into() });
    // The log that came of it is one of ours.
    let own = agent.session().import(&*log, OnDamage::Refuse).start().await.err().unwrap();
    assert_eq!(own, BuildError::NotForeign { path: log.to_str().unwrap().into() });
    session.shutdown().await.unwrap();
    std::fs::remove_dir_all(&home).unwrap();
}

/// Also where the store's folder is the other program's.
#[tokio::test]
async fn a_log_in_the_stores_own_folder_is_imported_beside_it() {
    let home =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("import-own-{}", std::process::id()));
    let id = read(&codex("plain")).meta.unwrap().id;
    let day = home.join("sessions/2026/11/22");
    std::fs::create_dir_all(&day).unwrap();
    let theirs = day.join(format!("rollout-2026-11-22T09-30-46-{id}.jsonl"));
    std::fs::copy(codex("plain"), &theirs).unwrap();
    let agent = scripted(&ScriptedModel::new());
    let agent = agent.store(longhaul::rollout::FileStore::new(&home)).build().unwrap();
    let which = LogRef::Id(id.clone());
    let session = agent.session().import(which, OnDamage::Refuse).start().await;
    let session = session.unwrap();
    assert_eq!(session.id(), id);
    let ours = session.log_path().unwrap().to_owned();
    assert_ne!(ours, theirs);
    session.shutdown().await.unwrap();
    // Theirs has the newer name, as local times may have it.
    let later = home.join("sessions/2999/01/01");
    std::fs::create_dir_all(&later).unwrap();
    let later = later.join(format!("rollout-2999-01-01T00-00-00-{id}.jsonl"));
    std::fs::rename(&theirs, &later).unwrap();
    let theirs = later;
    for which in [LogRef::Id(id.clone()), LogRef::Path(theirs.clone())] {
        let again = agent.session().import(which, OnDamage::Refuse).start().await.err().unwrap();
        let log = ours.to_str().unwrap().to_owned();
        assert_eq!(again, BuildError::AlreadyImported { log });
    }
    let which = LogRef::Id(id.clone());
    let session = agent.session().resume(which, OnDamage::Refuse).start().await.unwrap();
    assert_eq!(session.history().len(), read(&theirs).items.len());
    session.shutdown().await.unwrap();
    std::fs::remove_dir_all(&home).unwrap();
}

/// A store in which others are as fast: whoever looks for a log finds none.
#[derive(Debug)]
struct Unseen(MemoryStore);

#[async_trait]
impl Store for Unseen {
    async fn create(&self, records: Vec<Record>) -> Result<Box<dyn LogWriter>, StoreError> {
        self.0.create(records).await
    }

    async fn open(&self, which: &LogRef, on_damage: OnDamage) -> Result<Opened, StoreError> {
        self.0.open(which, on_damage).await
    }

    async fn read(&self, which: &LogRef, _: ReplayConfig) -> Result<Replay, StoreError> {
        Err(StoreError::NotFound { which: format!("{which:?}") })
    }

    async fn list(&self, query: &Query) -> Result<Page, StoreError> {
        self.0.list(query).await
    }
}

/// Who is too late learns it as one does who comes later.
#[tokio::test]
async fn of_two_that_import_a_session_at_once_one_has_it() {
    let store = MemoryStore::new();
    let id = read(&codex("plain")).meta.unwrap().id;
    let agent = scripted(&ScriptedModel::new()).store(Unseen(store.clone())).build().unwrap();
    let import = || agent.session().import(&*codex("plain"), OnDamage::Refuse).start();
    let already = BuildError::AlreadyImported { log: id };
    let (a, b) = tokio::join!(import(), import());
    let (session, late) = if a.is_ok() { (a, b) } else { (b, a) };
    assert_eq!(late.err().unwrap(), already);
    assert_eq!(import().await.err().unwrap(), already, "it is open");
    session.unwrap().shutdown().await.unwrap();
    assert_eq!(import().await.err().unwrap(), already, "it is closed");
    assert_eq!(store.list(&Query::default()).await.unwrap().sessions.len(), 1);
}

fn line(kind: &str, payload: &Value) -> String {
    let line = json!({"timestamp": "2026-11-28T10:00:00.000Z", "type": kind, "payload": payload});
    format!("{line}\n")
}

fn message(role: &str, text: &str) -> String {
    let kind = if role == "user" { "input_text" } else { "output_text" };
    let content = json!([{"type": kind, "text": text}]);
    line("response_item", &json!({"type": "message", "role": role, "content": content}))
}

const ID: &str = "01a20298-0571-7a40-bd9c-36a08a0bd337";

fn meta(id: &str) -> String {
    line("session_meta", &json!({"id": id, "timestamp": "2026-11-28T10:00:00Z"}))
}

fn call(id: &str) -> String {
    let call = json!({"type": "function_call", "call_id": id, "name": "look", "arguments": "{}"});
    line("response_item", &call)
}

fn output(id: &str) -> String {
    let output = json!({"type": "function_call_output", "call_id": id, "output": "seen"});
    line("response_item", &output)
}

#[tokio::test]
async fn what_is_not_taken_over_is_told() {
    let log = meta("mine")
        + &line(
            "turn_context",
            &json!({"model": " ", "cwd": "elsewhere", "approval_policy": "on-failure", "effort": "high", "summary": "detailed"}),
        )
        + &message("user", "look")
        + &call("c1")
        + &call("c2")
        + &output("c1")
        + &line("response_item", &json!({"type": "hologram", "depth": 1}))
        + &line("mood", &json!({}))
        + &line("mood", &json!({}))
        + &line(
            "event_msg",
            &json!({"type": "token_count", "info": 7, "rate_limits": {"primary": {"used_percent": "x"}}}),
        )
        + "{\"timestamp\":\"20";
    let file = File::new("told", log);
    let model = ScriptedModel::new().text("well");
    let agent = scripted(&model).store(MemoryStore::new()).cwd("/here").build().unwrap();
    let session = agent.session().import(&*file.0, OnDamage::Refuse).start().await.unwrap();
    let imported = session.imported().unwrap();
    assert_ne!(session.id(), "mine");
    assert_eq!((imported.torn_bytes, &*imported.unanswered_calls), (16, &["c2".to_owned()][..]));
    assert_eq!(
        imported.left_out,
        [
            "2 records of the type `mood`, which says nothing here",
            "its model, which is \" \"",
            "its folder, which is \"elsewhere\"",
            "its approval policy, which is \"on-failure\"",
            "what it had used, which cannot be read",
            "limits of its server, which cannot be read",
            "its id is no UUID: the session has a new one",
        ]
    );
    let mut settings = Settings::new("test-model");
    settings.cwd = Some("/here".into());
    let (effort, summary) = (Some("high".into()), Some("detailed".into()));
    settings.reasoning = Some(Reasoning { effort, summary });
    assert_eq!(session.settings(), settings);
    session.prompt("and?").await.unwrap().await.unwrap();
    let sent = items(&model.requests()[0].input());
    let expected = [
        "user look",
        "call c1 look {}",
        "call c2 look {}",
        "output c2 aborted",
        "output c1 seen",
        r#"{"depth":1,"type":"hologram"}"#,
        "user and?",
    ];
    assert_eq!(sent, expected);
    model.assert_complete();
}

#[tokio::test]
async fn the_policies_of_codex_are_taken_over() {
    let table = [
        ("never", ApprovalPolicy::Never),
        ("on-request", ApprovalPolicy::OnRequest),
        ("untrusted", ApprovalPolicy::Always),
    ];
    for (name, policy) in table {
        let log = meta(ID) + &line("turn_context", &json!({"model": "m", "approval_policy": name}));
        let file = File::new(name, log + &message("user", "a"));
        let agent = scripted(&ScriptedModel::new()).store(MemoryStore::new());
        let agent =
            agent.approvals(Approvals::answered()).tool(Probe::echo("look")).build().unwrap();
        let session = agent.session().import(&*file.0, OnDamage::Refuse).start().await.unwrap();
        assert_eq!(session.settings().approval_policy, policy);
        assert_eq!(session.imported().unwrap().left_out, [""; 0]);
    }
}

#[tokio::test]
async fn what_cannot_be_imported_is_refused_and_leaves_nothing() {
    let store = MemoryStore::new();
    let agent = scripted(&ScriptedModel::new()).store(store.clone()).build().unwrap();
    let damaged = meta(ID) + &message("user", "a") + "garbage\n" + &message("user", "b");
    let empty = File::new("empty", "");
    let torn = File::new("torn", meta(ID).trim_end());
    let prose = File::new("prose", "Dear diary,\n");
    let damaged = File::new("damaged", damaged);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let table = [
        (&*empty.0, "no record names the session"),
        (&*torn.0, "no record names the session"),
        (&*prose.0, "is damaged: line 1"),
        (&*damaged.0, "is damaged: line 3"),
        (folder, "no regular file"),
        (&*folder.join("nothing"), "there is no log"),
    ];
    for (path, expected) in table {
        let error = agent.session().import(path, OnDamage::Refuse).start().await.err().unwrap();
        assert!(error.to_string().contains(expected), "{error}");
    }
    assert_eq!(store.list(&Query::default()).await.unwrap().sessions, []);

    let salvaged = agent.session().import(&*damaged.0, OnDamage::Salvage).start().await.unwrap();
    assert_eq!(conversation(&salvaged.history()), ["user a", "user b"]);
    let lines: Vec<u64> = salvaged.imported().unwrap().damage.iter().map(|it| it.line).collect();
    assert_eq!(lines, [3]);

    let agent = scripted(&ScriptedModel::new()).build().unwrap();
    let error = agent.session().import(&*damaged.0, OnDamage::Salvage).start().await.err().unwrap();
    assert!(error.to_string().contains("no store"), "{error}");
}

#[tokio::test]
async fn a_log_of_codex_can_be_forked() {
    let file = File::new(
        "fork",
        meta(ID) + &message("user", "a") + &message("assistant", "1") + &message("user", "b"),
    );
    let model = ScriptedModel::new().text("well").repeat_last();
    let home =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("import-fork-{}", std::process::id()));
    let store = longhaul::rollout::FileStore::new(&home);
    let agent = scripted(&model).store(store).build().unwrap();
    let table = [
        (ForkPoint::BeforeUserMessage(1), vec!["user a", "assistant 1"]),
        (ForkPoint::Behind(1), vec!["user a"]),
        (ForkPoint::End, vec!["user a", "assistant 1", "user b"]),
    ];
    for (at, expected) in table {
        let fork = agent.session().fork_log(&*file.0, at).start().await.unwrap();
        assert_eq!(conversation(&fork.history()), expected);
        assert_ne!(fork.id(), ID);
        assert_eq!(fork.imported().unwrap().from.id, ID);
        let meta = read(fork.log_path().unwrap()).meta.unwrap();
        assert_eq!((meta.forked_from.unwrap().id.as_str(), meta.imported_from), (ID, None));
    }
    std::fs::remove_dir_all(&home).unwrap();
}

#[tokio::test]
async fn a_session_goes_out_and_comes_in_again() {
    let model = ScriptedModel::new()
        .reasoned_calls("hm", [("c1", "look", "{}")])
        .text("one")
        .text("two")
        .repeat_last();
    let builder = || scripted(&model).tool(Probe::echo("look")).cwd("/work");
    let store = MemoryStore::new();
    let agent = builder().store(store.clone()).build().unwrap();
    let session = agent.session().start().await.unwrap();
    session.prompt("a").await.unwrap().await.unwrap();
    session.prompt("b").await.unwrap().await.unwrap();
    let log = session.export().await.unwrap();
    let text = String::from_utf8(log.clone()).unwrap();
    assert!(!text.contains("longhaul_") && !text.contains("\"crc\""), "{text}");
    let kinds: Vec<String> = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|line| {
            format!(
                "{} {}",
                line["type"].as_str().unwrap(),
                line["payload"]["type"].as_str().unwrap_or("")
            )
        })
        .collect();
    let expected = [
        "session_meta ",
        "turn_context ",
        "response_item message",
        "event_msg user_message",
        "response_item reasoning",
        "event_msg agent_reasoning",
        "response_item function_call",
        "response_item function_call_output",
        "response_item message",
        "event_msg agent_message",
        "turn_context ",
        "response_item message",
        "event_msg user_message",
        "response_item message",
        "event_msg agent_message",
        "event_msg token_count",
    ];
    assert_eq!(kinds, expected);

    let file = File::new("out", &log);
    let other = builder().store(MemoryStore::new()).build().unwrap();
    let again = other.session().import(&*file.0, OnDamage::Refuse).start().await.unwrap();
    assert_eq!(again.id(), session.id());
    assert_eq!(again.settings(), session.settings());
    assert_eq!(again.token_count(), session.token_count());
    assert_eq!(again.imported().unwrap().left_out, [""; 0]);
    assert_eq!(conversation(&again.history()), conversation(&session.history()));
    let next = |session: &Session| {
        let session = session.clone();
        async move { session.preview_request("next").await.unwrap() }
    };
    assert_eq!(next(&again).await, next(&session).await);
    // A session without a log goes out, too, and the log of one that is closed.
    let unkept = builder().build().unwrap().session().start().await.unwrap();
    assert!(read_bytes(&unkept.export().await.unwrap()).items.is_empty());
    session.shutdown().await.unwrap();
    let which = LogRef::Id(session.id().to_owned());
    let mut config = ReplayConfig::default();
    config.times = true;
    let closed = store.read(&which, config).await.unwrap();
    let began = closed.meta.clone().unwrap().timestamp;
    let recorded = closed.times.clone();
    assert!(recorded.iter().all(Option::is_some));
    let closed = closed.export(jiff::Timestamp::UNIX_EPOCH).unwrap();
    assert_eq!(read_bytes(&closed).items, read_bytes(&log).items);

    // Opened again, it says of what was said before when that was.
    let session = agent.session().resume(which, OnDamage::Refuse).start().await.unwrap();
    session.prompt("c").await.unwrap().await.unwrap();
    let exported = session.export().await.unwrap();
    let log = read_bytes(&exported);
    let millisecond = |time: Option<jiff::Timestamp>| time.map(jiff::Timestamp::as_millisecond);
    assert_eq!(millisecond(log.meta.unwrap().timestamp), millisecond(began));
    assert_eq!(log.times[..recorded.len()], recorded);
    assert_eq!(log.times.len(), recorded.len() + 2);
}

fn read_bytes(log: &[u8]) -> Replay {
    let mut config = ReplayConfig::default();
    config.times = true;
    replay(&log, &(), config).unwrap()
}
