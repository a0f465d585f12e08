//! An interrupt ends a turn cleanly, wherever it is.

use std::sync::Arc;
use std::time::Duration;

use longhaul::approval::Approvals;
use longhaul::prelude::*;
use longhaul::rollout::{LogRef, MemoryStore, OnDamage};
use longhaul::state::protocol::{TurnEnd, TurnError, TurnResult};
use longhaul::task::{Regular, SessionTask, TaskScope};
use longhaul_testkit::ScriptedModel;
use longhaul_testkit::model::{Answer, Recorded, StreamEnd};
use longhaul_testkit::server::{Gate, Reply, ReplyOutcome, Script, Server};
use longhaul_testkit::sse::ResponseBuilder;
use longhaul_transport::{ErrorCode, ModelError};
use tokio::sync::{Barrier, Notify};
use tokio::time::Instant;

use super::support::{
    Probe, Yielding, conversation, ends, items, line, lines, over_http, scripted, until,
    yield_twice,
};

/// Three calls after a question, an answer after outputs.
fn two_steps(request: &Recorded) -> Answer {
    step(&request.input()).into()
}

fn step(input: &[serde_json::Value]) -> ResponseBuilder {
    let is_user = |item: &serde_json::Value| item["role"] == "user";
    let last_user = input.iter().rposition(is_user).unwrap();
    if input.len() > last_user + 1 {
        ResponseBuilder::new().reasoning("enough", None).text("so it is")
    } else {
        ResponseBuilder::new()
            .reasoning("ask", Some("gAAAA"))
            .text("let me see")
            .call("c1", "look", "{}")
            .custom_call("c2", "shout", "hey")
            .call("c3", "change", "{}")
    }
}

fn tools() -> [Probe; 3] {
    let slow = |name: &str| {
        Probe::new(name, |_, context: ToolContext| async move {
            yield_twice().await;
            context.progress("half way");
            yield_twice().await;
            ToolOutput::text("done")
        })
    };
    [slow("look"), slow("shout").custom(), slow("change").write()]
}

/// Interrupts at every event of a turn with tools.
#[tokio::test]
async fn an_interrupt_at_any_event_leaves_a_conversation_that_goes_on() {
    let mut interrupted = 0;
    for index in 0.. {
        let model = ScriptedModel::new().respond_with(two_steps).repeat_last();
        let yielding = Arc::new(Yielding(model.clone()));
        let agent = longhaul::Agent::builder("test-model", yielding);
        let agent = tools().into_iter().fold(agent, longhaul::AgentBuilder::tool);
        let session = agent.build().unwrap().session().start().await.unwrap();
        let mut turn = session.prompt("go").await.unwrap();
        let mut seen = Vec::new();
        while let Some(event) = turn.next().await {
            if seen.len() == index {
                session.interrupt();
            }
            seen.push(line(&event));
        }
        let reached = seen.len() > index;
        assert_eq!(ends(&seen), 1, "{index}: {seen:?}");
        let result = turn.await.unwrap();
        let end = if result.is_interrupted() { "aborted" } else { "complete so it is" };
        assert_eq!(seen.last().unwrap(), end, "{index}");
        interrupted += usize::from(result.is_interrupted());
        // Whatever was begun to be shown as a call is shown to its end.
        let count = |prefix: &str| seen.iter().filter(|line| line.starts_with(prefix)).count();
        assert_eq!(count("begin "), count("end "), "{index}: {seen:?}");

        let before = conversation(&session.history());
        let calls =
            before.iter().filter(|line| line.contains("call c") || line.starts_with("custom c"));
        let outputs = before.iter().filter(|line| line.contains("output c"));
        assert_eq!(calls.count(), outputs.count(), "{index}: {before:?}");
        let result = session.prompt("and now?").await.unwrap().await.unwrap();
        assert_eq!(result.end, TurnEnd::Complete, "{index}");
        assert_eq!(model.problems(), [""; 0], "{index}");
        if !reached {
            break;
        }
    }
    assert!(interrupted > 20, "{interrupted}");
}

