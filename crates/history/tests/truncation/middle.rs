//! The middle of a text, within bytes and tokens.

use std::borrow::Cow;

use longhaul_history::truncate::{Cut, MiddleLimits, Truncated, middle, middle_within};
use proptest::prelude::*;

use super::{by_bytes, by_words};

type Counter = fn(&str) -> u64;

/// A token for each char, but one for the words of a marker, so that small texts can have one.
fn by_chars(text: &str) -> u64 {
    text.replace(" tokens truncated…\n", "").chars().count() as u64
}

/// Counters that add up, or nearly, and count a number no higher than a longer one.
const USUAL: [Counter; 3] = [by_bytes, by_chars, by_words];

/// Counters with at most one token a byte that neither add up nor grow with the text.
const ODD: [Counter; 3] = [
    |text| text.bytes().map(u64::from).sum::<u64>() % (text.len() as u64 + 1),
    |text| (text.len() as u64).min(400_u64.saturating_sub(text.len() as u64)),
    |text| {
        if text.contains("tokens truncated") { text.len() as u64 } else { 1 }.min(text.len() as u64)
    },
];

fn marker(tokens: usize) -> String {
    format!("…{tokens} tokens truncated…\n")
}

/// No text within the limits is longer.
fn room(limits: &MiddleLimits) -> usize {
    limits
        .max_tokens
        .map_or(usize::MAX, |max| 16 * usize::try_from(max).unwrap())
        .min(limits.max_bytes)
}

fn is_within(text: &str, limits: &MiddleLimits, count: Counter) -> bool {
    text.len() <= room(limits) && limits.max_tokens.is_none_or(|max| count(text) <= max)
}

/// The two ends of at most `kept_bytes`, by trying every cut; and what is between them.
fn naive_ends(text: &str, kept_bytes: usize) -> (&str, &str, &str) {
    let cuts = || (0..=text.len()).filter(|&i| text.is_char_boundary(i));
    let after_newline = |&i: &usize| text[..i].ends_with('\n');
    let ends = || cuts().filter(|&end| end <= kept_bytes / 2);
    let starts = || cuts().filter(|&start| text.len() - start <= kept_bytes.div_ceil(2));
    let lines = || starts().skip(1).filter(after_newline).filter(|&i| i < text.len());
    let end = ends().filter(after_newline).max().or(ends().max()).unwrap();
    let start = lines().min().or(starts().min()).unwrap();
    (&text[..end], &text[end..start], &text[start..])
}

/// The longest beginning that fits, by trying all.
fn naive_head<'a>(text: &'a str, limits: &MiddleLimits, count: Counter) -> &'a str {
    let mut heads = (0..=text.len()).filter_map(|end| text.get(..end));
    heads.rfind(|head| is_within(head, limits, count)).unwrap()
}

fn widest_marker(text: &str, limits: &MiddleLimits) -> String {
    marker(text.len().div_ceil(4).max(limits.max_counted_bytes.min(text.len())))
}

/// What holds for any text, any limits and any counter with at most one token a byte.
fn check<'a>(
    text: &'a str,
    limits: &MiddleLimits,
    count: Counter,
) -> Result<Truncated<'a>, TestCaseError> {
    let short = middle_within(text, limits, &count);
    prop_assert!(is_within(&short.text, limits, count), "{short:?}");
    prop_assert_eq!(&middle_within(text, limits, &count), &short);
    let again = middle_within(&short.text, limits, &count);
    prop_assert_eq!((&again.text, again.cut), (&short.text, None));

    // Texts of no more bytes than tokens are not counted, which changes nothing for these counters.
    let Some(cut) = short.cut else {
        prop_assert!(is_within(text, limits, count));
        prop_assert!(matches!(short.text, Cow::Borrowed(same) if same == text));
        return Ok(short);
    };
    prop_assert!(!is_within(text, limits, count));
    prop_assert_eq!(cut.original_bytes, text.len());
    prop_assert_ne!(cut.removed_bytes, 0);
    if let Some(removed) = removed_around_marker(text, &short.text, cut) {
        prop_assert_eq!(removed.len(), cut.removed_bytes);
        if let Some(counted) = cut.counted_tokens {
            prop_assert!(removed.len() <= limits.max_counted_bytes);
            prop_assert_eq!(counted as u64, count(removed));
        }
    } else {
        prop_assert!(text.starts_with(&*short.text), "{short:?}");
        prop_assert_eq!(
            (cut.removed_bytes, cut.counted_tokens),
            (text.len() - short.text.len(), None)
        );
    }
    Ok(short)
}

