//! The limit and the window are those of the model in use, and local counts follow its server's.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use longhaul::AgentBuilder;
use longhaul::compaction::{Config, LastRung, Summarise, SummaryModel};
use longhaul::prelude::*;
use longhaul::transport::models::{DEFAULT_CONTEXT_WINDOW, ModelInfo, ModelTable};
use longhaul_state::protocol::SettingsUpdate;
use longhaul_testkit::ScriptedModel;
use longhaul_testkit::model::{Answer, Recorded};
use longhaul_testkit::sse::ResponseBuilder;

use super::support::{
    count, is_compaction, kinds, open, reports, say, told, too_long, two_voices, words,
};
use crate::support::scripted;

fn info(window: u64) -> ModelInfo {
    let mut info = ModelInfo::default();
    info.context_window = Some(window);
    info
}

/// Models with windows of 1,000,000 and 10,000 tokens.
fn large_and_small(model: &ScriptedModel) -> AgentBuilder {
    let models = ModelTable::builtin().with("large", info(1_000_000)).with("small", info(10_000));
    longhaul::Agent::builder("large", Arc::new(model.clone())).models(models)
}

async fn switch(session: &Session, model: &str) {
    let mut change = SettingsUpdate::default();
    change.model = Some(model.into());
    session.configure(change).await.unwrap();
}

#[tokio::test]
async fn a_smaller_window_is_made_room_for_before_its_first_request() {
    for (used, is_compacted) in [(8_999, false), (9_000, true)] {
        let model = ScriptedModel::new().usage(used, 0).text("one").usage(10, 0).text("x");
        let session = open(large_and_small(&model.clone().repeat_last())).await;
        say(&session, "first").await;
        switch(&session, "small").await;
        say(&session, "second").await;
        let compaction = is_compacted.then_some("compact");
        let expected: Vec<_> =
            ["standard"].into_iter().chain(compaction).chain(["standard"]).collect();
        assert_eq!(kinds(&model), expected, "{used}");
        let asked: Vec<_> = model.requests().iter().map(|r| r.body["model"].clone()).collect();
        assert!(asked[1..].iter().all(|model| model == "small"), "{asked:?}");
        let info = session.token_count().0.unwrap();
        assert_eq!(info.model_context_window, Some(9_500));
    }
}

/// Without usage, by the local count.
#[tokio::test]
async fn a_conversation_that_does_not_fit_the_new_window_is_made_to() {
    let model = ScriptedModel::new().usage(0, 0).text("x").repeat_last();
    let session = open(large_and_small(&model)).await;
    for _ in 0..4 {
        say(&session, &words(4_000)).await;
    }
    switch(&session, "small").await;
    let events = told(&session, "go on").await;
    assert!(events.iter().any(|event| event.starts_with("compacted auto summarise")), "{events:?}");
    let requests = model.requests();
    assert!(requests.iter().rev().take(2).all(|request| count(request) < 9_500));
    assert_eq!(kinds(&model)[4..], ["compact", "standard"]);
}

/// A breaker that has stopped for one model knows nothing of another.
#[tokio::test]
async fn another_model_is_tried_anew() {
    let model = ScriptedModel::new()
        .usage(500_000, 0)
        .text("one")
        .respond(ResponseBuilder::new())
        .text("two")
        .respond(ResponseBuilder::new())
        .text("three")
        .text("four")
        .text("SUMMARY")
        .repeat_last();
    let agent = large_and_small(&model).auto_compact_token_limit(1_000);
    let session = open(agent).await;
    for turn in ["1", "2", "3", "4"] {
        say(&session, turn).await;
    }
    let stopped = kinds(&model).len();
    assert_eq!(kinds(&model)[stopped - 2..], ["standard", "standard"]);
    switch(&session, "another").await;
    say(&session, "5").await;
    assert_eq!(kinds(&model)[stopped..], ["compact", "standard"]);
}

