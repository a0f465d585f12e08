//! What each event becomes, whatever is missing in it.

use longhaul_history::usage::TokenUsage;
use serde_json::{Value, json};

use super::*;
use crate::ErrorCode;

fn read(event: &Value) -> Result<Option<ResponseEvent>, ErrorCode> {
    decode(&event.to_string()).map_err(|error| error.code())
}

fn item(json: &Value) -> Item {
    Item::from_json(&json.to_string()).unwrap()
}

fn delta(item_id: Option<&str>, text: &str) -> Delta {
    Delta { item_id: item_id.map(Into::into), text: text.into() }
}

#[test]
fn items_and_deltas() {
    let message = json!({"type": "message", "role": "assistant", "content": []});
    let search = json!({"type": "web_search_call", "id": "ws"});
    let odd = json!({"hologram": [1.5]});
    let with = |kind: &str, field: &str, value: &Value| json!({"type": kind, field: value});
    let text = |kind: &str| json!({"type": kind, "item_id": "m", "delta": "x"});
    let table = [
        (
            with("response.created", "response", &json!({"id": "r"})),
            ResponseEvent::Created { response_id: Some("r".into()) },
        ),
        (json!({"type": "response.created"}), ResponseEvent::Created { response_id: None }),
        (
            with("response.output_item.added", "item", &message),
            ResponseEvent::ItemAdded(item(&message)),
        ),
        (
            with("response.output_item.added", "item", &search),
            ResponseEvent::WebSearchBegin { item: item(&search) },
        ),
        (with("response.output_item.done", "item", &odd), ResponseEvent::ItemDone(item(&odd))),
        (text("response.output_text.delta"), ResponseEvent::TextDelta(delta(Some("m"), "x"))),
        (
            with("response.output_text.delta", "delta", &json!("no id")),
            ResponseEvent::TextDelta(delta(None, "no id")),
        ),
        (
            json!({"type": "response.output_text.delta", "item_id": 7, "delta": "\u{1f600}\n"}),
            ResponseEvent::TextDelta(delta(None, "\u{1f600}\n")),
        ),
        (
            text("response.reasoning_summary_text.delta"),
            ResponseEvent::ReasoningSummaryDelta(delta(Some("m"), "x")),
        ),
        (
            json!({"type": "response.reasoning_summary_part.added"}),
            ResponseEvent::ReasoningSummaryPartAdded,
        ),
        (
            text("response.reasoning_text.delta"),
            ResponseEvent::ReasoningTextDelta(delta(Some("m"), "x")),
        ),
        (
            text("response.function_call_arguments.delta"),
            ResponseEvent::ArgumentsDelta(delta(Some("m"), "x")),
        ),
        (
            text("response.custom_tool_call_input.delta"),
            ResponseEvent::ArgumentsDelta(delta(Some("m"), "x")),
        ),
    ];
    for (event, expected) in table {
        assert_eq!(read(&event), Ok(Some(expected)), "{event}");
    }
}