/// What is removed from `short`, if it is two ends of `text` cut by the rule, around its marker.
fn removed_around_marker<'a>(text: &'a str, short: &str, cut: Cut) -> Option<&'a str> {
    let marker = marker(cut.removed_tokens());
    short.match_indices(&marker).find_map(|(at, _)| {
        let ends = (&short[..at], &short[at + marker.len()..]);
        // The least room that holds both ends, or a newline before the suffix too.
        let least = (2 * ends.0.len()).max((2 * ends.1.len()).saturating_sub(1));
        let cuts = (least..text.len().min(least + 3)).map(|kept| naive_ends(text, kept));
        let mut cuts = cuts.filter(|(prefix, _, suffix)| (*prefix, *suffix) == ends);
        cuts.next().map(|(_, removed, _)| removed)
    })
}

/// What holds for the usual counters besides.
fn check_usual(text: &str, limits: &MiddleLimits, count: Counter) -> Result<(), TestCaseError> {
    let short = check(text, limits, count)?;
    let Some(cut) = short.cut else { return Ok(()) };
    let widest = widest_marker(text, limits);
    if !is_within(&widest, limits, count) {
        prop_assert_eq!(&*short.text, naive_head(text, limits, count));
        return Ok(());
    }
    let removed = removed_around_marker(text, &short.text, cut);
    prop_assert!(removed.is_some(), "no marker: {short:?}");
    prop_assert_eq!(cut.counted_tokens.is_some(), cut.removed_bytes <= limits.max_counted_bytes);
    Ok(())
}

fn any_limits() -> impl Strategy<Value = MiddleLimits> {
    let bytes = prop_oneof![2 => Just(usize::MAX), 1 => 0..400_usize];
    let tokens = prop_oneof![1 => 0..30_u64, 3 => 0..250_u64].prop_map(Some);
    let tokens = prop_oneof![4 => tokens, 1 => Just(None)];
    let counted = prop_oneof![1 => Just(0), 2 => 0..400_usize, 1 => Just(usize::MAX)];
    (bytes, tokens, counted).prop_map(|(max_bytes, max_tokens, max_counted_bytes)| {
        let mut limits = MiddleLimits::bytes(max_bytes);
        limits.max_tokens = max_tokens;
        limits.max_counted_bytes = max_counted_bytes;
        limits
    })
}

const TEXT: &str = "([ -~\n]|[é日🦀\n]|[x]{9}|[a-z]{1,6} |[0-9 ]{40}\n){0,120}";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn any_text_is_within_any_limits(text in TEXT, limits in any_limits()) {
        for count in USUAL {
            check_usual(&text, &limits, count)?;
        }
    }

    #[test]
    fn odd_counters_do_not_break_the_limits(text in TEXT, limits in any_limits()) {
        for count in ODD {
            check(&text, &limits, count)?;
        }
    }

    /// The counter is not asked where neither tokens are limited nor the number is to be exact.
    #[test]
    fn without_tokens_it_is_cut_by_bytes(text in TEXT, max_bytes in 0..400_usize) {
        let never = |_: &str| -> u64 { unreachable!() };
        let short = middle_within(&text, &MiddleLimits::bytes(max_bytes), &never);
        prop_assert_eq!(short, middle(&text, max_bytes));
    }
}

/// All texts of up to six chars, every budget.
#[test]
fn small_texts_one_and_all() {
    let mut texts = vec![String::new()];
    for len in 0..=6 {
        for text in &texts {
            for max_tokens in 0..=len + 1 {
                for (max_bytes, max_counted_bytes) in [(usize::MAX, 0), (usize::MAX, 9), (30, 9)] {
                    let mut limits = MiddleLimits::tokens(max_tokens);
                    limits.max_bytes = max_bytes;
                    limits.max_counted_bytes = max_counted_bytes;
                    for count in USUAL {
                        check_usual(text, &limits, count).unwrap();
                    }
                }
            }
        }
        let longer = |text: &String| ["a", "\n", "é"].map(|c| format!("{text}{c}"));
        texts = texts.iter().flat_map(longer).collect();
    }
}

