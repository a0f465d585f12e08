//! One compaction from its first fact to its end: bounds, and facts that fit nothing.

#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::sync::Arc;

use common::{
    Asks, Installs, Says, WINDOW, applied, assistant, at, bridge, budget, by_hand, call, config,
    developer, drive, items, ladder_with, output, refused, says, summed_up, talk, text, tokens,
    user, view,
};
use longhaul_compaction::{
    Action, Answer, Cause, ClearOutputs, Compacted, Config, Error, Extract, Fact, Keep, Ladder,
    LastRung, SUMMARIZATION_PROMPT, Strategy, Summarise, Trigger, Verdict,
};
use longhaul_history::Part;

#[test]
fn a_compaction_is_told_whole() {
    let mut ladder = ladder_with(&Config::default(), false);
    let before = ladder.view().history().clone();
    let Action::Ask(ask) = ladder.apply(Fact::Started, at(0)) else { panic!() };
    assert_eq!(ask.input, [Part::Keep(0..6)]);
    let Action::Install(compacted) = ladder.apply(Fact::Answered(text("So far.")), at(7)) else {
        panic!()
    };
    let bridge = bridge(&["one", "two"], "So far.");
    let parts = [Part::Keep(0..1), Part::Keep(1..2), Part::New(bridge.clone())];
    assert_eq!((compacted.replaced, &compacted.parts[..]), (6, &parts[..]));
    let after = applied(&before, &compacted);
    let expected = serde_json::json!({
        "trigger": "manual", "strategy": "summarise",
        "tokens_before": before.tokens(), "tokens_after": after.tokens(),
        "kept_items": 2, "dropped_items": 4, "trimmed_items": 0, "cut_tokens": 0,
        "requests": 1, "duration_ms": 7_000,
    });
    assert_eq!(serde_json::to_value(&compacted.report).unwrap(), expected);

    // As the log holds it, it gives the same conversation.
    let json = serde_json::to_string(&compacted).unwrap();
    let read: Compacted = serde_json::from_str(&json).unwrap();
    assert_eq!(read, compacted);
    assert_eq!(applied(&before, &read), after);
    assert_eq!(items(&after), [developer("be brief"), assistant("a rule").pinned(), bridge]);
    assert!(!json.contains("be brief") && !json.contains("a rule"), "what is kept is not copied");
}

/// F171: the old history stays, and the caller is told.
#[test]
fn no_summary_no_compaction() {
    let table = [
        (Answer::Failed, "the model could not be asked for a summary"),
        (text(""), "the model answered without a summary"),
        (text(" \n\t"), "the model answered without a summary"),
    ];
    for (answer, expected) in table {
        let (view, budget) = by_hand();
        let course = says(&Config::default(), view, budget, &answer);
        assert_eq!((course.asked.len(), &*course.error()), (1, expected));
    }
}

#[test]
fn a_compacted_conversation_is_not_compacted_again() {
    let budget = budget(Cause::Manual, None);
    let first = view(talk(), Keep::default(), &budget);
    let before = first.history().clone();
    let after = applied(&before, summed_up(first, budget).installed());
    for pending in [vec![], vec![user("three")]] {
        let again = view([items(&after), pending].concat(), Keep::default(), &budget);
        let course = summed_up(again, budget);
        assert_eq!(course.asked, []);
        assert!(matches!(course.end, Err(Error::NothingToDo)));
    }
}

type Change = fn(&mut Config);

#[test]
fn requests_tokens_and_time_are_bounded() {
    let asks = || config(|config| config.rungs = vec![Arc::new(Asks), Arc::new(Asks)]);
    let table: [(Change, usize, &str); 6] = [
        (|_| {}, 3, "requests"),
        (|config| config.bounds.max_requests = 0, 0, "requests"),
        (|config| config.bounds.max_requests = 7, 7, "requests"),
        (|config| config.bounds.max_tokens = 2_999, 2, "tokens"),
        (|config| config.bounds.max_tokens = 3_000, 3, "requests"),
        (|config| config.bounds.max_time = at(2), 2, "time"),
    ];
    for (change, requests, bound) in table {
        let mut config = asks();
        change(&mut config);
        let (view, budget) = by_hand();
        let course = says(&config, view, budget, &Answer::Failed);
        assert_eq!(course.asked.len(), requests);
        assert_eq!(course.error(), format!("the compaction's bound on {bound} is reached"));
    }
}

#[test]
fn without_models_only_what_is_local_is_done() {
    let talk = || vec![user("one"), assistant(&tokens("x", 9_000)), assistant("y")];
    for cause in [WINDOW, Cause::Limit] {
        let budget = budget(cause, Some(8_000));
        let view = view(talk(), Keep::default(), &budget);
        let ladder = Ladder::new(&Config::default(), view, budget, false).without_models();
        let course = drive(ladder, |_| panic!("no model is asked"), |_| Verdict::Accept);
        match course.end {
            Ok(compacted) => assert_eq!((cause, &*compacted.report.strategy), (WINDOW, "extract")),
            Err(error) => {
                assert!(cause == Cause::Limit && matches!(error, Error::Bound("requests")));
            }
        }
    }
}

