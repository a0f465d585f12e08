//! async-openai: a client of the Responses API with types for all of it.

use std::hint::black_box;
use std::time::{Duration, Instant};

use async_openai::Client;
use async_openai::config::OpenAIConfig;
use async_openai::types::responses::{
    CreateResponse, EasyInputMessage, FunctionCallOutput, FunctionCallOutputItemParam,
    FunctionTool, InputItem, InputParam, Item, OutputItem, ResponseStreamEvent, Tool,
};
use futures_util::StreamExt;
use longhaul_peers::answer::{self, Failure, MESSAGE};
use longhaul_peers::naive;

use crate::Sum;

pub(crate) fn client(base_url: &str) -> Result<Client<OpenAIConfig>, Failure> {
    let config = OpenAIConfig::new().with_api_base(base_url).with_api_key("none");
    Ok(Client::with_config(config).with_http_client(naive::client()?))
}

pub(crate) async fn sum(client: Client<OpenAIConfig>, times: u64) -> Sum {
    let mut sum = Duration::ZERO;
    for _ in 0..times {
        let start = Instant::now();
        let message = turn(&client).await?;
        sum += start.elapsed();
        answer::check(&message)?;
    }
    Ok(sum)
}

async fn turn(client: &Client<OpenAIConfig>) -> Result<String, Failure> {
    let mut conversation = vec![InputItem::from(EasyInputMessage::from(MESSAGE))];
    loop {
        let mut outputs = Vec::new();
        let response = ask(client, conversation.clone()).await?;
        let text = response.output_text();
        for item in response.output {
            let OutputItem::FunctionCall(call) = item else { continue };
            let call_id = Some(call.call_id.clone());
            let output = FunctionCallOutput::Text(answer::OUTPUT.into());
            outputs.push(Item::FunctionCall(call));
            outputs.push(Item::FunctionCallOutput(FunctionCallOutputItemParam {
                call_id,
                output,
                id: None,
                status: None,
                name: None,
                namespace: None,
                caller: None,
            }));
        }
        if outputs.is_empty() {
            return text.ok_or_else(|| "no message".into());
        }
        conversation.extend(outputs.into_iter().map(InputItem::from));
    }
}

async fn ask(
    client: &Client<OpenAIConfig>,
    input: Vec<InputItem>,
) -> Result<async_openai::types::responses::Response, Failure> {
    let request = CreateResponse {
        model: Some("gpt-5".into()),
        input: InputParam::Items(input),
        tools: Some(vec![tool()]),
        store: Some(false),
        stream: Some(true),
        ..CreateResponse::default()
    };
    let mut stream = client.responses().create_stream(request).await?;
    let mut response = None;
    while let Some(event) = stream.next().await {
        match event? {
            ResponseStreamEvent::ResponseOutputTextDelta(delta) => _ = black_box(delta.delta),
            ResponseStreamEvent::ResponseCompleted(completed) => {
                response = Some(completed.response);
            }
            _ => {}
        }
    }
    response.ok_or_else(|| "the stream ended too early".into())
}

fn tool() -> Tool {
    Tool::Function(FunctionTool {
        name: answer::TOOL.into(),
        parameters: Some(answer::parameters()),
        description: Some(answer::DESCRIPTION.into()),
        strict: Some(false),
        ..FunctionTool::default()
    })
}