/// Where a counted number is wider than the estimate, there is room for it, to the byte and the token.
#[test]
fn a_counted_number_always_fits() {
    for (width, lines) in (0..8).flat_map(|width| (1..30).map(move |lines| (width, lines))) {
        let text = ("x".repeat(width) + "\n").repeat(lines);
        for max in 0..60 {
            let mut limits = MiddleLimits::bytes(max);
            limits.max_counted_bytes = text.len();
            check_usual(&text, &limits, by_chars).unwrap();
            limits.max_bytes = usize::MAX;
            limits.max_tokens = Some(max as u64);
            check_usual(&text, &limits, by_chars).unwrap();
        }
    }
}

#[test]
fn more_than_16_bytes_a_token_are_too_long() {
    let text = "x".repeat(1_601);
    let limits = MiddleLimits::tokens(100);
    assert_eq!(middle_within(&text[1..], &limits, &by_words).cut, None);
    let short = check(&text, &limits, by_words).unwrap().text;
    assert!((1_570..=1_600).contains(&short.len()), "{}", short.len());
}

/// A marker that counts more than one with a greater number leaves the beginning alone.
#[test]
fn a_marker_that_does_not_fit_after_all_is_left_out() {
    let count: Counter = |text| match text {
        "…400 tokens truncated…\n" => 20,
        _ => text.len() as u64,
    };
    let text = "x".repeat(400);
    let mut limits = MiddleLimits::tokens(25);
    limits.max_counted_bytes = 400;
    assert_eq!(check(&text, &limits, count).unwrap().text, "x".repeat(25));
}

/// Counters of more than a token a byte: what is counted is held to what they say.
#[test]
fn greedy_counters_leave_nothing() {
    let greedy: [Counter; 2] =
        [|text| if text.is_empty() { 0 } else { u64::MAX }, |text| 50 * text.len() as u64];
    for (count, kept) in greedy.into_iter().zip(["", "abcd"]) {
        let text = "abcdefghijklmnopqrstuvwxyz".repeat(20);
        let short = middle_within(&text, &MiddleLimits::tokens(200), &count);
        assert_eq!(short.text, kept);
    }
    // Here the number of the marker would be too long for the bytes, so it stays an estimate.
    let mut limits = MiddleLimits::bytes(40);
    limits.max_counted_bytes = 1_000;
    let short = middle_within("abcdefghijklmnopqrstuvwxyz0123456789-----", &limits, &|_| u64::MAX);
    assert_eq!(short.text, "abcdefg…7 tokens truncated…\n89-----");
    assert_eq!(short.cut.and_then(|cut| cut.counted_tokens), None);
}

#[test]
fn a_counted_number_is_exact_up_to_its_bound() {
    let text = "one two three four five\n".repeat(50);
    let mut limits = MiddleLimits::bytes(80);
    let cut = |limits: &MiddleLimits| middle_within(&text, limits, &by_words);
    for (max_counted_bytes, tokens, counted_tokens) in
        [(0, 288, None), (1_151, 288, None), (1_152, 240, Some(240))]
    {
        limits.max_counted_bytes = max_counted_bytes;
        let line = "one two three four five\n";
        let short = cut(&limits);
        assert_eq!(short.text, format!("{line}…{tokens} tokens truncated…\n{line}"));
        let cut = Cut { original_bytes: 1_200, removed_bytes: 1_152, counted_tokens };
        assert_eq!(short.cut, Some(cut));
    }
}

/// Nearly all of a budget goes to good use where lines are short, however dense the text is.
#[test]
fn a_budget_in_tokens_is_used() {
    let texts = ["some words of a line\n", "a b c d\n", "hippopotamuses\n", "日本 🦀\n"];
    for text in texts.map(|line| line.repeat(20_000)) {
        for count in USUAL {
            for max_tokens in [500, 5_000] {
                let short = middle_within(&text, &MiddleLimits::tokens(max_tokens), &count).text;
                let used = count(&short);
                // No text has more than 16 bytes a token.
                let is_full = used >= max_tokens * 9 / 10 || short.len() as u64 >= max_tokens * 15;
                assert!(is_full, "{used} of {max_tokens}: {}", &text[..8]);
            }
        }
    }
}
