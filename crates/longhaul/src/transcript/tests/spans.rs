//! Compactions, reviews, undos, and what is said between.

use longhaul_history::{Repair, RepairKind};
use longhaul_state::protocol::Event;

use super::support::*;
use crate::transcript::*;

fn undo(message: Option<&str>) -> Event {
    Event::UndoStarted { message: message.map(Into::into) }
}

fn undone(success: bool, message: Option<&str>) -> Event {
    Event::UndoCompleted { success, message: message.map(Into::into) }
}

#[test]
fn a_compaction_is_one_cell_whoever_makes_it() {
    let shown = || [started(bridge("b")), completed(bridge("b"))];
    check(vec![
        (
            "a compaction with a summary",
            all([
                &[compacting(), tokens(), Event::Background("trimmed".into())],
                &shown(),
                &[compacted("summarise"), tokens(), complete()],
            ]),
            &["compaction manual: done summarise", "notice trimmed"],
        ),
        (
            "one that asks no model",
            all([&shown(), &[compacted("extract"), tokens()]]),
            &["compaction manual: done extract"],
        ),
        (
            "one with two bridges",
            all([&[compacting()], &shown(), &shown(), &[compacted("hook")]]),
            &["compaction manual: done hook"],
        ),
        (
            "one that needs no bridge",
            vec![compacted("clear_outputs")],
            &["compaction manual: done clear_outputs"],
        ),
        (
            "one after another",
            vec![compacting(), compacted("a"), compacted("b"), compacting()],
            &["compaction manual: done a", "compaction manual: done b", "compaction manual: runs"],
        ),
        (
            "the server's own, in a response, and the client's after it",
            vec![
                started(bridge("s")),
                started(agent("m", "")),
                text("one"),
                completed(bridge("s")),
                completed(agent("m", "one")),
                tokens(),
                compacted("clear_outputs"),
            ],
            &["compaction -: done -", "agent one", "compaction manual: done clear_outputs"],
        ),
        (
            "the server's own alone in its response, and the client's after it",
            all([&shown(), &[tokens(), compacted("clear_outputs")]]),
            &["compaction -: done -", "compaction manual: done clear_outputs"],
        ),
        (
            "the server's own, of a response that failed",
            vec![started(bridge("s")), retry(1), compacted("x")],
            &["compaction manual: done x"],
        ),
    ]);
}

#[test]
fn a_compaction_that_comes_to_nothing_says_so() {
    check(vec![
        (
            "one whose attempt is repeated",
            vec![compacting(), retry(1), recovered()],
            &["compaction manual: runs"],
        ),
        (
            "one that failed; the turn goes on",
            vec![compacting(), Event::Warning(failed()), text("one")],
            &["compaction manual: failed too_many_model_calls", "agent+ one"],
        ),
        (
            "one that failed before a model was asked",
            vec![Event::Warning(failed())],
            &["warning too_many_model_calls"],
        ),
        (
            "one that came to nothing in silence; the turn goes on",
            vec![compacting(), started(agent("m", "")), Event::Warning(failed())],
            &["compaction manual: given up", "agent+ ", "warning too_many_model_calls"],
        ),
        (
            "the same, and a steer",
            all([&[compacting()], &said("u", "left")]),
            &["compaction manual: given up", "user 0: left"],
        ),
        (
            "the same, and another",
            vec![compacting(), compacting(), compacted("x")],
            &["compaction manual: given up", "compaction manual: done x"],
        ),
        (
            "one that was cut off",
            vec![compacting(), abort()],
            &["compaction manual: given up", "aborted interrupted"],
        ),
        (
            "one as a turn of its own that failed",
            vec![compacting(), Event::Error(failed()), complete()],
            &["compaction manual: given up", "error too_many_model_calls"],
        ),
    ]);
}

#[test]
fn reviews_and_undos_are_one_cell_each() {
    check(vec![
        (
            "a review: only its tools have cells",
            vec![
                reviewing("all of it"),
                think("hm"),
                started(agent("m", "")),
                text("{"),
                completed(agent("m", "{}")),
                started(search("s", "")),
                Event::WebSearchBegin { call_id: "s".into() },
                Event::WebSearchEnd { call_id: "s".into(), query: "q".into() },
                compacting(),
                started(bridge("b")),
                completed(bridge("b")),
                compacted("summarise"),
                run("c", "{}"),
                end("c", true, "x"),
                reviewed(Some("fine")),
                completed(agent("n", "It is fine.")),
                tokens(),
                complete(),
            ],
            &["review all of it: fine", "tool c tool {}: ok x", "agent It is fine."],
        ),
        (
            "a review that was cut off",
            vec![reviewing("it"), text("{"), reviewed(None), abort()],
            &["review/ it: -", "aborted interrupted"],
        ),
        (
            "a review whose turn was cut off",
            vec![reviewing("it"), text("{"), abort()],
            &["review/ it: -", "aborted interrupted"],
        ),
        ("a review that nobody saw begin", vec![reviewed(Some("fine"))], &["review : fine"]),
        ("a review that runs", vec![reviewing("it"), retry(1), recovered()], &["review+ it: -"]),
        ("an undo", vec![undo(Some("s1")), undone(true, None)], &["undo s1: Done"]),
        (
            "an undo that fails",
            vec![undo(None), undone(false, Some("no git"))],
            &["undo no git: Failed"],
        ),
        (
            "an undo that is cut off",
            vec![undo(None), abort()],
            &["undo -: CutOff", "aborted interrupted"],
        ),
        ("an undo that nobody saw begin", vec![undone(true, Some("s1"))], &["undo s1: Done"]),
        (
            "what is said between",
            vec![
                Event::HistoryRepaired(vec![Repair {
                    kind: RepairKind::MissingOutput,
                    call_id: None,
                    item_index: 0,
                }]),
                Event::Background("the window is assumed".into()),
                Event::Warning(failed()),
            ],
            &["repaired 1", "notice the window is assumed", "warning too_many_model_calls"],
        ),
    ]);
}

#[test]
fn a_compaction_keeps_its_place_and_what_was_reported() {
    let mut reader = Reader::of([begin(), compacting()]);
    reader.read([started(bridge("b")), completed(bridge("b")), compacted("summarise")]);
    let [cell] = reader.transcript.cells() else { panic!("{:?}", reader.lines()) };
    let state = CompactionState::Done { report: Some(report("summarise")) };
    assert_eq!((cell.id, cell.item_id.as_deref()), (0, Some("b")));
    let trigger = Some(longhaul_compaction::Trigger::Manual);
    assert_eq!(cell.kind, CellKind::Compaction { trigger, state });
}

/// A turn that a voided cell moves up: what is known by its place is found again.
#[test]
fn a_bridge_behind_a_void_response_is_found_again() {
    let mut reader = Reader::of([begin(), text("half")]);
    reader.read([started(bridge("b")), completed(bridge("b")), compacted("extract")]);
    assert_eq!(reader.lines(), ["compaction manual: done extract"]);
    let mut reader = Reader::of([begin(), text("half"), reviewing("it"), retry(1)]);
    reader.read([reviewed(Some("fine"))]);
    assert_eq!(reader.lines(), ["review it: fine"]);
}
