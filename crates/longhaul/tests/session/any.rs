//! Sessions in any order of what their users do, over a model that does anything.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use longhaul::approval::{ApprovalDecision, Approvals};
use longhaul::history::History;
use longhaul::prelude::*;
use longhaul::state::protocol::TurnEnd;
use longhaul::{TurnHandle, transport::ModelError};
use longhaul_testkit::ScriptedModel;
use longhaul_testkit::model::{Answer, Recorded};
use longhaul_testkit::sse::ResponseBuilder;
use longhaul_transport::ErrorCode;
use proptest::collection::vec;
use proptest::prelude::*;
use tokio::task::JoinHandle;

use super::observer::Observer;
use super::support::{Nothing, Probe, Yielding, conversation, in_virtual_time};

/// What somebody does. Numbers choose among what there is.
#[derive(Debug, Clone, Copy)]
enum Step {
    Prompt,
    Steer,
    Interrupt,
    Compact,
    Review,
    Replace,
    Withdraw(usize),
    Cancel(usize),
    Answer(u8),
    Wait(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => Just(Step::Prompt),
        5 => Just(Step::Steer),
        2 => Just(Step::Interrupt),
        1 => Just(Step::Compact),
        1 => Just(Step::Review),
        1 => Just(Step::Replace),
        2 => any::<usize>().prop_map(Step::Withdraw),
        1 => any::<usize>().prop_map(Step::Cancel),
        4 => (0..4_u8).prop_map(Step::Answer),
        8 => (1..40_u8).prop_map(Step::Wait),
    ]
}

/// A response by the number of its request: answers, calls, breaks, failures.
fn respond(seed: u64, request: &Recorded) -> Answer {
    let order = request.order as u64;
    let chance = (seed ^ order).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
    let input = request.input();
    let is_summary = request.body["tool_choice"] == "none";
    let id = |n: u64| format!("c{order}_{n}");
    let names = ["look", "change", "risky", "endless"];
    let pick = |n: u64| names[usize::try_from((chance / 4 + n) % 4).unwrap()];
    let call = |response: ResponseBuilder, n: u64| response.call(&id(n), pick(n), "{}");
    let answer = || Answer::from(ResponseBuilder::new().text("answer"));
    match chance % 10 {
        _ if is_summary => Answer::from(ResponseBuilder::new().text("SUMMARY")),
        0..4 => answer(),
        4..7 => {
            let calls = (0..=chance / 16 % 3).fold(ResponseBuilder::new().text("hm"), call);
            Answer::from(calls.usage(400 * input.len() as u64, 5))
        }
        7 => answer().unfinished().break_with(ModelError::new(ErrorCode::StreamIncomplete, "cut")),
        8 => Answer::failure(ModelError::new(ErrorCode::ServerError, "down")),
        _ => Answer::failure(ModelError::new(ErrorCode::InvalidRequest, "no").retryable(false)),
    }
}

/// What is seen from outside.
struct Run {
    session: Session,
    model: ScriptedModel,
    handles: Vec<(String, TurnHandle)>,
    /// Inputs in the order in which they were accepted: prompts, and steers.
    prompts: Vec<String>,
    steers: Vec<String>,
    observer: Observer,
    reading: JoinHandle<()>,
}

impl Run {
    async fn open(seed: u64) -> Self {
        let model =
            ScriptedModel::new().respond_with(move |request| respond(seed, request)).repeat_last();
        let observer = Observer::default();
        let probe = |name: &str| {
            observer.tool(Probe::new(name, |_, _| async {
                tokio::task::yield_now().await;
                ToolOutput::text("out")
            }))
        };
        let agent = longhaul::Agent::builder("test-model", observer.model(Yielding(model.clone())))
            .context_window(1_000_000)
            .auto_compact_token_limit(6_000)
            .max_model_calls(6)
            .tool(probe("look"))
            .tool(probe("change").write())
            .tool(probe("risky").write().asks())
            .tool(observer.tool(Probe::endless("endless").timeout(Duration::from_secs(1))))
            .approvals(Approvals::answered());
        let session = agent.build().unwrap().session().start().await.unwrap();
        let reading = observer.read(&session);
        let (handles, prompts, steers) = (Vec::new(), Vec::new(), Vec::new());
        Self { session, model, handles, prompts, steers, observer, reading }
    }

    async fn take(&mut self, step: Step) {
        match step {
            Step::Prompt | Step::Steer => self.say(matches!(step, Step::Steer)).await,
            Step::Interrupt => drop(self.session.interrupt()),
            Step::Compact => self.began("compact", self.session.compact()),
            Step::Review => self.began("review", self.session.review("look")),
            Step::Replace => self.began("replace", self.session.replace(Nothing)),
            Step::Withdraw(which) => {
                // It may be too late.
                if let Some((id, _)) = self.handles.get(which % self.handles.len().max(1))
                    && self.session.withdraw(id).await.is_ok()
                {
                    self.observer.seen().withdrawn(id);
                }
            }
            Step::Cancel(which) => {
                if let Some((_, handle)) = self.handles.get(which % self.handles.len().max(1)) {
                    handle.cancel();
                }
            }
            Step::Answer(how) => self.answer(how).await,
            Step::Wait(polls) => {
                for _ in 0..polls {
                    tokio::task::yield_now().await;
                }
            }
        }
    }

