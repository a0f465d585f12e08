//! Events that are odd, broken, unknown or come in odd order.

use longhaul_testkit::exchange::Course;
use longhaul_testkit::sse::ResponseBuilder;
use longhaul_transport::{ErrorCode, ResponseEvent};
use serde_json::{Value, json};

use super::support::{attempt, body, completed, delta, events, text};

#[tokio::test]
async fn f041_an_incomplete_response_is_an_error_with_its_reason() {
    for reason in ["max_output_tokens", "content_filter", "something_new"] {
        let response = ResponseBuilder::new().text("half").call("c", "t", "{}").incomplete(reason);
        let (events, error) = attempt(Course::sse(body(&response))).await;
        let error = error.unwrap();
        assert!(events.iter().all(|event| !event.is_terminal()));
        assert_eq!((error.code(), error.reason()), (ErrorCode::ResponseIncomplete, Some(reason)));
        assert!(!error.is_retryable());
    }
}

#[tokio::test]
async fn f042_an_end_without_a_terminal_event_is_incomplete() {
    for end in ["", "data: [DONE]\n\n", "data: [DONE]", ": bye\n\n"] {
        let (events, error) = attempt(Course::sse(body(&[delta("a")]) + end)).await;
        let error = error.unwrap();
        assert_eq!((events.len(), error.code()), (1, ErrorCode::StreamIncomplete), "{end:?}");
        assert!(error.is_retryable());
    }
}

/// What follows the first terminal event is not read, be it a failure or no JSON.
#[tokio::test]
async fn f043_the_first_terminal_event_wins() {
    let end = body(&[delta("a"), completed()]);
    let alone = events(end.clone()).await;
    let second = json!({"type": "response.completed", "response": {"id": "second"}});
    let failed = json!({"type": "response.failed", "response": {"error": {"code": "x"}}});
    let after = [
        body(&[second]),
        body(&[failed.clone(), completed()]),
        body(&[delta("b")]),
        "data: [DONE]\n\n".into(),
        "data: [DONE]x\n\ndata: {\n\n\u{0}\n".into(),
    ];
    for after in after {
        assert_eq!(events(end.clone() + &after).await, alone, "{after}");
        let (given, error) = attempt(Course::sse(end.clone()).body(after.clone())).await;
        assert_eq!((given, error.is_none()), (alone.clone(), true), "{after}");
    }
    let (given, error) = attempt(Course::sse(body(&[failed, completed()]))).await;
    assert_eq!((given.len(), error.unwrap().code()), (0, ErrorCode::ResponseFailed));
}

/// `[DONE]` means nothing here, with space around it or not; what only resembles it is no JSON.
#[tokio::test]
async fn f043_done_by_name_is_read_over_and_nothing_else_is() {
    let end = body(&[completed()]);
    for done in ["data: [DONE]\n\n", "data: [DONE] \n\n", "data:\ndata: [DONE]\ndata:\n\n"] {
        assert_eq!(events(format!("{done}{end}")).await.len(), 1, "{done:?}");
    }
    for odd in ["data: [DONE]x\n\n", "data: [DONE]\ndata: [DONE]\n\n", "data: [done]\n\n"] {
        let (_, error) = attempt(Course::sse(format!("{odd}{end}"))).await;
        let error = error.unwrap();
        assert_eq!((error.code(), error.is_retryable()), (ErrorCode::Protocol, true), "{odd:?}");
    }
}

/// Numbers are not looked at: one connection keeps its order, and what counts is the finished item.
#[tokio::test]
async fn f044_sequence_numbers_out_of_order_change_nothing() {
    let response = ResponseBuilder::new().text("hello").call("c", "t", "{}").completed();
    let plain = events(body(&response)).await;
    for number in [|_| json!(0), |at: usize| json!(100 - at), |_| json!("x"), |_| Value::Null] {
        let mut numbered = response.clone();
        for (at, event) in numbered.iter_mut().enumerate() {
            event["sequence_number"] = number(at);
        }
        let mut events = events(body(&numbered)).await;
        events.retain(|event| !matches!(event, ResponseEvent::Other { .. }));
        let known = plain.iter().filter(|event| !matches!(event, ResponseEvent::Other { .. }));
        assert_eq!(events, known.cloned().collect::<Vec<_>>());
    }
}

