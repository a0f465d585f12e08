//! nanocodex: an agent over the WebSocket of the Responses API. It keeps its connection and sends what is
//! new, with the id of the response before. Its tools are functions in JavaScript, which it runs itself;
//! so the model calls the tool by a line of it.

use std::hint::black_box;
use std::time::{Duration, Instant};

use longhaul_peers::answer::{self, Failure, MESSAGE};
use nanocodex::{
    AgentEventKind, AgentEvents, Nanocodex, Responses, Tool, ToolContext, ToolDefinition,
    ToolExecution, ToolInput, ToolResult, Tools, async_trait,
};
use serde::Deserialize;

use crate::{Scenario, Sum};

const SCRIPT: &str = r#"text(await tools.weather({city: \"Oslo\"}));"#;

#[derive(Deserialize)]
struct Delta {
    text: String,
}

/// The same responses, but for how the tool is called.
pub(crate) fn responses(scenario: Scenario) -> Vec<Vec<answer::Event>> {
    let mut responses = scenario.responses();
    for event in responses.iter_mut().flatten() {
        let json = event.json.replace("function_call_arguments", "custom_tool_call_input");
        let json = json.replace("function_call", "custom_tool_call");
        let json = json.replace(r#""name":"weather""#, r#""name":"exec""#);
        let json =
            json.replace(r#""arguments":"{\"city\":\"Oslo\"}""#, &format!(r#""input":"{SCRIPT}""#));
        event.json = json.replace(r#""arguments":"""#, r#""input":"""#);
    }
    responses
}

/// All turns are those of one agent, which has already done one: its connection is there.
pub(crate) async fn sum(url: String, times: u64) -> Sum {
    let responses = Responses::builder().websocket_url(url).build();
    let tools = Tools::builder().without_defaults().tool(Weather).build()?;
    let agent = Nanocodex::builder("none").responses(responses).tools(tools);
    let (agent, mut events) = agent.workspace(std::env::temp_dir()).build()?;
    turn(&agent, &mut events).await?;
    let mut sum = Duration::ZERO;
    for _ in 0..times {
        let start = Instant::now();
        let message = turn(&agent, &mut events).await?;
        sum += start.elapsed();
        answer::check(&message)?;
    }
    Ok(sum)
}

async fn turn(agent: &Nanocodex, events: &mut AgentEvents) -> Result<String, Failure> {
    let turn = agent.prompt(MESSAGE).await?;
    while let Some(event) = events.recv().await {
        if event.kind == AgentEventKind::AssistantDelta {
            black_box(event.decode_payload::<Delta>()?.text);
        }
        if event.kind.is_terminal() {
            break;
        }
    }
    Ok(turn.result().await?.final_message)
}

struct Weather;

#[async_trait]
impl Tool for Weather {
    fn name(&self) -> &'static str {
        answer::TOOL
    }

    fn definition(&self) -> ToolDefinition {
        ToolDefinition::function(answer::TOOL, answer::DESCRIPTION, answer::parameters())
    }

    async fn execute(&self, _: ToolInput, _: ToolContext<'_>) -> ToolResult {
        Ok(ToolExecution::text(answer::OUTPUT))
    }
}
