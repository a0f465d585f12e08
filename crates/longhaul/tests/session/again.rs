//! Compacted, opened again and forked: what is sent, over real HTTP, and what stands in the log.

use std::fs;
use std::path::{Path, PathBuf};

use longhaul::coding::CodingContext;
use longhaul::compaction::{Bridge, SUMMARIZATION_PROMPT};
use longhaul::history::Item;
use longhaul::prelude::*;
use longhaul::rollout::{FileStore, LogRef, OnDamage};
use longhaul::state::ContextMessages;
use longhaul_testkit::check;
use longhaul_testkit::server::{RecordedRequest, Reply, Server};
use serde_json::{Value, json};

use super::support::{Folder, conversation, over_http};

/// An agent with the coding preset.
fn agent(server: &Server, folder: &Folder) -> Agent {
    let agent = over_http(server).instructions("Be brief.").cwd("/work");
    agent.context(CodingContext::new(None)).store(FileStore::new(&folder.0)).build().unwrap()
}

async fn server<const N: usize>(replies: [&str; N]) -> Server {
    Server::start(replies.map(Reply::text)).await.unwrap()
}

async fn say(session: &Session, texts: &[&str]) {
    for text in texts {
        session.prompt(*text).await.unwrap().await.unwrap();
    }
}

/// Shuts it down, and gives the path of its log.
async fn close(session: Session) -> PathBuf {
    let path = session.log_path().unwrap().to_owned();
    session.shutdown().await.unwrap();
    path
}

async fn again(agent: &Agent, log: &Path) -> Session {
    let opening = agent.session().resume(LogRef::Path(log.to_owned()), OnDamage::Refuse);
    opening.start().await.unwrap()
}

async fn fork(agent: &Agent, log: &Path, before: usize) -> Session {
    agent.session().fork_log(LogRef::Path(log.to_owned()), before).start().await.unwrap()
}

fn user(text: &str) -> Value {
    serde_json::from_str(Item::user(text).json()).unwrap()
}

