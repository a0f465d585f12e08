//! Sessions that go on from an earlier place of another.

use longhaul::ForkPoint;
use longhaul::coding::CodingContext;
use longhaul::prelude::*;
use longhaul::rollout::{FileStore, LogRef, OnDamage};
use longhaul::state::protocol::{ApprovalPolicy, SettingsUpdate};
use longhaul_testkit::ScriptedModel;
use longhaul_testkit::server::Gate;

use super::support::{Folder, conversation, items, scripted};

fn policy(policy: ApprovalPolicy) -> SettingsUpdate {
    let mut change = SettingsUpdate::default();
    change.approval_policy = Some(policy);
    change
}

#[tokio::test]
async fn a_fork_keeps_what_stands_before_the_message_and_the_parent_stays() {
    let model = ScriptedModel::new().text("1").text("2").text("3").text("2b");
    let agent = scripted(&model).build().unwrap();
    let session = agent.session().start().await.unwrap();
    for prompt in ["a", "b", "c"] {
        session.prompt(prompt).await.unwrap().await.unwrap();
    }
    let fork = agent.session().fork(&session, 1).unwrap().start().await.unwrap();
    assert_ne!(fork.id(), session.id());
    assert!(fork.token_count().0.is_none(), "it has used nothing");
    fork.prompt("b, better").await.unwrap().await.unwrap();
    assert_eq!(
        conversation(&fork.history()),
        ["user a", "assistant 1", "user b, better", "assistant 2b"]
    );
    assert_eq!(session.history().len(), 6);
    for n in [3, 4] {
        let error = agent.session().fork(&session, n).err().unwrap();
        assert_eq!(error.to_string(), format!("there is no user message {n}: the session has 3"));
    }
    model.assert_complete();
}

#[tokio::test]
async fn a_running_session_can_be_forked() {
    let gate = Gate::new("second");
    let model = ScriptedModel::new().text("1").hold(&gate).text("2").text("2b");
    let agent = scripted(&model).build().unwrap();
    let session = agent.session().start().await.unwrap();
    session.prompt("a").await.unwrap().await.unwrap();
    let running = session.prompt("b").await.unwrap();
    gate.reached().await;
    let fork = agent.session().fork(&session, 1).unwrap().start().await.unwrap();
    fork.prompt("c").await.unwrap().await.unwrap();
    gate.open();
    assert_eq!(running.await.unwrap().last_message.as_deref(), Some("2"));
    assert_eq!(conversation(&fork.history()), ["user a", "assistant 1", "user c", "assistant 2b"]);
}

/// What a request tells of the settings, message by message.
fn told(model: &ScriptedModel, request: usize) -> Vec<String> {
    let input = items(&model.requests()[request].input());
    let told = input.iter().filter(|item| item.contains("<environment_context>"));
    let policy = |item: &String| {
        item.split("policy>").nth(1).unwrap().trim_end_matches("</approval_").to_owned()
    };
    told.map(policy).collect()
}

#[tokio::test]
async fn after_a_fork_the_model_is_told_what_changed_since_it_was_last_told_there() {
    let model = ScriptedModel::new().repeat_last().text("ok");
    let agent = scripted(&model).context(CodingContext::new(None)).build().unwrap();
    let session = agent.session().start().await.unwrap();
    session.prompt("a").await.unwrap().await.unwrap();
    let changed = Input::from("b").settings(policy(ApprovalPolicy::Never));
    session.prompt(changed).await.unwrap().await.unwrap();
    session.prompt("c").await.unwrap().await.unwrap();
    assert_eq!(told(&model, 2), ["on_request", "never"]);

    // The change is behind the cut: the fork, which has the settings, tells it again.
    let early = agent.session().fork(&session, 0).unwrap().start().await.unwrap();
    early.prompt("a2").await.unwrap().await.unwrap();
    assert_eq!(told(&model, 3), ["on_request", "never"]);
    // It is before the cut: nothing is told twice.
    let late = agent.session().fork(&session, 2).unwrap().start().await.unwrap();
    late.prompt("c2").await.unwrap().await.unwrap();
    assert_eq!(told(&model, 4), ["on_request", "never"]);
    // The fork has settings of its own.
    let other = agent.session().fork(&session, 2).unwrap();
    let other = other.settings(policy(ApprovalPolicy::Always));
    let other = other.start().await.unwrap();
    other.prompt("c3").await.unwrap().await.unwrap();
    assert_eq!(told(&model, 5), ["on_request", "never", "always"]);
}

/// What a fork takes over of a log that lies in another home is its own: also what is long.
#[tokio::test]
async fn a_fork_of_a_log_in_another_home_needs_that_home_no_more() {
    let (parents, children) = (Folder::new(), Folder::new());
    let model = ScriptedModel::new().repeat_last().text("ok");
    let agent = |home: &Folder| scripted(&model).store(FileStore::new(&home.0)).build().unwrap();
    let long = "x".repeat(100_000);
    let parent = agent(&parents).session().start().await.unwrap();
    parent.prompt(&*long).await.unwrap().await.unwrap();
    let which = LogRef::Path(parent.log_path().unwrap().to_owned());
    parent.shutdown().await.unwrap();

    let agent = agent(&children);
    let child = agent.session().fork_log(which, ForkPoint::End).start().await.unwrap();
    let id = LogRef::Id(child.id().to_owned());
    child.shutdown().await.unwrap();
    drop(parents);
    let again = agent.session().resume(id, OnDamage::Refuse).start().await.unwrap();
    assert_eq!(conversation(&again.history()), [format!("user {long}"), "assistant ok".into()]);
}
