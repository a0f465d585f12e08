//! The newest part of a conversation, which stays as it is.

#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use common::{
    applied, assistant, at_limit, budget, call, compacted, compacted_in, ghost, history, items,
    keep, output, reasoning, summed_up, tokens, user, view,
};
use longhaul_compaction::{Cause, Tail, View};
use longhaul_history::{Item, ReasoningFilter};
use proptest::prelude::*;

#[test]
fn turns_stay_whole() {
    let talk = || {
        vec![
            user("one"),
            assistant("1"),
            user("two"),
            user("two, more"),
            reasoning(),
            call("a", "1"),
            output("a", "A"),
            assistant("2"),
            user("three"),
            assistant("3"),
        ]
    };
    let starts = [10, 8, 2, 0, 0];
    for (turns, start) in starts.into_iter().enumerate() {
        let budget = budget(Cause::Manual, None);
        let view = view(talk(), keep(|keep| keep.tail = Tail::Turns(turns)), &budget);
        let before = view.history().clone();
        let course = summed_up(view, budget);
        if start == 0 {
            assert_eq!(course.error(), "there is nothing to leave out of the conversation");
            continue;
        }
        let after = applied(&before, course.installed());
        assert!(after.get(0).unwrap().is_bridge(), "{turns}");
        assert_eq!(items(&after)[1..], talk()[start..], "{turns}");
    }
}

/// Binary searches look at places behind the tail, too.
#[test]
fn many_pending_messages_do_no_harm_to_a_tail() {
    for pending in 0..9 {
        for tail in [Tail::Turns(1), Tail::Tokens(10), Tail::Tokens(0)] {
            let mut talk = vec![user("one"), assistant("1"), user("two"), assistant("2")];
            talk.extend((0..pending).map(|n| user(&format!("pending {n}"))));
            let (after, _) = compacted(talk.clone(), keep(|keep| keep.tail = tail));
            assert_eq!(items(&after)[after.len() - pending..], talk[4..]);
        }
    }
}

/// A step of a conversation that is not parted.
fn step() -> impl Strategy<Value = Vec<Item>> {
    let size = 1..400_usize;
    prop_oneof![
        size.clone().prop_map(|size| vec![user(&tokens("u", size))]),
        size.clone().prop_map(|size| vec![assistant(&tokens("a", size))]),
        size.clone().prop_map(|size| vec![reasoning(), ghost("g"), assistant(&tokens("a", size))]),
        size.clone().prop_map(|size| vec![
            reasoning(),
            call("a", "1"),
            output("a", &tokens("o", size))
        ]),
        size.prop_map(|size| vec![
            call("a", "1"),
            call("b", "2"),
            output("b", "B"),
            output("a", &tokens("o", size))
        ]),
    ]
}

proptest! {
    /// Against a naive model: steps are taken from the end as long as they fit.
    #[test]
    fn a_tail_of_tokens_is_as_many_whole_steps_as_fit(
        mut steps in proptest::collection::vec(step(), 1..12),
        wanted in 0..3_000_u64,
        window in proptest::option::of(4_096..20_000_u64),
    ) {
        steps.insert(0, vec![user("first"), assistant(&tokens("yes", 4_000))]);
        steps.push(vec![assistant("last")]);
        let budget = budget(Cause::Manual, window);
        let most = budget.room().map_or(wanted, |room| wanted.min(room / 2));
        let count = |items: &[Item]| history(items.to_vec()).tokens();
        let mut kept: Vec<Item> = Vec::new();
        for step in steps.iter().rev() {
            if count(&kept) + count(step) > most {
                break;
            }
            kept.splice(0..0, step.clone());
        }
        let talk = steps.concat();
        let view = View::new(
            history(talk.clone()),
            Vec::new(),
            keep(|keep| keep.tail = Tail::Tokens(wanted)),
            ReasoningFilter::KeepAll,
            &budget,
        );
        let before = view.history().clone();
        let course = summed_up(view, budget);
        let after = applied(&before, course.installed());
        let start = after.iter().position(Item::is_bridge).unwrap() + 1;
        let tail: Vec<Item> = items(&after)[start..].to_vec();
        let moved_ghosts = tail.iter().take_while(|item| **item == ghost("g")).count();
        prop_assert_eq!(&tail[moved_ghosts..], &kept[..]);
        let ghosts = |items: &[Item]| items.iter().filter(|item| **item == ghost("g")).count();
        prop_assert_eq!(ghosts(&items(&after)), ghosts(&talk));
    }
}

#[test]
fn a_tail_has_at_most_half_of_the_room() {
    let budget = at_limit(10_000, 9_000);
    let room = budget.room().unwrap();
    let talk: Vec<Item> =
        (0..20).flat_map(|n| [user("u"), assistant(&tokens("a", 100 + n))]).collect();
    for tail in [Tail::Turns(100), Tail::Turns(19), Tail::Tokens(u64::MAX)] {
        let (after, _) = compacted_in(
            [vec![assistant(&tokens("first", 5_000))], talk.clone()].concat(),
            keep(|keep| keep.tail = tail),
            budget,
        );
        let tokens_of_tail = after.tokens() - after.tokens_before(1);
        assert!(tokens_of_tail <= room / 2, "{tail:?}: {tokens_of_tail} of {room}");
        assert!(after.len() > 1);
    }
}