#[test]
fn what_is_not_known_or_not_whole_is_passed_on_whole() {
    let texts = [
        r#"{"type":"response.in_progress","response":{"id":"r"}}"#,
        r#"{"type":"response.output_text.done","text":"x","n":1e400}"#,
        r#"{"type":"response.output_item.done","item":[1]}"#,
        r#"{"type":"response.output_item.done"}"#,
        r#"{"type":"response.output_text.delta","delta":{"text":"x"}}"#,
        r#"{"type":"response.output_text.delta","delta":"\ud83d"}"#,
        r#"{"type":"keepalive","item_id":7,"response":null,"item":3,"delta":[],"error":null}"#,
    ];
    for text in texts {
        let value: Value =
            serde_json::from_str(&text.replace("1e400", "1").replace(r"\ud83d", "")).unwrap();
        let expected = ResponseEvent::Other {
            r#type: value["type"].as_str().unwrap().into(),
            json: text.into(),
        };
        assert_eq!(decode(text).unwrap(), Some(expected), "{text}");
    }
    let untyped = ResponseEvent::Other { r#type: String::new(), json: r#"{"id":1}"#.into() };
    assert_eq!(read(&json!({"id": 1})), Ok(Some(untyped)));
    for nothing in ["", " ", "[DONE]", " [DONE] "] {
        assert_eq!(decode(nothing).unwrap(), None, "{nothing:?}");
    }
    for broken in ["{", "[1]", "[]", " []", "hello", r#"{"type":"#] {
        assert_eq!(decode(broken).unwrap_err().code(), ErrorCode::Protocol, "{broken}");
    }
}

#[test]
fn a_completed_response_needs_nothing_but_its_type() {
    let completed = |response: Value| {
        let event = read(&json!({"type": "response.completed", "response": response}));
        match event {
            Ok(Some(ResponseEvent::Completed(completed))) => completed,
            other => panic!("{other:?}"),
        }
    };
    let message = json!({"type": "message", "role": "assistant", "content": []});
    let full = completed(json!({"id": "r", "status": "completed", "output": [message, 7],
        "error": null, "incomplete_details": null, "usage": {"input_tokens": 100,
        "input_tokens_details": {"cached_tokens": 60}, "output_tokens": 20,
        "output_tokens_details": {"reasoning_tokens": 5}, "total_tokens": 130}}));
    let usage =
        TokenUsage { input: 100, cached_input: 60, output: 20, reasoning_output: 5, total: 130 };
    let expected = Completed {
        response_id: Some("r".into()),
        usage: Some(usage),
        output: vec![item(&message)],
    };
    assert_eq!(full, expected);

    let nothing = Completed::default();
    assert_eq!(completed(json!({})), nothing);
    assert_eq!(completed(Value::Null), nothing);
    assert_eq!(completed(json!({"id": 7, "status": 1, "output": {}, "usage": []})), nothing);
    let sparse = completed(json!({"id": "r", "output": 3, "usage": {"input_tokens": 3,
        "output_tokens": 4, "input_tokens_details": null, "total_tokens": -1}}));
    let usage = sparse.usage.unwrap();
    assert_eq!((usage.input, usage.output, usage.cached_input, usage.total), (3, 4, 0, 7));
    assert_eq!(sparse.response_id.as_deref(), Some("r"));
}

#[test]
fn failures_are_typed_wherever_they_stand() {
    use ErrorCode as Code;
    let failed = |error: Value| json!({"type": "response.failed", "response": {"error": error}});
    let code = |code: &str| failed(json!({"code": code, "message": "m"}));
    let table = [
        (code("context_length_exceeded"), Code::ContextWindowExceeded),
        (code("rate_limit_exceeded"), Code::RateLimited),
        (code("insufficient_quota"), Code::UsageLimitReached),
        (code("usage_limit_reached"), Code::UsageLimitReached),
        (code("usage_not_included"), Code::UsageNotIncluded),
        (code("invalid_prompt"), Code::InvalidRequest),
        (code("server_error"), Code::ServerError),
        (code("server_is_overloaded"), Code::ServerError),
        (code("slow_down"), Code::ServerError),
        (code("something_new"), Code::ResponseFailed),
        (code("400"), Code::InvalidRequest),
        (code("429"), Code::RateLimited),
        (code("1234567"), Code::ResponseFailed),
        (failed(json!({"code": 400, "message": "m"})), Code::InvalidRequest),
        (failed(json!({"code": 500, "message": "m"})), Code::ServerError),
        (
            failed(json!({"code": null, "type": "exceed_context_size_error"})),
            Code::ContextWindowExceeded,
        ),
        (
            failed(json!({"code": 400, "type": "exceed_context_size_error"})),
            Code::ContextWindowExceeded,
        ),
        (
            failed(json!({"message": "This model's maximum context length is 8192 tokens"})),
            Code::ContextWindowExceeded,
        ),
        (failed(json!("the input exceeds the context window")), Code::ContextWindowExceeded),
        (failed(json!("odd")), Code::ResponseFailed),
        (failed(json!([7])), Code::ResponseFailed),
        (failed(Value::Null), Code::ResponseFailed),
        (json!({"type": "response.failed"}), Code::ResponseFailed),
        (
            json!({"type": "response.failed", "response": {"output": 7, "error": {"code": "server_error"}}}),
            Code::ServerError,
        ),
        (
            json!({"type": "response.completed", "response": {"status": "failed", "error": {"code": "server_error"}}}),
            Code::ServerError,
        ),
        (
            json!({"type": "response.completed", "response": {"error": "no", "output": 7}}),
            Code::ResponseFailed,
        ),
        (
            json!({"type": "response.completed", "response": {"status": "incomplete"}}),
            Code::ResponseIncomplete,
        ),
        (json!({"type": "response.incomplete"}), Code::ResponseIncomplete),
        (
            json!({"type": "error", "code": "rate_limit_exceeded", "message": "m"}),
            Code::RateLimited,
        ),
        (
            json!({"type": "error", "error": {"type": "overloaded_error", "message": "m"}}),
            Code::ServerError,
        ),
        (json!({"type": "error"}), Code::ResponseFailed),
        (
            json!({"error": {"code": 500, "message": "m", "type": "server_error"}}),
            Code::ServerError,
        ),
        (
            json!({"error": {"code": 400, "message": "exceeds the available context size (1)"}}),
            Code::ContextWindowExceeded,
        ),
        (json!({"error": "text"}), Code::ResponseFailed),
    ];
    for (event, code) in table {
        let error = decode(&event.to_string()).unwrap_err();
        assert_eq!(error.code(), code, "{event}");
        assert_eq!(error.stage(), crate::error::Stage::Stream, "{event}");
    }
}

#[test]
fn failures_say_what_the_server_said() {
    let error = |event: Value| decode(&event.to_string()).unwrap_err();
    let failed = |error: Value| json!({"type": "response.failed", "response": {"error": error}});
    let limit = error(failed(json!({"code": "rate_limit_exceeded",
        "message": "Rate limit reached. Please try again in 11.054s."})));
    assert_eq!(limit.retry_after().unwrap().as_millis(), 11_054);
    assert_eq!(limit.to_string(), "Rate limit reached. Please try again in 11.054s.");
    let texts = [
        (error(json!({"error": "plain\ntext"})), "plain text"),
        (error(json!({"type": "error", "message": "top"})), "top"),
        (error(json!({"type": "error", "error": {"message": "within"}})), "within"),
        (error(failed(json!("odd"))), "odd"),
        (
            error(failed(Value::Null)),
            "the server ended the response with a failure and gave no reason",
        ),
    ];
    for (error, text) in texts {
        assert_eq!(error.to_string(), text);
    }
    let details = json!({"incomplete_details": {"reason": "max_output_tokens"}, "usage": 7});
    let incomplete = error(json!({"type": "response.incomplete", "response": details}));
    assert_eq!(incomplete.reason(), Some("max_output_tokens"));
    assert!(!incomplete.is_retryable());
    let unknown =
        error(json!({"type": "response.incomplete", "response": {"incomplete_details": "x"}}));
    assert_eq!(unknown.reason(), Some("unknown"));
}

#[test]
fn items_that_a_server_left_out_are_taken_from_the_end_if_that_is_safe() {
    let named = |id: &str| item(&json!({"type": "reasoning", "id": id, "summary": []}));
    let changed = |id: &str| item(&json!({"type": "reasoning", "id": id, "summary": ["end"]}));
    let nameless = || item(&json!({"type": "reasoning", "summary": []}));
    let table = [
        ("the end is empty", vec![named("a")], vec![], vec![named("a")]),
        ("nothing came", vec![], vec![named("a")], vec![named("a")]),
        (
            "one was left out",
            vec![named("b")],
            vec![changed("a"), changed("b")],
            vec![changed("a"), named("b")],
        ),
        ("another is at the end", vec![named("a")], vec![named("b"), named("c")], vec![named("a")]),
        (
            "the end lacks one",
            vec![named("a"), named("b")],
            vec![named("b")],
            vec![named("a"), named("b")],
        ),
        ("no ids", vec![nameless()], vec![nameless(), nameless()], vec![nameless()]),
        ("same items", vec![named("a")], vec![changed("a")], vec![named("a")]),
    ];
    for (what, done, output, expected) in table {
        let completed = Completed { output, ..Completed::default() };
        assert_eq!(completed.reconcile(done), expected, "{what}");
    }
}
