//! Turns whose calls do not stand at the end of the conversation when they go on: it was compacted, others
//! stand among them or behind them, or the line of one is lost.

use std::collections::BTreeSet;

use longhaul::approval::{ApprovalDecision, Approvals, CallInQuestion, Ruling};
use longhaul_testkit::model::{Answer, Recorded};

use super::*;
use crate::policy::Host;
use crate::support::{conversation, items, until};

pub(super) const UNKNOWN: &str = "aborted: had started, effect unknown";
const NOT_STARTED: &str = "aborted: not started";

impl Live {
    pub(super) fn left(folder: Folder, session: &Session) -> Self {
        let (id, log) = (session.id().to_owned(), session.log_path().unwrap().to_owned());
        let lines = std::fs::read_to_string(&log).unwrap().lines().map(str::to_owned).collect();
        let (requests, next) = (Vec::new(), Bytes::new());
        let result = Err(TurnError::Closed);
        Self { folder, id, log, lines, requests, result, next }
    }

    pub(super) fn position(&self, what: &str) -> usize {
        self.lines.iter().position(|line| line.contains(what)).unwrap()
    }
}

async fn resumed(live: &Live, agent: AgentBuilder) -> Session {
    let opening = agent.build().unwrap().session();
    opening.resume(LogRef::Id(live.id.clone()), OnDamage::Salvage).start().await.unwrap()
}

fn stored(agent: AgentBuilder, folder: &Folder) -> AgentBuilder {
    agent.store(FileStore::new(&folder.0).fsync(Fsync::Off))
}

/// The outputs that the conversation has, by their calls.
pub(super) fn outputs(session: &Session) -> Vec<(String, String)> {
    let said = conversation(&session.history());
    let output = |it: &String| {
        let (call_id, text) = it.strip_prefix("output ")?.split_once(' ')?;
        Some((call_id.to_owned(), text.to_owned()))
    };
    said.iter().filter_map(output).collect()
}

