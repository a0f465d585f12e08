//! Sessions that are kept, opened again, and forked.

use longhaul_testkit::server::{Reply, Server};
use longhaul_testkit::sse::ResponseBuilder;
use serde_json::{Value, json};

use crate::support::{Folder, Program, config, in_time, shorts, text};

/// A configuration with a folder for sessions, and a tool that tells that it runs and never ends, unless the
/// program is gone that reads what it says.
fn kept(server: &Server, folder: &Folder) -> Value {
    let mut config = config(server, folder);
    config["home"] = json!(folder.0.join("home"));
    let script = "echo > runs; while echo; do sleep 0.1; done";
    config["tools"] = json!([{"name": "hang", "description": "", "parameters": {"type": "object"},
        "command": ["/bin/sh", "-c", script]}]);
    config
}

fn log_of(program: &Program) -> String {
    text(&program.configured["msg"]["rollout_path"]).to_owned()
}

/// Completes when a whole line of the log says this; no event tells that an input waits.
async fn kept_in(log: &str, said: &str) {
    let is_kept = || {
        let log = std::fs::read_to_string(log).unwrap();
        log.rsplit_once('\n').is_some_and(|(whole, _)| whole.contains(said))
    };
    until_true(&format!("{said:?} is not in the log"), is_kept).await;
}

async fn until_true(otherwise: &str, is_true: impl Fn() -> bool) {
    let looking = async {
        while !is_true() {
            tokio::task::yield_now().await;
        }
    };
    in_time(otherwise, looking).await;
}

#[tokio::test]
async fn a_session_is_opened_again_and_forked() {
    let replies = ["one", "two", "three", "four"].map(Reply::text);
    let server = Server::start(replies).await.unwrap();
    let folder = Folder::new();
    let config = kept(&server, &folder);
    let mut program = Program::start(&config, &folder).await;
    let (log, id) = (log_of(&program), program.session_id.clone());
    assert!(log.starts_with(folder.0.join("home/sessions").to_str().unwrap()), "{log}");
    for (id, said) in [("1", "first"), ("2", "second")] {
        program.say(id, said).await;
        program.until("task_complete").await;
    }
    program.shut_down().await;
    let left = std::fs::read(&log).unwrap();

    // Before the second message; the log of the parent stays as it is.
    let arguments = ["--fork", &log, "--before", "1"];
    let mut fork = Program::start_with(&config, &folder, &arguments).await;
    assert_ne!(fork.session_id, id);
    let said = json!([{"type": "user_message", "message": "first"},
        {"type": "agent_message", "message": "one"}]);
    assert_eq!(fork.configured["msg"]["initial_messages"], said);
    fork.say("1", "second, said better").await;
    fork.until("task_complete").await;
    fork.shut_down().await;
    assert_eq!(std::fs::read(&log).unwrap(), left);

    let mut program = Program::start_with(&config, &folder, &["--resume", &log]).await;
    assert_eq!((log_of(&program), &program.session_id), (log, &id));
    let messages = program.configured["msg"]["initial_messages"].as_array().unwrap().clone();
    let messages: Vec<_> = messages.iter().map(|it| text(&it["message"]).to_owned()).collect();
    assert_eq!(messages, ["first", "one", "second", "two"]);
    program.say("1", "third").await;
    program.until("task_complete").await;
    program.shut_down().await;

    let input = |request: usize| server.requests()[request].json()["input"].clone();
    let count = |request: usize| input(request).as_array().unwrap().len();
    let (second, forked, third) = (input(1), input(2), input(3));
    assert_eq!((count(1), count(2), count(3)), (4, 4, 6));
    assert_eq!(forked.as_array().unwrap()[..3], second.as_array().unwrap()[..3]);
    assert_eq!(third.as_array().unwrap()[..4], second.as_array().unwrap()[..4]);
}

fn said(program: &Program) -> Vec<String> {
    let messages = program.configured["msg"]["initial_messages"].as_array().unwrap();
    messages.iter().map(|it| text(&it["message"]).to_owned()).collect()
}

