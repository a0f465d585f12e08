//! The events of a response, as a Responses server streams them.
//!
//! [`ResponseBuilder`] makes the whole list, from `response.created` to a terminal event, with the fields that
//! OpenAI's servers send. Everything is a function of what was given: no clock, no random ids.

use std::fmt::Display;

use serde_json::{Value, json};

/// Builds the events of one response, item by item.
///
/// # Example
///
/// ```
/// use longhaul_testkit::sse::ResponseBuilder;
///
/// let events = ResponseBuilder::new()
///     .reasoning("Look first.", Some("gAAAA"))
///     .text("Let me look.")
///     .call("call_1", "shell", r#"{"cmd":"ls"}"#)
///     .usage(120, 30)
///     .completed();
/// assert_eq!(events[0]["type"], "response.created");
/// assert_eq!(events.last().unwrap()["response"]["output"][2]["call_id"], "call_1");
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct ResponseBuilder {
    id: String,
    model: String,
    usage: Usage,
    items: Vec<Item>,
}

/// What a response says it cost, in tokens. `total_tokens` is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// All input tokens, cached ones included. Default 10.
    pub input_tokens: u64,
    /// The part of the input that came from the prompt cache. Default 0.
    pub cached_tokens: u64,
    /// All output tokens, reasoning included. Default 5.
    pub output_tokens: u64,
    /// The part of the output that was reasoning. Default 0.
    pub reasoning_tokens: u64,
}

impl Default for Usage {
    fn default() -> Self {
        Self { input_tokens: 10, cached_tokens: 0, output_tokens: 5, reasoning_tokens: 0 }
    }
}

impl Default for ResponseBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl ResponseBuilder {
    /// A response without items, with id `resp_1`, model `test-model` and the default [`Usage`].
    pub fn new() -> Self {
        Self {
            id: "resp_1".into(),
            model: "test-model".into(),
            usage: Usage::default(),
            items: Vec::new(),
        }
    }

    /// Sets the response id. Item ids are made from it, as `msg_<id>_<output index>`.
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = id.into();
        self
    }

    /// Sets the model slug that the response names.
    pub fn model(mut self, model: impl Into<String>) -> Self {
        self.model = model.into();
        self
    }

    /// Sets the token counts, none cached and none for reasoning.
    pub fn usage(self, input_tokens: u64, output_tokens: u64) -> Self {
        self.usage_full(Usage { input_tokens, output_tokens, ..Usage::default() })
    }

    /// Sets all token counts.
    pub fn usage_full(mut self, usage: Usage) -> Self {
        self.usage = usage;
        self
    }

    /// Adds a message of the assistant, streamed in one delta a word.
    pub fn text(self, text: impl Into<String>) -> Self {
        let text = text.into();
        let part = |text: &str| json!({"type": "output_text", "text": text, "annotations": []});
        let message = |status: &str, content: Value| json!({"type": "message", "status": status, "role": "assistant", "content": content});
        let mut between = vec![
            json!({"type": "response.content_part.added", "content_index": 0, "part": part("")}),
        ];
        between.extend(deltas("response.output_text", "text", "content_index", &text));
        between.push(
            json!({"type": "response.content_part.done", "content_index": 0, "part": part(&text)}),
        );
        self.push(
            "msg",
            message("in_progress", json!([])),
            between,
            message("completed", json!([part(&text)])),
        )
    }

    /// Adds a reasoning item. An empty `summary` gives an empty list; `None` leaves `encrypted_content` out.
    pub fn reasoning(self, summary: &str, encrypted: Option<&str>) -> Self {
        let part = |text: &str| json!({"type": "summary_text", "text": text});
        let mut between = Vec::new();
        let mut done = json!({"type": "reasoning", "summary": []});
        if !summary.is_empty() {
            let event = |kind: &str, text: &str| json!({"type": kind, "summary_index": 0, "part": part(text)});
            between.push(event("response.reasoning_summary_part.added", ""));
            between.extend(deltas(
                "response.reasoning_summary_text",
                "text",
                "summary_index",
                summary,
            ));
            between.push(event("response.reasoning_summary_part.done", summary));
            done["summary"] = json!([part(summary)]);
        }
        if let Some(encrypted) = encrypted {
            done["encrypted_content"] = json!(encrypted);
        }
        self.push("rs", json!({"type": "reasoning", "summary": []}), between, done)
    }

    /// Adds a function call. `arguments` go out as displayed, so text that is not JSON is possible.
    pub fn call(self, call_id: &str, name: &str, arguments: impl Display) -> Self {
        let arguments = arguments.to_string();
        let call = |status: &str, arguments: &str| json!({"type": "function_call", "status": status, "arguments": arguments, "call_id": call_id, "name": name});
        let between = vec![
            json!({"type": "response.function_call_arguments.delta", "delta": arguments}),
            json!({"type": "response.function_call_arguments.done", "arguments": arguments}),
        ];
        self.push("fc", call("in_progress", ""), between, call("completed", &arguments))
    }

    /// Adds a call of a custom tool, whose input is free text.
    pub fn custom_call(self, call_id: &str, name: &str, input: &str) -> Self {
        let call = |status: &str, input: &str| json!({"type": "custom_tool_call", "status": status, "call_id": call_id, "name": name, "input": input});
        let between = vec![
            json!({"type": "response.custom_tool_call_input.delta", "delta": input}),
            json!({"type": "response.custom_tool_call_input.done", "input": input}),
        ];
        self.push("ctc", call("in_progress", ""), between, call("completed", input))
    }

    /// Adds any other item, with `added` and `done` events and no deltas. An `id` that it has is kept.
    pub fn item(self, item: Value) -> Self {
        self.push("item", item.clone(), Vec::new(), item)
    }

    /// Ends with `response.completed`.
    pub fn completed(self) -> Vec<Value> {
        let usage = self.usage.to_json();
        self.finish("completed", &[("usage", usage)])
    }

    /// Ends with `response.incomplete`; a usual `reason` is `max_output_tokens` or `content_filter`.
    pub fn incomplete(self, reason: &str) -> Vec<Value> {
        let usage = self.usage.to_json();
        self.finish(
            "incomplete",
            &[("usage", usage), ("incomplete_details", json!({"reason": reason}))],
        )
    }

    /// Ends with `response.failed`, for instance with code `context_length_exceeded`.
    pub fn failed(self, code: &str, message: &str) -> Vec<Value> {
        self.finish("failed", &[("error", json!({"code": code, "message": message}))])
    }

    /// All events but the terminal one.
    pub fn unfinished(self) -> Vec<Value> {
        let mut events = self.completed();
        events.pop();
        events
    }

    fn push(
        mut self,
        prefix: &'static str,
        added: Value,
        between: Vec<Value>,
        done: Value,
    ) -> Self {
        self.items.push(Item { prefix, added, between, done });
        self
    }

    fn finish(self, status: &str, end: &[(&str, Value)]) -> Vec<Value> {
        let response = |status: &str| {
            json!({"id": self.id, "object": "response", "created_at": 1_700_000_000, "status": status,
                "model": self.model, "output": [], "usage": null, "error": null, "incomplete_details": null})
        };
        let mut events: Vec<Value> = ["created", "in_progress"]
            .map(|kind| json!({"type": format!("response.{kind}"), "response": response("in_progress")}))
            .into();
        let mut last = response(status);
        let mut output = Vec::new();
        for (index, item) in self.items.into_iter().enumerate() {
            let (mut streamed, done) = item.events(&self.id, index);
            events.append(&mut streamed);
            output.push(done);
        }
        last["output"] = output.into();
        for (key, value) in end {
            last[*key] = value.clone();
        }
        events.push(json!({"type": format!("response.{status}"), "response": last}));
        for (number, event) in events.iter_mut().enumerate() {
            event["sequence_number"] = json!(number);
        }
        events
    }
}

