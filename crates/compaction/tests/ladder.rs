//! One compaction from its first fact to its end: bounds, hooks, facts that fit nothing.

#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{
    WINDOW, applied, assistant, bridge, budget, call, config, developer, drive, history, items,
    output, refused, says, summed_up, the_bridge, tokens, user, view,
};
use longhaul_compaction::{
    Action, Answer, Ask, Budget, Cause, ClearOutputs, Compacted, Config, Error, Extract, Fact,
    Keep, Ladder, LastRung, Progress, Replacement, SUMMARIZATION_PROMPT, Step, Strategy, Summarise,
    Trigger, Verdict, View,
};
use longhaul_history::{Item, Part};

fn talk() -> Vec<Item> {
    vec![
        developer("be brief"),
        assistant("a rule").pinned(),
        user("one"),
        assistant(&tokens("done", 3_000)),
        user("two"),
        assistant("done too"),
    ]
}

fn text(text: &str) -> Answer {
    Answer::Text(text.into())
}

fn by_hand() -> (View, Budget) {
    let budget = budget(Cause::Manual, None);
    (view(talk(), Keep::default(), &budget), budget)
}

fn ladder_with(config: &Config, has_hook: bool) -> Ladder {
    let (view, budget) = by_hand();
    Ladder::new(config, view, budget, has_hook)
}

fn at(second: u64) -> Duration {
    Duration::from_secs(second)
}

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
    for window in [4_095, 4_096, 8_000] {
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
                Ok(_) => assert!(window == 4_095 || after <= ceiling),
                Err(Error::TooLarge { tokens, ceiling: told }) => {
                    assert_eq!((tokens, told), (after, ceiling));
                    assert!(after > ceiling && window > 4_095);
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
}

/// A strategy that has a summary without a model.
struct Says(String);

impl Strategy for Says {
    fn name(&self) -> &'static str {
        "says"
    }

    fn next(&self, view: &View, budget: &Budget, _: &Progress) -> Step {
        Step::Install(view.bridge(&self.0, budget).unwrap())
    }
}

/// A strategy that installs what it is told.
struct Installs(Vec<Part>);

impl Strategy for Installs {
    fn name(&self) -> &'static str {
        "installs"
    }

    fn next(&self, _: &View, _: &Budget, _: &Progress) -> Step {
        Step::Install(Replacement::from(self.0.clone()))
    }
}

/// A strategy that asks again whatever it is told.
struct Asks;

impl Strategy for Asks {
    fn name(&self) -> &'static str {
        "asks"
    }

    fn next(&self, _: &View, _: &Budget, _: &Progress) -> Step {
        Step::Ask(Ask {
            input: vec![],
            prompt: "why?".into(),
            model: None,
            trimmed_items: 7,
            tokens: 1_000,
        })
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
