//! The one retry loop: how often, when, and what is told of it. In virtual time.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::{FutureExt, StreamExt};
use longhaul_testkit::ScriptedModel;
use longhaul_testkit::exchange::{Course, ScriptedExchange};
use longhaul_testkit::model::Answer;
use longhaul_testkit::sse::ResponseBuilder;
use longhaul_transport::exchange::ExchangeErrorKind;
use longhaul_transport::{
    ErrorCode, ModelError, Provider, ResponseEvent, ResponsesClient, RetryPolicy, SampleEvent,
    sample,
};
use proptest::prelude::*;
use tokio::time::Instant;

use super::support::{HELLO, SECOND, client, keyed, request};

/// All events, and the error that ended them, if one did.
async fn run(
    client: ResponsesClient,
    deadline: Option<Instant>,
) -> (Vec<SampleEvent>, Option<ModelError>) {
    collect(sample(Arc::new(client), Arc::new(request()), deadline)).await
}

async fn collect(
    mut events: longhaul_transport::SampleStream,
) -> (Vec<SampleEvent>, Option<ModelError>) {
    let mut seen = Vec::new();
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => seen.push(event),
            Err(error) => {
                assert!(events.next().await.is_none(), "nothing comes after the error");
                return (seen, Some(error));
            }
        }
    }
    (seen, None)
}

