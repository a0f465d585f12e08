use std::borrow::Cow;
use std::fmt::Write;

use proptest::prelude::*;

use super::*;

fn numbered_lines(count: usize) -> String {
    (1..=count).fold(String::new(), |mut text, n| {
        let _ = writeln!(text, "{n:03}");
        text
    })
}

fn cut(original_bytes: usize, removed_bytes: usize) -> Cut {
    Cut { original_bytes, removed_bytes, counted_tokens: None }
}

#[test]
fn tokens_are_a_quarter_of_the_bytes_rounded_up() {
    let estimates: Vec<_> = [0, 1, 4, 5, 80_000].map(estimate_tokens).into();
    assert_eq!(estimates, [0, 1, 1, 2, 20_000]);
}

#[test]
fn a_text_that_fits_is_borrowed() {
    let fits = middle("one\ntwo\n", 8);
    assert!(matches!(fits.text, Cow::Borrowed("one\ntwo\n")));
    assert_eq!((fits.cut, fits.original_tokens()), (None, 2));
}

/// The example of the seed's own tests.
#[test]
fn cuts_between_lines() {
    let text = numbered_lines(20);
    let short = middle(&text, 64);
    assert_eq!(short.text, "001\n002\n003\n004\n…12 tokens truncated…\n017\n018\n019\n020\n");
    assert_eq!((short.cut, short.original_tokens()), (Some(cut(80, 48)), 20));
}

#[test]
fn cuts_inside_lines_and_never_inside_chars() {
    // The budget leaves 14 bytes beside the marker, 7 a side: three chars of two bytes each.
    let text = "é".repeat(60);
    let short = middle(&text, 40);
    assert_eq!(short.text, "ééé…27 tokens truncated…\nééé");
    assert_eq!(short.cut, Some(cut(120, 108)));
}

#[test]
fn a_final_newline_does_not_empty_the_suffix() {
    let text = "x".repeat(200) + "end\n";
    assert!(middle(&text, 50).text.ends_with("xend\n"));
}

#[test]
fn the_odd_byte_goes_to_the_suffix() {
    let text = "a".repeat(50) + &"z".repeat(50);
    assert_eq!(middle(&text, 29).text, "a…25 tokens truncated…\nzz");
}

#[test]
fn tiny_budgets_keep_the_beginning_without_a_marker() {
    let text = "日本".repeat(20);
    let table = [(0, ""), (2, ""), (3, "日"), (8, "日本")];
    for (max_bytes, kept) in table {
        let short = middle(&text, max_bytes);
        assert_eq!((&*short.text, short.cut), (kept, Some(cut(120, 120 - kept.len()))));
    }
    assert!(middle(&text, 25).cut.is_some_and(|cut| cut.removed_bytes == 96));
    assert_eq!(middle(&text, 26).text, "…30 tokens truncated…\n");
}

/// The rule for a text that does not fit and a budget that holds the marker, by trying every cut.
fn naive(text: &str, max_bytes: usize) -> (String, usize) {
    let marker = |tokens| format!("…{tokens} tokens truncated…\n");
    let kept_bytes = max_bytes - marker(text.len().div_ceil(4)).len();
    let cuts = || (0..=text.len()).filter(|&i| text.is_char_boundary(i));
    let after_newline = |&i: &usize| text[..i].ends_with('\n');

    let ends = || cuts().filter(|&end| end <= kept_bytes / 2);
    let starts = || cuts().filter(|&start| text.len() - start <= kept_bytes.div_ceil(2));
    let lines = || starts().skip(1).filter(after_newline).filter(|&i| i < text.len());
    let end = ends().filter(after_newline).max().or(ends().max()).unwrap();
    let start = lines().min().or(starts().min()).unwrap();

    let removed_bytes = start - end;
    let marker = marker(removed_bytes.div_ceil(4));
    (format!("{}{marker}{}", &text[..end], &text[start..]), removed_bytes)
}

const TEXT: &str = "([ -~\n]|[é日🦀\n]|[x]{9}){0,300}";

proptest! {
    #[test]
    fn fits_the_budget_whatever_it_is(text in TEXT, max_bytes in 0..400_usize) {
        let once = middle(&text, max_bytes);
        prop_assert!(once.text.len() <= max_bytes);
        prop_assert_eq!(once.cut.is_none(), text.len() <= max_bytes);
        prop_assert_eq!(once.cut.is_none(), once.text == text);
        prop_assert_eq!(once.original_tokens(), text.len().div_ceil(4));

        let twice = middle(&once.text, max_bytes);
        prop_assert_eq!((&twice.text, twice.cut), (&once.text, None));
    }

    #[test]
    fn cuts_where_the_rule_says(text in TEXT, max_bytes in 28..200_usize) {
        prop_assume!(text.len() > max_bytes);
        let short = middle(&text, max_bytes);
        let (expected, removed_bytes) = naive(&text, max_bytes);
        prop_assert_eq!(short.text, expected);
        prop_assert_eq!(short.cut, Some(cut(text.len(), removed_bytes)));
    }

    #[test]
    fn tiny_budgets_keep_a_prefix(text in "[é日🦀]{60,90}", max_bytes in 0..24_usize) {
        let short = middle(&text, max_bytes);
        prop_assert!(text.starts_with(&*short.text));
        prop_assert!(short.text.len() + 3 >= max_bytes);
        prop_assert_eq!(short.cut, Some(cut(text.len(), text.len() - short.text.len())));
    }
}
