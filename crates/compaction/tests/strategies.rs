//! The rungs that ask no model.

#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::sync::Arc;

use common::{
    IMAGE_TOKENS, WINDOW, applied, assistant, at_limit, bridge, budget, call, config, developer,
    ghost, history, image_url, items, output, picture, plan, refused, says, the_bridge, tokens,
    user, view,
};
use longhaul_compaction::{
    Answer, Budget, Cause, ClearOutputs, Config, DropImages, Extract, Keep, Progress, Refused,
    Step, Strategy, View,
};
use longhaul_history::{
    CallOutput, ContentPart, History, Item, ItemView, OutputPart, ReasoningFilter, Role,
};

const CLEARED: &str = "[output cleared to save room; call the tool again if it is needed]";

fn next(strategy: &impl Strategy, items: &[Item], budget: &Budget) -> Option<History> {
    let view = view(items.to_vec(), Keep::default(), budget);
    match strategy.next(&view, budget, &Progress::default()) {
        Step::Install(replacement) => Some(view.history().composed(replacement.parts).unwrap()),
        Step::Skip => None,
        step => panic!("{step:?}"),
    }
}

/// A budget that finds everything worth it.
fn generous() -> Budget {
    let mut budget = budget(Cause::Limit, None);
    (budget.limit, budget.used) = (1_000_000, Some(500_000));
    budget
}

fn clears(keep_tokens: u64) -> ClearOutputs {
    let mut strategy = ClearOutputs::default();
    strategy.keep_tokens = keep_tokens;
    strategy
}

/// Ten calls whose outputs take a hundred tokens each.
fn calls() -> Vec<Item> {
    let pair =
        |n: usize| [call(&format!("c{n}"), "x"), output(&format!("c{n}"), &tokens("out", 92))];
    [vec![user("go")], (0..10).flat_map(pair).collect(), vec![assistant("done")]].concat()
}

/// Which of the ten calls still have their outputs.
fn left(history: &History) -> Vec<usize> {
    let outputs = history.iter().filter(|item| item.kind().is_output());
    let is_left = |(_, item): &(usize, &Item)| !item.json().contains(CLEARED);
    outputs.enumerate().filter(is_left).map(|(n, _)| n).collect()
}

#[test]
fn the_newest_outputs_stay_in_one_piece() {
    for (keep, expected) in
        [(0, 10..10), (99, 10..10), (100, 9..10), (399, 7..10), (400, 6..10), (901, 1..10)]
    {
        let after = next(&clears(keep), &calls(), &generous()).unwrap();
        assert_eq!(left(&after), expected.collect::<Vec<_>>(), "{keep}");
        assert_eq!(after.len(), calls().len());
    }
    assert_eq!(next(&clears(1_000), &calls(), &generous()), None);
}

#[test]
fn older_outputs_that_would_fit_go_with_a_larger_one() {
    let mut talk = calls();
    talk[16] = output("c7", &tokens("large", 5_000));
    talk[2] = output("c0", &tokens("small", 40));
    let after = next(&clears(1_000), &talk, &generous()).unwrap();
    assert_eq!(left(&after), [8, 9]);
}

#[test]
fn a_cleared_output_is_an_output_of_the_same_call() {
    let custom = Item::custom_tool_call("k", "t", "in");
    let custom_output = Item::custom_tool_call_output("k", CallOutput::text(tokens("out", 92)));
    let talk = [vec![custom, custom_output], calls()].concat();
    let after = next(&clears(950), &talk, &generous()).unwrap();
    assert_eq!(left(&after), (2..11).collect::<Vec<_>>());
    assert_eq!(after.get(1), Some(&Item::custom_tool_call_output("k", CallOutput::text(CLEARED))));
    assert_eq!(after.get(4), Some(&output("c0", CLEARED)));
}

#[test]
fn errors_and_pinned_outputs_and_short_ones_stay() {
    let mut talk = calls();
    talk[2] = talk[2].failed();
    talk[4] = talk[4].pinned();
    talk[5] = talk[5].pinned();
    talk[8] = output("c3", "short");
    let after = next(&clears(0), &talk, &generous()).unwrap();
    assert_eq!(left(&after), [0, 1, 2, 3], "failed, pinned, call pinned, short");
    let mut clears = clears(0);
    clears.keep_errors = false;
    assert_eq!(left(&next(&clears, &talk, &generous()).unwrap()), [1, 2, 3]);
}

#[test]
fn what_is_kept_is_a_quarter_of_the_window_at_most() {
    let budget = at_limit(4_096, 3_600);
    let mut talk = calls();
    talk.splice(1..1, [call("z", "x"), output("z", &tokens("out", 4_000))]);
    let after = next(&clears(40_000), &talk, &budget).unwrap();
    assert_eq!(left(&after), (1..11).collect::<Vec<_>>(), "1,024 tokens");
}

