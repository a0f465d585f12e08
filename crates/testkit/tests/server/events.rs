//! The events that replies are made of.

use longhaul_testkit::server::Reply;
use longhaul_testkit::sse::{ResponseBuilder, Usage};
use serde_json::json;

#[test]
fn events_are_formatted_as_asked() {
    let event = json!({"type": "x"});
    let reply = Reply::sse().event(&event).crlf().event(&event).without_event_lines();
    let reply = reply.comment("alive").event(&event).done_marker().event(&json!({"error": 1}));
    assert_eq!(
        String::from_utf8(reply.body()).unwrap(),
        "event: x\ndata: {\"type\":\"x\"}\n\nevent: x\r\ndata: {\"type\":\"x\"}\r\n\r\n: alive\r\n\r\n\
         data: {\"type\":\"x\"}\r\n\r\ndata: [DONE]\r\n\r\ndata: {\"error\":1}\r\n\r\n"
    );
}

#[test]
fn a_response_has_the_events_of_a_real_server() {
    let usage = Usage { input_tokens: 9, cached_tokens: 8, output_tokens: 7, reasoning_tokens: 6 };
    let response = ResponseBuilder::new().id("r").reasoning("Hm.", Some("e")).text("Hi you");
    let response =
        response.call("c", "f", json!({"a": 1})).custom_call("d", "g", "in").usage_full(usage);
    let events = response.clone().completed();
    let names: Vec<_> = events
        .iter()
        .map(|e| e["type"].as_str().unwrap().trim_start_matches("response."))
        .collect();
    let expected = "created in_progress \
        output_item.added reasoning_summary_part.added reasoning_summary_text.delta \
        reasoning_summary_text.done reasoning_summary_part.done output_item.done \
        output_item.added content_part.added output_text.delta output_text.delta \
        output_text.done content_part.done output_item.done \
        output_item.added function_call_arguments.delta function_call_arguments.done output_item.done \
        output_item.added custom_tool_call_input.delta custom_tool_call_input.done output_item.done \
        completed";
    assert_eq!(names, expected.split(' ').collect::<Vec<_>>());
    assert!(events.iter().enumerate().all(|(number, event)| event["sequence_number"] == number));
    assert_eq!(events[10]["delta"], "Hi ");
    assert_eq!(
        (&events[10]["item_id"], &events[10]["output_index"]),
        (&json!("msg_r_1"), &json!(1))
    );
    let done = &events.last().unwrap()["response"];
    assert_eq!(done["output"][0]["encrypted_content"], "e");
    assert_eq!(done["output"][2]["arguments"], r#"{"a":1}"#);
    assert_eq!(done["output"][3], events[22]["item"]);
    assert_eq!(
        done["usage"],
        json!({"input_tokens": 9, "input_tokens_details": {"cached_tokens": 8}, "output_tokens": 7,
            "output_tokens_details": {"reasoning_tokens": 6}, "total_tokens": 16})
    );
    assert_eq!(response.clone().unfinished()[..], events[..23]);
    let incomplete = response.clone().incomplete("max_output_tokens");
    assert_eq!(incomplete[23]["response"]["incomplete_details"]["reason"], "max_output_tokens");
    let failed = &response.failed("server_is_overloaded", "later")[23];
    assert_eq!(
        failed["response"]["error"],
        json!({"code": "server_is_overloaded", "message": "later"})
    );
}
