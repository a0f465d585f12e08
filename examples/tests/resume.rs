//! The program `resume`, run as a newcomer runs it: without a key and without a network.

use std::path::Path;
use std::process::Command;

use longhaul_testkit::patience;

#[test]
fn a_killed_conversation_goes_on_and_repeats_no_effect() {
    let test = std::env::current_exe().unwrap();
    let target = test.parent().and_then(Path::parent).unwrap();
    let program = target.join("examples").join("resume");
    let output = patience::output(Command::new(program).env_clear()).unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), complaint.as_str()), (Some(0), ""), "{said}");

    let (first, rest) = said.split_once("\nIt is killed while both tools run.").unwrap();
    let (second, starts) = rest.split_once("\nStarts of tools in both processes:\n").unwrap();
    let first: Vec<&str> = first.lines().filter(|line| !line.starts_with("  log: ")).collect();
    let (talk, running) = first.split_at(6);
    assert_eq!(
        talk,
        [
            "A process holds a conversation and keeps it in a log:",
            "  you: What is order 7?",
            "  model: Order 7: two lamps, for Bergen.",
            "  you: Is it paid?",
            "  model: Yes, it was paid on Monday.",
            "  you: Then ship it, if we have it.",
        ]
    );
    let mut running = running.to_vec();
    running.sort_unstable();
    assert_eq!(running, ["  started: ship order 7", "  started: stock of order 7"]);
    assert_eq!(
        second.lines().collect::<Vec<_>>(),
        [
            " Another process opens the log:",
            "  recovered: 7 items in 3 turns",
            "  torn: 0 bytes at the end of the log were not whole",
            "  open: the last turn",
            "  unknown: the effect of ship_1",
            "  started: stock of order 7",
            "  stock_1: 2 lamps in stock",
            "  ship_1: aborted: had started, effect unknown",
            "  model: The lamps are there. Whether the parcel has left I cannot know: please look, \
             before I ship it again.",
            "  you: I looked: it has left.",
            "  model: Then order 7 is done, and nothing is shipped twice.",
        ]
    );
    let mut starts: Vec<&str> = starts.lines().collect();
    starts.sort_unstable();
    let twice = "  stock of order 7";
    assert_eq!(starts, ["  ship order 7", twice, twice]);
}
