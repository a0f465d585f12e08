//! Sessions that are opened again after anything that somebody did, in any order: what comes out of the
//! log is what the live session was.

use std::sync::Arc;

use longhaul::history::Item;
use longhaul::prelude::*;
use longhaul::rollout::{FileStore, Fsync, MemoryStore};
use longhaul::{AgentBuilder, ForkPoint};
use longhaul_testkit::ScriptedModel;
use longhaul_testkit::model::{Answer, Recorded};
use longhaul_testkit::sse::ResponseBuilder;
use longhaul_transport::{ErrorCode, ModelError};
use proptest::collection::vec;
use proptest::prelude::*;

use super::kept::again;
use super::support::{
    Folder, Probe, Yielding, conversation, copy_folder, in_virtual_time, move_to, yield_times,
};

/// What somebody does.
#[derive(Debug, Clone, Copy)]
enum Step {
    Prompt,
    Steer,
    Interrupt,
    /// A turn that no input begins.
    AskAgain,
    Compact,
    UndoCompaction,
    /// In the session, and in one that is opened out of a copy of its log.
    UndoTwice,
    Move(u8),
    Pin,
    Wait(u8),
    Reopen,
    Fork(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => Just(Step::Prompt),
        2 => Just(Step::Steer),
        2 => Just(Step::Interrupt),
        1 => Just(Step::AskAgain),
        2 => Just(Step::Compact),
        1 => Just(Step::UndoCompaction),
        2 => Just(Step::UndoTwice),
        1 => (0..3_u8).prop_map(Step::Move),
        1 => Just(Step::Pin),
        8 => (1..60_u8).prop_map(Step::Wait),
        2 => Just(Step::Reopen),
        1 => any::<usize>().prop_map(Step::Fork),
    ]
}

/// A text that is the longer the higher this is in eight: from nothing to more than a store of files keeps
/// in a log. There are few of them, so that the same comes again.
fn long(n: u64) -> String {
    (0..n % 8 * 16).map(|_| "long").collect()
}

/// A response by the number of its request.
fn respond(seed: u64, request: &Recorded) -> Answer {
    let order = request.order as u64;
    let chance = (seed ^ order).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
    let call = |response: ResponseBuilder, n: u64| {
        let name = ["look", "change"][usize::try_from((chance + n) % 2).unwrap()];
        let arguments = format!("{{\"said\":\"{}\"}}", long(chance / 64));
        response.call(&format!("c{order}_{n}"), name, arguments)
    };
    if request.body["tool_choice"] == "none" {
        return Answer::from(ResponseBuilder::new().text("SUMMARY"));
    }
    match chance % 8 {
        0..4 => {
            let answer = format!("answer {}", long(chance / 8));
            Answer::from(ResponseBuilder::new().reasoning("hm", Some("x")).text(&answer))
        }
        4..7 => Answer::from((0..=chance / 16 % 3).fold(ResponseBuilder::new().text("hm"), call)),
        _ => Answer::failure(ModelError::new(ErrorCode::InvalidRequest, "no").retryable(false)),
    }
}

/// A store.
enum Home {
    Memory(MemoryStore),
    Files(Folder),
}

impl Home {
    fn keep(&self, agent: AgentBuilder) -> AgentBuilder {
        match self {
            Self::Memory(store) => agent.store(store.clone()),
            // What is lost with the power is for others to see.
            Self::Files(folder) => {
                let store = FileStore::new(&folder.0).blob_threshold_bytes(BLOB_BYTES);
                agent.store(store.fsync(Fsync::Off))
            }
        }
    }

    /// What would be found if the process died now.
    fn copy(&self) -> Self {
        match self {
            Self::Memory(store) => Self::Memory(store.copy()),
            Self::Files(folder) => {
                let copy = Folder::new();
                copy_folder(&folder.0, &copy.0);
                Self::Files(copy)
            }
        }
    }
}

/// Strings of so many bytes are beside the log.
const BLOB_BYTES: usize = 128;

/// Where the sessions of a case are kept.
struct Kept {
    seed: u64,
    home: Home,
    agent: Agent,
}

impl Kept {
    fn new(seed: u64, home: Home) -> Self {
        Self { seed, agent: agent(seed, &home), home }
    }

    /// What would be found if the process died now.
    fn copy(&self) -> Self {
        Self::new(self.seed, self.home.copy())
    }
}

fn agent(seed: u64, home: &Home) -> Agent {
    let model =
        ScriptedModel::new().respond_with(move |request| respond(seed, request)).repeat_last();
    let agent = longhaul::Agent::builder("test-model", Arc::new(Yielding(model)));
    let agent = home.keep(agent.context_window(1_000_000).max_model_calls(4));
    let agent = agent.context(longhaul::coding::CodingContext::new(None)).cwd("/0");
    agent.tool(Probe::echo("look")).tool(Probe::echo("change").write()).build().unwrap()
}

