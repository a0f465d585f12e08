//! A turn, from the accepted input to its result.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use longhaul::history::Item;
use longhaul::history::turn_item::TurnItem;
use longhaul::history::usage::TokenUsage;
use longhaul::prelude::*;
use longhaul::state::ContextMessages;
use longhaul::state::protocol::{Settings, SettingsUpdate, TurnEnd};
use longhaul::transport::{Model, ModelError, Request, ResponseStream};
use longhaul_testkit::ScriptedModel;
use longhaul_testkit::model::{Answer, StreamEnd};
use longhaul_testkit::server::{Gate, Reply, ReplyOutcome, Server};
use longhaul_testkit::sse::ResponseBuilder;
use longhaul_transport::ErrorCode;
use serde_json::json;

use super::support::{Probe, conversation, items, line, lines, over_http, scripted};

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct City {
    city: String,
}

async fn weather(City { city }: City) -> Result<String, std::io::Error> {
    Ok(format!("{city}: rain"))
}

#[tokio::test]
async fn a_tool_calling_turn_over_http_event_by_event() {
    let calls = ResponseBuilder::new()
        .reasoning("Ask.", Some("gAAAA"))
        .call("call_1", "weather", r#"{"city":"Oslo"}"#)
        .call("call_2", "weather", r#"{"city":"Bergen"}"#)
        .usage(100, 20);
    let answer = ResponseBuilder::new().text("Both wet.").usage(150, 5);
    let server = Server::start([calls.into(), answer.into()]).await.unwrap();
    let agent = over_http(&server)
        .tool(tool("weather", "Weather now.", weather).read_only())
        .build()
        .unwrap();
    let session = agent.session().start().await.unwrap();

    let mut turn = session.prompt("Oslo or Bergen?").await.unwrap();
    assert_eq!(
        lines(&mut turn).await,
        [
            "started",
            "item+ user",
            "item= user Oslo or Bergen?",
            "item+ reasoning",
            "think Ask.",
            "item= reasoning",
            "tokens 120",
            r#"begin call_1 weather {"city":"Oslo"}"#,
            r#"begin call_2 weather {"city":"Bergen"}"#,
            "end call_1 ok Oslo: rain",
            "end call_2 ok Bergen: rain",
            "item+ agent",
            "text Both ",
            "text wet.",
            "item= agent Both wet.",
            "tokens 275",
            "complete Both wet.",
        ]
    );
    let result = turn.await.unwrap();
    let usage = TokenUsage { input: 250, output: 25, total: 275, ..TokenUsage::default() };
    assert_eq!(
        (result.end, result.usage, result.model_calls, result.attempts),
        (TurnEnd::Complete, usage, 2, 2)
    );
    assert_eq!(result.last_message.as_deref(), Some("Both wet."));

    let message = json!({"type": "message", "role": "user",
        "content": [{"type": "input_text", "text": "Oslo or Bergen?"}]});
    let call = |id: &str, city: &str| {
        json!({"type": "function_call", "call_id": id, "name": "weather",
            "arguments": format!("{{\"city\":\"{city}\"}}")})
    };
    let output = |id: &str, text: &str| json!({"type": "function_call_output", "call_id": id, "output": text});
    let reasoning = json!({"type": "reasoning", "encrypted_content": "gAAAA",
        "summary": [{"type": "summary_text", "text": "Ask."}]});
    assert_eq!(
        server.requests()[1].input(),
        [
            message,
            reasoning,
            call("call_1", "Oslo"),
            output("call_1", "Oslo: rain"),
            call("call_2", "Bergen"),
            output("call_2", "Bergen: rain"),
        ]
    );
    server.assert_complete();
}

#[tokio::test]
async fn nothing_reaches_the_model_that_the_user_did_not_set() {
    let server = Server::start([Reply::text("Hello.")]).await.unwrap();
    let agent = over_http(&server).build().unwrap();
    let session = agent.session().start().await.unwrap();
    session.prompt("Hi").await.unwrap().await.unwrap();
    let request = server.requests().remove(0);
    assert_eq!(
        request.json(),
        json!({"model": "test-model", "tools": [], "tool_choice": "auto",
            "parallel_tool_calls": false, "store": false, "stream": true, "include": [],
            "prompt_cache_key": session.id(),
            "input": [{"type": "message", "role": "user",
                "content": [{"type": "input_text", "text": "Hi"}]}]})
    );
    let mut names: Vec<_> = request.headers.iter().map(|(name, _)| name.to_lowercase()).collect();
    names.sort();
    assert_eq!(names, ["accept", "content-length", "content-type", "host", "user-agent"]);
}

#[tokio::test]
async fn reasoning_is_sent_within_its_turn_and_not_after_it() {
    let model = ScriptedModel::new()
        .reasoned_calls("why", [("c1", "echo", "{}")])
        .reasoned_text("so", "one")
        .text("two");
    let agent = scripted(&model).tool(Probe::echo("echo")).build().unwrap();
    let session = agent.session().start().await.unwrap();
    session.prompt("a").await.unwrap().await.unwrap();
    session.prompt("b").await.unwrap().await.unwrap();
    let requests = model.requests();
    assert_eq!(
        items(&requests[1].input()),
        ["user a", "reasoning why", "call c1 echo {}", "output c1 {}"]
    );
    assert_eq!(
        items(&requests[2].input()),
        ["user a", "call c1 echo {}", "output c1 {}", "assistant one", "user b"]
    );
    model.assert_complete();
}

#[tokio::test]
async fn a_turn_completes_without_a_reader_and_without_a_handle() {
    let model = ScriptedModel::new().call("c1", "echo", "{}").text("one").text("two").text("three");
    let agent = scripted(&model).tool(Probe::echo("echo")).build().unwrap();
    let session = agent.session().start().await.unwrap();
    let result = session.prompt("a").await.unwrap().await.unwrap();
    assert_eq!(result.last_message.as_deref(), Some("one"));

    drop(session.prompt("b").await.unwrap());
    assert_eq!(model.wait_until_ended(2).await, StreamEnd::Read);
    session.prompt("c").await.unwrap().await.unwrap();
    assert_eq!(
        conversation(&session.history())[4..],
        ["user b", "assistant two", "user c", "assistant three"]
    );
    model.assert_complete();
}

#[tokio::test]
async fn events_can_be_read_late_and_the_result_awaited_in_between() {
    let model = ScriptedModel::new().text("a b c");
    let session = scripted(&model).build().unwrap().session().start().await.unwrap();
    let mut events = session.events();
    let mut turn = session.prompt("go").await.unwrap();
    model.wait_until_ended(0).await;
    assert_eq!(lines(&mut turn).await.last().unwrap(), "complete a b c");
    assert!(turn.next().await.is_none(), "the end is the end");
    let id = turn.id().to_owned();
    turn.await.unwrap();
    session.shutdown().await.unwrap();
    let mut seen = Vec::new();
    while let Some(event) = events.next().await {
        if !matches!(event.event, Event::ShutdownComplete) {
            assert_eq!((&*event.submission_id, &*event.turn_id), (&*id, &*id));
        }
        seen.push(line(&event.event));
        assert_eq!(event.number, seen.len() as u64);
    }
    assert_eq!(seen.pop().unwrap(), "ended");
    assert_eq!(
        seen,
        [
            "started",
            "item+ user",
            "item= user go",
            "item+ agent",
            "text a ",
            "text b ",
            "text c",
            "item= agent a b c",
            "tokens 15",
            "complete a b c",
        ]
    );
}

#[tokio::test]
async fn cancelling_a_handle_cuts_the_request_off() {
    let gate = Gate::new("in the stream");
    let reply = Reply::sse().events(ResponseBuilder::new().text("a b").unfinished()).gate(&gate);
    let server = Server::start([reply, Reply::text("again")]).await.unwrap();
    let session = over_http(&server).build().unwrap().session().start().await.unwrap();
    let mut turn = session.prompt("go").await.unwrap();
    gate.reached().await;
    turn.cancel();
    assert_eq!(lines(&mut turn).await.last().unwrap(), "aborted");
    let result = turn.await.unwrap();
    assert!(result.is_interrupted());
    let outcome = server.wait_until_reply_ended(0).await;
    assert!(matches!(outcome, ReplyOutcome::ClientClosed { .. }), "{outcome:?}");
    session.prompt("more").await.unwrap().await.unwrap();
    assert_eq!(items(&server.requests()[1].input()), ["user go", "user more"]);
}

#[tokio::test]
async fn dropping_a_handle_cancels_only_if_it_was_asked_to() {
    let gate = Gate::new("first");
    let model = ScriptedModel::new().hold(&gate).text("one").hang().hang().text("four");
    let session = scripted(&model).build().unwrap().session().start().await.unwrap();

    drop(session.prompt("a").await.unwrap());
    gate.reached().await;
    gate.open();
    assert_eq!(model.wait_until_ended(0).await, StreamEnd::Read);

    let turn = session.prompt("b").await.unwrap().cancel_on_drop();
    model.wait_for_requests(2).await;
    drop(turn);
    assert_eq!(model.wait_until_ended(1).await, StreamEnd::Dropped);

    // Awaiting is holding: the handle is dropped with the future.
    let turn = session.prompt("c").await.unwrap().cancel_on_drop();
    let waiting = tokio::spawn(turn.into_future());
    model.wait_for_requests(3).await;
    waiting.abort();
    assert_eq!(model.wait_until_ended(2).await, StreamEnd::Dropped);

    // A turn that has ended is not cancelled, and takes nobody else with it.
    let mut turn = session.prompt("d").await.unwrap().cancel_on_drop();
    assert_eq!(lines(&mut turn).await.last().unwrap(), "complete four");
    assert_eq!(turn.await.unwrap().end, TurnEnd::Complete);
    model.assert_complete();
}

#[tokio::test]
async fn a_prompt_that_is_cancelled_while_it_waits_reaches_no_model() {
    let gate = Gate::new("first");
    let model = ScriptedModel::new().hold(&gate).text("one").text("three");
    let session = scripted(&model).build().unwrap().session().start().await.unwrap();
    let first = session.prompt("a").await.unwrap();
    gate.reached().await;
    let mut second = session.prompt("b").await.unwrap();
    let third = session.prompt("c").await.unwrap();
    second.cancel();
    gate.open();
    first.await.unwrap();
    assert_eq!(lines(&mut second).await, [""; 0]);
    let result = second.await.unwrap();
    assert_eq!((result.is_interrupted(), result.model_calls), (true, 0));
    third.await.unwrap();
    assert_eq!(
        conversation(&session.history()),
        ["user a", "assistant one", "user c", "assistant three"]
    );
    model.assert_complete();
}

#[tokio::test]
async fn turns_run_one_at_a_time_in_the_order_of_their_inputs() {
    let model = ScriptedModel::new().text("one").text("two").text("three");
    let session = scripted(&model).build().unwrap().session().start().await.unwrap();
    let mut turns = Vec::new();
    for text in ["a", "b", "c"] {
        turns.push(session.prompt(text).await.unwrap());
    }
    for turn in turns {
        turn.await.unwrap();
    }
    assert_eq!(
        conversation(&session.history()),
        ["user a", "assistant one", "user b", "assistant two", "user c", "assistant three"]
    );
}

#[tokio::test(start_paused = true)]
async fn f012_the_items_of_a_response_commit_when_it_completes_and_tools_run_once() {
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&runs);
    let count = Probe::new("count", move |_, _| {
        let run = counted.fetch_add(1, Ordering::SeqCst) + 1;
        async move { ToolOutput::text(format!("run {run}")) }
    });
    let whole = || ResponseBuilder::new().text("Let me see.").call("c1", "count", "{}");
    let broken = ModelError::new(ErrorCode::StreamIncomplete, "gone");
    let gate = Gate::new("before the end");
    let held = Answer::from(whole()).unfinished().hold(&gate);
    let model = ScriptedModel::new()
        .break_after(whole(), broken)
        .respond(held.then(Answer::from(whole()).terminal()))
        .text("Done.");
    let session = scripted(&model).tool(count).build().unwrap().session().start().await.unwrap();
    let mut turn = session.prompt("go").await.unwrap();
    gate.reached().await;
    assert_eq!(runs.load(Ordering::SeqCst), 0, "the response is not complete");
    assert_eq!(conversation(&session.history()), ["user go"]);
    gate.open();
    assert_eq!(
        lines(&mut turn).await[3..],
        [
            "item+ agent",
            "text Let ",
            "text me ",
            "text see.",
            "retry 1/5 stream_incomplete",
            "recovered 1",
            "item+ agent",
            "text Let ",
            "text me ",
            "text see.",
            "item= agent Let me see.",
            "tokens 15",
            "begin c1 count {}",
            "end c1 ok run 1",
            "item+ agent",
            "text Done.",
            "item= agent Done.",
            "tokens 30",
            "complete Done.",
        ]
    );
    let result = turn.await.unwrap();
    assert_eq!((result.model_calls, result.attempts), (2, 3));
    assert_eq!(
        conversation(&session.history()),
        [
            "user go",
            "assistant Let me see.",
            "call c1 count {}",
            "output c1 run 1",
            "assistant Done."
        ]
    );
    model.assert_complete();
}

#[tokio::test]
async fn an_item_keeps_its_id_from_its_start_to_its_end() {
    let model = ScriptedModel::new().reasoned_text("why", "so");
    let session = scripted(&model).build().unwrap().session().start().await.unwrap();
    let mut turn = session.prompt("go").await.unwrap();
    let (mut started, mut completed) = (Vec::new(), Vec::new());
    while let Some(event) = turn.next().await {
        match event {
            Event::ItemStarted(item) => started.push(item.id),
            Event::ItemCompleted(item) => completed.push(item.id),
            _ => {}
        }
    }
    assert_eq!(started, completed);
    assert_eq!(started[1..], ["rs_resp_1_0", "msg_resp_1_1"]);
}

#[tokio::test]
async fn an_item_without_an_id_of_its_servers_is_kept_under_the_one_it_was_shown_under() {
    let message = json!({"type": "message", "role": "assistant",
        "content": [{"type": "output_text", "text": "OK"}]});
    let answer = || {
        let done = json!({"type": "response.output_item.done", "item": message});
        let completed =
            json!({"type": "response.completed", "response": {"id": "r", "output": []}});
        Reply::sse().event(&done).event(&completed)
    };
    let server = Server::start([answer(), answer()]).await.unwrap();
    let session = over_http(&server).build().unwrap().session().start().await.unwrap();
    let mut shown = Vec::new();
    for input in ["one", "two"] {
        let mut turn = session.prompt(input).await.unwrap();
        while let Some(event) = turn.next().await {
            if let Event::ItemCompleted(item) = event {
                shown.push(item);
            }
        }
    }
    let history = session.history();
    let read_back = history.iter().map(|item| Item::from_json(item.json()).unwrap());
    let shown_again: Vec<_> = read_back.filter_map(|item| TurnItem::of(&item)).collect();
    assert_eq!(shown_again, shown);
    assert_ne!(shown[1].id, shown[3].id, "though the model said the same");
    assert_eq!(server.requests()[1].input()[1], message, "the id is not sent");
}

#[tokio::test]
async fn model_calls_are_bounded_by_a_clear_error_and_the_session_lives() {
    let model = ScriptedModel::new().call("c1", "echo", "{}").call("c2", "echo", "{}").text("fine");
    let agent = scripted(&model).tool(Probe::echo("echo")).max_model_calls(2);
    let session = agent.build().unwrap().session().start().await.unwrap();
    let mut turn = session.prompt("a").await.unwrap();
    let events = lines(&mut turn).await;
    assert_eq!(
        events[events.len() - 3..],
        ["end c2 ok {}", "error too_many_model_calls", "complete -"]
    );
    let error = turn.await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the turn made 2 model calls, its limit, and the model still asks for tools"
    );
    assert!(!error.is_retryable());
    session.prompt("b").await.unwrap().await.unwrap();
    assert_eq!(
        items(&model.requests()[2].input()),
        ["user a", "call c1 echo {}", "output c1 {}", "call c2 echo {}", "output c2 {}", "user b"]
    );
    model.assert_complete();
}

