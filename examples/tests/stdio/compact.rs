//! Compactions: by operation, by the limit of the configuration, and where the server finds a request
//! too long.

use longhaul_testkit::server::{Gate, Reply, Server};
use longhaul_testkit::sse::ResponseBuilder;
use serde_json::{Value, json};

use crate::support::{Folder, Program, config, reached, shorts, text};

fn of<'a>(events: &'a [Value], kind: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["msg"]["type"] == kind).collect()
}

/// What each request was for, as its header says.
fn kinds(server: &Server) -> Vec<String> {
    let requests = server.requests();
    requests.iter().map(|request| request.task_kind().unwrap_or("-").to_owned()).collect()
}

/// A configuration whose server is told what requests are for.
fn openai(server: &Server, folder: &Folder) -> Value {
    let mut settings = config(server, folder);
    settings["provider"]["name"] = json!("openai");
    settings
}

/// A tool that waits for the file `go`, for as long as somebody reads its complaints.
fn held() -> Value {
    let script = "while [ ! -e go ]; do echo waiting >&2; sleep 0.01; done; echo done";
    json!({"name": "held", "description": "", "parameters": {"type": "object"},
        "command": ["sh", "-c", script]})
}

fn overflow() -> Reply {
    let error = json!({"type": "invalid_request_error", "code": "context_length_exceeded",
        "message": "too long"});
    Reply::error(400, &json!({"error": error}))
}

#[tokio::test]
async fn while_nothing_runs_it_is_a_turn_of_its_own() {
    let summary = ResponseBuilder::new().id("resp_2").text("SUMMARY").usage(100, 20);
    let replies = [Reply::text("one"), summary.into(), Reply::text("two")];
    let server = Server::start(replies).await.unwrap();
    let folder = Folder::new();
    let mut program = Program::start(&openai(&server, &folder), &folder).await;
    program.say("1", "hello").await;
    program.until("task_complete").await;
    program.send("2", json!({"type": "compact"})).await;
    let events = program.until("task_complete").await;
    assert_eq!(
        shorts(&events),
        [
            "2 task_started -",
            "2 background_event Compacting the conversation",
            "2 token_count -",
            "2 item_started context_compaction",
            "2 item_completed context_compaction",
            "2 context_compacted -",
            "2 token_count -",
            "2 task_complete -",
        ]
    );
    assert_eq!(
        (&events[3]["msg"]["turn_id"], &events[4]["msg"]["turn_id"]),
        (&json!("2"), &json!("2"))
    );
    assert_eq!(
        events[3]["msg"]["item"], events[4]["msg"]["item"],
        "the same item, under the same id"
    );
    let msg = &events[5]["msg"];
    let (before, after) = (msg["tokens_before"].as_u64(), msg["tokens_after"].as_u64());
    let facts =
        ["trigger", "strategy", "trimmed_items", "requests"].map(|field| msg[field].clone());
    assert_eq!(json!(facts), json!(["manual", "summarise", 0, 1]));
    assert!(before.unwrap() > 0 && msg["duration_ms"].is_u64(), "{msg}");
    let usage = |event: &Value| event["msg"]["info"].clone();
    let counts = [usage(&events[2]), usage(&events[6])];
    assert_eq!(counts[0]["last_token_usage"]["total_tokens"], 120);
    assert_eq!(counts[0]["total_token_usage"]["total_tokens"], 135);
    assert_eq!(counts[1]["last_token_usage"]["total_tokens"].as_u64(), after);
    assert_eq!(counts[1]["total_token_usage"], counts[0]["total_token_usage"]);
    program.say("3", "go on").await;
    program.until("task_complete").await;
    program.shut_down().await;

    assert_eq!(kinds(&server), ["standard", "compact", "standard"]);
    let requests = server.requests();
    let [before, summary, after] = [0, 1, 2].map(|n: usize| requests[n].json());
    for field in ["instructions", "tools", "model", "prompt_cache_key"] {
        assert_eq!(before[field], summary[field], "{field}");
        assert_eq!(before[field], after[field], "{field}");
    }
    assert_eq!((&before["tool_choice"], &summary["tool_choice"]), (&json!("auto"), &json!("none")));
    let [before, summary, after] =
        [before, summary, after].map(|b| b["input"].as_array().unwrap().clone());
    assert_eq!((before.len(), summary.len(), after.len()), (2, 4, 3));
    assert_eq!(summary[..2], before);
    let prompt = longhaul::compaction::SUMMARIZATION_PROMPT;
    assert_eq!(summary[3]["content"], json!([{"type": "input_text", "text": prompt}]));
    assert_eq!(after[0], before[0], "the context");
    let bridge = text(&after[1]["content"][0]["text"]);
    assert!(bridge.contains("hello") && bridge.contains("SUMMARY"), "{bridge}");
    assert_eq!(after[2]["content"][0]["text"], "go on");
    server.assert_complete();
}

