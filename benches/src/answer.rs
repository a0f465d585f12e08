//! What a server answers in a turn, as OpenAI's streams it: a message in 50 deltas, or the call of a tool.

use std::error::Error;

use serde_json::{Value, json};

use crate::deltas;

/// What goes wrong.
pub type Failure = Box<dyn Error + Send + Sync>;

/// What the user says.
pub const MESSAGE: &str = "Oslo or Bergen: which is warmer?";

/// Deltas of the message.
pub const DELTAS: usize = 50;

/// The tool that is called.
pub const TOOL: &str = "weather";

/// What it does.
pub const DESCRIPTION: &str = "Weather now in a city.";

/// The call's arguments, as the model writes them.
pub const ARGUMENTS: &str = r#"{"city":"Oslo"}"#;

/// What the tool gives.
pub const OUTPUT: &str = "Oslo: 7 degrees, rain";

/// The call's id.
pub const CALL_ID: &str = "call_7Hk2mTqXbN0fVwLz4cRs9aYd";

/// The response's id.
pub const RESPONSE_ID: &str = "resp_68af2b3f1d0081a1b2c3d4e5f60718290a1b2c3d4e5f6071";

const MESSAGE_ID: &str = "msg_68af2b3f1d0081a1b2c3d4e5f60718290a1b2c3d4e5f6071";

const CALL_ITEM_ID: &str = "fc_68af2b3f1d0081a1b2c3d4e5f60718290a1b2c3d4e5f6071";

const USAGE: &str = concat!(
    r#"{"input_tokens":120,"input_tokens_details":{"cached_tokens":0},"output_tokens":60,"#,
    r#""output_tokens_details":{"reasoning_tokens":0},"total_tokens":180}"#,
);

/// One event of a stream.
#[derive(Debug, Clone)]
pub struct Event {
    /// Its type.
    pub kind: &'static str,
    /// All of it, as JSON.
    pub json: String,
}

/// The JSON schema of the tool's arguments.
pub fn parameters() -> Value {
    json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]})
}

/// Who loses a byte is no faster.
///
/// # Errors
///
/// If it is not the [message](text).
pub fn check(message: &str) -> Result<(), Failure> {
    if message == text() { Ok(()) } else { Err(format!("another message: {message:?}").into()) }
}

/// The message.
pub fn text() -> String {
    (0..DELTAS).map(deltas::text).collect()
}

