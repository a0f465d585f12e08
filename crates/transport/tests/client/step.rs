//! One step over all its attempts: refused credentials, the deadline, shared budgets. In virtual
//! time.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use futures_util::{FutureExt, StreamExt};
use longhaul_testkit::exchange::{Course, ScriptedExchange};
use longhaul_transport::auth::{Auth, Credential};
use longhaul_transport::retry::{MAX_BACKOFF, RetryBudget};
use longhaul_transport::{
    ErrorCode, ModelError, Phase, Provider, ResponsesClient, RetryPolicy, SampleEvent, Secret,
    sample,
};
use tokio::time::Instant;
use url::Url;

use super::support::{HELLO, SECOND, client, request};

async fn run(
    client: ResponsesClient,
    deadline: Option<Instant>,
) -> (Vec<SampleEvent>, Option<ModelError>) {
    let mut events = sample(Arc::new(client), Arc::new(request()), deadline);
    let mut seen = Vec::new();
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => seen.push(event),
            Err(error) => return (seen, Some(error)),
        }
    }
    (seen, None)
}

/// An auth whose refreshes are scripted: `Ok` says whether there is another credential.
#[derive(Clone, Default)]
struct Renewing {
    generation: Arc<AtomicU64>,
    refused: Arc<Mutex<Vec<u64>>>,
    outcome: Option<Result<bool, ErrorCode>>,
}

#[async_trait]
impl Auth for Renewing {
    async fn credential(&self, _: &Url) -> Result<Option<Credential>, ModelError> {
        let generation = self.generation.load(Ordering::Relaxed);
        let mut credential = Credential::new(Secret::new(format!("token-{generation}")));
        credential.generation = generation;
        Ok(Some(credential))
    }

    async fn refresh(&self, generation: u64) -> Result<bool, ModelError> {
        self.refused.lock().unwrap().push(generation);
        self.generation.fetch_add(1, Ordering::Relaxed);
        let outcome = self.outcome.unwrap_or(Ok(true));
        outcome.map_err(|code| ModelError::new(code, "no").retryable(true))
    }
}

fn bearers(exchange: &ScriptedExchange) -> Vec<String> {
    let bearer = |request: &longhaul_testkit::exchange::SentRequest| {
        request.headers["authorization"].to_str().unwrap().to_owned()
    };
    exchange.requests().iter().map(bearer).collect()
}

fn refused(status: u16) -> Course {
    Course::json(status, "{}")
}

#[tokio::test(start_paused = true)]
async fn f036_a_401_refreshes_once_and_the_request_goes_out_again_with_the_new_token() {
    let auth = Renewing::default();
    let provider = Provider::neutral().with_auth(auth.clone());
    let (client, exchange) = client(provider, [refused(401), Course::sse(HELLO)]);
    let start = Instant::now();
    let (events, error) = run(client, None).await;
    assert!(error.is_none());
    assert_eq!(events[0], SampleEvent::Refreshed);
    let rest = events[1..].iter();
    assert!(rest.clone().all(|event| matches!(event, SampleEvent::Response(_))), "{events:?}");
    assert_eq!(bearers(&exchange), ["Bearer token-0", "Bearer token-1"]);
    assert_eq!(*auth.refused.lock().unwrap(), [0]);
    assert_eq!(start.elapsed(), Duration::ZERO, "a new token needs no wait");
}

#[tokio::test(start_paused = true)]
async fn f036_a_second_401_and_any_403_are_final() {
    for (courses, sent, refreshes) in [(vec![refused(401); 9], 2, 1), (vec![refused(403); 9], 1, 0)]
    {
        let auth = Renewing::default();
        let provider = Provider::neutral().with_auth(auth.clone());
        let (client, exchange) = client(provider, courses);
        let (events, error) = run(client, None).await;
        let error = error.unwrap();
        assert_eq!((events.len(), error.code()), (refreshes, ErrorCode::Unauthorized));
        assert_eq!(error.attempts(), sent);
        assert_eq!(exchange.requests().len(), sent as usize);
        assert_eq!(auth.refused.lock().unwrap().len(), refreshes);
    }
}

