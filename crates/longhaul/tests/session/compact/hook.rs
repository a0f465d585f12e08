//! The host looks at each result before it is installed.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use longhaul::CompactionHook;
use longhaul::compaction::{Config, LastRung, Proposal, Verdict};
use longhaul::history::{Item, Part};
use longhaul::prelude::*;
use longhaul_testkit::ScriptedModel;
use tokio::time::Instant;

use super::support::{bridge, end, kinds, open, say, too_long};
use crate::support::{conversation, scripted};

/// Says what a closure says; `None` never says anything. Remembers what it was shown.
struct Judge<F> {
    verdict: F,
    shown: Arc<Mutex<Vec<Proposal>>>,
}

#[async_trait]
impl<F: Fn(&Proposal) -> Option<Verdict> + Send + Sync> CompactionHook for Judge<F> {
    async fn judge(&self, proposal: &Proposal) -> Verdict {
        self.shown.lock().unwrap().push(proposal.clone());
        match (self.verdict)(proposal) {
            Some(verdict) => verdict,
            None => std::future::pending().await,
        }
    }
}

struct Judged {
    session: Session,
    model: ScriptedModel,
    shown: Arc<Mutex<Vec<Proposal>>>,
}

/// A session of one turn with this judge, and a summary to come.
async fn judged(verdict: impl Fn(&Proposal) -> Option<Verdict> + Send + Sync + 'static) -> Judged {
    let shown = Arc::<Mutex<Vec<Proposal>>>::default();
    let hook = Judge { verdict, shown: Arc::clone(&shown) };
    let model = ScriptedModel::new().text("one").text("SUMMARY").text("two");
    let session = open(scripted(&model).compaction_hook(hook)).await;
    say(&session, "first").await;
    Judged { session, model, shown }
}

#[tokio::test]
async fn it_sees_what_is_and_what_would_be() {
    let Judged { session, shown, .. } = judged(|_| Some(Verdict::Accept)).await;
    let before = session.history();
    session.compact().unwrap().await.unwrap();
    let shown = shown.lock().unwrap();
    let [proposal] = &shown[..] else { panic!("asked once") };
    assert_eq!(proposal.before, before);
    let expected = [bridge(&["first"], "SUMMARY")];
    assert_eq!(conversation(&proposal.after), expected);
    assert_eq!(conversation(&session.history()), expected);
    let report = &proposal.compacted.report;
    assert_eq!((report.strategy.as_str(), report.requests), ("summarise", 1));
}

#[tokio::test]
async fn it_may_put_its_own_in_the_place() {
    let own = |proposal: &Proposal| {
        let last = proposal.before.get(0).cloned().unwrap();
        Some(Verdict::Replace(vec![Part::New(Item::assistant("so far")), Part::New(last)]))
    };
    let Judged { session, .. } = judged(own).await;
    let (events, result) = end(session.compact().unwrap()).await;
    assert!(events.contains(&"compacted manual hook requests 1".into()), "{events:?}");
    assert!(!events.iter().any(|event| event.starts_with("item")), "no bridge, nothing shown");
    result.unwrap();
    assert_eq!(conversation(&session.history()), ["assistant so far", "user first"]);
}

#[tokio::test]
async fn it_may_add_to_the_result() {
    let amend = |_: &Proposal| Some(Verdict::Amend(vec![Item::user("the open files")]));
    let Judged { session, model, .. } = judged(amend).await;
    session.compact().unwrap().await.unwrap();
    say(&session, "second").await;
    let expected = [&bridge(&["first"], "SUMMARY"), "user the open files", "user second"];
    assert_eq!(super::support::last_sent(&model), expected);
}

#[tokio::test]
async fn it_may_say_no() {
    let Judged { session, .. } = judged(|_| Some(Verdict::Veto("not now".into()))).await;
    let before = session.history();
    let (events, result) = end(session.compact().unwrap()).await;
    assert_eq!(events[events.len() - 2..], ["error compaction_failed", "complete -"]);
    assert!(result.unwrap_err().to_string().contains("not now"));
    assert_eq!(session.history(), before);
    say(&session, "second").await;
}

