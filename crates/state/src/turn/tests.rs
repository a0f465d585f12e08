//! Turns driven without a runtime.

use longhaul_compaction::{Cause, Refused, Trigger};
use longhaul_history::Item;
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
        Action::RunTools(calls) => {
            let ids: Vec<_> = calls.iter().map(|call| &*call.call_id).collect();
            format!("run {}", ids.join("+"))
        }
        Action::Answer(answer) => {
            let CallOutput::Text(text) = &answer.output else {
                panic!("outputs here are texts");
            };
            let verdict = if answer.success { "ok" } else { "failed" };
            format!("answer {} {verdict}: {text}", answer.call.call_id)
        }
        Action::StopTools => "stop".into(),
        Action::Finish(result) if result.is_interrupted() => "interrupted".into(),
        Action::Finish(result) => format!("finish {:?}", result.last_message),
        Action::Fail(error) => format!("fail {}", error.code()),
    }
}

fn turn() -> Turn {
    let effects = [("read", Effect::Read), ("write", Effect::Write)];
    let effects = effects.map(|(name, effect)| (name.to_owned(), effect));
    Turn::new(TurnLimits::new(3, effects.into()))
}

/// What the turn does, where nothing is to be compacted.
fn apply(turn: &mut Turn, fact: Fact) -> Vec<String> {
    let mut actions = raw(turn, fact);
    if actions.last().is_some_and(|last| last == "prepare") {
        actions.pop();
        actions.extend(raw(turn, Fact::Ready));
    }
    actions
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
    Fact::CompactionEnded(CompactionEnd { is_installed, usage, attempts: 2 })
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
            "answer r0 failed: aborted: had started, effect unknown",
            "answer r1 ok: finished",
            "answer r2 ok: in time",
            "answer w3 failed: aborted: not started",
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
    assert_eq!(
        apply(&mut running, error()),
        [
            "stop",
            "answer w0 failed: aborted: had started, effect unknown",
            "answer w1 failed: aborted: not started",
            "fail server_error"
        ]
    );
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
    let facts: [fn() -> Fact; 12] = [
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
    ];
    let states: [(Prefix, &[usize]); 8] = [
        (&[], &[0, 7]),
        (&[|| Fact::Started], &[7, 8, 9]),
        (&[|| Fact::Started, || Fact::CompactionDue(Cause::Limit)], &[7, 10]),
        (&[|| Fact::Started, || Fact::Ready], &[1, 3, 7, 11]),
        (&[|| Fact::Started, || Fact::Ready, || Fact::AttemptFailed], &[1, 2, 3, 7, 11]),
        (&[|| Fact::Started, || Fact::Ready, || calls(&["w0", "w1"])], &[4, 7]),
        (
            &[|| Fact::Started, || Fact::Ready, || calls(&["w0", "w1"]), || Fact::Interrupted],
            &[4, 6, 7],
        ),
        (&[|| Fact::Started, || Fact::Ready, || answer("a")], &[]),
    ];
    for (number, (prefix, legal)) in states.into_iter().enumerate() {
        for (index, fact) in facts.iter().enumerate() {
            let mut turn = turn();
            for fact in prefix {
                turn.apply(fact()).unwrap();
            }
            let before = format!("{turn:?}");
            let applied = turn.apply(fact());
            assert_eq!(applied.is_ok(), legal.contains(&index), "state {number}, fact {index}");
            if let Err(error) = applied {
                assert_eq!(format!("{turn:?}"), before, "{error}");
            }
        }
    }
}
