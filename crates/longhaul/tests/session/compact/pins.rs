//! Pinned items, and what is recorded while a conversation is compacted.

use longhaul::history::{CallOutput, Item, ReasoningFilter};
use longhaul_testkit::ScriptedModel;
use longhaul_testkit::server::Gate;

use super::support::{bridge, last_sent, open, prompt, say, sent};
use crate::support::{Probe, conversation, scripted};

#[tokio::test]
async fn pinned_items_stay_through_every_compaction() {
    let model = ScriptedModel::new().text("x").repeat_last();
    let session = open(scripted(&model)).await;
    say(&session, "first").await;
    session.pin(&Item::user("the rule")).await.unwrap();
    session.pin(&Item::function_call("p1", "plan", "{}")).await.unwrap();
    session.pin(&Item::function_call_output("p1", CallOutput::text("step by step"))).await.unwrap();
    say(&session, "second").await;
    let pinned = ["user the rule", "call p1 plan {}", "output p1 step by step"];
    for round in ["third", "fourth"] {
        session.compact().unwrap().await.unwrap();
        let said = conversation(&session.history());
        assert_eq!(said[..3], pinned, "{round}");
        assert_eq!(said.len(), 4, "{said:?}");
        say(&session, round).await;
    }
    session.compact().unwrap().await.unwrap();
    let quoted = bridge(&["first", "second", "third", "fourth"], "x");
    assert_eq!(conversation(&session.history()), [&pinned[..], &[&quoted]].concat());
    let wire = session.history().prompt(ReasoningFilter::KeepAll).to_json();
    assert!(!wire.contains("longhaul_"), "no model sees the mark: {wire}");
}

/// A quarter of the window is for pins, all together.
#[tokio::test]
async fn a_pin_that_has_no_room_is_refused() {
    let model = ScriptedModel::new();
    let session = open(scripted(&model)).await;
    let words = "word ".repeat(12_000);
    session.pin(&Item::user(&*words)).await.unwrap();
    let before = session.history();
    let error = session.pin(&Item::user(&*words)).await.unwrap_err();
    assert_eq!(error.code(), "invalid_submission");
    assert!(error.to_string().contains("23750, a quarter"), "{error}");
    assert_eq!(session.history(), before);
    session.pin(&Item::user("short")).await.unwrap();
}

#[tokio::test]
async fn a_pin_during_a_compaction_stays_behind_its_result() {
    let gate = Gate::new("summary");
    let model =
        ScriptedModel::new().text("one").hold(&gate).text("SUMMARY").text("two").text("AGAIN");
    let session = open(scripted(&model)).await;
    say(&session, "first").await;
    let compact = session.compact().unwrap();
    gate.reached().await;
    session.pin(&Item::user("the rule")).await.unwrap();
    gate.open();
    compact.await.unwrap();
    let bridge = bridge(&["first"], "SUMMARY");
    assert_eq!(conversation(&session.history()), [&bridge, "user the rule"]);
    say(&session, "second").await;
    assert_eq!(last_sent(&model), [&bridge, "user the rule", "user second"]);
    session.compact().unwrap().await.unwrap();
    assert!(conversation(&session.history()).contains(&"user the rule".to_owned()));
    model.assert_complete();
}

/// In a turn, too: what was pinned while the summary was written is in the next request.
#[tokio::test]
async fn a_pin_during_a_compaction_of_a_turn_is_in_its_next_request() {
    let gate = Gate::new("summary");
    let model = ScriptedModel::new()
        .usage(100, 0)
        .call("c1", "echo", "{}")
        .usage(10, 0)
        .hold(&gate)
        .text("SUMMARY")
        .text("answer");
    let agent = scripted(&model).auto_compact_token_limit(50).tool(Probe::echo("echo"));
    let session = open(agent).await;
    let turn = session.prompt("go").await.unwrap();
    gate.reached().await;
    session.pin(&Item::user("the rule")).await.unwrap();
    gate.open();
    turn.await.unwrap();
    assert_eq!(sent(&model, 1).last().unwrap(), &prompt());
    assert_eq!(last_sent(&model), [&bridge(&["go"], "SUMMARY"), "user the rule"]);
    model.assert_complete();
}

/// A conversation whose beginning changed meanwhile keeps what it has, and says so.
#[tokio::test]
async fn a_result_is_installed_over_what_it_was_made_of_and_nothing_else() {
    let gate = Gate::new("summary");
    let model = ScriptedModel::new()
        .text("one")
        .text("SUMMARY")
        .text("two")
        .hold(&gate)
        .text("ANOTHER")
        .text("three");
    let session = open(scripted(&model)).await;
    say(&session, "first").await;
    session.compact().unwrap().await.unwrap();
    say(&session, "second").await;
    let compact = session.compact().unwrap();
    gate.reached().await;
    assert!(
        session.undo_compaction().await.unwrap(),
        "the only change of a beginning that a session offers"
    );
    let undone = session.history();
    gate.open();
    let error = compact.await.unwrap_err();
    assert_eq!(error.code(), "compaction_failed");
    assert!(error.to_string().contains("changed"), "{error}");
    assert_eq!(session.history(), undone);
    let expected = ["user first", "assistant one", "user second", "assistant two"];
    assert_eq!(conversation(&undone), expected);
    say(&session, "third").await;
    model.assert_complete();
}

/// What is pinned before anything is said stays behind the context, which is written anew.
#[tokio::test]
async fn a_pin_before_the_first_turn_stays_and_the_context_is_there_once() {
    let model = ScriptedModel::new().text("x").repeat_last();
    let context = longhaul::coding::CodingContext::new(None);
    let session = open(scripted(&model).context(context).cwd("/work")).await;
    session.pin(&Item::user("the rule")).await.unwrap();
    say(&session, "first").await;
    for turn in ["second", "third"] {
        session.compact().unwrap().await.unwrap();
        say(&session, turn).await;
        let lines = last_sent(&model);
        assert!(lines[0].starts_with("user <environment_context>"), "{lines:?}");
        assert_eq!((lines[1].as_str(), lines.len()), ("user the rule", 4), "{lines:?}");
        assert_eq!(lines[3], format!("user {turn}"));
    }
}
