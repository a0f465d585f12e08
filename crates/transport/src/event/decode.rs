//! The data of one server-sent event becomes one typed event.

use std::borrow::Cow;

use longhaul_history::Item;
use longhaul_history::usage::TokenUsage;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::failure::{self, ServerError};
use super::{Completed, Delta, ResponseEvent};
use crate::{ErrorCode, ModelError};

/// The fields of all events that are looked at.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, default)]
    r#type: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    response: Option<&'a RawValue>,
    #[serde(borrow, default)]
    item: Option<&'a RawValue>,
    #[serde(default)]
    item_id: Option<String>,
    #[serde(default)]
    delta: Option<Value>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

/// Reads the data of one event. `None`: there is nothing in it to act on (`[DONE]`).
///
/// The type inside the data decides, not the event's name.
///
/// # Errors
///
/// What ends the response: a failure that the server reports (`response.failed`,
/// `response.incomplete`, `error`), or data that is not JSON, which is
/// [`ErrorCode::Protocol`](crate::ErrorCode::Protocol): a lost delta is a lost character.
pub fn decode(data: &str) -> Result<Option<ResponseEvent>, ModelError> {
    if data.trim() == "[DONE]" {
        return Ok(None);
    }
    let envelope: Envelope<'_> = serde_json::from_str(data).map_err(|e| {
        let message = format!("the server sent an event that is not JSON: {e}");
        ModelError::new(ErrorCode::Protocol, message).in_stream()
    })?;
    envelope
        .into_event(data)
        .map(Some)
        .map_err(ModelError::in_stream)
}

impl Envelope<'_> {
    fn into_event(self, data: &str) -> Result<ResponseEvent, ModelError> {
        let event = match self.r#type.as_deref() {
            Some("response.created") => ResponseEvent::Created {
                response_id: Response::read(self.response).id,
            },
            Some("response.completed") => return Response::read(self.response).completed(),
            Some("response.failed") => return Err(Response::read(self.response).failure()),
            Some("response.incomplete") => return Err(Response::read(self.response).incomplete()),
            Some("error") => return Err(failure::from_error_event(self.error, data)),
            None if self.error.is_some() => {
                return Err(failure::from_error_event(self.error, data));
            }
            Some(_) | None => match self.decoration() {
                Some(event) => event,
                None => return Ok(other(self.r#type, data)),
            },
        };
        Ok(event)
    }

    /// Items and deltas; `None` for events that are not known or lack what they should have.
    fn decoration(&self) -> Option<ResponseEvent> {
        Some(match self.r#type.as_deref()? {
            "response.output_item.added" => added(self.item()?),
            "response.output_item.done" => ResponseEvent::ItemDone(self.item()?),
            "response.output_text.delta" => ResponseEvent::TextDelta(self.delta()?),
            "response.reasoning_summary_text.delta" => {
                ResponseEvent::ReasoningSummaryDelta(self.delta()?)
            }
            "response.reasoning_summary_part.added" => ResponseEvent::ReasoningSummaryPartAdded,
            "response.reasoning_text.delta" => ResponseEvent::ReasoningTextDelta(self.delta()?),
            "response.function_call_arguments.delta" | "response.custom_tool_call_input.delta" => {
                ResponseEvent::ArgumentsDelta(self.delta()?)
            }
            _ => return None,
        })
    }

    fn item(&self) -> Option<Item> {
        Item::from_json(self.item?.get()).ok()
    }

    fn delta(&self) -> Option<Delta> {
        Some(Delta {
            item_id: self.item_id.clone(),
            text: self.delta.as_ref()?.as_str()?.to_owned(),
        })
    }
}

fn added(item: Item) -> ResponseEvent {
    if item.kind() == longhaul_history::ItemKind::WebSearchCall {
        ResponseEvent::WebSearchBegin { item }
    } else {
        ResponseEvent::ItemAdded(item)
    }
}

fn other(r#type: Option<Cow<'_, str>>, data: &str) -> ResponseEvent {
    ResponseEvent::Other {
        r#type: r#type.unwrap_or_default().into_owned(),
        json: data.to_owned(),
    }
}

/// The `response` object of an event. All of it is optional: servers differ.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Response {
    id: Option<String>,
    status: Option<String>,
    output: Option<Vec<Item>>,
    usage: Option<Value>,
    error: Option<ServerError>,
    incomplete_details: Option<IncompleteDetails>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct IncompleteDetails {
    reason: Option<String>,
}

impl Response {
    fn read(raw: Option<&RawValue>) -> Self {
        raw.and_then(|raw| serde_json::from_str(raw.get()).ok())
            .unwrap_or_default()
    }

    fn completed(self) -> Result<ResponseEvent, ModelError> {
        match (self.status.as_deref(), &self.error) {
            (Some("failed"), _) | (_, Some(_)) => Err(self.failure()),
            (Some("incomplete"), _) => Err(self.incomplete()),
            _ => Ok(ResponseEvent::Completed(Completed {
                response_id: self.id,
                usage: self.usage.as_ref().and_then(usage),
                output: self.output.unwrap_or_default(),
            })),
        }
    }

    fn failure(self) -> ModelError {
        self.error.unwrap_or_default().into_stream_failure()
    }

    fn incomplete(self) -> ModelError {
        let reason = self.incomplete_details.and_then(|details| details.reason);
        let reason = crate::error::clean(reason.as_deref().unwrap_or("unknown"));
        let message = format!("the response ended early: {reason}");
        ModelError::new(ErrorCode::ResponseIncomplete, message).with_reason(reason)
    }
}

/// Usage as servers write it: details may be missing, and a wild number counts as 0.
fn usage(value: &Value) -> Option<TokenUsage> {
    if !value.is_object() {
        return None;
    }
    let count = |pointer: &str| value.pointer(pointer).and_then(Value::as_u64);
    let input = count("/input_tokens").unwrap_or(0);
    let output = count("/output_tokens").unwrap_or(0);
    Some(TokenUsage {
        input,
        cached_input: count("/input_tokens_details/cached_tokens").unwrap_or(0),
        output,
        reasoning_output: count("/output_tokens_details/reasoning_tokens").unwrap_or(0),
        total: count("/total_tokens").unwrap_or_else(|| input.saturating_add(output)),
    })
}