#[tokio::test]
async fn what_was_compacted_is_shown_again_and_a_fork_shows_it_up_to_its_cut() {
    let replies = ["one", "two", "SUMMARY", "three"].map(Reply::text);
    let server = Server::start(replies).await.unwrap();
    let folder = Folder::new();
    let config = kept(&server, &folder);
    let mut program = Program::start(&config, &folder).await;
    let log = log_of(&program);
    for (id, said) in [("1", "first"), ("2", "second")] {
        program.say(id, said).await;
        program.until("task_complete").await;
    }
    program.send("3", json!({"type": "compact"})).await;
    program.until("task_complete").await;
    program.say("4", "third").await;
    program.until("task_complete").await;
    program.shut_down().await;

    let program = Program::start_with(&config, &folder, &["--resume", &log]).await;
    assert_eq!(said(&program), ["first", "one", "second", "two", "third", "three"]);
    assert_eq!(program.configured["msg"].get("initial_messages_truncated"), None);
    program.shut_down().await;
    // Of the conversation nothing else stands before it, but for the summary.
    let fork = ["--fork", &log, "--before", "0"];
    let program = Program::start_with(&config, &folder, &fork).await;
    assert_eq!(said(&program), ["first", "one", "second", "two"]);
    program.shut_down().await;
}

#[tokio::test]
async fn where_a_torn_end_is_set_aside_is_told() {
    let server = Server::start([]).await.unwrap();
    let folder = Folder::new();
    let config = kept(&server, &folder);
    let program = Program::start(&config, &folder).await;
    let log = log_of(&program);
    program.shut_down().await;
    let whole = std::fs::read(&log).unwrap();
    std::fs::write(&log, [&*whole, b"{\"torn"].concat()).unwrap();
    let mut program = Program::start_with(&config, &folder, &["--resume", &log]).await;
    let told = program.until("background_event").await;
    let aside = format!("{log}.torn-2");
    let expected =
        format!("6 bytes at the end of the log were not whole and are set aside, in {aside}");
    assert_eq!(told.last().unwrap()["msg"]["message"], expected);
    assert_eq!(std::fs::read(aside).unwrap(), b"{\"torn");
    program.shut_down().await;
}

#[tokio::test]
async fn what_a_killed_program_had_started_is_told_to_be_unknown() {
    let call = ResponseBuilder::new().text("let me see").call("c1", "hang", "{}");
    let replies = [Reply::from(call), Reply::text("well")];
    let server = Server::start(replies).await.unwrap();
    let folder = Folder::new();
    let config = kept(&server, &folder);
    let mut program = Program::start(&config, &folder).await;
    let log = log_of(&program);
    program.say("1", "go").await;
    program.until("tool_call_begin").await;
    until_true("the tool does not run", || folder.0.join("runs").exists()).await;
    program.say("2", "and this").await;
    kept_in(&log, "and this").await;
    program.kill().await;

    let mut program = Program::start_with(&config, &folder, &["--resume", &log]).await;
    let told = program.until("background_event").await;
    assert!(shorts(&told)[0].contains("effect is unknown: c1"), "{told:?}");
    let waited = program.until("background_event").await;
    assert!(shorts(&waited)[0].contains("had waited and are taken now: 2"), "{waited:?}");
    let ended = program.until("task_complete").await;
    assert_eq!(shorts(&ended).pop().unwrap(), "1 task_complete well", "its turn goes on");
    program.shut_down().await;
    let input = server.requests()[1].json()["input"].clone();
    let output = input.as_array().unwrap().iter().find(|it| it["type"] == "function_call_output");
    assert_eq!(output.unwrap()["output"], "aborted: had started, effect unknown");
    let last = input.as_array().unwrap().last().unwrap();
    assert_eq!(last["content"][0]["text"], "and this");
    assert_eq!(server.problems(), [""; 0]);
}

