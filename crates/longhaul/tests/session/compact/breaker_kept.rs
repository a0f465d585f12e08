//! What the breaker of compactions knows is in the log: a session that is opened again compacts where the
//! live one would have, and nowhere else.

use std::sync::{Arc, Mutex};

use longhaul::prelude::*;
use longhaul::rollout::MemoryStore;
use longhaul::state::protocol::SettingsUpdate;
use longhaul_testkit::ScriptedModel;
use longhaul_testkit::model::{Answer, Recorded};
use longhaul_testkit::sse::ResponseBuilder;
use longhaul_transport::{ErrorCode, ModelError};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Value;

use super::support::{is_compaction, told};
use crate::kept::again;
use crate::support::{Probe, in_virtual_time};

/// What comes of a request for a summary.
#[derive(Debug, Clone, Copy)]
enum Summary {
    Good,
    Empty,
    Refused,
}

/// What somebody does before a turn.
#[derive(Debug, Clone, Copy)]
enum Before {
    Nothing,
    Compact,
    Undo,
    OtherModel,
}

/// A turn.
#[derive(Debug, Clone, Copy)]
struct Plan {
    before: Before,
    calls: usize,
    /// Its calls are those of every such turn.
    is_circle: bool,
    /// From which response on the limit is reached.
    reaches_limit_at: usize,
    summary: Summary,
}

/// A turn with so many calls, whose responses all reach the limit.
const fn full(calls: usize, summary: Summary) -> Plan {
    let (before, is_circle, reaches_limit_at) = (Before::Nothing, true, 0);
    Plan { before, calls, is_circle, reaches_limit_at, summary }
}

const fn behind(before: Before, plan: Plan) -> Plan {
    Plan { before, ..plan }
}

/// A turn that reaches no limit by itself.
const SHORT: Plan = Plan { reaches_limit_at: 99, ..full(0, Summary::Good) };

fn plan() -> impl Strategy<Value = Plan> {
    let before = prop_oneof![
        8 => Just(Before::Nothing),
        1 => Just(Before::Compact),
        1 => Just(Before::Undo),
        1 => Just(Before::OtherModel),
    ];
    let summary = prop_oneof![3 => Just(Summary::Good), 2 => Just(Summary::Empty), 1 => Just(Summary::Refused)];
    (before, 0..5_usize, any::<bool>(), 0..4_usize, summary).prop_map(
        |(before, calls, is_circle, reaches_limit_at, summary)| Plan {
            before,
            calls,
            is_circle,
            reaches_limit_at,
            summary,
        },
    )
}

/// Plays turns as they are planned.
#[derive(Clone, Default)]
struct Player(Arc<Mutex<Option<Playing>>>);

struct Playing {
    plan: Plan,
    turn: usize,
    responses: usize,
}

impl Player {
    fn play(&self, turn: usize, plan: Plan) {
        *self.0.lock().unwrap() = Some(Playing { plan, turn, responses: 0 });
    }

    fn answer(&self, request: &Recorded) -> Answer {
        let mut playing = self.0.lock().unwrap();
        let Some(playing) = &mut *playing else {
            return ResponseBuilder::new().text("SUMMARY").into();
        };
        if is_compaction(request) {
            return playing.summary();
        }
        let n = playing.responses;
        playing.responses += 1;
        playing.respond(n)
    }
}

impl Playing {
    fn summary(&self) -> Answer {
        match self.plan.summary {
            Summary::Good => ResponseBuilder::new().text("SUMMARY").usage(9, 1).into(),
            Summary::Empty => ResponseBuilder::new().usage(9, 0).into(),
            Summary::Refused => {
                let refused = ModelError::new(ErrorCode::InvalidRequest, "no");
                Answer::failure(refused.retryable(false))
            }
        }
    }

    fn respond(&self, n: usize) -> Answer {
        let used = if n >= self.plan.reaches_limit_at { 500 } else { 90 };
        let response = ResponseBuilder::new();
        let response = if n < self.plan.calls {
            let said = if self.plan.is_circle { "0".into() } else { format!("{}{n}", self.turn) };
            response.call(&format!("c{}_{n}", self.turn), "echo", said)
        } else {
            response.text("answer")
        };
        response.usage(used, 0).into()
    }
}

/// A session, and what it is asked.
struct Side {
    agent: Agent,
    model: ScriptedModel,
    player: Player,
    store: MemoryStore,
}

