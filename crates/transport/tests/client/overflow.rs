//! A conversation that is too long: how it is recognised, and how large it is.

use longhaul_testkit::exchange::Course;
use longhaul_transport::{ErrorCode as Code, Provider};
use serde_json::json;

use super::forms::{event, every_form, failed, in_stream, with_status};
use super::support::{attempt, client, fixture};

/// A conversation that is too long is told from codes, types and words, in every form.
#[tokio::test]
async fn f038_an_overflow_is_recognised_in_every_form() {
    let errors = [
        json!({"code": "context_length_exceeded", "message": "m"}),
        json!({"code": "context_length_exceeded", "type": "invalid_request_error", "message": "m"}),
        json!({"code": null, "message": "Your input exceeds the context window of this model."}),
        json!({"code": "400", "message": "litellm.ContextWindowExceededError: m"}),
        json!({"code": 400, "message": "prompt is too long: 210000 tokens > 200000 maximum"}),
        json!({"code": 500, "message": "Context size has been exceeded."}),
        json!({"message": "This model's maximum context length is 8 tokens."}),
    ];
    for error in errors {
        for course in every_form(&error, &[400, 413, 500]) {
            let what = format!("{course:?}");
            let error = failed(course).await;
            let seen = (error.code(), error.is_retryable());
            assert_eq!(seen, (Code::ContextWindowExceeded, false), "{what}");
        }
    }
    let by_type = json!({"code": 400, "type": "exceed_context_size_error", "message": "m"});
    for course in in_stream(&by_type).into_iter().chain(with_status(&by_type, 400)) {
        assert_eq!(failed(course).await.code(), Code::ContextWindowExceeded);
    }
}

/// The sizes that servers state are there, as fields or in words, also through a gateway.
#[tokio::test]
async fn f038_an_overflow_says_how_large() {
    let table = [
        ("llamacpp-ctx-exceeded-400.json", Some(10_249), Some(8192)),
        ("litellm/ctx-exceeded-openai-400.json", Some(130_000), Some(128_000)),
        ("litellm/ctx-exceeded-vllm-400.json", Some(5000), Some(4096)),
        ("litellm/ctx-exceeded-llamacpp-400.json", Some(10_249), Some(8192)),
        ("litellm/ctx-exceeded-anthropic-400.json", Some(210_000), Some(200_000)),
        ("litellm/ctx-exceeded-failed.sse", None, None),
        ("litellm/ctx-exceeded-midstream.sse", Some(130_000), Some(128_000)),
    ];
    for (name, prompt, window) in table {
        let course = if name.ends_with("json") {
            Course::json(400, fixture(name))
        } else {
            Course::sse(fixture(name))
        };
        let (client, _) = client(Provider::neutral(), [course]);
        let error = attempt(&client).await.1.unwrap();
        let seen = (error.code(), error.prompt_tokens(), error.context_window());
        assert_eq!(seen, (Code::ContextWindowExceeded, prompt, window), "{name}");
    }
    let fields = json!({"type": "exceed_context_size_error", "n_prompt_tokens": "12", "n_ctx": 8});
    for course in in_stream(&fields) {
        let error = failed(course).await;
        assert_eq!((error.prompt_tokens(), error.context_window()), (Some(12), Some(8)));
    }
    // Other errors state no sizes, whatever numbers are in them.
    let other = json!({"code": "server_error", "message": "m", "n_prompt_tokens": 12, "n_ctx": 8});
    let other = failed(event(&json!({ "error": other }))).await;
    assert_eq!((other.prompt_tokens(), other.context_window()), (None, None));
}

/// What a gateway does not pass on cannot be known: it names its own failure, which is repeated.
#[tokio::test]
async fn a_gateway_that_hides_the_cause_is_a_failed_server() {
    let recording = fixture("litellm/ctx-exceeded-error-event.sse");
    let (client, _) = client(Provider::neutral(), [Course::sse(recording)]);
    let error = attempt(&client).await.1.unwrap();
    assert_eq!((error.code(), error.is_retryable()), (Code::ServerError, true));
}