/// Shuts the session down and opens it again: the same request would leave.
async fn reopen(agent: &Agent, session: &Session) -> Session {
    session.drain(std::time::Duration::from_secs(1_000)).await.unwrap();
    let resumed = again(agent, session.id()).await;
    assert_same(&resumed, session).await;
    resumed
}

/// Takes the last compaction back, live and out of the log: the same comes of both.
async fn undo_live_and_from_log(kept: &Kept, session: &Session) -> Session {
    // When its turn is over, nothing runs, and no input waits that an interrupt has left.
    let _ = session.prompt("last").await.unwrap().await;
    let other = kept.copy();
    let is_undone = session.undo_compaction().await.unwrap();
    let copy = again(&other.agent, session.id()).await;
    assert_eq!(copy.undo_compaction().await.unwrap(), is_undone);
    let resumed = reopen(&kept.agent, session).await;
    assert_same(&copy, session).await;
    assert!(!copy.undo_compaction().await.unwrap() && !resumed.undo_compaction().await.unwrap());
    resumed
}

/// The same conversation, and the same request next.
async fn assert_same(one: &Session, other: &Session) {
    let turns = |session: &Session| {
        let history = session.history();
        (history.turn_starts(0).collect::<Vec<_>>(), history.awaits_turn())
    };
    assert_eq!(conversation(&one.history()), conversation(&other.history()));
    assert_eq!(turns(one), turns(other));
    assert_eq!(one.token_count(), other.token_count());
    let (one, other) = (one.preview_request("next").await, other.preview_request("next").await);
    let (one, other) = (one.unwrap(), other.unwrap());
    assert_eq!(String::from_utf8_lossy(&one), String::from_utf8_lossy(&other));
}

async fn take(kept: &Kept, session: &mut Session, number: usize, step: Step) {
    let agent = &kept.agent;
    match step {
        Step::Prompt => drop(session.prompt(format!("p{number}")).await),
        Step::Steer => drop(session.steer(format!("s{number}")).await),
        Step::Interrupt => drop(session.interrupt()),
        Step::AskAgain => drop(session.replace(longhaul::task::Regular)),
        Step::Compact => drop(session.compact()),
        Step::UndoCompaction => drop(session.undo_compaction().await.unwrap()),
        Step::UndoTwice => *session = undo_live_and_from_log(kept, session).await,
        Step::Pin => {
            let text = format!("k{number} {}", long(number as u64));
            session.pin(&Item::user(text)).await.unwrap();
        }
        Step::Move(n) => move_to(session, n).await,
        Step::Wait(polls) => yield_times(polls).await,
        Step::Reopen => *session = reopen(agent, session).await,
        Step::Fork(n) => {
            let messages = session.history().user_message_count();
            let records = session.log_position().unwrap() + 1;
            let at = match n % 3 {
                0 if messages > 0 => ForkPoint::BeforeUserMessage(n % messages),
                1 => ForkPoint::Behind(n as u64 % records),
                _ => ForkPoint::End,
            };
            *session = agent.session().fork(session, at).unwrap().start().await.unwrap();
        }
    }
}

/// Takes the steps; then the session is opened again.
fn live_is_resumed(seed: u64, home: Home, steps: Vec<Step>) {
    in_virtual_time(async {
        let kept = Kept::new(seed, home);
        let mut session = kept.agent.session().start().await.unwrap();
        for (number, step) in steps.into_iter().enumerate() {
            take(&kept, &mut session, number, step).await;
        }
        let session = reopen(&kept.agent, &session).await;
        session.shutdown().await.unwrap();
    });
}

#[test]
fn a_fork_whose_model_was_told_nothing_tells_it_everything_also_when_it_is_opened_again() {
    use Step::{Compact, Fork, Move, Prompt, UndoCompaction, Wait};
    // What was told behind a compaction is told anew once that is undone.
    let (there, back) = ([Prompt, Wait(59), Compact, Wait(59)], [UndoCompaction, Fork(0)]);
    let steps = there.into_iter().chain([Move(1), Prompt, Wait(59)]).chain(back);
    live_is_resumed(0, Home::Memory(MemoryStore::new()), steps.collect());
}

/// Messages of the user begin no turn by themselves, also where no turn has begun yet.
#[test]
fn what_is_pinned_before_the_first_turn_of_a_fork_begins_none() {
    use Step::{Fork, Pin, Prompt};
    // Before the first message of the user, behind a record, at the end.
    for at in 0..12 {
        live_is_resumed(
            0,
            Home::Memory(MemoryStore::new()),
            vec![Pin, Fork(at), Pin, Fork(at), Pin],
        );
        let steps = vec![Pin, Prompt, Fork(at), Pin, Prompt, Fork(at), Pin];
        live_is_resumed(0, Home::Memory(MemoryStore::new()), steps);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_session_out_of_its_log_is_the_session(seed: u64, steps in vec(step(), 1..30)) {
        live_is_resumed(seed, Home::Memory(MemoryStore::new()), steps);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_session_out_of_its_files_is_the_session(seed: u64, steps in vec(step(), 1..30)) {
        live_is_resumed(seed, Home::Files(Folder::new()), steps);
    }
}
