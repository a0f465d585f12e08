//! The data of one server-sent event becomes one typed event.

use std::borrow::Cow;
use std::sync::Arc;

use longhaul_history::Item;
use longhaul_history::usage::TokenUsage;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::failure::{self, ServerError};
use super::scan;
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

/// Reads the events of one response.
///
/// It differs from [`decode`] in what it remembers: the deltas of one item share its id.
#[derive(Debug, Default)]
pub struct Decoder {
    item_id: Option<Arc<str>>,
}

impl Decoder {
    /// Reads the data of one event. `None`: there is nothing in it to act on (it is empty, or
    /// `[DONE]`).
    ///
    /// The type inside the data decides, not the event's name.
    ///
    /// # Errors
    ///
    /// What ends the response: a failure that the server reports (`response.failed`,
    /// `response.incomplete`, `error`), or data that is not JSON, which is
    /// [`ErrorCode::Protocol`](crate::ErrorCode::Protocol): a lost delta is a lost character.
    pub fn decode(&mut self, data: &str) -> Result<Option<ResponseEvent>, ModelError> {
        if !data.starts_with('{') && matches!(data.trim(), "" | "[DONE]") {
            return Ok(None);
        }
        if let Some(event) = self.scan(data) {
            return Ok(Some(event));
        }
        self.parse(data).map(Some).map_err(ModelError::in_stream)
    }

    /// Reads a delta, if it is plainly one.
    pub(super) fn scan(&mut self, data: &str) -> Option<ResponseEvent> {
        let parts = scan::delta(data, |kind| delta(kind).is_some())?;
        self.delta(parts.kind, parts.item_id, parts.delta.into_owned())
    }

    /// Reads any event. What is special about deltas makes no difference here but to the time.
    pub(super) fn parse(&mut self, data: &str) -> Result<ResponseEvent, ModelError> {
        let envelope = Envelope::parse(data)?;
        let kind = envelope.r#type.as_deref().unwrap_or_default();
        let item_id: Option<Cow<'_, str>> = read(envelope.item_id);
        match read(envelope.delta).and_then(|text| self.delta(kind, item_id.as_deref(), text)) {
            Some(event) => Ok(event),
            None => envelope.read(data),
        }
    }

    fn delta(&mut self, kind: &str, item_id: Option<&str>, text: String) -> Option<ResponseEvent> {
        let event = delta(kind)?;
        let item_id = item_id.map(|id| self.item_id(id));
        Some(event(Delta { item_id, text }))
    }

    /// The id as one text for as long as it stays the same.
    fn item_id(&mut self, id: &str) -> Arc<str> {
        match &self.item_id {
            Some(last) if **last == *id => Arc::clone(last),
            _ => Arc::clone(self.item_id.insert(id.into())),
        }
    }
}

/// Reads the data of one event by itself. See [`Decoder::decode`].
///
/// # Errors
///
/// Those of [`Decoder::decode`].
pub fn decode(data: &str) -> Result<Option<ResponseEvent>, ModelError> {
    Decoder::default().decode(data)
}

/// The kind of event that a type of delta is.
fn delta(kind: &str) -> Option<fn(Delta) -> ResponseEvent> {
    Some(match kind {
        "response.output_text.delta" => ResponseEvent::TextDelta,
        "response.reasoning_summary_text.delta" => ResponseEvent::ReasoningSummaryDelta,
        "response.reasoning_text.delta" => ResponseEvent::ReasoningTextDelta,
        "response.function_call_arguments.delta" | "response.custom_tool_call_input.delta" => {
            ResponseEvent::ArgumentsDelta
        }
        _ => return None,
    })
}

impl<'a> Envelope<'a> {
    fn parse(data: &'a str) -> Result<Self, ModelError> {
        let error = |what: String| ModelError::new(ErrorCode::Protocol, what);
        // The parser would take a list for the fields in their order.
        if data.trim_start().starts_with('[') {
            return Err(error("the server sent an event that is no JSON object".into()));
        }
        // The parser's own words would quote the data, which may be long.
        serde_json::from_str(data).map_err(|e| {
            let what = if e.is_data() { "no JSON object" } else { "not JSON" };
            let (line, column) = (e.line(), e.column());
            error(format!("the server sent an event that is {what}: line {line}, column {column}"))
        })
    }

    fn read(&self, data: &str) -> Result<ResponseEvent, ModelError> {
        let kind = self.r#type.as_deref();
        match kind {
            Some("response.created") => {
                let response_id = read(Response::read(self.response).id);
                return Ok(ResponseEvent::Created { response_id });
            }
            Some("response.completed") => return Response::read(self.response).completed(),
            Some("response.failed") => return Err(Response::read(self.response).failure()),
            Some("response.incomplete") => return Err(Response::read(self.response).incomplete()),
            Some("error") => return Err(failure::from_error_event(data)),
            None if self.error.is_some() => return Err(failure::from_error_event(data)),
            Some(_) | None => {}
        }
        Ok(kind.and_then(|kind| self.item(kind)).unwrap_or_else(|| other(kind, data)))
    }

    /// What is about an item; `None` for events that are not known or lack what they should have.
    fn item(&self, kind: &str) -> Option<ResponseEvent> {
        let item = || Item::from_json(self.item?.get()).ok();
        Some(match kind {
            "response.output_item.added" => added(item()?),
            "response.output_item.done" => ResponseEvent::ItemDone(item()?),
            "response.reasoning_summary_part.added" => ResponseEvent::ReasoningSummaryPartAdded,
            _ => return None,
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

fn other(kind: Option<&str>, data: &str) -> ResponseEvent {
    ResponseEvent::Other { r#type: kind.unwrap_or_default().into(), json: data.into() }
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
                usage: self.usage(),
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
        ServerError::read(&error).into_stream_failure().with_usage(self.usage())
    }

    fn incomplete(&self) -> ModelError {
        let details: Option<IncompleteDetails> = read(self.incomplete_details);
        let reason = details.map_or("unknown".into(), |details| details.reason);
        let reason = crate::error::clean(&reason);
        let message = format!("the response ended early: {reason}");
        let error = ModelError::new(ErrorCode::ResponseIncomplete, message);
        error.with_reason(reason).with_usage(self.usage())
    }

    fn usage(&self) -> Option<TokenUsage> {
        read(self.usage).as_ref().and_then(usage)
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
