//! A transcript beside the conversation that it shows.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use longhaul::approval::{ApprovalDecision, Approvals};
use longhaul::events::SessionEvents;
use longhaul::prelude::*;
use longhaul::task::{Regular, SessionTask, TaskScope};
use longhaul::tool::ToolOutput;
use longhaul::transcript::{Activity, CellKind, ToolState, Transcript};
use longhaul_testkit::ScriptedModel;
use longhaul_testkit::server::Gate;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::support::{Probe, line, scripted};

/// Everything that the session has told.
async fn read(session: &Session, mut events: SessionEvents) -> Transcript {
    session.shutdown().await.unwrap();
    let mut transcript = Transcript::new();
    while let Some(event) = events.next().await {
        transcript.apply(&event);
    }
    transcript
}

fn said(transcript: &Transcript) -> Vec<String> {
    let cells = transcript.cells().iter();
    cells
        .filter_map(|cell| match &cell.kind {
            CellKind::User { text, .. } => Some(text.clone()),
            _ => None,
        })
        .collect()
}

#[tokio::test]
async fn its_messages_of_the_user_are_those_of_the_conversation() {
    let gate = Gate::new("second");
    let model = ScriptedModel::new()
        .call("c1", "look", "{}")
        .text("one")
        .hold(&gate)
        .text("never read")
        .text("three");
    let agent = scripted(&model).tool(Probe::echo("look")).build().unwrap();
    let session = agent.session().start().await.unwrap();
    let events = session.subscribe(1);
    session.prompt("a").await.unwrap().await.unwrap();
    let interrupted = session.prompt("b").await.unwrap();
    gate.reached().await;
    let steered = session.steer("s").await.unwrap();
    let withdrawn = session.prompt(Input::from("w").id("w")).await.unwrap();
    session.withdraw("w").await.unwrap();
    session.interrupt();
    interrupted.await.unwrap();
    withdrawn.await.unwrap();
    session.prompt("c").await.unwrap().await.unwrap();
    steered.await.unwrap();
    let history = session.history();
    let transcript = read(&session, events).await;
    assert_eq!(said(&transcript), ["a", "b", "s", "c"]);
    assert_eq!(transcript.positions(&history), [Some(0), Some(1), Some(2), Some(3)]);
    assert_eq!(transcript.activity(), Activity::Idle);
    for (n, text) in ["a", "b", "s", "c"].into_iter().enumerate() {
        let selection = transcript.select(n, &history).unwrap();
        assert_eq!((&*selection.text, selection.before), (text, Some(n)));
        let fork = agent.session().fork(&session, n).unwrap().start().await.unwrap();
        let mut left = transcript.clone();
        assert!(left.trim(n));
        assert_eq!(said(&left), said(&Transcript::of_history(&fork.history())), "before {text}");
    }
}

#[tokio::test]
async fn after_a_compaction_it_knows_which_messages_can_be_gone_back_to() {
    let model = ScriptedModel::new().text("one").text("two").text("SUMMARY").text("three");
    let session = scripted(&model).build().unwrap().session().start().await.unwrap();
    let events = session.subscribe(1);
    for prompt in ["a", "b"] {
        session.prompt(prompt).await.unwrap().await.unwrap();
    }
    session.compact().unwrap().await.unwrap();
    session.prompt("c").await.unwrap().await.unwrap();
    let history = session.history();
    let transcript = read(&session, events).await;
    assert_eq!(said(&transcript), ["a", "b", "c"], "what was said is shown for ever");
    let positions = transcript.positions(&history);
    assert_eq!(positions.last(), Some(&Some(history.user_message_count() - 1)));
    assert_eq!(positions.iter().flatten().count(), history.user_message_count());
    assert_eq!(transcript.select(0, &history).unwrap().before, None);
}

/// Somebody who reads the events of a session, and answers what its transcript asks.
struct Reader {
    session: Session,
    events: SessionEvents,
    transcript: Transcript,
    seen: Vec<String>,
}

impl Reader {
    fn of(session: &Session) -> Self {
        let (events, transcript) = (session.subscribe(1), Transcript::new());
        Self { session: session.clone(), events, transcript, seen: Vec::new() }
    }

    /// Reads on until this is told, and gives what becomes of the calls by then.
    async fn until(&mut self, told: &str) -> Vec<&'static str> {
        loop {
            // Virtual time: nothing else happens.
            let next = timeout(Duration::from_secs(1), self.events.next()).await;
            let Ok(Some(event)) = next else { panic!("{told} never came: {:?}", self.seen) };
            self.transcript.apply(&event);
            self.seen.push(line(&event.event));
            if self.seen.last().is_some_and(|line| line == told) {
                return states(&self.transcript);
            }
        }
    }

    /// Approves the call that the transcript asks about.
    async fn approve(&self) {
        let Activity::Approval { cell } = self.transcript.activity() else {
            panic!("nothing asks")
        };
        let kind = &self.transcript.cells()[cell].kind;
        let CellKind::Tool { call_id, state: ToolState::Waiting { digest }, .. } = kind else {
            panic!("{kind:?}");
        };
        self.session.answer(call_id, Some(*digest), ApprovalDecision::Approved).await.unwrap();
    }
}

