//! Tools: who runs when, and what the model is told of them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use longhaul::history::truncate::OutputLimits;
use longhaul::history::{HistoryConfig, OutputPart};
use longhaul::prelude::*;
use longhaul::tool::ToolCall;
use longhaul_testkit::ScriptedModel;
use longhaul_testkit::model::Answer;
use longhaul_testkit::server::{Gate, Reply, Server};
use longhaul_testkit::sse::ResponseBuilder;
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::sync::Barrier;

use super::support::{Probe, conversation, items, lines, over_http, scripted};

#[tokio::test]
async fn calls_that_only_look_run_together() {
    let model = ScriptedModel::new().calls([("c1", "look", "1"), ("c2", "look", "2")]).text("done");
    let barrier = Arc::new(Barrier::new(2));
    let look = Probe::new("look", move |call, _| {
        let barrier = Arc::clone(&barrier);
        async move {
            // Alone neither would ever pass.
            barrier.wait().await;
            ToolOutput::text(call.arguments)
        }
    });
    let session = scripted(&model).tool(look).build().unwrap().session().start().await.unwrap();
    session.prompt("go").await.unwrap().await.unwrap();
    assert_eq!(
        items(&model.requests()[1].input()),
        ["user go", "call c1 look 1", "output c1 1", "call c2 look 2", "output c2 2"]
    );
}

/// What runs at a time, and what ran.
#[derive(Default)]
struct Watch {
    readers: usize,
    writers: usize,
    begun: Vec<usize>,
}

/// Runs for as many virtual milliseconds as its arguments say, under the eyes of `watch`.
fn watched(name: &str, is_write: bool, watch: &Arc<Mutex<Watch>>) -> Probe {
    let watch = Arc::clone(watch);
    let probe = Probe::new(name, move |call: ToolCall, _| {
        let watch = Arc::clone(&watch);
        async move {
            {
                let mut now = watch.lock().unwrap();
                let alone = now.writers == 0 && (!is_write || now.readers == 0);
                assert!(alone, "a call that changes something runs alone");
                now.begun.push(call.call_id[1..].parse().unwrap());
                if is_write {
                    now.writers += 1;
                } else {
                    now.readers += 1;
                }
            }
            let millis: u64 = call.arguments.parse().unwrap();
            tokio::time::sleep(Duration::from_millis(millis)).await;
            let mut now = watch.lock().unwrap();
            if is_write {
                now.writers -= 1;
            } else {
                now.readers -= 1;
            }
            ToolOutput::text(format!("{} ms", call.arguments))
        }
    });
    if is_write { probe.write() } else { probe }
}

async fn schedule(calls: Vec<(bool, u64)>) {
    let name = |is_write| if is_write { "change" } else { "look" };
    let response = calls.iter().enumerate().fold(ResponseBuilder::new(), |response, (i, call)| {
        response.call(&format!("c{i}"), name(call.0), call.1)
    });
    let model = ScriptedModel::new().respond(response).text("done");
    let watch = Arc::default();
    let agent = scripted(&model)
        .tool(watched("look", false, &watch))
        .tool(watched("change", true, &watch))
        .build()
        .unwrap();
    let session = agent.session().start().await.unwrap();
    let begun = tokio::time::Instant::now();
    let mut turn = session.prompt("go").await.unwrap();
    let events = lines(&mut turn).await;

    // Readers next to each other take as long as the slowest, writers add up.
    let mut expected = 0;
    for group in calls.chunk_by(|a, b| !a.0 && !b.0) {
        expected += group.iter().map(|call| call.1).max().unwrap_or_default();
    }
    assert_eq!(begun.elapsed(), Duration::from_millis(expected), "virtual time");
    assert_eq!(watch.lock().unwrap().begun, (0..calls.len()).collect::<Vec<_>>());
    let ends = events.iter().filter(|line| line.starts_with("end "));
    let in_order = calls.iter().enumerate().map(|(i, call)| format!("end c{i} ok {} ms", call.1));
    assert!(ends.eq(&in_order.collect::<Vec<_>>()), "{events:?}");
    let mut sent = vec!["user go".to_owned()];
    for (i, (is_write, millis)) in calls.iter().enumerate() {
        sent.push(format!("call c{i} {} {millis}", name(*is_write)));
        sent.push(format!("output c{i} {millis} ms"));
    }
    assert_eq!(items(&model.requests()[1].input()), sent);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Writers never overlap anything, neighbouring readers all do, calls begin in their order, and
    /// outputs are recorded in theirs, right after their calls.
    #[test]
    fn any_mix_of_effects_is_scheduled_by_the_rules(
        calls in proptest::collection::vec((any::<bool>(), 0_u64..50), 1..12)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(schedule(calls));
    }
}

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Place {
    place: String,
}

