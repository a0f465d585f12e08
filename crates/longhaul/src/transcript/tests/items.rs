//! What the user and the model say.

use longhaul_history::turn_item::{TurnItem, TurnItemKind, UserPart};

use longhaul_state::protocol::Event;

use super::support::*;
use crate::transcript::*;

#[test]
fn one_cell_changes_in_place_while_it_streams() {
    let mut reader = Reader::new();
    let table = [
        (begin(), Changes::Nothing),
        (started(user("u1", "go")), Changes::Cell(0)),
        (completed(user("u1", "go")), Changes::Nothing),
        (started(reasoning("r1", &[])), Changes::Cell(1)),
        (think("hm"), Changes::Cell(1)),
        (started(agent("m1", "")), Changes::Cell(2)),
        (text("on"), Changes::Cell(2)),
        (think("m"), Changes::Cell(1)),
        (text("e"), Changes::Cell(2)),
        (completed(reasoning("r1", &["hmm", "well"])), Changes::Cell(1)),
        (completed(agent("m1", "one")), Changes::Cell(2)),
        (tokens(), Changes::Nothing),
        (complete(), Changes::Nothing),
    ];
    for (event, changes) in table {
        let name = format!("{event:?}");
        assert_eq!(reader.read([event]), changes, "{name}");
    }
    let cell = |id, changed, item: &str, kind| Cell {
        id,
        changed,
        turn_id: "t".into(),
        submission_id: "t".into(),
        item_id: Some(item.into()),
        kind,
    };
    let state = ItemState::Complete;
    let expected = [
        cell(0, 2, "u1", CellKind::User { text: "go".into(), images: 0, nth: 0 }),
        cell(1, 10, "r1", CellKind::Reasoning { text: "hmm\n\nwell".into(), state }),
        cell(2, 11, "m1", CellKind::Agent { text: "one".into(), state }),
    ];
    assert_eq!(reader.transcript.cells(), expected);
}

#[test]
fn items_come_to_their_own_text_wherever_they_stand() {
    check(vec![
        (
            "deltas are not authoritative",
            vec![
                started(agent("m", "")),
                text("wrogn"),
                completed(agent("m", "right")),
                complete(),
            ],
            &["agent right"],
        ),
        (
            "what is added with a text goes on from it",
            vec![started(agent("m", "so")), text(" it is")],
            &["agent+ so it is"],
        ),
        (
            "an item that nobody saw begin",
            vec![text("o"), text("ne"), started(agent("m", "one")), completed(agent("m", "one."))],
            &["agent one."],
        ),
        (
            "the same in two kinds, and a second message that was not streamed apart",
            vec![
                text("onetwo"),
                think("hm"),
                started(agent("m", "one")),
                completed(agent("m", "one")),
                started(reasoning("r", &["hmm"])),
                completed(reasoning("r", &["hmm"])),
                started(agent("n", "two")),
                completed(agent("n", "two")),
                tokens(),
            ],
            &["agent one", "reasoning hmm", "agent two"],
        ),
        (
            "one that is complete at once",
            vec![completed(agent("m", "one")), tokens(), complete()],
            &["agent one"],
        ),
    ]);
}

#[test]
fn each_end_finds_its_item_whatever_ids_servers_give() {
    check(vec![
        (
            "items between each other, ended in another order",
            vec![
                started(agent("a", "")),
                text("a"),
                started(agent("b", "")),
                text("b"),
                started(search("s", "")),
                completed(search("s", "rain")),
                completed(agent("b", "B")),
                completed(agent("a", "A")),
            ],
            &["agent A", "agent B", "search rain"],
        ),
        (
            "ids that a response repeats",
            vec![
                started(agent("m", "")),
                text("a"),
                started(agent("m", "")),
                text("b"),
                completed(agent("m", "A")),
                completed(agent("m", "B")),
            ],
            &["agent A", "agent B"],
        ),
        (
            "ids that the next response repeats",
            vec![
                started(agent("m", "")),
                completed(agent("m", "one")),
                tokens(),
                started(agent("m", "")),
                text("tw"),
                completed(agent("m", "two")),
            ],
            &["agent one", "agent two"],
        ),
        (
            "ids that are empty",
            vec![started(agent("", "")), text("x"), completed(agent("", "one"))],
            &["agent one"],
        ),
        (
            "an id of two kinds",
            vec![started(agent("x", "")), completed(reasoning("x", &["hm"])), text("one")],
            &["agent+ one", "reasoning hm"],
        ),
        (
            "an item that the response turned out not to have",
            vec![
                started(agent("m", "")),
                text("one"),
                started(agent("n", "one")),
                completed(agent("n", "one")),
                tokens(),
            ],
            &["agent one"],
        ),
        (
            "limits that are stated in the middle end nothing",
            vec![started(agent("m", "")), text("o"), tokens(), text("ne")],
            &["agent+ one"],
        ),
        (
            "a search that is told twice is one",
            vec![
                started(search("s", "")),
                Event::WebSearchBegin { call_id: "s".into() },
                completed(search("s", "rain")),
                Event::WebSearchEnd { call_id: "s".into(), query: "rain".into() },
                tokens(),
            ],
            &["search rain"],
        ),
    ]);
}

