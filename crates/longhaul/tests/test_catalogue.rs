//! `docs/test-catalogue.md` is true: each number stands in it once, the tests that it names exist,
//! and those that are named after a number stand at it.

#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// What the note of a row without a test begins with.
const REASONS: [&str; 2] = ["Comes with state and tasks.", "Does not apply: "];

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

/// The numbers that the name of a test begins with: 43 and 124 of `t043_t124_a_key`.
fn numbers(test: &str) -> Vec<u32> {
    let number = |word: &str| {
        let digits = word.strip_prefix('t').filter(|digits| digits.len() == 3)?;
        digits.parse().ok()
    };
    test.split('_').map_while(number).collect()
}

/// One row: its number, the tests that it names with their files, and its note.
struct Row<'a> {
    number: u32,
    tests: Vec<(&'a str, &'a str)>,
    note: &'a str,
}

fn rows(table: &str) -> Vec<Row<'_>> {
    table.lines().filter_map(|line| line.strip_prefix("| T")).filter_map(row).collect()
}

/// `None` for the head of a table.
fn row(line: &str) -> Option<Row<'_>> {
    let [number, _, tests, note] = line.strip_suffix(" |")?.split(" | ").collect::<Vec<_>>()[..]
    else {
        panic!("four columns: {line}");
    };
    Some(Row { number: number.parse().ok()?, tests: named_in_files(tests), note })
}

/// Each test between back quotes, with the file that was named last before it.
fn named_in_files(column: &str) -> Vec<(&str, &str)> {
    let mut file = "";
    let mut found = Vec::new();
    for name in column.split('`').skip(1).step_by(2) {
        if name.contains('/') {
            file = name;
        } else {
            found.push((file, name));
        }
    }
    found
}

fn table() -> String {
    fs::read_to_string(project().join("docs/test-catalogue.md")).unwrap()
}

#[test]
fn each_number_stands_in_the_catalogue_once() {
    let numbers: Vec<u32> = rows(&table()).iter().map(|row| row.number).collect();
    assert_eq!(numbers, (1..=165).collect::<Vec<_>>());
}

#[test]
fn a_number_without_a_test_says_why() {
    for Row { number, tests, note } in rows(&table()) {
        let has_reason = REASONS.iter().any(|reason| note.starts_with(reason));
        assert_eq!(tests.is_empty(), has_reason, "T{number}: {note}");
    }
}

#[test]
fn the_tests_that_the_catalogue_names_exist() {
    for Row { number, tests, note } in rows(&table()) {
        for (file, test) in tests.into_iter().chain(named_in_files(note)) {
            if file.is_empty() {
                continue; // a word of the note
            }
            let text = fs::read_to_string(project().join(file)).unwrap_or_default();
            let test_here = format!("fn {test}(");
            let attribute = text.find(&test_here).map(|at| text[..at].trim_end_matches("async "));
            let is_test = attribute.is_some_and(|before| before.trim_end().ends_with(']'));
            assert!(is_test, "T{number}: `{test}` is no test of `{file}`");
        }
    }
}

#[test]
fn tests_that_are_named_after_a_number_stand_at_it() {
    let mut code = String::new();
    for folder in ["crates", "examples"] {
        sources(&project().join(folder), &mut code);
    }
    let functions = code.split("fn ").skip(1).filter_map(|rest| rest.split('(').next());
    let expected: BTreeSet<(u32, &str)> =
        functions.flat_map(|name| numbers(name).into_iter().map(move |n| (n, name))).collect();
    let table = table();
    let rows = rows(&table);
    let named = rows.iter().flat_map(|row| {
        let own = row.tests.iter().filter(|(_, test)| !numbers(test).is_empty());
        own.map(|(_, test)| (row.number, *test))
    });
    let named: BTreeSet<_> = named.collect();
    let missing: Vec<_> = expected.difference(&named).collect();
    assert!(missing.is_empty(), "named after a number that they do not stand at: {missing:?}");
}
