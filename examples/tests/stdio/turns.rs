//! Turns: their events, their order, and what reaches the server.

use longhaul_testkit::server::{Gate, RecordedRequest, Reply, ReplyOutcome, Script, Server};
use longhaul_testkit::sse::ResponseBuilder;
use serde_json::{Value, json};

use crate::support::{Folder, Program, config, in_time, reached, shorts, text};

fn upper() -> Value {
    json!({"name": "upper", "description": "Says it louder.", "command": ["tr", "a-z", "A-Z"],
        "parameters": {"type": "object"}, "parallel": true, "timeout_ms": 60_000})
}

/// What differs from run to run is given fixed values.
fn fixed(mut event: Value, program: &Program) -> Value {
    let msg = &mut event["msg"];
    if msg.get("duration_ms").is_some() {
        assert!(msg["duration_ms"].is_u64());
        msg["duration_ms"] = json!(0);
    }
    if msg.get("thread_id").is_some() {
        assert_eq!(msg["thread_id"], program.session_id.as_str());
        msg["thread_id"] = json!("THREAD");
        if msg["item"]["type"] == "user_message" {
            assert!(text(&msg["item"]["id"]).starts_with("msg_"));
            msg["item"]["id"] = json!("ITEM");
        }
    }
    event
}

#[tokio::test]
async fn a_tool_calling_turn_event_by_event() {
    let calls = ResponseBuilder::new()
        .reasoning("Louder.", Some("gAAAA"))
        .call("call_1", "upper", r#"{"a":"hej"}"#)
        .usage(100, 20);
    let answer = ResponseBuilder::new().id("resp_2").text("It is HEJ.").usage(150, 5);
    let server = Server::start([calls.into(), answer.into()]).await.unwrap();
    let folder = Folder::new();
    let mut settings = config(&server, &folder);
    settings["tools"] = json!([upper()]);
    settings["context_window"] = json!(1000);
    let mut program = Program::start(&settings, &folder).await;
    assert_eq!(
        program.configured,
        json!({"id": "", "msg": {"type": "session_configured", "model": "test-model",
            "session_id": program.session_id}})
    );
    program.say("turn-1", "How loud?").await;
    let events = program.until("task_complete").await;
    let events: Vec<_> = events.into_iter().map(|event| fixed(event, &program)).collect();

    let event = |msg: Value| json!({"id": "turn-1", "msg": msg});
    let item = |kind: &str, item: Value| {
        event(json!({"type": kind, "thread_id": "THREAD",
        "turn_id": "turn-1", "item": item}))
    };
    let user = json!({"type": "user_message", "id": "ITEM",
        "content": [{"type": "text", "text": "How loud?"}]});
    let reasoning = |texts: Value| {
        json!({"type": "reasoning", "id": "rs_resp_1_0",
        "summary_text": texts, "raw_content": []})
    };
    let answer = |content: Value| {
        json!({"type": "agent_message", "id": "msg_resp_2_0",
        "content": content})
    };
    let usage = |input: u64, output: u64| {
        json!({"input_tokens": input, "cached_input_tokens": 0,
        "output_tokens": output, "reasoning_output_tokens": 0, "total_tokens": input + output})
    };
    let tokens = |total: Value, last: Value| {
        event(json!({"type": "token_count", "info": {
        "total_token_usage": total, "last_token_usage": last, "model_context_window": 950}}))
    };
    let expected = [
        event(json!({"type": "task_started", "model_context_window": 950})),
        item("item_started", user.clone()),
        item("item_completed", user),
        event(json!({"type": "user_message", "message": "How loud?"})),
        item("item_started", reasoning(json!([]))),
        event(json!({"type": "agent_reasoning_delta", "delta": "Louder."})),
        item("item_completed", reasoning(json!(["Louder."]))),
        event(json!({"type": "agent_reasoning", "text": "Louder."})),
        tokens(usage(100, 20), usage(100, 20)),
        event(json!({"type": "tool_call_begin", "call_id": "call_1", "name": "upper",
            "arguments": r#"{"a":"hej"}"#})),
        event(json!({"type": "tool_call_end", "call_id": "call_1", "success": true,
            "output": r#"{"A":"HEJ"}"#, "duration_ms": 0})),
        item("item_started", answer(json!([]))),
        event(json!({"type": "agent_message_delta", "delta": "It "})),
        event(json!({"type": "agent_message_delta", "delta": "is "})),
        event(json!({"type": "agent_message_delta", "delta": "HEJ."})),
        item("item_completed", answer(json!([{"type": "text", "text": "It is HEJ."}]))),
        event(json!({"type": "agent_message", "message": "It is HEJ."})),
        tokens(usage(250, 25), usage(150, 5)),
        event(json!({"type": "task_complete", "last_agent_message": "It is HEJ."})),
    ];
    for (seen, expected) in events.iter().zip(&expected) {
        assert_eq!(seen, expected);
    }
    assert_eq!(events.len(), expected.len());
    program.shut_down().await;

    let request = server.requests().remove(1);
    let body = request.json();
    assert_eq!(body["instructions"], "Be brief.");
    assert_eq!(body["tools"][0]["name"], "upper");
    let input = request.input();
    let environment = text(&input[0]["content"][0]["text"]);
    assert!(environment.starts_with("<environment_context>"), "{environment}");
    assert!(environment.contains(&format!("<cwd>{}</cwd>", folder.0.display())), "{environment}");
    let kinds: Vec<_> = input.iter().map(|item| text(&item["type"])).collect();
    let expected = ["message", "message", "reasoning", "function_call", "function_call_output"];
    assert_eq!(kinds, expected);
    server.assert_complete();
}

#[tokio::test]
async fn a_user_turn_overrides_settings_and_shows_images() {
    let replies = ["one", "two", "three"].map(Reply::text);
    let server = Server::start(replies).await.unwrap();
    let folder = Folder::new();
    let png = folder.write("a.png", b"\x89PNG\r\n\x1a\n");
    std::fs::create_dir(folder.0.join("sub")).unwrap();
    let mut program = Program::start(&config(&server, &folder), &folder).await;
    let schema = json!({"type": "object", "properties": {"a": {"type": "string"}}});
    let items = json!([{"type": "text", "text": "look"},
        {"type": "image", "image_url": "https://example.com/a.png"},
        {"type": "local_image", "path": png},
        {"type": "local_image", "path": "/nowhere.png"}]);
    program
        .send(
            "1",
            json!({"type": "user_turn", "items": items, "model": "gpt-5-other",
            "effort": "high", "summary": "concise", "approval_policy": "never",
            "cwd": folder.0.join("sub"), "final_output_json_schema": schema}),
        )
        .await;
    let events = program.until("task_complete").await;
    assert_eq!(shorts(&events)[..2], ["1 task_started -", "1 item_started user_message"]);
    program.say("2", "again").await;
    program.until("task_complete").await;
    let change = json!({"type": "override_turn_context", "effort": null, "summary": "auto"});
    program.send("3", change).await;
    program.say("4", "and again").await;
    let events = program.until("task_complete").await;
    assert!(shorts(&events).iter().all(|line| line.starts_with("4 ")), "no event for settings");
    program.shut_down().await;

    let requests: Vec<_> = server.requests().iter().map(RecordedRequest::json).collect();
    let facts =
        |body: &Value| json!([body["model"], body["reasoning"], body["text"]["format"]["schema"]]);
    let reasoning = json!({"effort": "high", "summary": "concise"});
    assert_eq!(facts(&requests[0]), json!(["gpt-5-other", reasoning, schema]));
    assert_eq!(facts(&requests[1]), json!(["gpt-5-other", reasoning, null]));
    assert_eq!(facts(&requests[2]), json!(["gpt-5-other", {"summary": "auto"}, null]));
    let input = requests[0]["input"].as_array().unwrap();
    let environment = text(&input[0]["content"][0]["text"]);
    assert!(environment.contains("sub</cwd>") && environment.contains(">never<"), "{environment}");
    let content = &input[1]["content"];
    assert_eq!(content[0], json!({"type": "input_text", "text": "look"}));
    assert_eq!(
        content[1],
        json!({"type": "input_image", "image_url": "https://example.com/a.png"})
    );
    assert_eq!(
        content[2],
        json!({"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo="})
    );
    let unread = text(&content[3]["text"]);
    assert!(unread.starts_with("[the image /nowhere.png could not be read: "), "{unread}");
    // Nothing that the model knows is told again.
    assert_eq!(requests[2]["input"].as_array().unwrap().len(), 6);
}

#[tokio::test]
async fn a_steer_goes_into_the_running_turn_under_its_own_id() {
    let gate = Gate::new("first answer");
    let first = Reply::calls([("c1", "upper", "{}")]).hold_head(&gate);
    let server = Server::start([first, Reply::text("done"), Reply::text("more")]).await.unwrap();
    let folder = Folder::new();
    let mut settings = config(&server, &folder);
    settings["tools"] = json!([upper()]);
    let mut program = Program::start(&settings, &folder).await;
    program.say("1", "go").await;
    reached(&gate).await;
    program.say("2", "and this").await;
    // A line later it has been taken: lines are done one after the other.
    program.line("?").await;
    program.until("error").await;
    gate.open();
    let events = program.until("task_complete").await;
    let steered: Vec<_> = events.iter().filter(|event| event["id"] == "2").collect();
    assert_eq!(
        steered.iter().map(|event| &event["msg"]["type"]).collect::<Vec<_>>(),
        ["item_started", "item_completed", "user_message"]
    );
    assert_eq!(steered[0]["msg"]["turn_id"], "1");
    program.say("3", "next").await;
    program.until("task_complete").await;
    program.shut_down().await;
    for request in &server.requests()[1..] {
        let said =
            request.input().iter().filter(|item| item["content"][0]["text"] == "and this").count();
        assert_eq!(said, 1);
    }
    server.assert_complete();
}

#[tokio::test]
async fn an_interrupt_cuts_a_stream_off_and_the_session_goes_on() {
    let gate = Gate::new("in the stream");
    let streaming =
        Reply::sse().events(ResponseBuilder::new().text("a b").unfinished()).gate(&gate);
    let server = Server::start([streaming, Reply::text("fine")]).await.unwrap();
    let folder = Folder::new();
    let mut program = Program::start(&config(&server, &folder), &folder).await;
    program.send("0", json!({"type": "interrupt"})).await;
    program.say("1", "go").await;
    reached(&gate).await;
    program.say("2", "left").await;
    program.send("3", json!({"type": "interrupt"})).await;
    let events = program.until("turn_aborted").await;
    assert_eq!(shorts(&events).last().unwrap(), "1 turn_aborted interrupted");
    assert!(events.iter().all(|event| event["id"] == "1"), "{events:#?}");
    let outcome = in_time("the reply has not ended", server.wait_until_reply_ended(0)).await;
    assert!(matches!(outcome, ReplyOutcome::ClientClosed { .. }), "{outcome:?}");
    program.say("4", "next").await;
    program.until("task_complete").await;
    program.shut_down().await;
    let input = server.requests()[1].input();
    let said: Vec<_> = input.iter().map(|item| text(&item["content"][0]["text"])).collect();
    assert_eq!(said[1..], ["go", "left", "next"]);
}

#[tokio::test]
async fn an_interrupt_right_after_the_input_ends_its_turn() {
    let gate = Gate::new("the turn never gets further than this");
    let first = Reply::text("never").hold_head(&gate);
    let fine = |_: &_| Reply::text("fine");
    // Whether the first turn comes to its request is a matter of chance.
    let script = Script::new().reply_with(move |request| match request.input().len() {
        2 => first.clone(),
        _ => Reply::text("fine"),
    });
    let server = Server::start(script.reply_with(fine)).await.unwrap();
    let folder = Folder::new();
    let mut program = Program::start(&config(&server, &folder), &folder).await;
    let items = json!([{"type": "text", "text": "go"}]);
    let input = json!({"id": "1", "op": {"type": "user_input", "items": items}});
    let interrupt = json!({"id": "2", "op": {"type": "interrupt"}});
    // Both in one write.
    program.line(&format!("{input}\n{interrupt}")).await;
    let events = program.until_any(&["turn_aborted", "task_complete"]).await;
    assert_eq!(shorts(&events).last().unwrap(), "1 turn_aborted interrupted");
    program.say("3", "next").await;
    program.until("task_complete").await;
    program.shut_down().await;
}

#[tokio::test]
async fn failures_are_told_by_code_and_retries_before_their_wait() {
    let error = |status, kind: &str, message: &str| {
        Reply::error(status, &json!({"error": {"type": kind, "message": message}}))
            .header("x-request-id", "req_1")
            .header("retry-after-ms", "1")
    };
    let half = Reply::sse().events(ResponseBuilder::new().text("half").unfinished());
    let server = Server::start([
        error(400, "invalid_request_error", "no such model"),
        error(500, "server_error", "sorry"),
        error(503, "server_error", "sorry"),
        half,
        Reply::text("whole"),
        error(500, "server_error", "a"),
        error(500, "server_error", "b"),
        error(500, "server_error", "c"),
    ])
    .await
    .unwrap();
    let folder = Folder::new();
    let mut settings = config(&server, &folder);
    settings["provider"]["request_max_retries"] = json!(2);
    let mut program = Program::start(&settings, &folder).await;
    program.say("1", "go").await;
    let events = program.until("task_complete").await;
    let end = &events[events.len() - 2..];
    assert_eq!(
        end,
        [
            json!({"id": "1", "msg": {"type": "error", "code": "invalid_request",
                "message": "no such model (HTTP 400)", "retryable": false,
                "request_id": "req_1"}}),
            json!({"id": "1", "msg": {"type": "task_complete"}}),
        ]
    );
    program.say("2", "go").await;
    let events = program.until("task_complete").await;
    let retry = |attempt: u32, max: u32, delay: &Value| {
        json!({"id": "2", "msg": {
        "type": "stream_error", "message": format!("Reconnecting... {attempt}/{max}"),
        "attempt": attempt, "max_attempts": max, "delay_ms": delay}})
    };
    assert_eq!(events[4..6], [retry(1, 2, &json!(1)), retry(2, 2, &json!(1))]);
    let shown = shorts(&events);
    assert!(shown[6].starts_with("2 stream_recovered "), "{shown:?}");
    assert_eq!(events[6]["msg"]["attempts"], 2);
    assert_eq!(shown[7..9], ["2 item_started agent_message", "2 agent_message_delta half"]);
    assert_eq!(events[9], retry(1, 5, &events[9]["msg"]["delay_ms"]));
    assert_eq!(events[10]["msg"]["attempts"], 1);
    assert_eq!(shown.last().unwrap(), "2 task_complete whole");
    program.say("3", "go").await;
    let shown = shorts(&program.until("task_complete").await);
    assert_eq!(
        shown[4..],
        [
            "3 stream_error Reconnecting... 1/2",
            "3 stream_error Reconnecting... 2/2",
            "3 error server_error",
            "3 task_complete -",
        ]
    );
    program.shut_down().await;
    server.assert_complete();
}

#[tokio::test]
async fn the_bounds_of_the_configuration_hold() {
    let server = Server::start([
        Reply::calls([("c1", "loud", "{}")]),
        Reply::sse().event(&json!({"type": "response.created", "x": "y".repeat(5000)})),
    ])
    .await
    .unwrap();
    let folder = Folder::new();
    let mut settings = config(&server, &folder);
    settings["tools"] = json!([{"name": "loud", "description": "", "parameters": {"type": "object"},
        "command": ["sh", "-c", "printf head; head -c 9000 /dev/zero | tr '\\0' x; printf tail"]}]);
    settings["max_tool_output_bytes"] = json!(100);
    settings["max_model_calls"] = json!(1);
    settings["max_event_bytes"] = json!(4000);
    let mut program = Program::start(&settings, &folder).await;
    program.say("1", "go").await;
    let events = program.until("task_complete").await;
    let output = events.iter().find(|event| event["msg"]["type"] == "tool_call_end").unwrap();
    let output = text(&output["msg"]["output"]);
    assert!(output.starts_with("headx") && output.ends_with("xtail") && output.len() < 200);
    assert_eq!(
        shorts(&events)[events.len() - 2..],
        ["1 error too_many_model_calls", "1 task_complete -"]
    );
    program.say("2", "go").await;
    let events = program.until("task_complete").await;
    assert_eq!(shorts(&events)[events.len() - 2..], ["2 error protocol", "2 task_complete -"]);
    program.shut_down().await;
}

#[tokio::test]
async fn what_the_provider_is_told_is_what_the_configuration_says() {
    let server = Server::start([Reply::text("fine")]).await.unwrap();
    let folder = Folder::new();
    let mut settings = config(&server, &folder);
    settings["provider"]["api_key_env"] = json!("A_KEY");
    settings["provider"]["query_params"] = json!({"api-version": "1 2"});
    settings["provider"]["http_headers"] = json!({"x-a": "a"});
    settings["provider"]["env_http_headers"] = json!({"x-b": "A_HEADER", "x-c": "NOT_SET"});
    settings["request"] = json!({"max_output_tokens": 7, "metadata": {"k": "v"}, "extra": {"seed": 1},
            "safety_identifier": "u", "tool_choice": {"type": "function", "name": "ls"}});
    settings["reasoning"] = json!({"effort": "low"});
    settings["verbosity"] = json!("low");
    settings["user_instructions"] = json!("British spelling.");
    let mut program = Program::start(&settings, &folder).await;
    program.say("1", "go").await;
    program.until("task_complete").await;
    let session_id = program.session_id.clone();
    program.shut_down().await;
    let request = server.requests().remove(0);
    let header = |name: &str| request.header(name);
    assert_eq!(header("authorization"), Some("Bearer sk-canary"));
    assert_eq!((header("x-a"), header("x-b"), header("x-c")), (Some("a"), Some("from-env"), None));
    assert_eq!(header("user-agent").unwrap(), format!("longhaul/{}", env!("CARGO_PKG_VERSION")));
    assert!(request.target.ends_with("/v1/responses?api-version=1%202"), "{}", request.target);
    let body = request.json();
    assert_eq!(body["prompt_cache_key"], session_id.as_str());
    let facts = json!([
        body["max_output_tokens"],
        body["metadata"],
        body["seed"],
        body["safety_identifier"],
        body["tool_choice"],
        body["reasoning"],
        body["text"]["verbosity"]
    ]);
    assert_eq!(
        facts,
        json!([7, {"k": "v"}, 1, "u", {"type": "function", "name": "ls"}, {"effort": "low"}, "low"])
    );
    let first = text(&body["input"][0]["content"][0]["text"]).to_owned();
    assert!(first.starts_with("<user_instructions>") && first.contains("British"), "{first}");
}

#[tokio::test]
async fn an_assumed_window_is_told_once_and_not_passed_off_as_known() {
    let server = Server::start(["one", "two"].map(Reply::text)).await.unwrap();
    let folder = Folder::new();
    let mut settings = config(&server, &folder);
    settings.as_object_mut().unwrap().remove("context_window");
    let mut program = Program::start(&settings, &folder).await;
    program.say("1", "go").await;
    let events = program.until("task_complete").await;
    assert_eq!(events[0], json!({"id": "1", "msg": {"type": "task_started"}}));
    let warning = "1 background_event the context window of `test-model` is not known; \
        128000 tokens are assumed: set `context_window`";
    assert_eq!(shorts(&events)[1], warning);
    program.say("2", "go").await;
    let events = program.until("task_complete").await;
    assert!(!shorts(&events).iter().any(|event| event.contains("background_event")));
    program.shut_down().await;
}

#[tokio::test]
async fn a_profile_brings_its_key_and_its_headers_and_others_bring_none() {
    let server = Server::start(["one", "two"].map(Reply::text)).await.unwrap();
    let folder = Folder::new();
    let names = ["authorization", "openai-organization", "openai-project", "openai-beta"];
    let beta = Some("responses=experimental");
    for (name, expected) in [
        ("OpenAI", [Some("Bearer sk-openai"), Some("org"), None, beta]),
        ("test", [None, None, None, None]),
    ] {
        let mut settings = config(&server, &folder);
        settings["provider"]["name"] = json!(name);
        let mut program = Program::start(&settings, &folder).await;
        program.say("1", "go").await;
        program.until("task_complete").await;
        program.shut_down().await;
        let request = server.requests().pop().unwrap();
        assert_eq!(names.map(|header| request.header(header)), expected, "{name}");
    }
}
