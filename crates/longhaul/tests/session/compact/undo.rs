//! A compaction is taken back: the session goes on as if it had never been.

use longhaul::coding::CodingContext;
use longhaul::prelude::*;
use longhaul::state::protocol::SettingsUpdate;
use longhaul_testkit::ScriptedModel;
use serde_json::Value;

use super::support::{bridge, kinds, last_sent, open, say};
use crate::support::{Probe, conversation, scripted};

/// A session with a turn, and one more turn after its settings have changed.
async fn session(model: &ScriptedModel) -> Session {
    let agent = scripted(model).tool(Probe::echo("echo")).cwd("/work");
    let session = open(agent.context(CodingContext::new(None))).await;
    say(&session, "first").await;
    session
}

async fn move_to(session: &Session, cwd: &str) {
    let mut change = SettingsUpdate::default();
    change.cwd = Some(cwd.into());
    session.configure(change).await.unwrap();
}

/// The body of the newest request, without what differs from session to session.
fn last_body(model: &ScriptedModel) -> Value {
    let mut body = model.requests().last().unwrap().body.clone();
    body.as_object_mut().unwrap().remove("prompt_cache_key");
    body
}

fn answers() -> ScriptedModel {
    ScriptedModel::new().reasoned_calls("hm", [("c1", "echo", "{}")]).text("x").repeat_last()
}

#[tokio::test]
async fn the_next_request_is_what_it_would_have_been() {
    let (model, other) = (answers(), answers());
    let (session, untouched) = (session(&model).await, session(&other).await);
    let before = session.history();
    session.compact().unwrap().await.unwrap();
    assert_ne!(session.history(), before);
    assert!(session.undo_compaction().await.unwrap());
    assert_eq!(session.history(), before);
    assert!(!session.undo_compaction().await.unwrap(), "once");
    say(&session, "second").await;
    say(&untouched, "second").await;
    assert_eq!(last_body(&model), last_body(&other));
}

/// What came since stays behind it.
#[tokio::test]
async fn what_was_said_since_stays() {
    let model = ScriptedModel::new().text("one").text("SUMMARY").text("two").text("three");
    let session = open(scripted(&model)).await;
    say(&session, "first").await;
    session.compact().unwrap().await.unwrap();
    say(&session, "second").await;
    assert!(session.undo_compaction().await.unwrap());
    say(&session, "third").await;
    let expected = ["user first", "assistant one", "user second", "assistant two", "user third"];
    assert_eq!(last_sent(&model), expected);
    assert!(!session.undo_compaction().await.unwrap());
    model.assert_complete();
}

/// Settings that only the compacted context spoke of are told again.
#[tokio::test]
async fn the_model_is_told_of_settings_that_the_old_conversation_does_not_know() {
    let (model, other) = (answers(), answers());
    let (session, untouched) = (session(&model).await, session(&other).await);
    for session in [&session, &untouched] {
        move_to(session, "/other").await;
    }
    session.compact().unwrap().await.unwrap();
    assert!(conversation(&session.history())[0].contains("<cwd>/other</cwd>"));
    assert!(session.undo_compaction().await.unwrap());
    for session in [&session, &untouched] {
        say(session, "second").await;
    }
    assert_eq!(last_body(&model), last_body(&other));
    assert!(last_sent(&model).iter().any(|line| line.contains("<cwd>/other</cwd>")));
}

/// The same where a later turn has told of other settings still.
#[tokio::test]
async fn the_last_word_on_settings_is_the_present_one() {
    for places in
        [["/other", "/third", "/third"], ["/other", "/third", "/work"], ["/a", "/a", "/a"]]
    {
        let model = answers();
        let session = session(&model).await;
        move_to(&session, places[0]).await;
        session.compact().unwrap().await.unwrap();
        move_to(&session, places[1]).await;
        say(&session, "second").await;
        assert!(session.undo_compaction().await.unwrap());
        move_to(&session, places[2]).await;
        say(&session, "third").await;
        let told = last_sent(&model);
        let last = told.iter().rfind(|line| line.contains("<cwd>")).unwrap();
        assert!(last.contains(&format!("<cwd>{}</cwd>", places[2])), "{places:?}: {told:#?}");
    }
}

/// One that came by itself can be taken back too; the limit is not reached by what was said before.
#[tokio::test]
async fn an_automatic_compaction_is_taken_back_and_not_made_at_once_again() {
    let model = ScriptedModel::new()
        .usage(100, 0)
        .text("one")
        .usage(10, 0)
        .text("SUMMARY")
        .text("two")
        .text("three");
    let session = open(scripted(&model).auto_compact_token_limit(50)).await;
    say(&session, "first").await;
    say(&session, "second").await;
    assert!(session.undo_compaction().await.unwrap());
    say(&session, "third").await;
    assert_eq!(kinds(&model), ["standard", "compact", "standard", "standard"]);
    assert_eq!(last_sent(&model)[0], "user first");
    model.assert_complete();
}

#[tokio::test]
async fn only_the_last_one_is_taken_back() {
    let model = ScriptedModel::new().text("one").text("FIRST").text("two").text("SECOND");
    let session = open(scripted(&model)).await;
    assert!(!session.undo_compaction().await.unwrap(), "there was none");
    say(&session, "first").await;
    session.compact().unwrap().await.unwrap();
    say(&session, "second").await;
    session.compact().unwrap().await.unwrap();
    assert!(session.undo_compaction().await.unwrap());
    let expected = [&bridge(&["first"], "FIRST"), "user second", "assistant two"];
    assert_eq!(conversation(&session.history()), expected);
    assert!(!session.undo_compaction().await.unwrap());
}

/// What the context takes is what the old conversation takes, with what came since.
#[tokio::test]
async fn the_room_that_was_made_is_taken_again() {
    let model = ScriptedModel::new().text("one ".repeat(200)).text("SUMMARY");
    let session = open(scripted(&model)).await;
    say(&session, "first").await;
    let taken = |session: &Session| session.token_count().0.unwrap().context_tokens();
    session.compact().unwrap().await.unwrap();
    assert_eq!(taken(&session), session.history().tokens());
    assert!(session.undo_compaction().await.unwrap());
    assert_eq!(taken(&session), session.history().tokens());
    let info = session.token_count().0.unwrap();
    assert_eq!(info.total_token_usage.total, 30, "what was used stays used");
}
