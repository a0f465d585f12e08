//! A turn that no input began, and that only asks the model again.

use longhaul::approval::{ApprovalDecision, Approvals};
use longhaul::rollout::MemoryStore;
use longhaul::task::Regular;
use longhaul_state::protocol::TurnEnd;

use super::changed::{UNKNOWN, outputs};
use super::*;
use crate::support::until;

/// An agent whose tool waits for approval, or hangs while it is live.
fn agent(model: &ScriptedModel, store: &MemoryStore, asks: bool, is_live: bool) -> Agent {
    let write = Probe::new("write", move |call, context| async move {
        if is_live {
            context.progress("runs");
            std::future::pending::<()>().await;
        }
        ToolOutput::text(call.arguments)
    });
    let write = if asks { write.write().asks() } else { write.write() };
    let agent = scripted(model).tool(write).approvals(Approvals::answered());
    agent.store(store.clone()).build().unwrap()
}

/// Opens the session out of what would be found if the process died now.
async fn opened(model: &ScriptedModel, store: &MemoryStore, live: &Session, asks: bool) -> Session {
    let opening = agent(model, &store.copy(), asks, false).session();
    let opening = opening.resume(LogRef::Id(live.id().to_owned()), OnDamage::Refuse);
    opening.start().await.unwrap()
}

/// It goes on, as one that an input began: what waits for approval is asked again, and what had started is
/// told to be unknown.
#[tokio::test]
async fn a_turn_without_an_input_goes_on_too() {
    for (asks, expected) in [(true, "{}"), (false, UNKNOWN)] {
        let store = MemoryStore::new();
        let model = ScriptedModel::new().text("hi").calls([("z", "write", "{}")]).text("done");
        let live = agent(&model, &store, asks, true).session().start().await.unwrap();
        live.prompt("hello").await.unwrap().await.unwrap();
        let mut turn = live.replace(Regular).unwrap();
        let until_then = if asks { "ask z" } else { "progress z" };
        until(&mut turn, |line| line.starts_with(until_then)).await;
        let session = opened(&model, &store, &live, asks).await;
        let resumed = session.resumed().unwrap();
        assert!(resumed.open_turn.is_some());
        assert_eq!(resumed.unknown_calls.len(), usize::from(!asks));
        let mut turn = session.continue_turn().unwrap();
        if asks {
            until(&mut turn, |line| line.starts_with("ask z")).await;
            session.answer("z", None, ApprovalDecision::Approved).await.unwrap();
        }
        assert_eq!(turn.await.unwrap().last_message.as_deref(), Some("done"));
        assert_eq!(outputs(&session), [("z".to_owned(), expected.to_owned())]);
    }
}

/// What the turn before had said is not what this one says.
#[tokio::test]
async fn interrupted_it_has_said_nothing() {
    let store = MemoryStore::new();
    let model = ScriptedModel::new().text("hi").calls([("z", "write", "{}")]).hang();
    let live = agent(&model, &store, true, true).session().start().await.unwrap();
    live.prompt("hello").await.unwrap().await.unwrap();
    let mut turn = live.replace(Regular).unwrap();
    until(&mut turn, |line| line.starts_with("ask z")).await;
    let session = opened(&model, &store, &live, true).await;
    let mut again = session.continue_turn().unwrap();
    until(&mut again, |line| line.starts_with("ask z")).await;
    for (session, turn) in [(&live, turn), (&session, again)] {
        session.interrupt();
        let result = turn.await.unwrap();
        assert_eq!((result.end, result.last_message), (TurnEnd::INTERRUPTED, None));
    }
}

/// Killed before it had an answer it asks again, also as the first of its session; once it is over, there
/// is nothing to go on with.
#[tokio::test]
async fn it_is_open_until_it_ends() {
    for is_first in [true, false] {
        let store = MemoryStore::new();
        let model = ScriptedModel::new();
        let model = if is_first { model } else { model.text("hi") };
        let model = model.hang().text("done");
        let live = agent(&model, &store, false, true).session().start().await.unwrap();
        if !is_first {
            live.prompt("hello").await.unwrap().await.unwrap();
        }
        let turn = live.replace(Regular).unwrap();
        model.wait_for_requests(1 + usize::from(!is_first)).await;
        let session = opened(&model, &store, &live, false).await;
        let result = session.continue_turn().unwrap().await.unwrap();
        assert_eq!(result.last_message.as_deref(), Some("done"));
        live.interrupt();
        assert!(turn.await.unwrap().is_interrupted());
        let ended = opened(&model, &store, &live, false).await;
        assert_eq!(ended.resumed().unwrap().open_turn, None);
    }
}
