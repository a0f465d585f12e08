//! G14 (limits of outputs): whatever a tool says and whatever the limits, the result is within them,
//! and cutting it again changes nothing.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod cost;
mod items;
mod json;
mod middle;
mod text;

use longhaul_history::truncate::{OutputLimits, estimate_tokens, output};
use proptest::prelude::*;
use serde_json::Value;

fn by_bytes(text: &str) -> u64 {
    estimate_tokens(text.len()) as u64
}

/// A counter that a budget in bytes cannot stand in for: words, and every char that is not ASCII.
fn by_words(text: &str) -> u64 {
    let wide = text.chars().filter(|c| !c.is_ascii()).count();
    (text.split_ascii_whitespace().count() + wide) as u64
}

fn limits(change: impl FnOnce(&mut OutputLimits)) -> OutputLimits {
    let mut limits = OutputLimits::default();
    change(&mut limits);
    limits
}

fn cut(text: &str, limits: &OutputLimits) -> String {
    output(text, limits, &by_words).text.into_owned()
}

/// Limits from nothing to more than the texts here need.
fn any_limits() -> impl Strategy<Value = OutputLimits> {
    let bytes = prop_oneof![1 => 0..40_usize, 3 => 40..1_500_usize, 1 => Just(usize::MAX)];
    let lines = prop_oneof![1 => 0..9_usize, 2 => 9..60_usize, 1 => Just(usize::MAX)];
    let tokens = proptest::option::of(prop_oneof![0..20_u64, 20..400_u64]);
    let line_bytes = proptest::option::of(prop_oneof![0..40_usize, 40..200_usize]);
    (bytes, lines, tokens, line_bytes, any::<u8>()).prop_map(
        |(max_bytes, max_lines, max_tokens, max_line_bytes, head_percent)| {
            limits(|limits| {
                limits.max_bytes = max_bytes;
                limits.max_lines = max_lines;
                limits.max_tokens = max_tokens;
                limits.max_line_bytes = max_line_bytes;
                limits.head_percent = head_percent;
            })
        },
    )
}

/// What of `limits` a text breaks, by the plain words of their documentation.
fn broken_limit(text: &str, limits: &OutputLimits) -> Option<&'static str> {
    let document = serde_json::from_str::<Value>(text);
    let document = document.ok().filter(|value| value.is_object() || value.is_array());
    let mut strings = vec![];
    match &document {
        Some(document) => collect_strings(document, &mut strings),
        None => strings.push(text),
    }
    let breaks_lines = |text: &&str| text.lines().count() > limits.max_lines;
    let breaks_line = |text: &&str| {
        text.split('\n').any(|line| line.len() > limits.max_line_bytes.unwrap_or(usize::MAX))
    };
    let checks = [
        (text.len() > limits.max_bytes, "bytes"),
        (by_words(text) > limits.max_tokens.unwrap_or(u64::MAX), "tokens"),
        (breaks_lines(&text), "lines"),
        (strings.iter().any(breaks_lines), "lines of a string"),
        (strings.iter().any(breaks_line), "bytes of a line"),
    ];
    checks.into_iter().find_map(|(is_broken, limit)| is_broken.then_some(limit))
}

fn collect_strings<'a>(value: &'a Value, strings: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => strings.push(text),
        Value::Array(values) => values.iter().for_each(|value| collect_strings(value, strings)),
        Value::Object(fields) => fields.values().for_each(|value| collect_strings(value, strings)),
        _ => {}
    }
}

/// What holds for any text and any limits.
fn check(text: &str, limits: &OutputLimits) -> Result<String, TestCaseError> {
    let once = output(text, limits, &by_words);
    prop_assert_eq!(broken_limit(&once.text, limits), None, "{:?}", once.text);

    let twice = output(&once.text, limits, &by_words);
    prop_assert_eq!((&twice.text, twice.cut), (&once.text, None));
    prop_assert_eq!(&output(text, limits, &by_words), &once);

    let fits = broken_limit(text, limits).is_none();
    // More than 16 bytes a token are over the limit uncounted.
    let counted = limits.max_tokens.is_none_or(|max| text.len() as u64 <= 16 * max);
    prop_assert_eq!(once.cut.is_none(), fits && counted);
    prop_assert_eq!(once.cut.is_none(), once.text == text);
    prop_assert_eq!(once.cut.map_or(text.len(), |cut| cut.original_bytes), text.len());
    Ok(once.text.into_owned())
}