/// Calls a tool, is compacted, calls another, and answers.
fn compacted(request: &Recorded) -> Answer {
    let said = items(&request.input());
    let new = ResponseBuilder::new();
    let answer = match said.last().map(String::as_str) {
        _ if request.body["tool_choice"] == "none" => new.text("SUMMARY").usage(30, 3),
        Some(last) if last.starts_with("output c1") => new.text("{}").usage(40, 4),
        Some(last) if last.starts_with("output c0") => new.text("not compacted"),
        _ if said.iter().any(|it| it.contains("SUMMARY")) => {
            new.call("c1", "look", "1").usage(20, 2)
        }
        _ => new.text("looking").call("c0", "look", "0").usage(95_000, 1),
    };
    answer.into()
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_was_compacted_in_its_middle_asks_the_model_again_wherever_its_log_ends() {
    let agent = |folder: &Folder| {
        let model = ScriptedModel::new().respond_with(compacted).repeat_last();
        let agent = scripted(&model).context(CodingContext::new(None)).cwd("/work");
        (stored(agent, folder).tool(Probe::echo("look")), model)
    };
    let folder = Folder::new();
    let (live, model) = agent(&folder);
    let session = live.build().unwrap().session().start().await.unwrap();
    let input = Input::from("go").id("turn").output_schema(schema("first"));
    let result = session.prompt(input).await.unwrap().await.unwrap();
    let next = session.preview_request("next").await.unwrap();
    session.shutdown().await.unwrap();
    let live = Live::left(folder, &session);
    let sent = |model: &ScriptedModel| {
        model.requests().iter().map(|it| it.bytes.clone()).collect::<Vec<_>>()
    };
    let requests = sent(&model);
    assert_eq!((result.model_calls, requests.len()), (3, 4));
    let measured = live.position(r#""measured":{"tokens":95001"#) + 1;
    let compacted = live.position(r#""type":"compacted""#) + 1;
    assert!(measured < compacted);
    let mut behind = 0;
    for records in live.open() {
        let place = format!("{records} {}", live.lines[records - 1]);
        let folder = live.cut(records);
        let (agent, model) = agent(&folder);
        let session = resumed(&live, agent).await;
        let went_on = session.continue_turn().unwrap().await.unwrap();
        if live.is_torn(records) {
            let torn = live.lines[records - 1].contains("function_call");
            let last = items(&model.requests()[0].input()).pop().unwrap();
            assert_eq!(torn, last.ends_with(NOT_STARTED), "{place}");
        } else if records >= measured {
            assert!(requests.ends_with(&sent(&model)), "{place}");
            if records >= compacted {
                // Before, a compaction may be paid for twice.
                assert_eq!(sums(&went_on), sums(&result), "{place}");
            }
            assert_eq!(session.preview_request("next").await.unwrap(), next, "{place}");
            behind += 1;
        }
        assert_eq!(session.resumed().unwrap().unknown_calls, [""; 0], "{place}");
        session.shutdown().await.unwrap();
    }
    assert!(behind > 5, "{behind}");
}

fn function_call(call_id: &str, arguments: &str) -> Value {
    let mut call = json!({"type": "function_call", "name": "change", "arguments": arguments});
    if !call_id.is_empty() {
        call["call_id"] = call_id.into();
    }
    call
}

/// A host that puts `10` in the place of `1`, and lets somebody else say of the rest.
fn rule(call: &CallInQuestion) -> Ruling {
    match &*call.call.arguments {
        "1" => Ruling::Allow { arguments: Some("10".into()) },
        _ => Ruling::Ask { arguments: None },
    }
}

/// The model makes these calls, and then is done.
fn changing(calls: &[Value], folder: &Folder) -> (AgentBuilder, ScriptedModel) {
    let calls = calls.to_vec();
    let respond = move |request: &Recorded| match &*items(&request.input()).pop().unwrap() {
        "user go" => {
            calls.iter().cloned().fold(ResponseBuilder::new(), ResponseBuilder::item).into()
        }
        _ => Answer::from(ResponseBuilder::new().text("done")),
    };
    let model = ScriptedModel::new().respond_with(respond).repeat_last();
    let agent = scripted(&model).tool(Probe::echo("change").write()).policy(Host(rule));
    (stored(agent.approvals(Approvals::answered()), folder), model)
}

/// A turn that is cut off when `a` is answered and `b` waits for an answer.
async fn waiting(calls: &[Value], is_pinned: bool) -> Live {
    let folder = Folder::new();
    let (agent, _) = changing(calls, &folder);
    let session = agent.build().unwrap().session().start().await.unwrap();
    let mut turn = session.prompt(Input::from("go").id("turn")).await.unwrap();
    let mut missing = BTreeSet::from(["ask b", "end a"]);
    while !missing.is_empty() {
        let seen = until(&mut turn, |line| missing.iter().any(|it| line.starts_with(it))).await;
        missing.retain(|it| !seen.iter().any(|line| line.starts_with(it)));
    }
    let history = session.history();
    for item in history.iter().filter(|it| is_pinned && it.call_id() == Some("a")) {
        session.pin(item).await.unwrap();
    }
    let live = Live::left(folder, &session);
    // Whoever is killed lets nothing go.
    std::mem::forget((session, turn));
    live
}

/// Goes on, says yes to all that asks, and gives who asked.
async fn answer_all(session: &Session) -> Vec<String> {
    let mut turn = session.continue_turn().unwrap();
    let mut asked = Vec::new();
    while let Some(event) = turn.next().await {
        if let Event::ApprovalRequest { call_id, .. } = event {
            session.answer(&call_id, None, ApprovalDecision::Approved).await.unwrap();
            asked.push(call_id);
        }
    }
    turn.await.unwrap();
    asked
}

fn told(outputs: &[(&str, &str)]) -> Vec<(String, String)> {
    outputs.iter().map(|(id, text)| ((*id).to_owned(), (*text).to_owned())).collect()
}

#[tokio::test]
async fn a_call_that_cannot_be_answered_moves_no_other() {
    let [a, b, broken] = [("a", "1"), ("b", "2"), ("", "3")].map(|(id, it)| function_call(id, it));
    for calls in [[&broken, &a, &b], [&a, &broken, &b], [&a, &b, &broken]] {
        let calls = calls.map(Value::clone);
        let live = waiting(&calls, false).await;
        for records in live.position(r#""state":"response""#) + 1..=live.lines.len() {
            let place = format!("{records} {calls:?}");
            let folder = live.cut(records);
            let session = resumed(&live, changing(&calls, &folder).0).await;
            let has_started = live.count(records, r#""state":"started""#) > 0;
            let is_unknown = has_started && live.count(records, "function_call_output") == 0;
            let unknown = &session.resumed().unwrap().unknown_calls;
            assert_eq!(unknown.as_slice(), if is_unknown { &["a"][..] } else { &[] }, "{place}");
            assert_eq!(answer_all(&session).await, ["b"], "{place}");
            let first = if is_unknown { UNKNOWN } else { "10" };
            assert_eq!(outputs(&session), told(&[("a", first), ("b", "2")]), "{place}");
            session.shutdown().await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_call_whose_line_is_lost_ends_its_response() {
    let calls = [function_call("a", "1"), function_call("b", "2")];
    let live = waiting(&calls, false).await;
    let started = live.position(r#""state":"started""#) + 1;
    for records in [started, live.lines.len()] {
        for (lost, expected) in [
            (r#""arguments":"1""#, told(&[("b", UNKNOWN)])),
            (r#""arguments":"2""#, told(&[("a", if records == started { UNKNOWN } else { "10" })])),
        ] {
            let place = format!("{records} {lost}");
            let folder = live.cut(records);
            let log = live.log_in(&folder);
            let text =
                std::fs::read_to_string(&log).unwrap().replacen(lost, &lost.to_uppercase(), 1);
            std::fs::write(&log, text).unwrap();
            let (agent, model) = changing(&calls, &folder);
            let session = resumed(&live, agent).await;
            assert_eq!(session.resumed().unwrap().damage.len(), 1, "{place}");
            let unknown: Vec<_> =
                expected.iter().filter(|(_, it)| it == UNKNOWN).map(|(id, _)| id.clone()).collect();
            assert_eq!(session.resumed().unwrap().unknown_calls, unknown, "{place}");
            assert_eq!(answer_all(&session).await, [""; 0], "{place}");
            assert_eq!(outputs(&session), expected, "{place}");
            assert_eq!(model.requests().len(), 1, "the model goes on: {place}");
            session.shutdown().await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_pinned_copy_of_a_call_is_no_call() {
    let calls = [function_call("a", "1"), function_call("b", "2")];
    let live = waiting(&calls, true).await;
    let folder = live.cut(live.lines.len());
    let session = resumed(&live, changing(&calls, &folder).0).await;
    assert_eq!(session.resumed().unwrap().unknown_calls, [""; 0]);
    assert_eq!(answer_all(&session).await, ["b"]);
    assert_eq!(outputs(&session)[..2], told(&[("a", "10"), ("b", "2")]));
    session.shutdown().await.unwrap();
}
