//! A message of several blocks, made shorter: what was typed around a paste stays.

use longhaul_history::tokens::TokenCounter;
use longhaul_history::truncate::{BYTES_PER_TOKEN, MiddleLimits, Truncated, middle_within};

use super::message::largest_share;

/// What divides blocks.
const BETWEEN: &str = "\n\n";

/// Where each block would have less than this, the text is cut as a whole.
const LEAST_BLOCK_TOKENS: u64 = 32;

/// At most so many tokens of `text`.
///
/// Of a text in blocks (empty lines between them) the longest blocks give way first, each cut in its
/// middle. A text that is one block, or has very many, is cut in its middle as a whole.
pub(crate) fn within(text: &str, max_tokens: u64, counter: &dyn TokenCounter) -> String {
    if counter.count_text(text) <= max_tokens {
        return text.to_owned();
    }
    let shorter = by_blocks(text, max_tokens, counter);
    let text = shorter.as_deref().unwrap_or(text);
    cut(text, max_tokens, counter).text.into_owned()
}

fn by_blocks(text: &str, max_tokens: u64, counter: &dyn TokenCounter) -> Option<String> {
    let blocks: Vec<&str> = text.split(BETWEEN).collect();
    // What stands between two blocks is a token of its own.
    let needs: Vec<u64> = blocks.iter().map(|block| counter.count_text(block) + 1).collect();
    let share = largest_share(&needs, max_tokens);
    if blocks.len() == 1 || share < LEAST_BLOCK_TOKENS {
        return None;
    }
    let shorter = blocks.iter().map(|block| cut(block, share - 1, counter).text);
    Some(shorter.collect::<Vec<_>>().join(BETWEEN))
}

/// Both ends of a text: at most so many tokens, and four bytes for each.
pub(crate) fn cut<'a>(text: &'a str, max_tokens: u64, counter: &dyn TokenCounter) -> Truncated<'a> {
    let mut limits = MiddleLimits::tokens(max_tokens);
    let max_bytes = usize::try_from(max_tokens).unwrap_or(usize::MAX);
    limits.max_bytes = max_bytes.saturating_mul(BYTES_PER_TOKEN);
    middle_within(text, &limits, &|text| counter.count_text(text))
}

#[cfg(test)]
mod tests {
    use longhaul_history::tokens::Estimator;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_typed_around_a_paste_stays() {
        let counter = Estimator::default();
        let log = "03:14 WARN worker-7 segment 0x1f2e dropped\n".repeat(200);
        let text = ["Never touch third_party/.", &log, "Why does it drop them?"].join(BETWEEN);
        let short = within(&text, 128, &counter);
        assert!(short.starts_with("Never touch third_party/.\n\n03:14 WARN"), "{short}");
        assert!(short.ends_with("dropped\n\n\nWhy does it drop them?"), "{short}");
        assert!(short.contains(" tokens truncated…"), "{short}");
    }

    proptest! {
        #[test]
        fn no_text_is_longer_than_it_may_be(
            blocks in proptest::collection::vec("[a-zé \n]{0,400}", 0..12),
            max in 0..300_u64,
        ) {
            let counter = Estimator::default();
            let text = blocks.join(BETWEEN);
            let short = within(&text, max, &counter);
            prop_assert!(counter.count_text(&short) <= max);
            if counter.count_text(&text) <= max {
                prop_assert_eq!(short, text);
            }
        }
    }
}
