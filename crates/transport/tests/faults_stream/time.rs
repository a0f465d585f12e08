//! Bytes that bring no event are shown, and delay no deadline. All in virtual time.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use longhaul_testkit::exchange::{Course, ScriptedExchange};
use longhaul_transport::{
    Deadlines, ErrorCode, Model, Phase, Provider, ResponseEvent, ResponsesClient, SampleEvent,
    sample,
};
use tokio::time::Instant;

use super::support::{
    SECOND, attempt, attempt_with, body, client, completed, delta, request, signs, text,
};

/// A stream that has begun.
fn begun() -> Course {
    Course::sse(body(&[delta("a")]))
}

/// This piece so many times, each after a wait.
fn repeat(course: Course, wait: Duration, piece: &str, times: usize) -> Course {
    (0..times).fold(course, |course, _| course.wait(wait).body(piece.to_owned()))
}

#[tokio::test(start_paused = true)]
async fn f014_a_heartbeat_is_shown_and_delays_no_deadline() {
    for (course, phase, before) in
        [(begun(), Phase::Idle, 1), (Course::sse(""), Phase::FirstEvent, 0)]
    {
        let start = Instant::now();
        let (events, error) = attempt(repeat(course, 5 * SECOND, ":\n\n", 1000).hang()).await;
        let error = error.unwrap();
        assert_eq!((error.code(), error.phase()), (ErrorCode::Timeout, Some(phase)));
        assert_eq!(start.elapsed(), 300 * SECOND);
        let signs = signs(&events);
        assert_eq!(signs.len(), 59, "one for each heartbeat before the deadline");
        assert!(signs.windows(2).all(|pair| pair[1] == pair[0] + 3), "all bytes count: {signs:?}");
        assert_eq!(events.len(), before + signs.len());
        assert!(events[before..].iter().all(|event| !event.is_progress() && !event.is_terminal()));
    }
}

