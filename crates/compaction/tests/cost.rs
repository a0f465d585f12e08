//! What planning costs: nothing that was counted is counted again.

#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use common::{Quarters, assistant, at_limit, budget, call, counted_by, output, tokens, user};
use longhaul_compaction::{Action, Answer, Budget, Cause, Config, Fact, Keep, Ladder, View};
use longhaul_history::tokens::TokenCounter;
use longhaul_history::{Item, ReasoningFilter};

/// Counts how often it is asked, and about how many bytes.
#[derive(Default)]
struct Counted {
    calls: AtomicU64,
    bytes: AtomicU64,
}

impl TokenCounter for Counted {
    fn count_text(&self, text: &str) -> u64 {
        self.calls.fetch_add(1, Relaxed);
        self.bytes.fetch_add(text.len() as u64, Relaxed);
        Quarters.count_text(text)
    }
}

/// Calls and bytes for `action` on a conversation of `turns` turns.
fn cost(turns: usize, budget: Budget, answers: &[Answer]) -> (u64, u64) {
    let counter = Arc::new(Counted::default());
    let turn = |n: usize| {
        let id = format!("c{n}");
        let text = |name: &str| tokens(name, 50);
        [user(&text("u")), call(&id, "1"), output(&id, &text("o")), assistant(&text("a"))]
    };
    let talk: Vec<Item> = (0..turns).flat_map(turn).collect();
    let history = counted_by(counter.clone(), talk);
    let before = (counter.calls.load(Relaxed), counter.bytes.load(Relaxed));
    let view = View::new(history, Vec::new(), Keep::default(), ReasoningFilter::default(), &budget);
    let mut ladder = Ladder::new(&Config::default(), view, budget, false);
    let mut action = ladder.apply(Fact::Started, Duration::ZERO);
    for answer in answers {
        if matches!(action, Action::Ask(_)) {
            action = ladder.apply(Fact::Answered(answer.clone()), Duration::ZERO);
        }
    }
    (counter.calls.load(Relaxed) - before.0, counter.bytes.load(Relaxed) - before.1)
}

fn never() -> Answer {
    Answer::TooLong { prompt: None, window: None }
}

/// The first request reads the prompt, and of the conversation nothing.
#[test]
fn a_plan_counts_nothing_of_the_conversation() {
    for budget in [budget(Cause::Manual, None), budget(Cause::Manual, Some(10_000))] {
        let small = cost(100, budget, &[]);
        assert_eq!(cost(800, budget, &[]), small, "{budget:?}");
        assert!(small.0 <= 4, "{small:?}");
    }
}

/// Trimming reads nothing either.
#[test]
fn requests_that_are_too_long_cost_no_more() {
    let budget = budget(Cause::Manual, None);
    let small = cost(100, budget, &[never(), never()]);
    assert_eq!(cost(800, budget, &[never(), never()]), small);
}

/// Results cost what they write, and what they write is bounded by the user's messages: eight times
/// the conversation costs at most eight times.
#[test]
fn a_result_costs_in_proportion() {
    let by_hand = budget(Cause::Manual, None);
    let required = budget(common::WINDOW, Some(8_000));
    let clearing = at_limit(200_000, 1_000);
    let table = [
        (by_hand, vec![Answer::Text("s".into())]),
        (required, vec![Answer::Text("s".into())]),
        (required, vec![Answer::Failed]),
        (clearing, vec![]),
    ];
    for (budget, answers) in table {
        let (small, large) = (cost(250, budget, &answers), cost(2_000, budget, &answers));
        // Besides, each message of the user is counted as a text of its own where images stand in it,
        // and each output that is cleared.
        assert!(large.0 <= 8 * small.0 + 2 * 2_000, "{small:?} {large:?}");
        assert!(large.1 <= 8 * small.1 + 2_000 * 300, "{small:?} {large:?}");
    }
}
