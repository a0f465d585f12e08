//! What happens in a session: random plans, and plans in which everything happens at least once.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) steps: Vec<Step>,
    /// Call ids begin anew with each response.
    pub(crate) reuses_ids: bool,
    /// Where the reader of events sleeps.
    pub(crate) lags: Vec<bool>,
}

#[derive(Clone, Debug)]
pub(crate) enum Step {
    Turn {
        rounds: Vec<Round>,
        cut: Option<Cut>,
        /// How many prompts are given before it.
        ahead: usize,
    },
    Compact {
        /// A model writes the summary.
        asks: bool,
    },
    Review,
    Undo,
    Withdraw {
        steers: bool,
    },
}

/// What ends a turn before its last answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Cut {
    Early,
    Streaming,
    Tools,
    Fails,
}

/// One response with calls.
#[expect(clippy::struct_excessive_bools, reason = "each is a choice of its own")]
#[derive(Clone, Debug)]
pub(crate) struct Round {
    /// Attempts that fail before it.
    pub(crate) failures: usize,
    pub(crate) speaks: bool,
    pub(crate) calls: Vec<CallPlan>,
    pub(crate) parallel: bool,
    pub(crate) steered: bool,
    pub(crate) compacts: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct CallPlan {
    pub(crate) fate: Fate,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fate {
    Free,
    Approved,
    Denied,
}

fn round() -> impl Strategy<Value = Round> {
    let call =
        select(vec![Fate::Free, Fate::Approved, Fate::Denied]).prop_map(|fate| CallPlan { fate });
    let compacts = proptest::bool::weighted(0.1);
    (0..3_usize, any::<bool>(), vec(call, 1..4), any::<bool>(), any::<bool>(), compacts).prop_map(
        |(failures, speaks, calls, parallel, steered, compacts)| Round {
            failures,
            speaks,
            calls,
            parallel,
            steered,
            compacts,
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    let cut = select(vec![Cut::Early, Cut::Streaming, Cut::Tools, Cut::Fails]);
    let turn = (vec(round(), 0..3), option::weighted(0.4, cut), 0..3_usize);
    prop_oneof![
        8 => turn.prop_map(|(rounds, cut, ahead)| Step::Turn { rounds, cut, ahead }),
        1 => any::<bool>().prop_map(|asks| Step::Compact { asks }),
        1 => Just(Step::Review),
        1 => Just(Step::Undo),
        1 => any::<bool>().prop_map(|steers| Step::Withdraw { steers }),
    ]
}

/// Any session.
pub(crate) fn any_plan() -> impl Strategy<Value = Plan> {
    (vec(step(), 0..10), any::<bool>(), vec(any::<bool>(), 1..20))
        .prop_map(|(steps, reuses_ids, lags)| Plan { steps, reuses_ids, lags })
}

/// Any session in which everything happens at least once. What has to happen in some order for a fault to have a
/// place comes at the end: a compaction between turns, and interrupts behind it.
pub(crate) fn full_plan() -> impl Strategy<Value = Plan> {
    let steps = vec(step(), 0..4).prop_flat_map(|mut steps| {
        steps.extend(everything());
        Just(steps).prop_shuffle()
    });
    (steps, vec(any::<bool>(), 0..8)).prop_map(|(mut steps, mut lags)| {
        steps.extend([plain_turn(), Step::Compact { asks: false }, plain_turn()]);
        steps.extend([Cut::Streaming, Cut::Tools].map(cut_turn));
        steps.push(plain_turn());
        // Within each of these the reader wakes.
        lags.push(false);
        Plan { steps, reuses_ids: false, lags }
    })
}

fn everything() -> Vec<Step> {
    let cuts = [Cut::Early, Cut::Streaming, Cut::Tools, Cut::Fails];
    let others = [
        plain_turn(),
        Step::Compact { asks: true },
        Step::Compact { asks: false },
        Step::Review,
        Step::Undo,
        Step::Withdraw { steers: false },
        Step::Withdraw { steers: true },
    ];
    cuts.map(cut_turn).into_iter().chain(others).collect()
}

fn cut_turn(cut: Cut) -> Step {
    Step::Turn { rounds: Vec::new(), cut: Some(cut), ahead: 0 }
}

/// A turn with a retry, calls of all fates, a steer and a second prompt behind it.
fn plain_turn() -> Step {
    let calls = [Fate::Free, Fate::Approved, Fate::Denied].map(|fate| CallPlan { fate }).to_vec();
    let round =
        Round { failures: 1, speaks: true, calls, parallel: true, steered: true, compacts: false };
    Step::Turn { rounds: vec![round], cut: None, ahead: 2 }
}
