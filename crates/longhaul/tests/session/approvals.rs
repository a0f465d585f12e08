//! Calls that wait for somebody's word.

use std::sync::Arc;
use std::time::Duration;

use longhaul::approval::{ApprovalDecision, Approvals, CallDigest};
use longhaul::prelude::*;
use longhaul::rollout::{LogRef, MemoryStore, OnDamage};
use longhaul::state::protocol::SettingsUpdate;
use longhaul::state::protocol::{ApprovalPolicy, TurnEnd};
use longhaul_testkit::ScriptedModel;
use tokio::time::Instant;

use super::support::{Probe, items, lines, scripted, until};

const DENIED: ApprovalDecision = ApprovalDecision::Denied { reason: None };

/// A session whose tools `risky` (alone) and `look` (together) ask first.
async fn asking(model: &ScriptedModel) -> Session {
    opened(model, Approvals::answered()).await
}

async fn opened(model: &ScriptedModel, approvals: Approvals) -> Session {
    let agent = scripted(model)
        .tool(Probe::echo("risky").write().asks())
        .tool(Probe::echo("look").asks())
        .approvals(approvals);
    agent.build().unwrap().session().start().await.unwrap()
}

fn waiting(session: &Session) -> Vec<String> {
    session.pending_approvals().into_iter().map(|call| call.call_id).collect()
}

fn code(result: Result<(), TurnError>) -> &'static str {
    result.err().map_or("ok", |error| error.code())
}

#[tokio::test]
async fn several_that_wait_are_answered_each_by_itself_in_any_order() {
    let calls = [("a", "risky", "1"), ("b", "risky", "2"), ("c", "look", "3")];
    let model = ScriptedModel::new().calls(calls).text("done");
    let session = asking(&model).await;
    let mut turn = session.prompt("go").await.unwrap();
    let asked = until(&mut turn, |line| line.starts_with("ask c")).await;
    assert_eq!(asked[asked.len() - 3..], ["ask a risky 1", "ask b risky 2", "ask c look 3"]);
    let pending = session.pending_approvals();
    assert_eq!(pending.iter().map(|call| &*call.call_id).collect::<Vec<_>>(), ["a", "b", "c"]);
    assert_eq!((&*pending[1].name, &*pending[1].arguments), ("risky", "2"));
    assert_eq!(pending[1].digest, CallDigest::of("risky", "2"));
    assert_eq!((&*pending[1].turn_id, turn.id()), (turn.id(), turn.id()));

    session.answer("c", None, ApprovalDecision::Approved).await.unwrap();
    let reason = Some("use the other file".to_owned());
    session.answer("a", None, ApprovalDecision::Denied { reason }).await.unwrap();
    assert_eq!(waiting(&session), ["b"]);
    let told = until(&mut turn, |line| line.starts_with("denied a")).await;
    let denied = "denied a rejected by the user: not run: use the other file";
    assert_eq!(told, ["answered c yes", "answered a no", denied]);
    session.answer("b", None, ApprovalDecision::Approved).await.unwrap();
    assert_eq!(waiting(&session), [""; 0]);
    let rest = lines(&mut turn).await;
    assert_eq!(
        rest[..5],
        ["answered b yes", "begin b risky 2", "end b ok 2", "begin c look 3", "end c ok 3"]
    );
    assert_eq!(
        items(&model.requests()[1].input())[1..],
        [
            "call a risky 1",
            "output a rejected by the user: not run: use the other file",
            "call b risky 2",
            "output b 2",
            "call c look 3",
            "output c 3",
        ]
    );
    model.assert_complete();
}