/// The waits between the requests.
fn waits(exchange: &ScriptedExchange) -> Vec<Duration> {
    let times: Vec<Instant> = exchange.requests().iter().map(|request| request.at).collect();
    times.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

/// What is told, in short.
fn story(events: &[SampleEvent]) -> Vec<String> {
    let line = |event: &SampleEvent| match event {
        SampleEvent::Retrying(r) => {
            format!("retrying {} {}/{}", r.error.code(), r.attempt, r.max_attempts)
        }
        SampleEvent::Recovered { attempts } => format!("recovered after {attempts}"),
        SampleEvent::Response(ResponseEvent::TextDelta(delta)) => delta.text.clone(),
        SampleEvent::Response(event) if event.is_terminal() => "completed".into(),
        _ => "-".into(),
    };
    events.iter().map(line).filter(|line| line != "-").collect()
}

#[tokio::test(start_paused = true)]
async fn each_failure_is_repeated_as_often_as_its_stage_allows() {
    let status = |status: u16| Course::json(status, "{}");
    let stream = |body: &'static str| Course::sse(body);
    let fail = |kind| Course::new().fail(kind);
    let table = [
        (status(500), 5),
        (status(502), 5),
        (status(503), 5),
        (status(504), 5),
        (status(529), 5),
        (status(408), 5),
        (status(409), 5),
        (status(425), 5),
        (status(429), 5),
        (status(400), 1),
        (status(401), 1),
        (status(403), 1),
        (status(404), 1),
        (status(422), 1),
        (status(301), 1),
        (status(307), 1),
        (status(200), 1),
        (Course::json(429, r#"{"error":{"type":"usage_limit_reached"}}"#), 1),
        (Course::json(500, r#"{"error":{"message":"image input is not supported"}}"#), 1),
        (fail(ExchangeErrorKind::Connect), 5),
        (fail(ExchangeErrorKind::ConnectTimeout), 5),
        (fail(ExchangeErrorKind::Broken), 5),
        (Course::new().hang(), 5),
        (Course::new().sent().hang(), 5),
        (Course::new().event_stream().hang(), 6),
        (Course::new().event_stream().fail(ExchangeErrorKind::Broken), 6),
        (stream(""), 6),
        (stream("data: x\n\n"), 6),
        (stream("data: {\"error\":{\"code\":500}}\n\n"), 6),
        (stream("data: {\"type\":\"response.failed\"}\n\n"), 6),
        (stream("data: {\"error\":{\"code\":400}}\n\n"), 1),
        (stream("data: {\"type\":\"response.incomplete\"}\n\n"), 1),
        (stream("data: {\"error\":{\"code\":\"context_length_exceeded\"}}\n\n"), 1),
    ];
    for (course, attempts) in table {
        let what = format!("{course:?}");
        let (client, exchange) = client(Provider::neutral(), vec![course; 20]);
        let (events, error) = run(client, None).await;
        assert!(error.is_some(), "{what}");
        assert_eq!(exchange.requests().len(), attempts, "{what}");
        assert_eq!(events.len(), attempts - 1, "a retry is told of, and nothing else: {what}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_that_was_refused_is_sent_once() {
    let (client, exchange) = client(keyed("sk-1"), vec![Course::json(401, "{}"); 3]);
    let (events, error) = run(client, None).await;
    assert_eq!((events, error.unwrap().code()), (vec![], ErrorCode::Unauthorized));
    assert_eq!(exchange.requests().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn without_advice_the_wait_doubles() {
    let (client, exchange) = client(Provider::neutral(), vec![Course::json(500, "{}"); 5]);
    let (events, _) = run(client, None).await;
    let waits = waits(&exchange);
    for (retry, (wait, event)) in waits.iter().zip(&events).enumerate() {
        let SampleEvent::Retrying(retrying) = event else { panic!("{event:?}") };
        let base = 200.0 * f64::from(1_u32 << retry);
        let delay = retrying.delay.as_secs_f64() * 1000.0;
        assert!((base * 0.9..base * 1.1).contains(&delay), "{delay} ms");
        let millisecond = Duration::from_millis(1);
        assert!((retrying.delay..=retrying.delay + millisecond).contains(wait), "{wait:?}");
    }
    assert_eq!(waits.len(), 4);
}

/// The wait that the server asks for, in whatever form, is the wait.
#[tokio::test(start_paused = true)]
async fn advice_is_kept() {
    let past = httpdate::fmt_http_date(SystemTime::now() - 3600 * SECOND);
    let told = |message: &str| format!(r#"{{"error":{{"message":"{message}"}}}}"#);
    let bare = || Course::json(429, "{}");
    let table = [
        (bare().header("retry-after", "7"), 7.0..=7.0),
        (bare().header("retry-after", "1.5"), 1.5..=1.5),
        (bare().header("retry-after-ms", "250").header("retry-after", "9"), 0.25..=0.25),
        (bare().header("retry-after", &past), 0.18..=0.22),
        (bare().header("retry-after", "0"), 0.18..=0.22),
        (bare().header("retry-after", "soon"), 0.18..=0.22),
        (bare().header("retry-after", "60"), 60.0..=60.0),
        (Course::json(503, told("try again in 3s")), 3.0..=3.0),
        (Course::json(503, told("try again in 3s")).header("retry-after", "2"), 2.0..=2.0),
        (Course::json(429, r#"{"error":{"resets_in_seconds":4}}"#), 4.0..=4.0),
        (
            Course::sse(format!(
                "data: {{\"type\":\"response.failed\",\"response\":{}}}\n\n",
                told("try again in 1.25s")
            )),
            1.25..=1.25,
        ),
    ];
    for (course, seconds) in table {
        let what = format!("{course:?}");
        let (client, exchange) = client(Provider::neutral(), [course, Course::sse(HELLO)]);
        let (events, error) = run(client, None).await;
        assert!(error.is_none(), "{what}");
        let wait = waits(&exchange)[0].as_secs_f64();
        let rounded = *seconds.start() - 0.000_001..=*seconds.end() + 0.001;
        assert!(rounded.contains(&wait), "{what}: {wait} s");
        assert!(matches!(events[0], SampleEvent::Retrying(_)));
    }
}

/// A wait of more than 60 s is no wait: the error says from when on to try again.
#[tokio::test(start_paused = true)]
async fn too_long_a_wait_ends_the_attempts() {
    let hour: u32 = 3600;
    let bare = || Course::json(429, "{}");
    let date = httpdate::fmt_http_date(SystemTime::now() + hour * SECOND);
    let table = [
        bare().header("retry-after", "3600"),
        bare().header("retry-after", &date),
        bare().header("retry-after-ms", "3600000"),
        Course::json(429, r#"{"error":{"resets_in_seconds":3600}}"#),
        Course::json(503, r#"{"error":{"message":"try again in 3600s"}}"#),
        Course::sse(
            "data: {\"error\":{\"code\":\"rate_limit_exceeded\",\"message\":\"try again in 3600s\"}}\n\n",
        ),
    ];
    for course in table {
        let what = format!("{course:?}");
        let before = SystemTime::now();
        let (client, exchange) = client(Provider::neutral(), [course]);
        let (events, error) = run(client, None).await;
        let retry_at = error.unwrap().retry_at().expect(&what);
        let from = before + (hour - 60) * SECOND;
        assert!(retry_at >= from, "{what}");
        assert!(retry_at <= SystemTime::now() + hour * SECOND, "{what}");
        assert_eq!((events.len(), exchange.requests().len()), (0, 1), "{what}");
    }
    let exact = Course::json(
        429,
        r#"{"error":{"type":"usage_limit_reached","resets_at":4102444800,"resets_in_seconds":9000}}"#,
    );
    let (client, _) = client(Provider::neutral(), [exact]);
    let retry_at = run(client, None).await.1.unwrap().retry_at();
    assert_eq!(retry_at, Some(SystemTime::UNIX_EPOCH + Duration::from_secs(4_102_444_800)));
}

#[tokio::test(start_paused = true)]
async fn retries_and_recoveries_are_told_in_order_and_void_what_came_before() {
    let cut = |text: &str| Answer::from(ResponseBuilder::new().text(text));
    let broken = || ModelError::new(ErrorCode::StreamIncomplete, "cut");
    let busy = || ModelError::new(ErrorCode::ServerError, "busy");
    let model = ScriptedModel::new()
        .break_after(cut("one"), broken())
        .fail(busy())
        .fail(busy())
        .break_after(cut("two"), broken())
        .text("three");
    let (events, error) = collect(sample(Arc::new(model.clone()), Arc::new(request()), None)).await;
    assert!(error.is_none());
    assert_eq!(
        story(&events),
        [
            "one",
            "retrying stream_incomplete 1/5",
            "retrying server_error 1/4",
            "retrying server_error 2/4",
            "recovered after 3",
            "two",
            "retrying stream_incomplete 2/5",
            "recovered after 1",
            "three",
            "completed",
        ]
    );
    model.assert_complete();
    let bodies: Vec<_> = model.requests().into_iter().map(|request| request.bytes).collect();
    assert!(bodies.iter().all(|body| *body == bodies[0]), "the same request each time");
}

/// A model that forgets to say that its stream broke is caught.
#[tokio::test(start_paused = true)]
async fn a_stream_that_just_ends_is_incomplete() {
    let model = ScriptedModel::new().respond(Answer::default()).text("hello");
    let (events, error) = collect(sample(Arc::new(model.clone()), Arc::new(request()), None)).await;
    assert!(error.is_none());
    assert_eq!(
        story(&events),
        ["retrying stream_incomplete 1/5", "recovered after 1", "hello", "completed"]
    );
    model.assert_complete();
}

#[tokio::test(start_paused = true)]
async fn no_wait_is_begun_that_would_pass_the_deadline() {
    let policy = |exchange: &[Course]| client(Provider::neutral(), exchange.to_vec());
    let advised = Course::json(503, "{}").header("retry-after", "10");
    for (deadline, requests) in [(9, 1), (10, 1), (11, 2), (20, 2), (21, 3)] {
        let (client, exchange) = policy(&vec![advised.clone(); 9]);
        let start = Instant::now();
        let (_, error) = run(client, Some(start + deadline * SECOND)).await;
        assert_eq!(error.unwrap().code(), ErrorCode::ServerError);
        assert_eq!(exchange.requests().len(), requests, "{deadline} s");
        assert!(start.elapsed() <= deadline * SECOND);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// The budgets of the two stages add up and never multiply, in whatever order they are used.
    #[test]
    fn budgets_add_up(failures in prop::collection::vec(any::<bool>(), 0..20), request_max in 0_u32..5, stream_max in 0_u32..5) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let answer = |in_stream: &bool| {
            let error = ModelError::new(ErrorCode::ServerError, "x");
            if *in_stream { Answer::default().break_with(error) } else { Answer::failure(error) }
        };
        let model = failures.iter().map(answer).fold(ScriptedModel::new(), ScriptedModel::respond);
        let model = model.text("hello").retry_policy(RetryPolicy::new(request_max, stream_max));
        let events = sample(Arc::new(model.clone()), Arc::new(request()), None);
        let (_, error) = runtime.block_on(collect(events));

        let (mut left_request, mut left_stream, mut expected) = (request_max, stream_max, 1);
        let mut gave_up = false;
        for in_stream in &failures {
            let left = if *in_stream { &mut left_stream } else { &mut left_request };
            gave_up = *left == 0;
            if gave_up {
                break;
            }
            *left -= 1;
            expected += 1;
        }
        prop_assert_eq!(model.requests().len(), expected);
        prop_assert_eq!(error.is_some(), gave_up);
        prop_assert!(expected <= 1 + (request_max + stream_max) as usize);
    }
}

#[tokio::test(start_paused = true)]
async fn polling_may_stop_during_a_wait_and_go_on() {
    let model =
        ScriptedModel::new().fail(ModelError::new(ErrorCode::ServerError, "x")).text("hello");
    let mut events = sample(Arc::new(model.clone()), Arc::new(request()), None);
    assert!(matches!(events.next().await, Some(Ok(SampleEvent::Retrying(_)))));
    assert!(events.next().now_or_never().is_none());
    assert_eq!(model.requests().len(), 1, "the wait has begun");
    assert_eq!(collect(events).await.0.len(), 10);
    model.assert_complete();
}
