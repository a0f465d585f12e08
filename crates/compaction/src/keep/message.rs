//! How many tokens each message of the user gets in a bridge.

use crate::largest::largest;

/// Below this a message is not cut any further: the oldest go instead.
const LEAST_TOKENS: u64 = 128;

/// Nobody types so much: what is longer was pasted, and is cut before anything else.
const PASTED_TOKENS: u64 = 1_024;

/// What becomes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Share {
    /// It stays as it is.
    Whole,
    /// It is cut to so many tokens.
    Cut(u64),
    /// It goes.
    Dropped,
}

/// The share of each of `messages`, which are given by their tokens, the oldest first, in `budget`.
/// `last` is what the user said last, which stands behind them, and is whole or has a limit of its own: up
/// to an eighth of the budget it is part of that, and what is more is on top, so that one long message
/// does not cost the others.
///
/// What was pasted gives way first, then the longest, and when each has [`LEAST_TOKENS`] the oldest go.
pub(crate) fn shares(messages: &[u64], last: u64, budget: u64) -> Vec<Share> {
    let left = budget - last.min(budget / 8);
    let first = first_kept(messages, left);
    let caps = Caps::of(&messages[first..], left);
    let share = |(index, tokens): (usize, &u64)| match caps.of_message(*tokens) {
        _ if index < first => Share::Dropped,
        cap if *tokens <= cap => Share::Whole,
        cap => Share::Cut(cap),
    };
    messages.iter().enumerate().map(share).collect()
}

/// The most that a message may have.
struct Caps {
    pasted: u64,
    typed: u64,
}

impl Caps {
    fn of(messages: &[u64], budget: u64) -> Self {
        let (pasted, typed): (Vec<u64>, Vec<u64>) =
            messages.iter().partition(|tokens| **tokens > PASTED_TOKENS);
        let least = |messages: &[u64]| {
            messages.iter().map(|tokens| (*tokens).min(LEAST_TOKENS)).fold(0, u64::saturating_add)
        };
        let all_typed = typed.iter().copied().fold(0, u64::saturating_add);
        let for_pasted = budget.saturating_sub(all_typed).max(least(&pasted));
        let for_typed = budget.saturating_sub(least(&pasted));
        Self { pasted: largest_share(&pasted, for_pasted), typed: largest_share(&typed, for_typed) }
    }

    fn of_message(&self, tokens: u64) -> u64 {
        if tokens > PASTED_TOKENS { self.pasted } else { self.typed }
    }
}

/// The oldest message for which there is room if all give way as far as they must.
fn first_kept(messages: &[u64], budget: u64) -> usize {
    let mut left = budget;
    for (index, tokens) in messages.iter().enumerate().rev() {
        match left.checked_sub((*tokens).min(LEAST_TOKENS)) {
            Some(rest) => left = rest,
            None => return index + 1,
        }
    }
    0
}

/// The largest share that each may have.
pub(crate) fn largest_share(needs: &[u64], budget: u64) -> u64 {
    let taken =
        |share: u64| needs.iter().map(|need| (*need).min(share)).fold(0, u64::saturating_add);
    largest(budget, |share| taken(share) <= budget)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Share::{Cut, Dropped, Whole};
    use super::*;

    #[test]
    fn pastes_and_the_longest_give_way_then_the_oldest_go() {
        let table: &[(&[u64], u64, u64, &[Share])] = &[
            (&[], 11, 10, &[]),
            (&[7], 9, 8, &[Whole]),
            (&[8], 9, 8, &[Dropped]),
            (&[500, 500], 0, 1_000, &[Whole, Whole]),
            (&[500, 500], 100, 1_000, &[Cut(450), Cut(450)]),
            (&[500, 500], 9_000, 1_000, &[Cut(437), Cut(437)]),
            (&[900, 300], 0, 900, &[Cut(600), Whole]),
            (&[900, 900], 0, 200, &[Dropped, Cut(200)]),
            (&[40, 900], 0, 180, &[Whole, Cut(140)]),
            (&[60, 900], 0, 180, &[Dropped, Cut(180)]),
            (&[5_000, 900], 0, 1_490, &[Cut(590), Whole]),
            (&[5_000, 900, 2_000], 0, 1_490, &[Cut(295), Whole, Cut(295)]),
            (&[5_000, 900], 0, 990, &[Cut(128), Cut(862)]),
        ];
        for (messages, last, budget, expected) in table {
            assert_eq!(shares(messages, *last, *budget), *expected, "{messages:?} in {budget}");
        }
    }

    proptest! {
        /// Against the rule itself: a token at a time is taken from the longest.
        #[test]
        fn shares_are_those_of_the_plain_rule(
            messages in proptest::collection::vec(prop_oneof![3 => 0..600_u64, 1 => 1_000..1_400_u64], 0..8),
            last in 0..500_u64,
            budget in 0..2_500_u64,
        ) {
            prop_assert_eq!(shares(&messages, last, budget), plain(&messages, last, budget));
        }
    }

    fn plain(others: &[u64], last: u64, budget: u64) -> Vec<Share> {
        let left = budget - last.min(budget / 8);
        let mut kept: Vec<Option<u64>> = others.iter().map(|tokens| Some(*tokens)).collect();
        let at_least = |tokens: &Option<u64>| tokens.unwrap_or(0).min(LEAST_TOKENS);
        while kept.iter().map(at_least).sum::<u64>() > left {
            let oldest = kept.iter().position(Option::is_some).unwrap();
            kept[oldest] = None;
        }
        let (mut pasted, mut typed) = (1_400, PASTED_TOKENS);
        let cap = |tokens: u64, pasted: u64, typed: u64| {
            tokens.min(if tokens > PASTED_TOKENS { pasted } else { typed })
        };
        let taken = |pasted: u64, typed: u64| {
            kept.iter().flatten().map(|tokens| cap(*tokens, pasted, typed)).sum::<u64>()
        };
        while taken(pasted, typed) > left {
            if pasted > LEAST_TOKENS {
                pasted -= 1;
            } else {
                typed -= 1;
            }
        }
        let share = |(kept, tokens): (&Option<u64>, &u64)| match cap(*tokens, pasted, typed) {
            _ if kept.is_none() => Dropped,
            capped if capped == *tokens => Whole,
            capped => Cut(capped),
        };
        kept.iter().zip(others).map(share).collect()
    }
}
