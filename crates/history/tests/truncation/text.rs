//! Plain text.

use std::borrow::Cow;
use std::fmt::Write;
use std::ops::Range;

use longhaul_history::truncate::{OutputLimits, output};
use proptest::prelude::*;

use super::{any_limits, by_bytes, by_words, check, cut, limits};

fn numbered(count: usize, rest: &str) -> String {
    (1..=count).fold(String::new(), |mut text, n| {
        let _ = writeln!(text, "line {n}{rest}");
        text
    })
}

/// Lines of words, wide chars, long lines, carriage returns and NULs, with and without an end.
const TEXT: &str = "([a-z ]{0,9}|[é日🦀]{1,9}|\r\n|\n|\0|x{200}|[0-9 ]{90}\n){0,60}";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_text_is_within_any_limits_and_stays_as_it_is(text in TEXT, limits in any_limits()) {
        check(&text, &limits)?;
    }

    /// Almost JSON: whatever its ends look like, the rules are those of plain text.
    #[test]
    fn broken_json_is_text(
        text in r#"[\[{]("|\\n|\\|:|,|\n|[a-z]{1,5}|\[|\{|x{60}){0,40}[\]}]"#,
        limits in any_limits(),
    ) {
        check(&text, &limits)?;
    }

    #[test]
    fn head_and_tail_are_the_ends_of_the_text(
        text in TEXT,
        max_bytes in 260..900_usize,
        max_lines in 7..40_usize,
        head_percent in any::<u8>(),
    ) {
        let limits = limits(|limits| {
            limits.max_bytes = max_bytes;
            limits.max_lines = max_lines;
            limits.head_percent = head_percent;
        });
        let short = output(&text, &limits, &by_words);
        let Some(cut) = short.cut else { return Ok(()) };

        let body = short.text.strip_prefix("Total output lines: ").unwrap();
        let (total, body) = body.split_once("\n\n").unwrap();
        prop_assert_eq!(total, text.lines().count().to_string());
        let (head, marked) = body.split_once("\n[... ").unwrap();
        let (marker, tail) = marked.split_once(" ...]\n\n").unwrap();
        prop_assert!(!head.is_empty() && text.starts_with(head));
        prop_assert!(!tail.is_empty() && text.ends_with(tail));
        prop_assert_eq!(cut.removed_bytes, text.len() - head.len() - tail.len());

        let expected = match omitted(&text, head.len()..text.len() - tail.len()) {
            0 => format!("output truncated to fit {max_bytes} bytes"),
            lines => format!("omitted {lines} of {total} lines"),
        };
        prop_assert_eq!(marker, expected);
    }
}

/// What the only marker of a text says.
fn marker(short: &str) -> &str {
    let (_, marker) = short.split_once("\n[... ").unwrap();
    let (marker, tail) = marker.split_once(" ...]\n\n").unwrap();
    assert!(!tail.contains("[..."));
    marker
}

/// The lines of which nothing is left without `gap`.
fn omitted(text: &str, gap: Range<usize>) -> usize {
    let mut at = 0;
    let lines = text.split_inclusive('\n').map(|line| {
        at += line.len();
        at - line.len()..at
    });
    lines.filter(|line| gap.start <= line.start && line.end <= gap.end).count()
}

/// T105.
#[test]
fn t105_a_text_that_fits_is_borrowed() {
    let text = numbered(256, "");
    let fits = output(&text, &OutputLimits::default(), &by_words);
    assert!(matches!(fits.text, Cow::Borrowed(_)));
    assert_eq!((&*fits.text, fits.cut), (&*text, None));
}

/// T106 with W20: header and marker are part of the 256 lines.
#[test]
fn t106_lines_over_the_limit() {
    let text = numbered(356, "");
    let short = cut(&text, &OutputLimits::default());
    let (head, tail) = (numbered(125, ""), &text[numbered(230, "").len()..]);
    let expected =
        format!("Total output lines: 356\n\n{head}\n[... omitted 105 of 356 lines ...]\n\n{tail}");
    assert_eq!(short, expected);
    assert_eq!(short.lines().count(), 256);
    assert!(tail.starts_with("line 231\n") && tail.ends_with("line 356\n"));
}

/// T101, T103.
#[test]
fn t101_t103_a_big_text_is_marked_and_within_the_limit() {
    let text = numbered(2_500, " with some words after its number");
    let short = cut(&text, &OutputLimits::default());
    assert!(short.starts_with("Total output lines: 2500\n\nline 1 with"));
    assert_eq!(marker(&short), "omitted 2259 of 2500 lines");
    assert!(short.ends_with("line 2500 with some words after its number\n"));
    assert!((9_900..=10_240).contains(&short.len()), "{}", short.len());
}

/// T104, T162 and T164 with W21: the end of a single line stays.
#[test]
fn t104_t162_t164_one_long_line_keeps_both_ends() {
    for length in [10_290, 20_000] {
        let text = format!("begin{}end", "x".repeat(length - 8));
        let short = cut(&text, &OutputLimits::default());
        assert!(short.starts_with("Total output lines: 1\n\nbeginxxx"));
        let marker = "x\n[... output truncated to fit 10240 bytes ...]\n\nx";
        assert!(short.contains(marker) && !short.contains("omitted"));
        assert!(short.ends_with("xxxend"));
        assert_eq!(short.len(), 10_240);
    }
}

