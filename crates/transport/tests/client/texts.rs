//! However much a server says, little of it is in an error.

use longhaul_testkit::exchange::Course;
use longhaul_transport::Provider;
use longhaul_transport::error::MAX_SERVER_TEXT_BYTES;

use super::support::{HELLO, client, failure, request};

#[tokio::test(start_paused = true)]
async fn no_error_holds_more_than_a_little_of_what_a_server_said() {
    let long = "x".repeat(1_000_000);
    let courses = [
        Course::sse(format!("data: \"{long}\"\n\n")),
        Course::sse(format!("data: {{\"type\":\"{long}\n\n")),
        Course::sse(format!("data: {{\"error\":{{\"message\":\"{long}\"}}}}\n\n")),
        Course::json(400, format!("{{\"error\":{{\"message\":\"{long}\"}}}}")),
        Course::json(400, long.clone()),
        Course::json(301, "{}").header("location", &format!("/{}", &long[..60_000])),
        Course::json(500, "{}").header("x-request-id", &long[..60_000]),
    ];
    for course in courses {
        let error = failure(Provider::neutral(), course).await;
        let shown = [error.to_string(), error.request_id().unwrap_or_default().to_owned()];
        for text in shown {
            assert!(text.len() <= 2 * MAX_SERVER_TEXT_BYTES + 20, "{} bytes", text.len());
        }
    }
}

/// A proxy may tell of an overflow in plain words.
#[tokio::test(start_paused = true)]
async fn an_overflow_in_plain_text_is_recognised_and_a_page_is_not_read() {
    let words = "This model's maximum context length is 8192 tokens. However, your messages \
                 resulted in 9000 tokens.";
    let error = failure(Provider::neutral(), Course::json(400, words)).await;
    assert_eq!(error.code().as_str(), "context_window_exceeded");
    let page = format!("<html><body>{words}</body></html>");
    let error = failure(Provider::neutral(), Course::json(400, page)).await;
    assert_eq!(error.code().as_str(), "invalid_request");
}

/// What a response's head says is not yet the response.
#[tokio::test(start_paused = true)]
async fn limits_in_a_head_are_no_recovery() {
    use futures_util::StreamExt;
    use longhaul_transport::{SampleEvent, sample};
    let limited = |course: Course| course.header("x-codex-primary-used-percent", "12.5");
    let broken = || limited(Course::new().sent().event_stream()).body("");
    let (client, _) = client(
        Provider::neutral(),
        [broken(), broken(), limited(Course::new().sent().event_stream()).body(HELLO)],
    );
    let events = sample(std::sync::Arc::new(client), std::sync::Arc::new(request()), None);
    let events: Vec<_> = events.map(Result::unwrap).collect().await;
    let recoveries = events.iter().filter(|event| matches!(event, SampleEvent::Recovered { .. }));
    let recoveries: Vec<_> = recoveries.collect();
    assert_eq!(recoveries, [&SampleEvent::Recovered { attempts: 2 }]);
}
