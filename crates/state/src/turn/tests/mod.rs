//! Turns driven without a runtime.

mod approvals;
mod budget;
mod model;
mod resume;

use longhaul_compaction::{Cause, Refused, Trigger};
use longhaul_history::usage::TokenUsage;
use longhaul_history::{CallOutput, Item};
use longhaul_transport::{ErrorCode, ModelError};

use super::*;

/// What a driver would see, in short.
fn short(actions: &[Action]) -> Vec<String> {
    actions.iter().map(short_one).collect()
}

fn short_one(action: &Action) -> String {
    match action {
        Action::Prepare => "prepare".into(),
        Action::Compact(cause) => format!("compact {:?}", Trigger::from(*cause)),
        Action::Sample => "sample".into(),
        Action::Commit(response) => format!("commit {}", response.items.len()),
        Action::Judge(calls) => {
            let ids: Vec<_> = calls.iter().map(|call| &*call.call_id).collect();
            format!("judge {}", ids.join("+"))
        }
        Action::Ask(call) => format!("ask {} {}", call.call_id, call.arguments),
        Action::RunTools(calls) => {
            let ids: Vec<_> = calls.iter().map(|call| &*call.call_id).collect();
            format!("run {}", ids.join("+"))
        }
        Action::Answer(answer) => {
            let CallOutput::Text(text) = &answer.output else {
                panic!("outputs here are texts");
            };
            let verdict = match &answer.end {
                CallEnd::Ran { success: true } => "ok",
                CallEnd::Ran { success: false } => "failed",
                CallEnd::Stopped => "stopped",
                CallEnd::Denied { .. } => "denied",
                CallEnd::NotStarted => "not started",
            };
            format!("answer {} {verdict}: {text}", answer.call.call_id)
        }
        Action::StopTools => "stop".into(),
        Action::Finish(result) if result.is_interrupted() => "interrupted".into(),
        Action::Finish(result) => format!("finish {:?}", result.last_message),
        Action::Fail(error) => format!("fail {}", error.code()),
    }
}

fn limits() -> TurnLimits {
    let effects = [("read", Effect::Read), ("write", Effect::Write), ("idem", Effect::Idempotent)];
    let tools = effects.map(|(name, effect)| (name.to_owned(), effect.into()));
    TurnLimits::new(3, tools.into())
}

fn turn() -> Turn {
    Turn::new(limits())
}

/// What the turn does, where nothing is to be compacted and every call may run.
fn apply(turn: &mut Turn, fact: Fact) -> Vec<String> {
    let mut seen = Vec::new();
    let mut todo: Vec<Action> = turn.apply(fact).unwrap();
    while !todo.is_empty() {
        let action = todo.remove(0);
        match &action {
            Action::Prepare => todo.extend(turn.apply(Fact::Ready).unwrap()),
            Action::Judge(calls) => {
                let mut starts = Vec::new();
                for call in calls {
                    starts.extend(turn.apply(judged(call.position, allow())).unwrap());
                }
                todo.extend(joined(starts));
            }
            _ => seen.push(short_one(&action)),
        }
    }
    seen
}

/// Calls that start one after the other in one go, as one start.
fn joined(starts: Vec<Action>) -> Vec<Action> {
    let mut all = Vec::new();
    for action in starts {
        match (all.last_mut(), action) {
            (Some(Action::RunTools(before)), Action::RunTools(calls)) => before.extend(calls),
            (_, action) => all.push(action),
        }
    }
    all
}

fn allow() -> Ruling {
    Ruling::Allow { arguments: None }
}

fn ask() -> Ruling {
    Ruling::Ask { arguments: None }
}

fn verdict(position: usize, verdict: Verdict) -> Fact {
    Fact::ApprovalAnswered { position, verdict }
}

fn judged(position: usize, ruling: Ruling) -> Fact {
    Fact::CallJudged { position, ruling }
}

fn raw(turn: &mut Turn, fact: Fact) -> Vec<String> {
    short(&turn.apply(fact).unwrap())
}

/// A response that calls tools: `r0` reads, `w1` writes, `x2` does not exist.
fn calls(ids: &[&str]) -> Fact {
    let name = |id: &str| match &id[..1] {
        "r" => "read",
        "w" => "write",
        _ => "nothing",
    };
    let items = ids.iter().map(|id| Item::function_call(id, name(id), "{}"));
    Fact::ResponseCompleted(Response::new(items.collect(), None))
}

