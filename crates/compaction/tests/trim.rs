//! A conversation that is too long to be summed up: what the request for a summary leaves out.

#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::sync::Arc;

use common::{
    WINDOW, assistant, bridge, budget, call, config, developer, drive, environment, ghost, items,
    keep, output, reasoning, refused, sent, tokens, user, view,
};
use longhaul_compaction::{
    Answer, Ask, Budget, Cause, Config, Keep, Ladder, LastRung, Refused, SUMMARIZATION_PROMPT,
    Summarise, SummaryModel, Tail, Verdict, View,
};
use longhaul_history::{History, Item, ReasoningFilter};
use longhaul_testkit::check::pairing;
use proptest::prelude::*;

/// A model that finds every request too long, with these counts.
fn never(prompt: Option<u64>, window: Option<u64>) -> Answer {
    Answer::TooLong { prompt, window }
}

fn only(summarise: Summarise) -> Config {
    config(|config| {
        config.rungs = vec![Arc::new(summarise)];
        config.last_rung = LastRung::Refuse;
    })
}

/// What is asked of such a model, and the error at the end.
fn asked(summarise: Summarise, view: View, budget: Budget, answer: &Answer) -> (Vec<Ask>, String) {
    let ladder = Ladder::new(&only(summarise), view, budget, false);
    let course = drive(ladder, |_| answer.clone(), |_| Verdict::Accept);
    let error = course.error();
    (course.asked, error)
}

fn input(view: &View, ask: &Ask) -> History {
    view.history().composed(ask.input.iter().cloned()).unwrap()
}

/// Twelve messages of a hundred tokens, and all that is never left out among them.
fn talk() -> Vec<Item> {
    let filler = |name: &str| assistant(&tokens(name, 96));
    vec![
        developer("be brief"),
        environment("cwd"),
        bridge(&["old"], "older"),
        filler("1"),
        bridge(&["zero"], "s"),
        filler("2"),
        call("p", "1").pinned(),
        filler("3"),
        output("p", "P"),
        ghost("g"),
        user("an older message"),
        filler("4"),
        user("the last message"),
        reasoning(),
        call("a", "2"),
        output("a", &tokens("A", 92)),
        filler("5"),
        filler("6"),
    ]
}

fn fixed() -> Vec<Item> {
    let (pinned, other) = (call("p", "1").pinned(), output("p", "P"));
    let bridge = bridge(&["zero"], "s");
    vec![developer("be brief"), environment("cwd"), bridge, pinned, other, user("the last message")]
}

fn whole_view(budget: &Budget) -> View {
    view(talk(), Keep::default(), budget)
}

#[test]
fn the_request_is_the_whole_conversation_where_that_fits() {
    let budget = budget(Cause::Manual, None);
    let view = whole_view(&budget);
    let (asked, _) = asked(Summarise::default(), view.clone(), budget, &Answer::Failed);
    let [ask] = &asked[..] else { panic!("{asked:?}") };
    assert_eq!(items(&input(&view, ask)), talk());
    assert_eq!((ask.trimmed_items, ask.model.clone()), (0, None));
    assert_eq!(ask.prompt, SUMMARIZATION_PROMPT);
    assert_eq!(ask.tokens, view.sent_tokens() + SUMMARIZATION_PROMPT.len().div_ceil(4) as u64);
}

#[test]
fn guidance_and_another_model_are_passed_on() {
    let budget = budget(Cause::Manual, None);
    let mut summarise = Summarise::default();
    summarise.guidance = Some("Mind the tests.".into());
    summarise.model = Some(SummaryModel { slug: "small".into(), window: None });
    let (asked, _) = asked(summarise, whole_view(&budget), budget, &Answer::Failed);
    assert_eq!(asked[0].model.as_deref(), Some("small"));
    assert_eq!(asked[0].prompt, format!("{SUMMARIZATION_PROMPT}\n\nMind the tests."));
}

/// F170: what may not be left out stands in the middle, and what is older and newer goes past it.
#[test]
fn the_oldest_go_and_what_is_kept_stays_wherever_it_stands() {
    let budget = budget(Cause::Manual, None);
    let view = whole_view(&budget);
    let (asked, error) = asked(Summarise::default(), view.clone(), budget, &never(None, None));
    assert_eq!(asked.len(), 3);
    assert_eq!(error, "the compaction's bound on requests is reached");
    let counts: Vec<usize> = asked.iter().map(|ask| ask.trimmed_items).collect();
    assert_eq!(counts, [0, 6, 10], "half and half again of what may go");
    let second = items(&input(&view, &asked[1]));
    assert_eq!(second, [&fixed()[..], &talk()[13..]].concat());
    let third = items(&input(&view, &asked[2]));
    assert_eq!(third, [&fixed()[..], &talk()[17..]].concat());
}

