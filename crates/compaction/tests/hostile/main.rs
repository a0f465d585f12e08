//! Any conversation, any window, and a model that does what it should not: what holds all the same.

#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

mod case;
mod checks;
#[path = "../common/mod.rs"]
mod common;
mod naive;
mod talk;

use common::{applied, assistant, call, developer, history, items, output, tokens, user};
use longhaul_compaction::{Answer, Config, Keep, View};
use longhaul_history::ReasoningFilter;
use proptest::prelude::*;

use case::case;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1_200) })]

    #[test]
    fn a_session_can_go_on_or_is_told_why_not(case in case()) {
        case.check();
    }
}

/// The same again and again: a long session with a model that never sums up well, whose compactions
/// are each of the one before.
#[test]
fn a_long_session_with_a_hostile_model_stays_below_its_window() {
    let window = 6_000;
    let config = Config::default();
    let answers = [
        Answer::Failed,
        Answer::Text(String::new()),
        Answer::TooLong { prompt: None, window: None },
        Answer::Text(tokens("too much", 9_000)),
        Answer::Text("a summary".into()),
    ];
    let mut history = history([developer("be brief"), assistant("a rule").pinned()]);
    for round in 0..60_usize {
        history.record(user(&tokens(&format!("message {round}"), 30 + round * 37 % 400)));
        history.extend([
            call("a", &round.to_string()),
            output("a", &tokens("out", round * 211 % 2_500)),
        ]);
        history.record(assistant("done"));
        if history.tokens() <= window {
            continue;
        }
        let mut budget = common::budget(common::WINDOW, Some(window));
        budget.limit = window;
        let view = View::new(
            history.clone(),
            Vec::new(),
            Keep::default(),
            ReasoningFilter::default(),
            &budget,
        );
        let course = common::says(&config, view, budget, &answers[round % answers.len()]);
        assert!(course.asked.len() <= 3);
        history = applied(&history, course.installed());
        assert!(history.tokens() <= window - window / 10);
        assert_eq!(items(&history)[..2], [developer("be brief"), assistant("a rule").pinned()]);
        assert!(history.iter().filter(|item| item.is_bridge()).count() <= 1);
    }
}