#[tokio::test]
async fn late_repeated_and_unknown_answers_change_nothing() {
    let model = ScriptedModel::new().call("a", "risky", "1").text("done");
    let session = asking(&model).await;
    assert_eq!(
        code(session.answer("a", None, ApprovalDecision::Approved).await),
        "unknown_approval"
    );
    let mut turn = session.prompt("go").await.unwrap();
    until(&mut turn, |line| line.starts_with("ask a")).await;
    let answer = async |id: &str, digest| code(session.answer(id, digest, DENIED).await);
    assert_eq!(answer("b", None).await, "unknown_approval");
    let other = CallDigest::of("risky", "1 and more");
    assert_eq!(answer("a", Some(other)).await, "unknown_approval", "that is not what is asked");
    let same = CallDigest::of("risky", "1");
    assert_eq!(code(session.answer("a", Some(same), ApprovalDecision::Approved).await), "ok");
    assert_eq!(answer("a", None).await, "unknown_approval", "the first counts");
    assert_eq!(lines(&mut turn).await[..3], ["answered a yes", "begin a risky 1", "end a ok 1"]);
    turn.await.unwrap();
    assert_eq!(answer("a", None).await, "unknown_approval");
    model.assert_complete();
}

#[tokio::test]
async fn two_calls_with_one_id_are_two_calls() {
    let model = ScriptedModel::new().calls([("a", "look", "1"), ("a", "look", "2")]).text("done");
    let session = asking(&model).await;
    let mut turn = session.prompt("go").await.unwrap();
    until(&mut turn, |line| line == "ask a look 2").await;
    let second = CallDigest::of("look", "2");
    session.answer("a", Some(second), ApprovalDecision::Approved).await.unwrap();
    session.answer("a", None, DENIED).await.unwrap();
    let rest = lines(&mut turn).await;
    assert!(rest.contains(&"end a ok 2".to_owned()), "{rest:?}");
    assert!(!rest.contains(&"end a ok 1".to_owned()), "{rest:?}");
}

#[tokio::test]
async fn an_approval_for_the_session_is_for_that_tool_with_these_arguments() {
    let model = ScriptedModel::new()
        .call("a", "risky", "1")
        .call("b", "risky", "1")
        .calls([("c", "risky", "2"), ("d", "look", "1")])
        .text("done");
    let session = asking(&model).await;
    let mut turn = session.prompt("go").await.unwrap();
    until(&mut turn, |line| line.starts_with("ask a")).await;
    session.answer("a", None, ApprovalDecision::ApprovedForSession).await.unwrap();
    let seen = until(&mut turn, |line| line.starts_with("ask d")).await;
    assert!(seen.contains(&"end b ok 1".to_owned()) && !seen.iter().any(|l| l == "ask b risky 1"));
    assert!(seen.contains(&"ask c risky 2".to_owned()), "other arguments");
    session.answer("c", None, DENIED).await.unwrap();
    session.answer("d", None, DENIED).await.unwrap();
    turn.await.unwrap();
    model.assert_complete();
}

#[tokio::test]
async fn an_interrupt_and_an_abort_end_the_wait_and_nothing_runs() {
    for abort in [false, true] {
        let calls = [("a", "risky", "1"), ("b", "look", "2")];
        let model = ScriptedModel::new().calls(calls).text("fine");
        let session = asking(&model).await;
        let mut turn = session.prompt("go").await.unwrap();
        until(&mut turn, |line| line.starts_with("ask b")).await;
        if abort {
            session.answer("b", None, ApprovalDecision::Abort).await.unwrap();
        } else {
            session.interrupt();
        }
        assert_eq!(waiting(&session), [""; 0], "at once");
        assert_eq!(
            code(session.answer("a", None, ApprovalDecision::Approved).await),
            "unknown_approval",
            "it is being ended"
        );
        assert_eq!(lines(&mut turn).await, ["aborted"]);
        assert_eq!(turn.await.unwrap().end, TurnEnd::INTERRUPTED);
        session.prompt("and now?").await.unwrap().await.unwrap();
        let request = items(&model.requests()[1].input());
        assert_eq!(
            request[1..5],
            [
                "call a risky 1",
                "output a aborted: not started",
                "call b look 2",
                "output b aborted: not started"
            ]
        );
        model.assert_complete();
    }
}

