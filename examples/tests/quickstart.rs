//! The program `quickstart`, run as a newcomer runs it: without a key and without a network.

use std::path::Path;
use std::process::Command;

use longhaul_testkit::patience;

#[test]
fn the_quickstart_streams_three_turns_and_tells_what_it_sent() {
    let test = std::env::current_exe().unwrap();
    let target = test.parent().and_then(Path::parent).unwrap();
    let program = target.join("examples").join("quickstart");
    let output = patience::output(Command::new(program).env_clear()).unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), complaint.as_str()), (Some(0), ""), "{said}");
    let expected = [
        "[turn 1] Oslo or Bergen: which is warmer right now?",
        "Two cities, so two questions to the tool.",
        r#"-> weather {"city":"Oslo"}"#,
        r#"-> weather {"city":"Bergen"}"#,
        "<- Oslo: 3 degrees, clear sky",
        "<- Bergen: 7 degrees, rain",
        "Bergen is warmer: 7 degrees against 3 in Oslo.",
        "2 model calls, 415 tokens",
        "[turn 2] And where will I need an umbrella?",
        "In Bergen. It rains there, while Oslo has a clear sky.",
        "1 model calls, 290 tokens",
        "[turn 3] Thank you. Say goodbye in one short sentence.",
        "Goodbye, and take the umbrella to Bergen!",
        "Requests:",
        "1: 1 items, 0 of them reasoning, ",
        "2: 6 items, 1 of them reasoning, ",
        "3: 7 items, 0 of them reasoning, ",
        "4: 9 items, 0 of them reasoning, ",
    ];
    let mut rest = said.as_str();
    for part in expected {
        let Some((_, after)) = rest.split_once(part) else {
            panic!("{part:?} is missing, or not in its place:\n{said}");
        };
        rest = after;
    }
}