/// What it makes has to hold what every result has to.
#[tokio::test]
async fn its_own_result_is_put_to_the_same_test() {
    let table: [fn(&Proposal) -> Option<Verdict>; 3] = [
        |_| Some(Verdict::Replace(vec![Part::New(Item::assistant("all gone"))])),
        |_| Some(Verdict::Replace(vec![Part::Keep(0..999)])),
        |_| Some(Verdict::Amend(vec![Item::function_call("x", "x", "{}")])),
    ];
    for verdict in table {
        let Judged { session, .. } = judged(verdict).await;
        let before = session.history();
        let error = session.compact().unwrap().await.unwrap_err();
        assert_eq!(error.code(), "compaction_failed", "{error}");
        assert_eq!(session.history(), before);
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_says_nothing_is_not_waited_for_longer_than_a_compaction_may_take() {
    let shown = Arc::default();
    let hook = Judge { verdict: |_: &Proposal| None, shown };
    let mut config = Config::default();
    config.bounds.max_time = Duration::from_secs(30);
    let model = ScriptedModel::new().usage(100, 0).text("one").usage(10, 0).text("SUMMARY");
    let model = model.text("two");
    let agent = scripted(&model).auto_compact_token_limit(50).compaction_config(config);
    let session = open(agent.compaction_hook(hook)).await;
    say(&session, "first").await;
    let begun = Instant::now();
    let (events, result) = end(session.prompt("second").await.unwrap()).await;
    assert_eq!(begun.elapsed(), Duration::from_secs(30));
    assert!(events.contains(&"warning compaction_failed".into()), "{events:?}");
    assert_eq!(result.unwrap().last_message.as_deref(), Some("two"));
    let expected = ["user first", "assistant one", "user second", "assistant two"];
    assert_eq!(conversation(&session.history()), expected);
    assert_eq!(kinds(&model), ["standard", "compact", "standard"]);
}

/// So is a model that says nothing.
#[tokio::test(start_paused = true)]
async fn a_compaction_has_a_deadline_of_its_own() {
    let mut config = Config::default();
    config.bounds.max_time = Duration::from_secs(30);
    let model = ScriptedModel::new().text("one").hang().text("two");
    let agent = scripted(&model).turn_deadline(Duration::from_secs(300));
    let session = open(agent.compaction_config(config)).await;
    say(&session, "first").await;
    let begun = Instant::now();
    let error = session.compact().unwrap().await.unwrap_err();
    assert_eq!((error.code(), begun.elapsed()), ("compaction_failed", Duration::from_secs(30)));
    assert!(error.to_string().contains("bound on time"), "{error}");
    say(&session, "second").await;
}

/// A veto holds where the request cannot be sent, too: the turn fails with what the server said.
#[tokio::test]
async fn a_veto_of_a_step_that_cannot_be_sent_ends_the_turn() {
    let shown = Arc::default();
    let hook = Judge { verdict: |_: &Proposal| Some(Verdict::Veto("no".into())), shown };
    let model = ScriptedModel::new().text("one").fail(too_long()).text("SUMMARY");
    let agent = scripted(&model).compaction_hook(hook).last_rung(LastRung::Extract);
    let session = open(agent).await;
    say(&session, "first").await;
    let (events, result) = end(session.prompt("second").await.unwrap()).await;
    assert!(events.contains(&"warning compaction_failed".into()), "{events:?}");
    assert_eq!(result.unwrap_err().code(), "context_window_exceeded");
    let expected = ["user first", "assistant one", "user second"];
    assert_eq!(conversation(&session.history()), expected);
    model.assert_complete();
}

/// The embedder's code may panic: the turn ends with an error, and nobody waits for ever.
#[tokio::test]
async fn one_that_panics_harms_its_turn_alone() {
    let Judged { session, .. } = judged(|_| panic!("a hook that panics")).await;
    let before = session.history();
    let (events, result) = end(session.compact().unwrap()).await;
    assert_eq!(events[events.len() - 2..], ["error internal", "complete -"]);
    assert_eq!(result.unwrap_err().code(), "internal");
    assert_eq!(session.history(), before);
    say(&session, "second").await;
}
