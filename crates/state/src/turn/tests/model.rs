//! Turns in any order of facts, against a naive model of what may happen.

use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// What the world does next, as far as the turn lets it: numbers choose among what is possible.
#[derive(Debug, Clone, Copy)]
enum Step {
    Rule(usize, u8),
    Decide(usize, u8),
    End(usize),
    Interrupt,
    Fail,
    Other(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (any::<usize>(), 0..4_u8).prop_map(|(which, how)| Step::Rule(which, how)),
        4 => (any::<usize>(), 0..3_u8).prop_map(|(which, how)| Step::Decide(which, how)),
        6 => any::<usize>().prop_map(Step::End),
        1 => Just(Step::Interrupt),
        1 => Just(Step::Fail),
        8 => any::<u8>().prop_map(Step::Other),
    ]
}

/// The calls of a response in the model: plain sets, searched anew each time.
#[derive(Default)]
struct World {
    calls: Vec<String>,
    unjudged: BTreeSet<usize>,
    asked: BTreeSet<usize>,
    running: BTreeSet<usize>,
    ended: BTreeSet<usize>,
    answered: Vec<usize>,
    allowed: BTreeSet<usize>,
    started: Vec<usize>,
    is_stopping: bool,
}

impl World {
    fn parallel(&self, position: usize) -> bool {
        !self.calls[position].starts_with('w')
    }

    /// Takes note of what the turn does, and holds it against the rules.
    fn see(&mut self, actions: &[Action]) {
        for action in actions {
            match action {
                Action::Judge(calls) => {
                    self.unjudged = calls.iter().map(|call| call.position).collect();
                }
                Action::Ask(call) => assert!(self.asked.insert(call.position)),
                Action::RunTools(calls) => calls.iter().for_each(|call| self.start(call.position)),
                Action::Answer(answer) => self.answer(answer),
                Action::StopTools => self.is_stopping = true,
                Action::Prepare | Action::Sample | Action::Finish(_) | Action::Fail(_) => {
                    assert_eq!(self.answered.len(), self.calls.len(), "no call without its output");
                    assert!(self.running.is_empty(), "nothing runs beside the model");
                }
                Action::Commit(_) | Action::Compact(_) => {}
            }
        }
    }

    fn start(&mut self, position: usize) {
        assert!(!self.is_stopping, "nothing starts in a turn that ends");
        assert!(self.allowed.contains(&position), "nobody allowed {position}");
        assert!(!self.started.contains(&position), "{position} starts once");
        for other in &self.running {
            let both = self.parallel(position) && self.parallel(*other);
            assert!(both, "{position} beside {other}");
        }
        for earlier in 0..position {
            let is_over = self.ended.contains(&earlier);
            let all_read = (earlier..=position).all(|call| self.parallel(call));
            assert!(is_over || all_read, "{position} overtakes {earlier}");
        }
        self.started.push(position);
        self.running.insert(position);
    }

    fn answer(&mut self, answer: &Answer) {
        let position = answer.call.position;
        assert_eq!(position, self.answered.len(), "outputs come in the order of their calls");
        let had_started = matches!(answer.end, CallEnd::Ran { .. } | CallEnd::Stopped);
        assert_eq!(had_started, self.started.contains(&position));
        let is_denied = matches!(answer.end, CallEnd::Denied { .. });
        assert!(!(is_denied && had_started));
        if matches!(answer.end, CallEnd::Stopped | CallEnd::NotStarted) {
            assert!(self.is_stopping, "no call is given up in a turn that goes on");
        }
        self.running.remove(&position);
        self.ended.insert(position);
        self.answered.push(position);
    }
}

fn nth(set: &BTreeSet<usize>, which: usize) -> Option<usize> {
    set.iter().nth(which.checked_rem(set.len())?).copied()
}

/// Gives the turn one fact, if the world can bring it, and says whether it did.
fn take(turn: &mut Turn, world: &mut World, step: Step) -> bool {
    let fact = match step {
        Step::Rule(which, how) => nth(&world.unjudged, which).map(|position| {
            world.unjudged.remove(&position);
            let ruling = match how {
                0 | 1 => {
                    world.allowed.insert(position);
                    allow()
                }
                2 => ask(),
                _ => {
                    world.ended.insert(position);
                    Ruling::Deny { reason: "no".into() }
                }
            };
            judged(position, ruling)
        }),
        Step::Decide(which, how) => nth(&world.asked, which).map(|position| {
            world.asked.remove(&position);
            let answer = if how == 0 {
                world.allowed.insert(position);
                Verdict::Approved
            } else {
                world.ended.insert(position);
                Verdict::Unanswered { seconds: 1 }
            };
            verdict(position, answer)
        }),
        Step::End(which) => nth(&world.running, which).map(|position| {
            world.running.remove(&position);
            world.ended.insert(position);
            ended(position, "out")
        }),
        Step::Interrupt => Some(Fact::Interrupted),
        Step::Fail => Some(Fact::Failed(TurnError::Closed)),
        Step::Other(how) => other(turn.phase(), world, how),
    };
    // Nobody is asked any more when the tools are being stopped.
    let is_stopped = turn.phase() == TurnPhase::Aborting
        && matches!(fact, Some(Fact::CallJudged { .. } | Fact::ApprovalAnswered { .. }));
    let Some(fact) = fact.filter(|_| !is_stopped) else {
        return false;
    };
    let actions = turn.apply(fact).unwrap();
    world.see(&actions);
    true
}

/// What else happens in a phase.
fn other(phase: TurnPhase, world: &mut World, how: u8) -> Option<Fact> {
    Some(match phase {
        TurnPhase::New => Fact::Started,
        TurnPhase::Preparing if how.is_multiple_of(4) => Fact::CompactionDue(Cause::Limit),
        TurnPhase::Preparing => Fact::Ready,
        TurnPhase::Compacting => compacted(how.is_multiple_of(2)),
        TurnPhase::Sampling | TurnPhase::BackingOff => match how % 5 {
            0 => Fact::AttemptFailed,
            1 => too_long(),
            2 => answer("done"),
            _ => {
                let kinds = ["r", "w", "x", "r"];
                let ids: Vec<String> = (0..=how % 6)
                    .map(|n| format!("{}{n}", kinds[usize::from((how >> 3) + n) % kinds.len()]))
                    .collect();
                *world = World { calls: ids.clone(), ..World::default() };
                calls(&ids.iter().map(String::as_str).collect::<Vec<_>>())
            }
        },
        TurnPhase::Aborting => Fact::ToolsStopped,
        _ => return None,
    })
}

proptest! {
    /// Whatever happens in whatever order: tools start once, allowed, in order; each call has one
    /// output, in order, before the next request and before the end; a turn ends once.
    #[test]
    fn any_order_of_facts_keeps_the_rules(steps in vec(step(), 0..120)) {
        let mut limits = limits();
        limits.max_model_calls = 8;
        let (mut turn, mut world) = (Turn::new(limits), World::default());
        for step in steps {
            if turn.is_done() {
                prop_assert!(turn.apply(Fact::Failed(TurnError::Closed)).is_err());
                break;
            }
            take(&mut turn, &mut world, step);
        }
        // When the world stands still but for an interrupt, the turn ends.
        if !turn.is_done() {
            take(&mut turn, &mut world, Step::Interrupt);
            if turn.phase() == TurnPhase::Aborting {
                take(&mut turn, &mut world, Step::Other(0));
            }
        }
        prop_assert!(turn.is_done());
    }
}