/// With counts of its own the server has said what fits.
#[test]
fn the_servers_counts_say_how_much_is_left_out() {
    let budget = budget(Cause::Manual, None);
    let view = whole_view(&budget);
    let whole = view.sent_tokens() + SUMMARIZATION_PROMPT.len().div_ceil(4) as u64;
    // It counts twice as much, and takes 80 % of that.
    let answer = never(Some(2 * whole), Some(whole * 8 / 5));
    let (asked, _) = asked(Summarise::default(), view.clone(), budget, &answer);
    assert!(asked[1].tokens <= whole * 72 / 100, "{} of {whole}", asked[1].tokens);
    assert!(asked[1].tokens > whole * 72 / 100 - 200, "{} of {whole}", asked[1].tokens);
}

#[test]
fn a_refused_turn_is_not_sent_as_it_was() {
    let view = || whole_view(&budget(Cause::Manual, None));
    let counted = view().sent_tokens();
    let halved = budget(refused(counted), None);
    let (asked_first, _) = asked(Summarise::default(), view(), halved, &Answer::Failed);
    assert_eq!(asked_first[0].trimmed_items, 6);
    let by_counts = Cause::Refused(Refused { counted, prompt: Some(1_000), window: Some(900) });
    let (asked_first, _) =
        asked(Summarise::default(), view(), budget(by_counts, None), &Answer::Failed);
    assert!(asked_first[0].tokens <= counted * 81 / 100 + 1);
}

/// Reasoning of earlier turns is not sent: it costs the request nothing.
#[test]
fn only_what_is_sent_is_counted() {
    let mut talk = Vec::new();
    for n in 0..20 {
        let thought = Item::reasoning(&[], Some(&"A".repeat(20_000)));
        talk.extend([user(&format!("{n}")), thought, assistant(&tokens(&format!("{n}"), 300))]);
    }
    talk.extend([user("now"), assistant("yes")]);
    let budget = budget(Cause::Manual, Some(7_000));
    let view = view(talk, Keep::default(), &budget);
    assert!(view.sent_tokens() < 6_500, "{}", view.sent_tokens());
    let input_items =
        |view: &View, ask: &Ask| input(view, ask).prompt(ReasoningFilter::default()).item_count();
    let (asked, _) = asked(Summarise::default(), view.clone(), budget, &Answer::Failed);
    assert!(asked[0].tokens > 5_000, "{}", asked[0].tokens);
    let sent = view.history().prompt(ReasoningFilter::default()).item_count();
    assert_eq!(asked[0].trimmed_items, sent - input_items(&view, &asked[0]));
}

/// What was refused on the way holds for the last rung too.
#[test]
fn an_extract_is_shorter_than_all_that_was_refused() {
    let talk: Vec<Item> = (0..400)
        .flat_map(|n| [user(&format!("message {n}")), assistant(&tokens(&format!("{n}"), 500))])
        .collect();
    let counted = common::history(talk.clone()).tokens();
    for answer in [never(None, None), never(None, Some(32_000))] {
        let mut budget = budget(refused(counted), None);
        budget.overhead = 10;
        let view = common::view(talk.clone(), Keep::default(), &budget);
        let course = common::says(&Config::default(), view, budget, &answer);
        let least = course.asked.iter().map(|ask| ask.tokens).min().unwrap();
        let compacted = course.end.unwrap();
        assert_eq!((&*compacted.report.strategy, compacted.report.requests), ("extract", 3));
        assert!(
            compacted.report.tokens_after < least,
            "{} of {least}",
            compacted.report.tokens_after
        );
    }
}

/// The window of the model that is asked is held, not that of the conversation's own.
#[test]
fn the_plan_fits_the_window_of_the_model_that_is_asked() {
    let talk: Vec<Item> = (0..40).map(|n| assistant(&tokens(&format!("{n}"), 496))).collect();
    let ask_of = |own: Option<u64>, other: Option<Option<u64>>| {
        let mut summarise = Summarise::default();
        summarise.model = other.map(|window| SummaryModel { slug: "m".into(), window });
        let budget = budget(Cause::Manual, own);
        let view = view(talk.clone(), Keep::default(), &budget);
        asked(summarise, view, budget, &Answer::Failed).0[0].tokens
    };
    let whole = ask_of(None, None);
    assert!(whole > 20_000);
    assert_eq!(ask_of(Some(3_800), None), whole, "too small to be judged");
    assert_eq!(ask_of(Some(10_000), Some(None)), whole, "nobody knows the other's");
    assert_eq!(ask_of(Some(10_000), Some(Some(100_000))), whole);
    for ask in [ask_of(Some(10_000), None), ask_of(None, Some(Some(10_000)))] {
        assert!((8_500..=9_000).contains(&ask), "{ask}");
    }
}

#[test]
fn what_cannot_fit_is_not_asked() {
    let budget = budget(Cause::Manual, Some(4_096));
    let talk = vec![assistant("x"), user(&tokens("long", 5_000)), assistant("y")];
    let view = view(talk, Keep::default(), &budget);
    let (asked, error) = asked(Summarise::default(), view, budget, &Answer::Failed);
    assert_eq!(asked, []);
    assert_eq!(error, "the request for a summary is too long, even with 2 items left out");
}