#[tokio::test(start_paused = true)]
async fn a_turn_ends_at_its_deadline_wherever_it_is() {
    let model = ScriptedModel::new()
        .hang()
        .calls([("c1", "endless", "{}"), ("c2", "endless", "{}")])
        .fail(ModelError::new(ErrorCode::ServerError, "busy"))
        .text("fine");
    let agent = scripted(&model)
        .tool(Probe::endless("endless").write())
        .turn_deadline(Duration::from_millis(150));
    let session = agent.build().unwrap().session().start().await.unwrap();
    for _ in ["no answer", "tools that run"] {
        let begun = tokio::time::Instant::now();
        let mut turn = session.prompt("a").await.unwrap();
        let events = lines(&mut turn).await;
        assert_eq!(events[events.len() - 2..], ["error timeout", "complete -"]);
        let error = turn.await.unwrap_err();
        assert_eq!((error.code(), error.phase()), ("timeout", Some("turn")));
        assert_eq!(error.to_string(), "the turn did not end within 150 ms");
        let took = begun.elapsed().as_millis();
        // Tools have their grace on top.
        assert!((150..=251).contains(&took), "{took} virtual ms");
    }
    // No wait is begun that would pass the deadline: the error itself is given.
    let error = session.prompt("b").await.unwrap().await.unwrap_err();
    assert_eq!(error.code(), "server_error");
    session.prompt("c").await.unwrap().await.unwrap();
    assert_eq!(
        conversation(&session.history()),
        [
            "user a",
            "user a",
            "call c1 endless {}",
            "output c1 aborted: had started, effect unknown",
            "call c2 endless {}",
            "output c2 aborted: not started",
            "user b",
            "user c",
            "assistant fine",
        ]
    );
    model.assert_complete();
}

