//! Many at once, few threads, and what is left behind.

use std::sync::Arc;
use std::time::Duration;

use longhaul::approval::{ApprovalDecision, Approvals};
use longhaul::prelude::*;
use longhaul::state::protocol::TurnEnd;
use longhaul_testkit::ScriptedModel;
use longhaul_testkit::sse::ResponseBuilder;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::Barrier;

use super::support::{Probe, items, kept_if, scripted};

/// Calls two tools, then answers.
fn two_steps() -> ScriptedModel {
    let respond = |request: &longhaul_testkit::model::Recorded| {
        let last = items(&request.input()).pop().unwrap_or_default();
        let calls = ResponseBuilder::new().call("c1", "look", "1").call("c2", "change", "2");
        let answer = ResponseBuilder::new().text("done");
        longhaul_testkit::model::Answer::from(if last.starts_with("user") { calls } else { answer })
    };
    ScriptedModel::new().respond_with(respond).repeat_last()
}

fn agent(model: &ScriptedModel, is_kept: bool) -> longhaul::Agent {
    let agent = kept_if(scripted(model), is_kept)
        .tool(Probe::echo("look"))
        .tool(Probe::echo("change").write());
    agent.tool(Probe::endless("endless")).build().unwrap()
}

#[test]
fn f140_one_thread_is_enough() {
    let one_worker =
        Builder::new_multi_thread().worker_threads(1).max_blocking_threads(1).enable_all().build();
    let current = Builder::new_current_thread().max_blocking_threads(1).enable_all().build();
    for runtime in [one_worker, current] {
        runtime.unwrap().block_on(async {
            let session = agent(&two_steps(), false).session().start().await.unwrap();
            // Two files are read elsewhere, by the one thread that there is for it.
            let input = Input::from("go").local_image("/nowhere/1").local_image("/nowhere/2");
            let (one, two) = tokio::join!(session.prompt(input.clone()), session.prompt(input));
            for turn in [one.unwrap(), two.unwrap()] {
                assert_eq!(turn.await.unwrap().last_message.as_deref(), Some("done"));
            }
            session.shutdown().await.unwrap();
        });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f142_a_thousand_turns_at_once_all_complete() {
    for is_kept in [false, true] {
        const SESSIONS: usize = 1_000;
        let model = two_steps();
        let agent = agent(&model, is_kept);
        let all = Arc::new(Barrier::new(SESSIONS));
        let mut turns = tokio::task::JoinSet::new();
        for _ in 0..SESSIONS {
            let (agent, all) = (agent.clone(), Arc::clone(&all));
            turns.spawn(async move {
                let session = agent.session().start().await.unwrap();
                all.wait().await;
                session.prompt("go").await.unwrap().await.unwrap().end
            });
        }
        let mut complete = 0;
        while let Some(end) = turns.join_next().await {
            assert_eq!(end.unwrap(), TurnEnd::Complete);
            complete += 1;
        }
        assert_eq!((complete, model.requests().len()), (SESSIONS, 2 * SESSIONS));
        assert_eq!(model.problems(), [""; 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn f143_no_task_outlives_its_turn() {
    for is_kept in [false, true] {
        let model = ScriptedModel::new()
            .calls([("c1", "look", "1"), ("c2", "endless", "2")])
            .calls([("c1", "look", "1"), ("c2", "change", "2")])
            .text("done");
        let session = agent(&model, is_kept).session().start().await.unwrap();
        let tasks = || Handle::current().metrics().num_alive_tasks();
        let before = tasks();
        let mut turn = session.prompt("go").await.unwrap();
        while !matches!(turn.next().await, Some(Event::ToolCallBegin { call_id, .. }) if call_id == "c2")
        {
        }
        session.interrupt();
        assert!(turn.await.unwrap().is_interrupted());
        assert_eq!(tasks(), before, "the tools are gone");
        session.prompt("again").await.unwrap().await.unwrap();
        assert_eq!(tasks(), before);
        session.shutdown().await.unwrap();
        tokio::task::yield_now().await;
        let of_session = 1 + usize::from(is_kept);
        assert_eq!(tasks(), before - of_session, "and so are the session and who keeps it");
    }
}

#[test]
fn f141_a_runtime_that_goes_takes_its_turns_with_it_and_tells() {
    let model = ScriptedModel::new().hang();
    let runtime = Runtime::new().unwrap();
    let (session, mut running, waiting, steer, mut events) = runtime.block_on(async {
        let session = scripted(&model).build().unwrap().session().start().await.unwrap();
        let running = session.prompt("a").await.unwrap();
        model.wait_for_requests(1).await;
        let waiting = session.prompt("b").await.unwrap();
        let steer = session.steer("s").await.unwrap();
        let events = session.subscribe(1);
        (session, running, waiting, steer, events)
    });
    drop(runtime);
    Runtime::new().unwrap().block_on(async {
        while running.next().await.is_some() {}
        assert_eq!(running.await.unwrap_err().code(), "closed");
        assert_eq!(waiting.await.unwrap_err().code(), "closed");
        assert_eq!(steer.await.unwrap_err().code(), "closed");
        let mut last = None;
        while let Some(event) = events.next().await {
            last = Some(event.event);
        }
        assert!(matches!(last, Some(Event::ShutdownComplete)), "{last:?}");
        assert_eq!(session.prompt("c").await.err().unwrap().code(), "closed");
        session.shutdown().await.unwrap();
    });
}

/// 64 calls at once: some hang, panic, are denied, say too much, or are well.
#[tokio::test(start_paused = true)]
async fn f133_of_many_calls_each_has_one_output_in_the_order_of_the_model() {
    const KINDS: [&str; 5] = ["hangs", "panics", "denied", "huge", "well"];
    let calls: Vec<_> = (0..64).map(|n| (format!("c{n}"), KINDS[n % KINDS.len()])).collect();
    let response = calls
        .iter()
        .fold(ResponseBuilder::new(), |response, (id, name)| response.call(id, name, "{}"));
    let model = ScriptedModel::new().respond(response).text("done");
    let agent = scripted(&model)
        .tool(Probe::endless("hangs").timeout(Duration::from_secs(5)))
        .tool(Probe::new("panics", |_, _| async { panic!("a tool that panics") }))
        .tool(Probe::echo("denied").asks())
        .tool(Probe::new("huge", |_, _| async { ToolOutput::text("x".repeat(1 << 20)) }))
        .tool(Probe::echo("well"))
        .max_tool_output_bytes(1_000)
        .approvals(Approvals::answered());
    let session = agent.build().unwrap().session().start().await.unwrap();
    let mut turn = session.prompt("go").await.unwrap();
    while let Some(event) = turn.next().await {
        if let Event::ApprovalRequest { call_id, .. } = event {
            let denied = ApprovalDecision::Denied { reason: None };
            session.answer(&call_id, None, denied).await.unwrap();
        }
    }
    assert_eq!(turn.await.unwrap().last_message.as_deref(), Some("done"));
    let request = items(&model.requests()[1].input());
    assert_eq!(request.len(), 1 + 2 * calls.len());
    for (n, (id, name)) in calls.iter().enumerate() {
        assert_eq!(request[1 + 2 * n], format!("call {id} {name} {{}}"));
        let output = &request[2 + 2 * n];
        let says = match *name {
            "hangs" => "the tool was stopped after 5000 ms",
            "panics" => "the tool `panics` crashed",
            "denied" => "rejected by the user",
            "huge" => "tokens truncated",
            _ => "{}",
        };
        assert!(output.starts_with(&format!("output {id} ")) && output.contains(says), "{output}");
        assert!(output.len() < 1_100, "{} bytes", output.len());
    }
}
