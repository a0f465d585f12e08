//! A transcript beside the conversation that it shows.

use longhaul::events::SessionEvents;
use longhaul::prelude::*;
use longhaul::transcript::{Activity, CellKind, Transcript};
use longhaul_testkit::ScriptedModel;
use longhaul_testkit::server::Gate;

use super::support::{Probe, scripted};

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
    session.withdraw("w").unwrap();
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
