//! What a request of a coding agent holds besides its conversation.

use longhaul_history::{History, Prompt, ReasoningFilter};
use longhaul_transport::request::{Reasoning, ToolList};
use longhaul_transport::{ModelError, Provider, Request, ToolSpec, encode};
use serde_json::json;

/// Everything but the conversation, of the size that coding agents send: 8 KB of instructions and
/// eight tools.
pub fn head() -> Request {
    let mut request = Request::new("gpt-5", Prompt::default());
    request.instructions = Some("Change no file that the task does not name.\n".repeat(180).into());
    request.reasoning = Some(Reasoning { effort: Some("high".into()), summary: None });
    request.session_id = "0199a213-81c0-7800-8aa1-bbab2a035a53".into();
    let parameters = json!({"type": "object", "additionalProperties": false,
        "properties": {"path": {"type": "string", "description": "A path in the project"}}});
    let tool = |index| {
        let name = format!("tool_{index}");
        ToolSpec::function(name, "Reads, writes or lists files.", parameters.clone())
    };
    let tools: Vec<ToolSpec> = (0..8).map(tool).collect();
    request.tools = ToolList::new(&tools);
    request
}

/// The finished bytes of the next request.
///
/// # Errors
///
/// None, for requests made of [`head`].
pub fn body(
    head: &Request,
    history: &History,
    provider: &Provider,
) -> Result<bytes::Bytes, ModelError> {
    let mut request = head.clone();
    request.input = history.prompt(ReasoningFilter::CurrentTurn);
    encode(&request, provider)
}
