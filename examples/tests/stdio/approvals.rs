//! Approvals, withdrawals, reviews and undo, from outside.

use longhaul_testkit::server::{Gate, Reply, Server};
use longhaul_testkit::sse::ResponseBuilder;
use serde_json::{Value, json};

use crate::support::{Folder, Program, config, reached, shorts, text};

/// A configuration with a tool that asks first and leaves a trace of each run.
fn asking(server: &Server, folder: &Folder) -> Value {
    let mut config = config(server, folder);
    let script = "cat >> ran.txt; echo >> ran.txt; echo done";
    config["tools"] = json!([{"name": "change", "command": ["sh", "-c", script],
        "needs_approval": true}]);
    config
}

fn ran(folder: &Folder) -> Vec<String> {
    let trace = std::fs::read_to_string(folder.0.join("ran.txt")).unwrap_or_default();
    trace.lines().map(str::to_owned).collect()
}

async fn answer(program: &mut Program, id: &str, call: &str, decision: &str) {
    program.send(id, json!({"type": "approval", "call_id": call, "decision": decision})).await;
}

#[tokio::test]
async fn calls_that_wait_are_answered_each_by_itself_and_once() {
    let calls = ResponseBuilder::new()
        .call("c1", "change", json!({"n": 1}))
        .call("c2", "change", json!({"n": 2}))
        .call("c3", "change", json!({"n": 3}));
    let again = ResponseBuilder::new().call("c4", "change", json!({"n": 3}));
    let respond = |response: ResponseBuilder| Reply::sse().events(response.completed());
    let replies = [respond(calls), respond(again), Reply::text("fine")];
    let server = Server::start(replies).await.unwrap();
    let folder = Folder::new();
    let mut program = Program::start(&asking(&server, &folder), &folder).await;
    program.say("1", "go").await;
    let mut asked = Vec::new();
    while asked.len() < 3 {
        let event = program.next().await.unwrap();
        if event["msg"]["type"] == "approval_request" {
            asked.push(event["msg"].clone());
        }
    }
    assert_eq!(
        asked[1],
        json!({"type": "approval_request", "call_id": "c2", "name": "change",
            "arguments": "{\"n\":2}"})
    );
    assert!(ran(&folder).is_empty(), "nothing runs before its answer");
    answer(&mut program, "2", "c2", "denied").await;
    answer(&mut program, "3", "c2", "approved").await;
    let error = program.until("error").await.pop().unwrap();
    assert_eq!((&error["id"], &error["msg"]["code"]), (&json!("3"), &json!("unknown_approval")));
    answer(&mut program, "4", "c3", "approved_for_session").await;
    answer(&mut program, "5", "c1", "approved").await;
    let events = shorts(&program.until("task_complete").await);
    assert!(!events.iter().any(|event| event.contains("approval_request")), "{events:?}");
    assert_eq!(ran(&folder), ["{\"n\":1}", "{\"n\":3}", "{\"n\":3}"], "c4 was approved with c3");
    let output = |request: usize, call: &str| {
        let input = server.requests()[request].input();
        let found =
            input.iter().find(|item| item["output"] != Value::Null && item["call_id"] == call);
        text(&found.unwrap()["output"]).to_owned()
    };
    assert_eq!(output(1, "c2"), "rejected by the user: not run");
    assert_eq!(output(1, "c1"), "done\n");
    program.shut_down().await;
    server.assert_complete();
}

#[tokio::test]
async fn an_interrupt_and_an_abort_end_what_waits() {
    for (id, op) in [
        ("2", json!({"type": "interrupt"})),
        ("3", json!({"type": "approval", "call_id": "c1", "decision": "abort"})),
    ] {
        let replies = [Reply::calls([("c1", "change", "{}")]), Reply::text("fine")];
        let server = Server::start(replies).await.unwrap();
        let folder = Folder::new();
        let mut program = Program::start(&asking(&server, &folder), &folder).await;
        program.say("1", "go").await;
        program.until("approval_request").await;
        program.send(id, op).await;
        let aborted = program.until("turn_aborted").await.pop().unwrap();
        assert_eq!(
            (&aborted["id"], &aborted["msg"]["reason"]),
            (&json!("1"), &json!("interrupted"))
        );
        answer(&mut program, "4", "c1", "approved").await;
        let error = program.until("error").await.pop().unwrap();
        assert_eq!(error["msg"]["code"], "unknown_approval", "a late answer runs nothing");
        program.say("5", "and now?").await;
        program.until("task_complete").await;
        assert!(ran(&folder).is_empty());
        let input = server.requests()[1].input();
        assert!(input.iter().any(|item| item["output"] == "aborted: not started"), "{input:?}");
        program.shut_down().await;
        server.assert_complete();
    }
}