#[tokio::test]
async fn settings_of_an_input_hold_for_later_turns_and_a_schema_for_its_own() {
    let model = ScriptedModel::new().text("{}").text("two").text("three");
    let session = scripted(&model).build().unwrap().session().start().await.unwrap();
    let mut settings = SettingsUpdate::default();
    settings.model = Some("other-model".into());
    settings.effort = Some(Some("high".into()));
    let schema = json!({"type": "object"});
    let input = Input::from("a").settings(settings).output_schema(schema.clone());
    session.prompt(input).await.unwrap().await.unwrap();
    session.prompt("b").await.unwrap().await.unwrap();
    let mut settings = SettingsUpdate::default();
    settings.model = Some("third-model".into());
    session.configure(settings).await.unwrap();
    session.prompt("c").await.unwrap().await.unwrap();
    let facts: Vec<_> = model
        .requests()
        .iter()
        .map(|r| {
            let body = &r.body;
            (
                body["model"].clone(),
                body["reasoning"].clone(),
                body["text"]["format"]["schema"].clone(),
            )
        })
        .collect();
    let effort = json!({"effort": "high"});
    assert_eq!(
        facts,
        [
            (json!("other-model"), effort.clone(), schema),
            (json!("other-model"), effort.clone(), json!(null)),
            (json!("third-model"), effort, json!(null)),
        ]
    );
}