#[tokio::test(start_paused = true)]
async fn what_nobody_answers_in_time_is_denied() {
    let model = ScriptedModel::new().calls([("a", "look", "1"), ("b", "look", "2")]).text("done");
    let session = opened(&model, Approvals::answered().timeout(Duration::from_secs(60))).await;
    let begun = Instant::now();
    let mut turn = session.prompt("go").await.unwrap();
    until(&mut turn, |line| line.starts_with("ask b")).await;
    session.answer("a", None, ApprovalDecision::Approved).await.unwrap();
    let rest = lines(&mut turn).await;
    assert_eq!(begun.elapsed(), Duration::from_secs(60), "virtual");
    let denied = "denied b denied: not run: nobody approved it within 60 s";
    let told: Vec<_> = rest.iter().filter(|line| line.contains(" b ")).collect();
    assert_eq!(told, ["answered b no", denied]);
    assert!(rest.contains(&"end a ok 1".to_owned()), "{rest:?}");
    turn.await.unwrap();
    assert_eq!(code(session.answer("b", None, DENIED).await), "unknown_approval");
}

#[tokio::test(start_paused = true)]
async fn each_call_has_the_whole_time_whatever_was_asked_before() {
    let model = ScriptedModel::new().call("a", "look", "1").call("b", "look", "2").text("done");
    let session = opened(&model, Approvals::answered().timeout(Duration::from_secs(60))).await;
    let begun = Instant::now();
    let mut turn = session.prompt("go").await.unwrap();
    until(&mut turn, |line| line.starts_with("ask a")).await;
    tokio::time::advance(Duration::from_secs(40)).await;
    session.answer("a", None, ApprovalDecision::Approved).await.unwrap();
    let rest = lines(&mut turn).await;
    assert!(rest.iter().any(|line| line.starts_with("denied b")), "{rest:?}");
    assert_eq!(begun.elapsed(), Duration::from_secs(100), "virtual");
}

#[tokio::test(start_paused = true)]
async fn the_deadline_of_the_turn_ends_the_wait() {
    let model = ScriptedModel::new().call("a", "risky", "1").text("fine");
    let agent = scripted(&model)
        .tool(Probe::echo("risky").asks())
        .approvals(Approvals::answered())
        .turn_deadline(Duration::from_secs(5));
    let session = agent.build().unwrap().session().start().await.unwrap();
    let mut turn = session.prompt("go").await.unwrap();
    let rest = lines(&mut turn).await;
    assert_eq!(rest[rest.len() - 2..], ["error timeout", "complete -"]);
    assert_eq!(code(session.answer("a", None, DENIED).await), "unknown_approval");
    session.prompt("next").await.unwrap().await.unwrap();
    assert_eq!(items(&model.requests()[1].input())[2], "output a aborted: not started");
}

#[tokio::test]
async fn the_policy_of_the_settings_says_which_calls_ask() {
    for (policy, asks) in [
        (ApprovalPolicy::Never, [false, false]),
        (ApprovalPolicy::OnRequest, [true, false]),
        (ApprovalPolicy::Always, [true, true]),
    ] {
        let calls = [("a", "risky", "1"), ("b", "plain", "2")];
        let model = ScriptedModel::new().calls(calls).text("done");
        let agent = scripted(&model)
            .tool(Probe::echo("risky").asks())
            .tool(Probe::echo("plain"))
            .approval_policy(policy)
            .approvals(Approvals::answered());
        let session = Arc::new(agent.build().unwrap().session().start().await.unwrap());
        let mut turn = session.prompt("go").await.unwrap();
        let mut seen = [false, false];
        while let Some(event) = turn.next().await {
            if let Event::ApprovalRequest { call_id, .. } = event {
                seen[usize::from(call_id == "b")] = true;
                session.answer(&call_id, None, ApprovalDecision::Approved).await.unwrap();
            }
        }
        assert_eq!(seen, asks, "{policy:?}");
    }
}

#[tokio::test]
async fn calls_that_cannot_run_do_not_ask() {
    let calls = [("a", "nothing", "1"), ("b", "risky", "no JSON")];
    let model = ScriptedModel::new().calls(calls).text("done");
    let session = asking(&model).await;
    let mut turn = session.prompt("go").await.unwrap();
    let seen = lines(&mut turn).await;
    assert!(!seen.iter().any(|line| line.starts_with("ask")), "{seen:?}");
    assert!(seen.contains(&"end a failed unsupported call: nothing".to_owned()), "{seen:?}");
}