/// What a later version of the protocol may bring is passed on as it came, and disturbs nothing.
#[tokio::test]
async fn f047_what_is_not_known_is_kept_whole() {
    let event = r#"{"type":"response.hologram.delta","n":1.50,"x":{"b":1,"a":[]},"delta":"h"}"#;
    let item = r#"{"type":"hologram","id":"h","status":"shimmering","n":1.50,"b":1,"a":2}"#;
    let odd = format!(
        "data: {event}\n\n\
         data: {{\"type\":\"response.output_item.added\",\"new\":{{}},\"item\":{item}}}\n\n\
         data: {{\"item\":{item},\"type\":\"response.output_item.done\",\"status\":\"new\"}}\n\n\
         data: {{\"type\":\"response.output_text.delta\",\"delta\":\"x\",\"new\":{{\"a\":null}}}}\n\n"
    );
    let given = events(odd + &body(&[completed()])).await;
    let other =
        ResponseEvent::Other { r#type: "response.hologram.delta".into(), json: event.into() };
    assert_eq!(given[0], other);
    for event in &given[1..3] {
        let (ResponseEvent::ItemAdded(given) | ResponseEvent::ItemDone(given)) = event else {
            panic!("{event:?}");
        };
        assert_eq!(given.json(), item, "byte by byte");
    }
    assert_eq!((text(&given).as_str(), given.len()), ("x", 5));
}

/// The last word counts; nothing is added up beyond what a number holds.
#[tokio::test]
async fn f057_changing_names_and_wild_usage_do_no_harm() {
    let created = |id: &str, model: &str| json!({"type": "response.created", "response": {"id": id, "model": model}});
    let end = |usage: Value| json!({"type": "response.completed", "response": {"id": "c", "model": "z", "usage": usage}});
    let wild = 1_u64 << 63;
    let table = [
        (Value::Null, None),
        (json!("much"), None),
        (json!({}), Some((0, 0, 0))),
        (json!({"input_tokens": -1, "output_tokens": 1.5, "total_tokens": "x"}), Some((0, 0, 0))),
        (json!({"input_tokens": wild, "output_tokens": wild}), Some((wild, wild, u64::MAX))),
        (json!({"input_tokens": 1, "output_tokens": 2, "total_tokens": 9}), Some((1, 2, 9))),
    ];
    for (usage, expected) in table {
        let events =
            events(body(&[created("a", "x"), created("b", "y"), end(usage.clone())])).await;
        let Some(ResponseEvent::Completed(completed)) = events.last() else {
            panic!("{events:?}");
        };
        let counts = completed.usage.map(|usage| (usage.input, usage.output, usage.total));
        assert_eq!((completed.response_id.as_deref(), counts), (Some("c"), expected), "{usage}");
    }
}

/// A lost delta is a lost character: nothing is skipped.
#[tokio::test]
async fn f058_a_broken_event_breaks_the_stream() {
    let event = delta("b").to_string();
    let cut = (1..event.len()).map(|at| event[..at].to_owned());
    let odd = [
        "{}}",
        "[]",
        "null",
        "7",
        "\"x\"",
        "{\"type\":\"response.output_text.delta\",\"delta\":\"\t\"}",
    ];
    for broken in cut.chain(odd.map(str::to_owned)) {
        let stream = format!("{}data: {broken}\n\n{}", body(&[delta("a")]), body(&[completed()]));
        let (events, error) = attempt(Course::sse(stream)).await;
        let error = error.unwrap();
        assert_eq!(text(&events), "a", "{broken}");
        assert_eq!((error.code(), error.is_retryable()), (ErrorCode::Protocol, true), "{broken}");
    }
}
