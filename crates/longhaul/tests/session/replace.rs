//! Tasks that take the place of the turn that runs.

use std::sync::Arc;

use async_trait::async_trait;
use longhaul::history::Item;
use longhaul::prelude::*;
use longhaul::state::protocol::{AbortReason, TurnEnd};
use longhaul::task::{SessionTask, TaskScope};
use longhaul_testkit::ScriptedModel;
use longhaul_testkit::model::StreamEnd;
use tokio::sync::Notify;

use super::support::{conversation, lines, scripted};

/// Says what it is, when it may.
struct Task {
    name: &'static str,
    go: Option<Arc<Notify>>,
}

fn task(name: &'static str) -> Task {
    Task { name, go: None }
}

#[async_trait]
impl SessionTask for Task {
    async fn run(&self, scope: &TaskScope) -> Result<TurnResult, TurnError> {
        if let Some(go) = &self.go {
            tokio::select! {
                () = go.notified() => {}
                () = scope.cancelled() => return Ok(TurnResult::empty(TurnEnd::INTERRUPTED)),
            }
        }
        if scope.is_cancelled() {
            return Ok(TurnResult::empty(TurnEnd::INTERRUPTED));
        }
        scope.record([Item::assistant(self.name)]);
        Ok(TurnResult::empty(TurnEnd::Complete))
    }
}

const REPLACED: TurnEnd = TurnEnd::Aborted(AbortReason::Replaced);

#[tokio::test]
async fn a_task_ends_the_running_turn_and_comes_before_what_waits() {
    let model = ScriptedModel::new().hang().text("b").text("c");
    let session = scripted(&model).build().unwrap().session().start().await.unwrap();
    let mut running = session.prompt("a").await.unwrap();
    model.wait_for_requests(1).await;
    let waiting = session.prompt("b").await.unwrap();
    let steered = session.steer("s").await.unwrap();
    let mut replacing = session.replace(task("task")).unwrap();
    assert_eq!(lines(&mut running).await.last().unwrap(), "aborted replaced");
    assert_eq!(running.await.unwrap().end, REPLACED);
    assert_eq!(model.wait_until_ended(0).await, StreamEnd::Dropped);
    assert_eq!(lines(&mut replacing).await, ["started", "complete -"]);
    assert_eq!(replacing.await.unwrap().end, TurnEnd::Complete);
    assert_eq!(steered.await.unwrap().last_message.as_deref(), Some("b"), "it has a turn");
    assert_eq!(waiting.await.unwrap().last_message.as_deref(), Some("c"));
    assert_eq!(
        conversation(&session.history()),
        ["user a", "assistant task", "user s", "assistant b", "user b", "assistant c"]
    );
}

#[tokio::test]
async fn with_nothing_to_replace_it_just_runs() {
    let session = scripted(&ScriptedModel::new()).build().unwrap().session().start().await.unwrap();
    assert_eq!(session.replace(task("task")).unwrap().await.unwrap().end, TurnEnd::Complete);
}

#[tokio::test]
async fn the_newest_of_several_runs_and_each_has_one_end() {
    let model = ScriptedModel::new().hang();
    let session = scripted(&model).build().unwrap().session().start().await.unwrap();
    let running = session.prompt("a").await.unwrap();
    model.wait_for_requests(1).await;
    let go = Arc::new(Notify::new());
    let mut turns = Vec::new();
    for name in ["one", "two", "three"] {
        turns.push(session.replace(Task { name, go: Some(Arc::clone(&go)) }).unwrap());
    }
    assert_eq!(running.await.unwrap().end, REPLACED);
    go.notify_one();
    let mut last = Vec::new();
    for mut turn in turns {
        last.push(lines(&mut turn).await.pop().unwrap());
    }
    assert_eq!(last, ["aborted replaced", "aborted replaced", "complete -"]);
    assert_eq!(conversation(&session.history()), ["user a", "assistant three"]);
}

#[tokio::test]
async fn an_interrupt_means_the_task_that_is_about_to_begin_too() {
    let model = ScriptedModel::new().hang().text("fine");
    let session = scripted(&model).build().unwrap().session().start().await.unwrap();
    let running = session.prompt("a").await.unwrap();
    model.wait_for_requests(1).await;
    let steered = session.steer("s").await.unwrap();
    let replacing = session.replace(task("task")).unwrap();
    assert!(session.interrupt());
    assert_eq!(running.await.unwrap().end, REPLACED);
    assert_eq!(replacing.await.unwrap().end, TurnEnd::INTERRUPTED);
    assert_eq!(conversation(&session.history()), ["user a"], "quiet: the steer waits");
    session.prompt("b").await.unwrap().await.unwrap();
    assert_eq!(steered.await.unwrap().last_message.as_deref(), Some("fine"));
    assert_eq!(conversation(&session.history())[1..], ["user s", "user b", "assistant fine"]);
}

#[tokio::test]
async fn a_task_that_waits_is_settled_by_a_shutdown() {
    let model = ScriptedModel::new().hang();
    let session = scripted(&model).build().unwrap().session().start().await.unwrap();
    let running = session.prompt("a").await.unwrap();
    model.wait_for_requests(1).await;
    let replacing = session.replace(task("task")).unwrap();
    session.shutdown().await.unwrap();
    assert!(running.await.unwrap().is_interrupted());
    assert_eq!(replacing.await.unwrap_err().code(), "closed");
    assert_eq!(session.replace(task("late")).err().unwrap().code(), "closed");
}