/// What no model has seen is not taken from it.
#[test]
fn outputs_that_nobody_has_seen_stay() {
    let mut budget = generous();
    budget.seen_items = Some(6);
    let after = next(&clears(0), &calls(), &budget).unwrap();
    let talk = calls();
    let cleared = (0..talk.len()).filter(|index| items(&after)[*index] != talk[*index]);
    assert!(cleared.clone().count() > 0 && cleared.clone().all(|index| index < 6));
}

#[test]
fn clearing_twice_clears_once() {
    for keep in [0, 250] {
        let once = next(&clears(keep), &calls(), &generous()).unwrap();
        assert_eq!(next(&clears(keep), &items(&once), &generous()), None);
    }
}

/// It is worth it if half of the limit, or of what the window leaves, is enough.
#[test]
fn outputs_are_cleared_only_if_that_brings_half() {
    let freed =
        history(calls()).tokens() - next(&clears(0), &calls(), &generous()).unwrap().tokens();
    let sent = history(calls()).tokens();
    let is_done = |budget: &Budget| next(&clears(0), &calls(), budget).is_some();
    for (limit, used) in [(4_000, 2_000 + freed), (10_001, 5_000 + freed)] {
        let mut budget = budget(Cause::Limit, None);
        (budget.limit, budget.used) = (limit, Some(used));
        assert!(is_done(&budget));
        budget.used = Some(used + 1);
        assert!(!is_done(&budget));
    }
    // Of a window of 8,000 tokens 7,200 are free.
    let mut by_window = at_limit(8_000, 3_600 + freed);
    by_window.limit = 1_000_000;
    assert!(is_done(&by_window));
    by_window.used = Some(3_601 + freed);
    assert!(!is_done(&by_window));

    let mut by_request = budget(WINDOW, Some(100_000));
    by_request.limit = 2 * (sent - freed);
    assert!(is_done(&by_request));
    by_request.limit -= 2;
    assert!(!is_done(&by_request));

    let by_refusal = |prompt, window| {
        let refused = Refused { counted: sent, prompt, window };
        is_done(&budget(Cause::Refused(refused), None))
    };
    assert!(by_refusal(Some(2_000 + freed), Some(4_000)));
    assert!(!by_refusal(Some(2_001 + freed), Some(4_000)));
    // Without a window, the request itself is the measure.
    assert_eq!(by_refusal(None, None), sent - freed <= sent / 2);
    assert!(!is_done(&budget(Cause::Manual, None)), "then a summary is wanted");
}

fn drops(keep_tokens: u64) -> DropImages {
    let mut strategy = DropImages::default();
    strategy.keep_tokens = keep_tokens;
    strategy
}

fn screenshot(id: &str) -> [Item; 2] {
    let parts = vec![OutputPart::InputImage { image_url: image_url(id) }];
    [call(id, "look"), Item::function_call_output(id, CallOutput::Parts(parts))]
}

fn pictures() -> Vec<Item> {
    let mut talk = vec![picture("see", "a"), assistant("seen")];
    talk.extend(screenshot("b"));
    talk.extend(screenshot("c"));
    talk.extend([picture("last", "d"), assistant("seen")]);
    talk
}

/// Which images are still shown.
fn shown(history: &History) -> Vec<&'static str> {
    let is_shown = |name: &&str| history.iter().any(|item| item.json().contains(&image_url(name)));
    ["a", "b", "c", "d"].into_iter().filter(is_shown).collect()
}

#[test]
fn the_newest_images_stay_and_those_of_the_last_message() {
    let tokens_of = |index: usize| {
        let history = history(pictures());
        history.tokens_before(index + 1) - history.tokens_before(index)
    };
    let (b, c) = (tokens_of(3), tokens_of(5));
    assert!(b > IMAGE_TOKENS);
    let table = [
        (0, vec!["d"]),
        (c - 1, vec!["d"]),
        (c, vec!["c", "d"]),
        (b + c - 1, vec!["c", "d"]),
        (b + c, vec!["b", "c", "d"]),
    ];
    for (keep, expected) in table {
        let after = next(&drops(keep), &pictures(), &generous()).unwrap();
        assert_eq!(shown(&after), expected, "{keep}");
        assert_eq!(after.len(), pictures().len());
        assert_eq!(next(&drops(keep), &items(&after), &generous()), None, "{keep}: once");
    }
    assert_eq!(next(&drops(100_000), &pictures(), &generous()), None);
}