#[tokio::test]
async fn an_input_that_waits_can_be_taken_back() {
    let gate = Gate::new("first");
    let first = ResponseBuilder::new().call("c1", "nothing", "{}").completed();
    let replies = [Reply::sse().gate(&gate).events(first), Reply::text("fine")];
    let server = Server::start(replies).await.unwrap();
    let folder = Folder::new();
    let mut program = Program::start(&config(&server, &folder), &folder).await;
    program.say("1", "go").await;
    reached(&gate).await;
    program.say("2", "taken back").await;
    program.say("3", "stays").await;
    program.send("4", json!({"type": "withdraw", "input_id": "2"})).await;
    program.send("5", json!({"type": "withdraw", "input_id": "2"})).await;
    let error = program.until("error").await.pop().unwrap();
    assert_eq!((&error["id"], &error["msg"]["code"]), (&json!("5"), &json!("unknown_input")));
    gate.open();
    let events = shorts(&program.until("task_complete").await);
    assert!(events.iter().any(|event| event == "3 user_message stays"), "{events:?}");
    assert!(!events.iter().any(|event| event.contains("taken back")), "{events:?}");
    let input = server.requests()[1].input();
    let said = input.iter().filter(|item| item.to_string().contains("taken back")).count();
    assert_eq!(said, 0, "{input:?}");
    program.shut_down().await;
    server.assert_complete();
}

#[tokio::test]
async fn a_review_has_its_own_history_and_model() {
    let review = json!({"findings": [], "overall_correctness": "patch is correct",
        "overall_explanation": "fine", "overall_confidence_score": 0.5});
    let replies = [Reply::text("hello"), Reply::text(&review.to_string()), Reply::text("done")];
    let server = Server::start(replies).await.unwrap();
    let folder = Folder::new();
    let mut config = config(&server, &folder);
    config["review_model"] = json!("reviewer");
    let mut program = Program::start(&config, &folder).await;
    program.say("1", "hi").await;
    program.until("task_complete").await;
    program.send("2", json!({"type": "review", "prompt": "look"})).await;
    let events = program.until("task_complete").await;
    let kinds: Vec<&str> = events.iter().map(|event| text(&event["msg"]["type"])).collect();
    assert_eq!(kinds[..2], ["task_started", "entered_review_mode"]);
    assert_eq!(kinds[kinds.len() - 2..], ["exited_review_mode", "task_complete"]);
    assert!(!kinds.contains(&"agent_message") && !kinds.contains(&"agent_message_delta"));
    assert!(events.iter().all(|event| event["id"] == "2"));
    assert_eq!(events[events.len() - 2]["msg"]["review_output"], review);
    let requests = server.requests();
    let body = requests[1].json();
    assert_eq!(body["model"], "reviewer");
    assert!(!body.to_string().contains("hello"), "it has not seen the conversation");
    program.say("3", "thanks").await;
    program.until("task_complete").await;
    program.shut_down().await;
    server.assert_complete();
}

#[tokio::test]
async fn an_undo_goes_back_before_the_last_turn() {
    let replies = [Reply::calls([("c1", "change", json!({"n": 1}))]), Reply::text("done")];
    let server = Server::start(replies).await.unwrap();
    let folder = Folder::new();
    let git =
        std::process::Command::new("git").args(["init", "-q"]).current_dir(&folder.0).status();
    assert!(git.expect("git is installed").success());
    let mut config = asking(&server, &folder);
    config["snapshots"] = json!(true);
    config["approval_policy"] = json!("never");
    let mut program = Program::start(&config, &folder).await;
    program.say("1", "go").await;
    program.until("task_complete").await;
    assert_eq!(ran(&folder), ["{\"n\":1}"]);
    for success in [true, false] {
        program.send("2", json!({"type": "undo"})).await;
        let events = program.until("task_complete").await;
        let kinds: Vec<&str> = events.iter().map(|event| text(&event["msg"]["type"])).collect();
        assert_eq!(kinds, ["task_started", "undo_started", "undo_completed", "task_complete"]);
        assert_eq!(events[2]["msg"]["success"], success, "{events:?}");
        assert!(!folder.0.join("ran.txt").exists());
    }
    program.shut_down().await;
    server.assert_complete();
}
