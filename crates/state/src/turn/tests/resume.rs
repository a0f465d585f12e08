//! Turns out of their logs.

use std::collections::BTreeMap;

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

    let (turn, actions) = resumed([response(&[]), TurnRecord::Over]);
    assert_eq!((turn.phase(), &actions[..]), (TurnPhase::Preparing, &["prepare".to_owned()][..]));
    assert_eq!(turn.spent().model_calls, 1, "its bounds hold over it");
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

/// What comes of a verdict or ruling is the same whether the process lives on or dies right behind it.
#[test]
fn what_was_said_of_a_call_is_not_asked_for_again() {
    let said = |ruling: Ruling| {
        let record = ruling.record(0);
        (vec![judged(0, ruling)], record)
    };
    let answered = |said: Verdict| {
        let record = Some(said.record(0));
        (vec![judged(0, ask()), verdict(0, said)], record)
    };
    let changed = || Some("{\"x\":2}".to_owned());
    let no = |reason: Option<&str>| Verdict::Denied { reason: reason.map(str::to_owned) };
    let cases = [
        answered(Verdict::Approved),
        answered(no(None)),
        answered(no(Some("not there"))),
        answered(Verdict::Unanswered { seconds: 60 }),
        said(Ruling::Allow { arguments: changed() }),
        said(Ruling::Deny { reason: String::new() }),
        said(Ruling::Deny { reason: "stay".into() }),
    ];
    for (facts, record) in cases {
        let mut live = turn();
        live.apply(Fact::Started).unwrap();
        live.apply(Fact::Ready).unwrap();
        live.apply(calls(&["w0"])).unwrap();
        let follows = facts.into_iter().map(|fact| live.apply(fact).unwrap()).last().unwrap();
        let records = [response(&["w0"]), record.unwrap()];
        let (_, resumed) = Turn::resume(limits(), records);
        // With what the tool gets.
        assert_eq!(format!("{resumed:?}"), format!("{follows:?}"));
    }
    assert!(allow().record(0).is_none() && ask().record(0).is_none(), "judged again, and asked");
}

#[test]
fn a_no_stays_whatever_a_log_says_behind_it() {
    let no = || TurnRecord::Denied { position: 0, reason: "denied: not run: no".into() };
    let allowed = TurnRecord::Allowed { position: 0, arguments: None };
    let asked = TurnRecord::Asked { position: 0, arguments: "{}".into() };
    for late in [allowed.clone(), asked] {
        let (_, actions) = resumed([response(&["w0"]), no(), late]);
        assert_eq!(actions, ["answer w0 denied: denied: not run: no", "prepare"]);
    }
    let (_, actions) = resumed([response(&["w0"]), allowed, no()]);
    assert_eq!(actions, ["answer w0 denied: denied: not run: no", "prepare"]);
    // What began is not said not to have run.
    let (_, actions) = resumed([response(&["w0"]), TurnRecord::Started { position: 0 }, no()]);
    assert_eq!(actions, ["answer w0 failed: aborted: had started, effect unknown", "prepare"]);
}

/// What the log of a turn has that was cut off now.
fn spending(turn: &Turn) -> (u32, u32, u64, bool) {
    match turn.spending() {
        TurnRecord::Spent { spent, has_shrunk } => {
            (spent.model_calls, spent.attempts, spent.usage.total, has_shrunk)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_sent_anew_was_not_spent_and_a_step_shrinks_once() {
    let usage = |total| TokenUsage { total, ..TokenUsage::default() };
    let too_long = || Fact::TooLong {
        error: TurnError::Internal("too long".into()),
        refused: Refused { counted: 1, prompt: None, window: None },
    };
    let mut turn = Turn::new(TurnLimits::new(9, BTreeMap::new()));
    let tell = |turn: &mut Turn, fact| drop(turn.apply(fact).unwrap());
    tell(&mut turn, Fact::Started);
    tell(&mut turn, Fact::Ready);
    assert_eq!(spending(&turn), (0, 0, 0, false));
    turn.charge(&usage(7));
    tell(&mut turn, Fact::AttemptFailed);
    assert_eq!(spending(&turn), (0, 1, 7, false));
    tell(&mut turn, too_long());
    assert_eq!(spending(&turn), (0, 2, 7, false), "it is as long as it was");
    let mut end = CompactionEnd::default();
    (end.is_installed, end.attempts, end.usage) = (true, 1, usage(10));
    tell(&mut turn, Fact::CompactionEnded(end));
    assert_eq!(spending(&turn), (0, 3, 17, true));

    let (mut turn, _) = Turn::resume(TurnLimits::new(9, BTreeMap::new()), [turn.spending()]);
    tell(&mut turn, Fact::Ready);
    assert_eq!((turn.spent().model_calls, turn.spent().attempts), (1, 4));
    let actions = turn.apply(too_long()).unwrap();
    assert!(matches!(&*actions, [Action::Fail(_)]), "{actions:?}");
    let limits = TurnLimits::new(1, BTreeMap::new());
    let spent = Spent { model_calls: 1, ..Spent::default() };
    let (_, actions) = Turn::resume(limits, [TurnRecord::Spent { spent, has_shrunk: false }]);
    assert!(matches!(&*actions, [Action::Fail(TurnError::TooManyModelCalls { limit: 1 })]));
}