/// A provider that waits for events as long as it takes leaves the deadline of the turn.
#[tokio::test(start_paused = true)]
async fn f014_a_heartbeat_for_ever_meets_the_deadline_of_the_turn() {
    let mut provider = Provider::neutral();
    provider.deadlines.first_event = Duration::MAX;
    provider.deadlines.idle = Duration::MAX;
    for course in [begun(), Course::sse("")] {
        let start = Instant::now();
        let deadline = start + 1802 * SECOND;
        let course = repeat(course, 5 * SECOND, ":\n\n", 1000).hang();
        let client = client(provider.clone(), course);
        let mut events = sample(Arc::new(client), Arc::new(request()), Some(deadline));
        let mut signs = 0;
        let error = loop {
            match events.next().await.unwrap() {
                Ok(event) => signs += usize::from(line(&event) == "alive"),
                Err(error) => break error,
            }
        };
        assert_eq!((error.code(), error.phase()), (ErrorCode::Timeout, Some(Phase::Turn)));
        assert_eq!((start.elapsed(), signs), (1802 * SECOND, 360));
        assert!(events.next().await.is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn f015_an_event_in_a_trickle_is_no_progress() {
    let event = body(&[delta("b"), completed()]);
    let trickle =
        event.bytes().fold(begun(), |course, byte| course.wait(10 * SECOND).body(vec![byte]));
    let start = Instant::now();
    let (events, error) = attempt(trickle.hang()).await;
    assert_eq!(error.unwrap().phase(), Some(Phase::Idle));
    assert_eq!(start.elapsed(), 300 * SECOND);
    assert_eq!((text(&events).as_str(), signs(&events).len()), ("a", 29));
}

#[tokio::test(start_paused = true)]
async fn f056_a_slow_model_is_waited_for_as_long_as_the_deadline_allows() {
    let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
    let mut provider = Provider::neutral();
    provider.deadlines = Deadlines::default();
    provider.deadlines.idle = minutes(10) + SECOND;
    let silent = || begun().wait(minutes(10)).body(body(&[delta("b")]));
    let course = silent().wait(minutes(10)).body(body(&[delta("c"), completed()]));
    let (events, error) = attempt_with(provider.clone(), course).await;
    assert!(error.is_none(), "{error:?}");
    assert_eq!((text(&events).as_str(), signs(&events)), ("abc", vec![]));

    let pings = repeat(begun(), 59 * SECOND, ": ping\n\n", 10).wait(10 * SECOND);
    let (events, error) = attempt_with(provider.clone(), pings.body(body(&[completed()]))).await;
    assert!(error.is_none(), "{error:?}");
    assert_eq!(signs(&events).len(), 10, "the caller sees that the server is there");

    let (_, error) = attempt(silent()).await;
    assert_eq!(error.unwrap().phase(), Some(Phase::Idle), "the default is shorter");
}

#[tokio::test(start_paused = true)]
async fn signs_of_life_come_at_most_once_a_second_and_only_in_place_of_silence() {
    let tenth = SECOND / 10;
    let (events, _) = attempt(repeat(Course::sse(""), tenth, ":\n", 95).hang()).await;
    assert_eq!(signs(&events), [20, 40, 60, 80, 100, 120, 140, 160, 180]);
    // A large event that arrives as fast as the network goes is no silence.
    let large = body(&[delta(&"x".repeat(100_000))]);
    let pieces = large.as_bytes().chunks(100).map(<[u8]>::to_vec);
    let (events, _) = attempt(pieces.fold(begun(), Course::body)).await;
    assert_eq!((events.len(), signs(&events)), (2, vec![]));
    // Nor is one event after another.
    let (events, _) = attempt(repeat(begun(), SECOND, &body(&[delta("b")]), 10)).await;
    assert_eq!((events.len(), signs(&events)), (11, vec![]));
    // Each event begins a new second.
    let both = format!("{}: ping\n\n", body(&[delta("b")]));
    let (events, _) = attempt(repeat(begun(), 9 * tenth, &both, 10)).await;
    assert_eq!((events.len(), signs(&events)), (11, vec![]));
}

/// The caller's own time is not the server's silence, also between signs of life.
#[tokio::test(start_paused = true)]
async fn a_slow_caller_meets_no_deadline_between_signs_of_life() {
    let course = repeat(begun(), 5 * SECOND, ": ping\n\n", 50).body(body(&[completed()]));
    let mut stream = client(Provider::neutral(), course).stream(&request()).await.unwrap();
    let mut count = 0;
    while let Some(event) = stream.next().await {
        count += usize::from(!event.unwrap().is_progress());
        tokio::time::sleep(1000 * SECOND).await;
    }
    assert_eq!(count, 50);
}

/// Only a true event says that the response is coming again.
#[tokio::test(start_paused = true)]
async fn a_sign_of_life_ends_no_row_of_failures() {
    let pings = || repeat(Course::sse(""), 5 * SECOND, ": ping\n\n", 2);
    let whole = pings().body(body(&[delta("b"), completed()]));
    let exchange = Arc::new(ScriptedExchange::new([pings(), pings(), whole]));
    let client = ResponsesClient::with_exchange(Provider::neutral(), exchange);
    let events = sample(Arc::new(client), Arc::new(request()), None);
    let story: Vec<&str> = events.map(|event| line(&event.unwrap())).collect().await;
    let attempt = ["alive", "alive", "retrying"];
    let last = ["alive", "alive", "recovered", "delta", "completed"];
    assert_eq!(story, [&attempt[..], &attempt, &last].concat());
}

fn line(event: &SampleEvent) -> &'static str {
    match event {
        SampleEvent::Response(ResponseEvent::KeepAlive { .. }) => "alive",
        SampleEvent::Response(ResponseEvent::TextDelta(_)) => "delta",
        SampleEvent::Response(ResponseEvent::Completed(_)) => "completed",
        SampleEvent::Retrying(_) => "retrying",
        SampleEvent::Recovered { attempts: 2 } => "recovered",
        _ => "other",
    }
}
