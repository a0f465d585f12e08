//! Turns of which lines are lost: nothing runs twice, and nothing that a sound log would not have run.

use std::collections::BTreeSet;
use std::sync::Mutex;

use longhaul::approval::{ApprovalDecision, Approvals, CallInQuestion, Ruling};
use longhaul::history::Item;
use longhaul::rollout::{Record, RecordKind, Store};
use serde_json::value::RawValue;

use super::changed::{UNKNOWN, outputs};
use super::*;
use crate::policy::Host;
use crate::support::{copy_folder, until};

/// The calls of the response, by what becomes of each: it ends; it runs, with other arguments, and may run
/// again; somebody says no; nobody says anything; somebody says yes, and its turn does not come.
const CALLS: [(&str, &str); 5] =
    [("a", "write"), ("b", "read"), ("c", "write"), ("d", "write"), ("e", "write")];

/// What tools were given, each with the id of the call.
type Effects = Arc<Mutex<Vec<String>>>;

fn rule(call: &CallInQuestion) -> Ruling {
    match &*call.call.call_id {
        "a" | "e" => Ruling::Ask { arguments: None },
        "b" => Ruling::Allow { arguments: Some(r#"{"by":"host"}"#.into()) },
        _ => Ruling::Ask { arguments: Some(r#"{"by":"user"}"#.into()) },
    }
}

fn effects_of(folder: &Folder, is_live: bool) -> (AgentBuilder, Effects) {
    let model = ScriptedModel::new().calls(CALLS.map(|(id, tool)| (id, tool, "{}")));
    let model = if is_live { model } else { ScriptedModel::new() };
    let model = model.text("done").repeat_last();
    let effects = Effects::default();
    let tool = |name: &'static str| {
        let effects = Arc::clone(&effects);
        Probe::new(name, move |call, context| {
            let call_id = context.call_id().to_owned();
            effects.lock().unwrap().push(format!("{call_id} {}", call.arguments));
            async move {
                if is_live && call_id == "b" {
                    context.progress("runs");
                    std::future::pending::<()>().await;
                }
                ToolOutput::text("done")
            }
        })
    };
    let agent = scripted(&model).tool(tool("read")).tool(tool("write").write());
    let agent = agent.policy(Host(rule)).approvals(Approvals::answered());
    (agent.store(FileStore::new(&folder.0).fsync(Fsync::Off)), effects)
}

/// A turn that is cut off while `b` runs: `a` is done, `c` was denied, `d` waits, `e` was allowed.
async fn live() -> Live {
    let folder = Folder::new();
    let (agent, effects) = effects_of(&folder, true);
    let session = agent.build().unwrap().session().start().await.unwrap();
    let mut turn = session.prompt(Input::from("go").id("turn")).await.unwrap();
    let mut missing = BTreeSet::from(["ask a", "ask c", "ask d", "ask e"]);
    while !missing.is_empty() {
        let seen = until(&mut turn, |line| missing.iter().any(|it| line.starts_with(it))).await;
        missing.retain(|it| !seen.iter().any(|line| line.starts_with(it)));
    }
    let no = ApprovalDecision::Denied { reason: None };
    session.answer("c", None, no).await.unwrap();
    for call_id in ["e", "a"] {
        session.answer(call_id, None, ApprovalDecision::Approved).await.unwrap();
    }
    // That its start is in the log is what it waited for, and answers are noted in their order.
    until(&mut turn, |line| ["progress b", "end b"].iter().any(|it| line.starts_with(it))).await;
    assert_eq!(*effects.lock().unwrap(), ["a {}", r#"b {"by":"host"}"#]);
    let live = Live::left(folder, &session);
    for (state, position) in [("denied", 2), ("allowed", 4), ("allowed", 0), ("started", 1)] {
        live.position(&format!(r#""state":"{state}","position":{position}"#));
    }
    // Whoever is killed lets nothing go.
    std::mem::forget((session, turn));
    live
}

/// What becomes of the log.
#[derive(Debug, Clone, Copy)]
enum Loss {
    /// A line is there, and is another than it was.
    Damaged,
    /// It is there no more.
    Gone,
}

/// The home with so many records, of which some are lost.
fn lossy(
    live: &Live,
    records: usize,
    without: impl IntoIterator<Item = usize>,
    loss: Loss,
) -> Folder {
    let folder = live.cut(records);
    let without: BTreeSet<_> = without.into_iter().collect();
    let mut text = String::new();
    for (index, line) in live.lines[..records].iter().enumerate() {
        match loss {
            _ if !without.contains(&index) => text.extend([line, "\n"]),
            // What its head says is still there, and its payload is not what was summed.
            Loss::Damaged => text.extend([&line.replace(r#","crc":""#, r#" ,"crc":""#), "\n"]),
            Loss::Gone => {}
        }
    }
    std::fs::write(live.log_in(&folder), text).unwrap();
    folder
}

/// What became of a turn.
struct Outcome {
    /// There was one to go on with.
    goes_on: bool,
    /// What ran.
    ran: Vec<String>,
    /// What the conversation has for outputs.
    outputs: Vec<(String, String)>,
}

/// Goes on with the turn, if there is one, and says no to all that asks.
async fn go_on_without(live: &Live, folder: &Folder, on_damage: OnDamage) -> Outcome {
    let (agent, effects) = effects_of(folder, false);
    let opening = agent.build().unwrap().session();
    let session = opening.resume(LogRef::Id(live.id.clone()), on_damage).start().await.unwrap();
    let goes_on = session.resumed().unwrap().open_turn.is_some();
    if goes_on {
        let mut turn = session.continue_turn().unwrap();
        while let Some(event) = turn.next().await {
            if let Event::ApprovalRequest { call_id, .. } = event {
                let no = ApprovalDecision::Denied { reason: None };
                session.answer(&call_id, None, no).await.unwrap();
            }
        }
        turn.await.unwrap();
    }
    session.shutdown().await.unwrap();
    let ran = effects.lock().unwrap().clone();
    Outcome { goes_on, ran, outputs: outputs(&session) }
}

/// The calls that had started, by so many records.
fn started(live: &Live, records: usize) -> Vec<&'static str> {
    let of =
        |position| live.count(records, &format!(r#""state":"started","position":{position}}}"#));
    CALLS.iter().enumerate().filter(|(at, _)| of(*at) > 0).map(|(_, (id, _))| *id).collect()
}

#[tokio::test]
async fn whichever_lines_of_it_are_lost_nothing_runs_twice_and_nothing_without_leave() {
    let live = live().await;
    let begins = live.position(r#""type":"turn_context""#);
    let responded = live.position(r#""state":"response""#);
    let mut unknown = 0;
    for records in responded + 1..=live.lines.len() {
        let sound = live.cut(records);
        let Outcome { ran: would_run, .. } = go_on_without(&live, &sound, OnDamage::Refuse).await;
        for first in begins..records {
            for (count, loss) in
                [(1, Loss::Damaged), (2, Loss::Damaged), (1, Loss::Gone), (2, Loss::Gone)]
            {
                // Nobody sees that a log could go on behind its end.
                let is_end = first + count >= records;
                // Of the whole log whatever is lost, of a shorter one each line.
                let is_whole =
                    records == live.lines.len() || matches!((count, loss), (1, Loss::Damaged));
                if !is_whole || first + count > records || is_end && matches!(loss, Loss::Gone) {
                    continue;
                }
                let place = format!("{records} {first} {count} {loss:?}");
                let folder = lossy(&live, records, first..first + count, loss);
                let Outcome { ran, outputs, goes_on } =
                    go_on_without(&live, &folder, OnDamage::Salvage).await;
                let is_left = |index: &usize| !(first..first + count).contains(index);
                let mut left = (0..records).filter(is_left).map(|index| &live.lines[index]);
                let tells_of_calls = left.any(|line| line.contains(r#""type":"call""#));
                assert!(goes_on || !tells_of_calls, "{place}");
                assert!(ran.iter().all(|it| would_run.contains(it)), "{place}: {ran:?}");
                assert_eq!(ran, [""; 0], "{place}");
                for call_id in started(&live, records) {
                    let told = outputs.iter().filter(|(id, _)| id == call_id);
                    let told: Vec<&str> = told.map(|(_, text)| &**text).collect();
                    let is_true = matches!(told[..], [] | ["done" | UNKNOWN]);
                    assert!(is_true, "{place}: {outputs:?}");
                    unknown += usize::from(told == [UNKNOWN]);
                }
            }
        }
    }
    assert!(unknown > 20, "{unknown}");
}

/// Of the turn's beginning and of its response nothing is left: the calls that are there may have started,
/// also where something was pinned behind them.
#[tokio::test]
async fn a_call_whose_turn_and_response_are_lost_is_told_to_be_unknown() {
    let live = live().await;
    let lost = [r#""type":"turn_context""#, r#""state":"response""#].map(|it| live.position(it));
    let folder = lossy(&live, live.lines.len(), lost, Loss::Damaged);
    let mut log = std::fs::read(live.log_in(&folder)).unwrap();
    let pinned = RawValue::from_string(Item::user("keep").pinned().json().to_owned()).unwrap();
    let pinned = Record::new(jiff::Timestamp::now(), RecordKind::ResponseItem, pinned);
    pinned.seal(live.lines.len() as u64, 1, &mut log);
    std::fs::write(live.log_in(&folder), log).unwrap();
    let Outcome { ran, outputs, .. } = go_on_without(&live, &folder, OnDamage::Salvage).await;
    assert_eq!(ran, [""; 0]);
    assert!(outputs.contains(&("b".to_owned(), UNKNOWN.to_owned())), "{outputs:?}");
}

/// Once it goes on, it has settings and a log like any other: what waits is asked again, by whoever opens
/// it next, and nothing that had not started is told to be unknown.
#[tokio::test]
async fn a_turn_that_went_on_without_its_beginning_is_sound_from_then_on() {
    let live = live().await;
    let begins = live.position(r#""type":"turn_context""#);
    let folder = lossy(&live, live.lines.len(), [begins], Loss::Damaged);
    let model = ScriptedModel::new().calls([("z", "write", "{}")]).text("done");
    let opening = |folder: &Folder, on_damage| {
        let agent = scripted(&model).tool(Probe::echo("write").write().asks());
        let agent = agent.approvals(Approvals::answered());
        let agent = agent.store(FileStore::new(&folder.0).fsync(Fsync::Off)).build().unwrap();
        agent.session().resume(LogRef::Id(live.id.clone()), on_damage).start()
    };
    let first = opening(&folder, OnDamage::Salvage).await.unwrap();
    let mut turn = first.continue_turn().unwrap();
    until(&mut turn, |line| line.starts_with("ask z")).await;
    let copy = Folder::new();
    copy_folder(&folder.0, &copy.0);
    // Whoever is killed lets nothing go.
    std::mem::forget((first, turn));
    let session = opening(&copy, OnDamage::Refuse).await.unwrap();
    let resumed = session.resumed().unwrap();
    assert_eq!((resumed.open_turn.is_some(), &*resumed.unknown_calls), (true, &[][..]));
    let mut turn = session.continue_turn().unwrap();
    until(&mut turn, |line| line.starts_with("ask z")).await;
    session.answer("z", None, ApprovalDecision::Approved).await.unwrap();
    assert_eq!(turn.await.unwrap().last_message.as_deref(), Some("done"));
    session.shutdown().await.unwrap();
}

/// A process that dies as soon as it has salvaged a log leaves one that is sound.
#[tokio::test]
async fn what_was_lost_is_known_to_the_next_that_opens_the_log_too() {
    let live = live().await;
    let lost = live.position(r#""state":"started","position":1"#);
    let folder = lossy(&live, live.lines.len(), [lost], Loss::Damaged);
    let store = FileStore::new(&folder.0).fsync(Fsync::Off);
    let salvaged = store.open(&LogRef::Id(live.id.clone()), OnDamage::Salvage).await.unwrap();
    salvaged.writer.close().await.unwrap();
    let Outcome { ran, outputs, .. } = go_on_without(&live, &folder, OnDamage::Refuse).await;
    assert_eq!(ran, [""; 0]);
    assert!(outputs.contains(&("b".to_owned(), UNKNOWN.to_owned())), "{outputs:?}");
}

/// An agent whose tool asks, and a model that calls it.
fn asking(folder: &Folder) -> AgentBuilder {
    let model = ScriptedModel::new().calls([("g", "write", "{}")]).text("done");
    let agent = scripted(&model).cwd("/a").tool(Probe::echo("write").write().asks());
    let agent = agent.approvals(Approvals::answered());
    agent.store(FileStore::new(&folder.0).fsync(Fsync::Off))
}

/// The calls that are asked for in a turn, which are all answered so.
async fn asked(session: &Session, decision: &ApprovalDecision) -> Vec<String> {
    let mut turn = session.prompt("go").await.unwrap();
    let mut asked = Vec::new();
    while let Some(event) = turn.next().await {
        if let Event::ApprovalRequest { call_id, .. } = event {
            session.answer(&call_id, None, decision.clone()).await.unwrap();
            asked.push(call_id);
        }
    }
    turn.await.unwrap();
    asked
}

#[tokio::test]
async fn an_approval_that_has_ended_does_not_come_back_with_the_loss_of_a_line() {
    let folder = Folder::new();
    let session = asking(&folder).build().unwrap().session().start().await.unwrap();
    assert_eq!(asked(&session, &ApprovalDecision::ApprovedForSession).await, ["g"]);
    for cwd in ["/b", "/a"] {
        let mut change = SettingsUpdate::default();
        change.cwd = Some(cwd.into());
        session.configure(change).await.unwrap();
    }
    session.shutdown().await.unwrap();
    let live = Live::left(folder, &session);
    let cleared = live.position(r#""cleared":true"#);
    assert!(live.position(r#""digest":"#) < cleared);
    let all = live.lines.len();
    for lost in 0..all {
        for loss in [Loss::Damaged, Loss::Gone] {
            if lost + 1 == all && matches!(loss, Loss::Gone) {
                continue;
            }
            let folder = lossy(&live, all, [lost], loss);
            // Nothing else is changed, so that nothing else ends it.
            for on_damage in [OnDamage::Salvage, OnDamage::Refuse] {
                let opening = asking(&folder).build().unwrap().session();
                let opening = opening.resume(LogRef::Id(live.id.clone()), on_damage);
                let session = opening.start().await.unwrap();
                let no = ApprovalDecision::Denied { reason: None };
                assert_eq!(asked(&session, &no).await, ["g"], "{lost} {loss:?} {on_damage:?}");
                session.shutdown().await.unwrap();
            }
        }
    }
}
