//! Readers that missed something, or began in the middle.

use longhaul_state::protocol::Event;

use super::support::*;
use crate::transcript::*;

/// What came before a gap, what came behind it, and the cells.
type Gap = (&'static str, Vec<Event>, Vec<Event>, &'static [&'static str]);

fn check_gaps(table: Vec<Gap>) {
    for (name, before, behind, expected) in table {
        let mut reader = Reader::of([begin()]);
        reader.read(before);
        reader.miss(2);
        reader.read(behind);
        assert_eq!(reader.lines(), expected, "{name}");
    }
}

#[test]
fn an_item_that_ends_behind_a_gap_is_whole() {
    check_gaps(vec![
        (
            "in the middle of an item",
            vec![started(agent("m", "")), text("on")],
            vec![text("wo"), completed(agent("m", "one two")), tokens(), complete()],
            &["agent one two", "gap 4-5"],
        ),
        (
            "the item began in it",
            vec![],
            vec![text("wo"), started(agent("n", "")), text("th"), completed(agent("m", "one two"))],
            &["gap 2-3", "agent one two", "agent+ th"],
        ),
        (
            "one ended in it and another began",
            vec![started(agent("m", "")), text("on")],
            vec![text("wo"), completed(agent("n", "two")), tokens()],
            &["agent/ on", "gap 4-5", "agent two"],
        ),
        (
            "both end behind it",
            vec![started(agent("m", "")), text("on")],
            vec![text("wo"), completed(agent("m", "one")), completed(agent("n", "two")), tokens()],
            &["agent one", "gap 4-5", "agent two"],
        ),
        (
            "an item that no server announced",
            vec![text("on")],
            vec![
                text("wo"),
                started(agent("m", "one two")),
                completed(agent("m", "one two")),
                tokens(),
            ],
            &["agent/ on", "gap 3-4", "agent one two"],
        ),
        (
            "servers number items anew: the one behind the gap is meant",
            vec![started(agent("m", "")), text("on")],
            vec![started(agent("m", "")), text("tw"), completed(agent("m", "two")), tokens()],
            &["agent/ on", "gap 4-5", "agent two"],
        ),
        (
            "the response failed in it or behind it",
            vec![started(agent("m", "")), text("on")],
            vec![text("wo"), retry(1), started(agent("m", "")), text("one")],
            &["agent/ on", "gap 4-5", "agent+ one"],
        ),
        (
            "the rest of a response, and the next one",
            vec![],
            vec![
                text("wo"),
                run("c", "{}"),
                end("c", true, ""),
                text("n"),
                started(agent("m", "")),
            ],
            &["gap 2-3", "tool c tool {}: ok ", "agent+ n"],
        ),
    ]);
}

#[test]
fn what_may_have_ended_in_a_gap_has_no_end_that_is_made_up() {
    check_gaps(vec![
        (
            "the turn ends behind it",
            vec![ask("a", "1"), run("b", "2"), compacting()],
            vec![complete()],
            &[
                "tool a tool 1: unknown",
                "tool b tool 2: unknown",
                "compaction manual: given up",
                "gap 5-6",
            ],
        ),
        (
            "calls go on behind it",
            all([
                &[ask("a", "1"), answered("a", "1", true), run("b", "2"), ask("c", "3")],
                &[run("d", "4"), ask("e", "5"), answered("e", "5", false)],
            ]),
            vec![
                end("e", true, "E"),
                progress("b", "p"),
                end("a", true, "A"),
                progress("c", "p"),
                end("d", true, "D"),
                end("x", false, "X"),
                abort(),
            ],
            &[
                "tool a tool 1: ok A",
                "tool b tool 2: stopped",
                "tool c tool 3: stopped",
                "tool d tool 4: ok D",
                "tool e tool 5: unknown",
                "gap 9-10",
                "tool e  : ok E",
                "tool x  : failed X",
                "aborted interrupted",
            ],
        ),
        (
            "a compaction ends behind it",
            vec![compacting()],
            vec![completed(bridge("b")), compacted("summarise")],
            &["compaction manual: done summarise", "gap 3-4"],
        ),
        (
            "a compaction ended in it",
            vec![compacting()],
            vec![text("x")],
            &["compaction manual: given up", "gap 3-4", "agent+ x"],
        ),
        (
            "a bridge is no longer of the compaction that is reported",
            vec![completed(bridge("b"))],
            vec![compacted("clear_outputs")],
            &["compaction -: done -", "gap 3-4", "compaction manual: done clear_outputs"],
        ),
        (
            "a review ends behind it",
            vec![reviewing("it")],
            vec![text("{"), reviewed(Some("fine"))],
            &["review it: fine", "gap 3-4"],
        ),
    ]);
}

#[test]
fn what_is_told_twice_is_shown_where_one_of_the_two_was_missed() {
    check_gaps(vec![
        (
            "the end of a search",
            vec![],
            vec![Event::WebSearchEnd { call_id: "s".into(), query: "rain".into() }, tokens()],
            &["gap 2-3", "search rain"],
        ),
        (
            "the end of a search that began before it",
            vec![started(search("s", ""))],
            vec![Event::WebSearchEnd { call_id: "s".into(), query: "rain".into() }, tokens()],
            &["search rain", "gap 3-4"],
        ),
        (
            "the beginning of a search",
            vec![],
            vec![Event::WebSearchBegin { call_id: "s".into() }, completed(search("s", "rain"))],
            &["gap 2-3", "search rain"],
        ),
        (
            "a message of the user, seen twice or once",
            vec![started(user("u", "one"))],
            vec![
                completed(user("u", "one")),
                completed(user("v", "two")),
                started(user("w", "three")),
            ],
            &["user 0: one", "gap 3-4", "user 1: two", "user 2: three"],
        ),
    ]);
}

#[test]
fn a_second_gap_is_like_the_first() {
    let mut reader = Reader::of([begin(), started(agent("m", "")), text("a")]);
    for _ in 0..2 {
        reader.miss(1);
        reader.read([text("b")]);
    }
    assert_eq!(reader.lines(), ["agent+ a", "gap 4-4", "agent+ b", "gap 6-6", "agent+ b"]);
    reader.read([completed(agent("m", "abbb")), tokens()]);
    let expected = ["agent abbb", "gap 4-4", "agent/ b", "gap 6-6"];
    assert_eq!(reader.lines(), expected);
}

/// The turn ends in a gap, and so does what ran in it.
#[test]
fn the_next_turn_ends_what_a_gap_left_open() {
    let mut reader = Reader::of([begin(), run("c", "{}")]);
    reader.miss(3);
    reader.turn = "u";
    reader.read(said("u", "next"));
    assert_eq!(reader.lines(), ["tool c tool {}: unknown", "gap 3-5", "user 0: next"]);
    assert_eq!(reader.transcript.activity(), Activity::Model);
}

#[test]
fn a_reader_that_begins_anywhere_shows_what_it_can() {
    let events = all([
        &[begin()],
        &said("u", "go"),
        &[started(agent("m", "")), text("lo"), text("ok"), completed(agent("m", "look")), tokens()],
        &[ask("c", "{}"), run("c", "{}"), progress("c", "p"), end("c", true, "seen")],
        &[text("I s"), retry(1), recovered(), started(agent("m", "")), text("I see")],
        &[completed(agent("m", "I see.")), tokens(), complete()],
    ]);
    let expected = ["user 0: go", "agent look", "tool c tool {}: ok seen", "agent I see."];
    for from in 0..events.len() {
        let mut reader = Reader::new();
        reader.number = from as u64;
        reader.read(events[from..].to_vec());
        let shown = match from {
            0..3 => &expected[..],
            3..7 => &expected[1..],
            7..10 => &expected[2..],
            10..12 => &["tool c  : ok seen", "agent I see."],
            12..18 => &expected[3..],
            _ => &[],
        };
        assert_eq!(reader.lines(), shown, "{from}");
        assert_eq!(reader.transcript.activity(), Activity::Idle);
    }
}