impl Side {
    fn new(store: MemoryStore) -> Self {
        let player = Player::default();
        let playing = player.clone();
        let model =
            ScriptedModel::new().respond_with(move |request| playing.answer(request)).repeat_last();
        let agent = Agent::builder("test-model", Arc::new(model.clone()));
        let agent = agent.context_window(1_000_000).auto_compact_token_limit(200);
        let agent = agent.tool(Probe::echo("echo")).store(store.clone()).build().unwrap();
        Self { agent, model, player, store }
    }

    /// What is told of a turn, and what it asks.
    async fn turn(&self, session: &Session, turn: usize, plan: Plan) -> (Vec<String>, Vec<Value>) {
        self.player.play(turn, plan);
        let asked = self.model.requests().len();
        let events = told(session, &format!("p{turn}")).await;
        let bodies = self.model.requests()[asked..].iter().map(|it| it.body.clone()).collect();
        (events, bodies)
    }
}

async fn prepare(session: &Session, before: Before) {
    match before {
        Before::Nothing => {}
        Before::Compact => drop(session.compact().unwrap().await),
        Before::Undo => drop(session.undo_compaction().await.unwrap()),
        Before::OtherModel => {
            let other = if session.settings().model == "a" { "b" } else { "a" };
            let mut change = SettingsUpdate::default();
            change.model = Some(other.into());
            session.configure(change).await.unwrap();
        }
    }
}

/// Takes these turns, each also in a session out of the log of before: the same is told and asked. Gives
/// what was told of the last.
async fn live_and_resumed(plans: &[Plan]) -> Vec<String> {
    let live = Side::new(MemoryStore::new());
    let session = live.agent.session().start().await.unwrap();
    let mut last = Vec::new();
    for (turn, plan) in plans.iter().enumerate() {
        live.player.play(turn, SHORT);
        prepare(&session, plan.before).await;
        let copy = Side::new(live.store.copy());
        let resumed = again(&copy.agent, session.id()).await;
        let of_resumed = copy.turn(&resumed, turn, *plan).await;
        let of_live = live.turn(&session, turn, *plan).await;
        assert_eq!(of_resumed, of_live, "turn {turn}");
        last = of_live.0;
    }
    last
}

/// What of the lines tells of compactions.
fn of_compactions(events: &[String]) -> Vec<&str> {
    let starts = ["warning", "error", "compacted"];
    let is_meant = |event: &&str| starts.iter().any(|start| event.starts_with(start));
    events.iter().map(String::as_str).filter(is_meant).collect()
}

const FAILED: &str = "warning compaction_failed";
const WARNED: &str = "warning still_above_limit";
const COMPACTED: &str = "compacted auto summarise requests 1";

/// Each state of the breaker, by what a last turn with a limit that is reached makes of it.
#[tokio::test]
async fn each_state_is_the_same_out_of_the_log() {
    use Before::{Compact, OtherModel, Undo};
    use Summary::{Empty, Good};
    // Twice in vain: it is open, and that was told.
    let open = full(2, Empty);
    // What it makes room for is reached again, but not at once.
    let late = Plan { reaches_limit_at: 1, ..full(1, Good) };
    let cases: [(&str, Vec<Plan>, &[&str]); 10] = [
        ("closed", vec![full(0, Good), late], &[COMPACTED]),
        ("one failure", vec![full(0, Good), full(0, Empty), full(0, Empty)], &[FAILED, WARNED]),
        (
            "one failure, three turns ago",
            vec![full(1, Empty), SHORT, SHORT, full(1, Empty)],
            &[FAILED],
        ),
        ("open", vec![open, full(0, Good)], &[]),
        ("open, the last turn", vec![open, SHORT, full(1, Good)], &[]),
        ("open in a circle", vec![full(0, Good), full(0, Good), full(0, Good)], &[]),
        ("closed again", vec![open, full(0, Good), full(0, Good), late], &[COMPACTED]),
        ("closed by hand", vec![open, behind(Compact, full(1, Good))], &[COMPACTED, WARNED]),
        ("closed by another model", vec![open, behind(OtherModel, late)], &[COMPACTED]),
        (
            "taken back",
            vec![full(0, Good), full(0, Good), behind(Undo, full(1, Good))],
            &[COMPACTED, WARNED],
        ),
    ];
    let (mut found, mut said) = (Vec::new(), Vec::new());
    for (state, plans, expected) in cases {
        let events = live_and_resumed(&plans).await;
        found.push((state, of_compactions(&events).join(", ")));
        said.push((state, expected.join(", ")));
    }
    assert_eq!(found, said);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_turns_go_the_same_way_out_of_the_log(plans in vec(plan(), 1..12)) {
        in_virtual_time(async move { drop(live_and_resumed(&plans).await) });
    }
}