fn answer(text: &str) -> Fact {
    Fact::ResponseCompleted(Response::new(vec![Item::assistant(text)], None))
}

fn too_long() -> Fact {
    let error = ModelError::new(ErrorCode::ContextWindowExceeded, "too long");
    let refused = Refused { counted: 9, prompt: None, window: None };
    Fact::TooLong { error: error.into(), refused }
}

fn compacted(is_installed: bool) -> Fact {
    let usage = TokenUsage { total: 5, ..TokenUsage::default() };
    Fact::CompactionEnded(CompactionEnd { is_installed, usage, attempts: 2, cost: 0.0 })
}

fn ended(position: usize, text: &str) -> Fact {
    let end = ToolEnd { output: CallOutput::text(text), success: true };
    Fact::ToolFinished { position, end }
}

#[test]
fn a_turn_runs_from_input_over_tools_to_its_answer() {
    let mut turn = turn();
    assert_eq!(apply(&mut turn, Fact::Started), ["sample"]);
    assert_eq!(apply(&mut turn, calls(&["r0", "r1"])), ["commit 2", "run r0+r1"]);
    assert_eq!(apply(&mut turn, ended(1, "late first")), [""; 0], "r0 is recorded first");
    assert_eq!(
        apply(&mut turn, ended(0, "x")),
        ["answer r0 ok: x", "answer r1 ok: late first", "sample"]
    );
    let finished = turn.apply(answer("done")).unwrap();
    assert_eq!(short(&finished), ["commit 1", "finish Some(\"done\")"]);
    let Some(Action::Finish(result)) = finished.last() else {
        panic!("the turn has a result");
    };
    assert_eq!((result.model_calls, result.attempts), (2, 2));
    assert!(turn.is_done());
}

#[test]
fn readers_run_together_and_writers_alone() {
    let mut turn = turn();
    apply(&mut turn, Fact::Started);
    let first = apply(&mut turn, calls(&["r0", "x1", "w2", "r3", "w4", "w5"]));
    assert_eq!(first, ["commit 6", "run r0+x1"]);
    assert_eq!(apply(&mut turn, ended(0, "")), ["answer r0 ok: "]);
    assert_eq!(apply(&mut turn, ended(1, "")), ["answer x1 ok: ", "run w2"]);
    assert_eq!(apply(&mut turn, ended(2, "")), ["answer w2 ok: ", "run r3"]);
    assert_eq!(apply(&mut turn, ended(3, "")), ["answer r3 ok: ", "run w4"]);
    assert_eq!(apply(&mut turn, ended(4, "")), ["answer w4 ok: ", "run w5"]);
    assert_eq!(apply(&mut turn, ended(5, "")), ["answer w5 ok: ", "sample"]);
}

#[test]
fn an_interrupt_keeps_what_is_finished_and_tells_what_is_not() {
    let mut turn = turn();
    apply(&mut turn, Fact::Started);
    apply(&mut turn, calls(&["r0", "r1", "r2", "w3"]));
    assert_eq!(apply(&mut turn, ended(1, "finished")), [""; 0]);
    assert_eq!(apply(&mut turn, Fact::Interrupted), ["stop"]);
    assert_eq!(apply(&mut turn, Fact::Interrupted), [""; 0]);
    assert_eq!(apply(&mut turn, ended(2, "in time")), [""; 0]);
    assert_eq!(
        apply(&mut turn, Fact::ToolsStopped),
        [
            "answer r0 stopped: aborted: had started, effect unknown",
            "answer r1 ok: finished",
            "answer r2 ok: in time",
            "answer w3 not started: aborted: not started",
            "interrupted"
        ]
    );
}

#[test]
fn an_interrupt_ends_every_other_state_at_once() {
    let states: [fn(&mut Turn); 6] = [
        |_| {},
        |turn| drop(raw(turn, Fact::Started)),
        |turn| {
            raw(turn, Fact::Started);
            raw(turn, Fact::CompactionDue(Cause::Manual));
        },
        |turn| {
            apply(turn, Fact::Started);
            raw(turn, too_long());
        },
        |turn| drop(apply(turn, Fact::Started)),
        |turn| {
            apply(turn, Fact::Started);
            apply(turn, Fact::AttemptFailed);
        },
    ];
    for state in states {
        let mut turn = turn();
        state(&mut turn);
        assert_eq!(apply(&mut turn, Fact::Interrupted), ["interrupted"]);
        assert!(turn.is_done());
    }
}