/// T107: one marker, which counts the lines that are gone for whatever reason.
#[test]
fn t107_both_limits() {
    let short = cut(&numbered(298, &" x".repeat(50)), &OutputLimits::default());
    assert_eq!(marker(&short), "omitted 205 of 298 lines");
}

/// W21: the seed kept only the beginning of up to 128 long lines.
#[test]
fn w21_few_long_lines_keep_their_end() {
    let text = numbered(100, &" x".repeat(97));
    let short = cut(&text, &OutputLimits::default());
    let lines = |numbers: Range<usize>| text.lines().skip(numbers.start - 1).take(numbers.len());
    let kept: Vec<_> = short.lines().filter(|line| line.starts_with("line ")).collect();
    assert_eq!(kept, lines(1..26).chain(lines(76..101)).collect::<Vec<_>>());
    assert_eq!(marker(&short), "omitted 50 of 100 lines");
}

#[test]
fn the_share_of_the_head_is_a_choice() {
    let text = numbered(1_000, "");
    let heads = [0, 10, 75, 90, 255].map(|head_percent| {
        let short = cut(&text, &limits(|limits| limits.head_percent = head_percent));
        short.split("\n[...").next().unwrap().lines().count() - 2
    });
    assert_eq!(heads, [25, 25, 188, 225, 225]);
}

#[test]
fn tokens_are_counted_by_the_caller() {
    let text = numbered(100, " 日本");
    let tokens = |max_tokens| limits(|limits| limits.max_tokens = Some(max_tokens));
    assert_eq!(output(&text, &tokens(500), &by_words).cut, None);
    for max_tokens in [0, 1, 10, 50, 499] {
        let short = cut(&text, &tokens(max_tokens));
        assert!(by_words(&short) <= max_tokens, "{max_tokens}: {short}");
        assert!(by_words(&short) >= max_tokens / 3 * 2, "{max_tokens}: {short}");
    }
    let lines = "word\n".repeat(400);
    let short = output(&lines, &tokens(200), &by_bytes).text;
    assert_eq!(marker(&short), "omitted 256 of 400 lines");
    let line = "x".repeat(400);
    let short = output(&line, &tokens(60), &by_bytes).text;
    assert_eq!(marker(&short), "output truncated to fit 60 tokens");
}

#[test]
fn long_lines_keep_their_ends_and_the_rest_is_left_alone() {
    let text = format!("short\n{}\nshort\n", "ab".repeat(60_000));
    let capped = limits(|limits| limits.max_line_bytes = Some(50));
    let expected = "short\nabababababababab…119968 bytes…abababababababab\nshort\n";
    assert_eq!(cut(&text, &capped), expected);
}

/// Every limit from nothing on: no step is too small for one.
#[test]
fn tiny_limits_hold() {
    let text = "日本\r\né\0x\n\n🦀🦀 end\nno newline".repeat(9);
    for max_bytes in 0..=text.len() {
        for max_lines in 0..12 {
            for max_line_bytes in [None, Some(0), Some(1), Some(5), Some(30)] {
                let limits = limits(|limits| {
                    limits.max_bytes = max_bytes;
                    limits.max_lines = max_lines;
                    limits.max_line_bytes = max_line_bytes;
                });
                check(&text, &limits).unwrap();
            }
        }
    }
    let bytes = |max_bytes| limits(|limits| limits.max_bytes = max_bytes);
    let ends =
        [0, 1, 4, 5, 20].map(|max_bytes| cut("abcdefghijklmnopqrstuvwxyz", &bytes(max_bytes)));
    assert_eq!(ends, ["", "z", "wxyz", "a…z", "abcdefgh…rstuvwxyz"]);
}

/// The ends of what is not JSON may be JSON together, whose strings have lines to be counted.
#[test]
fn ends_that_happen_to_be_json_are_cut_as_json() {
    let limits = limits(|limits| {
        limits.max_bytes = 14;
        limits.max_lines = 1;
        limits.head_percent = 20;
    });
    let by_text_alone = r#"["…a\n\n\n"]"#;
    assert_eq!(cut(by_text_alone, &limits), "{}");
    assert_eq!(cut(r#"[""aaaaaaaaaa\n\n\n"]"#, &limits), "{}");
}

#[test]
fn few_lines_keep_both_ends() {
    let text: String = ('a'..='z').flat_map(|c| [c, '\n']).collect();
    let table = [
        (0, ""),
        (1, "a…z\n"),
        (2, "a…y\nz\n"),
        (4, "a\nb…x\ny\nz\n"),
        (5, "a\n\n[... omitted 24 of 26 lines ...]\n\nz\n"),
        (6, "a\n\n[... omitted 23 of 26 lines ...]\n\ny\nz\n"),
        (7, "Total output lines: 26\n\na\n\n[... omitted 24 of 26 lines ...]\n\nz\n"),
    ];
    for (max_lines, expected) in table {
        assert_eq!(cut(&text, &limits(|limits| limits.max_lines = max_lines)), expected);
    }
}