/// The same over HTTP, at every event of every response.
#[tokio::test]
async fn an_interrupt_at_any_byte_closes_the_connection() {
    let whole = |number: usize| match number {
        0 => step(&[serde_json::json!({"role": "user"})]).completed(),
        _ => ResponseBuilder::new().text("so it is").completed(),
    };
    for response in 0..2 {
        for cut in 0..whole(response).len() {
            let gate = Gate::new("cut");
            let mut events = whole(response);
            let rest = events.split_off(cut);
            let held = Reply::sse().events(events).gate(&gate).events(rest);
            let before = (0..response).map(|number| Reply::sse().events(whole(number)));
            let script: Script = before.chain([held, Reply::text("fine")]).collect();
            let server = Server::start(script).await.unwrap();
            let agent = tools().into_iter().fold(over_http(&server), longhaul::AgentBuilder::tool);
            let session = agent.build().unwrap().session().start().await.unwrap();
            let mut turn = session.prompt("go").await.unwrap();
            gate.reached().await;
            assert!(session.interrupt());
            let events = lines(&mut turn).await;
            assert_eq!((ends(&events), events.last().unwrap().as_str()), (1, "aborted"));
            assert!(turn.await.unwrap().is_interrupted());
            let outcome = server.wait_until_reply_ended(response).await;
            assert!(matches!(outcome, ReplyOutcome::ClientClosed { .. }), "{outcome:?}");
            let result = session.prompt("and now?").await.unwrap().await.unwrap();
            assert_eq!(result.last_message.as_deref(), Some("fine"));
            server.assert_complete();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn unfinished_calls_are_answered_with_what_is_known_of_them() {
    let model = ScriptedModel::new()
        .calls([
            ("c1", "done", "{}"),
            ("c2", "endless", "{}"),
            ("c3", "heeds", "{}"),
            ("c4", "change", "{}"),
            ("c5", "done", "{}"),
        ])
        .text("fine");
    let barrier = Arc::new(Barrier::new(3));
    let (at_endless, at_heeds) = (Arc::clone(&barrier), Arc::clone(&barrier));
    let endless = Probe::new("endless", move |_, _| {
        let barrier = Arc::clone(&at_endless);
        async move {
            barrier.wait().await;
            std::future::pending().await
        }
    });
    let heeds = Probe::new("heeds", move |_, context: ToolContext| {
        let barrier = Arc::clone(&at_heeds);
        async move {
            barrier.wait().await;
            context.cancelled().await;
            assert!(context.is_cancelled());
            ToolOutput::error("I stopped in time")
        }
    });
    let agent = scripted(&model)
        .tool(Probe::echo("done"))
        .tool(endless)
        .tool(heeds)
        .tool(Probe::echo("change").write());
    let session = agent.build().unwrap().session().start().await.unwrap();
    let mut turn = session.prompt("go").await.unwrap();
    barrier.wait().await;
    let begun = Instant::now();
    assert!(session.interrupt());
    assert!(session.interrupt(), "twice is once");
    let events = lines(&mut turn).await;
    assert_eq!(begun.elapsed(), Duration::from_millis(100), "the grace of tools, virtual");
    assert_eq!(
        events[4..],
        [
            "begin c1 done {}",
            "begin c2 endless {}",
            "begin c3 heeds {}",
            "end c1 ok {}",
            "end c2 failed aborted: had started, effect unknown",
            "end c3 failed I stopped in time",
            "aborted",
        ]
    );
    let result = turn.await.unwrap();
    assert_eq!((result.usage.total, result.model_calls), (15, 1));
    session.prompt("next").await.unwrap().await.unwrap();
    assert_eq!(
        items(&model.requests()[1].input()),
        [
            "user go",
            "call c1 done {}",
            "output c1 {}",
            "call c2 endless {}",
            "output c2 aborted: had started, effect unknown",
            "call c3 heeds {}",
            "output c3 I stopped in time",
            "call c4 change {}",
            "output c4 aborted: not started",
            "call c5 done {}",
            "output c5 aborted: not started",
            "user next",
        ]
    );
    model.assert_complete();
}

/// Tells that it is dropped, as long as its turn has not ended.
struct Guard(ToolContext);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.progress("is gone");
    }
}

#[tokio::test]
async fn a_stopped_tool_is_gone_before_the_turn_says_that_it_has_ended() {
    let model = ScriptedModel::new().call("c1", "endless", "{}");
    let begun = Arc::new(Barrier::new(2));
    let at_begin = Arc::clone(&begun);
    let endless = Probe::new("endless", move |_, context| {
        let begun = Arc::clone(&at_begin);
        async move {
            let _guard = Guard(context);
            begun.wait().await;
            std::future::pending().await
        }
    });
    let session = scripted(&model).tool(endless).build().unwrap().session().start().await.unwrap();
    let mut turn = session.prompt("go").await.unwrap();
    begun.wait().await;
    turn.cancel();
    let seen = lines(&mut turn).await;
    assert_eq!(
        seen[seen.len() - 3..],
        ["progress c1 is gone", "end c1 failed aborted: had started, effect unknown", "aborted"]
    );
    assert!(turn.await.unwrap().is_interrupted());
}

#[tokio::test]
async fn an_interrupt_of_nothing_is_nothing() {
    let model = ScriptedModel::new().text("one").text("two");
    let session = scripted(&model).build().unwrap().session().start().await.unwrap();
    let mut events = session.events();
    assert!(!session.interrupt());
    session.prompt("a").await.unwrap().await.unwrap();
    assert!(!session.interrupt(), "the turn has ended");
    let result = session.prompt("b").await.unwrap().await.unwrap();
    assert_eq!(result.end, TurnEnd::Complete, "a late interrupt hits no later turn");
    session.shutdown().await.unwrap();
    let mut seen = Vec::new();
    while let Some(event) = events.next().await {
        seen.push(line(&event.event));
    }
    assert_eq!(seen.iter().filter(|line| *line == "aborted").count(), 0);
}

#[tokio::test]
async fn an_interrupt_right_after_the_input_still_ends_its_turn() {
    let model = ScriptedModel::new().text("two");
    let session = scripted(&model).build().unwrap().session().start().await.unwrap();
    let mut turn = session.prompt("a").await.unwrap();
    assert!(session.interrupt(), "the turn is accepted, though it has not begun");
    assert_eq!(lines(&mut turn).await, ["started", "item+ user", "item= user a", "aborted"]);
    assert!(turn.await.unwrap().is_interrupted());
    let result = session.prompt("b").await.unwrap().await.unwrap();
    assert_eq!(result.end, TurnEnd::Complete);
    assert_eq!(items(&model.requests()[0].input()), ["user a", "user b"], "nothing is lost");
    model.assert_complete();
}

#[tokio::test]
async fn an_interrupt_ends_the_running_turn_alone() {
    let model = ScriptedModel::new().hang().text("two");
    let session = scripted(&model).build().unwrap().session().start().await.unwrap();
    let first = session.prompt("a").await.unwrap();
    model.wait_for_requests(1).await;
    let second = session.prompt("b").await.unwrap();
    assert!(session.interrupt());
    assert!(first.await.unwrap().is_interrupted());
    assert_eq!(model.wait_until_ended(0).await, StreamEnd::Dropped);
    assert_eq!(second.await.unwrap().last_message.as_deref(), Some("two"));
}

#[tokio::test(start_paused = true)]
async fn an_interrupt_between_two_attempts_waits_for_nothing() {
    let down = || Answer::failure(ModelError::new(ErrorCode::ServerError, "down"));
    let cut = ModelError::new(ErrorCode::StreamIncomplete, "cut");
    let broken = Answer::from(ResponseBuilder::new().text("half")).unfinished().break_with(cut);
    for failed in [down(), broken] {
        let model = ScriptedModel::new().respond(failed).text("fine");
        let session = scripted(&model).build().unwrap().session().start().await.unwrap();
        let mut turn = session.prompt("go").await.unwrap();
        until(&mut turn, |line| line.starts_with("retry 1/")).await;
        let steered = session.steer("more").await.unwrap();
        let begun = Instant::now();
        assert!(session.interrupt());
        assert_eq!(lines(&mut turn).await, ["aborted"]);
        assert_eq!(begun.elapsed(), Duration::ZERO, "virtual");
        session.prompt("and now?").await.unwrap().await.unwrap();
        assert_eq!(steered.await.unwrap().last_message.as_deref(), Some("fine"));
        assert_eq!(
            items(&model.requests()[1].input()),
            ["user go", "user more", "user and now?"],
            "nothing of the broken answer, all of the user's"
        );
        model.assert_complete();
    }
}

/// Where the machine stood still, all of an interrupt's time has passed when the turn comes to act.
#[tokio::test(start_paused = true)]
async fn what_had_started_has_its_output_also_where_an_interrupt_comes_late_to_act() {
    let model = ScriptedModel::new().call("c1", "hang", "{}").text("fine");
    let agent = scripted(&model).tool(Probe::endless("hang").write()).build().unwrap();
    let session = agent.session().start().await.unwrap();
    let mut turn = session.prompt("go").await.unwrap();
    until(&mut turn, |line| line.starts_with("begin c1")).await;
    assert!(session.interrupt());
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    tokio::time::advance(Duration::from_secs(10)).await;
    let unknown = "aborted: had started, effect unknown";
    assert_eq!(lines(&mut turn).await, [format!("end c1 failed {unknown}"), "aborted".into()]);
    assert_eq!(conversation(&session.history())[2], format!("output c1 {unknown}"));
}

/// Asks the model, and stops that from outside when it is told to end.
struct Impatient {
    /// It does not end itself, either.
    is_stubborn: bool,
}

#[async_trait::async_trait]
impl SessionTask for Impatient {
    async fn run(&self, scope: &TaskScope) -> Result<TurnResult, TurnError> {
        let mut regular = std::pin::pin!(Regular.run(scope));
        tokio::select! {
            biased;
            () = scope.cancelled() => {}
            result = &mut regular => return result,
        }
        if self.is_stubborn {
            std::future::pending::<()>().await;
        }
        Ok(TurnResult::empty(TurnEnd::INTERRUPTED))
    }
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_is_stopped_from_outside_leaves_no_call_without_an_output() {
    for is_stubborn in [false, true] {
        let calls = [("c1", "hang", "{}"), ("c2", "hang", "{}"), ("c3", "ask", "{}")];
        let model = ScriptedModel::new().calls(calls).text("fine");
        let store = MemoryStore::new();
        let agent = scripted(&model).tool(Probe::endless("hang").write()).store(store);
        let agent = agent.tool(Probe::echo("ask").write().asks()).approvals(Approvals::answered());
        let agent = agent.task(Impatient { is_stubborn }).build().unwrap();
        let session = agent.session().start().await.unwrap();
        let mut turn = session.prompt("go").await.unwrap();
        let asked = until(&mut turn, |line| line.starts_with("ask c3")).await;
        assert!(asked.iter().any(|line| line.starts_with("begin c1")), "{asked:?}");
        assert!(session.interrupt());
        let [unknown, not] = ["aborted: had started, effect unknown", "aborted: not started"];
        assert_eq!(lines(&mut turn).await, [format!("end c1 failed {unknown}"), "aborted".into()]);
        assert!(session.pending_approvals().is_empty());
        let said = conversation(&session.history());
        let outputs: Vec<_> = said.iter().filter(|it| it.starts_with("output")).collect();
        let expected = [("c1", unknown), ("c2", not), ("c3", not)];
        assert_eq!(outputs, expected.map(|(id, text)| format!("output {id} {text}")).each_ref());
        session.shutdown().await.unwrap();
        let which = LogRef::Id(session.id().to_owned());
        let again = agent.session().resume(which, OnDamage::Refuse).start().await.unwrap();
        assert_eq!(conversation(&again.history()), said);
        assert_eq!(again.resumed().unwrap().open_turn, None);
        again.shutdown().await.unwrap();
    }
}

/// Stops the regular task as soon as a tool has ended, and runs it anew.
struct Anew(Arc<Notify>);

#[async_trait::async_trait]
impl SessionTask for Anew {
    async fn run(&self, scope: &TaskScope) -> Result<TurnResult, TurnError> {
        tokio::select! {
            biased;
            () = self.0.notified() => {}
            result = Regular.run(scope) => return result,
        }
        Regular.run(scope).await
    }
}

/// What a part of a turn spent that was stopped is spent; and what a tool has given by then is not lost.
#[tokio::test]
async fn what_is_stopped_from_outside_counts_and_what_had_ended_keeps_its_output() {
    let calls = [("c1", "quick", "1"), ("c2", "hang", "2")];
    let model = ScriptedModel::new().calls(calls).text("well");
    let ended = Arc::new(Notify::new());
    let quick = Probe::new("quick", {
        let ended = Arc::clone(&ended);
        move |_, _| {
            let ended = Arc::clone(&ended);
            async move {
                ended.notify_one();
                ToolOutput::text("it is done")
            }
        }
    });
    let agent = scripted(&model).tool(quick).tool(Probe::endless("hang"));
    let session = agent.task(Anew(ended)).build().unwrap().session().start().await.unwrap();
    let mut turn = session.prompt("go").await.unwrap();
    let unknown = "aborted: had started, effect unknown";
    let seen = lines(&mut turn).await;
    assert!(seen.contains(&format!("end c2 failed {unknown}")), "{seen:?}");
    assert_eq!(turn.await.unwrap().model_calls, 2);
    let said = [
        "user go",
        "call c1 quick 1",
        "output c1 it is done",
        "call c2 hang 2",
        &format!("output c2 {unknown}"),
        "assistant well",
    ];
    assert_eq!(conversation(&session.history()), said);
    model.assert_complete();
}