/// The rung without a model is for conversations that cannot be sent.
#[test]
fn the_last_rung_is_for_what_cannot_be_sent() {
    let causes = [
        (Cause::Manual, false),
        (Cause::Limit, false),
        (Cause::Window { is_certain: false }, false),
        (WINDOW, true),
        (refused(9_000), true),
    ];
    for (cause, is_extracted) in causes {
        for last_rung in [LastRung::Extract, LastRung::Refuse] {
            let mut budget = budget(cause, Some(8_000));
            (budget.used, budget.limit) = (Some(9_000), 8_000);
            let talk = vec![user("one"), assistant(&tokens("x", 9_000)), assistant("y")];
            let config = config(|config| config.last_rung = last_rung);
            let view = view(talk, Keep::default(), &budget);
            let course = says(&config, view, budget, &Answer::Failed);
            match (&course.end, is_extracted && last_rung == LastRung::Extract) {
                (Ok(compacted), true) => {
                    assert_eq!(compacted.report.strategy, "extract");
                    assert_eq!(compacted.report.trimmed_items, 0, "no model saw anything");
                    assert_eq!(compacted.report.requests, 1);
                    assert_eq!(compacted.report.trigger, Trigger::Auto);
                }
                (Err(Error::Model), false) => {}
                other => panic!("{other:?}"),
            }
        }
    }
}

#[test]
fn a_fact_that_fits_nothing_is_ignored() {
    let mut ladder = ladder_with(&Config::default(), true);
    let Action::Ask(ask) = ladder.apply(Fact::Judged(Verdict::Accept), at(0)) else { panic!() };
    for fact in [Fact::Started, Fact::Judged(Verdict::Veto("no".into()))] {
        let Action::Ask(again) = ladder.apply(fact, at(1)) else { panic!() };
        assert_eq!(again, ask);
    }
    let Action::Consult(shown) = ladder.apply(Fact::Answered(text("s")), at(2)) else { panic!() };
    for fact in [Fact::Started, Fact::Answered(text("other")), Fact::Answered(Answer::Failed)] {
        let Action::Consult(again) = ladder.apply(fact, at(3)) else { panic!() };
        assert_eq!(again.compacted, shown.compacted);
    }
    let Action::Install(done) = ladder.apply(Fact::Judged(Verdict::Accept), at(4)) else {
        panic!()
    };
    let mut report = shown.compacted.report.clone();
    report.duration = at(4);
    assert_eq!((done.report.clone(), report.requests), (report, 1));
    for fact in
        [Fact::Started, Fact::Answered(text("other")), Fact::Judged(Verdict::Veto("no".into()))]
    {
        let Action::Install(again) = ladder.apply(fact, at(5)) else { panic!() };
        assert_eq!(again, done);
    }
}

#[test]
fn what_failed_stays_failed() {
    let ends: [fn(&mut Ladder) -> Action; 2] = [
        |ladder| {
            ladder.apply(Fact::Started, at(0));
            ladder.apply(Fact::Answered(Answer::Failed), at(1))
        },
        |ladder| {
            ladder.apply(Fact::Started, at(0));
            ladder.apply(Fact::Answered(text("s")), at(1));
            ladder.apply(Fact::Judged(Verdict::Veto("no".into())), at(1))
        },
    ];
    for end in ends {
        let mut ladder = ladder_with(&Config::default(), true);
        let Action::Fail(error) = end(&mut ladder) else { panic!() };
        for fact in [Fact::Started, Fact::Answered(text("s")), Fact::Judged(Verdict::Accept)] {
            let Action::Fail(again) = ladder.apply(fact, at(2)) else { panic!() };
            assert_eq!(again.to_string(), error.to_string());
        }
    }
}

/// F169 and F171 on the way to the last rung: each rung's failure leads to the next.
#[test]
fn each_rung_is_tried_in_order() {
    let outputs = || {
        let pairs =
            (0..10).flat_map(|n| [call("a", &n.to_string()), output("a", &tokens("o", 900))]);
        [vec![user("one")], pairs.collect(), vec![assistant("y")]].concat()
    };
    let budget = budget(WINDOW, Some(8_000));
    let course = says(
        &Config::default(),
        view(outputs(), Keep::default(), &budget),
        budget,
        &Answer::Failed,
    );
    assert_eq!((&*course.installed().report.strategy, course.asked.len()), ("clear_outputs", 0));

    let rungs: [(Vec<Arc<dyn Strategy>>, &str); 3] = [
        (vec![Arc::new(Installs(vec![])), Arc::new(ClearOutputs::default())], "clear_outputs"),
        (vec![Arc::new(Says(tokens("long", 9_000))), Arc::new(Summarise::default())], "extract"),
        (vec![Arc::new(Asks), Arc::new(Extract::default())], "extract"),
    ];
    for (rungs, expected) in rungs {
        let config = config(|config| config.rungs = rungs);
        let view = view(outputs(), Keep::default(), &budget);
        let course = says(&config, view, budget, &text(""));
        assert_eq!(course.installed().report.strategy, expected);
    }
}

/// W15 and W17 of the catalogue: the prompt and the answer are in no history.
#[test]
fn the_prompt_is_recorded_nowhere() {
    let (view, budget) = by_hand();
    let before = view.history().clone();
    let course = summed_up(view, budget);
    assert_eq!(items(&before), talk());
    let after = applied(&before, course.installed());
    assert!(after.iter().all(|item| !item.json().contains(&SUMMARIZATION_PROMPT[..60])));
}
