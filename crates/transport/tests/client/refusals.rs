//! What refusals and failures are taken for, whatever their form, and what of them is shown.

use std::time::{Duration, SystemTime};

use longhaul_testkit::exchange::Course;
use longhaul_transport::auth::ApiKey;
use longhaul_transport::{ErrorCode as Code, Provider, Secret};
use serde_json::{Value, json};

use super::forms::{event, every_form, failed, in_stream, on_top, with_status};
use super::support::{SECOND, attempt, client, failure, fixture, keyed};

/// What the network puts between: its own pages and refusals are named as what they are.
#[tokio::test]
async fn f018_proxies_and_portals_are_named() {
    let page = |status| {
        Course::new().head(status).header("content-type", "text/html").body("<html>sign in</html>")
    };
    let table = [
        (
            page(407),
            Code::InvalidRequest,
            "a proxy on the way to the server wants a login (HTTP 407)",
            false,
        ),
        (
            page(502),
            Code::ServerError,
            "the server refused: it answered with a page, not an error (HTTP 502)",
            true,
        ),
        (
            page(200),
            Code::Protocol,
            "the server answered with text/html in place of an event stream; is the base URL right?",
            false,
        ),
        (
            page(511),
            Code::ServerError,
            "the server refused: it answered with a page, not an error (HTTP 511)",
            true,
        ),
    ];
    for (course, code, text, retryable) in table {
        let error = failed(course).await;
        assert_eq!(
            (error.code(), error.to_string().as_str(), error.is_retryable()),
            (code, text, retryable)
        );
    }
}

#[tokio::test]
async fn f029_every_form_of_advice_is_read() {
    let [least, hour] = [3540 * SECOND, 3600 * SECOND];
    let date = httpdate::fmt_http_date(SystemTime::now() + hour);
    let past = httpdate::fmt_http_date(SystemTime::now() - Duration::from_secs(1000));
    let bare = || Course::json(429, "{}");
    let after = |value: &str| bare().header("retry-after", value);
    let both = |ms: &str| after("9").header("retry-after-ms", ms);
    let told = |words: &str| Course::json(429, json!({"error": {"message": words}}).to_string());
    let table = [
        (after("0"), Some(0.0)),
        (after("1"), Some(1.0)),
        (after("1.5"), Some(1.5)),
        (after(&past), Some(0.0)),
        (after("-1"), None),
        (after("NaN"), None),
        (after("inf"), None),
        (after("1000000000000"), Some(1e12)),
        (after("1e300"), None),
        (after(""), None),
        (after("3").header("retry-after", "5"), Some(3.0)),
        (after("soon").header("retry-after", "5"), Some(5.0)),
        (both("250"), Some(0.25)),
        (both("x"), Some(9.0)),
        (both("-5"), Some(9.0)),
        (bare(), None),
        (told("try again in 1m30s"), Some(90.0)),
        (told("try again in 5 minutes"), Some(300.0)),
        (told("try again in 28ms"), Some(0.028)),
        (told("try again in 28ms").header("retry-after", "2"), Some(2.0)),
        (told("try again later"), None),
    ];
    for (course, seconds) in table {
        let what = format!("{course:?}");
        let wait = failed(course).await.retry_after();
        assert_eq!(wait.map(|wait| wait.as_secs_f64()), seconds, "{what}");
    }
    let wait = failed(after(&date)).await.retry_after().unwrap();
    assert!((least..=hour).contains(&wait), "{wait:?}");
}

/// A used-up quota is final, in whatever form it is told, and says whose it is and when it ends.
#[tokio::test]
async fn f030_a_used_up_quota_is_final_in_every_form() {
    let statuses = [200, 400, 403, 429, 500, 503];
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(4_102_444_800);
    for name in ["insufficient_quota", "billing_hard_limit_reached", "usage_limit_reached"] {
        let error = |place: &str| json!({place: name, "message": "used up", "plan_type": "plus", "resets_at": 4_102_444_800_u64});
        let by_code = every_form(&error("code"), &statuses);
        let by_type = in_stream(&error("type")).into_iter().chain(with_status(&error("type"), 429));
        for course in by_code.into_iter().chain(by_type) {
            let what = format!("{course:?}");
            let error = failed(course).await;
            let seen = (error.code(), error.is_retryable(), error.plan(), error.retry_at());
            assert_eq!(seen, (Code::UsageLimitReached, false, Some("plus"), Some(at)), "{what}");
            let text = error.to_string();
            assert!(text.starts_with("used up (plan plus; available again in "), "{text}");
        }
    }
    let soon = json!({"code": "usage_limit_reached", "resets_in_seconds": 7200});
    for course in every_form(&soon, &[429]) {
        let error = failed(course).await;
        let text = error.to_string();
        let said = ["available again in 1 hour 59 minutes", "available again in 2 hours"];
        assert!(said.iter().any(|said| text.contains(said)), "{text}");
        assert!(error.retry_at().unwrap() > SystemTime::now() + 7140 * SECOND);
    }
    let quoted = failed(Course::json(429, fixture("litellm/quota-429.json"))).await;
    assert_eq!((quoted.code(), quoted.is_retryable()), (Code::UsageLimitReached, false));
    // What a gateway quotes says more than its own code: that it is final, whose it is, when it ends.
    let quoting = |error: Value| {
        let message = format!("gateway: failed - {}\nno fallback", json!({ "error": error }));
        json!({"code": "429", "type": "throttling_error", "message": message})
    };
    let limit =
        json!({"type": "usage_limit_reached", "plan_type": "plus", "resets_at": 4_102_444_800_u64});
    for course in every_form(&quoting(limit), &[429]) {
        let error = failed(course).await;
        assert_eq!((error.plan(), error.retry_at()), (Some("plus"), Some(at)));
    }
    for course in every_form(&quoting(json!({"type": "usage_not_included"})), &[429]) {
        assert_eq!(failed(course).await.code(), Code::UsageNotIncluded);
    }
    let plan = json!({"code": "usage_not_included", "message": "not in the plan"});
    for course in every_form(&plan, &[429, 403]) {
        let error = failed(course).await;
        assert_eq!((error.code(), error.is_retryable()), (Code::UsageNotIncluded, false));
    }
    // A limit that passes is none of these.
    for course in every_form(&json!({"code": "rate_limit_exceeded", "message": "m"}), &[429]) {
        let error = failed(course).await;
        assert_eq!((error.code(), error.is_retryable()), (Code::RateLimited, true));
    }
}