#[tokio::test]
async fn during_a_turn_it_comes_at_the_next_step_under_its_own_id() {
    let replies =
        [Reply::calls([("c1", "held", "{}")]), Reply::text("SUMMARY"), Reply::text("two")];
    let server = Server::start(replies).await.unwrap();
    let folder = Folder::new();
    let mut settings = openai(&server, &folder);
    settings["tools"] = json!([held()]);
    let mut program = Program::start(&settings, &folder).await;
    program.say("1", "hello").await;
    program.until("tool_call_begin").await;
    program.send("2", json!({"type": "compact"})).await;
    // A line later it has been taken: lines are done one after the other.
    program.line("?").await;
    program.until("error").await;
    folder.write("go", "");
    let events = program.until("task_complete").await;
    assert_eq!(
        shorts(&events),
        [
            "1 tool_call_end done\n",
            "2 background_event Compacting the conversation",
            "2 token_count -",
            "2 item_started context_compaction",
            "2 item_completed context_compaction",
            "2 context_compacted -",
            "2 token_count -",
            "1 item_started agent_message",
            "1 agent_message_delta two",
            "1 item_completed agent_message",
            "1 agent_message two",
            "1 token_count -",
            "1 task_complete two",
        ]
    );
    assert_eq!(events[3]["msg"]["turn_id"], "1", "part of the turn");
    assert_eq!(events[5]["msg"]["trigger"], "manual");
    program.shut_down().await;
    assert_eq!(kinds(&server), ["standard", "compact", "standard"]);
    server.assert_complete();
}

#[tokio::test]
async fn behind_the_last_step_it_is_a_turn_of_its_own_and_input_waits_for_it() {
    let (answer, summary) = (Gate::new("answer"), Gate::new("summary"));
    let replies = [
        Reply::text("one").hold_head(&answer),
        Reply::text("SUMMARY").hold_head(&summary),
        Reply::text("two"),
    ];
    let server = Server::start(replies).await.unwrap();
    let folder = Folder::new();
    let mut program = Program::start(&config(&server, &folder), &folder).await;
    program.say("1", "hello").await;
    reached(&answer).await;
    program.send("2", json!({"type": "compact"})).await;
    program.line("?").await;
    program.until("error").await;
    answer.open();
    let events = program.until("task_complete").await;
    assert_eq!(shorts(&events).last().unwrap(), "1 task_complete one");
    reached(&summary).await;
    let events = program.until("background_event").await;
    assert_eq!(shorts(&events)[0], "2 task_started -");
    program.say("3", "meanwhile").await;
    program.line("?").await;
    program.until("error").await;
    summary.open();
    let events = program.until("task_complete").await;
    assert_eq!(shorts(&events).last().unwrap(), "2 task_complete -");
    assert_eq!(of(&events, "context_compacted").len(), 1);
    let events = program.until("task_complete").await;
    assert_eq!(shorts(&events)[0], "3 task_started -");
    program.shut_down().await;
    let input = server.requests()[2].input();
    assert_eq!(input[input.len() - 1]["content"][0]["text"], "meanwhile");
    server.assert_complete();
}

#[tokio::test]
async fn the_limit_of_the_configuration_holds_within_a_turn_and_between_turns() {
    let usage = |response: ResponseBuilder, tokens: u64| Reply::from(response.usage(tokens, 0));
    let response = || ResponseBuilder::new();
    let server = Server::start([
        usage(response().call("c1", "nothing", "{}"), 500),
        usage(response().id("resp_2").text("FIRST"), 50),
        usage(response().id("resp_3").text("one"), 600),
        usage(response().id("resp_4").text("SECOND"), 50),
        usage(response().id("resp_5").text("two"), 60),
    ])
    .await
    .unwrap();
    let folder = Folder::new();
    let mut settings = openai(&server, &folder);
    settings["auto_compact_token_limit"] = json!(500);
    let mut program = Program::start(&settings, &folder).await;
    program.say("1", "hello").await;
    let events = program.until("task_complete").await;
    let shown = shorts(&events);
    let at = shown.iter().position(|line| line.contains("Compacting")).unwrap();
    assert_eq!(
        shown[at - 1..at + 6],
        [
            "1 tool_call_end unsupported call: nothing",
            "1 background_event Compacting the conversation",
            "1 token_count -",
            "1 item_started context_compaction",
            "1 item_completed context_compaction",
            "1 context_compacted -",
            "1 token_count -",
        ]
    );
    assert_eq!(of(&events, "task_started").len(), 1);
    // Right after a compaction the limit is reached again: that is told, behind the answer.
    let last = ["1 token_count -", "1 error still_above_limit", "1 task_complete one"];
    assert_eq!(shown[shown.len() - 3..], last);
    let error = of(&events, "error")[0];
    assert_eq!(error["msg"]["retryable"], false);
    let message = text(&error["msg"]["message"]);
    assert!(message.contains("600") && message.contains("500"), "{message}");
    let report = of(&events, "context_compacted")[0];
    assert_eq!((&report["msg"]["trigger"], &report["id"]), (&json!("auto"), &json!("1")));
    assert_eq!(kinds(&server), ["standard", "compact", "standard"]);

    // By hand it still works, and then by itself again.
    program.send("2", json!({"type": "compact"})).await;
    let events = program.until("task_complete").await;
    assert_eq!(of(&events, "context_compacted").len(), 1);
    program.say("3", "go on").await;
    program.until("task_complete").await;
    program.shut_down().await;
    assert_eq!(kinds(&server)[3..], ["compact", "standard"]);
    server.assert_complete();
}