#[test]
fn a_text_stands_in_the_place_of_an_image_and_pinned_ones_stay() {
    let mut talk = pictures();
    talk[2] = talk[2].pinned();
    let after = next(&drops(0), &talk, &generous()).unwrap();
    assert_eq!(shown(&after), ["b", "d"]);
    let ItemView::Message { content, .. } = after.get(0).unwrap().view() else { panic!() };
    let texts: Vec<_> = content.iter().filter_map(ContentPart::text).collect();
    assert_eq!(texts, ["see", "[image left out to save room]"]);
    assert_eq!(next(&drops(0), &talk, &budget(Cause::Manual, None)), None);
}

fn only_extract() -> Config {
    config(|config| config.rungs = Vec::new())
}

/// The conversation after the last rung, if that has a result.
fn extracted(items: Vec<Item>, budget: Budget) -> Option<History> {
    let view = view(items, Keep::default(), &budget);
    let before = view.history().clone();
    let course = says(&only_extract(), view, budget, &Answer::Failed);
    course.end.ok().map(|compacted| applied(&before, &compacted))
}

const HEADING: &str = "No model could sum this up; what follows was taken from the conversation.";

/// A budget with room for `items` tokens.
fn room(items: u64) -> Budget {
    budget(refused(2 * items), None)
}

#[test]
fn an_extract_holds_what_the_conversation_says_of_itself() {
    let talk = [
        vec![
            developer("d"),
            bridge(&["one"], "the lexer is done"),
            user("two"),
            assistant(&tokens("x", 3_000)),
        ],
        plan("p1", "an old plan").to_vec(),
        plan("p2", "the plan").to_vec(),
        vec![
            ghost("g"),
            assistant(&tokens("y", 3_000)),
            call("a", "1"),
            output("a", "A"),
            assistant("z"),
        ],
    ]
    .concat();
    let after = extracted(talk.clone(), room(2_000)).unwrap();
    let parts = the_bridge(&after);
    assert_eq!(parts.user_messages, ["one", "two"]);
    let summary = format!(
        "{HEADING}\n\nSummary of the work before:\nthe lexer is done\n\nThe last plan:\nthe plan"
    );
    assert_eq!(parts.summary, summary);
    let tail = [call("a", "1"), output("a", "A"), assistant("z")];
    let expected =
        [vec![developer("d"), bridge(&["one", "two"], &summary), ghost("g")], tail.to_vec()];
    assert_eq!(items(&after), expected.concat());
    assert_eq!(extracted(talk, room(2_000)), Some(after.clone()), "it always gives the same");
    assert_eq!(extracted(items(&after), room(2_000)), None, "and once");
}

#[test]
fn extracts_do_not_nest() {
    let mut talk = vec![bridge(&["zero"], "what a model said")];
    for round in 0..5 {
        talk.push(user(&format!("message {round}")));
        if round == 1 {
            talk.extend(plan("p", "the plan"));
        }
        talk.push(assistant(&tokens("x", 3_000)));
        let after = extracted(talk, room(1_500)).unwrap();
        let parts = the_bridge(&after);
        assert_eq!(parts.user_messages.len(), round + 2);
        let count = |text: &str| parts.summary.matches(text).count();
        assert_eq!((count(HEADING), count("what a model said")), (1, 1));
        assert_eq!(
            (count("the plan"), count("Summary of the work before")),
            (usize::from(round > 0), 1)
        );
        talk = items(&after);
    }
}

#[test]
fn an_extract_shrinks_until_it_fits() {
    let talk = |tail: usize| {
        vec![
            bridge(&["zero"], &tokens("what a model said", 4_000)),
            user(&tokens("older", 1_000)),
            assistant(&tokens("x", 20_000)),
            user(&tokens("last", 500)),
            assistant(&tokens("y", tail)),
        ]
    };
    // A quarter of 80,000 has all messages, and all else too.
    let parts_in = |window: u64, tail: usize| {
        let after = extracted(talk(tail), budget(WINDOW, Some(window))).unwrap();
        let parts = the_bridge(&after);
        let has = |text: &str| parts.summary.contains(text);
        (after.len(), parts.user_messages.len(), has("what a model said"), has("truncated"))
    };
    assert_eq!(parts_in(24_000, 500), (3, 2, true, false), "with the last message in the tail");
    assert_eq!(parts_in(8_200, 1_500), (2, 3, true, false), "with a tail");
    assert_eq!(parts_in(7_000, 1_500), (1, 3, true, false), "without");
    assert_eq!(parts_in(5_000, 1_500), (1, 3, true, true), "with little of the earlier summary");
}

