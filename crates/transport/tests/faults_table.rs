//! `docs/faults.md` is true: the tests that it names exist, and those that are named after a fault
//! stand in it.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The text of every Rust file below `folder`.
fn sources(folder: &Path, all: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && path.file_name().unwrap() != "target" {
            sources(&path, all);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            all.push_str(&fs::read_to_string(path).unwrap());
        }
    }
}

/// What stands between back quotes.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// Each test with the file that was named last before it.
fn named_in_files<'a>(names: impl Iterator<Item = &'a str>) -> Vec<(&'a str, &'a str)> {
    let mut file = "";
    let mut found = Vec::new();
    for name in names {
        if name.contains('/') {
            file = name;
        } else {
            found.push((file, name));
        }
    }
    found
}

fn is_fault_test(name: &str) -> bool {
    let bytes = name.as_bytes();
    bytes.len() > 5
        && bytes[0] == b'f'
        && bytes[1..4].iter().all(u8::is_ascii_digit)
        && bytes[4] == b'_'
}

#[test]
fn the_table_of_faults_names_tests_that_exist_and_all_of_them() {
    let mut code = String::new();
    for folder in ["crates", "examples"] {
        sources(&project().join(folder), &mut code);
    }
    let functions: BTreeSet<&str> = code
        .split("fn ")
        .skip(1)
        .filter_map(|rest| rest.split(|c: char| !c.is_alphanumeric() && c != '_').next())
        .collect();
    let table = fs::read_to_string(project().join("docs/faults.md")).unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| F0") || line.starts_with("| F1"));
    let mut named = BTreeSet::new();
    let mut rows_seen = Vec::new();
    for row in rows {
        let fault = row.split('|').nth(1).unwrap().trim();
        let tests = row.rsplit('|').nth(1).unwrap();
        let (files, tests): (Vec<&str>, Vec<&str>) =
            quoted(tests).partition(|name| name.contains('/'));
        assert!(!tests.is_empty(), "{fault} has no test");
        assert!(!files.is_empty(), "{fault} names no file");
        rows_seen.push(fault[1..].parse::<u32>().unwrap());
        for (file, test) in named_in_files(quoted(row.rsplit('|').nth(1).unwrap())) {
            let text = fs::read_to_string(project().join("crates").join(file)).unwrap();
            assert!(text.contains(&format!("fn {test}(")), "{fault}: `{test}` is not in `{file}`");
        }
        for test in tests {
            let number = fault.to_ascii_lowercase();
            let is_own = !is_fault_test(test) || test.starts_with(&number);
            assert!(is_own, "`{test}` stands at {fault}");
            named.insert(test.to_owned());
        }
    }
    let sessions = (126..=137).chain(140..=143);
    let log = (78..=93).chain([95, 107, 109]).chain(112..=125);
    let transport = [1].into_iter().chain(5..=25).chain(29..=77);
    let expected: Vec<u32> =
        transport.chain(log).chain(sessions).chain(169..=176).chain([185]).collect();
    assert_eq!(rows_seen, expected, "each fault has its row");
    assert!(named.len() > 100, "the table was read");
    let further = table.lines().filter(|line| line.starts_with("* F0")).flat_map(quoted);
    named.extend(further.map(str::to_owned));
    let missing: Vec<_> =
        functions.iter().filter(|name| is_fault_test(name) && !named.contains(**name)).collect();
    assert!(missing.is_empty(), "not in the table: {missing:?}");
}
