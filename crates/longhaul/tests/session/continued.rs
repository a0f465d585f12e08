//! What was cut off is gone on with once, by whoever asks first, or not at all.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use longhaul::prelude::*;
use longhaul::rollout::MemoryStore;
use longhaul::state::protocol::{AbortReason, TurnEnd};
use longhaul_testkit::ScriptedModel;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

use super::kept::{again, cut_off};
use super::support::{Nothing, Probe, conversation, scripted, started, until};

const REPLACED: TurnEnd = TurnEnd::Aborted(AbortReason::Replaced);

/// A session whose turn was cut off: its first call had started and may run again, its second had not.
struct CutOff {
    model: ScriptedModel,
    store: MemoryStore,
    session: Session,
}

impl CutOff {
    async fn new() -> Self {
        let (model, store) = (ScriptedModel::new(), MemoryStore::new());
        let model = model.calls([("c1", "hang", "1"), ("c2", "change", "2")]);
        let model = model.text("well").text("next");
        let first = scripted(&model).store(store.clone()).tool(Probe::endless("hang"));
        let first = first.tool(Probe::echo("change").write()).build().unwrap();
        let id = cut_off(first, "begin c1").await;
        let agent = scripted(&model).store(store.clone()).tool(Probe::echo("hang"));
        let agent = agent.tool(Probe::echo("change").write()).build().unwrap();
        let session = again(&agent, &id).await;
        assert_eq!(session.resumed().unwrap().open_turn.as_deref(), Some("turn"));
        Self { model, store, session }
    }