/// Nothing more can be left out: the same request is not sent again.
#[test]
fn a_request_that_cannot_shrink_is_not_repeated() {
    let budget = budget(Cause::Manual, None);
    let view = view(
        vec![assistant("x"), user("u")].into_iter().chain([assistant("y")]),
        keep(|keep| keep.tail = Tail::None),
        &budget,
    );
    let (asked, error) = asked(Summarise::default(), view, budget, &never(None, None));
    let counts: Vec<usize> = asked.iter().map(|ask| ask.trimmed_items).collect();
    assert!(counts.windows(2).all(|pair| pair[0] < pair[1]), "{counts:?}");
    assert!(error.contains("bound on requests") || error.contains("too long"), "{error}");
}

/// Items of any length; the last is an answer.
fn any_talk() -> impl Strategy<Value = Vec<Item>> {
    let size = prop_oneof![8 => 1..60_usize, 1 => 200..2_000_usize];
    let step = (0..9_u8, size).prop_map(|(kind, size)| match kind {
        0 => vec![user(&tokens("u", size))],
        1 => vec![assistant(&tokens("a", size)).pinned()],
        2 => vec![bridge(&["old"], &tokens("s", size))],
        3 => vec![ghost("g")],
        4 => vec![
            reasoning(),
            call("a", "1"),
            call("b", "2"),
            output("b", "B"),
            output("a", &tokens("o", size)),
        ],
        5 => vec![call("a", "1"), output("a", &tokens("o", size)).pinned()],
        6 => vec![user(&tokens("p", size)).pinned()],
        _ => vec![assistant(&tokens("a", size))],
    });
    let context = prop_oneof![Just(vec![]), Just(vec![developer("d"), environment("cwd")])];
    (context, proptest::collection::vec(step, 1..25)).prop_map(|(context, steps)| {
        [context, steps.concat(), vec![assistant("x"), assistant("y")]].concat()
    })
}

proptest! {
    /// Whatever the counts in the server's errors: more goes each time, never what must stay, and pairs
    /// are whole.
    #[test]
    fn trimmed_requests_are_valid_shrink_and_hold_what_must_stay(
        talk in any_talk(),
        window in proptest::option::of(4_096..9_000_u64),
        counts in proptest::option::of((0..20_000_u64, 0..20_000_u64)),
    ) {
        let budget = budget(WINDOW, window);
        let view = View::new(
            common::history(talk.clone()),
            Vec::new(),
            Keep::default(),
            ReasoningFilter::KeepAll,
            &budget,
        );
        let answer = never(counts.map(|(prompt, _)| prompt), counts.map(|(_, window)| window));
        let (asked, _) = asked(Summarise::default(), view.clone(), budget, &answer);
        prop_assert!(asked.len() <= 3);
        let last_bridge = talk.iter().rev().find(|item| item.is_bridge());
        let said = |item: &&Item| item.json().contains(r#""text":"u"#) && !item.is_bridge();
        let last_message = talk.iter().rev().find(said);
        let is_context = |item: &Item| *item == developer("d") || *item == environment("cwd");
        for ask in &asked {
            let input = input(&view, ask);
            let json = sent(&input, ReasoningFilter::KeepAll);
            prop_assert_eq!(pairing(&json), Ok(()));
            let mut composed = input.clone();
            prop_assert_eq!(composed.normalise(), vec![]);
            let is_fixed = |item: &&Item| is_context(item) || item.is_pinned();
            let fixed = |items: &[Item]| items.iter().filter(is_fixed).cloned().collect::<Vec<_>>();
            prop_assert_eq!(fixed(&items(&input)), fixed(&talk));
            for kept in [last_bridge, last_message].into_iter().flatten() {
                prop_assert!(input.iter().any(|item| item == kept));
            }
            let seen = |items: &[Item]| items.iter().filter(|item| **item != ghost("g")).count();
            prop_assert_eq!(ask.trimmed_items, seen(&talk) - seen(&items(&input)));
            let prompt = SUMMARIZATION_PROMPT.len().div_ceil(4) as u64;
            prop_assert_eq!(ask.tokens, input.tokens() + prompt);
            if let Some(ceiling) = budget.ceiling() {
                prop_assert!(ask.tokens <= ceiling);
            }
        }
        prop_assert!(asked.windows(2).all(|pair| pair[0].trimmed_items < pair[1].trimmed_items));
        prop_assert!(asked.windows(2).all(|pair| pair[0].tokens > pair[1].tokens));
    }
}

/// What is left may fill the room to the last token.
#[test]
fn no_more_is_left_out_than_must_be() {
    let budget = budget(Cause::Manual, Some(10_000));
    let prompt = SUMMARIZATION_PROMPT.len().div_ceil(4);
    let newest = assistant(&tokens("x", 9_000 - prompt - 4 - 504));
    let talk = |other: usize| {
        vec![assistant(&tokens("o", 5_000)), assistant(&tokens("p", other)), newest.clone()]
    };
    let ask = |other: usize| {
        let view = view(talk(other), Keep::default(), &budget);
        asked(Summarise::default(), view, budget, &Answer::Failed).0[0].clone()
    };
    assert_eq!((ask(500).tokens, ask(500).trimmed_items), (9_000, 1));
    assert_eq!(ask(501).trimmed_items, 2);
}
