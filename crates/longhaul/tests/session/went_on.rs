//! A turn that goes on after a crash goes on as it would have without one: under its own settings, with
//! its schema, and with what it had spent already.

mod changed;
mod lost;
mod no_input;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use longhaul::coding::CodingContext;
use longhaul::history::usage::TokenUsage;
use longhaul::prelude::*;
use longhaul::rollout::{FileStore, Fsync, LogRef, OnDamage};
use longhaul::state::budget::{Budget, Price, PriceTable};
use longhaul::tool::ToolOutput;
use longhaul::transport::{ErrorCode, ModelError};
use longhaul::{AgentBuilder, TurnHandle};
use longhaul_state::protocol::{SettingsUpdate, TurnError, TurnResult};
use longhaul_testkit::ScriptedModel;
use longhaul_testkit::sse::{ResponseBuilder, Usage};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::support::{Folder, Probe, scripted};

/// The requests of the live turn: the second is tried twice.
const STEPS: usize = 4;

fn usage(input_tokens: u64) -> Usage {
    Usage { input_tokens, cached_tokens: 40, output_tokens: 20, reasoning_tokens: 15 }
}

/// An attempt that fails after it has used something.
fn failed() -> ModelError {
    let usage = TokenUsage { input: 70, output: 7, total: 77, ..TokenUsage::default() };
    ModelError::new(ErrorCode::ServerError, "down").with_usage(Some(usage))
}

/// The answers from a step on; the second fails first if it `fails`.
fn script(from: usize, fails: bool) -> ScriptedModel {
    let mut model = ScriptedModel::new();
    for step in from..STEPS {
        if step == 1 && fails {
            model = model.fail(failed());
        }
        let answer = ResponseBuilder::new().usage_full(usage(100 + step as u64));
        model = model.respond(match step {
            0 => answer.text("looking").call("c0", "look", "{}"),
            3 => answer.text("{}"),
            step => answer.call(&format!("c{step}"), "look", "{}"),
        });
    }
    model
}

/// The tool's first call and its third wait at the gate.
fn agent(model: &ScriptedModel, folder: &Folder, gate: &Arc<Semaphore>) -> AgentBuilder {
    let store = FileStore::new(&folder.0).fsync(Fsync::Off);
    let prices = PriceTable::default().with("test-", Price::per_million(1.0, 0.1, 10.0));
    let agent = scripted(model).context(CodingContext::new(None)).cwd("/work").prices(prices);
    let gate = Arc::clone(gate);
    let look = Probe::new("look", move |call, context| {
        let gate = Arc::clone(&gate);
        async move {
            if ["c0", "c2"].contains(&context.call_id()) {
                gate.acquire().await.unwrap().forget();
            }
            ToolOutput::text(call.arguments)
        }
    });
    agent.store(store).tool(look)
}

fn change(cwd: &str, effort: &str) -> SettingsUpdate {
    let mut change = SettingsUpdate::default();
    (change.cwd, change.effort) = (Some(cwd.into()), Some(Some(effort.into())));
    change
}

fn schema(name: &str) -> Value {
    json!({"type": "object", "title": name})
}

/// A turn that was live until its end.
struct Live {
    folder: Folder,
    id: String,
    log: PathBuf,
    lines: Vec<String>,
    /// The request of each step.
    requests: Vec<Bytes>,
    result: Result<TurnResult, TurnError>,
    /// The request of the next turn.
    next: Bytes,
}

/// Reads a turn to its end. In the middle of its first tool the settings of later turns change; with its
/// third an input comes that brings another schema, if it `comes`.
async fn read(
    session: &Session,
    mut turn: TurnHandle,
    gate: &Semaphore,
    comes: bool,
) -> Result<TurnResult, TurnError> {
    while let Some(event) = turn.next().await {
        match &event {
            Event::ToolCallBegin { call_id, .. } if call_id == "c0" => {
                session.configure(change("/later", "high")).await.unwrap();
                gate.add_permits(1);
            }
            Event::ToolCallBegin { call_id, .. } if call_id == "c2" => {
                if comes {
                    let also = Input::from("besides").id("besides").output_schema(schema("second"));
                    session.steer(also).await.unwrap();
                }
                gate.add_permits(1);
            }
            _ => {}
        }
    }
    turn.await
}