/// The send after a refresh is one extra: it takes nothing from the retries.
#[tokio::test(start_paused = true)]
async fn a_refresh_costs_no_retry() {
    for at in 0..5 {
        let mut courses = vec![Course::json(500, "{}"); 5];
        courses.insert(at, refused(401));
        let auth = Renewing::default();
        let (client, exchange) = client(Provider::neutral().with_auth(auth), courses);
        let (events, error) = run(client, None).await;
        let error = error.unwrap();
        assert_eq!((error.code(), error.attempts()), (ErrorCode::ServerError, 6), "{at}");
        assert_eq!((events.len(), exchange.requests().len()), (5, 6), "{at}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_fails_ends_the_attempts_with_its_cause() {
    let table = [
        (Ok(false), ErrorCode::Unauthorized),
        (Err(ErrorCode::RefreshFailed), ErrorCode::RefreshFailed),
    ];
    for (outcome, code) in table {
        let auth = Renewing { outcome: Some(outcome), ..Renewing::default() };
        let provider = Provider::neutral().with_auth(auth.clone());
        let (client, exchange) = client(provider, vec![refused(401); 9]);
        let (events, error) = run(client, None).await;
        assert_eq!((events, error.unwrap().code()), (vec![], code));
        assert_eq!((exchange.requests().len(), auth.refused.lock().unwrap().len()), (1, 1));
    }
}

/// Wherever a step hangs, its deadline ends it, typed.
#[tokio::test(start_paused = true)]
async fn the_deadline_of_the_turn_ends_a_step_in_every_phase() {
    let table = [
        Course::new().hang(),
        Course::new().sent().hang(),
        Course::new().event_stream().hang(),
        Course::new().event_stream().body(&HELLO.as_bytes()[..60]).hang(),
    ];
    for course in table {
        let what = format!("{course:?}");
        let (client, exchange) = client(Provider::neutral(), [course]);
        let start = Instant::now();
        let (_, error) = run(client, Some(start + 7 * SECOND)).await;
        let error = error.expect(&what);
        assert_eq!(
            (error.code(), error.phase()),
            (ErrorCode::Timeout, Some(Phase::Turn)),
            "{what}"
        );
        assert_eq!(error.to_string(), "the turn did not end within 7000 ms");
        assert_eq!(start.elapsed(), 7 * SECOND, "{what}");
        assert_eq!(exchange.requests().len(), 1, "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn f031_after_k_failures_there_are_k_plus_1_requests_and_the_last_error_is_kept() {
    let failing = || {
        let error = r#"{"error":{"message":"down"}}"#;
        Course::json(503, error).header("x-request-id", "req_1")
    };
    for k in 0..=5_u32 {
        let mut courses = vec![failing(); k as usize];
        courses.push(Course::sse(HELLO));
        let (client, exchange) = client(Provider::neutral(), courses);
        let (events, error) = run(client, None).await;
        let sent = exchange.requests().len();
        let retries = events.iter().filter(|e| matches!(e, SampleEvent::Retrying(_))).count();
        assert_eq!(retries, (k as usize).min(4));
        if k < 5 {
            assert!(error.is_none());
            assert_eq!(sent, k as usize + 1);
        } else {
            let error = error.unwrap();
            assert_eq!(sent, 5);
            assert_eq!((error.status(), error.request_id()), (Some(503), Some("req_1")));
            assert_eq!(error.attempts(), 5);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn backoff_never_exceeds_its_longest_wait() {
    let mut provider = Provider::neutral();
    provider.retry = RetryPolicy::new(20, 0);
    let (client, _) = client(provider, vec![Course::json(500, "{}"); 21]);
    let (events, _) = run(client, None).await;
    let delays: Vec<Duration> = events
        .iter()
        .map(|event| match event {
            SampleEvent::Retrying(retrying) => retrying.delay,
            event => panic!("{event:?}"),
        })
        .collect();
    assert_eq!(delays.len(), 20);
    assert!(delays.iter().all(|delay| *delay <= MAX_BACKOFF));
    assert!(delays[9..].iter().all(|delay| *delay == MAX_BACKOFF));
}

/// Many turns meet a server that is down: together they send no more than the budget allows, and
/// not in step.
#[tokio::test(start_paused = true)]
async fn f032_a_storm_stays_within_the_shared_budget() {
    const TURNS: usize = 200;
    const RESERVE: usize = 10;
    let budget = RetryBudget::new(10, 20);
    let mut provider = Provider::neutral();
    provider.retry.budget = Some(budget);
    let (client, exchange) = client(provider, vec![Course::json(503, "{}"); TURNS * 5]);
    let turns = (0..TURNS).map(|_| run(client.clone(), None));
    let ended = join_all(turns).await;
    assert!(ended.iter().all(|(_, error)| error.is_some()));
    let extra = exchange.requests().len() - TURNS;
    assert!((RESERVE..=RESERVE + TURNS / 5).contains(&extra), "{extra} retries");
    let delays = ended.iter().flat_map(|(events, _)| events).filter_map(|event| match event {
        SampleEvent::Retrying(retrying) => Some(retrying.delay),
        _ => None,
    });
    let delays: HashSet<Duration> = delays.collect();
    assert!(delays.len() > extra / 2, "the waits differ: {}", delays.len());
}

/// Once the server is back, whoever waits is through after one more wait.
#[tokio::test(start_paused = true)]
async fn f032_a_turn_that_waits_when_the_server_heals_is_through_after_its_wait() {
    let courses = [Course::json(503, "{}"), Course::json(503, "{}"), Course::sse(HELLO)];
    let (client, _) = client(Provider::neutral(), courses);
    let mut events = sample(Arc::new(client), Arc::new(request()), None);
    for _ in 0..2 {
        assert!(matches!(events.next().await, Some(Ok(SampleEvent::Retrying(_)))));
    }
    let healed = Instant::now();
    let rest: Vec<_> = events.collect().await;
    assert!(rest.iter().all(Result::is_ok));
    assert!(healed.elapsed() <= MAX_BACKOFF);
}

#[tokio::test(start_paused = true)]
async fn a_step_that_nobody_polls_sends_nothing() {
    let (client, exchange) = client(Provider::neutral(), [Course::sse(HELLO)]);
    let mut events = sample(Arc::new(client), Arc::new(request()), None);
    assert_eq!(exchange.requests().len(), 0);
    assert!(events.next().now_or_never().is_some());
    assert_eq!(exchange.requests().len(), 1);
}