/// Where the last message has the whole of it, nothing else is quoted.
#[test]
fn the_smallest_extract_is_the_last_message() {
    let last = tokens("last", 1_000);
    let talk = vec![
        user(&tokens("older", 400)),
        assistant(&tokens("x", 9_000)),
        user(&last),
        assistant("y"),
    ];
    let mut budget = budget(WINDOW, Some(4_096));
    budget.overhead = 4_096 - 409 - 1_150;
    let after = extracted(talk, budget).unwrap();
    assert_eq!(the_bridge(&after).user_messages, [last]);
}

/// What is pending takes most of the room: older messages have to give way.
#[test]
fn a_pending_message_leaves_nothing_to_older_ones() {
    let window = 8_000;
    let pending = user(&tokens("pending", 5_300));
    let older = user(&tokens("older", 1_999));
    let talk = vec![older, assistant(&tokens("x", 9_000)), assistant("y"), pending.clone()];
    let after = extracted(talk, budget(WINDOW, Some(window))).unwrap();
    assert_eq!(the_bridge(&after).user_messages, [""; 0]);
    assert_eq!(after.get(1), Some(&pending));
}

/// A conversation that is compact, of a model with a larger window.
#[test]
fn a_bridge_that_is_too_long_is_made_shorter() {
    let old =
        bridge(&[&tokens("older", 6_000), &tokens("last", 300)], &tokens("the summary", 6_000));
    for pending in [vec![], vec![user("next")]] {
        let talk = [vec![developer("d"), old.clone()], pending.clone()].concat();
        let after = extracted(talk, budget(WINDOW, Some(8_000))).unwrap();
        let parts = the_bridge(&after);
        assert_eq!(parts.user_messages.len(), 2);
        assert_eq!(parts.user_messages[1], tokens("last", 300));
        assert!(after.tokens() <= 7_200, "{}", after.tokens());
        assert_eq!(items(&after)[2..], pending);
        assert_eq!(extracted(items(&after), budget(WINDOW, Some(8_000))), None, "once");
    }
}

/// All of the newest part would stay, and the rest is too long for that.
#[test]
fn a_tail_gives_way_to_what_must_be_kept() {
    let talk = vec![
        assistant(&tokens("rule", 5_500)).pinned(),
        bridge(&[&tokens("last", 1_000)], "s"),
        assistant(&tokens("x", 1_000)),
        assistant(&tokens("y", 700)),
    ];
    let after = extracted(talk, budget(WINDOW, Some(8_000))).unwrap();
    assert_eq!(after.len(), 2);
}

#[test]
fn plans_are_those_of_the_tools_that_are_named() {
    let mut extract = Extract::default();
    extract.plan_tools = vec!["todo".into()];
    let todo = |id: &str, text: &str| [Item::function_call(id, "todo", text), output(id, "noted")];
    let talk = [
        vec![user("one")],
        todo("t", "my list").to_vec(),
        plan("p", "not this").to_vec(),
        vec![assistant(&tokens("x", 3_000)), assistant("y")],
    ]
    .concat();
    let config = config(|config| {
        config.rungs = vec![Arc::new(extract)];
    });
    let budget = room(500);
    let view = view(talk, Keep::default(), &budget);
    let before = view.history().clone();
    let course = says(&config, view, budget, &Answer::Failed);
    let parts = the_bridge(&applied(&before, course.installed()));
    assert_eq!(parts.summary, format!("{HEADING}\n\nThe last plan:\nmy list"));
}

/// Images of the last message fill the window: they go by their budget.
#[test]
fn images_of_the_last_message_are_bounded() {
    let images = (0..9).map(|n| ContentPart::InputImage { image_url: image_url(&format!("i{n}")) });
    let talk = vec![Item::message(Role::User, &images.collect::<Vec<_>>()), assistant("seen")];
    let budget = budget(WINDOW, Some(8_000));
    let view =
        View::new(history(talk), Vec::new(), Keep::default(), ReasoningFilter::KeepAll, &budget);
    let before = view.history().clone();
    let course = says(&Config::default(), view, budget, &Answer::Text("s".into()));
    let after = applied(&before, course.installed());
    assert_eq!(after.get(0).unwrap().json().matches("example.org").count(), 1);
}

/// Images go before most of the earlier summary does.
#[test]
fn an_extract_gives_up_images_before_the_summary() {
    let talk = vec![
        bridge(&["zero"], &tokens("what a model said", 4_000)),
        picture("look", "a"),
        assistant(&tokens("x", 9_000)),
        assistant("y"),
    ];
    let mut budget = budget(WINDOW, Some(8_000));
    budget.overhead = 7_200 - 1_500;
    let after = extracted(talk, budget).unwrap();
    assert!(!after.get(0).unwrap().json().contains("example.org"));
    assert!(the_bridge(&after).summary.contains("what a model said"));
}
