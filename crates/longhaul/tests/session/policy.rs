//! A host that decides about calls.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use longhaul::approval::{ApprovalDecision, Approvals, CallInQuestion, Policy, Ruling};
use longhaul_testkit::ScriptedModel;
use tokio::sync::Barrier;

use super::support::{Probe, items, lines, scripted, until};

/// A policy made of a closure.
pub(crate) struct Host<F>(pub(crate) F);

#[async_trait]
impl<F: Fn(&CallInQuestion) -> Ruling + Send + Sync> Policy for Host<F> {
    async fn rule(&self, call: &CallInQuestion) -> Ruling {
        (self.0)(call)
    }
}

fn deny(reason: &str) -> Ruling {
    Ruling::Deny { reason: reason.into() }
}

#[tokio::test]
async fn a_policy_allows_asks_denies_and_rewrites() {
    let calls =
        [("a", "t", "1"), ("b", "t", "2"), ("c", "t", "3"), ("d", "t", "4"), ("e", "x", "5")];
    let model = ScriptedModel::new().calls(calls).text("done");
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let host = Host(move |call: &CallInQuestion| {
        count.fetch_add(1, Ordering::Relaxed);
        assert_eq!(call.data::<u32>(), Some(&7));
        match &*call.call.arguments {
            "1" => Ruling::Allow { arguments: None },
            "2" => deny("not this one"),
            "3" => Ruling::Allow { arguments: Some("30".into()) },
            _ => Ruling::Ask { arguments: Some("40".into()) },
        }
    });
    let agent =
        scripted(&model).tool(Probe::echo("t")).policy(host).approvals(Approvals::answered());
    let session = agent.build().unwrap().session().data(7_u32).start().await.unwrap();
    let mut turn = session.prompt("go").await.unwrap();
    let seen = until(&mut turn, |line| line.starts_with("ask")).await;
    assert_eq!(seen.last().unwrap(), "ask d t 40", "what is approved is what runs");
    session.answer("d", None, ApprovalDecision::Approved).await.unwrap();
    lines(&mut turn).await;
    assert_eq!(asked.load(Ordering::Relaxed), 4, "once each; `x` is no tool");
    assert_eq!(
        items(&model.requests()[1].input())[1..],
        [
            "call a t 1",
            "output a 1",
            "call b t 2",
            "output b denied: not run: not this one",
            "call c t 3",
            "output c 30",
            "call d t 4",
            "output d 40",
            "call e x 5",
            "output e unsupported call: x",
        ]
    );
    model.assert_complete();
}

/// Rules only when all calls of the response are in question.
struct Together(Barrier);

#[async_trait]
impl Policy for Together {
    async fn rule(&self, _: &CallInQuestion) -> Ruling {
        self.0.wait().await;
        Ruling::Allow { arguments: None }
    }

    fn may_ask(&self) -> bool {
        false
    }
}

#[tokio::test]
async fn all_calls_of_a_response_are_in_question_at_once() {
    let calls = [("a", "t", "1"), ("b", "t", "2"), ("c", "t", "3")];
    let model = ScriptedModel::new().calls(calls).text("done");
    let agent = scripted(&model).tool(Probe::echo("t").write()).policy(Together(Barrier::new(3)));
    let session = agent.build().unwrap().session().start().await.unwrap();
    let mut turn = session.prompt("go").await.unwrap();
    let seen = lines(&mut turn).await;
    assert_eq!(seen.iter().filter(|line| line.contains(" ok ")).count(), 3, "{seen:?}");
}

/// A policy that cannot decide.
pub(crate) struct Hopeless {
    pub(crate) panics: bool,
}

#[async_trait]
impl Policy for Hopeless {
    async fn rule(&self, _: &CallInQuestion) -> Ruling {
        assert!(!self.panics, "a policy that panics");
        std::future::pending().await
    }
}

#[tokio::test]
async fn a_policy_that_panics_denies() {
    let model = ScriptedModel::new().call("a", "t", "1").text("done");
    let agent = scripted(&model)
        .tool(Probe::echo("t"))
        .policy(Hopeless { panics: true })
        .approvals(Approvals::answered());
    let session = agent.build().unwrap().session().start().await.unwrap();
    let mut turn = session.prompt("go").await.unwrap();
    let seen = lines(&mut turn).await;
    let denied = "denied a denied: not run: the host's policy failed";
    assert!(seen.contains(&denied.to_owned()), "{seen:?}");
    assert_eq!(turn.await.unwrap().last_message.as_deref(), Some("done"));
}

#[tokio::test]
async fn an_interrupt_does_not_wait_for_a_policy() {
    let model = ScriptedModel::new().call("a", "t", "1").text("fine");
    let agent = scripted(&model)
        .tool(Probe::echo("t"))
        .policy(Hopeless { panics: false })
        .approvals(Approvals::answered());
    let session = agent.build().unwrap().session().start().await.unwrap();
    let mut turn = session.prompt("go").await.unwrap();
    until(&mut turn, |line| line.starts_with("tokens")).await;
    session.interrupt();
    assert_eq!(lines(&mut turn).await, ["aborted"]);
    session.prompt("next").await.unwrap().await.unwrap();
    let request = items(&model.requests()[1].input());
    assert_eq!(request[2], "output a aborted: not started");
}

/// Asks although it said that it never does.
struct Liar;

#[async_trait]
impl Policy for Liar {
    async fn rule(&self, _: &CallInQuestion) -> Ruling {
        Ruling::Ask { arguments: None }
    }

    fn may_ask(&self) -> bool {
        false
    }
}

#[tokio::test]
async fn where_nobody_answers_what_asks_is_denied() {
    let model = ScriptedModel::new().call("a", "t", "1").text("done");
    let agent = scripted(&model).tool(Probe::echo("t")).policy(Liar);
    let session = agent.build().unwrap().session().start().await.unwrap();
    let result = session.prompt("go").await.unwrap().await.unwrap();
    assert_eq!(result.last_message.as_deref(), Some("done"));
    let request = items(&model.requests()[1].input());
    assert_eq!(request[2], "output a denied: not run: nobody answers approval requests here");
}