fn states(transcript: &Transcript) -> Vec<&'static str> {
    let states = transcript.cells().iter().filter_map(|cell| match &cell.kind {
        CellKind::Tool { state, .. } => Some(state),
        _ => None,
    });
    let name = |state: &ToolState| match state {
        ToolState::Waiting { .. } => "waits",
        ToolState::Answered { approved: true } => "may run",
        ToolState::Running { .. } => "runs",
        ToolState::Ended { success: true, .. } => "ok",
        _ => "other",
    };
    states.map(name).collect()
}

/// Three calls of one id that ask and run one after the other; the first until it is told to go on.
async fn three_calls(go_on: &Arc<Notify>) -> Session {
    let calls = ["1", "2", "3"].map(|arguments| ("c", "risky", arguments));
    let model = ScriptedModel::new().calls(calls).text("done");
    let go_on = Arc::clone(go_on);
    let risky = Probe::new("risky", move |call, _| {
        let go_on = Arc::clone(&go_on);
        async move {
            if call.arguments == "1" {
                go_on.notified().await;
            }
            ToolOutput::text(call.arguments)
        }
    });
    let agent = scripted(&model).tool(risky.write().asks()).approvals(Approvals::answered());
    agent.build().unwrap().session().start().await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn while_a_call_runs_those_behind_it_are_answered_one_after_the_other() {
    let go_on = Arc::new(Notify::new());
    let session = three_calls(&go_on).await;
    // Somebody who answers, and somebody who only looks.
    let (mut reader, mut other) = (Reader::of(&session), Reader::of(&session));
    let turn = session.prompt("go").await.unwrap();
    assert_eq!(reader.until("ask c risky 3").await, ["waits", "waits", "waits"]);
    reader.approve().await;
    assert_eq!(reader.until("answered c yes").await, ["may run", "waits", "waits"]);
    assert_eq!(reader.until("begin c risky 1").await, ["runs", "waits", "waits"]);
    reader.approve().await;
    assert_eq!(reader.until("answered c yes").await, ["runs", "may run", "waits"]);
    reader.approve().await;
    assert_eq!(reader.until("answered c yes").await, ["runs", "may run", "may run"]);
    assert_eq!(reader.transcript.activity(), Activity::Tools);
    go_on.notify_one();
    turn.await.unwrap();
    session.shutdown().await.unwrap();
    assert_eq!(reader.until("ended").await, ["ok", "ok", "ok"]);
    let first = reader.seen.iter().position(|line| line.starts_with("ask")).unwrap();
    let [asked, told] = [&reader.seen[first..first + 3], &reader.seen[first + 3..first + 12]];
    assert_eq!(asked, ["ask c risky 1", "ask c risky 2", "ask c risky 3"]);
    assert_eq!(
        told,
        [
            "answered c yes",
            "begin c risky 1",
            "answered c yes",
            "answered c yes",
            "end c ok 1",
            "begin c risky 2",
            "end c ok 2",
            "begin c risky 3",
            "end c ok 3",
        ]
    );
    other.until("ended").await;
    assert_eq!((other.seen, other.transcript), (reader.seen, reader.transcript));
}

/// A turn whose tools are held from the first word on to the second.
struct Held(Arc<Notify>, Arc<Notify>);

#[async_trait]
impl SessionTask for Held {
    async fn run(&self, scope: &TaskScope) -> Result<TurnResult, TurnError> {
        let holding = async {
            self.0.notified().await;
            let hold = scope.hold_tools();
            self.1.notified().await;
            drop(hold);
            std::future::pending::<()>().await;
        };
        tokio::select! {
            biased;
            () = holding => Err(TurnError::Closed),
            result = Regular.run(scope) => result,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_told_at_once_also_while_tools_are_held() {
    let (hold, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let go_on = Arc::new(Notify::new());
    let session = three_calls(&go_on).await;
    let mut reader = Reader::of(&session);
    let task = Held(Arc::clone(&hold), Arc::clone(&release));
    let turn = session.prompt(Input::from("go").task(task)).await.unwrap();
    reader.until("ask c risky 3").await;
    reader.approve().await;
    reader.until("begin c risky 1").await;
    hold.notify_one();
    go_on.notify_one();
    reader.until("end c ok 1").await;
    reader.approve().await;
    assert_eq!(reader.until("answered c yes").await, ["ok", "may run", "waits"]);
    // Virtual time: nothing else happens.
    assert!(timeout(Duration::from_secs(1), reader.events.next()).await.is_err());
    release.notify_one();
    assert_eq!(reader.until("begin c risky 2").await, ["ok", "runs", "waits"]);
    reader.approve().await;
    turn.await.unwrap();
    session.shutdown().await.unwrap();
}
