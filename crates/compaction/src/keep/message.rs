//! How many tokens each message of the user gets in a bridge.

/// Below this a message is not cut any further: the oldest go instead.
const LEAST_TOKENS: u64 = 128;

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
///
/// The last one has whatever it needs. Of the others the longest give way first, and when each has
/// [`LEAST_TOKENS`] the oldest go.
pub(crate) fn shares(messages: &[u64], budget: u64) -> Vec<Share> {
    let Some((last, others)) = messages.split_last() else {
        return Vec::new();
    };
    let left = budget.saturating_sub(*last);
    let first = first_kept(others, left);
    let largest = largest_share(&others[first..], left);
    let share = |(index, tokens): (usize, &u64)| match *tokens {
        _ if index < first => Share::Dropped,
        tokens if tokens <= largest => Share::Whole,
        _ => Share::Cut(largest),
    };
    let mut shares: Vec<_> = others.iter().enumerate().map(share).collect();
    shares.push(if *last <= budget { Share::Whole } else { Share::Cut(budget) });
    shares
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

/// The largest share that each message may have.
fn largest_share(messages: &[u64], budget: u64) -> u64 {
    let taken = |share: u64| {
        messages.iter().map(|tokens| (*tokens).min(share)).fold(0, u64::saturating_add)
    };
    let (mut fits, mut too_much) = (0, budget.saturating_add(1));
    while too_much - fits > 1 {
        let middle = fits + (too_much - fits) / 2;
        if taken(middle) <= budget {
            fits = middle;
        } else {
            too_much = middle;
        }
    }
    fits
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Share::{Cut, Dropped, Whole};
    use super::*;

    #[test]
    fn the_last_comes_first_then_the_longest_give_way_then_the_oldest_go() {
        let table: &[(&[u64], u64, &[Share])] = &[
            (&[], 10, &[]),
            (&[5], 10, &[Whole]),
            (&[11], 10, &[Cut(10)]),
            (&[7, 11], 10, &[Dropped, Cut(10)]),
            (&[500, 500, 100], 1_100, &[Whole, Whole, Whole]),
            (&[900, 300, 100], 1_000, &[Cut(600), Whole, Whole]),
            (&[900, 900, 100], 1_000, &[Cut(450), Cut(450), Whole]),
            (&[900, 900, 900], 1_100, &[Dropped, Cut(200), Whole]),
            (&[40, 900, 900], 1_080, &[Whole, Cut(140), Whole]),
            (&[60, 900, 900], 1_080, &[Dropped, Cut(180), Whole]),
        ];
        for (messages, budget, expected) in table {
            assert_eq!(shares(messages, *budget), *expected, "{messages:?} in {budget}");
        }
    }

    proptest! {
        /// Against the rule itself: one token at a time is taken from the longest.
        #[test]
        fn shares_are_those_of_the_plain_rule(
            messages in proptest::collection::vec(0..600_u64, 0..8),
            budget in 0..2_000_u64,
        ) {
            prop_assert_eq!(shares(&messages, budget), plain(&messages, budget));
        }
    }

    fn plain(messages: &[u64], budget: u64) -> Vec<Share> {
        let Some((last, others)) = messages.split_last() else { return Vec::new() };
        let left = budget.saturating_sub(*last);
        let mut kept: Vec<Option<u64>> = others.iter().map(|tokens| Some(*tokens)).collect();
        let at_least = |tokens: &Option<u64>| tokens.unwrap_or(0).min(LEAST_TOKENS);
        while kept.iter().map(at_least).sum::<u64>() > left {
            let oldest = kept.iter().position(Option::is_some).unwrap();
            kept[oldest] = None;
        }
        let mut cap = u64::MAX;
        let capped = |cap: u64| kept.iter().flatten().map(|t| (*t).min(cap)).sum::<u64>();
        while capped(cap) > left {
            cap = cap.min(600) - 1;
        }
        let mut shares: Vec<_> = kept
            .iter()
            .zip(others)
            .map(|(kept, tokens)| match kept {
                None => Dropped,
                Some(_) if *tokens <= cap => Whole,
                Some(_) => Cut(cap),
            })
            .collect();
        shares.push(if *last <= budget { Whole } else { Cut(budget) });
        shares
    }
}
