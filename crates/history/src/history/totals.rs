//! What is known of a run of items without looking at them, in sums that can be added and taken
//! apart.

use twox_hash::XxHash3_64;

/// What a run of items is on the wire.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sum {
    /// How many of them are sent.
    pub(super) items: usize,
    /// Their bytes, with a comma behind each.
    pub(super) bytes: usize,
    pub(super) tokens: u64,
    /// Their bytes as a polynomial over the items' own hashes.
    pub(super) hash: u64,
}

/// What is known of the first items of a conversation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) len: usize,
    /// Items that begin a turn.
    pub(super) turns: usize,
    /// Messages of the user, context left out.
    pub(super) user_messages: usize,
    pub(super) all: Sum,
    /// The same but for reasoning.
    pub(super) without_reasoning: Sum,
}

impl Sum {
    /// One item that is sent as `wire`, a comma behind it. Its hash leaves the comma out.
    pub(super) fn of(wire: &[u8], tokens: u64) -> Self {
        let Some(item) = wire.strip_suffix(b",") else {
            return Self::default();
        };
        Self { items: 1, bytes: wire.len(), tokens, hash: XxHash3_64::oneshot(item) % PRIME }
    }

    /// This run with `next` behind it.
    pub(super) fn plus(self, next: Self) -> Self {
        Self {
            items: self.items + next.items,
            bytes: self.bytes + next.bytes,
            tokens: self.tokens.saturating_add(next.tokens),
            hash: (shifted(self.hash, next.items) + next.hash) % PRIME,
        }
    }

    /// What is behind `first`, which this run begins with.
    pub(super) fn behind(self, first: Self) -> Self {
        let items = self.items.saturating_sub(first.items);
        Self {
            items,
            bytes: self.bytes.saturating_sub(first.bytes),
            tokens: self.tokens.saturating_sub(first.tokens),
            hash: (self.hash + PRIME - shifted(first.hash, items)) % PRIME,
        }
    }
}

impl Totals {
    /// These items with `next` behind them.
    pub(super) fn plus(&self, next: &Self) -> Self {
        Self {
            len: self.len + next.len,
            turns: self.turns + next.turns,
            user_messages: self.user_messages + next.user_messages,
            all: self.all.plus(next.all),
            without_reasoning: self.without_reasoning.plus(next.without_reasoning),
        }
    }
}

/// 2^61 - 1: two hashes below it can be added in 64 bits and multiplied in 128.
const PRIME: u64 = (1 << 61) - 1;

/// Any number of about the size of the prime.
const BASE: u64 = 0x0c3a_5c85_c97c_b127;

/// `hash` with so many items behind it.
fn shifted(hash: u64, items: usize) -> u64 {
    let (mut shifted, mut factor, mut left) = (hash, BASE, items);
    while left > 0 {
        if left % 2 == 1 {
            shifted = product(shifted, factor);
        }
        factor = product(factor, factor);
        left /= 2;
    }
    shifted
}

#[expect(clippy::cast_possible_truncation, reason = "a remainder of the prime")]
fn product(a: u64, b: u64) -> u64 {
    (u128::from(a) * u128::from(b) % u128::from(PRIME)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(items: &[&str]) -> Sum {
        items.iter().fold(Sum::default(), |sum, item| {
            sum.plus(Sum::of(format!("{item},").as_bytes(), item.len() as u64))
        })
    }

    #[test]
    fn runs_add_up_and_come_apart_at_every_place() {
        let items = ["{}", r#"{"a":1}"#, "", "{}", "x", r#"{"a":2}"#];
        let whole = sum(&items);
        assert_eq!((whole.items, whole.bytes, whole.tokens), (6, 25, 19));
        for place in 0..=items.len() {
            let (first, next) = (sum(&items[..place]), sum(&items[place..]));
            assert_eq!(first.plus(next), whole);
            assert_eq!(whole.behind(first), next);
        }
        assert_eq!(Sum::of(b"", 7), Sum::default(), "what is not sent is nothing");
    }

    #[test]
    fn order_and_bounds_of_items_matter() {
        let hashes = [&["ab", "c"][..], &["a", "bc"], &["c", "ab"], &["abc"], &["ab"], &[]];
        let mut seen: Vec<u64> = hashes.iter().map(|items| sum(items).hash).collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), hashes.len());
    }
}