impl Usage {
    fn to_json(self) -> Value {
        json!({
            "input_tokens": self.input_tokens,
            "input_tokens_details": {"cached_tokens": self.cached_tokens},
            "output_tokens": self.output_tokens,
            "output_tokens_details": {"reasoning_tokens": self.reasoning_tokens},
            "total_tokens": self.input_tokens + self.output_tokens,
        })
    }
}

/// One output item: how it begins, what streams, how it ends. Ids and output indexes come last.
#[derive(Clone, Debug)]
struct Item {
    prefix: &'static str,
    added: Value,
    between: Vec<Value>,
    done: Value,
}

impl Item {
    fn events(mut self, response_id: &str, index: usize) -> (Vec<Value>, Value) {
        let id = match self.done.get("id").and_then(Value::as_str) {
            Some(id) => id.to_owned(),
            None => format!("{}_{response_id}_{index}", self.prefix),
        };
        for item in [&mut self.added, &mut self.done] {
            item["id"] = json!(id);
        }
        let item_event =
            |kind: &str, item: &Value| json!({"type": kind, "output_index": index, "item": item});
        let mut events = vec![item_event("response.output_item.added", &self.added)];
        for mut event in self.between {
            event["item_id"] = json!(id);
            event["output_index"] = json!(index);
            events.push(event);
        }
        events.push(item_event("response.output_item.done", &self.done));
        (events, self.done)
    }
}

/// One `<stem>.delta` a word, then `<stem>.done` with the whole under `whole_key`.
fn deltas(stem: &str, whole_key: &str, index_key: &str, text: &str) -> Vec<Value> {
    let delta = format!("{stem}.delta");
    let mut events: Vec<Value> = text
        .split_inclusive(' ')
        .map(|word| json!({"type": delta, index_key: 0, "delta": word}))
        .collect();
    events.push(json!({"type": format!("{stem}.done"), index_key: 0, whole_key: text}));
    events
}

/// How events become bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Format {
    pub(crate) event_line: bool,
    pub(crate) crlf: bool,
}

impl Format {
    pub(crate) fn event(self, event: &Value) -> String {
        let kind = event.get("type").and_then(Value::as_str).filter(|_| self.event_line);
        let line = kind.map(|kind| format!("event: {kind}{}", self.end())).unwrap_or_default();
        line + &self.data(&event.to_string())
    }

    pub(crate) fn data(self, data: &str) -> String {
        format!("data: {data}{end}{end}", end = self.end())
    }

    pub(crate) fn comment(self, text: &str) -> String {
        format!(": {text}{end}{end}", end = self.end())
    }

    fn end(self) -> &'static str {
        if self.crlf { "\r\n" } else { "\n" }
    }
}
