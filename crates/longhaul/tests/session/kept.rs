//! Sessions that are kept in a log, and opened again.

use std::sync::Arc;

use longhaul::prelude::*;
use longhaul::rollout::{LogRef, MemoryStore, OnDamage};
use longhaul::state::protocol::SettingsUpdate;
use longhaul_testkit::ScriptedModel;
use longhaul_testkit::model::{Answer, Recorded};
use longhaul_testkit::sse::ResponseBuilder;
use longhaul_transport::{ErrorCode, ModelError};
use proptest::collection::vec;
use proptest::prelude::*;

use super::support::{Probe, Yielding, conversation, lines, scripted};

/// A session like the one with this id, out of its log.
async fn again(agent: &Agent, id: &str) -> Session {
    let which = LogRef::Id(id.to_owned());
    agent.session().resume(which, OnDamage::Refuse).start().await.unwrap()
}

#[tokio::test]
async fn a_session_goes_on_where_it_was_left() {
    let model = ScriptedModel::new().call("c1", "look", "{}").text("one").text("two");
    let store = MemoryStore::new();
    let agent = scripted(&model).tool(Probe::echo("look")).store(store.clone()).build().unwrap();
    let session = agent.session().start().await.unwrap();
    let id = session.id().to_owned();
    let mut turn = session.prompt("go").await.unwrap();
    let seen = lines(&mut turn).await;
    assert_eq!(seen.last().unwrap(), "complete one");
    turn.await.unwrap();
    let expected = session.preview_request("next").await.unwrap();
    let (used, _) = session.token_count();
    session.shutdown().await.unwrap();

    let session = again(&agent, &id).await;
    assert_eq!(session.id(), id);
    assert_eq!(session.resumed().unwrap().open_turn, None);
    assert_eq!(session.token_count().0, used);
    assert_eq!(session.preview_request("next").await.unwrap(), expected);
    let result = session.prompt("next").await.unwrap().await.unwrap();
    assert_eq!(result.last_message.as_deref(), Some("two"));
    model.assert_complete();
}

#[tokio::test]
async fn one_owner_at_a_time() {
    let store = MemoryStore::new();
    let model = ScriptedModel::new();
    let agent = scripted(&model).store(store).build().unwrap();
    let session = agent.session().start().await.unwrap();
    let which = LogRef::Id(session.id().to_owned());
    let open = || agent.session().resume(which.clone(), OnDamage::Refuse).start();
    let error = open().await.unwrap_err().to_string();
    assert!(error.contains("open for writing"), "{error}");
    session.shutdown().await.unwrap();
    open().await.unwrap();
}

/// What somebody does.
#[derive(Debug, Clone, Copy)]
enum Step {
    Prompt,
    Steer,
    Interrupt,
    Compact,
    UndoCompaction,
    Move(u8),
    Wait(u8),
    Reopen,
    Fork(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => Just(Step::Prompt),
        2 => Just(Step::Steer),
        2 => Just(Step::Interrupt),
        2 => Just(Step::Compact),
        1 => Just(Step::UndoCompaction),
        1 => (0..3_u8).prop_map(Step::Move),
        8 => (1..60_u8).prop_map(Step::Wait),
        2 => Just(Step::Reopen),
        1 => any::<usize>().prop_map(Step::Fork),
    ]
}

/// A response by the number of its request.
fn respond(seed: u64, request: &Recorded) -> Answer {
    let order = request.order as u64;
    let chance = (seed ^ order).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
    let call = |response: ResponseBuilder, n: u64| {
        let name = ["look", "change"][usize::try_from((chance + n) % 2).unwrap()];
        response.call(&format!("c{order}_{n}"), name, "{}")
    };
    if request.body["tool_choice"] == "none" {
        return Answer::from(ResponseBuilder::new().text("SUMMARY"));
    }
    match chance % 8 {
        0..4 => Answer::from(ResponseBuilder::new().reasoning("hm", Some("x")).text("answer")),
        4..7 => Answer::from((0..=chance / 16 % 3).fold(ResponseBuilder::new().text("hm"), call)),
        _ => Answer::failure(ModelError::new(ErrorCode::InvalidRequest, "no").retryable(false)),
    }
}

fn agent(seed: u64) -> Agent {
    let model =
        ScriptedModel::new().respond_with(move |request| respond(seed, request)).repeat_last();
    let agent = longhaul::Agent::builder("test-model", Arc::new(Yielding(model)));
    let agent = agent.context_window(1_000_000).max_model_calls(4).store(MemoryStore::new());
    let agent = agent.context(longhaul::coding::CodingContext::new(None)).cwd("/0");
    agent.tool(Probe::echo("look")).tool(Probe::echo("change").write()).build().unwrap()
}

/// Shuts the session down and opens it again: the same request would leave.
async fn reopen(agent: &Agent, session: &Session) -> Session {
    session.drain(std::time::Duration::from_secs(1_000)).await.unwrap();
    let expected = session.preview_request("next").await;
    let left = conversation(&session.history());
    let id = session.id().to_owned();
    let resumed = again(agent, &id).await;
    assert_eq!(conversation(&resumed.history()), left);
    assert_eq!(resumed.token_count(), session.token_count());
    let again = resumed.preview_request("next").await;
    assert_eq!(
        String::from_utf8_lossy(&again.unwrap()),
        String::from_utf8_lossy(&expected.unwrap())
    );
    resumed
}

async fn take(agent: &Agent, session: &mut Session, number: usize, step: Step) {
    match step {
        Step::Prompt => drop(session.prompt(format!("p{number}")).await),
        Step::Steer => drop(session.steer(format!("s{number}")).await),
        Step::Interrupt => drop(session.interrupt()),
        Step::Compact => drop(session.compact()),
        Step::UndoCompaction => drop(session.undo_compaction()),
        Step::Move(n) => {
            let mut change = SettingsUpdate::default();
            change.cwd = Some(format!("/{n}").into());
            session.configure(change).unwrap();
        }
        Step::Wait(polls) => {
            for _ in 0..polls {
                tokio::task::yield_now().await;
            }
        }
        Step::Reopen => *session = reopen(agent, session).await,
        Step::Fork(n) => {
            let messages = session.history().user_message_count();
            if messages > 0 {
                let fork = agent.session().fork(session, n % messages).unwrap();
                *session = fork.start().await.unwrap();
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_session_out_of_its_log_is_the_session(seed: u64, steps in vec(step(), 1..30)) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let agent = agent(seed);
            let mut session = agent.session().start().await.unwrap();
            for (number, step) in steps.into_iter().enumerate() {
                take(&agent, &mut session, number, step).await;
            }
            let session = reopen(&agent, &session).await;
            session.shutdown().await.unwrap();
        });
    }
}