async fn visit(Place { place }: Place) -> Result<Value, String> {
    match place.as_str() {
        "sea" => Ok(json!({"wet": true})),
        place => Err(format!("there is no {place}")),
    }
}

fn panics() -> Probe {
    Probe::new("panics", |_, _| async { panic!("a tool that panics") })
}

fn timid() -> Probe {
    Probe::endless("timid").timeout(Duration::from_millis(250))
}

#[tokio::test(start_paused = true)]
async fn whatever_goes_wrong_with_a_call_the_model_is_told_and_the_session_lives() {
    let table = [
        ("visit", r#"{"place":"sea"}"#, r#"ok {"wet":true}"#),
        ("visit", r#"{"place":"moon"}"#, "failed there is no moon"),
        (
            "visit",
            r#"{"city":"sea"}"#,
            "failed invalid arguments: missing field `place` at line 1 column 14",
        ),
        (
            "visit",
            r#"{"place":"#,
            "failed the arguments are not valid JSON: EOF while parsing a value at line 1 column 9",
        ),
        (
            "visit",
            "",
            "failed the arguments are not valid JSON: EOF while parsing a value at line 1 column 0",
        ),
        ("fly", "{}", "failed unsupported call: fly"),
        ("", "{}", "failed unsupported call: "),
        ("panics", "{}", "failed the tool `panics` crashed; its effect is unknown"),
        ("timid", "{}", "failed the tool was stopped after 250 ms; its effect is unknown"),
        ("shout", "{}", "failed `shout` takes free text, not arguments"),
    ];
    let response = table.iter().enumerate().fold(ResponseBuilder::new(), |response, (i, row)| {
        response.call(&format!("c{i}"), row.0, row.1)
    });
    let response = response
        .custom_call("x1", "fly", "high")
        .custom_call("x2", "visit", "sea")
        .custom_call("x3", "shout", "free \"text\"");
    let model = ScriptedModel::new().respond(response).text("I see.").text("And on.");
    let agent = scripted(&model)
        .tool(tool("visit", "Visits.", visit))
        .tool(panics())
        .tool(timid())
        .tool(Probe::echo("shout").custom())
        .build()
        .unwrap();
    let session = agent.session().start().await.unwrap();
    let mut turn = session.prompt("go").await.unwrap();
    let events = lines(&mut turn).await;
    let ends: Vec<_> = events.iter().filter(|line| line.starts_with("end ")).collect();
    let rows = table.iter().enumerate().map(|(i, row)| format!("end c{i} {}", row.2));
    let custom = [
        "end x1 failed unsupported custom tool call: fly",
        "end x2 failed `visit` takes JSON arguments, not free text",
        "end x3 ok free \"text\"",
    ];
    let expected: Vec<_> = rows.chain(custom.map(str::to_owned)).collect();
    assert!(ends.into_iter().eq(&expected), "{events:#?}");
    assert!(turn.await.is_ok());
    session.prompt("more").await.unwrap().await.unwrap();
    // Each is an output right after its call.
    let sent = model.requests()[2].input();
    let failed: Vec<_> = sent.iter().filter(|item| item["output"].is_string()).collect();
    assert_eq!(failed.len(), table.len() + 3);
    model.assert_complete();
}

#[tokio::test]
async fn a_free_form_tool_over_http() {
    let server =
        Server::start([Reply::custom_call("x1", "shout", "free \"text\"\n"), Reply::text("loud")])
            .await
            .unwrap();
    let shout = Probe::new("shout", |call: ToolCall, _| async move {
        ToolOutput::text(call.arguments.to_uppercase())
    });
    let session =
        over_http(&server).tool(shout.custom()).build().unwrap().session().start().await.unwrap();
    let mut turn = session.prompt("go").await.unwrap();
    let events = lines(&mut turn).await;
    assert_eq!(events[4..6], ["begin x1 shout free \"text\"\n", "end x1 ok FREE \"TEXT\"\n"]);
    let requests = server.requests();
    assert_eq!(
        requests[0].json()["tools"],
        json!([{"type": "custom", "name": "shout", "description": ""}])
    );
    assert_eq!(
        requests[1].input()[1..],
        [
            json!({"type": "custom_tool_call", "status": "completed", "call_id": "x1",
                "name": "shout", "input": "free \"text\"\n"}),
            json!({"type": "custom_tool_call_output", "call_id": "x1",
                "output": "FREE \"TEXT\"\n"}),
        ]
    );
    server.assert_complete();
}

#[tokio::test]
async fn a_tool_can_show_images() {
    let model = ScriptedModel::new().call("c1", "camera", "{}").text("a cat");
    let camera = Probe::new("camera", |_, _| async {
        ToolOutput::parts(vec![
            OutputPart::InputText { text: "Here:".into() },
            OutputPart::InputImage { image_url: "data:image/png;base64,AAAA".into() },
        ])
    });
    let session = scripted(&model).tool(camera).build().unwrap().session().start().await.unwrap();
    let mut turn = session.prompt("go").await.unwrap();
    assert!(lines(&mut turn).await.contains(&"end c1 ok Here:\n[image]".into()));
    assert_eq!(
        model.requests()[1].input()[2]["output"],
        json!([{"type": "input_text", "text": "Here:"},
            {"type": "input_image", "image_url": "data:image/png;base64,AAAA"}])
    );
}

/// What an embedder gives its session.
struct Account {
    name: &'static str,
    calls: Arc<AtomicUsize>,
}

#[tokio::test]
async fn a_tool_knows_where_it_runs_and_finds_the_sessions_data() {
    let model = ScriptedModel::new().call("c1", "who", "{}").text("hm");
    let who = Probe::new("who", |call: ToolCall, context: ToolContext| async move {
        let account: &Account = context.data().unwrap();
        account.calls.fetch_add(1, Ordering::SeqCst);
        assert!(context.data::<String>().is_none(), "it is of another type");
        assert!(!context.is_cancelled());
        assert_eq!((context.call_id(), &*call.name), ("c1", "who"));
        ToolOutput::text(format!(
            "{} {} {} {:?} {}",
            account.name,
            context.session_id(),
            context.turn_id(),
            context.cwd(),
            context.max_output_bytes()
        ))
    });
    let agent = scripted(&model).tool(who).cwd("/tmp").max_tool_output_bytes(999).build().unwrap();
    let calls = Arc::new(AtomicUsize::new(0));
    let account = Account { name: "Ada", calls: Arc::clone(&calls) };
    let session = agent.session().data(account).start().await.unwrap();
    session.prompt(Input::from("go").id("turn-1")).await.unwrap().await.unwrap();
    assert_eq!(
        conversation(&session.history())[2],
        format!(r#"output c1 Ada {} turn-1 Some("/tmp") 999"#, session.id())
    );
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn progress_is_shown_between_begin_and_end() {
    let model = ScriptedModel::new().call("c1", "slow", "{}").text("hm");
    let slow = Probe::new("slow", |_, context: ToolContext| async move {
        for percent in [20, 80] {
            context.progress(format!("{percent} %"));
        }
        ToolOutput::text("100 %")
    });
    let session = scripted(&model).tool(slow).build().unwrap().session().start().await.unwrap();
    let mut turn = session.prompt("go").await.unwrap();
    assert_eq!(
        lines(&mut turn).await[4..8],
        ["begin c1 slow {}", "progress c1 20 %", "progress c1 80 %", "end c1 ok 100 %"]
    );
}

fn names(tools: &Value) -> Vec<&str> {
    let tools = tools.as_array().unwrap();
    tools.iter().map(|tool| tool["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn tools_can_change_between_turns_and_never_within_one() {
    let gate = Gate::new("first answer");
    let model = ScriptedModel::new()
        .hold(&gate)
        .calls([("c1", "old", "{}"), ("c2", "new", "{}")])
        .text("one")
        .calls([("c1", "old", "{}"), ("c2", "new", "{}")])
        .text("two")
        .text("three");
    let session =
        scripted(&model).tool(Probe::echo("old")).build().unwrap().session().start().await.unwrap();
    let turn = session.prompt("a").await.unwrap();
    gate.reached().await;
    session.set_tools(&[Arc::new(Probe::echo("new"))]).await.unwrap();
    gate.open();
    turn.await.unwrap();
    session.prompt("b").await.unwrap().await.unwrap();
    session.set_tools(&[]).await.unwrap();
    session.prompt("c").await.unwrap().await.unwrap();

    let requests = model.requests();
    let told: Vec<_> = requests.iter().map(|request| names(&request.body["tools"])).collect();
    assert_eq!(told, [vec!["old"], vec!["old"], vec!["new"], vec!["new"], vec![]]);
    let outputs: Vec<_> = conversation(&session.history())
        .into_iter()
        .filter(|line| line.starts_with("output"))
        .collect();
    assert_eq!(
        outputs,
        [
            "output c1 {}",
            "output c2 unsupported call: new",
            "output c1 unsupported call: old",
            "output c2 {}",
        ]
    );
    let twice: [Arc<dyn Tool>; 2] = [Arc::new(Probe::echo("x")), Arc::new(Probe::echo("x"))];
    assert_eq!(
        session.set_tools(&twice).await.unwrap_err().to_string(),
        "two tools are called `x`: give each a name of its own"
    );
    model.assert_complete();
}

#[tokio::test]
async fn call_ids_may_come_again_in_a_later_response() {
    let model = ScriptedModel::new().call("c1", "echo", "1").call("c1", "echo", "2").text("done");
    let session = scripted(&model)
        .tool(Probe::echo("echo"))
        .build()
        .unwrap()
        .session()
        .start()
        .await
        .unwrap();
    session.prompt("go").await.unwrap().await.unwrap();
    assert_eq!(
        items(&model.requests()[2].input()),
        ["user go", "call c1 echo 1", "output c1 1", "call c1 echo 2", "output c1 2"]
    );
    model.assert_complete();
}

#[tokio::test]
async fn calls_of_one_response_that_share_an_id_get_their_own_outputs() {
    let model = ScriptedModel::new()
        .calls([("c1", "echo", "1"), ("c1", "echo", "2"), ("c1", "echo", "3")])
        .text("done");
    let agent = scripted(&model).tool(Probe::echo("echo")).build().unwrap();
    let session = agent.session().start().await.unwrap();
    session.prompt("go").await.unwrap().await.unwrap();
    assert_eq!(
        items(&model.requests()[1].input()),
        [
            "user go",
            "call c1 echo 1",
            "output c1 1",
            "call c1 echo 2",
            "output c1 2",
            "call c1 echo 3",
            "output c1 3",
        ]
    );
    model.assert_complete();
}

#[tokio::test]
async fn an_output_that_is_too_large_keeps_head_and_tail() {
    let model = ScriptedModel::new().call("c1", "large", "{}").text("hm");
    let large = Probe::new("large", |_, _| async {
        ToolOutput::text(format!("head{}tail", "x".repeat(10_000)))
    });
    let agent = scripted(&model).tool(large).max_tool_output_bytes(100).build().unwrap();
    let session = agent.session().start().await.unwrap();
    let mut turn = session.prompt("go").await.unwrap();
    let events = lines(&mut turn).await;
    let shown = events.iter().find_map(|line| line.strip_prefix("end c1 ok ")).unwrap();
    assert!(shown.starts_with("headx") && shown.ends_with("xtail"), "{shown}");
    assert!(shown.len() < 200, "{shown}");
    assert_eq!(model.requests()[1].input()[2]["output"], json!(shown));
}

#[tokio::test]
async fn the_bound_holds_for_all_parts_together_however_small_it_is() {
    for bytes in [0, 1, 10, 50, 100, 101, 1000] {
        let model = ScriptedModel::new().call("c1", "album", "{}").text("hm");
        let album = Probe::new("album", |_, _| async {
            let text = || OutputPart::InputText { text: "ä".repeat(60) };
            let image = OutputPart::InputImage {
                image_url: format!("data:image/png;base64,{}", "A".repeat(400)),
            };
            ToolOutput::parts(vec![text(), image, text()])
        });
        let agent = scripted(&model).tool(album).max_tool_output_bytes(bytes).build().unwrap();
        let session = agent.session().start().await.unwrap();
        let mut turn = session.prompt("go").await.unwrap();
        let events = lines(&mut turn).await;
        assert!(events.iter().any(|line| line.starts_with("end c1 ok")), "{bytes}: {events:?}");
        let output = model.requests()[1].input()[2]["output"].clone();
        let texts = output.as_array().unwrap().iter().filter_map(|part| part["text"].as_str());
        assert!(texts.map(str::len).sum::<usize>() <= bytes, "{bytes}: {output}");
    }
}

#[tokio::test]
async fn calls_with_text_and_reasoning_around_them_keep_their_places() {
    let response = ResponseBuilder::new()
        .text("first")
        .call("c1", "echo", "1")
        .reasoning("think", None)
        .call("c2", "echo", "2")
        .text("last");
    let model = ScriptedModel::new().respond(Answer::from(response)).text("done");
    let session = scripted(&model)
        .tool(Probe::echo("echo"))
        .build()
        .unwrap()
        .session()
        .start()
        .await
        .unwrap();
    session.prompt("go").await.unwrap().await.unwrap();
    assert_eq!(
        items(&model.requests()[1].input()),
        [
            "user go",
            "assistant first",
            "call c1 echo 1",
            "output c1 1",
            "reasoning think",
            "call c2 echo 2",
            "output c2 2",
            "assistant last",
        ]
    );
}

#[tokio::test]
async fn a_model_sees_of_an_output_what_the_limits_allow_and_those_who_watch_see_all() {
    let text: String = (0..400).map(|line| format!("line {line}\n")).collect::<Vec<_>>().concat();
    let mut config = HistoryConfig::default();
    let mut limits = OutputLimits::default();
    limits.max_lines = 9;
    config.output_limits = Some(limits);
    for (config, lines_sent) in [(HistoryConfig::default(), 256), (config, 9)] {
        let model = ScriptedModel::new().call("c1", "long", "{}").text("done");
        let output = text.clone();
        let long = Probe::new("long", move |_, _| {
            let output = output.clone();
            async move { ToolOutput::text(output) }
        });
        let agent = scripted(&model).tool(long).history(config).build().unwrap();
        let session = agent.session().start().await.unwrap();
        let mut turn = session.prompt("go").await.unwrap();
        let events = lines(&mut turn).await;
        assert!(events.contains(&format!("end c1 ok {text}")));
        let sent = model.requests()[1].input()[2]["output"].as_str().unwrap().to_owned();
        assert!(sent.lines().count() <= lines_sent, "{}", sent.lines().count());
        assert!(sent.starts_with("Total output lines: 400") && sent.ends_with("line 399\n"));
    }
}

#[tokio::test]
async fn images_and_texts_of_an_output_are_within_one_bound() {
    let image = |letter: &str| OutputPart::InputImage {
        image_url: format!("data:image/png;base64,{}", letter.repeat(18)),
    };
    let parts =
        vec![image("A"), image("B"), image("C"), OutputPart::InputText { text: "x".repeat(50) }];
    let tool = Probe::new("look", move |_, _| {
        let parts = parts.clone();
        async move { ToolOutput::parts(parts) }
    });
    let model = ScriptedModel::new().call("c1", "look", "{}").text("done");
    let agent = scripted(&model).tool(tool).max_tool_output_bytes(100);
    let session = agent.build().unwrap().session().start().await.unwrap();
    session.prompt("go").await.unwrap().await.unwrap();
    let output = &model.requests()[1].input()[2]["output"];
    let parts: Vec<_> =
        output.as_array().unwrap().iter().map(|part| part["type"].clone()).collect();
    assert_eq!(parts, ["input_image", "input_image", "input_text", "input_text"]);
    let said = |part: &Value| part["image_url"].as_str().or(part["text"].as_str()).map(str::len);
    let bytes: usize = output.as_array().unwrap().iter().filter_map(said).sum();
    assert!(bytes <= 100, "{output}");
}