#[tokio::test]
async fn an_overflow_is_repeated_once_and_told_only_if_that_does_not_help() {
    let long = "some words ".repeat(400);
    let server = Server::start([
        Reply::text(&long),
        overflow(),
        Reply::text("SUMMARY"),
        Reply::text("two"),
        overflow(),
        Reply::text("SUMMARY"),
        overflow(),
        Reply::text("three"),
    ])
    .await
    .unwrap();
    let folder = Folder::new();
    let mut program = Program::start(&openai(&server, &folder), &folder).await;
    program.say("1", "hello").await;
    program.until("task_complete").await;
    program.say("2", "and now").await;
    let events = program.until("task_complete").await;
    assert_eq!(of(&events, "error").len(), 0);
    let report = of(&events, "context_compacted");
    assert_eq!((report.len(), &report[0]["msg"]["trigger"]), (1, &json!("auto")));
    assert_eq!(shorts(&events).last().unwrap(), "2 task_complete two");
    let trimmed = of(&events, "background_event").pop().unwrap();
    let items = report[0]["msg"]["trimmed_items"].as_u64().unwrap();
    let expected = format!(
        "Trimmed {items} older conversation item(s) before compacting so that the \
        request fits the context window"
    );
    assert_eq!(trimmed["msg"]["message"], expected.as_str());

    program.say("3", "once more").await;
    let events = program.until("task_complete").await;
    let shown = shorts(&events);
    let last = ["3 token_count -", "3 error context_window_exceeded", "3 task_complete -"];
    assert_eq!(shown[shown.len() - 3..], last);
    let info = &events[events.len() - 3]["msg"]["info"];
    assert_eq!(info["last_token_usage"]["total_tokens"], 95_000, "the window is shown full");
    assert_eq!(info["model_context_window"], 95_000);
    program.say("4", "go on").await;
    program.until("task_complete").await;
    program.shut_down().await;
    let expected = [
        "standard", "standard", "compact", "standard", "standard", "compact", "standard",
        "standard",
    ];
    assert_eq!(kinds(&server), expected);
    server.assert_complete();
}

#[tokio::test]
async fn a_compaction_that_fails_is_told_by_its_reason() {
    let refused = json!({"error": {"type": "invalid_request_error", "message": "no"}});
    let server = Server::start([
        Reply::text("one"),
        Reply::error(400, &refused).header("x-request-id", "req_7"),
        Reply::from(ResponseBuilder::new()),
        Reply::text("two"),
    ])
    .await
    .unwrap();
    let folder = Folder::new();
    let mut program = Program::start(&config(&server, &folder), &folder).await;
    program.say("1", "hello").await;
    program.until("task_complete").await;
    program.send("2", json!({"type": "compact"})).await;
    let events = program.until("task_complete").await;
    let error = json!({"id": "2", "msg": {"type": "error", "code": "invalid_request",
        "message": "no (HTTP 400)", "retryable": false, "request_id": "req_7"}});
    assert_eq!(events[events.len() - 2], error);
    program.send("3", json!({"type": "compact"})).await;
    let shown = shorts(&program.until("task_complete").await);
    let expected = ["3 token_count -", "3 error compaction_failed", "3 task_complete -"];
    assert_eq!(shown[2..], expected);
    program.say("4", "go on").await;
    program.until("task_complete").await;
    program.shut_down().await;
    let input = server.requests()[3].input();
    let said: Vec<_> = input[1..].iter().map(|item| text(&item["content"][0]["text"])).collect();
    assert_eq!(said, ["hello", "one", "go on"], "the conversation is as it was");
    server.assert_complete();
}

#[tokio::test]
async fn an_interrupt_ends_a_compaction() {
    let gate = Gate::new("summary");
    let replies = [Reply::text("one"), Reply::text("never").hold_head(&gate), Reply::text("two")];
    let server = Server::start(replies).await.unwrap();
    let folder = Folder::new();
    let mut program = Program::start(&config(&server, &folder), &folder).await;
    program.say("1", "hello").await;
    program.until("task_complete").await;
    program.send("2", json!({"type": "compact"})).await;
    reached(&gate).await;
    program.send("3", json!({"type": "interrupt"})).await;
    let shown = shorts(&program.until("turn_aborted").await);
    let expected = [
        "2 task_started -",
        "2 background_event Compacting the conversation",
        "2 turn_aborted interrupted",
    ];
    assert_eq!(shown, expected);
    program.say("4", "go on").await;
    program.until("task_complete").await;
    program.shut_down().await;
    assert_eq!(server.requests()[2].input().len(), 4, "the conversation is as it was");
}
