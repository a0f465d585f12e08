//! What truncation costs: what is kept, not what there was.

use std::cell::Cell;

use longhaul_history::truncate::{
    MiddleLimits, OutputLimits, READ_WHOLE_BYTES, middle_within, output,
};

use super::{by_bytes, by_words, cut, limits};

/// The counter sees texts no longer than the limits allow, and few of them, however long the input.
#[test]
fn the_counter_sees_what_may_be_kept() {
    let huge = "some words of a line\n".repeat(100_000);
    let json = format!(r#"{{"output":"{}"}}"#, "words ".repeat(100_000));
    for text in [&huge, &json, &huge[..9_000], &"🦀".repeat(50_000)] {
        for (max_bytes, max_tokens) in [(10_240, 1_000), (usize::MAX, 1_000), (10_240, 7), (0, 0)] {
            let limits = limits(|limits| {
                limits.max_bytes = max_bytes;
                limits.max_tokens = Some(max_tokens);
            });
            let allowed = max_bytes.min(16 * usize::try_from(max_tokens).unwrap());
            let seen = Cell::new(0);
            let counting = |text: &str| {
                assert!(text.len() <= allowed);
                seen.set(seen.get() + text.len());
                by_bytes(text)
            };
            let short = output(text, &limits, &counting).text;
            assert!(by_bytes(&short) <= max_tokens);
            assert!(seen.get() <= 4 * allowed, "{} of {allowed}", seen.get());
        }
    }
}

/// A counter that never is content makes no more work than is promised.
#[test]
fn a_counter_that_is_never_content_is_given_up_on() {
    let text = "x".repeat(9_999);
    let limits = limits(|limits| limits.max_tokens = Some(640));
    let seen = Cell::new(0);
    let greedy = |text: &str| {
        seen.set(seen.get() + text.len());
        if text.is_empty() { 0 } else { 641 }
    };
    assert_eq!(output(&text, &limits, &greedy).text, "");
    assert!(seen.get() <= 9 * 9_999, "{}", seen.get());
}

/// Of a text too long to be read whole, nothing is known but its bytes and its ends.
#[test]
fn of_huge_texts_only_the_ends_are_looked_at() {
    let text = format!("first\n{}last\n", "0123456789abcde\n".repeat(READ_WHOLE_BYTES / 8));
    let total = text.len();
    let short = cut(&text, &OutputLimits::default());
    assert!(short.starts_with(&format!("Total output bytes: {total}\n\nfirst\n0123")));
    assert!(
        short.contains(&format!("\n\n[... omitted 2093168 of {total} bytes ...]\n\n0123")),
        "{short}"
    );
    assert!(short.ends_with("cde\nlast\n"));
    assert_eq!(short.lines().count(), 256);
    assert_eq!(cut(&short, &OutputLimits::default()), short);

    let line = "x".repeat(3 * READ_WHOLE_BYTES);
    let capped = limits(|limits| limits.max_line_bytes = Some(100));
    let kept = "x".repeat(100);
    let expected = format!(
        "Total output bytes: 3145728\n\n{kept}\n[... omitted 3145528 of 3145728 bytes ...]\n\n{kept}"
    );
    assert_eq!(cut(&line, &capped), expected);
}

#[test]
fn huge_json_becomes_a_stub() {
    let json = format!(r#"["first",{}"last"]"#, "0,".repeat(READ_WHOLE_BYTES));
    let short = cut(&json, &limits(|limits| limits.max_bytes = 160));
    let zeros = ",0".repeat(19);
    let expected = format!(
        r#"{{"truncated":true,"total_bytes":2097168,"head":"[\"first\"{zeros},","tail":"{zeros},0,\"last\"]"}}"#
    );
    assert_eq!(short, expected);
}

/// What `count` is shown of `text` in bytes, all together, and at most at once.
fn seen_by(count: fn(&str) -> u64, text: &str, limits: &MiddleLimits) -> (usize, usize) {
    let (all, longest) = (Cell::new(0), Cell::new(0));
    middle_within(text, limits, &|text| {
        all.set(all.get() + text.len());
        longest.set(longest.get().max(text.len()));
        count(text)
    });
    (all.get(), longest.get())
}

#[test]
fn a_budget_in_tokens_is_settled_at_the_two_ends() {
    let huge = "some words of a line\n".repeat(200_000);
    let row = "x".repeat(4_000_000);
    for (text, count) in [(&huge, by_bytes as fn(&str) -> u64), (&huge, by_words), (&row, by_bytes)]
    {
        for max_tokens in [100, 1_000, 20_000] {
            let (all, longest) = seen_by(count, text, &MiddleLimits::tokens(max_tokens));
            let max_tokens = usize::try_from(max_tokens).unwrap();
            assert!(longest <= 16 * max_tokens, "{longest}");
            assert!(all <= 12 * max_tokens + 1_000, "{all} for {max_tokens} tokens");
        }
    }
}

/// Whether a text fits is plain from its length, or costs one pass over it.
#[test]
fn what_fits_is_counted_once_at_most() {
    let limits = MiddleLimits::tokens(1_000);
    let seen = |bytes: usize| seen_by(by_bytes, &"x".repeat(bytes), &limits);
    assert_eq!(seen(1_000), (0, 0));
    assert_eq!(seen(1_001), (1_001, 1_001));
    assert_eq!(seen(4_000), (4_000, 4_000));
}

/// However odd the counter, there is a bound to what it sees.
#[test]
fn middles_are_given_up_on() {
    let counters: [fn(&str) -> u64; 4] = [
        |text| if text.is_empty() { 0 } else { u64::MAX },
        |text| if text.len() < 50 { text.len() as u64 } else { 20_001 },
        |text| if text.contains("tokens truncated") { 20_001 } else { 1 },
        |text| text.len().saturating_mul(text.len()) as u64,
    ];
    for bytes in [320_000, 1_000_000] {
        let text = "x".repeat(bytes);
        for count in counters {
            for max_tokens in [1, 40, 20_000] {
                let (all, _) = seen_by(count, &text, &MiddleLimits::tokens(max_tokens));
                let room = 16 * usize::try_from(max_tokens).unwrap();
                assert!(all <= 10 * room + 10_240, "{all} for {max_tokens} tokens");
            }
        }
    }
}

/// An exact number costs what it was allowed to, once.
#[test]
fn a_number_is_counted_within_its_bound() {
    let text = "x".repeat(100_000);
    let mut limits = MiddleLimits::bytes(8_029);
    let counted = |limits: &MiddleLimits| seen_by(by_bytes, &text, limits);
    limits.max_counted_bytes = 91_999;
    assert_eq!(counted(&limits), (0, 0));
    limits.max_counted_bytes = 92_000;
    assert_eq!(counted(&limits), (92_000, 92_000));

    limits = MiddleLimits::tokens(2_000);
    let (without, _) = counted(&limits);
    limits.max_counted_bytes = 100_000;
    let (with, _) = counted(&limits);
    assert!((92_000..=100_000 + 8_000).contains(&(with - without)), "{with} {without}");
}
