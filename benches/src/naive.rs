//! A turn as it is written by hand: the conversation as JSON values, all of them serialised for each
//! request, one POST, lines that are split and parsed.

use std::hint::black_box;
use std::time::{Duration, Instant};

use reqwest::header::{ACCEPT, CONTENT_TYPE};
use serde::Serialize;
use serde_json::{Value, json};

use crate::answer::{self, Failure, MESSAGE};

/// A conversation and where it is sent.
pub struct Naive {
    client: reqwest::Client,
    url: String,
    tools: Value,
    conversation: Vec<Value>,
}

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    tools: &'a Value,
    store: bool,
    stream: bool,
    input: &'a [Value],
}

/// An HTTP client as one gets it, but for proxies.
///
/// # Errors
///
/// If TLS cannot be set up.
pub fn client() -> reqwest::Result<reqwest::Client> {
    // Somebody else may have.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build()
}

/// So many turns, each the first of its conversation.
///
/// # Errors
///
/// If one fails, or says anything but the [message](answer::text).
pub async fn sum(
    client: reqwest::Client,
    base_url: String,
    times: u64,
) -> Result<Duration, Failure> {
    let mut sum = Duration::ZERO;
    for _ in 0..times {
        let mut naive = Naive::new(&client, &base_url).with_tool();
        let start = Instant::now();
        let message = naive.turn(MESSAGE, |delta| _ = black_box(delta)).await?;
        sum += start.elapsed();
        answer::check(&message)?;
    }
    Ok(sum)
}

impl Naive {
    /// An empty conversation with the server at `base_url`.
    pub fn new(client: &reqwest::Client, base_url: &str) -> Self {
        Self {
            client: client.clone(),
            url: format!("{base_url}/responses"),
            tools: json!([]),
            conversation: Vec::new(),
        }
    }

    /// The same with a tool, which answers [`answer::OUTPUT`].
    #[must_use]
    pub fn with_tool(mut self) -> Self {
        self.tools = json!([{"type": "function", "name": answer::TOOL, "strict": false,
            "description": answer::DESCRIPTION, "parameters": answer::parameters()}]);
        self
    }

    /// One turn: asks, and runs tools, until there is a message. Gives each piece of it to `show`.
    ///
    /// # Errors
    ///
    /// Whatever goes wrong first.
    pub async fn turn(
        &mut self,
        text: &str,
        mut show: impl FnMut(&str),
    ) -> Result<String, Failure> {
        self.conversation.push(json!({"type": "message", "role": "user",
            "content": [{"type": "input_text", "text": text}]}));
        loop {
            let output = self.ask(&mut show).await?;
            let calls: Vec<_> =
                output.iter().filter(|item| item["type"] == "function_call").cloned().collect();
            let message = output.iter().find_map(|item| item["content"][0]["text"].as_str());
            let message = message.map(str::to_owned);
            self.conversation.extend(output);
            if calls.is_empty() {
                return message.ok_or_else(|| "neither a call nor a message".into());
            }
            for call in calls {
                let _: Value =
                    serde_json::from_str(call["arguments"].as_str().unwrap_or_default())?;
                self.conversation.push(json!({"type": "function_call_output",
                    "call_id": call["call_id"], "output": answer::OUTPUT}));
            }
        }
    }

    /// The bytes of the next request.
    ///
    /// # Errors
    ///
    /// None: values can be serialised.
    pub fn body(&self) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(&Body {
            model: "gpt-5",
            tools: &self.tools,
            store: false,
            stream: true,
            input: &self.conversation,
        })
    }

    /// Adds to the conversation.
    pub fn extend(&mut self, items: impl IntoIterator<Item = Value>) {
        self.conversation.extend(items);
    }

    /// Keeps the first `len` items of the conversation.
    pub fn truncate(&mut self, len: usize) {
        self.conversation.truncate(len);
    }

    /// One request: the items of its response.
    async fn ask(&self, show: &mut impl FnMut(&str)) -> Result<Vec<Value>, Failure> {
        let request = self.client.post(&self.url).header(CONTENT_TYPE, "application/json");
        let request = request.header(ACCEPT, "text/event-stream").body(self.body()?);
        let mut response = request.send().await?.error_for_status()?;
        let mut lines = Vec::new();
        let mut output = None;
        while let Some(piece) = response.chunk().await? {
            lines.extend_from_slice(&piece);
            let mut taken = 0;
            while let Some(length) = lines[taken..].iter().position(|byte| *byte == b'\n') {
                let line = &lines[taken..taken + length];
                taken += length + 1;
                let Some(data) = line.strip_prefix(b"data: ") else { continue };
                let mut event: Value = serde_json::from_slice(data)?;
                match event["type"].as_str() {
                    Some("response.output_text.delta") => {
                        show(event["delta"].as_str().unwrap_or_default());
                    }
                    Some("response.completed") => {
                        output = Some(event["response"]["output"].take());
                    }
                    _ => {}
                }
            }
            lines.drain(..taken);
        }
        match output {
            Some(Value::Array(items)) => Ok(items),
            _ => Err("the stream ended too early".into()),
        }
    }
}
