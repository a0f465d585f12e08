//! genai: a client of many APIs, here of Responses.

use std::hint::black_box;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use genai::adapter::AdapterKind;
use genai::chat::{
    ChatMessage, ChatOptions, ChatRequest, ChatStreamEvent, Tool, ToolCall, ToolResponse,
};
use genai::resolver::{AuthData, Endpoint, ServiceTargetResolver};
use genai::{Client, ModelIden, ServiceTarget};
use longhaul_peers::answer::{self, Failure, MESSAGE};
use longhaul_peers::naive;

use crate::Sum;

pub(crate) fn client(base_url: &str) -> Result<Client, Failure> {
    let base_url: std::sync::Arc<str> = format!("{base_url}/").into();
    let resolver = ServiceTargetResolver::from_resolver_fn(
        move |target: ServiceTarget| -> Result<ServiceTarget, genai::resolver::Error> {
            Ok(ServiceTarget {
                endpoint: Endpoint::from_owned(std::sync::Arc::clone(&base_url)),
                auth: AuthData::from_single("none"),
                model: ModelIden::new(AdapterKind::OpenAIResp, target.model.model_name),
            })
        },
    );
    let builder = Client::builder().with_reqwest(naive::client()?);
    Ok(builder.with_service_target_resolver(resolver).build()?)
}

pub(crate) async fn sum(client: Client, times: u64) -> Sum {
    let options = ChatOptions::default().with_capture_content(true).with_capture_tool_calls(true);
    let mut sum = Duration::ZERO;
    for _ in 0..times {
        let start = Instant::now();
        let message = turn(&client, &options).await?;
        sum += start.elapsed();
        answer::check(&message)?;
    }
    Ok(sum)
}

async fn turn(client: &Client, options: &ChatOptions) -> Result<String, Failure> {
    let tool = Tool::new(answer::TOOL).with_description(answer::DESCRIPTION);
    let tool = tool.with_schema(answer::parameters());
    let mut request = ChatRequest::new(vec![ChatMessage::user(MESSAGE)]).with_tools(vec![tool]);
    loop {
        let mut response = client.exec_chat_stream("gpt-5", request.clone(), Some(options)).await?;
        let mut end = None;
        while let Some(event) = response.stream.next().await {
            match event? {
                ChatStreamEvent::Chunk(chunk) => _ = black_box(chunk.content),
                ChatStreamEvent::End(last) => end = Some(last),
                _ => {}
            }
        }
        let end = end.ok_or("the stream ended too early")?;
        let calls: Vec<ToolCall> =
            end.captured_tool_calls().unwrap_or_default().into_iter().cloned().collect();
        if calls.is_empty() {
            return end.captured_into_first_text().ok_or_else(|| "no message".into());
        }
        let answers: Vec<_> =
            calls.iter().map(|call| ToolResponse::new(&call.call_id, answer::OUTPUT)).collect();
        request = request.append_message(ChatMessage::from(calls));
        for answer in answers {
            request = request.append_message(answer);
        }
    }
}