/// As the model said it, in a later request.
fn reply(text: &str) -> Value {
    json!({"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]})
}

fn bridge(said: &str) -> Value {
    user(&Bridge { user_messages: &[said.into()], summary: "SUMMARY" }.render().unwrap())
}

fn context(session: &Session) -> Vec<Value> {
    let items = CodingContext::new(None).messages(None, &session.settings());
    items.iter().map(|item| serde_json::from_str(item.json()).unwrap()).collect()
}

fn inputs(requests: &[RecordedRequest]) -> Vec<Vec<Value>> {
    requests.iter().map(|it| it.json()["input"].as_array().unwrap().clone()).collect()
}

/// The body but for its input and the key of the cache.
fn rest(request: &RecordedRequest) -> Value {
    let mut body = request.json();
    let fields = body.as_object_mut().unwrap();
    fields.retain(|name, _| name != "input" && name != "prompt_cache_key");
    body
}

#[tokio::test]
async fn t015_t016_the_bodies_over_a_compaction_a_resume_and_a_fork() {
    let server = server(["FIRST_REPLY", "SUMMARY", "COMPACTED_REPLY", "RESUMED", "FORKED"]).await;
    let folder = Folder::new();
    let agent = agent(&server, &folder);
    let session = agent.session().start().await.unwrap();
    let context = context(&session);
    say(&session, &["hello world"]).await;
    session.compact().unwrap().await.unwrap();
    say(&session, &["AFTER_COMPACT"]).await;
    let log = close(session).await;
    let session = again(&agent, &log).await;
    say(&session, &["AFTER_RESUME"]).await;
    let log = close(session).await;
    // A bridge is no message of the user.
    let session = fork(&agent, &log, 1).await;
    say(&session, &["AFTER_FORK"]).await;
    close(session).await;

    let requests = server.requests();
    let with = |items: &[Value]| [&context[..], items].concat();
    let compacted = [bridge("hello world"), user("AFTER_COMPACT"), reply("COMPACTED_REPLY")];
    let then = |text: &str| [&compacted[..], &[user(text)]].concat();
    let prompt = user(SUMMARIZATION_PROMPT);
    assert_eq!(
        inputs(&requests),
        [
            with(&[user("hello world")]),
            with(&[user("hello world"), reply("FIRST_REPLY"), prompt]),
            with(&compacted[..2]),
            with(&then("AFTER_RESUME")),
            with(&then("AFTER_FORK")),
        ]
    );
    for (number, request) in requests.iter().enumerate() {
        let mut expected = rest(&requests[0]);
        expected["tool_choice"] = if number == 1 { "none" } else { "auto" }.into();
        let mut found = rest(request);
        // Without tools there is no choice that would have to be sent.
        found["tool_choice"] = found.get("tool_choice").cloned().unwrap_or("auto".into());
        assert_eq!(found, expected, "{number}");
    }
    let keys: Vec<_> = requests.iter().map(|it| it.json()["prompt_cache_key"].clone()).collect();
    assert_eq!(keys[..4], vec![keys[0].clone(); 4]);
    assert_ne!(keys[4], keys[0]);
    check::prefix(&requests[2].body, &requests[3].body).unwrap();
    assert_eq!(server.problems(), [""; 0]);
}

#[tokio::test]
async fn t017_t024_a_place_out_of_range_is_refused_and_what_comes_first_starts_anew() {
    let replies = ["FIRST_REPLY", "FORKED", "SUMMARY", "COMPACTED_REPLY", "RESUMED"];
    let server = server(replies).await;
    let folder = Folder::new();
    let agent = agent(&server, &folder);
    let session = agent.session().start().await.unwrap();
    let context = context(&session);
    say(&session, &["hello world"]).await;
    let log = close(session).await;
    for n in [1, 3] {
        let opening = agent.session().fork_log(LogRef::Path(log.clone()), n);
        let error = opening.start().await.unwrap_err().to_string();
        assert!(error.contains(&format!("there is no user message {n}")), "{error}");
    }
    let session = fork(&agent, &log, 0).await;
    say(&session, &["AFTER_FORK"]).await;
    session.compact().unwrap().await.unwrap();
    say(&session, &["AFTER_COMPACT_2"]).await;
    let log = close(session).await;
    let session = again(&agent, &log).await;
    say(&session, &["AFTER_RESUME_2"]).await;
    close(session).await;
    let inputs = inputs(&server.requests());
    let new = [
        bridge("AFTER_FORK"),
        user("AFTER_COMPACT_2"),
        reply("COMPACTED_REPLY"),
        user("AFTER_RESUME_2"),
    ];
    assert_eq!(inputs[4], [&context[..], &new].concat());
    assert_eq!(inputs[3], inputs[4][..context.len() + 2]);
}

#[tokio::test]
async fn t018_t019_t020_a_history_out_of_a_log_is_the_live_one() {
    let server = server(["a1", "SUMMARY 1", "a2", "SUMMARY 2", "a3"]).await;
    let folder = Folder::new();
    let agent = agent(&server, &folder);
    let session = agent.session().start().await.unwrap();
    say(&session, &["u1"]).await;
    session.compact().unwrap().await.unwrap();
    say(&session, &["u2"]).await;
    session.compact().unwrap().await.unwrap();
    say(&session, &["u3"]).await;
    let live = conversation(&session.history());
    let expected = session.preview_request("next").await.unwrap();
    let log = close(session).await;
    let session = again(&agent, &log).await;
    assert_eq!(conversation(&session.history()), live);
    assert_eq!(session.preview_request("next").await.unwrap(), expected);
    close(session).await;
    let session = fork(&agent, &log, 0).await;
    let before = live.iter().position(|it| it == "user u3").unwrap();
    assert_eq!(conversation(&session.history()), live[..before]);
    close(session).await;
}

/// The payloads of the records of this type.
fn records(log: &Path, kind: &str) -> Vec<Value> {
    let text = fs::read_to_string(log).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let of_kind = lines.filter(|line| line["type"] == kind);
    of_kind.map(|line| line["payload"].clone()).collect()
}

#[tokio::test]
async fn t021_t022_t023_t025_a_fork_has_the_items_before_the_message_and_a_fork_of_it_too() {
    let server = server(["1", "2", "3"]).await;
    let folder = Folder::new();
    let agent = agent(&server, &folder);
    let session = agent.session().start().await.unwrap();
    let told = context(&session).len();
    say(&session, &["first", "second", "third"]).await;
    let log = close(session).await;
    let bytes = fs::read(&log).unwrap();
    let base = records(&log, "response_item");
    assert_eq!(base.len(), told + 6);
    let first = close(fork(&agent, &log, 2).await).await;
    assert_eq!(records(&first, "response_item"), base[..told + 4]);
    let second = close(fork(&agent, &first, 1).await).await;
    assert_eq!(records(&second, "response_item"), base[..told + 2]);
    // The context is no message of the user: it goes with the first.
    let third = close(fork(&agent, &second, 0).await).await;
    assert_eq!(records(&third, "response_item"), base[..told]);
    assert_eq!(fs::read(&log).unwrap(), bytes);
}

#[tokio::test]
async fn t003_the_log_of_a_compaction_holds_the_summary() {
    let server = server(["FIRST_REPLY", "SUMMARY", "more"]).await;
    let folder = Folder::new();
    let agent = agent(&server, &folder);
    let session = agent.session().start().await.unwrap();
    say(&session, &["hello world"]).await;
    session.compact().unwrap().await.unwrap();
    say(&session, &["next turn"]).await;
    let log = close(session).await;
    let compacted = records(&log, "compacted");
    let bridges =
        compacted.iter().map(|it| it["parts"].to_string()).filter(|it| it.contains("SUMMARY"));
    assert_eq!((compacted.len(), bridges.count()), (1, 1));
    let turns: Vec<_> = records(&log, "turn_context").iter().map(|it| it["told"].clone()).collect();
    assert_eq!(turns, [true, true]);
}

#[tokio::test]
async fn t039_a_resumed_session_sends_what_its_log_holds_and_nothing_else() {
    let server = server(["one", "two"]).await;
    let folder = Folder::new();
    let plain = over_http(&server).store(FileStore::new(&folder.0)).build().unwrap();
    let session = plain.session().start().await.unwrap();
    say(&session, &["first"]).await;
    let log = close(session).await;
    let session = again(&plain, &log).await;
    say(&session, &["hello"]).await;
    close(session).await;
    let expected = [user("first"), reply("one"), user("hello")];
    assert_eq!(inputs(&server.requests())[1], expected);
}

/// Of a turn's beginning a log may have a part: then the model was told nothing, and is told when the
/// next turn begins.
#[tokio::test]
async fn a_turn_of_which_only_the_beginning_is_there_told_the_model_nothing() {
    let server = server(["FIRST", "SECOND"]).await;
    let folder = Folder::new();
    let telling = || CodingContext::new(Some("Be kind.".into()));
    let agent = over_http(&server).cwd("/work").context(telling());
    let agent = agent.store(FileStore::new(&folder.0)).build().unwrap();
    let session = agent.session().start().await.unwrap();
    let context = telling().messages(None, &session.settings());
    let context: Vec<Value> =
        context.iter().map(|item| serde_json::from_str(item.json()).unwrap()).collect();
    assert_eq!(context.len(), 2);
    say(&session, &["lost"]).await;
    let log = close(session).await;
    let bytes = fs::read_to_string(&log).unwrap();
    let began = bytes.lines().position(|line| line.contains(r#""type":"turn_context""#)).unwrap();
    for kept in began..began + context.len() {
        let lines: Vec<_> = bytes.lines().take(kept + 1).collect();
        fs::write(&log, lines.join("\n") + "\n").unwrap();
        let session = again(&agent, &log).await;
        assert_eq!(session.resumed().unwrap().open_turn, None);
        let next = session.preview_request("said").await.unwrap();
        let next: Value = serde_json::from_slice(&next).unwrap();
        let input = next["input"].as_array().unwrap();
        let expected = [&context[..], &[user("said")]].concat();
        assert!(input.ends_with(&expected), "{kept} lines: {input:?}");
        close(session).await;
    }
}