/// The events of a response that says it.
pub fn message() -> Vec<Event> {
    let (empty, whole) = (part(""), part(&text()));
    let of_part = format!(r#""item_id":"{MESSAGE_ID}","output_index":0,"content_index":0"#);
    let mut events = vec![
        (
            "response.output_item.added",
            format!(r#""output_index":0,"item":{}"#, item("in_progress", "")),
        ),
        ("response.content_part.added", format!(r#"{of_part},"part":{empty}"#)),
    ];
    events.extend((0..DELTAS).map(|index| {
        let delta = quoted(deltas::text(index));
        // Padding of random length, against those who read lengths.
        let padding = &"q7RzL0bXvK2mTd9w"[index * 7 % 11..];
        let fields =
            format!(r#"{of_part},"delta":{delta},"logprobs":[],"obfuscation":"{padding}""#);
        ("response.output_text.delta", fields)
    }));
    let item = item("completed", &whole);
    events.extend([
        (
            "response.output_text.done",
            format!(r#"{of_part},"text":{},"logprobs":[]"#, quoted(&text())),
        ),
        ("response.content_part.done", format!(r#"{of_part},"part":{whole}"#)),
        ("response.output_item.done", format!(r#""output_index":0,"item":{item}"#)),
    ]);
    response(events, &item)
}

/// The events of a response that calls the tool.
pub fn call() -> Vec<Event> {
    let of_item = format!(r#""item_id":"{CALL_ITEM_ID}","output_index":0"#);
    let begun = call_item("in_progress", "");
    let mut events =
        vec![("response.output_item.added", format!(r#""output_index":0,"item":{begun}"#))];
    events.extend([r#"{""#, "city", r#"":""#, "Oslo", r#""}"#].map(|delta| {
        let fields = format!(r#"{of_item},"delta":{},"obfuscation":"q7RzL0""#, quoted(delta));
        ("response.function_call_arguments.delta", fields)
    }));
    let item = call_item("completed", ARGUMENTS);
    let arguments = quoted(ARGUMENTS);
    events.extend([
        (
            "response.function_call_arguments.done",
            format!(r#"{of_item},"name":"{TOOL}","arguments":{arguments}"#),
        ),
        ("response.output_item.done", format!(r#""output_index":0,"item":{item}"#)),
    ]);
    response(events, &item)
}

/// A response as HTTP/1.1 sends it: its head, and a chunk for each event.
pub fn http(events: &[Event]) -> Vec<u8> {
    let mut bytes = unfinished_http(events);
    bytes.extend_from_slice(b"0\r\n\r\n");
    bytes
}

/// The same without the end of its body.
pub fn unfinished_http(events: &[Event]) -> Vec<u8> {
    let head = concat!(
        "HTTP/1.1 200 OK\r\n",
        "content-type: text/event-stream; charset=utf-8\r\n",
        "x-request-id: req_0123456789abcdef0123456789abcdef\r\n",
        "transfer-encoding: chunked\r\n\r\n",
    );
    let chunks = events.iter().map(|Event { kind, json }| {
        let event = format!("event: {kind}\ndata: {json}\n\n");
        format!("{:x}\r\n{event}\r\n", event.len())
    });
    [head.to_owned(), chunks.collect()].concat().into_bytes()
}

/// Whole events, between those that every response has.
fn response(events: Vec<(&'static str, String)>, item: &str) -> Vec<Event> {
    let around = |status: &str, output: &str, usage: &str| {
        format!(
            r#""response":{{"id":"{RESPONSE_ID}","object":"response","created_at":1755786047,"status":"{status}","background":false,"error":null,"incomplete_details":null,"instructions":null,"max_output_tokens":null,"max_tool_calls":null,"model":"gpt-5-2025-08-07","output":[{output}],"parallel_tool_calls":true,"previous_response_id":null,"prompt_cache_key":null,"reasoning":{{"effort":"medium","summary":null}},"safety_identifier":null,"service_tier":"default","store":false,"temperature":1.0,"text":{{"format":{{"type":"text"}},"verbosity":"medium"}},"tool_choice":"auto","tools":[],"top_logprobs":0,"top_p":1.0,"truncation":"disabled","usage":{usage},"user":null,"metadata":{{}}}}"#
        )
    };
    let begun = around("in_progress", "", "null");
    let first = [("response.created", begun.clone()), ("response.in_progress", begun)];
    let last = [("response.completed", around("completed", item, USAGE))];
    let all = first.into_iter().chain(events).chain(last).enumerate();
    all.map(|(number, (kind, fields))| Event {
        kind,
        json: format!(r#"{{"type":"{kind}","sequence_number":{number},{fields}}}"#),
    })
    .collect()
}

fn part(text: &str) -> String {
    format!(r#"{{"type":"output_text","annotations":[],"logprobs":[],"text":{}}}"#, quoted(text))
}

fn item(status: &str, content: &str) -> String {
    format!(
        r#"{{"id":"{MESSAGE_ID}","type":"message","status":"{status}","content":[{content}],"role":"assistant"}}"#
    )
}

fn call_item(status: &str, arguments: &str) -> String {
    format!(
        r#"{{"id":"{CALL_ITEM_ID}","type":"function_call","status":"{status}","arguments":{},"call_id":"{CALL_ID}","name":"{TOOL}"}}"#,
        quoted(arguments)
    )
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}
