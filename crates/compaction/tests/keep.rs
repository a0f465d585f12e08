//! What is kept: context, pinned items, the user's words. And bridges do not nest.

#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::sync::Arc;

use common::{
    WINDOW, applied, assistant, bridge, budget, call, compacted, compacted_in, counted_by,
    developer, done, environment, ghost, history, image_url, items, keep, output, reasoning,
    summed_up, the_bridge, tokens, user, view,
};
use longhaul_compaction::{Cause, Keep, Tail, View};
use longhaul_history::tokens::TokenCounter;
use longhaul_history::{ContentPart, Item, ItemView, ReasoningFilter, Role};

#[test]
fn context_pinned_bridge_ghosts_tail_and_what_is_pending_in_this_order() {
    let rule = assistant("a rule").pinned();
    let talk = vec![
        developer("be brief"),
        environment("cwd"),
        user("one"),
        ghost("g1"),
        rule.clone(),
        assistant("done"),
        user("two"),
        assistant("done too"),
        user("three"),
    ];
    let (after, report) = compacted(talk, keep(|keep| keep.tail = Tail::Turns(1)));
    let expected = [
        developer("be brief"),
        environment("cwd"),
        rule,
        bridge(&["one"], "So far so good."),
        ghost("g1"),
        user("two"),
        assistant("done too"),
        user("three"),
    ];
    assert_eq!(items(&after), expected);
    assert_eq!((report.kept_items, report.dropped_items, report.cut_tokens), (7, 2, 0));
}

#[test]
fn context_of_today_takes_the_place_of_the_old() {
    let talk = || vec![developer("d"), environment("old"), user("one"), assistant("done")];
    let with = |context: Vec<Item>| {
        let budget = budget(Cause::Manual, None);
        let view = View::new(
            history(talk()),
            context,
            Keep::default(),
            ReasoningFilter::default(),
            &budget,
        );
        let before = view.history().clone();
        let course = summed_up(view, budget);
        (items(&applied(&before, course.installed())), course.installed().report.kept_items)
    };
    let bridge = || bridge(&["one"], "So far so good.");
    assert_eq!(with(vec![]), (vec![developer("d"), environment("old"), bridge()], 2));
    let new = vec![developer("d"), environment("new"), bridge()];
    assert_eq!(with(vec![environment("new")]), (new, 1));
    // The same as before is kept, not written again.
    assert_eq!(
        with(vec![environment("old")]),
        (vec![developer("d"), environment("old"), bridge()], 2)
    );
}

#[test]
fn pinned_context_stays_when_context_is_written_anew() {
    let pinned = environment("pinned").pinned();
    let talk = vec![pinned.clone(), environment("old"), user("one"), assistant("done")];
    let budget = budget(Cause::Manual, None);
    for context in [vec![environment("new")], vec![environment("new"), pinned.clone()]] {
        let view = View::new(
            history(talk.clone()),
            context,
            Keep::default(),
            ReasoningFilter::default(),
            &budget,
        );
        let before = view.history().clone();
        let after = applied(&before, summed_up(view, budget).installed());
        assert_eq!(after.iter().filter(|item| **item == pinned).count(), 1, "{after:?}");
        assert_eq!(after.iter().filter(|item| **item == environment("old")).count(), 0);
    }
}

#[test]
fn a_pinned_half_keeps_the_other() {
    let talk = vec![
        user("one"),
        call("a", "1"),
        call("b", "2").pinned(),
        output("b", "B"),
        output("a", "A"),
        call("a", "3"),
        output("a", "AA").pinned(),
        assistant("done"),
    ];
    let (after, _) = compacted(talk, Keep::default());
    let expected = [
        call("b", "2").pinned(),
        output("b", "B"),
        call("a", "3"),
        output("a", "AA").pinned(),
        bridge(&["one"], "So far so good."),
    ];
    assert_eq!(items(&after), expected);
}

/// Servers refuse reasoning that nothing of the model's follows.
#[test]
fn pinned_reasoning_keeps_what_it_led_to() {
    let talk = vec![
        user("one"),
        reasoning().pinned(),
        ghost("g"),
        reasoning(),
        call("a", "1"),
        output("a", "A"),
        assistant("done"),
    ];
    let budget = budget(Cause::Manual, None);
    let view =
        View::new(history(talk), Vec::new(), Keep::default(), ReasoningFilter::KeepAll, &budget);
    let before = view.history().clone();
    let after = applied(&before, summed_up(view, budget).installed());
    let bridge = bridge(&["one"], "So far so good.");
    let expected =
        [reasoning().pinned(), reasoning(), call("a", "1"), output("a", "A"), bridge, ghost("g")];
    assert_eq!(items(&after), expected);
}

