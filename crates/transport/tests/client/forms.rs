//! One and the same error in every form in which servers put it.

use longhaul_testkit::exchange::Course;
use longhaul_transport::{ModelError, Provider};
use serde_json::{Value, json};

use super::support::failure;

pub(crate) fn event(event: &Value) -> Course {
    Course::sse(format!("data: {event}\n\n"))
}

/// An error object within a response that had begun, where servers put it.
pub(crate) fn in_stream(error: &Value) -> Vec<Course> {
    let response = json!({"status": "failed", "error": error});
    vec![
        event(&json!({"type": "response.failed", "response": response})),
        event(&json!({"type": "response.completed", "response": response})),
        event(&json!({"type": "error", "error": error})),
        event(&json!({ "error": error })),
    ]
}

/// An error without an object of its own: the `error` event's fields, or the body's.
pub(crate) fn on_top(error: &Value, status: u16) -> Vec<Course> {
    let mut top = error.clone();
    let body = Course::json(status, top.to_string());
    top["type"] = json!("error");
    vec![event(&top), body]
}

/// An error object in a refusal, as JSON or as an event stream.
pub(crate) fn with_status(error: &Value, status: u16) -> Vec<Course> {
    let body = json!({ "error": error }).to_string();
    let stream = format!("event: error\ndata: {body}\n\n");
    vec![Course::json(status, body), Course::new().head(status).body(stream)]
}

/// The error in every form; with these statuses where it is a refusal.
pub(crate) fn every_form(error: &Value, statuses: &[u16]) -> Vec<Course> {
    let with_statuses = statuses
        .iter()
        .flat_map(|status| with_status(error, *status).into_iter().chain(on_top(error, *status)));
    in_stream(error).into_iter().chain(with_statuses).collect()
}

pub(crate) async fn failed(course: Course) -> ModelError {
    failure(Provider::neutral(), course).await
}
