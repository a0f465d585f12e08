//! Each part of an attempt has its own deadline, in virtual time.

use std::time::Duration;

use longhaul_testkit::exchange::Course;
use longhaul_transport::exchange::ExchangeErrorKind;
use longhaul_transport::{Deadlines, ErrorCode, Phase, Provider};
use tokio::time::Instant;

use super::support::{HELLO, SECOND, attempt, client, failure};

const CREATED: &str = "data: {\"type\":\"response.created\"}\n\n";

/// Different for each phase, so that no two can be confused.
fn provider() -> Provider {
    let mut deadlines = Deadlines::default();
    deadlines.connect = 3 * SECOND;
    deadlines.send = 5 * SECOND;
    deadlines.headers = 7 * SECOND;
    deadlines.first_event = 11 * SECOND;
    deadlines.idle = 13 * SECOND;
    let mut provider = Provider::neutral();
    provider.deadlines = deadlines;
    provider
}

/// A piece of body every second, for so long.
fn trickle(course: Course, piece: &'static str, seconds: usize) -> Course {
    (0..seconds).fold(course, |course, _| course.wait(SECOND).body(piece))
}

#[tokio::test(start_paused = true)]
async fn a_passed_deadline_is_named_and_typed() {
    let stream = || Course::new().event_stream();
    let table = [
        (Course::new().wait(3 * SECOND).fail(ExchangeErrorKind::ConnectTimeout), Phase::Connect, 3),
        // The exchange watches over the connection by itself; the client waits for both.
        (Course::new().hang(), Phase::Send, 3 + 5),
        // Once it tells that it is connected, the time for sending begins.
        (Course::new().connected().hang(), Phase::Send, 5),
        (Course::new().wait(7 * SECOND).connected().hang(), Phase::Send, 7 + 5),
        (Course::new().connected().wait(4 * SECOND).sent().hang(), Phase::Headers, 4 + 7),
        (Course::new().wait(2 * SECOND).sent().hang(), Phase::Headers, 2 + 7),
        (Course::new().wait(Duration::from_millis(7_500)).sent().hang(), Phase::Headers, 7 + 7),
        (stream().hang(), Phase::FirstEvent, 11),
        (Course::new().sent().wait(6 * SECOND).event_stream().hang(), Phase::FirstEvent, 6 + 11),
        (trickle(stream(), ": still here\n\n", 100), Phase::FirstEvent, 11),
        (trickle(stream(), "data: {", 100), Phase::FirstEvent, 11),
        (trickle(stream(), "data: [DONE]\n\n", 100), Phase::FirstEvent, 11),
        (trickle(stream(), "event: ping\n\n", 100), Phase::FirstEvent, 11),
    ];
    for (course, phase, seconds) in table {
        let start = Instant::now();
        let what = format!("{course:?}");
        let error = failure(provider(), course).await;
        assert_eq!((error.code(), error.phase()), (ErrorCode::Timeout, Some(phase)), "{what}");
        assert!(error.is_timeout() && error.is_retryable());
        assert_eq!(start.elapsed().as_secs(), seconds, "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_gap_between_events_is_bounded_and_nothing_else_fills_it() {
    let begun = || Course::new().event_stream().body(CREATED);
    let table = [
        begun().hang(),
        trickle(begun(), ": still here\n\n", 100),
        trickle(begun(), "x", 100),
        trickle(begun(), "data: [DONE]\n\n", 100),
    ];
    for course in table {
        let start = Instant::now();
        let what = format!("{course:?}");
        let (client, _) = client(provider(), [course]);
        let (events, error) = attempt(&client).await;
        let phase = error.unwrap().phase();
        assert_eq!((events.len(), phase), (1, Some(Phase::Idle)), "{what}");
        assert_eq!(start.elapsed(), 13 * SECOND, "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_comes_in_time_comes_however_long_the_whole_takes() {
    let almost = |seconds: u64| Duration::from_millis(seconds * 1000 - 1);
    let slow = Course::new().wait(almost(8)).sent().wait(almost(7)).event_stream().wait(almost(11));
    let slow = (0..50).fold(slow, |course, _| course.body(CREATED).wait(almost(13)));
    let (client, _) = client(provider(), [slow.body(HELLO).hang()]);
    let (events, error) = attempt(&client).await;
    assert!(error.is_none(), "{error:?}");
    assert_eq!(events.len(), 50 + 3);
}

/// The consumer's own time is not the server's silence.
#[tokio::test(start_paused = true)]
async fn a_slow_reader_meets_no_deadline() {
    use futures_util::StreamExt;
    use longhaul_transport::Model;

    let (client, _) = client(provider(), [Course::sse(HELLO)]);
    let mut stream = client.stream(&super::support::request()).await.unwrap();
    let mut count = 0;
    loop {
        tokio::time::sleep(1000 * SECOND).await;
        let Some(event) = stream.next().await else {
            break;
        };
        count += usize::from(event.is_ok());
    }
    assert_eq!(count, 3);
}

/// The status of a failure is known before its body: a body that does not come costs five seconds.
#[tokio::test(start_paused = true)]
async fn the_body_of_an_error_is_not_waited_for_forever() {
    let start = Instant::now();
    let body = r#"{"error":{"message":"busy"#;
    let error = failure(provider(), Course::new().head(503).body(body).hang()).await;
    assert_eq!((error.code(), error.status()), (ErrorCode::ServerError, Some(503)));
    assert_eq!(start.elapsed(), 5 * SECOND);
    let endless =
        (0..10_000).fold(Course::new().head(400), |course, _| course.body("x".repeat(1000)));
    let error = failure(provider(), endless.hang()).await;
    assert!(error.to_string().len() < 1100, "{}", error.to_string().len());
    assert_eq!(start.elapsed(), 5 * SECOND, "as much as is read of it came at once");
}

#[tokio::test(start_paused = true)]
async fn deadlines_without_bound_are_none() {
    let mut provider = provider();
    let deadlines = &mut provider.deadlines;
    for limit in [
        &mut deadlines.connect,
        &mut deadlines.send,
        &mut deadlines.headers,
        &mut deadlines.first_event,
        &mut deadlines.idle,
    ] {
        *limit = Duration::MAX;
    }
    let hour = Duration::from_secs(3600);
    let course = Course::new().wait(hour).sent().wait(hour).event_stream().wait(hour).body(HELLO);
    let (client, _) = client(provider, [course]);
    assert!(attempt(&client).await.1.is_none());
}
