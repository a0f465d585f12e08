//! Turns that have used what they may.

use super::*;
use crate::budget::{Budget, Exceeded, Price};

fn turn_with(budget: Budget) -> Turn {
    let mut limits = limits();
    limits.budget = budget;
    limits.price = Price::per_million(1e6, 1e6, 1e6);
    Turn::new(limits)
}

/// A response that calls a tool and costs 10 tokens, each of them 1.
fn costly() -> Fact {
    let usage = TokenUsage { input: 6, output: 4, total: 10, ..TokenUsage::default() };
    let items = vec![Item::function_call("r0", "read", "{}")];
    Fact::ResponseCompleted(Response::new(items, Some(usage)))
}

fn error(actions: &[Action]) -> Option<Exceeded> {
    match actions.last() {
        Some(Action::Fail(TurnError::BudgetExceeded(exceeded))) => Some(*exceeded),
        _ => None,
    }
}

#[test]
fn the_response_that_goes_beyond_it_is_whole_and_the_next_is_not_asked_for() {
    let table = [
        (Budget::tokens(20), Exceeded::Tokens { used: 20, limit: 20 }),
        (Budget::cost(19.5), Exceeded::Cost { used: 20.0, limit: 19.5 }),
        (Budget::requests(2), Exceeded::Requests { used: 2, limit: 2 }),
    ];
    for (budget, exceeded) in table {
        let mut turn = turn_with(budget);
        apply(&mut turn, Fact::Started);
        for step in 0..2 {
            assert_eq!(apply(&mut turn, costly()), ["commit 1", "run r0"]);
            let actions = turn.apply(ended(0, "")).unwrap();
            let expected = (step == 1).then_some(exceeded);
            assert_eq!(error(&actions), expected, "{budget:?}");
            if step == 0 {
                apply(&mut turn, Fact::Ready);
            }
        }
        assert!(turn.is_done());
    }
}

#[test]
fn a_final_answer_is_an_answer_whatever_it_cost() {
    let mut turn = turn_with(Budget::tokens(1));
    apply(&mut turn, Fact::Started);
    let usage = TokenUsage { total: 10, ..TokenUsage::default() };
    let items = vec![Item::assistant("done")];
    let response = Fact::ResponseCompleted(Response::new(items, Some(usage)));
    assert_eq!(apply(&mut turn, response), ["commit 1", "finish Some(\"done\")"]);
}

#[test]
fn repeated_requests_and_compactions_count() {
    let mut turn = turn_with(Budget::requests(3));
    apply(&mut turn, Fact::Started);
    for _ in 0..2 {
        assert_eq!(raw(&mut turn, Fact::AttemptFailed), [""; 0]);
    }
    assert_eq!(raw(&mut turn, Fact::AttemptFailed), ["fail budget_exceeded"]);
    assert!(turn.is_done());
    assert_eq!(turn.spent().attempts, 3, "so many were sent");

    let mut turn = turn_with(Budget::cost(5.0));
    raw(&mut turn, Fact::Started);
    raw(&mut turn, Fact::CompactionDue(Cause::Limit));
    let end = CompactionEnd { is_installed: true, attempts: 1, cost: 5.0, ..<_>::default() };
    assert_eq!(raw(&mut turn, Fact::CompactionEnded(end)), ["fail budget_exceeded"]);
}
