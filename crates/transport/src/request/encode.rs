//! The body of a request.

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;

use super::{Reasoning, Request, RequestOptions, ToolChoice, ToolList, Verbosity};
use crate::{ErrorCode, ModelError, Provider};

/// The fields that a request has of its own, and that `extra` must leave alone.
pub const OWN_FIELDS: &[&str] = &[
    "model",
    "instructions",
    "input",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "reasoning",
    "store",
    "stream",
    "include",
    "prompt_cache_key",
    "text",
    "max_output_tokens",
    "temperature",
    "top_p",
    "service_tier",
    "metadata",
];

/// Asks the server for reasoning in a form that can be sent back, since it stores nothing.
const ENCRYPTED_REASONING: &str = "reasoning.encrypted_content";

/// Everything but the conversation.
#[derive(Serialize)]
struct Head<'a> {
    model: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    instructions: Option<&'a str>,
    tools: &'a ToolList,
    tool_choice: ToolChoice,
    parallel_tool_calls: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning: Option<&'a Reasoning>,
    store: bool,
    stream: bool,
    include: &'a [&'a str],
    #[serde(skip_serializing_if = "str::is_empty")]
    prompt_cache_key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<Text<'a>>,
    #[serde(flatten)]
    options: FlatOptions<'a>,
}

#[derive(Serialize)]
struct Text<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    verbosity: Option<Verbosity>,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<Format<'a>>,
}

#[derive(Serialize)]
struct Format<'a> {
    r#type: &'static str,
    strict: bool,
    schema: &'a Value,
    name: &'static str,
}

/// [`RequestOptions`] with `extra` on the level of the others.
#[derive(Serialize)]
struct FlatOptions<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    max_output_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_tier: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a std::collections::BTreeMap<String, String>>,
    #[serde(flatten)]
    extra: &'a serde_json::Map<String, Value>,
}

impl<'a> From<&'a RequestOptions> for FlatOptions<'a> {
    fn from(options: &'a RequestOptions) -> Self {
        Self {
            max_output_tokens: options.max_output_tokens,
            temperature: options.temperature,
            top_p: options.top_p,
            service_tier: options.service_tier.as_deref(),
            metadata: Some(&options.metadata).filter(|labels| !labels.is_empty()),
            extra: &options.extra,
        }
    }
}

/// The body that `provider` is sent for `request`: everything else encoded, the conversation's
/// bytes copied. The same request always gives the same bytes.
///
/// # Errors
///
/// [`ErrorCode::InvalidRequest`] if `extra` holds a field that a request has of its own.
pub fn encode(request: &Request, provider: &Provider) -> Result<Bytes, ModelError> {
    if let Some(key) = request.options.collision() {
        let message = format!("`extra` may not set `{key}`: the request has a field for it");
        return Err(ModelError::new(ErrorCode::InvalidRequest, message));
    }
    let head = serde_json::to_vec(&head(request, provider))
        .map_err(|e| ModelError::new(ErrorCode::InvalidRequest, e.to_string()))?;
    let mut body = Vec::with_capacity(head.len() + request.input.byte_len() + 16);
    body.extend_from_slice(&head);
    body.pop();
    body.extend_from_slice(b",\"input\":");
    request.input.write_json(&mut body);
    body.push(b'}');
    Ok(body.into())
}

fn head<'a>(request: &'a Request, provider: &Provider) -> Head<'a> {
    let features = &provider.features;
    let reasoning = request.reasoning.as_ref().filter(|_| features.reasoning);
    Head {
        model: &request.model,
        instructions: request.instructions.as_deref(),
        tools: &request.tools,
        tool_choice: request.tool_choice,
        parallel_tool_calls: features.parallel_calls && !request.tools.is_empty(),
        reasoning,
        store: provider.stores_responses,
        stream: true,
        include: include(request, provider),
        prompt_cache_key: &request.session_id,
        text: text(request, provider),
        options: (&request.options).into(),
    }
}

/// Reasoning is asked for wherever the model may reason: without it the next request of the turn
/// would lack what its calls rest on.
fn include(request: &Request, provider: &Provider) -> &'static [&'static str] {
    let reasons = request.reasoning.is_some() || crate::models::lookup(&request.model).reasoning;
    if provider.features.reasoning && reasons { &[ENCRYPTED_REASONING] } else { &[] }
}

fn text<'a>(request: &'a Request, provider: &Provider) -> Option<Text<'a>> {
    let text = Text {
        verbosity: request.verbosity.filter(|_| provider.features.verbosity),
        format: request.output_schema.as_deref().map(|schema| Format {
            r#type: "json_schema",
            strict: true,
            schema,
            name: "codex_output_schema",
        }),
    };
    (text.verbosity.is_some() || text.format.is_some()).then_some(text)
}
