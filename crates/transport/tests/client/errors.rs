//! What servers say when they fail, and what it is taken for.

use longhaul_testkit::exchange::Course;
use longhaul_transport::error::Stage;
use longhaul_transport::exchange::ExchangeErrorKind;
use longhaul_transport::{ErrorCode, ErrorCode as Code, ModelError, Provider};

use super::support::{failure, fixture};

async fn refused(status: u16, body: &str) -> ModelError {
    failure(Provider::neutral(), Course::json(status, body.to_owned())).await
}

/// Whether the same request may be sent again.
fn is_transient(code: ErrorCode) -> bool {
    matches!(
        code,
        Code::RateLimited
            | Code::ServerError
            | Code::ConnectionFailed
            | Code::StreamIncomplete
            | Code::Timeout
            | Code::ResponseFailed
    )
}

/// Status, body, and what they mean.
const STATUSES: &[(u16, &str, ErrorCode)] = &[
    (
        400,
        r#"{"error":{"message":"m","type":"invalid_request_error","code":null}}"#,
        Code::InvalidRequest,
    ),
    (
        400,
        r#"{"error":{"message":"m","code":"context_length_exceeded"}}"#,
        Code::ContextWindowExceeded,
    ),
    (400, r#"{"error":{"message":"m","type":"server_error"}}"#, Code::InvalidRequest),
    (400, r#"{"error":{"message":"m","code":"rate_limit_exceeded"}}"#, Code::RateLimited),
    (
        401,
        r#"{"error":{"message":"m","type":"invalid_request_error","code":null}}"#,
        Code::Unauthorized,
    ),
    (401, r#"{"error":{"message":"m","code":"invalid_api_key"}}"#, Code::Unauthorized),
    (401, "", Code::Unauthorized),
    (403, r#"{"error":{"message":"m","type":"invalid_request_error"}}"#, Code::Unauthorized),
    (403, "<html>no</html>", Code::Unauthorized),
    (404, r#"{"error":{"message":"m","code":"model_not_found"}}"#, Code::InvalidRequest),
    (404, "404 page not found", Code::InvalidRequest),
    (408, "", Code::ServerError),
    (409, r#"{"error":{"message":"m","type":"invalid_request_error"}}"#, Code::ServerError),
    (413, r#"{"message":"too large"}"#, Code::InvalidRequest),
    (422, r#"{"detail":[{"msg":"field required"}]}"#, Code::InvalidRequest),
    (425, "", Code::ServerError),
    (429, "", Code::RateLimited),
    (
        429,
        r#"{"error":{"message":"m","type":"tokens","code":"rate_limit_exceeded"}}"#,
        Code::RateLimited,
    ),
    (429, r#"{"error":{"message":"m","type":"requests","code":429}}"#, Code::RateLimited),
    (
        429,
        r#"{"error":{"message":"m","type":"server_error","code":"slow_down"}}"#,
        Code::RateLimited,
    ),
    (429, r#"{"error":{"message":"m","type":"invalid_request_error"}}"#, Code::RateLimited),
    (
        429,
        r#"{"error":{"type":"usage_limit_reached","resets_at":4102444800}}"#,
        Code::UsageLimitReached,
    ),
    (429, r#"{"error":{"message":"m","code":"insufficient_quota"}}"#, Code::UsageLimitReached),
    (429, r#"{"error":{"type":"usage_not_included"}}"#, Code::UsageNotIncluded),
    (500, "", Code::ServerError),
    (500, r#"{"error":{"message":"m","type":"invalid_request_error"}}"#, Code::InvalidRequest),
    (502, r#"{"error":{"message":"m","code":"invalid_prompt"}}"#, Code::InvalidRequest),
    (503, r#"{"error":{"message":"m","code":"insufficient_quota"}}"#, Code::UsageLimitReached),
    (
        500,
        r#"{"error":{"message":"m","code":"context_length_exceeded"}}"#,
        Code::ContextWindowExceeded,
    ),
    (500, r#"{"error":{"message":"m","code":"unsupported_value"}}"#, Code::Unsupported),
    (500, r#"{"error":{"message":"m","type":"authentication_error"}}"#, Code::Unauthorized),
    (500, r#"{"error":{"message":"m","code":"something_new"}}"#, Code::ServerError),
    (400, r#"{"error":{"message":"m","code":"unsupported_parameter"}}"#, Code::Unsupported),
    (
        413,
        r#"{"error":{"message":"m","code":"context_length_exceeded"}}"#,
        Code::ContextWindowExceeded,
    ),
    (500, r#"{"error":"text"}"#, Code::ServerError),
    (
        500,
        r#"{"error":{"message":"This model's maximum context length is 8"}}"#,
        Code::ContextWindowExceeded,
    ),
    (502, "<html><title>Bad gateway</title></html>", Code::ServerError),
    (
        503,
        r#"{"error":{"message":"Loading model","type":"unavailable_error","code":503}}"#,
        Code::ServerError,
    ),
    (504, "", Code::ServerError),
    (529, r#"{"error":{"type":"overloaded_error"}}"#, Code::ServerError),
    (301, "", Code::InvalidRequest),
    (101, "", Code::Protocol),
    (304, "", Code::Protocol),
    (402, "", Code::InvalidRequest),
    (407, "", Code::InvalidRequest),
    (418, "", Code::InvalidRequest),
    (421, "", Code::InvalidRequest),
    (451, "", Code::InvalidRequest),
    (499, "", Code::InvalidRequest),
    (501, "", Code::ServerError),
    (520, "", Code::ServerError),
    (521, "", Code::ServerError),
    (522, "", Code::ServerError),
    (523, "", Code::ServerError),
    (524, "", Code::ServerError),
    (525, "", Code::ServerError),
    (526, "", Code::ServerError),
    (527, "", Code::ServerError),
    (530, "error code: 1016", Code::ServerError),
    (599, "", Code::ServerError),
];

#[tokio::test]
async fn f034_statuses_and_bodies() {
    for &(status, body, code) in STATUSES {
        let error = refused(status, body).await;
        let seen = (error.code(), error.status(), error.is_retryable(), error.stage());
        assert_eq!(
            seen,
            (code, Some(status), is_transient(code), Stage::Request),
            "{status} {body}"
        );
    }
}

#[tokio::test]
async fn recorded_refusals() {
    let table = [
        (
            "llamacpp-ctx-exceeded-400.json",
            400,
            Code::ContextWindowExceeded,
            "request (10249 tokens) exceeds the available context size (8192 tokens), try increasing it (HTTP 400)",
        ),
        (
            "llamacpp-image-500.json",
            500,
            Code::InvalidRequest,
            "image input is not supported - hint: if this is unexpected, you may need to provide the mmproj (HTTP 500)",
        ),
        (
            "llamacpp-reasoning-400.json",
            400,
            Code::InvalidRequest,
            "item['content'] is not an array (HTTP 400)",
        ),
        (
            "llamacpp-unknown-item-400.json",
            400,
            Code::InvalidRequest,
            "Cannot determine type of 'item' (HTTP 400)",
        ),
    ];
    for (name, status, code, text) in table {
        let error = failure(Provider::neutral(), Course::json(status, fixture(name))).await;
        assert_eq!((error.code(), error.to_string().as_str()), (code, text), "{name}");
        assert!(!error.is_retryable(), "{name}");
    }
}

#[tokio::test]
async fn codes_of_any_type() {
    for code in ["\"400\"", "400", "null", "[]", "{\"a\":1}", "true", "1e400", "-1", "4.5"] {
        let body = format!(r#"{{"error":{{"code":{code},"message":"m"}}}}"#);
        let error = refused(400, &body).await;
        assert_eq!(error.code(), Code::InvalidRequest, "{code}");
        assert_eq!(refused(500, &body).await.code(), Code::ServerError, "{code}");
    }
}

#[tokio::test]
async fn what_is_said_is_what_the_server_said() {
    let table = [
        (400, r#"{"error":{"message":"line\none\u001b[31m"}}"#, "line one [31m (HTTP 400)"),
        (400, r#"{"error":"text"}"#, "text (HTTP 400)"),
        (400, r#"{"message":"on top"}"#, "on top (HTTP 400)"),
        (400, r#"{"detail":"odd"}"#, r#"the server refused: {"detail":"odd"} (HTTP 400)"#),
        (500, "plain", "the server refused: plain (HTTP 500)"),
        (500, "", "the server refused: it gave no reason (HTTP 500)"),
        (
            502,
            " <html>x</html>",
            "the server refused: it answered with a page, not an error (HTTP 502)",
        ),
        (
            500,
            "data: {\"type\":\"response.failed\",\"response\":{\"error\":{\"message\":\"within\"}}}\n\n",
            "within (HTTP 500)",
        ),
        (
            500,
            "event: error\ndata: {\"type\":\"error\",\"message\":\"on top\"}\n\n",
            "on top (HTTP 500)",
        ),
        (500, "data: {\"error\":{\"code\":500,\"message\":\"untyped\"}}\n\n", "untyped (HTTP 500)"),
    ];
    for (status, body, text) in table {
        assert_eq!(refused(status, body).await.to_string(), text, "{body}");
    }
    let long =
        refused(400, &format!(r#"{{"error":{{"message":"{}"}}}}"#, "ä".repeat(100_000))).await;
    assert!(long.to_string().len() < 1100);
}

#[tokio::test]
async fn a_redirect_is_an_error_that_says_where_to() {
    for status in [301, 302, 303, 307, 308] {
        let course = Course::new().head(status).header("location", "https://elsewhere.example/v1");
        let error = failure(Provider::neutral(), course).await;
        let text =
            "the server redirects; redirects are not followed (to https://elsewhere.example/v1)";
        assert_eq!(error.to_string(), format!("{text} (HTTP {status})"));
        assert!(!error.is_retryable());
    }
}

#[tokio::test]
async fn f039_a_success_that_is_no_event_stream() {
    let page = Course::new().head(200).header("content-type", "text/html").body("<html>");
    let whole =
        Course::json(200, r#"{"id":"r","object":"response","status":"completed","error":null}"#);
    let reported = Course::json(200, r#"{"error":{"message":"m","code":"insufficient_quota"}}"#);
    let odd = Course::json(200, r#"{"error":{"message":"m"}}"#);
    let empty = Course::json(200, "");
    let place = |what: &str| {
        format!(
            "the server answered with {what} in place of an event stream; is the base URL right?"
        )
    };
    let table = [
        (page, Code::Protocol, place("text/html"), false),
        (whole, Code::Protocol, place("application/json"), false),
        (empty, Code::Protocol, place("application/json"), false),
        (reported, Code::UsageLimitReached, "m".into(), false),
        (odd, Code::ResponseFailed, "m".into(), true),
    ];
    for (course, code, text, retryable) in table {
        let error = failure(Provider::neutral(), course).await;
        assert_eq!(
            (error.code(), error.to_string(), error.is_retryable()),
            (code, text, retryable)
        );
        assert_eq!(error.status(), None);
    }
    for status in [204, 205, 206] {
        let error = failure(Provider::neutral(), Course::new().head(status)).await;
        let events = Course::new().head(status).header("content-type", "text/event-stream");
        let with_events = failure(Provider::neutral(), events.body(super::support::HELLO)).await;
        for error in [error, with_events] {
            let seen = (error.code(), error.to_string(), error.is_retryable());
            assert_eq!(seen, (Code::Protocol, place(&format!("status {status}")), false));
        }
    }
}

#[tokio::test]
async fn event_streams_by_any_name() {
    for content_type in ["text/event-stream", "Text/Event-Stream; charset=utf-8"] {
        let course = Course::new().head(200).header("content-type", content_type);
        let (client, _) =
            super::support::client(Provider::neutral(), [course.body(super::support::HELLO)]);
        assert!(super::support::attempt(&client).await.1.is_none(), "{content_type}");
    }
    let unnamed = Course::new().head(201).body(super::support::HELLO);
    let (client, _) = super::support::client(Provider::neutral(), [unnamed]);
    assert!(super::support::attempt(&client).await.1.is_none());
}

#[tokio::test]
async fn failures_of_the_network() {
    let connect = Course::new().fail(ExchangeErrorKind::Connect);
    let broken = Course::new().sent().fail(ExchangeErrorKind::Broken);
    let table = [
        (connect, Code::ConnectionFailed, "could not connect to the server: as scripted"),
        (broken, Code::ConnectionFailed, "the connection to the server broke: as scripted"),
        (
            Course::new().event_stream().fail(ExchangeErrorKind::Broken),
            Code::StreamIncomplete,
            "the stream ended before the response was complete: the connection to the server broke: as scripted",
        ),
        (
            Course::sse(""),
            Code::StreamIncomplete,
            "the stream ended before the response was complete",
        ),
        (
            Course::sse("data: [DONE]\n\n"),
            Code::StreamIncomplete,
            "the stream ended before the response was complete",
        ),
        (
            Course::sse("data: hello\n\n"),
            Code::Protocol,
            "the server sent an event that is not JSON: line 1, column 1",
        ),
        (
            Course::sse(&b"data: \xff\n\n"[..]),
            Code::Protocol,
            "the server sent an event that is not UTF-8",
        ),
    ];
    for (course, code, text) in table {
        let error = failure(Provider::neutral(), course).await;
        assert_eq!((error.code(), error.to_string().as_str()), (code, text));
        assert!(error.is_retryable(), "{text}");
    }
}

#[tokio::test]
async fn an_event_beyond_the_bound_is_an_error_that_no_retry_cures() {
    let mut provider = Provider::neutral();
    provider.max_event_bytes = 1000;
    let endless =
        (0..100).fold(Course::new().event_stream(), |course, _| course.body("data: x".repeat(10)));
    let error = failure(provider, endless.hang()).await;
    assert_eq!(error.to_string(), "an event of the server is larger than 1000 bytes");
    assert_eq!((error.code(), error.is_retryable()), (Code::Protocol, false));
}

#[tokio::test]
async fn the_servers_name_for_the_request_is_kept() {
    let table = [
        (vec![("x-request-id", "a"), ("cf-ray", "b")], Some("a")),
        (vec![("cf-ray", "b")], Some("b")),
        (vec![("apim-request-id", "c"), ("cf-ray", "b")], Some("c")),
        (vec![("request-id", "d")], Some("d")),
        (vec![], None),
    ];
    for (headers, id) in table {
        let with = |course: Course| {
            headers.iter().fold(course, |course, (name, value)| course.header(name, value))
        };
        for course in [
            with(Course::new().head(500)),
            with(Course::new().event_stream()),
            with(Course::new().head(200).header("content-type", "text/html")),
        ] {
            assert_eq!(failure(Provider::neutral(), course).await.request_id(), id);
        }
    }
}