#[tokio::test]
async fn what_nobody_is_left_to_approve_is_denied_and_the_turn_ends() {
    for drops_before in [false, true] {
        let model = ScriptedModel::new().call("a", "risky", "1").text("done");
        let session = asking(&model).await;
        let mut turn = session.prompt("go").await.unwrap();
        if !drops_before {
            until(&mut turn, |line| line.starts_with("ask a")).await;
        }
        drop(session);
        let seen = lines(&mut turn).await;
        assert!(seen.iter().any(|line| line.starts_with("denied a ")), "{seen:?}");
        assert!(!seen.iter().any(|line| line.starts_with("begin")), "{seen:?}");
        let told = items(&model.requests()[1].input()).pop().unwrap();
        assert!(told.ends_with("nobody is left who could approve it"), "{told}");
        turn.await.unwrap();
    }
}

/// In two turns, under two ids.
fn the_same_call_twice() -> ScriptedModel {
    let model = ScriptedModel::new().call("a", "risky", "1").text("done");
    model.call("b", "risky", "1").text("done")
}

#[tokio::test]
async fn an_answer_that_comes_after_the_folder_or_the_tools_changed_holds_for_its_call_alone() {
    for tools_change in [false, true] {
        let session = asking(&the_same_call_twice()).await;
        let mut turn = session.prompt("go").await.unwrap();
        until(&mut turn, |line| line.starts_with("ask a")).await;
        if tools_change {
            session.set_tools(&[Arc::new(Probe::echo("risky").write().asks())]).await.unwrap();
        } else {
            let mut change = SettingsUpdate::default();
            change.cwd = Some("/elsewhere".into());
            session.configure(change).await.unwrap();
        }
        session.answer("a", None, ApprovalDecision::ApprovedForSession).await.unwrap();
        until(&mut turn, |line| line.starts_with("end a ok")).await;
        turn.await.unwrap();
        let mut turn = session.prompt("again").await.unwrap();
        until(&mut turn, |line| line.starts_with("ask b")).await;
    }
}

#[tokio::test]
async fn an_approval_for_the_session_ends_with_its_tools() {
    let session = asking(&the_same_call_twice()).await;
    let mut turn = session.prompt("go").await.unwrap();
    until(&mut turn, |line| line.starts_with("ask a")).await;
    session.answer("a", None, ApprovalDecision::ApprovedForSession).await.unwrap();
    turn.await.unwrap();
    session.set_tools(&[Arc::new(Probe::echo("risky").write().asks())]).await.unwrap();
    let mut turn = session.prompt("again").await.unwrap();
    until(&mut turn, |line| line.starts_with("ask b")).await;
}

/// What was approved was to be done there, and by these.
#[tokio::test]
async fn an_approval_for_the_session_ends_where_it_is_opened_elsewhere_or_with_other_tools() {
    for (cwd, has_more_tools, asks) in
        [("/a", false, false), ("/b", false, true), ("/a", true, true)]
    {
        let model = the_same_call_twice();
        let store = MemoryStore::new();
        let agent = scripted(&model)
            .tool(Probe::echo("risky").write().asks())
            .approvals(Approvals::answered())
            .store(store);
        let agent = agent.cwd("/a").build().unwrap();
        let session = agent.session().start().await.unwrap();
        let mut turn = session.prompt("go").await.unwrap();
        until(&mut turn, |line| line.starts_with("ask a")).await;
        session.answer("a", None, ApprovalDecision::ApprovedForSession).await.unwrap();
        turn.await.unwrap();
        session.shutdown().await.unwrap();

        let which = LogRef::Id(session.id().to_owned());
        let mut change = SettingsUpdate::default();
        change.cwd = Some(cwd.into());
        let mut opening = agent.session().resume(which, OnDamage::Refuse).settings(change);
        if has_more_tools {
            opening = opening.tool(Probe::echo("another"));
        }
        let session = opening.start().await.unwrap();
        let mut turn = session.prompt("again").await.unwrap();
        let is_decided = |line: &str| line.starts_with("ask b") || line.starts_with("end b");
        let seen = until(&mut turn, is_decided).await;
        let asked = seen.last().is_some_and(|line| line.starts_with("ask b"));
        assert_eq!(asked, asks, "{cwd} {has_more_tools}: {seen:?}");
    }
}
