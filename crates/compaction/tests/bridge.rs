//! The bridge message and the summarisation prompt, through the public API.

use longhaul_compaction::truncate::{Cut, middle};
use longhaul_compaction::{
    Bridge, Bridged, SUMMARIZATION_PROMPT, USER_MESSAGE_BUDGET_BYTES, USER_MESSAGE_BUDGET_TOKENS,
};
use proptest::prelude::*;

/// The template's prose: before the user's messages, between them and the summary.
const TEMPLATE: &str = include_str!("../templates/bridge.md");

/// What the bridge has to be, by cutting the template at its slots.
fn expected(user_messages: &str, summary: &str) -> String {
    let slots = TEMPLATE.split("{{ user_messages }}").flat_map(|part| part.split("{{ summary }}"));
    let [intro, between, end] = slots.collect::<Vec<_>>()[..] else {
        return "the template has other slots".into();
    };
    [intro, user_messages, between, summary, end.trim_end()].concat()
}

fn render(user_messages: &[&str], summary: &str) -> Bridged {
    let bridge = Bridge { user_messages, summary };
    bridge.render().unwrap_or_else(|error| Bridged { text: error.to_string(), cut: None })
}

#[test]
fn fills_both_slots() {
    let bridged = render(&["Do this.", "And that."], "Did this.");
    let text = expected("Do this.\n\nAnd that.", "Did this.");
    assert_eq!(bridged, Bridged { text, cut: None });
}

#[test]
fn one_empty_line_around_each_slot_and_no_newline_at_the_end() {
    let Bridged { text, .. } = render(&["USER"], "SUMMARY");
    let paragraphs: Vec<_> = text.split("\n\n").collect();
    assert_eq!((paragraphs.len(), paragraphs[1], paragraphs[3]), (4, "USER", "SUMMARY"));
    assert!(paragraphs.iter().all(|paragraph| !paragraph.contains('\n')));
}

#[test]
fn says_what_is_missing() {
    let missing = expected("(none)", "(no summary available)");
    for user_messages in [&[][..], &[""], &["", " \n"]] {
        assert_eq!(render(user_messages, " \n").text, missing);
    }
}

#[test]
fn values_are_not_expanded_or_escaped() {
    let user = "{{ summary }} {% if x %} {# gone? #} <b>&amp;</b> </user_messages> \\ \" '";
    let summary = "{{ user_messages }} {{ summary }} </summary> ${x} %s {0}";
    assert_eq!(render(&[user], summary).text, expected(user, summary));
}

#[test]
fn long_user_text_is_cut_in_the_middle_and_the_summary_is_not() {
    assert_eq!((USER_MESSAGE_BUDGET_TOKENS, USER_MESSAGE_BUDGET_BYTES), (20_000, 80_000));
    let first = "a".repeat(50_000);
    let last = "z".repeat(50_000);
    let summary = "s".repeat(100_000);
    let bridged = render(&[&first, &last], &summary);

    // 29 bytes go to the marker; 39,985 to the prefix and 39,986 to the suffix.
    let (prefix, suffix) = (&first[..39_985], &last[..39_986]);
    let quoted = [prefix, "…5008 tokens truncated…\n", suffix].concat();
    assert_eq!(bridged.text, expected(&quoted, &summary));
    let cut = Cut { original_bytes: 100_002, removed_bytes: 20_031, counted_tokens: None };
    assert_eq!(bridged.cut, Some(cut));
}

#[test]
fn text_at_the_budget_is_whole() {
    let exact = "x".repeat(USER_MESSAGE_BUDGET_BYTES);
    assert_eq!(render(&[&exact], "s").cut, None);
    assert!(render(&[&exact, ""], "s").cut.is_some());
}

#[test]
fn the_prompt_asks_for_the_four_points() {
    let points = SUMMARIZATION_PROMPT.lines().filter(|line| line.starts_with("- "));
    assert_eq!(points.count(), 4);
    assert_eq!(SUMMARIZATION_PROMPT.trim(), SUMMARIZATION_PROMPT);
}

proptest! {
    #[test]
    fn quotes_the_truncated_messages_and_the_summary(
        messages in proptest::collection::vec("[ -~\né]{0,40}", 0..8),
        summary in "[ -~\né]{1,80}x",
        max_bytes in 0..200_usize,
    ) {
        let messages: Vec<_> = messages.iter().map(|message| format!("-{message}")).collect();
        let user_messages: Vec<_> = messages.iter().map(String::as_str).collect();
        let joined = messages.join("\n\n");
        let quoted = middle(&joined, max_bytes);
        let slot = if quoted.text.is_empty() { "(none)" } else { &*quoted.text };

        let bridge = Bridge { user_messages: &user_messages, summary: &summary };
        let bridged = bridge.render_within(max_bytes).map_err(|e| TestCaseError::fail(e.to_string()))?;
        prop_assert_eq!(bridged, Bridged { text: expected(slot, &summary), cut: quoted.cut });
    }
}
