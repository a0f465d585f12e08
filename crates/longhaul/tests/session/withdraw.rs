//! Inputs that are taken back, refused, and given through a turn's control.

use std::time::Duration;

use longhaul::WhileRunning;
use longhaul::prelude::*;
use longhaul::state::protocol::{SettingsUpdate, TurnEnd};
use longhaul_testkit::ScriptedModel;
use longhaul_testkit::server::Gate;
use tokio::time::Instant;

use super::support::{conversation, kept_if, lines, scripted, started};

fn named(id: &str) -> Input {
    Input::from(id).id(id)
}

#[tokio::test]
async fn an_input_can_be_taken_back_until_the_conversation_has_it() {
    for is_kept in [false, true] {
        let gate = Gate::new("first");
        let model = ScriptedModel::new().hold(&gate).text("one").text("two");
        let session = started(&model, is_kept).await;
        let running = session.prompt(named("a")).await.unwrap();
        gate.reached().await;
        let mut steered = session.steer(named("b")).await.unwrap();
        let waiting = session.prompt(named("c")).await.unwrap();
        let last = session.prompt(named("d")).await.unwrap();
        for id in ["a", "x"] {
            assert_eq!(session.withdraw(id).await.unwrap_err().code(), "unknown_input", "{id}");
        }
        session.withdraw("b").await.unwrap();
        session.withdraw("c").await.unwrap();
        assert_eq!(session.withdraw("c").await.unwrap_err().code(), "unknown_input", "once");
        assert_eq!(lines(&mut steered).await, [""; 0], "it was never shown");
        for handle in [steered, waiting] {
            assert_eq!(handle.await.unwrap().end, TurnEnd::Withdrawn);
        }
        gate.open();
        running.await.unwrap();
        assert_eq!(last.await.unwrap().last_message.as_deref(), Some("two"));
        assert_eq!(
            conversation(&session.history()),
            ["user a", "assistant one", "user d", "assistant two"]
        );
        model.assert_complete();
    }
}

#[tokio::test]
async fn what_an_interrupt_kept_can_be_taken_back() {
    for is_kept in [false, true] {
        let model = ScriptedModel::new().hang().text("two");
        let session = started(&model, is_kept).await;
        let running = session.prompt("a").await.unwrap();
        model.wait_for_requests(1).await;
        let steered = session.steer(named("b")).await.unwrap();
        session.interrupt();
        assert!(running.await.unwrap().is_interrupted());
        session.withdraw("b").await.unwrap();
        assert_eq!(steered.await.unwrap().end, TurnEnd::Withdrawn);
        session.prompt("c").await.unwrap().await.unwrap();
        assert_eq!(conversation(&session.history()), ["user a", "user c", "assistant two"]);
    }
}

#[tokio::test]
async fn a_prompt_is_refused_while_a_turn_runs_if_that_is_how_it_is_set_up() {
    for is_kept in [false, true] {
        let model = ScriptedModel::new().hang().text("two");
        let agent = kept_if(scripted(&model), is_kept).prompt_while_running(WhileRunning::Refuse);
        let session = agent.build().unwrap().session().start().await.unwrap();
        let running = session.prompt("a").await.unwrap();
        let busy = session.prompt("b").await.err().unwrap();
        assert_eq!((busy.code(), busy.is_retryable()), ("busy", true));
        model.wait_for_requests(1).await;
        assert_eq!(session.prompt("b").await.err().unwrap().code(), "busy");
        let steered = session.steer("s").await.unwrap();
        assert_eq!(steered.steers(), Some(running.id()), "steering is another matter");
        running.cancel();
        running.await.unwrap();
        let result = session.prompt("c").await.unwrap().await.unwrap();
        assert_eq!(result.last_message.as_deref(), Some("two"));
    }
}

#[tokio::test]
async fn a_turn_is_steered_by_whoever_has_its_control() {
    for is_kept in [false, true] {
        let gate = Gate::new("first");
        let model =
            ScriptedModel::new().hold(&gate).call("c1", "nothing", "{}").text("two").text("3");
        let session = started(&model, is_kept).await;
        let running = session.prompt("a").await.unwrap();
        let control = running.control();
        assert_eq!((running.steers(), control.id()), (None, running.id()));
        gate.reached().await;
        let other = control.clone();
        let steered = tokio::spawn(async move { other.steer("b").await.unwrap() }).await.unwrap();
        assert_eq!(steered.steers(), Some(control.id()));
        gate.open();
        assert_eq!(running.await.unwrap().last_message, steered.await.unwrap().last_message);
        let late = control.steer("c").await.unwrap();
        assert_eq!(late.steers(), None, "its turn is over: a new one takes it");
        late.await.unwrap();
        assert_eq!(conversation(&session.history())[5..], ["user c", "assistant 3"]);
        session.shutdown().await.unwrap();
        assert_eq!(control.steer("d").await.err().unwrap().code(), "closed");
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_that_drains_finishes_what_it_accepted_within_its_time() {
    for is_kept in [false, true] {
        let gate = Gate::new("first");
        let model = ScriptedModel::new().hold(&gate).text("one").text("two");
        let session = started(&model, is_kept).await;
        let (first, second) =
            (session.prompt("a").await.unwrap(), session.prompt("b").await.unwrap());
        gate.reached().await;
        let draining = session.clone();
        let drained = tokio::spawn(async move { draining.drain(Duration::from_secs(60)).await });
        tokio::task::yield_now().await;
        assert_eq!(session.prompt("late").await.err().unwrap().code(), "closed");
        gate.open();
        drained.await.unwrap().unwrap();
        assert_eq!(first.await.unwrap().last_message.as_deref(), Some("one"));
        assert_eq!(second.await.unwrap().last_message.as_deref(), Some("two"));
        session.drain(Duration::ZERO).await.unwrap();

        let model = ScriptedModel::new().hang();
        let session = started(&model, is_kept).await;
        let stuck = session.prompt("a").await.unwrap();
        let begun = Instant::now();
        session.drain(Duration::from_secs(60)).await.unwrap();
        assert_eq!(begun.elapsed(), Duration::from_secs(60), "virtual");
        assert!(stuck.await.unwrap().is_interrupted());
    }
}

#[tokio::test]
async fn the_settings_of_an_input_that_is_taken_back_never_hold() {
    for is_kept in [false, true] {
        let gate = Gate::new("first");
        let model = ScriptedModel::new().hold(&gate).text("one").text("two");
        let session = started(&model, is_kept).await;
        let running = session.prompt("a").await.unwrap();
        gate.reached().await;
        let mut settings = SettingsUpdate::default();
        settings.model = Some("other-model".into());
        session.steer(named("b").settings(settings)).await.unwrap();
        session.withdraw("b").await.unwrap();
        gate.open();
        running.await.unwrap();
        session.prompt("c").await.unwrap().await.unwrap();
        assert_eq!(model.requests()[1].body["model"], "test-model");
    }
}

#[tokio::test]
async fn the_settings_of_an_input_that_an_interrupt_kept_hold_from_its_turn_on() {
    for is_kept in [false, true] {
        let model = ScriptedModel::new().hang().text("two");
        let session = started(&model, is_kept).await;
        let running = session.prompt("a").await.unwrap();
        model.wait_for_requests(1).await;
        let mut settings = SettingsUpdate::default();
        settings.model = Some("other-model".into());
        session.steer(named("b").settings(settings)).await.unwrap();
        session.interrupt();
        running.await.unwrap();
        session.prompt("c").await.unwrap().await.unwrap();
        assert_eq!(model.requests()[1].body["model"], "other-model");
    }
}
