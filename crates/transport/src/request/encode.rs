//! The body of a request.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use super::{Instructions, Reasoning, Request, RequestOptions, ToolChoice, ToolList, Verbosity};
use crate::models::ModelInfo;
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
    "safety_identifier",
    "metadata",
];

/// Asks the server for reasoning in a form that can be sent back, since it stores nothing.
const ENCRYPTED_REASONING: &str = "reasoning.encrypted_content";

/// The name of the schema of a final message, unless the options say otherwise.
const OUTPUT_SCHEMA_NAME: &str = "codex_output_schema";

/// Room for the fields of a body that are none of its large parts, in bytes.
const SMALL_FIELDS_BYTES: usize = 1024;

/// Everything but the conversation.
#[derive(Serialize)]
struct Head<'a> {
    model: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    instructions: Option<&'a Instructions>,
    tools: &'a ToolList,
    tool_choice: &'a ToolChoice,
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
    name: &'a str,
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
    safety_identifier: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a BTreeMap<String, String>>,
    #[serde(flatten)]
    extra: Extra<'a>,
}

/// Further fields that are not null.
struct Extra<'a>(&'a Map<String, Value>);

impl Serialize for Extra<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (key, value) in self.0.iter().filter(|(_, value)| !value.is_null()) {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

impl<'a> From<&'a RequestOptions> for FlatOptions<'a> {
    fn from(options: &'a RequestOptions) -> Self {
        Self {
            max_output_tokens: options.max_output_tokens,
            temperature: options.temperature,
            top_p: options.top_p,
            service_tier: options.service_tier.as_deref(),
            safety_identifier: options.safety_identifier.as_deref(),
            metadata: Some(&options.metadata).filter(|labels| !labels.is_empty()),
            extra: Extra(&options.extra),
        }
    }
}

/// The body that `provider` is sent for `request`: everything else encoded, the bytes of the
/// instructions, the tools and the conversation copied. The same request always gives the same
/// bytes.
///
/// # Errors
///
/// [`ErrorCode::InvalidRequest`] if its options [cannot be sent](RequestOptions::check),
/// [`ErrorCode::Unsupported`] if it has a tool of a kind that the provider does not know.
pub fn encode(request: &Request, provider: &Provider) -> Result<Bytes, ModelError> {
    let invalid = |problem: String| ModelError::new(ErrorCode::InvalidRequest, problem);
    request.options.check().map_err(|error| invalid(format!("request option {error}")))?;
    check_tools(request, provider)?;
    let mut body = Vec::with_capacity(byte_len(request));
    serde_json::to_writer(&mut body, &head(request, provider))
        .map_err(|error| invalid(error.to_string()))?;
    body.pop();
    body.extend_from_slice(b",\"input\":");
    request.input.write_json(&mut body);
    body.push(b'}');
    Ok(body.into())
}

/// About as long is the body of `request`.
fn byte_len(request: &Request) -> usize {
    let instructions = request.instructions.as_ref().map_or(0, |text| text.as_json().len());
    let tools = request.tools.as_json().len();
    instructions + tools + request.input.byte_len() + SMALL_FIELDS_BYTES
}

fn check_tools(request: &Request, provider: &Provider) -> Result<(), ModelError> {
    match request.tools.custom() {
        Some(name) if !provider.features.custom_tools => {
            let message = format!(
                "tool `{name}` takes free text, which provider `{}` does not know: \
                 give the tool JSON arguments, or use another provider",
                provider.name
            );
            Err(ModelError::new(ErrorCode::Unsupported, message))
        }
        _ => Ok(()),
    }
}

fn head<'a>(request: &'a Request, provider: &Provider) -> Head<'a> {
    let (features, info, options) = (&provider.features, request.info(), &request.options);
    let knows_reasoning = features.reasoning && info.reasoning != Some(false);
    Head {
        model: &request.model,
        instructions: request.instructions.as_ref(),
        tools: &request.tools,
        tool_choice: options.tool_choice.as_ref().unwrap_or(&ToolChoice::Auto),
        parallel_tool_calls: features.parallel_calls
            && info.parallel_calls != Some(false)
            && !request.tools.is_empty(),
        reasoning: request.reasoning.as_ref().filter(|_| knows_reasoning),
        store: provider.stores_responses,
        stream: true,
        include: include(request, knows_reasoning, info),
        prompt_cache_key: options.prompt_cache_key.as_deref().unwrap_or(&request.session_id),
        text: text(request, features.verbosity && info.verbosity != Some(false)),
        options: options.into(),
    }
}

/// Reasoning is asked for wherever the model may reason: without it the next request of the turn
/// would lack what its calls rest on.
fn include(request: &Request, knows_reasoning: bool, info: ModelInfo) -> &'static [&'static str] {
    let reasons = request.reasoning.is_some() || info.reasoning == Some(true);
    if knows_reasoning && reasons { &[ENCRYPTED_REASONING] } else { &[] }
}

fn text(request: &Request, knows_verbosity: bool) -> Option<Text<'_>> {
    let name = request.options.output_schema_name.as_deref();
    let text = Text {
        verbosity: request.verbosity.filter(|_| knows_verbosity),
        format: request.output_schema.as_deref().map(|schema| Format {
            r#type: "json_schema",
            strict: true,
            schema,
            name: name.unwrap_or(OUTPUT_SCHEMA_NAME),
        }),
    };
    (text.verbosity.is_some() || text.format.is_some()).then_some(text)
}
