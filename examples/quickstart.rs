//! A conversation of three turns with two tool calls in one response.
//!
//! Run without a key and without a network: `cargo run --example quickstart` starts a scripted
//! server on a loopback port and talks to it over real HTTP. With `OPENAI_BASE_URL` (and
//! `OPENAI_API_KEY`, `OPENAI_MODEL`) set it holds the same conversation with that server.
#![expect(clippy::print_stdout, reason = "a program for a terminal")]

use std::error::Error;
use std::io::Write;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use longhaul::history::WireFormat;
use longhaul::prelude::*;
use longhaul::transport::{
    Model, ModelError, Request, ResponseStream, ResponsesClient, RetryPolicy,
};
use longhaul_testkit::server::{Reply, Server};
use longhaul_testkit::sse::ResponseBuilder;

const TURNS: [&str; 3] = [
    "Oslo or Bergen: which is warmer right now?",
    "And where will I need an umbrella?",
    "Thank you. Say goodbye in one short sentence.",
];

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct City {
    /// Its name in English.
    city: String,
}

async fn weather(City { city }: City) -> Result<String, std::io::Error> {
    Ok(match city.as_str() {
        "Bergen" => "Bergen: 7 degrees, rain".into(),
        city => format!("{city}: 3 degrees, clear sky"),
    })
}

#[tokio::main]
async fn main() -> ExitCode {
    match converse().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("\n{error}");
            ExitCode::FAILURE
        }
    }
}

async fn converse() -> Result<(), Box<dyn Error>> {
    // The scripted server has to live as long as the conversation.
    let (provider, _server) = provider().await?;
    let model = std::env::var("OPENAI_MODEL").unwrap_or_else(|_| "gpt-6-astra".into());
    let log = Arc::new(Logged::new(ResponsesClient::new(provider)?));

    let agent = Agent::builder(model, Arc::clone(&log))
        .instructions("Answer briefly. Ask the weather tool about every city you speak of.")
        .tool(tool("weather", "Weather now in a city.", weather).read_only())
        .build()?;
    let session = agent.session().start().await?;
    for (number, text) in TURNS.into_iter().enumerate() {
        println!("\n[turn {}] {text}", number + 1);
        let mut turn = session.prompt(text).await?;
        while let Some(event) = turn.next().await {
            show(&event);
        }
        let result = turn.await?;
        println!("  {} model calls, {} tokens", result.model_calls, result.usage.total);
    }
    session.shutdown().await?;
    log.print();
    Ok(())
}

/// The server that the environment names, or a scripted one of our own.
async fn provider() -> Result<(Provider, Option<Server>), Box<dyn Error>> {
    let base_url = std::env::var("OPENAI_BASE_URL").unwrap_or_default();
    if !base_url.trim().is_empty() {
        let provider = Provider::from_env()?;
        println!("A conversation with the server at {}", provider.base_url);
        return Ok((provider, None));
    }
    let server = Server::start(script()).await?;
    let provider = Provider::named("openai", Some(&server.base_url()))?;
    println!("A conversation with a scripted server at {}", server.base_url());
    Ok((provider, Some(server)))
}

fn script() -> [Reply; 4] {
    let pace = Duration::from_millis(30);
    let calls = ResponseBuilder::new()
        .reasoning("Two cities, so two questions to the tool.", Some("gAAAA-encrypted"))
        .call("call_1", "weather", r#"{"city":"Oslo"}"#)
        .call("call_2", "weather", r#"{"city":"Bergen"}"#)
        .usage(120, 45);
    let answer = |text: &str, input| {
        let response = ResponseBuilder::new().text(text).usage(input, 20);
        Reply::from(response).paced(pace)
    };
    [
        calls.into(),
        answer("Bergen is warmer: 7 degrees against 3 in Oslo.", 230),
        answer("In Bergen. It rains there, while Oslo has a clear sky.", 270),
        answer("Goodbye, and take the umbrella to Bergen!", 310),
    ]
}

fn show(event: &Event) {
    match event {
        Event::TextDelta(text) => {
            print!("{text}");
            // A terminal that is gone ends the program at its next line.
            let _ = std::io::stdout().flush();
        }
        Event::ReasoningDelta(text) => print!("{text}"),
        Event::ItemCompleted(item) if item.kind.message_text().is_none() => println!(),
        Event::ToolCallBegin { name, arguments, .. } => println!("  -> {name} {arguments}"),
        Event::ToolCallEnd { output, .. } => println!("  <- {output}"),
        Event::StreamError { attempt, error, .. } => println!("  retry {attempt}: {error}"),
        Event::TurnComplete { .. } => println!(),
        _ => {}
    }
}

/// The client, with a note of every request that it sends: a model of our own around another.
struct Logged {
    client: ResponsesClient,
    lines: Mutex<Vec<String>>,
}

impl Logged {
    fn new(client: ResponsesClient) -> Self {
        Self { client, lines: Mutex::default() }
    }

    fn print(&self) {
        println!("\nRequests:");
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        for (number, line) in lines.iter().enumerate() {
            println!("  {}: {line}", number + 1);
        }
    }
}

#[async_trait]
impl Model for Logged {
    async fn stream(&self, request: &Request) -> Result<ResponseStream, ModelError> {
        let items = request.input.item_count();
        let bytes = self.client.encode(request)?.len();
        let reasoning = request.input.to_json().matches(r#""type":"reasoning""#).count();
        let kind = request.task_kind.as_str();
        let line = format!("{items} items, {reasoning} of them reasoning, {bytes} bytes, {kind}");
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        self.client.stream(request).await
    }

    fn encode(&self, request: &Request) -> Result<Bytes, ModelError> {
        self.client.encode(request)
    }

    fn wire_format(&self) -> WireFormat {
        self.client.wire_format()
    }

    fn retry_policy(&self) -> RetryPolicy {
        self.client.retry_policy()
    }
}
