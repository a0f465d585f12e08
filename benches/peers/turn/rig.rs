//! rig-core: a client of the Responses API; the agent around it is a crate of its own.

use std::hint::black_box;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use longhaul_peers::answer::{self, Failure, MESSAGE};
use longhaul_peers::naive;
use rig_core::completion::{CompletionRequest, ToolDefinition};
use rig_core::driver::Model;
use rig_core::message::{Message, ToolName, ToolResultContent};
use rig_core::providers::openai::OpenAIConfig;
use rig_core::providers::openai::responses_api::wire::Responses;
use rig_core::streaming::{Item, StreamEvent};
use rig_reqwest::ReqwestClient;

use crate::Sum;

pub(crate) fn model(base_url: &str) -> Result<Model<Responses>, Failure> {
    let config = OpenAIConfig::new("none").with_base_url(base_url);
    Ok(config.connect(ReqwestClient::from(naive::client()?)).responses("gpt-5"))
}

pub(crate) async fn sum(model: Model<Responses>, times: u64) -> Sum {
    let name = ToolName::new(answer::TOOL)?;
    let tool = ToolDefinition::new(name, answer::DESCRIPTION, answer::parameters());
    let mut sum = Duration::ZERO;
    for _ in 0..times {
        let start = Instant::now();
        let message = turn(&model, &tool).await?;
        sum += start.elapsed();
        answer::check(&message)?;
    }
    Ok(sum)
}

async fn turn(model: &Model<Responses>, tool: &ToolDefinition) -> Result<String, Failure> {
    let mut conversation = vec![Message::user(MESSAGE)];
    loop {
        let request = CompletionRequest::from(conversation.clone()).tool(tool.clone());
        let mut stream = model.stream(request)?;
        while let Some(item) = stream.next().await {
            if let Item::Event(StreamEvent::Text { text, .. }) = item? {
                black_box(text);
            }
        }
        let response = stream.finish().await?;
        let results: Vec<_> = response
            .tool_calls()
            .map(|call| call.result(vec![ToolResultContent::text(answer::OUTPUT)]))
            .collect();
        if results.is_empty() {
            return Ok(response.text());
        }
        conversation.extend(response.message());
        conversation.push(Message::tool_results(results));
    }
}