#[test]
fn the_last_message_is_cut_above_its_budget_only_and_that_is_told() {
    // With the framing of a message, 4 tokens, and 20,000 for all.
    for (count, is_cut) in [(19_996, false), (20_000, false), (20_001, true), (60_000, true)] {
        let text = tokens("the task", count);
        let (after, report) = compacted(vec![user(&text), done()], Keep::default());
        let quoted = &the_bridge(&after).user_messages[0];
        assert_eq!(quoted != &text, is_cut, "{count}");
        assert_eq!(report.cut_tokens > 0, is_cut, "{count}");
        assert!(quoted.len() <= 80_000 && quoted.len() > if is_cut { 40_000 } else { 79_000 });
        assert_eq!(quoted.contains("tokens truncated"), is_cut);
    }
}

#[test]
fn the_last_message_has_a_quarter_of_a_small_window() {
    let text = tokens("the task", 4_000);
    let budget = budget(WINDOW, Some(8_000));
    let talk = vec![user("before"), user(&text), assistant("done")];
    let (after, report) = compacted_in(talk, Keep::default(), budget);
    let bridge = the_bridge(&after);
    assert_eq!((bridge.user_messages.len(), &*bridge.user_messages[0]), (2, "before"));
    assert!(bridge.user_messages[1].len() <= 8_000 && report.cut_tokens > 0);
}

/// What is told is about the last message, and that is not always in the bridge.
#[test]
fn a_cut_of_an_older_message_is_not_one_of_the_last() {
    let long = tokens("long", 30_000);
    let behind = |last: Vec<Item>, tail| {
        let talk = [vec![user(&long), assistant("done")], last].concat();
        compacted(talk, keep(|keep| keep.tail = tail)).1.cut_tokens
    };
    assert_eq!(behind(vec![user("last")], Tail::None), 0);
    assert_eq!(behind(vec![user("last"), assistant("yes")], Tail::Turns(1)), 0);
    assert_eq!(behind(vec![user("last"), assistant("yes")], Tail::None), 0);
    assert_ne!(behind(vec![], Tail::None), 0);
}

#[test]
fn the_newest_messages_come_first_in_the_budget() {
    let texts: Vec<String> = (0..10).map(|n| tokens(&format!("message {n}"), 200)).collect();
    let talk = texts.iter().flat_map(|text| [user(text), assistant("yes")]).collect();
    let (after, report) = compacted(talk, keep(|keep| keep.user_message_tokens = 1_000));
    let quoted = the_bridge(&after).user_messages;
    let names: Vec<&str> = quoted.iter().map(|text| &text[..9]).collect();
    assert_eq!(
        names,
        ["message 3", "message 4", "message 5", "message 6", "message 7", "message 8", "message 9"]
    );
    assert_eq!((quoted[6] == texts[9], report.cut_tokens), (true, 0));
    // Of the last message's 200 tokens an eighth of the budget is part of that.
    let tokens: usize = quoted.iter().map(|text| text.len().div_ceil(4)).sum();
    assert!(tokens <= 1_000 + 75 && tokens > 1_000, "{tokens}");
}

