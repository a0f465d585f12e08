use longhaul_history::{CallKind, CallOutput};

use super::*;

/// `a` is a call, `=a` an output, `+` stands before pinned copies, and a lone `-` is a call without an id.
fn item(short: &str) -> ReplayItem {
    let call = |id: &str| match id.strip_prefix('=') {
        Some(id) => Item::output(CallKind::Function, id, CallOutput::text("done")),
        None if id == "-" => Item::function_call("", "look", "{}"),
        None => Item::function_call(id, "look", "{}"),
    };
    let item = match short.strip_prefix('+') {
        Some(id) => call(id).pinned(),
        None => call(short),
    };
    ReplayItem { item, starts_turn: false }
}

/// A response with these calls; `?` in the place of ids that an earlier version did not write.
fn response(calls: &[&str]) -> KnownCall<'static> {
    let ids = calls.iter().filter(|id| **id != "?").map(|id| begins(id).to_owned().into());
    KnownCall::Response { calls: calls.len(), ids: ids.collect(), usage: None, spent: None }
}

/// `s1` has started, `a1` is answered.
fn record(short: &str) -> KnownCall<'static> {
    let position = short[1..].parse().unwrap();
    match &short[..1] {
        "s" => KnownCall::Started { position },
        _ => KnownCall::Answered { position },
    }
}

/// Where the calls are, and what becomes of those without an output: `goes on`, `unknown`, `not started`.
fn read(list: &[&str], calls: &[&str], records: &[&str]) -> (Vec<usize>, Vec<String>) {
    let items: Vec<_> = list.iter().map(|it| item(it)).collect();
    let response = (!calls.is_empty()).then(|| response(calls));
    let known: Vec<_> = response.into_iter().chain(records.iter().map(|it| record(it))).collect();
    let step = Step::of(&known, &items, false);
    let open = step.open(0).map(|it| {
        let becomes = match (it.goes_on, it.had_started) {
            (true, _) => "goes on",
            (false, true) => "unknown",
            (false, false) => "not started",
        };
        format!("{} {becomes}", it.call.call_id().unwrap())
    });
    let open = open.collect();
    (if step.is_over() { Vec::new() } else { step.places.into_values().collect() }, open)
}

#[test]
fn calls_are_found_by_their_ids_and_places() {
    type Case = (
        &'static [&'static str],
        [&'static [&'static str]; 2],
        &'static [usize],
        &'static [&'static str],
    );
    let cases: [Case; 20] = [
        (&["a", "=a", "b"], [&["a", "b"], &["s0", "a0"]], &[0, 2], &["b goes on"]),
        (&["a", "-"], [&["a"], &["s0"]], &[0], &["a goes on"]),
        (&["a", "-", "b"], [&["a", "b"], &[]], &[0, 2], &["a goes on", "b goes on"]),
        // Alike.
        (&["a", "a"], [&["a", "a"], &[]], &[0, 1], &["a goes on", "a goes on"]),
        (&["a", "=a", "a"], [&["a", "a"], &["s0", "a0"]], &[0, 2], &["a goes on"]),
        // Copies.
        (
            &["a", "=a", "b", "+a", "+=a"],
            [&["a", "b"], &["s0", "a0", "s1"]],
            &[0, 2],
            &["b goes on"],
        ),
        (&["a", "+a"], [&["a"], &["s0"]], &[0], &["a goes on"]),
        // Gone.
        (&[], [&["a"], &["s0", "a0"]], &[], &[]),
        (&["b"], [&["a", "b"], &["s0"]], &[], &["b not started"]),
        (&["a"], [&["a", "b"], &["s0"]], &[], &["a unknown"]),
        // The output is.
        (&["a"], [&["a"], &["s0", "a0"]], &[], &["a unknown"]),
        // The next response is there in part, also one with the same ids.
        (&["a", "=a", "b"], [&["a"], &["s0", "a0"]], &[], &["b not started"]),
        (&["a", "=a", "a"], [&["a"], &["s0", "a0"]], &[], &["a not started"]),
        (&["b"], [&["a"], &["s0", "a0"]], &[], &["b not started"]),
        (&["b"], [&[], &[]], &[], &["b not started"]),
        // That it is whole is lost.
        (&["a", "=a", "b"], [&["a"], &["s0", "a0", "s0"]], &[], &["b unknown"]),
        // Of earlier versions.
        (
            &["a", "=a", "b", "-", "+a", "+=a"],
            [&["?", "?"], &["s0", "a0"]],
            &[0, 2],
            &["b goes on"],
        ),
        (&["a", "=a", "b"], [&["?"], &["s0", "a0"]], &[], &["b not started"]),
        (&["a"], [&["?", "?"], &["s1"]], &[], &["a unknown"]),
        (&["a"], [&["?"; 3], &[]], &[], &["a not started"]),
    ];
    for (list, [calls, records], places, open) in cases {
        let open: Vec<String> = open.iter().map(|it| (*it).to_owned()).collect();
        let expected = (places.to_vec(), open);
        assert_eq!(read(list, calls, records), expected, "{list:?} {calls:?} {records:?}");
    }
}

#[test]
fn a_long_id_is_known_by_its_beginning_and_a_wrong_count_ends() {
    let long = "é".repeat(100_000);
    assert_eq!(begins(&long).chars().count(), 64);
    assert_eq!(read(&[&long], &[&long], &[]).0, [0]);
    let items = [item("a")];
    let known =
        [KnownCall::Response { calls: usize::MAX, ids: Vec::new(), usage: None, spent: None }];
    assert!(Step::of(&known, &items, false).is_over());
}