#[tokio::test]
async fn a_session_of_codex_is_taken_over_and_forked() {
    let server = Server::start(["one", "two", "three"].map(Reply::text)).await.unwrap();
    let folder = Folder::new();
    let config = kept(&server, &folder);
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/rollout/tests/fixtures");
    let theirs = std::fs::read(format!("{fixtures}/tools.jsonl")).unwrap();
    let log = folder.write("codex.jsonl", &theirs);
    let log = log.to_str().unwrap();

    let mut program = Program::start_with(&config, &folder, &["--resume", log]).await;
    let (ours, id) = (log_of(&program), program.session_id.clone());
    assert!(ours.starts_with(folder.0.join("home/sessions").to_str().unwrap()), "{ours}");
    assert_eq!(id, "01a20298-033b-7ca1-b724-b6ad14444a47");
    let messages = program.configured["msg"]["initial_messages"].as_array().unwrap().clone();
    // Before it, the fixture has a text in place of the context.
    assert_eq!(messages[1], json!({"type": "user_message", "message": "Run some commands."}));
    let told = program.until("background_event").await;
    let expected = format!("the session {id} of another program is taken over");
    assert_eq!(told[0]["msg"]["message"], expected);
    program.say("1", "more").await;
    program.until("task_complete").await;
    program.shut_down().await;

    // By its id as by its file.
    let program = Program::start_with(&config, &folder, &["--resume", &ours]).await;
    assert_eq!((log_of(&program), &program.session_id), (ours.clone(), &id));
    program.shut_down().await;
    let mut program = Program::start_with(&config, &folder, &["--resume", &id]).await;
    assert_eq!((log_of(&program), &program.session_id), (ours, &id));
    program.say("1", "still more").await;
    program.until("task_complete").await;
    program.shut_down().await;

    let arguments = ["--fork", log, "--before", "1"];
    let mut fork = Program::start_with(&config, &folder, &arguments).await;
    assert_ne!(fork.session_id, id);
    fork.say("1", "other commands").await;
    fork.until("task_complete").await;
    fork.shut_down().await;
    assert_eq!(std::fs::read(log).unwrap(), theirs);

    let body = |request: usize| server.requests()[request].json();
    let said = |request: usize| body(request)["input"].to_string();
    assert_eq!(body(1)["prompt_cache_key"], json!(id));
    assert!(said(1).contains("Run some commands.") && said(1).contains("still more"));
    assert!(!said(2).contains("Run some commands.") && said(2).contains("other commands"));
    assert_eq!(server.problems(), [""; 0]);
}

#[tokio::test]
async fn what_differs_from_how_a_session_was_left_is_told() {
    let server = Server::start([]).await.unwrap();
    let folder = Folder::new();
    let mut config = kept(&server, &folder);
    let program = Program::start(&config, &folder).await;
    let log = log_of(&program);
    program.shut_down().await;
    config["instructions"] = json!("Be long.");
    config["tools"][0]["description"] = json!("waits");
    let told = ["the instructions changed", "tool `hang` has another definition"];
    for told in [&told[..], &[]] {
        let mut program = Program::start_with(&config, &folder, &["--resume", &log]).await;
        program.close_stdin();
        let (said, code, _) = program.end().await;
        assert_eq!(code, Some(0));
        let said = said.iter().filter(|it| it["msg"]["type"] == "background_event");
        assert_eq!(said.map(|it| text(&it["msg"]["message"])).collect::<Vec<_>>(), told);
    }
}

#[tokio::test]
async fn t083_t084_the_first_messages_of_a_resumed_session() {
    let thought = ResponseBuilder::new().reasoning("hm", Some("gAAAA")).text("two");
    let server = Server::start([Reply::text("one"), thought.into()]).await.unwrap();
    let folder = Folder::new();
    let config = kept(&server, &folder);
    let mut program = Program::start(&config, &folder).await;
    let log = log_of(&program);
    for (id, said) in [("1", "first"), ("2", "second")] {
        program.say(id, said).await;
        program.until("task_complete").await;
    }
    program.shut_down().await;
    let program = Program::start_with(&config, &folder, &["--resume", &log]).await;
    let expected = json!([
        {"type": "user_message", "message": "first"},
        {"type": "agent_message", "message": "one"},
        {"type": "user_message", "message": "second"},
        {"type": "agent_reasoning", "text": "hm"},
        {"type": "agent_message", "message": "two"},
    ]);
    assert_eq!(program.configured["msg"]["initial_messages"], expected);
    program.shut_down().await;
}