/// So does a compaction by hand.
#[tokio::test]
async fn a_compaction_by_hand_closes_the_breaker() {
    let model = ScriptedModel::new()
        .usage(500_000, 0)
        .text("one")
        .respond(ResponseBuilder::new())
        .text("two")
        .respond(ResponseBuilder::new())
        .text("three")
        .text("SUMMARY")
        .text("four")
        .text("SUMMARY")
        .repeat_last();
    let session = open(scripted(&model).auto_compact_token_limit(1_000)).await;
    for turn in ["1", "2", "3"] {
        say(&session, turn).await;
    }
    session.compact().unwrap().await.unwrap();
    say(&session, "4").await;
    let before = kinds(&model).len();
    say(&session, "5").await;
    assert_eq!(kinds(&model)[before..], ["compact", "standard"]);
}

/// A server that counts so many hundredths of what is counted here, and refuses what is too long.
struct Counting {
    percent: u64,
    window: u64,
    refused: AtomicU64,
    /// What it counted for each request of a turn that it took.
    taken: Mutex<Vec<u64>>,
}

impl Counting {
    fn answer(&self, request: &Recorded) -> Answer {
        let tokens = count(request) * self.percent / 100;
        if tokens > self.window {
            self.refused.fetch_add(1, Ordering::SeqCst);
            return Answer::failure(too_long());
        }
        if is_compaction(request) {
            return ResponseBuilder::new().text("SUMMARY").usage(tokens, 5).into();
        }
        self.taken.lock().unwrap().push(tokens);
        ResponseBuilder::new().text("x").usage(tokens, 5).into()
    }
}

/// Local counts that are off by half or by a factor of two are put right by what the server reports:
/// nothing is refused, and nothing is compacted long before it must be.
#[tokio::test]
async fn local_counts_follow_those_of_the_server() {
    for percent in [50, 100, 150, 200] {
        let server = Arc::new(Counting {
            percent,
            window: 40_000,
            refused: AtomicU64::new(0),
            taken: Mutex::default(),
        });
        let counting = Arc::clone(&server);
        let model = ScriptedModel::new().respond_with(move |request| counting.answer(request));
        let model = model.repeat_last();
        // A limit that is never reached: the window alone is held against local counts.
        let agent = scripted(&model).context_window(40_000).auto_compact_token_limit(u64::MAX);
        let session = open(agent).await;
        let mut events = Vec::new();
        for _ in 0..90 {
            events.extend(told(&session, &words(1_000)).await);
        }
        assert_eq!(server.refused.load(Ordering::SeqCst), 0, "{percent} %");
        let compacted = events.iter().filter(|event| event.starts_with("compacted")).count();
        assert!(compacted >= 1, "{percent} %");
        let most = server.taken.lock().unwrap().iter().max().copied().unwrap();
        assert!((34_000..=38_000).contains(&most), "{percent} %: {most} of 38,000");
        assert_eq!(model.problems(), [""; 0]);
    }
}

/// Reports are in the server's tokens, as far as it has said how it counts.
#[tokio::test]
async fn reports_count_as_the_server_does() {
    let server = Arc::new(Counting {
        percent: 150,
        window: u64::MAX,
        refused: AtomicU64::new(0),
        taken: Mutex::default(),
    });
    let counting = Arc::clone(&server);
    let model = ScriptedModel::new().respond_with(move |request| counting.answer(request));
    let session = open(scripted(&model.repeat_last())).await;
    let events = session.events();
    for _ in 0..20 {
        say(&session, &words(400)).await;
    }
    let before = session.history().tokens() * 3 / 2;
    session.compact().unwrap().await.unwrap();
    let after = session.history().tokens() * 3 / 2;
    let [report] = <[_; 1]>::try_from(reports(&session, events).await).unwrap();
    let is_near = |seen: u64, expected: u64| seen.abs_diff(expected) * 50 <= expected;
    assert!(is_near(report.tokens_before, before), "{report:?}: {before}");
    assert!(is_near(report.tokens_after, after), "{report:?}: {after}");
}