    /// How often the log says that each of the calls started.
    fn starts(&self) -> [usize; 2] {
        let log = self.store.bytes(self.session.id()).unwrap();
        let log = String::from_utf8(log).unwrap();
        [0, 1].map(|at| log.matches(&format!(r#""state":"started","position":{at}"#)).count())
    }

    fn conversation(&self) -> Vec<String> {
        conversation(&self.session.history())
    }
}

const GONE_ON: [&str; 6] = [
    "user go",
    "call c1 hang 1",
    "output c1 1",
    "call c2 change 2",
    "output c2 2",
    "assistant well",
];

const ENDED: [&str; 5] = [
    "user go",
    "call c1 hang 1",
    "output c1 aborted: had started, effect unknown",
    "call c2 change 2",
    "output c2 aborted: not started",
];

/// Why the session does not go on with what was cut off.
fn refusal(session: &Session) -> String {
    let error = session.continue_turn().err().unwrap();
    assert_eq!(error.code(), "invalid_submission");
    error.to_string()
}

#[tokio::test]
async fn who_asks_twice_before_it_begins_is_told_that_it_goes_on() {
    let cut = CutOff::new().await;
    let mut turn = cut.session.continue_turn().unwrap();
    assert_eq!(refusal(&cut.session), "what was cut off goes on already");
    until(&mut turn, |line| line == "started").await;
    assert!(cut.session.continue_turn().is_err(), "it has begun");
    let result = turn.await.unwrap();
    assert_eq!((result.end, result.model_calls), (TurnEnd::Complete, 2));
    assert_eq!(cut.conversation(), GONE_ON);
    assert_eq!(cut.starts(), [2, 1]);
    assert_eq!(cut.model.requests().len(), 2);
}

#[tokio::test]
async fn inputs_that_waited_are_begun_once() {
    let model = ScriptedModel::new().hang().text("well");
    let agent = scripted(&model).build().unwrap();
    let session = agent.session().start().await.unwrap();
    let first = session.prompt("go").await.unwrap();
    model.wait_for_requests(1).await;
    let steer = session.steer("s1").await.unwrap();
    session.interrupt();
    first.await.unwrap();
    let turn = session.continue_turn().unwrap();
    assert_eq!(refusal(&session), "what was cut off goes on already");
    assert_eq!(turn.await.unwrap().last_message.as_deref(), Some("well"));
    steer.await.unwrap();
    assert!(session.continue_turn().is_err(), "nothing waits");
}

#[tokio::test]
async fn who_takes_back_that_it_goes_on_leaves_it_as_it_was() {
    let cut = CutOff::new().await;
    let turn = cut.session.continue_turn().unwrap();
    turn.cancel();
    assert_eq!(turn.await.unwrap().end, TurnEnd::Withdrawn);
    cut.session.continue_turn().unwrap().await.unwrap();
    assert_eq!(cut.conversation(), GONE_ON);
}

#[tokio::test]
async fn what_is_replaced_before_it_goes_on_starts_nothing() {
    let cut = CutOff::new().await;
    let turn = cut.session.continue_turn().unwrap();
    let task = cut.session.replace(Nothing).unwrap();
    let result = turn.await.unwrap();
    assert_eq!((result.end, result.model_calls), (REPLACED, 1));
    assert_eq!(task.await.unwrap().end, TurnEnd::Complete);
    assert_eq!(cut.conversation(), ENDED);
    assert_eq!(cut.starts(), [1, 0]);
    assert!(cut.session.continue_turn().is_err(), "it is over");
}

#[tokio::test]
async fn what_another_task_takes_the_place_of_does_not_go_on() {
    let cut = CutOff::new().await;
    let task = cut.session.replace(Nothing).unwrap();
    assert_eq!(refusal(&cut.session), "another task takes the place of the turn that was cut off");
    assert_eq!(task.await.unwrap().end, TurnEnd::Complete);
    assert_eq!(cut.conversation(), ENDED);
}

/// What is done as soon as a turn has begun, before it does anything.
type Act = Box<dyn FnOnce() + Send>;

/// Does it, once for each that it is given.
#[derive(Clone, Default)]
struct AsItBegins(Arc<Mutex<Option<Act>>>);

impl AsItBegins {
    fn set(&self, act: impl FnOnce() + Send + 'static) {
        *self.0.lock().unwrap() = Some(Box::new(act));
    }

    /// Completes when turns that begin on this thread are seen. Where another test is just the first to begin
    /// one, nobody is told of it until interests are asked for anew.
    async fn is_told(&self) {
        let seen = Arc::new(AtomicBool::new(false));
        while !seen.load(Ordering::Relaxed) {
            tracing::callsite::rebuild_interest_cache();
            let now = Arc::clone(&seen);
            self.set(move || now.store(true, Ordering::Relaxed));
            let session = started(&ScriptedModel::new().text("hi"), false).await;
            session.prompt("hello").await.unwrap().await.unwrap();
        }
    }
}

impl<S: tracing::Subscriber> Layer<S> for AsItBegins {
    fn on_new_span(
        &self,
        span: &tracing::span::Attributes<'_>,
        _: &tracing::span::Id,
        _: Context<'_, S>,
    ) {
        if span.metadata().name() == "invoke_agent"
            && let Some(act) = self.0.lock().unwrap().take()
        {
            act();
        }
    }
}

#[tokio::test]
async fn a_turn_that_has_begun_is_not_replaced_by_the_one_that_it_ended() {
    let cut = CutOff::new().await;
    let session = Arc::new(cut.session);
    let asked = Arc::new(Mutex::new(None));
    let layer = AsItBegins::default();
    let registry = tracing_subscriber::registry().with(layer.clone());
    let _guard = tracing::subscriber::set_default(registry);
    layer.is_told().await;
    layer.set({
        let (session, asked) = (Arc::clone(&session), Arc::clone(&asked));
        move || *asked.lock().unwrap() = Some(session.continue_turn().map(drop))
    });
    let result = session.prompt("and now?").await.unwrap().await.unwrap();
    assert_eq!(result.end, TurnEnd::Complete);
    let refusal = asked.lock().unwrap().take().unwrap().unwrap_err().to_string();
    assert_eq!(refusal, "no turn was cut off and no input waits, or another turn has begun");
    let expected = [&ENDED[..], &["user and now?", "assistant well"]].concat();
    assert_eq!(conversation(&session.history()), expected);
}