#[test]
fn model_calls_are_bounded_and_the_outputs_are_recorded_first() {
    let mut turn = turn();
    apply(&mut turn, Fact::Started);
    for _ in 0..2 {
        apply(&mut turn, calls(&["r0"]));
        assert_eq!(apply(&mut turn, ended(0, "")), ["answer r0 ok: ", "sample"]);
    }
    apply(&mut turn, calls(&["r0"]));
    assert_eq!(apply(&mut turn, ended(0, "")), ["answer r0 ok: ", "fail too_many_model_calls"]);
    assert!(turn.is_done());
}

#[test]
fn an_error_leaves_no_call_without_an_output() {
    let error = || Fact::Failed(ModelError::new(ErrorCode::ServerError, "x").into());
    let mut sampling = turn();
    apply(&mut sampling, Fact::Started);
    assert_eq!(apply(&mut sampling, error()), ["fail server_error"]);

    let mut running = turn();
    apply(&mut running, Fact::Started);
    apply(&mut running, calls(&["w0", "w1"]));
    assert_eq!(apply(&mut running, error()), ["stop"]);
    assert_eq!(apply(&mut running, Fact::Interrupted), [""; 0], "it is ending already");
    assert_eq!(apply(&mut running, ended(0, "in time")), [""; 0]);
    assert_eq!(
        apply(&mut running, Fact::ToolsStopped),
        [
            "answer w0 ok: in time",
            "answer w1 not started: aborted: not started",
            "fail server_error"
        ]
    );
    assert!(running.is_done());
}

#[test]
fn attempts_count_what_was_sent() {
    let mut turn = turn();
    apply(&mut turn, Fact::Started);
    apply(&mut turn, Fact::AttemptFailed);
    apply(&mut turn, Fact::AttemptFailed);
    apply(&mut turn, Fact::StreamRecovered);
    let actions = turn.apply(answer("hi")).unwrap();
    let Some(Action::Finish(result)) = actions.last() else {
        panic!("the turn has a result");
    };
    assert_eq!((result.model_calls, result.attempts), (1, 3));
}

#[test]
fn a_compaction_comes_before_the_request_whether_or_not_it_helps() {
    for is_installed in [true, false] {
        let mut turn = turn();
        assert_eq!(raw(&mut turn, Fact::Started), ["prepare"]);
        let due = Fact::CompactionDue(Cause::Limit);
        assert_eq!(raw(&mut turn, due), ["compact Auto"]);
        assert_eq!(raw(&mut turn, compacted(is_installed)), ["sample"]);
        let actions = turn.apply(answer("done")).unwrap();
        let Some(Action::Finish(result)) = actions.last() else {
            panic!("the turn has a result");
        };
        assert_eq!((result.model_calls, result.attempts, result.usage.total), (1, 3, 5));
    }
}

#[test]
fn a_request_that_is_too_long_is_sent_once_more_over_less() {
    let mut turn = turn();
    apply(&mut turn, Fact::Started);
    for _ in 0..2 {
        assert_eq!(raw(&mut turn, too_long()), ["compact Auto"]);
        assert_eq!(raw(&mut turn, compacted(true)), ["sample"]);
        assert_eq!(apply(&mut turn, calls(&["r0"])), ["commit 1", "run r0"]);
        assert_eq!(apply(&mut turn, ended(0, "")), ["answer r0 ok: ", "sample"]);
    }
    assert_eq!(raw(&mut turn, too_long()), ["compact Auto"]);
    assert_eq!(raw(&mut turn, compacted(true)), ["sample"]);
    assert_eq!(raw(&mut turn, too_long()), ["fail context_window_exceeded"], "once for each step");
    assert!(turn.is_done());
}

#[test]
fn what_could_not_be_made_shorter_before_the_request_is_not_tried_again_after_it() {
    let due = |turn: &mut Turn, cause| {
        raw(turn, Fact::Started);
        raw(turn, Fact::CompactionDue(cause));
        raw(turn, compacted(false));
        raw(turn, too_long())
    };
    let window = Cause::Window { is_certain: true };
    assert_eq!(due(&mut turn(), window), ["fail context_window_exceeded"]);
    assert_eq!(due(&mut turn(), Cause::Limit), ["compact Auto"], "that was no matter of length");
}