#[tokio::test]
async fn bad_input_is_refused_before_anything_happens() {
    let model = ScriptedModel::new();
    let session = scripted(&model).build().unwrap().session().start().await.unwrap();
    let mut relative = SettingsUpdate::default();
    relative.cwd = Some("here".into());
    let mut unnamed = SettingsUpdate::default();
    unnamed.model = Some(" ".into());
    let table = [
        (Input::default(), "`items` is empty: say something"),
        (
            Input::from("x").image("cat.png"),
            "`items[1].image_url`: give an http(s): address or a data: URL",
        ),
        (Input::from("x").settings(relative), "`cwd` is relative: `here`; give an absolute path"),
        (Input::from("x").settings(unnamed), "`model` is empty: name one"),
    ];
    for (input, problem) in table {
        for error in [
            session.prompt(input.clone()).await.err().unwrap(),
            session.steer(input.clone()).await.err().unwrap(),
            session.preview_request(input).await.err().unwrap(),
        ] {
            assert_eq!((error.code(), error.to_string().as_str()), ("invalid_submission", problem));
            assert!(!error.is_retryable() && error.session_can_go_on());
        }
    }
    assert!(session.history().is_empty());
    assert_eq!(model.requests(), []);
}

/// Panics at its first request.
struct Panicking(ScriptedModel, AtomicUsize);

