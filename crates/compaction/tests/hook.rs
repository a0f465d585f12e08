//! What a host may say of a result.

#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use common::{
    WINDOW, applied, assistant, bridge, budget, call, developer, drive, history, items,
    ladder_with, talk, text, the_bridge, tokens, user, view,
};
use longhaul_compaction::{Cause, Config, Keep, Ladder, Verdict};
use longhaul_history::Part;

/// What comes of a verdict on the first result.
fn judged(verdict: &Verdict) -> common::Course {
    let ladder = ladder_with(&Config::default(), true);
    drive(ladder, |_| text("s"), |_| verdict.clone())
}

#[test]
fn the_host_is_shown_the_conversation_before_and_after() {
    let course = judged(&Verdict::Accept);
    let [shown] = &course.shown[..] else { panic!() };
    assert_eq!(items(&shown.before), talk());
    assert_eq!(shown.after, applied(&shown.before, course.installed()));
    assert_eq!(course.installed().report.strategy, "summarise");
}

#[test]
fn a_host_may_say_no() {
    let course = judged(&Verdict::Veto("not now".into()));
    assert_eq!(course.error(), "the host refused the result: not now");
    assert_eq!((course.asked.len(), course.shown.len()), (1, 1));
}

#[test]
fn a_host_may_put_its_own_in_the_place() {
    let mine = bridge(&["one", "two"], "mine");
    let course = judged(&Verdict::Replace(vec![Part::Keep(0..2), Part::New(mine.clone())]));
    let after = applied(&history(talk()), course.installed());
    assert_eq!(items(&after)[2..], [mine]);
    assert_eq!(course.installed().report.strategy, "hook");
    assert_eq!(course.installed().report.tokens_after, after.tokens());
    assert_eq!(course.shown.len(), 1, "its own result is not shown to it");
}

#[test]
fn a_host_may_add_to_a_result() {
    let note = developer("mind the gap");
    let course = judged(&Verdict::Amend(vec![note.clone()]));
    let after = applied(&history(talk()), course.installed());
    assert_eq!(items(&after)[2..], [bridge(&["one", "two"], "s"), note]);
    assert_eq!(course.installed().report.strategy, "summarise");
    assert_eq!(course.installed().report.tokens_after, after.tokens());
    // What is pending stays the last.
    let budget = budget(Cause::Manual, None);
    let view = view([talk(), vec![user("three")]].concat(), Keep::default(), &budget);
    let before = view.history().clone();
    let ladder = Ladder::new(&Config::default(), view, budget, true);
    let verdict = Verdict::Amend(vec![developer("n")]);
    let course = drive(ladder, |_| text("s"), |_| verdict.clone());
    let after = applied(&before, course.installed());
    assert_eq!(items(&after)[3..], [developer("n"), user("three")]);
}

/// A host's result passes the same test; where it fails, the next rung is tried.
#[test]
fn a_hosts_result_passes_the_same_test() {
    let huge = assistant(&tokens("x", 9_000));
    let table = [
        (Verdict::Replace(vec![]), "the result of `hook` lacks the initial context"),
        (
            Verdict::Replace(vec![Part::Keep(0..2)]),
            "the result of `hook` lacks the user's last message",
        ),
        (Verdict::Replace(vec![Part::Keep(0..7)]), "the result cannot be put together"),
        (
            Verdict::Replace(vec![Part::Keep(0..6), Part::New(huge.clone())]),
            "the result would take",
        ),
        (Verdict::Amend(vec![call("z", "1")]), "the result of `summarise` lacks the other half"),
        (Verdict::Amend(vec![huge]), "the result would take"),
        (Verdict::Replace(vec![Part::Keep(0..6)]), "there is nothing to leave out"),
    ];
    for (verdict, expected) in table {
        let course = judged(&verdict);
        assert!(course.error().starts_with(expected), "{verdict:?}: {}", course.error());
    }
}

#[test]
fn the_next_rung_is_tried_and_shown_too() {
    let talk = || vec![user("one"), assistant(&tokens("x", 9_000)), assistant("y")];
    let budget = budget(WINDOW, Some(8_000));
    let view = view(talk(), Keep::default(), &budget);
    let before = view.history().clone();
    let ladder = Ladder::new(&Config::default(), view, budget, true);
    let mut verdicts = [Verdict::Replace(vec![]), Verdict::Accept].into_iter();
    let course = drive(ladder, |_| text("s"), |_| verdicts.next().unwrap());
    assert_eq!(course.shown.len(), 2);
    assert_eq!(course.installed().report.strategy, "extract");
    assert_eq!(the_bridge(&applied(&before, course.installed())).user_messages, ["one"]);
}