    async fn say(&mut self, steers: bool) {
        let id = format!("<u{}>", self.handles.len());
        let input = Input::from(&*id).id(&*id);
        let accepted =
            if steers { self.session.steer(input).await } else { self.session.prompt(input).await };
        if let Ok(handle) = accepted {
            self.observer.seen().accepted(&*id, &*id, steers);
            if steers { &mut self.steers } else { &mut self.prompts }.push(id.clone());
            self.handles.push((id, handle));
        }
    }

    fn began(&mut self, what: &str, accepted: Result<TurnHandle, TurnError>) {
        if let Ok(handle) = accepted {
            self.handles.push((format!("{what}{}", self.handles.len()), handle));
        }
    }

    async fn answer(&mut self, how: u8) {
        let Some(pending) = self.session.pending_approvals().pop() else {
            return;
        };
        let decision = match how {
            0 | 1 => ApprovalDecision::Approved,
            2 => ApprovalDecision::Denied { reason: None },
            _ => ApprovalDecision::Abort,
        };
        let is_yes = decision == ApprovalDecision::Approved;
        self.observer.seen().answered(&*pending.call_id, &*pending.arguments, is_yes);
        self.session.answer(&pending.call_id, None, decision).await.unwrap();
    }

    /// Lets everything come to its end; gives how each input ended.
    async fn finish(&mut self) -> BTreeMap<String, Option<TurnEnd>> {
        let session = self.session.clone();
        let mut draining =
            tokio::spawn(async move { session.drain(Duration::from_secs(100_000)).await });
        loop {
            tokio::select! {
                drained = &mut draining => {
                    drained.unwrap().unwrap();
                    break;
                }
                () = tokio::time::sleep(Duration::from_millis(50)) => self.answer(0).await,
            }
        }
        (&mut self.reading).await.unwrap();
        let mut ends = BTreeMap::new();
        for (id, handle) in std::mem::take(&mut self.handles) {
            let result = handle.await;
            self.observer.settled(&id, &result);
            let end = match result {
                // An interrupt left it for a turn that never came.
                Err(TurnError::Closed) => {
                    assert!(self.steers.contains(&id), "{id} was accepted and refused");
                    Some(TurnEnd::Withdrawn)
                }
                result => result.ok().map(|result| result.end),
            };
            ends.insert(id, end);
        }
        ends
    }
}

/// Each turn begins once, ends once, and says nothing afterwards; numbers have no gap.
async fn check_events(session: &Session) {
    let mut events = session.subscribe(1);
    let (mut expected, mut open, mut over) = (1, BTreeSet::new(), BTreeSet::new());
    while let Some(event) = events.next().await {
        assert_eq!(event.number, expected, "{event:?}");
        expected += 1;
        let turn = event.turn_id.to_string();
        assert!(!over.contains(&turn), "{turn} is over: {event:?}");
        match event.event {
            Event::TurnStarted { .. } => assert!(open.is_empty() && open.insert(turn)),
            Event::TurnComplete { .. } | Event::TurnAborted { .. } => {
                assert!(open.remove(&turn), "{turn} had begun");
                over.insert(turn);
            }
            // Of an input that no turn takes any more.
            Event::Error(TurnError::Closed) => {}
            Event::ShutdownComplete => assert!(open.is_empty(), "{open:?}"),
            _ => assert!(open.contains(&turn), "in its turn: {event:?}"),
        }
    }
}

/// The texts of the user's side of a conversation, bridges included.
fn said(history: &History) -> String {
    let items = conversation(history);
    items.into_iter().filter(|item| item.starts_with("user ")).collect()
}

/// Every input that was not taken back is there once, each kind in its order.
fn check_inputs(run: &Run, ends: &BTreeMap<String, Option<TurnEnd>>) {
    let said = said(&run.session.history());
    let is_withdrawn = |id: &String| ends[id] == Some(TurnEnd::Withdrawn);
    for inputs in [&run.prompts, &run.steers] {
        let kept: Vec<_> = inputs.iter().filter(|id| !is_withdrawn(id)).collect();
        let places: Vec<_> = kept.iter().map(|id| said.find(id.as_str())).collect();
        assert!(places.iter().all(Option::is_some), "{kept:?} in {said}");
        assert!(places.is_sorted(), "{kept:?} in {said}");
        for id in inputs {
            let times = said.matches(id.as_str()).count();
            assert_eq!(times, usize::from(!is_withdrawn(id)), "{id} in {said}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn any_order_of_what_users_do_keeps_the_promises(seed: u64, steps in vec(step(), 1..40)) {
        in_virtual_time(async {
            let mut run = Run::open(seed).await;
            for step in steps {
                run.take(step).await;
            }
            let ends = run.finish().await;
            if !run.model.requests().is_empty() {
                assert_eq!(run.model.problems(), [""; 0], "calls and outputs pair up");
            }
            check_events(&run.session).await;
            check_inputs(&run, &ends);
            run.observer.seen().end();
            run.observer.check(&["risky"]);
        });
    }
}