#[test]
fn what_a_response_came_to_is_what_stays_of_it() {
    let half = [started(reasoning("r", &[])), think("h"), started(agent("m", "")), text("hal")];
    let table: Vec<Case> = vec![
        ("it is coming", vec![], &["reasoning+ h", "agent+ hal"]),
        ("it failed", vec![retry(1)], &[]),
        (
            "it failed and comes again",
            vec![retry(1), recovered(), started(agent("m", "")), text("whole")],
            &["agent+ whole"],
        ),
        (
            "the turn was cut off",
            vec![abort()],
            &["reasoning/ h", "agent/ hal", "aborted interrupted"],
        ),
        (
            "the turn failed",
            vec![Event::Error(failed()), complete()],
            &["reasoning/ h", "agent/ hal", "error too_many_model_calls"],
        ),
        ("the request was too long", vec![compacting()], &["compaction manual: runs"]),
        (
            "the same where no model sums up",
            vec![started(bridge("b")), completed(bridge("b")), compacted("extract")],
            &["compaction manual: done extract"],
        ),
        (
            "the same where nothing is shown of it",
            vec![compacted("x")],
            &["compaction manual: done x"],
        ),
        ("it held calls alone", vec![run("c", "{}")], &["tool c tool {}: runs -"]),
        ("it is over, and somebody steers", said("u", "left").into(), &["user 0: left"]),
    ];
    for (name, events, expected) in table {
        let mut reader = Reader::of([begin()]);
        reader.read(half.clone());
        reader.read(events);
        assert_eq!(reader.lines(), expected, "{name}");
    }
}

#[test]
fn what_was_recorded_before_a_failure_stays() {
    let mut reader = Reader::of(all([
        &[begin()],
        &said("u", "go"),
        &[started(agent("m", "")), text("look"), completed(agent("m", "look")), tokens()],
        &[run("c", "{}"), end("c", true, "seen"), started(agent("m", "")), text("I s")],
    ]));
    let changes = reader.read([retry(1)]);
    assert_eq!(changes, Changes::From(3), "the last is gone");
    reader.read([
        recovered(),
        started(agent("m", "")),
        text("I see"),
        completed(agent("m", "I see.")),
    ]);
    let expected = ["user 0: go", "agent look", "tool c tool {}: ok seen", "agent I see."];
    assert_eq!(reader.lines(), expected);
    let ids: Vec<u64> = reader.transcript.cells().iter().map(|cell| cell.id).collect();
    assert_eq!(ids, [0, 1, 2, 4], "no id is given twice");
}

#[test]
fn the_end_of_a_turn_is_seen_even_where_it_was_not_told() {
    let mut reader = Reader::of([begin(), started(agent("m", "")), text("ha")]);
    reader.turn = "other";
    assert_eq!(reader.read([text("whole")]), Changes::From(0));
    assert_eq!(reader.lines(), ["agent/ ha", "agent+ whole"]);
    assert_eq!(reader.transcript.status().turn_id.as_deref(), Some("other"));
    // A client may use an id again.
    reader.read([begin(), text("again")]);
    assert_eq!(reader.lines(), ["agent/ ha", "agent/ whole", "agent+ again"]);
}

#[test]
fn an_input_that_no_turn_takes_disturbs_none() {
    let mut reader = Reader::of([begin(), started(agent("m", "")), text("so")]);
    reader.turn = "refused";
    reader.read([Event::Error(failed())]);
    reader.turn = "t";
    reader.read([text(" it is")]);
    assert_eq!(reader.lines(), ["agent+ so it is", "error too_many_model_calls"]);
    assert_eq!(&*reader.transcript.cells()[1].turn_id, "refused");
    reader.read([retry(1)]);
    assert_eq!(reader.lines(), ["error too_many_model_calls"]);
}

#[test]
fn messages_of_the_user_are_counted_as_a_conversation_counts_them() {
    let parts = |parts: Vec<UserPart>| {
        let item = TurnItem { id: "u".into(), kind: TurnItemKind::UserMessage { content: parts } };
        [started(item.clone()), completed(item)]
    };
    let text = |text: &str| UserPart::Text { text: text.into() };
    let image = || UserPart::Image { image_url: "data:image/png;base64,AAAA".into() };
    let mut reader = Reader::of([begin()]);
    reader.read(parts(vec![text("see "), image(), text("this"), image()]));
    reader.read(parts(vec![image(), text("<environment_context>\nmine")]));
    reader.read(parts(vec![text("What is an <environment_context>?")]));
    let expected = [
        "user 0: see this +2",
        "context: <environment_context>\nmine",
        "user 1: What is an <environment_context>?",
    ];
    assert_eq!(reader.lines(), expected);
    assert_eq!(reader.transcript.user_message_count(), 2);
}

#[test]
fn events_that_were_taken_change_nothing() {
    let mut reader = Reader::of([begin(), text("one"), text(" two")]);
    let before = reader.transcript.clone();
    reader.number = 0;
    assert_eq!(reader.read([begin(), text("one"), text(" two")]), Changes::Nothing);
    assert_eq!(reader.transcript, before);
    assert_eq!(reader.read([text(" three")]), Changes::Cell(0));
}
