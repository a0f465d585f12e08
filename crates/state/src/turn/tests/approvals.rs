//! Calls that may not run yet, or not at all.

use super::*;

/// A turn whose response makes these calls.
fn calling(ids: &[&str]) -> Turn {
    let mut turn = turn();
    raw(&mut turn, Fact::Started);
    raw(&mut turn, Fact::Ready);
    let judge = format!("judge {}", ids.join("+"));
    assert_eq!(raw(&mut turn, calls(ids)), [format!("commit {}", ids.len()), judge]);
    turn
}

#[test]
fn all_that_have_to_ask_do_so_at_once_and_each_is_answered_by_itself() {
    let mut turn = calling(&["w0", "w1", "r2"]);
    for position in [2, 0, 1] {
        let asked = raw(&mut turn, judged(position, ask()));
        assert_eq!(asked, [format!("ask {} {{}}", ["w0", "w1", "r2"][position])]);
    }
    assert_eq!(turn.phase(), TurnPhase::WaitingForApproval);
    assert_eq!(raw(&mut turn, verdict(1, Verdict::Approved)), [""; 0], "w0 comes first");
    assert_eq!(turn.phase(), TurnPhase::WaitingForApproval);
    assert!(turn.apply(verdict(1, Verdict::Approved)).is_err(), "once");
    let reason = Some("too risky".to_owned());
    assert_eq!(
        raw(&mut turn, verdict(0, Verdict::Denied { reason })),
        ["answer w0 denied: rejected by the user: not run: too risky", "run w1"]
    );
    assert_eq!(turn.phase(), TurnPhase::RunningTools);
    let late = Verdict::Unanswered { seconds: 5 };
    assert_eq!(raw(&mut turn, verdict(2, late)), [""; 0]);
    assert_eq!(
        raw(&mut turn, ended(1, "x")),
        [
            "answer w1 ok: x",
            "answer r2 denied: denied: not run: nobody approved it within 5 s",
            "prepare"
        ]
    );
}

#[test]
fn calls_that_may_run_together_do_so_as_soon_as_each_may() {
    let mut turn = calling(&["r0", "r1", "r2", "w3"]);
    assert_eq!(raw(&mut turn, judged(0, ask())), ["ask r0 {}"]);
    assert_eq!(raw(&mut turn, judged(2, allow())), ["run r2"]);
    assert_eq!(raw(&mut turn, judged(3, allow())), [""; 0], "it changes something");
    assert_eq!(raw(&mut turn, judged(1, allow())), ["run r1"]);
    assert_eq!(raw(&mut turn, ended(2, "")), [""; 0]);
    assert_eq!(raw(&mut turn, ended(1, "")), [""; 0]);
    assert_eq!(turn.phase(), TurnPhase::WaitingForApproval);
    assert_eq!(raw(&mut turn, verdict(0, Verdict::Approved)), ["run r0"]);
    assert_eq!(
        raw(&mut turn, ended(0, "")),
        ["answer r0 ok: ", "answer r1 ok: ", "answer r2 ok: ", "run w3"]
    );
}

#[test]
fn a_policy_denies_with_a_reason_and_rewrites_what_runs() {
    let mut turn = calling(&["w0", "w1", "w2"]);
    let deny = |reason: &str| Ruling::Deny { reason: reason.into() };
    assert_eq!(
        raw(&mut turn, judged(0, deny("not on Sundays"))),
        ["answer w0 denied: denied: not run: not on Sundays"]
    );
    let arguments = Some(r#"{"dry":true}"#.to_owned());
    let actions = turn.apply(judged(1, Ruling::Allow { arguments: arguments.clone() })).unwrap();
    let [Action::RunTools(run)] = &actions[..] else {
        panic!("it runs: {actions:?}");
    };
    assert_eq!(run[0].arguments, r#"{"dry":true}"#);
    let asked = raw(&mut turn, judged(2, Ruling::Ask { arguments }));
    assert_eq!(asked, [r#"ask w2 {"dry":true}"#], "what runs is what is shown");
    assert_eq!(raw(&mut turn, ended(1, "")), ["answer w1 ok: "], "the third waits for its answer");
    assert_eq!(
        raw(&mut turn, verdict(2, Verdict::Denied { reason: None })),
        ["answer w2 denied: rejected by the user: not run", "prepare"]
    );
}

#[test]
fn an_interrupt_while_somebody_is_asked_starts_nothing() {
    let mut turn = calling(&["w0", "r1", "r2"]);
    raw(&mut turn, judged(0, ask()));
    raw(&mut turn, judged(1, Ruling::Deny { reason: String::new() }));
    assert_eq!(raw(&mut turn, Fact::Interrupted), ["stop"]);
    assert!(turn.apply(verdict(0, Verdict::Approved)).is_err(), "too late");
    assert!(turn.apply(judged(2, allow())).is_err(), "too late");
    assert_eq!(
        raw(&mut turn, Fact::ToolsStopped),
        [
            "answer w0 not started: aborted: not started",
            "answer r1 denied: denied: not run: it is not allowed",
            "answer r2 not started: aborted: not started",
            "interrupted"
        ]
    );
}