#[test]
fn a_request_that_is_too_long_fails_if_the_conversation_stays() {
    let mut turn = turn();
    apply(&mut turn, Fact::Started);
    raw(&mut turn, too_long());
    assert_eq!(raw(&mut turn, compacted(false)), ["fail context_window_exceeded"]);
    assert!(turn.is_done());
}

#[test]
fn calls_without_an_id_cannot_be_answered_and_do_not_run() {
    let mut turn = turn();
    apply(&mut turn, Fact::Started);
    assert_eq!(apply(&mut turn, calls(&[])), ["commit 0", "finish None"]);
    let nameless = r#"{"type":"function_call","name":"read","arguments":"{}","call_id":""}"#;
    let mut turn = self::turn();
    apply(&mut turn, Fact::Started);
    let items = vec![Item::from_json(nameless).unwrap()];
    let response = Fact::ResponseCompleted(Response::new(items, None));
    assert_eq!(apply(&mut turn, response), ["commit 1", "finish None"]);
}

/// The facts that lead to a state.
type Prefix = &'static [fn() -> Fact];

/// Every fact in every state either is taken or is an error value that changes nothing.
#[test]
fn illegal_facts_are_values_and_change_nothing() {
    let facts: [fn() -> Fact; 17] = [
        || Fact::Started,
        || Fact::AttemptFailed,
        || Fact::StreamRecovered,
        || answer("a"),
        || ended(0, "x"),
        || ended(7, "x"),
        || Fact::ToolsStopped,
        || Fact::Failed(TurnError::Closed),
        || Fact::Ready,
        || Fact::CompactionDue(Cause::Manual),
        || compacted(true),
        too_long,
        || judged(0, allow()),
        || judged(1, allow()),
        || judged(7, allow()),
        || verdict(0, Verdict::Approved),
        || verdict(1, Verdict::Approved),
    ];
    let w0_runs: Prefix = &[
        || Fact::Started,
        || Fact::Ready,
        || calls(&["w0", "w1"]),
        || judged(0, allow()),
        || judged(1, ask()),
    ];
    let w0_is_stopped: Prefix = &[
        || Fact::Started,
        || Fact::Ready,
        || calls(&["w0", "w1"]),
        || judged(0, allow()),
        || Fact::Interrupted,
    ];
    let states: [(Prefix, TurnPhase, &[usize]); 10] = [
        (&[], TurnPhase::New, &[0, 7]),
        (&[|| Fact::Started], TurnPhase::Preparing, &[7, 8, 9]),
        (
            &[|| Fact::Started, || Fact::CompactionDue(Cause::Limit)],
            TurnPhase::Compacting,
            &[7, 10],
        ),
        (&[|| Fact::Started, || Fact::Ready], TurnPhase::Sampling, &[1, 3, 7, 11]),
        (
            &[|| Fact::Started, || Fact::Ready, || Fact::AttemptFailed],
            TurnPhase::BackingOff,
            &[1, 2, 3, 7, 11],
        ),
        (
            &[|| Fact::Started, || Fact::Ready, || calls(&["w0", "w1"])],
            TurnPhase::RunningTools,
            &[7, 12, 13],
        ),
        (w0_runs, TurnPhase::RunningTools, &[4, 7, 16]),
        (
            &[|| Fact::Started, || Fact::Ready, || calls(&["w0"]), || judged(0, ask())],
            TurnPhase::WaitingForApproval,
            &[7, 15],
        ),
        (w0_is_stopped, TurnPhase::Aborting, &[4, 6, 7]),
        (&[|| Fact::Started, || Fact::Ready, || answer("a")], TurnPhase::Done, &[]),
    ];
    for (prefix, phase, legal) in states {
        for (index, fact) in facts.iter().enumerate() {
            let mut turn = turn();
            for fact in prefix {
                turn.apply(fact()).unwrap();
            }
            assert_eq!(turn.phase(), phase);
            let before = format!("{turn:?}");
            let applied = turn.apply(fact());
            assert_eq!(applied.is_ok(), legal.contains(&index), "{phase:?}, fact {index}");
            if let Err(error) = applied {
                assert_eq!(format!("{turn:?}"), before, "{error}");
                assert!(error.to_string().starts_with("a turn that is "), "{error}");
            }
        }
    }
}
