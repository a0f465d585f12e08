//! The program `long_session`, run without a key and without a network.

use std::path::{Path, PathBuf};
use std::process::Command;

use longhaul_testkit::patience;

#[test]
fn the_long_session_tells_of_each_turn_and_draws_each_compaction() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let test = std::env::current_exe().unwrap();
    let target = test.parent().and_then(Path::parent).unwrap();
    let program = target.join("examples").join("long_session");
    let mut program = Command::new(program);
    let output = patience::output(program.env_clear().current_dir(&folder)).unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), complaint.as_str()), (Some(0), ""), "{said}");

    let turns: Vec<&str> = said.lines().filter(|line| line.starts_with("turn ")).collect();
    let numbers = turns.iter().filter_map(|line| line.split_whitespace().nth(1));
    assert!(numbers.eq((1..=200).map(|number| number.to_string()).collect::<Vec<_>>()), "{said}");
    let count = |part: &str| said.lines().filter(|line| line.contains(part)).count();
    let compactions = count("auto compaction by");
    assert!(compactions >= 5, "{said}");
    assert_eq!(count("  1 pinned, "), compactions, "{said}");

    let svg = std::fs::read_to_string(folder.join("target/long_session.svg")).unwrap();
    assert_eq!(svg.matches("class=\"compaction ").count(), compactions);
}
