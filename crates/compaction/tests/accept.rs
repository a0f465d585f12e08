//! The test that every result has to pass.

#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::sync::Arc;

use common::{
    Installs, Says, assistant, bridge, budget, by_hand, call, config, developer, history, output,
    says, talk, text, tokens, user, view,
};
use longhaul_compaction::{Answer, Cause, Config, Error, Keep};
use longhaul_history::{BridgeParts, ContentPart, Item, Part};

/// F169.
#[test]
fn a_summary_that_is_no_smaller_is_refused() {
    let (view, budget) = by_hand();
    let before = view.sent_tokens();
    let course = says(&Config::default(), view, budget, &text(&tokens("s", 4_000)));
    let Err(Error::NotSmaller { before: told, after }) = course.end else { panic!() };
    assert!(told == before && after > before);
}

/// Sizes around 2,000 tokens and around the size before.
#[test]
fn only_a_tiny_result_may_be_larger() {
    for old in [100, 1_890, 2_100, 3_000] {
        for summary in [1, 1_700, 1_800, 1_900, 2_000, 2_500, 3_500] {
            let budget = budget(Cause::Manual, None);
            let talk = vec![assistant(&tokens("x", old)), assistant("y")];
            let view = view(talk, Keep::default(), &budget);
            let before = view.sent_tokens();
            let after = history([bridge(&[], &tokens("s", summary))]).tokens();
            let course = says(&Config::default(), view, budget, &text(&tokens("s", summary)));
            assert_eq!(course.end.is_ok(), after <= 2_000 || after <= before, "{old} {summary}");
        }
    }
}

#[test]
fn a_result_has_to_leave_the_reserve() {
    for window in [3_890, 3_891, 8_000] {
        let ceiling = window - window / 10;
        let prose = history([bridge(&[], "")]).tokens();
        for summary in ceiling - prose - 20..=ceiling - prose + 20 {
            let summary = tokens("s", usize::try_from(summary).unwrap());
            let mut budget = budget(Cause::Limit, Some(window));
            (budget.used, budget.limit, budget.overhead) = (Some(9_000), 9_000, 7);
            let talk = vec![assistant(&tokens("x", 9_000)), assistant("y")];
            let view = view(talk, Keep::default(), &budget);
            let after = history([bridge(&[], &summary)]).tokens() + 7;
            let config = config(|config| config.rungs = vec![Arc::new(Says(summary))]);
            let course = says(&config, view, budget, &Answer::Failed);
            match course.end {
                Ok(_) => assert!(window == 3_890 || after <= ceiling),
                Err(Error::TooLarge { tokens, ceiling: told }) => {
                    assert_eq!((tokens, told), (after, ceiling));
                    assert!(after > ceiling && window > 3_890);
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
}

#[test]
fn what_must_be_kept_is_looked_for_whoever_made_the_result() {
    let talk = || {
        vec![
            developer("d"),
            assistant("rule").pinned(),
            assistant("rule 2").pinned(),
            call("a", "1"),
            output("a", "A"),
            user("one"),
            user("two"),
            assistant(&tokens("x", 3_000)),
        ]
    };
    let quoted = |message: &str| Part::New(bridge(&["one", message], "s"));
    let good = |last: Vec<Part>| [vec![Part::Keep(0..3)], last].concat();
    let table = [
        (vec![], "the initial context"),
        (vec![Part::Keep(1..3), quoted("two")], "the initial context"),
        (vec![quoted("two"), Part::Keep(0..3)], "the initial context"),
        (vec![Part::Keep(0..2), quoted("two")], "a pinned item"),
        (vec![Part::Keep(0..1), Part::Keep(2..3), quoted("two")], "a pinned item"),
        (good(vec![]), "the user's last message"),
        (good(vec![quoted("tw")]), "the user's last message"),
        (good(vec![quoted("two ")]), "the user's last message"),
        (good(vec![Part::New(user("two "))]), "the user's last message"),
        (good(vec![Part::New(user("t")), Part::Keep(5..6)]), "the user's last message"),
        (good(vec![Part::Keep(3..4), quoted("two")]), "the other half of a call"),
        (good(vec![Part::Keep(4..5), quoted("two")]), "the other half of a call"),
        (good(vec![quoted("two")]), ""),
        (good(vec![Part::Keep(6..7)]), ""),
        (good(vec![Part::Keep(3..7)]), ""),
    ];
    for (parts, missing) in table {
        let budget = budget(Cause::Manual, None);
        let view = view(talk(), Keep::default(), &budget);
        let config = config(|config| config.rungs = vec![Arc::new(Installs(parts.clone()))]);
        let course = says(&config, view, budget, &Answer::Failed);
        match course.end {
            Ok(_) => assert_eq!(missing, "", "{parts:?}"),
            Err(Error::Lacks { strategy, what }) => {
                assert_eq!((&*strategy, what), ("installs", missing), "{parts:?}");
            }
            Err(error) => panic!("{error} {parts:?}"),
        }
    }
    for parts in [vec![Part::Keep(0..9)], vec![Part::Keep(5..8), Part::Keep(0..1)]] {
        let budget = budget(Cause::Manual, None);
        let view = view(talk(), Keep::default(), &budget);
        let config = config(|config| config.rungs = vec![Arc::new(Installs(parts.clone()))]);
        let course = says(&config, view, budget, &Answer::Failed);
        assert!(matches!(course.end, Err(Error::Edit(_))), "{parts:?}");
    }
}

/// What a bridge remembers is not what a model sees.
#[test]
fn a_bridge_has_to_show_what_it_quotes() {
    let budget = budget(Cause::Manual, None);
    let quoted = |text: &str| {
        let parts = BridgeParts { user_messages: vec!["the task".into()], summary: "s".into() };
        let content = [ContentPart::InputText { text: text.into() }];
        vec![Part::New(Item::bridge(&content, &parts))]
    };
    for (text, is_shown) in [("do the task now: s", true), ("nonsense", false)] {
        let talk = vec![user("the task"), assistant("done")];
        let config = config(|config| config.rungs = vec![Arc::new(Installs(quoted(text)))]);
        let view = view(talk, Keep::default(), &budget);
        let course = says(&config, view, budget, &Answer::Failed);
        assert_eq!(course.end.is_ok(), is_shown, "{text}");
    }
}

#[test]
fn a_result_that_changes_nothing_is_not_installed() {
    let whole = Arc::new(Installs(vec![Part::Keep(0..6)]));
    let config = config(|config| config.rungs = vec![whole.clone()]);
    let (view, budget) = by_hand();
    let course = says(&config, view, budget, &Answer::Failed);
    assert!(matches!(course.end, Err(Error::NothingToDo)), "{course:?}");
    // The same items anew are the same conversation.
    let parts = talk().into_iter().map(Part::New).collect();
    let config = common::config(|config| config.rungs = vec![Arc::new(Installs(parts))]);
    let (view, budget) = by_hand();
    let course = says(&config, view, budget, &Answer::Failed);
    assert!(matches!(course.end, Err(Error::NothingToDo)), "{course:?}");
}
