//! Readers of a session's events.

use longhaul::events::EventBuffer;
use longhaul::prelude::*;
use longhaul_testkit::ScriptedModel;

use super::support::{line, lines, scripted};

#[tokio::test]
async fn a_turn_completes_with_no_reader_and_is_read_afterwards() {
    let model = ScriptedModel::new().text("a b c").text("d");
    let session = scripted(&model).build().unwrap().session().start().await.unwrap();
    session.prompt("go").await.unwrap().await.unwrap();
    let mut all = session.subscribe(0);
    let mut tail = session.subscribe(9);
    session.prompt("on").await.unwrap().await.unwrap();
    session.shutdown().await.unwrap();
    let mut seen = Vec::new();
    while let Some(event) = all.next().await {
        assert_eq!(event.number, seen.len() as u64 + 1, "each number once, in order");
        seen.push(line(&event.event));
    }
    assert_eq!(seen.last().unwrap(), "ended");
    let mut rest = Vec::new();
    while let Some(event) = tail.next().await {
        rest.push(line(&event.event));
    }
    assert_eq!(rest, seen[8..]);
    assert_eq!(rest[..3], ["tokens 15", "complete a b c", "started"]);
}

#[tokio::test]
async fn a_reader_that_lags_learns_what_it_missed_and_no_turn_waits_for_it() {
    let model = ScriptedModel::new().text("one").text("two").text("three");
    let agent = scripted(&model).event_buffer(EventBuffer::new(4, 1 << 20));
    let session = agent.build().unwrap().session().start().await.unwrap();
    let mut lagging = session.events();
    let mut first = session.prompt("a").await.unwrap();
    for prompt in ["b", "c"] {
        session.prompt(prompt).await.unwrap().await.unwrap();
    }
    let missed = lagging.next().await.unwrap();
    let Event::Missed { first: 1, last } = missed.event else {
        panic!("it has missed much: {missed:?}");
    };
    let next = lagging.next().await.unwrap();
    assert_eq!(next.number, last + 1);
    let seen = lines(&mut first).await;
    assert_eq!(seen, ["Missed { first: 1, last: 20 }"], "and so has the turn's own reader");
    assert_eq!(first.await.unwrap().last_message.as_deref(), Some("one"));
}
