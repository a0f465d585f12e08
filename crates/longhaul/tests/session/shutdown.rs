//! How a session ends.

use futures_util::FutureExt;
use longhaul::BuildError;
use longhaul::history::Item;
use longhaul::prelude::*;
use longhaul::state::protocol::SettingsUpdate;
use longhaul_testkit::ScriptedModel;
use longhaul_testkit::model::StreamEnd;
use longhaul_testkit::server::{Gate, Reply, ReplyOutcome, Server};
use tokio::sync::Notify;

use std::sync::Arc;

use super::support::{Probe, kept_if, line, lines, over_http, scripted, started};

#[tokio::test]
async fn dropping_the_session_finishes_what_was_accepted() {
    for is_kept in [false, true] {
        let gate = Gate::new("first");
        let model = ScriptedModel::new().hold(&gate).text("one").text("two").text("three");
        let session = started(&model, is_kept).await;
        let mut events = session.events();
        let first = session.prompt("a").await.unwrap();
        gate.reached().await;
        let steered = session.steer("b").await.unwrap();
        let second = session.clone().prompt("c").await.unwrap();
        drop(session);
        gate.open();
        let mut said = Vec::new();
        for turn in [first, steered, second] {
            said.push(turn.await.unwrap().last_message.unwrap());
        }
        assert_eq!(said, ["one", "two", "three"]);
        let mut seen = Vec::new();
        while let Some(event) = events.next().await {
            seen.push(line(&event.event));
        }
        assert_eq!(seen[seen.len() - 2..], ["complete three", "ended"]);
        model.assert_complete();
    }
}

#[tokio::test]
async fn a_session_that_did_nothing_ends_when_it_is_dropped() {
    let session = scripted(&ScriptedModel::new()).build().unwrap().session().start().await.unwrap();
    let mut events = session.events();
    drop(session);
    assert_eq!(line(&events.next().await.unwrap().event), "ended");
    assert!(events.next().await.is_none());
}

#[tokio::test]
async fn shutdown_interrupts_what_runs_and_settles_what_waits() {
    for is_kept in [false, true] {
        let model = ScriptedModel::new().call("c1", "endless", "{}");
        let begun = Arc::new(Notify::new());
        let tell = Arc::clone(&begun);
        let endless = Probe::new("endless", move |_, context| {
            tell.notify_one();
            async move {
                context.cancelled().await;
                ToolOutput::text("stopped half way")
            }
        });
        let session = kept_if(scripted(&model), is_kept)
            .tool(endless)
            .build()
            .unwrap()
            .session()
            .start()
            .await
            .unwrap();
        let mut events = session.events();
        let mut running = session.prompt("a").await.unwrap();
        begun.notified().await;
        let steered = session.steer("b").await.unwrap();
        let mut waiting = session.prompt("c").await.unwrap();

        // Twice at once, and once more.
        let (first, second) = tokio::join!(session.shutdown(), session.shutdown());
        assert!(first.is_ok() && second.is_ok() && session.shutdown().await.is_ok());

        let lines_of_running = lines(&mut running).await;
        assert_eq!(
            lines_of_running[lines_of_running.len() - 2..],
            ["end c1 ok stopped half way", "aborted"]
        );
        assert!(running.await.unwrap().is_interrupted());
        assert_eq!(lines(&mut waiting).await, ["error closed"]);
        for handle in [steered, waiting] {
            let error = handle.await.unwrap_err();
            assert_eq!((error.code(), error.session_can_go_on()), ("closed", false));
        }
        let mut seen = Vec::new();
        while let Some(event) = events.next().await {
            seen.push(line(&event.event));
        }
        assert_eq!(seen.pop().unwrap(), "ended");
        let last = seen.pop().unwrap();
        assert!(last == "aborted" || last == "error closed", "{last}");
        model.assert_complete();
    }
}

#[tokio::test]
async fn a_session_that_is_shut_down_takes_nothing_and_still_answers() {
    for is_kept in [false, true] {
        let model = ScriptedModel::new().text("one");
        let session = started(&model, is_kept).await;
        session.prompt("a").await.unwrap().await.unwrap();
        session.shutdown().await.unwrap();
        for refused in [session.prompt("b").await, session.steer("b").await] {
            assert_eq!(refused.err().unwrap().code(), "closed");
        }
        assert!(!session.interrupt());
        assert_eq!(
            session.configure(SettingsUpdate::default()).await.unwrap_err().code(),
            "closed"
        );
        assert_eq!(session.pin(&Item::user("a")).await.unwrap_err().code(), "closed");
        assert_eq!(session.set_tools(&[]).await.unwrap_err(), BuildError::Closed);
        assert!(session.events().next().await.is_none(), "no event will ever come");
        assert_eq!(session.history().len(), 2);
        assert_eq!(session.token_count().0.unwrap().total_token_usage.total, 15);
        session.shutdown().await.unwrap();
    }
}

#[tokio::test]
async fn a_shutdown_that_nobody_awaits_goes_on() {
    for is_kept in [false, true] {
        let model = ScriptedModel::new().hang();
        let session = started(&model, is_kept).await;
        let turn = session.prompt("a").await.unwrap();
        model.wait_for_requests(1).await;
        {
            let mut shutdown = std::pin::pin!(session.shutdown());
            assert!(shutdown.as_mut().now_or_never().is_none());
        }
        assert!(turn.await.unwrap().is_interrupted());
        assert_eq!(model.wait_until_ended(0).await, StreamEnd::Dropped);
    }
}

#[tokio::test]
async fn shutdown_closes_the_connection_of_a_response_that_never_ends() {
    let gate = Gate::new("silent");
    let server = Server::start([Reply::sse().gate(&gate)]).await.unwrap();
    let session = over_http(&server).build().unwrap().session().start().await.unwrap();
    let turn = session.prompt("a").await.unwrap();
    gate.reached().await;
    session.shutdown().await.unwrap();
    assert!(turn.await.unwrap().is_interrupted());
    assert!(matches!(server.wait_until_reply_ended(0).await, ReplyOutcome::ClientClosed { .. }));
}