#[tokio::test]
async fn f033_what_the_server_says_of_a_repetition_is_read() {
    let words = [
        ("true", Some(true)),
        ("false", Some(false)),
        (" True", Some(true)),
        ("FALSE", Some(false)),
        ("", None),
        ("1", None),
        ("yes", None),
        ("true, false", None),
    ];
    for status in [400, 429, 503] {
        for (word, expected) in words {
            let course = Course::json(status, "{}").header("x-should-retry", word);
            assert_eq!(failed(course).await.should_retry(), expected, "{status} {word}");
        }
        assert_eq!(failed(Course::json(status, "{}")).await.should_retry(), None);
    }
}

/// An item that the server refuses is named, and is refused for good.
#[tokio::test]
async fn f035_a_poisoned_item_is_final_and_named() {
    let error = json!({"type": "invalid_request_error", "code": "invalid_value",
        "message": "Invalid value.", "param": "input[3].content"});
    for course in every_form(&error, &[400, 422, 500]) {
        let error = failed(course).await;
        assert_eq!((error.code(), error.is_retryable()), (Code::InvalidRequest, false));
        assert!(error.to_string().starts_with("Invalid value. (at input[3].content)"), "{error}");
    }
    let named = json!({"code": "invalid_value", "message": "Bad input[3].", "param": "input[3]"});
    assert_eq!(failed(event(&json!({ "error": named }))).await.to_string(), "Bad input[3].");
    let long = json!({"code": "invalid_value", "message": "m", "param": "p".repeat(100_000)});
    assert!(failed(event(&json!({ "error": long }))).await.to_string().len() < 1100);
}

/// No request names an earlier response, so a server that misses one will miss it again.
#[tokio::test]
async fn f037_a_missing_earlier_response_is_final() {
    let error = json!({"type": "invalid_request_error", "code": "previous_response_not_found",
        "message": "Previous response with id 'r' not found.", "param": "previous_response_id"});
    for course in every_form(&error, &[400, 404, 500]) {
        let error = failed(course).await;
        assert_eq!((error.code(), error.is_retryable()), (Code::InvalidRequest, false));
    }
}

/// Each code, in each place; unknown codes, missing fields and odd texts are failures that may pass.
#[tokio::test]
async fn f040_each_code_is_mapped_wherever_it_stands() {
    let table = [
        ("context_length_exceeded", Code::ContextWindowExceeded, false),
        ("insufficient_quota", Code::UsageLimitReached, false),
        ("usage_not_included", Code::UsageNotIncluded, false),
        ("rate_limit_exceeded", Code::RateLimited, true),
        ("invalid_prompt", Code::InvalidRequest, false),
        ("content_policy_violation", Code::InvalidRequest, false),
        ("unsupported_parameter", Code::Unsupported, false),
        ("invalid_api_key", Code::Unauthorized, false),
        ("server_error", Code::ServerError, true),
        ("server_is_overloaded", Code::ServerError, true),
        ("something_new", Code::ResponseFailed, true),
        ("404", Code::InvalidRequest, false),
        ("503", Code::ServerError, true),
        ("", Code::ResponseFailed, true),
    ];
    for (name, code, retryable) in table {
        let error = json!({"code": name, "message": "first\nsecond\u{1b}[31m"});
        let on_top = on_top(&error, 500).remove(0);
        for course in in_stream(&error).into_iter().chain([on_top]) {
            let what = format!("{course:?}");
            let error = failed(course).await;
            assert_eq!((error.code(), error.is_retryable()), (code, retryable), "{what}");
            assert_eq!(error.to_string(), "first second [31m", "{what}");
        }
    }
    for odd in [json!({}), json!(null), json!([1]), json!({"message": 7, "code": [1], "param": {}})]
    {
        let odd = event(&json!({"type": "response.failed", "response": {"error": odd}}));
        let error = failed(odd).await;
        let text = "the server ended the response with a failure and gave no reason";
        assert_eq!((error.code(), error.to_string().as_str()), (Code::ResponseFailed, text));
    }
}