#[async_trait::async_trait]
impl Model for Panicking {
    async fn stream(&self, request: &Request) -> Result<ResponseStream, ModelError> {
        let events = self.0.stream(request).await?;
        match self.1.fetch_add(1, Ordering::SeqCst) {
            0 => panic!("a model that panics"),
            1 => Ok(events.map(|_| panic!("a stream that panics")).boxed()),
            _ => Ok(events),
        }
    }
}

#[tokio::test]
async fn a_model_that_panics_ends_its_turn_and_not_the_session() {
    let model = ScriptedModel::new().text("one").text("two").text("three");
    let panicking = Arc::new(Panicking(model.clone(), AtomicUsize::new(0)));
    let agent = longhaul::Agent::builder("test-model", panicking).build().unwrap();
    let session = agent.session().start().await.unwrap();
    for _ in 0..2 {
        let mut turn = session.prompt("a").await.unwrap();
        let events = lines(&mut turn).await;
        assert_eq!(events[events.len() - 2..], ["error internal", "complete -"]);
        assert_eq!(turn.await.unwrap_err().to_string(), "internal error: the task panicked");
    }
    let result = session.prompt("b").await.unwrap().await.unwrap();
    assert_eq!(result.last_message.as_deref(), Some("three"));
}

/// Panics before the first turn; later it looks at the session, as any embedder's code may.
#[derive(Clone, Default)]
struct Nosy(Arc<NosyState>);

