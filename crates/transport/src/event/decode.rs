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
    #[serde(borrow, default)]
    item_id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    delta: Option<&'a RawValue>,
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
    envelope.into_event(data).map(Some).map_err(ModelError::in_stream)
}

impl Envelope<'_> {
    fn into_event(self, data: &str) -> Result<ResponseEvent, ModelError> {
        let event = match self.r#type.as_deref() {
            Some("response.created") => {
                ResponseEvent::Created { response_id: read(Response::read(self.response).id) }
            }
            Some("response.completed") => return Response::read(self.response).completed(),
            Some("response.failed") => return Err(Response::read(self.response).failure()),
            Some("response.incomplete") => return Err(Response::read(self.response).incomplete()),
            Some("error") => return Err(failure::from_error_event(data)),
            None if self.error.is_some() => {
                return Err(failure::from_error_event(data));
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
        Some(Delta { item_id: read(self.item_id), text: read(self.delta)? })
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
    ResponseEvent::Other { r#type: r#type.unwrap_or_default().into_owned(), json: data.to_owned() }
}

/// A field, if it is there and of the type that it should have.
fn read<'a, T: Deserialize<'a>>(field: Option<&'a RawValue>) -> Option<T> {
    serde_json::from_str(field?.get()).ok()
}

/// The `response` object of an event. All of it is optional, and one odd field spoils no other:
/// servers differ.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Response<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    status: Option<&'a RawValue>,
    #[serde(borrow)]
    output: Option<&'a RawValue>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow)]
    incomplete_details: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct IncompleteDetails {
    reason: String,
}

impl<'a> Response<'a> {
    fn read(raw: Option<&'a RawValue>) -> Self {
        read(raw).unwrap_or_default()
    }

    fn completed(&self) -> Result<ResponseEvent, ModelError> {
        let status: Option<Cow<'_, str>> = read(self.status);
        match (status.as_deref(), self.error) {
            (Some("failed"), _) | (_, Some(_)) => Err(self.failure()),
            (Some("incomplete"), _) => Err(self.incomplete()),
            _ => Ok(ResponseEvent::Completed(Completed {
                response_id: read(self.id),
                usage: read(self.usage).as_ref().and_then(usage),
                output: self.output(),
            })),
        }
    }

    fn output(&self) -> Vec<Item> {
        let items: Vec<&RawValue> = read(self.output).unwrap_or_default();
        let items = items.into_iter().map(|item| Item::from_json(item.get()));
        items.filter_map(Result::ok).collect()
    }

    fn failure(&self) -> ModelError {
        let error: Value = read(self.error).unwrap_or_default();
        ServerError::read(&error).into_stream_failure()
    }

    fn incomplete(&self) -> ModelError {
        let details: Option<IncompleteDetails> = read(self.incomplete_details);
        let reason = details.map_or("unknown".into(), |details| details.reason);
        let reason = crate::error::clean(&reason);
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
