//! Calls, from the question whether they may run to their output.

use longhaul_state::protocol::CallDigest;

use super::support::*;
use crate::transcript::*;

#[test]
fn a_call_is_one_cell_from_question_to_output() {
    let mut reader = Reader::of([begin()]);
    let table = [
        (ask("c", "{}"), "waits"),
        (answered("c", "{}", true), "may run"),
        (run("c", "{}"), "runs -"),
        (progress("c", "half"), "runs half"),
        (progress("c", "most"), "runs most"),
        (end("c", true, "all"), "ok all"),
        (progress("c", "late"), "ok all"),
        (complete(), "ok all"),
    ];
    for (event, state) in table {
        reader.read([event]);
        assert_eq!(reader.lines(), [format!("tool c tool {{}}: {state}")]);
    }
    let digest = CallDigest::of("tool", "{}");
    let mut reader = Reader::of([begin(), ask("c", "{}")]);
    let CellKind::Tool { state, .. } = &reader.transcript.cells()[0].kind else { panic!() };
    assert_eq!(*state, ToolState::Waiting { digest });
    assert_eq!(reader.read([answered("c", "{}", false)]), Changes::Cell(0));
    assert_eq!(reader.lines(), ["tool c tool {}: may not run"]);
    assert_eq!(reader.read([answered("c", "{}", true)]), Changes::Nothing, "the first counts");
    assert_eq!(reader.read([denied("c", "{}")]), Changes::Cell(0));
    assert_eq!(reader.lines(), ["tool c tool {}: denied no"]);
}

#[test]
fn each_event_finds_its_call() {
    check(vec![
        (
            "together, and in the order of their outputs",
            vec![
                ask("b", "2"),
                run("a", "1"),
                run("b", "2"),
                end("a", true, "A"),
                end("b", false, "B"),
            ],
            &["tool b tool 2: failed B", "tool a tool 1: ok A"],
        ),
        (
            "calls with one id are told apart by what they ask for",
            vec![
                ask("c", "1"),
                ask("c", "2"),
                denied("c", "2"),
                run("c", "1"),
                end("c", true, "x"),
            ],
            &["tool c tool 1: ok x", "tool c tool 2: denied no"],
        ),
        (
            "those of the same response end in their order",
            vec![run("c", "1"), run("c", "2"), end("c", true, "x"), end("c", true, "y")],
            &["tool c tool 1: ok x", "tool c tool 2: ok y"],
        ),
        (
            "a later response uses the id again",
            vec![run("c", "1"), end("c", true, "x"), run("c", "1"), progress("c", "p")],
            &["tool c tool 1: ok x", "tool c tool 1: runs p"],
        ),
        (
            "a policy denies without a question, whoever else waits",
            vec![ask("c", "1"), denied("c", "2")],
            &["tool c tool 1: waits", "tool c tool 2: denied no"],
        ),
        (
            "what was asked is not what runs",
            vec![ask("c", "1"), run("c", "2")],
            &["tool c tool 1: waits", "tool c tool 2: runs -"],
        ),
        (
            "an end without a beginning",
            vec![progress("c", "p"), end("c", true, "x")],
            &["tool c  : ok x"],
        ),
        (
            "progress makes nobody run",
            vec![ask("c", "1"), progress("c", "p")],
            &["tool c tool 1: waits"],
        ),
    ]);
}

#[test]
fn each_answer_finds_its_question() {
    let twins = [ask("c", "1"), ask("c", "1")];
    check(vec![
        (
            "calls with one id are told apart by what they ask for",
            vec![ask("c", "1"), ask("c", "2"), answered("c", "2", true)],
            &["tool c tool 1: waits", "tool c tool 2: may run"],
        ),
        (
            "of calls that ask for the same it is the older one",
            all([&twins, &[answered("c", "1", true), answered("c", "1", false)]]),
            &["tool c tool 1: may run", "tool c tool 1: may not run"],
        ),
        (
            "and each goes on by its own answer",
            all([
                &twins,
                &[answered("c", "1", false), answered("c", "1", true)],
                &[run("c", "1"), denied("c", "1")],
            ]),
            &["tool c tool 1: denied no", "tool c tool 1: runs -"],
        ),
        (
            "answers that nobody heard",
            vec![ask("a", "1"), ask("b", "2"), run("a", "1"), denied("b", "2")],
            &["tool a tool 1: runs -", "tool b tool 2: denied no"],
        ),
        (
            "an answer without a question",
            vec![ask("c", "1"), answered("c", "2", true), answered("d", "1", true)],
            &["tool c tool 1: waits"],
        ),
    ]);
}

#[test]
fn what_the_end_of_a_turn_leaves_of_calls() {
    let asked = [ask("a", "1"), ask("d", "4"), answered("d", "4", true)];
    let calls = [run("b", "2"), run("c", "3"), end("c", false, "aborted")];
    for (last, line) in [(abort(), Some("aborted interrupted")), (complete(), None)] {
        let mut reader = Reader::of([begin()]);
        reader.read(all([&asked, &calls]));
        reader.read([last]);
        let mut expected = vec![
            "tool a tool 1: not run",
            "tool d tool 4: not run",
            "tool b tool 2: stopped",
            "tool c tool 3: failed aborted",
        ];
        expected.extend(line);
        assert_eq!(reader.lines(), expected);
        // The next turn may use the ids.
        reader.turn = "u";
        reader.read([begin(), run("b", "2"), end("b", true, "x")]);
        assert_eq!(reader.lines().last().unwrap(), "tool b tool 2: ok x");
    }
}