#[derive(Default)]
struct NosyState {
    turns: AtomicUsize,
    session: std::sync::OnceLock<Session>,
}

impl ContextMessages for Nosy {
    fn messages(&self, told: Option<&Settings>, now: &Settings) -> Vec<Item> {
        assert!(self.0.turns.fetch_add(1, Ordering::SeqCst) > 0, "context that panics");
        let recorded = self.0.session.get().unwrap().history().len();
        let told = told.map(|told| told.model.clone());
        vec![Item::user(format!("{recorded} items, told of {told:?}, now {}", now.model))]
    }
}

#[tokio::test]
async fn context_messages_may_panic_and_may_look_at_the_session() {
    let model = ScriptedModel::new().text("one").text("two");
    let nosy = Nosy::default();
    let agent = scripted(&model).context(nosy.clone()).build().unwrap();
    let session = agent.session().start().await.unwrap();
    assert!(nosy.0.session.set(session.clone()).is_ok());
    let mut turn = session.prompt("a").await.unwrap();
    assert_eq!(lines(&mut turn).await, ["started", "error internal", "complete -"]);
    assert_eq!(turn.await.unwrap_err().to_string(), "internal error: the task panicked");
    for text in ["b", "c"] {
        session.prompt(text).await.unwrap().await.unwrap();
    }
    assert_eq!(
        conversation(&session.history()),
        [
            "user 0 items, told of None, now test-model",
            "user b",
            "assistant one",
            r#"user 3 items, told of Some("test-model"), now test-model"#,
            "user c",
            "assistant two",
        ]
    );
}

#[tokio::test]
async fn a_web_search_begins_and_ends_under_one_id() {
    let search = json!({"type": "web_search_call", "id": "ws_1", "status": "completed",
        "action": {"type": "search", "query": "weather in Oslo"}});
    let model =
        ScriptedModel::new().respond(ResponseBuilder::new().item(search).text("rain")).text("ok");
    let session = scripted(&model).build().unwrap().session().start().await.unwrap();
    let mut turn = session.prompt("go").await.unwrap();
    let mut seen = Vec::new();
    while let Some(event) = turn.next().await {
        match event {
            Event::WebSearchBegin { call_id } => seen.push(format!("begin {call_id}")),
            Event::WebSearchEnd { call_id, query } => seen.push(format!("end {call_id} {query}")),
            Event::ItemStarted(item) | Event::ItemCompleted(item) if item.id == "ws_1" => {
                seen.push(line(&Event::ItemCompleted(item)));
            }
            _ => {}
        }
    }
    assert_eq!(seen, ["item= search", "begin ws_1", "item= search", "end ws_1 weather in Oslo"]);
    session.prompt("on").await.unwrap().await.unwrap();
    assert!(items(&model.requests()[1].input())[1].contains("web_search_call"), "it is recorded");
}
