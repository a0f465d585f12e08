//! One attempt over a scripted exchange.

use std::sync::Arc;
use std::time::Duration;

use longhaul_history::{Item, Prompt};
use longhaul_testkit::exchange::{Course, ScriptedExchange};
use longhaul_transport::{Model, ModelError, Provider, Request, ResponseEvent, ResponsesClient};
use serde_json::{Value, json};

use crate::drain::drain;

pub(crate) const SECOND: Duration = Duration::from_secs(1);

pub(crate) fn request() -> Request {
    Request::new("m", Prompt::default())
}

pub(crate) fn client(provider: Provider, course: Course) -> ResponsesClient {
    ResponsesClient::with_exchange(provider, Arc::new(ScriptedExchange::new([course])))
}

/// All events of an attempt, signs of life too, and the error that ended it, if one did.
pub(crate) async fn attempt_with(
    provider: Provider,
    course: Course,
) -> (Vec<ResponseEvent>, Option<ModelError>) {
    let response = client(provider, course).stream(&request()).await;
    assert!(response.is_ok(), "the head is no failure");
    drain(response).await
}

pub(crate) async fn attempt(course: Course) -> (Vec<ResponseEvent>, Option<ModelError>) {
    attempt_with(Provider::neutral(), course).await
}

/// The events of a response with this body, which must end well.
pub(crate) async fn events(body: impl Into<bytes::Bytes>) -> Vec<ResponseEvent> {
    let (events, error) = attempt(Course::sse(body)).await;
    assert!(error.is_none(), "{error:?}");
    events
}

/// A body with these events.
pub(crate) fn body(events: &[Value]) -> String {
    let events: Vec<String> = events.iter().map(|event| format!("data: {event}\n\n")).collect();
    events.concat()
}

pub(crate) fn completed() -> Value {
    json!({"type": "response.completed", "response": {"id": "r"}})
}

pub(crate) fn delta(text: &str) -> Value {
    json!({"type": "response.output_text.delta", "item_id": "m", "delta": text})
}

pub(crate) fn done(item: &Value) -> Value {
    json!({"type": "response.output_item.done", "item": item})
}

pub(crate) fn item(json: &Value) -> Item {
    Item::from_json(&json.to_string()).unwrap()
}

/// The texts of the deltas, joined.
pub(crate) fn text(events: &[ResponseEvent]) -> String {
    let texts = events.iter().filter_map(|event| match event {
        ResponseEvent::TextDelta(delta) => Some(delta.text.as_str()),
        _ => None,
    });
    texts.collect()
}

/// The finished items, in order.
pub(crate) fn items(events: &[ResponseEvent]) -> Vec<Item> {
    let items = events.iter().filter_map(|event| match event {
        ResponseEvent::ItemDone(item) => Some(item.clone()),
        _ => None,
    });
    items.collect()
}

/// The items of the whole response, as a caller gets them.
pub(crate) fn reconciled(events: &[ResponseEvent]) -> Vec<Item> {
    match events.last() {
        Some(ResponseEvent::Completed(completed)) => completed.reconcile(items(events)),
        other => panic!("{other:?}"),
    }
}

/// The signs of life: the bytes received until each.
pub(crate) fn signs(events: &[ResponseEvent]) -> Vec<u64> {
    let signs = events.iter().filter_map(|event| match event {
        ResponseEvent::KeepAlive { received_bytes } => Some(*received_bytes),
        _ => None,
    });
    signs.collect()
}