/// T10 to T13 of the catalogue: whose words are quoted, and how.
#[test]
fn only_the_users_words_are_quoted_and_all_of_them() {
    let text = |text: &str| ContentPart::InputText { text: text.into() };
    let image = |name: &str| ContentPart::InputImage { image_url: image_url(name) };
    let talk = vec![
        user("real"),
        environment("later"),
        user("<USER_INSTRUCTIONS>x</user_instructions>"),
        Item::message(Role::User, &[text("a"), text(""), text("b")]),
        developer("not quoted"),
        Item::message(Role::User, &[image("p")]),
        assistant("not quoted"),
        Item::from_json(r#"{"type":"hologram","text":"not quoted"}"#).unwrap(),
    ];
    let (after, _) = compacted(talk, Keep::default());
    assert_eq!(the_bridge(&after).user_messages, ["real", "a\nb", "[image 1]"]);
}

#[test]
fn all_parts_of_the_bridge_are_the_models_answer_only() {
    let talk = vec![user("one"), assistant("an old answer")];
    let budget = budget(Cause::Manual, None);
    let (after, _) = compacted_in(talk, Keep::default(), budget);
    assert_eq!(the_bridge(&after).summary, "So far so good.");
    let ItemView::Message { content, .. } = after.get(0).unwrap().view() else { panic!() };
    assert!(!content[0].text().unwrap().contains("an old answer"));
}

#[test]
fn ten_bridges_do_not_nest_and_carry_every_message() {
    let mut talk: Vec<Item> = vec![environment("cwd")];
    let mut said = Vec::new();
    for round in 0..10 {
        said.push(format!("message {round}"));
        talk.extend([user(&said[round]), assistant("yes"), call("a", "1"), output("a", "A")]);
        let (after, _) = compacted(talk, Keep::default());
        assert_eq!(after.len(), 2, "{after:?}");
        let parts = the_bridge(&after);
        assert_eq!((&parts.user_messages, &*parts.summary), (&said, "So far so good."));
        let said: Vec<&str> = said.iter().map(String::as_str).collect();
        assert_eq!(after.get(1), Some(&bridge(&said, "So far so good.")));
        talk = items(&after);
    }
}

#[test]
fn several_earlier_bridges_become_one() {
    let talk = vec![
        bridge(&["a", "b"], "first"),
        assistant("x"),
        bridge(&["c"], "second"),
        user("d"),
        assistant("y"),
    ];
    let (after, _) = compacted(talk, Keep::default());
    assert_eq!(items(&after), [bridge(&["a", "b", "c", "d"], "So far so good.")]);
}

/// An imported conversation may hold several.
#[test]
fn bridges_that_quote_the_same_quote_it_once() {
    let talk = vec![bridge(&["a"], "1"), user("b"), bridge(&["a", "b"], "2"), user("c"), done()];
    let (after, _) = compacted(talk, Keep::default());
    let quoted = the_bridge(&after).user_messages;
    assert_eq!(quoted.iter().filter(|text| *text == "a").count(), 1, "{quoted:?}");
    assert_eq!(quoted.last().map(String::as_str), Some("c"));
}

/// A token of this counter may be any number of bytes.
struct Dense;

impl TokenCounter for Dense {
    fn count_text(&self, text: &str) -> u64 {
        text.len().div_ceil(100) as u64
    }
}

/// What fits by its tokens is whole; what is cut is held to four bytes for each too.
#[test]
fn a_message_of_few_tokens_and_many_bytes_is_whole() {
    let quoted = |older_tokens, last_tokens| {
        let (older, last) = (tokens("older", older_tokens), tokens("last", last_tokens));
        let talk = vec![user(&older), user(&last), assistant(&tokens("x", 9_000))];
        let history = counted_by(Arc::new(Dense), talk);
        let (context, budget) = (Vec::new(), budget(Cause::Manual, None));
        let filter = ReasoningFilter::default();
        let view = View::new(history, context, Keep::default(), filter, &budget);
        let before = view.history().clone();
        let after = applied(&before, summed_up(view, budget).installed());
        let quoted = the_bridge(&after).user_messages;
        [quoted[0] == older, quoted[1] == last, quoted.iter().all(|text| text.len() <= 80_000)]
    };
    assert_eq!(quoted(22_000, 22_000), [true, true, false]);
    // 20,800 of their tokens.
    assert_eq!(quoted(520_000, 1), [false, true, true]);
    assert_eq!(quoted(1, 520_000), [true, false, true]);
}

#[test]
fn nothing_is_quoted_where_nothing_may_be() {
    let talk = vec![user("one"), done()];
    let (after, report) = compacted(talk, keep(|keep| keep.user_message_tokens = 0));
    assert_eq!(the_bridge(&after).user_messages, [""; 0]);
    assert!(report.cut_tokens > 0);
}

#[test]
fn bridges_alone_become_one() {
    let (after, _) = compacted(vec![bridge(&["a"], "x"), bridge(&["b"], "y")], Keep::default());
    assert_eq!(items(&after), [bridge(&["a", "b"], "So far so good.")]);
}

/// What nobody has answered stays as it is, up to three quarters of the room.
#[test]
fn what_is_pending_stays_unless_it_is_too_long() {
    let budget = budget(Cause::Limit, Some(8_000));
    let room = 7_200;
    let of = |pending: usize| {
        let talk =
            vec![environment("cwd"), user("one"), assistant("yes"), user(&tokens("p", pending))];
        view(talk, Keep::default(), &budget)
    };
    let context = history([environment("cwd")]).tokens();
    let most = usize::try_from(room / 4 * 3 - context - 4).unwrap();
    assert_eq!(of(most).prefix_len(), 3);
    assert_eq!(of(most + 1).prefix_len(), 4);
    assert_eq!(of(20_000).prefix_len(), 4);
}

/// Where nothing but the user's own words can give way, they do.
#[test]
fn all_that_is_pending_is_compacted_where_it_cannot_be_sent() {
    let rule = assistant(&tokens("rule", 4_000)).pinned();
    let talk = vec![rule.clone(), user(&tokens("pending", 4_000))];
    let (after, report) = compacted_in(talk, Keep::default(), budget(WINDOW, Some(8_000)));
    assert_eq!((after.get(0), after.len()), (Some(&rule), 2));
    assert!(after.tokens() <= 7_200 && report.cut_tokens > 0);
}