async fn live(comes: bool, bound: impl Fn(AgentBuilder) -> AgentBuilder) -> Live {
    let (folder, model) = (Folder::new(), script(0, true));
    let gate = Arc::new(Semaphore::new(0));
    let agent = bound(agent(&model, &folder, &gate)).build().unwrap();
    let session = agent.session().start().await.unwrap();
    let input = Input::from("go").id("turn").output_schema(schema("first"));
    let turn = session.prompt(input.settings(change("/first", "low"))).await.unwrap();
    let result = read(&session, turn, &gate, comes).await;
    Live::of(folder, &model, &session, result).await
}

impl Live {
    /// What became of a turn whose session ends with it.
    async fn of(
        folder: Folder,
        model: &ScriptedModel,
        session: &Session,
        result: Result<TurnResult, TurnError>,
    ) -> Self {
        let next = session.preview_request("next").await.unwrap();
        let (id, log) = (session.id().to_owned(), session.log_path().unwrap().to_owned());
        session.shutdown().await.unwrap();
        let mut requests: Vec<Bytes> = model.requests().iter().map(|it| it.bytes.clone()).collect();
        requests.dedup();
        let lines = std::fs::read_to_string(&log).unwrap().lines().map(str::to_owned).collect();
        Self { folder, id, log, lines, requests, result, next }
    }

    /// Where its log is in a copy of its home.
    fn log_in(&self, folder: &Folder) -> PathBuf {
        folder.0.join(self.log.strip_prefix(&self.folder.0).unwrap())
    }