#[tokio::test]
async fn f041_an_incomplete_response_says_why() {
    for (details, reason) in [
        (json!({"reason": "max_output_tokens"}), "max_output_tokens"),
        (json!({"reason": "content_filter"}), "content_filter"),
        (json!({"reason": "something\nnew"}), "something new"),
        (json!({"reason": 7}), "unknown"),
        (json!({}), "unknown"),
        (json!(null), "unknown"),
    ] {
        let response = json!({"status": "incomplete", "incomplete_details": details});
        for kind in ["response.incomplete", "response.completed"] {
            let error = failed(event(&json!({"type": kind, "response": response}))).await;
            let seen = (error.code(), error.is_retryable(), error.reason());
            assert_eq!(seen, (Code::ResponseIncomplete, false, Some(reason)));
        }
    }
}

/// Only the terminal event is an end.
#[tokio::test]
async fn f042_an_end_without_a_terminal_event_is_incomplete() {
    let done = "data: [DONE]\n\n";
    let unfinished = "data: {\"type\":\"response.completed\",\"response\":{}}\n";
    for body in ["", ": hello\n\n", done, unfinished, "event: response.completed\n\n"] {
        let error = failed(Course::sse(body)).await;
        assert_eq!((error.code(), error.is_retryable()), (Code::StreamIncomplete, true), "{body}");
    }
    let body = Course::new().sent().head(200).body(r#"{"id":"r","status":"completed"}"#);
    assert_eq!(failed(body).await.code(), Code::StreamIncomplete, "a body of no named type");
}

/// Secrets that a server, or a gateway before it, writes into its errors are taken out, in each form
/// in which it has seen them.
#[tokio::test]
async fn f074_no_secret_of_the_request_is_in_an_error() {
    let mut provider = keyed("sk-canary-0123456789");
    provider.add_header("x-api-key", "hdr-canary-0123456789", true).unwrap();
    provider.add_header("proxy-authorization", "Basic pxy-canary-0123456789", true).unwrap();
    // One secret within another: neither leaves a rest.
    provider.add_header("x-longer", "hdr-canary-0123456789-tail-canary", true).unwrap();
    provider.query = vec![
        ("api-version".into(), "2025-04-01-preview".into()),
        ("sig".into(), "q+canary/0123456789=".into()),
    ];
    let echoes = [
        "sk-canary-0123456789",
        "Bearer sk-canary-0123456789",
        "hdr-canary-0123456789",
        "hdr-canary-0123456789-tail-canary",
        "Basic pxy-canary-0123456789",
        "pxy-canary-0123456789",
        "q+canary/0123456789=",
        "https://h/v1/responses?api-version=2025-04-01-preview&sig=q%2Bcanary%2F0123456789%3D",
    ];
    for echo in echoes {
        let message = format!("no: {echo} of 2025-04-01-preview");
        let error = json!({"code": "usage_limit_reached", "message": message, "plan_type": echo, "param": echo});
        let reason = json!({"type": "response.incomplete",
            "response": {"incomplete_details": {"reason": message}}});
        let courses = every_form(&error, &[400, 401, 429, 500]).into_iter();
        let others = [
            event(&reason),
            Course::new().head(500).body(message.clone()),
            Course::new().head(500).header("x-request-id", echo),
            Course::new().head(308).header("location", echo),
            Course::new().head(200).header("content-type", echo),
        ];
        for course in courses.chain(others) {
            let what = format!("{course:?}");
            let error = failure(provider.clone(), course).await;
            let shown = format!(
                "{error} {error:?} {:?} {:?} {:?}",
                error.plan(),
                error.reason(),
                error.request_id()
            );
            assert!(!shown.contains("canary"), "{what}: {shown}");
            // Of an address the query is left out whole.
            let is_left_out = what.contains("location") && echo.contains('?');
            assert!(is_left_out || shown.contains("[redacted]"), "{what}: {shown}");
            assert!(!shown.contains("no:") || shown.contains("2025-04-01-preview"), "{shown}");
        }
    }
}

/// A token that is none is refused before anything is sent, and not shown.
#[tokio::test]
async fn f075_a_credential_cannot_inject_a_header() {
    let long = "canary".repeat(20_000);
    let tokens =
        ["canary\nx-evil: 1", "canary\r\nx-evil: 1", "canary\0", "canary\u{7f}", "canaryé", &long];
    for token in tokens {
        let provider = Provider::neutral().with_auth(ApiKey(Secret::new(token)));
        let (client, exchange) = client(provider, []);
        let error = attempt(&client).await.1.unwrap();
        let seen = (error.code(), error.is_retryable(), error.may_have_been_processed());
        assert_eq!(seen, (Code::Unauthorized, false, false));
        assert!(!format!("{error} {error:?}").contains("canary"), "{error}");
        assert_eq!(exchange.requests().len(), 0);
    }
}
