//! Turns out of their logs.

use super::*;

fn response(ids: &[&str]) -> TurnRecord {
    let Fact::ResponseCompleted(Response { items, usage }) = calls(ids) else {
        panic!("it is a response");
    };
    TurnRecord::Response { items, usage, spent: None }
}

fn resumed(records: impl IntoIterator<Item = TurnRecord>) -> (Turn, Vec<String>) {
    let (turn, actions) = Turn::resume(limits(), records);
    let actions = short(&actions);
    (turn, actions)
}

#[test]
fn a_turn_goes_on_where_its_log_ends() {
    let (turn, actions) = resumed([]);
    assert_eq!((turn.phase(), &actions[..]), (TurnPhase::Preparing, &["prepare".to_owned()][..]));

    let (_, actions) = resumed([response(&["r0", "w1"])]);
    assert_eq!(actions, ["judge r0+w1"], "nobody had ruled");

    let allowed = |position| TurnRecord::Allowed { position, arguments: None };
    let (_, actions) = resumed([response(&["r0", "w1"]), allowed(0), allowed(1)]);
    assert_eq!(actions, ["run r0"], "what may run and did not does");

    let answered = |position| TurnRecord::Answered { position };
    let started = |position| TurnRecord::Started { position };
    let records = [response(&["r0", "w1"]), allowed(0), allowed(1), started(0), answered(0)];
    assert_eq!(resumed(records).1, ["run w1"]);

    let records = [response(&["r0"]), allowed(0), started(0), answered(0)];
    let (turn, actions) = resumed(records);
    assert_eq!((turn.phase(), &actions[..]), (TurnPhase::Preparing, &["prepare".to_owned()][..]));

    let (turn, actions) = resumed([response(&[])]);
    assert_eq!((turn.phase(), actions.len()), (TurnPhase::Done, 0));
}

#[test]
fn what_had_started_runs_again_only_if_its_tool_allows_that() {
    let items = [("i0", "idem"), ("w1", "write"), ("r2", "read")]
        .map(|(id, name)| Item::function_call(id, name, "{}"));
    let response = TurnRecord::Response { items: items.into(), usage: None, spent: None };
    let started = |position| TurnRecord::Started { position };
    let (mut turn, actions) = resumed([response, started(0), started(1), started(2)]);
    assert_eq!(actions, ["run i0"]);
    assert_eq!(
        apply(&mut turn, ended(0, "again")),
        ["answer i0 ok: again", "answer w1 failed: aborted: had started, effect unknown", "run r2"]
    );
}

#[test]
fn what_waited_for_approval_waits_again_and_what_was_denied_stays_so() {
    let asked = TurnRecord::Asked { position: 0, arguments: r#"{"x":1}"#.into() };
    let denied = TurnRecord::Denied { position: 1, reason: "denied: not run: no".into() };
    let (mut turn, actions) = resumed([response(&["w0", "w1"]), asked, denied]);
    assert_eq!(actions, [r#"ask w0 {"x":1}"#]);
    assert_eq!(turn.phase(), TurnPhase::WaitingForApproval);
    assert_eq!(raw(&mut turn, verdict(0, Verdict::Approved)), ["run w0"]);
    assert_eq!(
        apply(&mut turn, ended(0, "")),
        ["answer w0 ok: ", "answer w1 denied: denied: not run: no", "sample"]
    );
}

#[test]
fn records_that_do_not_fit_are_passed_over() {
    let stray = [
        TurnRecord::Started { position: 0 },
        response(&["r0"]),
        TurnRecord::Answered { position: 9 },
    ];
    assert_eq!(resumed(stray).1, ["judge r0"]);
}

#[test]
fn records_that_go_back_or_skip_a_call_are_passed_over() {
    let answered = |position| TurnRecord::Answered { position };
    let started = |position| TurnRecord::Started { position };
    let allowed = |position| TurnRecord::Allowed { position, arguments: None };
    let (mut turn, actions) = resumed([response(&["r0", "r1"]), started(0), answered(1)]);
    assert_eq!(actions, ["judge r1", "run r0"], "its output is not before that of the first");
    assert_eq!(apply(&mut turn, ended(0, "again")), ["answer r0 ok: again"]);
    for late in [started(0), allowed(0), TurnRecord::Denied { position: 0, reason: "no".into() }] {
        let records = [response(&["r0"]), started(0), answered(0), late];
        assert_eq!(resumed(records).1, ["prepare"]);
    }
    let (_, actions) = resumed([response(&["w1"]), started(0), allowed(0)]);
    assert_eq!(actions, ["answer w1 failed: aborted: had started, effect unknown", "prepare"]);
}
