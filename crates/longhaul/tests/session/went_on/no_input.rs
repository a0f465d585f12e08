//! A turn that no input began, and that only asks the model again.

use longhaul::approval::{ApprovalDecision, Approvals};
use longhaul::rollout::MemoryStore;
use longhaul::task::Regular;

use super::changed::{UNKNOWN, outputs};
use super::*;
use crate::support::until;

/// It goes on, as one that an input began: what waits for approval is asked again, and what had started is
/// told to be unknown.
#[tokio::test]
async fn a_turn_without_an_input_goes_on_too() {
    for (asks, expected) in [(true, "{}"), (false, UNKNOWN)] {
        let store = MemoryStore::new();
        let model = ScriptedModel::new().text("hi").calls([("z", "write", "{}")]).text("done");
        let agent = |store: &MemoryStore, is_live: bool| {
            let write = Probe::new("write", move |call, context| async move {
                if is_live {
                    context.progress("runs");
                    std::future::pending::<()>().await;
                }
                ToolOutput::text(call.arguments)
            });
            let write = if asks { write.write().asks() } else { write.write() };
            let agent = scripted(&model).tool(write).approvals(Approvals::answered());
            agent.store(store.clone()).build().unwrap()
        };
        let live = agent(&store, true).session().start().await.unwrap();
        live.prompt("hello").await.unwrap().await.unwrap();
        let mut turn = live.replace(Regular).unwrap();
        let until_then = if asks { "ask z" } else { "progress z" };
        until(&mut turn, |line| line.starts_with(until_then)).await;
        let copy = store.copy();
        let opening = agent(&copy, false).session();
        let opening = opening.resume(LogRef::Id(live.id().to_owned()), OnDamage::Refuse);
        let session = opening.start().await.unwrap();
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
