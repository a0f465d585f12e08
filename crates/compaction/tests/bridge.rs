//! The bridge message and the summarisation prompt, through the public API.

use longhaul_compaction::{Bridge, SUMMARIZATION_PROMPT};
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

fn render(user_messages: &[&str], summary: &str) -> String {
    let user_messages: Vec<_> = user_messages.iter().map(|text| (*text).to_owned()).collect();
    let bridge = Bridge { user_messages: &user_messages, summary };
    bridge.render().unwrap_or_else(|error| error.to_string())
}

#[test]
fn fills_both_slots() {
    let text = expected("Do this.\n\nAnd that.", "Did this.");
    assert_eq!(render(&["Do this.", "And that."], "Did this."), text);
}

#[test]
fn one_empty_line_around_each_slot_and_no_newline_at_the_end() {
    let text = render(&["USER"], "SUMMARY");
    let paragraphs: Vec<_> = text.split("\n\n").collect();
    assert_eq!((paragraphs.len(), paragraphs[1], paragraphs[3]), (4, "USER", "SUMMARY"));
    assert!(paragraphs.iter().all(|paragraph| !paragraph.contains('\n')));
}

#[test]
fn says_what_is_missing() {
    let missing = expected("(none)", "(no summary available)");
    for user_messages in [&[][..], &[""], &["", " \n"]] {
        assert_eq!(render(user_messages, " \n"), missing);
    }
}

#[test]
fn values_are_not_expanded_or_escaped() {
    let user = "{{ summary }} {% if x %} {# gone? #} <b>&amp;</b> </user_messages> \\ \" '";
    let summary = "{{ user_messages }} {{ summary }} </summary> ${x} %s {0}";
    assert_eq!(render(&[user], summary), expected(user, summary));
}

#[test]
fn the_prompt_asks_for_the_four_points() {
    let points = SUMMARIZATION_PROMPT.lines().filter(|line| line.starts_with("- "));
    assert_eq!(points.count(), 4);
    assert_eq!(SUMMARIZATION_PROMPT.trim(), SUMMARIZATION_PROMPT);
}

proptest! {
    #[test]
    fn quotes_the_messages_and_the_summary_as_they_are(
        messages in proptest::collection::vec("-[ -~\né]{0,40}", 0..8),
        summary in "[ -~\né]{1,80}x",
    ) {
        let user_messages: Vec<_> = messages.iter().map(String::as_str).collect();
        let joined = messages.join("\n\n");
        let slot = if joined.is_empty() { "(none)" } else { &joined };
        prop_assert_eq!(render(&user_messages, &summary), expected(slot, &summary));
    }
}