    /// A copy of its home in which the log has only so many records.
    fn cut(&self, records: usize) -> Folder {
        let folder = Folder::new();
        let path = self.log_in(&folder);
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).unwrap();
        std::fs::write(path, self.lines[..records].join("\n") + "\n").unwrap();
        folder
    }

    /// The numbers of records after which the turn is open.
    fn open(&self) -> std::ops::Range<usize> {
        let find = |what: &str| self.lines.iter().position(|line| line.contains(what)).unwrap();
        let begins = self.lines.iter().position(|it| it.contains(r#""type":"turn_context""#));
        let taken =
            self.lines.iter().skip(begins.unwrap()).position(|it| it.contains(r#""input":"msg_"#));
        begins.unwrap() + taken.unwrap() + 1..find(r#""type":"task_complete""#) + 1
    }

    fn count(&self, records: usize, what: &str) -> usize {
        self.lines[..records].iter().filter(|line| line.contains(what)).count()
    }

    /// A response is there in part: nobody was ever told of it.
    fn is_torn(&self, records: usize) -> bool {
        let line = &self.lines[records - 1];
        line.contains(r#""role":"assistant""#) || line.contains(r#""type":"function_call""#)
    }
}

/// What became of a turn that went on.
struct WentOn {
    folder: Folder,
    model: ScriptedModel,
    session: Session,
    result: Result<TurnResult, TurnError>,
    step: usize,
}

/// Opens what the log has in its first records, and goes on with the turn.
async fn go_on(
    live: &Live,
    records: usize,
    changes: SettingsUpdate,
    bound: impl Fn(AgentBuilder) -> AgentBuilder,
) -> WentOn {
    let step = live.count(records, r#""state":"response""#);
    let folder = live.cut(records);
    let model = script(step, live.count(records, r#""state":"spent""#) == 0);
    let gate = Arc::new(Semaphore::new(0));
    let agent = bound(agent(&model, &folder, &gate)).build().unwrap();
    let opening = agent.session().resume(LogRef::Id(live.id.clone()), OnDamage::Refuse);
    let session = opening.settings(changes).start().await.unwrap();
    assert_eq!(session.resumed().unwrap().open_turn.as_deref(), Some("turn"), "{records}");
    let comes = live.count(records, "besides") == 0 && live.count(live.lines.len(), "besides") > 0;
    let turn = session.continue_turn().unwrap();
    let result = read(&session, turn, &gate, comes).await;
    WentOn { folder, model, session, result, step }
}

/// In millionths of a millionth.
#[expect(clippy::cast_possible_truncation, reason = "a turn costs less than a million")]
fn sums(result: &TurnResult) -> (TokenUsage, u32, u32, i64, Option<String>) {
    let cost = (result.cost * 1e12).round() as i64;
    (result.usage, result.model_calls, result.attempts, cost, result.last_message.clone())
}

#[tokio::test(start_paused = true)]
async fn cut_at_every_record_it_sends_what_it_would_have_sent_and_its_sums_are_those_of_all() {
    let live = live(true, |agent| agent).await;
    let expected = live.result.as_ref().unwrap();
    assert_eq!((expected.model_calls, expected.attempts, live.requests.len()), (4, 5, STEPS));
    sweep(&live, live.open()).await;
}

/// Cuts the log behind so many records, and compares how the turn goes on with how it went.
async fn sweep(live: &Live, cuts: std::ops::Range<usize>) {
    let expected = live.result.as_ref().unwrap();
    let mut compared = [0; STEPS];
    for records in cuts {
        let place = format!("{records} {}", live.lines[records - 1]);
        let went_on = go_on(live, records, SettingsUpdate::default(), |agent| agent).await;
        let WentOn { model, session, result, step, .. } = went_on;
        assert_eq!(sums(&result.unwrap()), sums(expected), "{place}");
        assert_eq!(session.settings().cwd, Some("/later".into()), "{place}");
        if !live.is_torn(records) {
            if let Some(request) = live.requests.get(step) {
                assert_eq!(model.requests()[0].bytes, request, "{place}");
                compared[step] += 1;
            }
            assert_eq!(session.preview_request("next").await.unwrap(), live.next, "{place}");
        }
        assert_eq!(model.problems(), [""; 0], "{place}");
        session.shutdown().await.unwrap();
    }
    assert!(compared.iter().all(|count| *count > 0), "{compared:?}");
}

#[tokio::test(start_paused = true)]
async fn its_bounds_hold_over_all_of_it() {
    let mut requests = Budget::requests(4);
    requests.cost = Some(1.0);
    let bounds: [(&str, &dyn Fn(AgentBuilder) -> AgentBuilder); 3] = [
        ("too_many_model_calls", &|agent: AgentBuilder| agent.max_model_calls(3)),
        ("budget_exceeded", &|agent: AgentBuilder| agent.turn_budget(Budget::tokens(400))),
        ("budget_exceeded", &move |agent: AgentBuilder| agent.turn_budget(requests)),
    ];
    for (code, bound) in bounds {
        let live = live(false, bound).await;
        let error = live.result.as_ref().unwrap_err();
        assert_eq!((error.code(), live.requests.len()), (code, 3));
        for records in live.open() {
            let went_on = go_on(&live, records, SettingsUpdate::default(), bound).await;
            let place = format!("{records} {}", live.lines[records - 1]);
            let told = went_on.result.unwrap_err().to_string();
            assert_eq!(told, error.to_string(), "{place}");
            went_on.session.shutdown().await.unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_wanted_when_it_is_opened_holds_for_it_too() {
    let live = live(true, |agent| agent).await;
    let begun = live.open().start;
    let mut change = SettingsUpdate::default();
    change.effort = Some(Some("medium".into()));
    let went_on = go_on(&live, begun, change, |agent| agent).await;
    let sent: Value = serde_json::from_slice(&went_on.model.requests()[0].bytes).unwrap();
    let mut expected: Value = serde_json::from_slice(&live.requests[0]).unwrap();
    assert_eq!(expected["reasoning"]["effort"], "low");
    expected["reasoning"]["effort"] = "medium".into();
    assert_eq!(sent, expected);
}

#[tokio::test(start_paused = true)]
async fn what_was_wanted_when_it_was_opened_holds_after_the_next_crash_too() {
    let first = live(true, |agent| agent).await;
    let mut change = change("/moved", "medium");
    change.model = Some("test-other".into());
    let begun = first.open().start;
    let WentOn { folder, model, session, result, .. } =
        go_on(&first, begun, change, |agent| agent).await;
    let second = Live::of(folder, &model, &session, result).await;
    for request in &second.requests {
        let sent: Value = serde_json::from_slice(request).unwrap();
        assert_eq!(
            (&sent["model"], &sent["reasoning"]["effort"]),
            (&"test-other".into(), &"medium".into())
        );
    }
    let wanted = second.lines.iter().position(|it| it.contains(r#""state":"settings""#)).unwrap();
    assert!((begun..second.open().end).contains(&wanted), "once, as it was opened: {wanted}");
    assert_eq!(second.count(second.lines.len(), r#""state":"settings""#), 1);
    sweep(&second, wanted + 1..second.open().end).await;
}