/// What another model counts when it sums up says nothing of this one.
#[tokio::test]
async fn the_counts_of_the_summing_model_are_its_own() {
    let model = two_voices(
        |_| {
            let mut events = ResponseBuilder::new().text("x").completed();
            events.last_mut().unwrap()["response"]["usage"] = serde_json::Value::Null;
            events.into()
        },
        |request| ResponseBuilder::new().text("SUMMARY").usage(count(request) * 2, 5).into(),
    );
    let mut summarise = Summarise::default();
    summarise.model = Some(SummaryModel { slug: "small".into(), window: None });
    let mut config = Config::default();
    config.rungs = vec![Arc::new(summarise)];
    let session = open(scripted(&model).compaction_config(config)).await;
    let events = session.events();
    let mut counted = Vec::new();
    for _ in 0..4 {
        say(&session, &words(800)).await;
        counted.push(session.history().tokens());
        session.compact().unwrap().await.unwrap();
    }
    let before: Vec<_> =
        reports(&session, events).await.iter().map(|report| report.tokens_before).collect();
    assert_eq!(before, counted);
}

/// The first turns, before anything was reported: a server that counts twice as much refuses once, and
/// the conversation is compacted once.
#[tokio::test]
async fn a_server_that_counts_more_than_was_expected_is_believed() {
    let server = Arc::new(Counting {
        percent: 200,
        window: 40_000,
        refused: AtomicU64::new(0),
        taken: Mutex::default(),
    });
    let counting = Arc::clone(&server);
    let model = ScriptedModel::new().respond_with(move |request| counting.answer(request));
    let agent = scripted(&model.clone().repeat_last()).context_window(40_000);
    let session = open(agent.last_rung(LastRung::Refuse)).await;
    let mut events = Vec::new();
    for _ in 0..3 {
        events.extend(told(&session, &words(9_000)).await);
    }
    assert_eq!(events.iter().filter(|event| event.starts_with("compacted")).count(), 1);
    assert!(!events.iter().any(|event| event.starts_with("error")), "{events:?}");
}

/// A window that nobody knows is held against nothing that could do harm: everything is summed up, and
/// if that fails the request is sent as it is.
#[tokio::test]
async fn an_assumed_window_takes_nothing_away() {
    let model = ScriptedModel::new()
        .usage(0, 0)
        .text("one")
        .respond(ResponseBuilder::new().usage(0, 0))
        .text("two");
    let session = open(longhaul::Agent::builder("unheard-of", Arc::new(model.clone()))).await;
    say(&session, &words(80_000)).await;
    let events = told(&session, &words(80_000)).await;
    assert!(events.contains(&"warning compaction_failed".to_owned()), "the model said nothing");
    assert!(!events.iter().any(|event| event.starts_with("compacted")));
    assert_eq!(kinds(&model), ["standard", "compact", "standard"]);
    let requests = model.requests();
    assert_eq!([1, 2].map(|n: usize| requests[n].input().len()), [4, 3], "all of it, both times");
    model.assert_complete();
}

/// What a server says of the window of one model holds for that one.
#[tokio::test]
async fn a_window_is_learned_of_the_model_that_was_asked() {
    for (slug, learned) in [(None, 20_000), (Some("small"), DEFAULT_CONTEXT_WINDOW)] {
        let stated = too_long().with_tokens(None, Some(20_000));
        let model = ScriptedModel::new().text("one").fail(stated).text("SUMMARY");
        let mut summarise = Summarise::default();
        summarise.model = slug.map(|slug| SummaryModel { slug: slug.into(), window: None });
        let mut config = Config::default();
        config.rungs = vec![Arc::new(summarise)];
        let agent = longhaul::Agent::builder("unheard-of", Arc::new(model.clone()));
        let session = open(agent.compaction_config(config)).await;
        say(&session, "first").await;
        session.compact().unwrap().await.unwrap();
        assert_eq!(session.context_window().raw_tokens, learned, "{slug:?}");
    }
}
