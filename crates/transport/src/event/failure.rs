//! What servers say when they fail, as one typed error.

use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::error::clean;
use crate::{ErrorCode, ModelError};

/// An error object as servers write it: any field may be missing or of another type.
#[derive(Default)]
pub(super) struct ServerError {
    code: Value,
    r#type: Value,
    message: Value,
    resets_at: Value,
    resets_in_seconds: Value,
}

/// Phrases by which servers tell that a conversation is too long.
const OVERFLOW_PHRASES: [&str; 5] = [
    "exceeds the available context size",
    "maximum context length",
    "exceeds the context window",
    "context window of this model",
    "context length exceeded",
];

/// Phrases of failures that a repetition cannot cure, whatever their status.
const HOPELESS_PHRASES: [&str; 1] = ["image input is not supported"];

/// What an HTTP error status and its body mean.
pub(crate) fn from_http(status: u16, body: &str) -> ModelError {
    let error = ServerError::find(body);
    let message = match error.message() {
        "" if status / 100 == 3 => "the server redirects; redirects are not followed".into(),
        "" => format!("the server refused: {}", clean_body(body)),
        message => clean(message),
    };
    // Whose fault it is, the status tells more reliably than the names.
    let says_more =
        |code: &ErrorCode| !matches!(code, ErrorCode::InvalidRequest | ErrorCode::ServerError);
    let by_name = || error.by_name().filter(says_more);
    let code = error.by_phrase().or_else(by_name);
    let code = code.unwrap_or_else(|| by_status(status));
    error.annotate(ModelError::new(code, message)).with_status(status)
}

fn by_status(status: u16) -> ErrorCode {
    match status {
        401 | 403 => ErrorCode::Unauthorized,
        429 => ErrorCode::RateLimited,
        408 | 409 | 425 | 500.. => ErrorCode::ServerError,
        _ => ErrorCode::InvalidRequest,
    }
}

/// The error that a body without an error status reports, if it does.
pub(crate) fn reported_in(body: &str) -> Option<ModelError> {
    let error = ServerError::find(body);
    error.says_something().then(|| error.into_stream_failure())
}

fn clean_body(body: &str) -> String {
    match clean(body) {
        body if body.is_empty() => "it gave no reason".into(),
        body if body.starts_with('<') => "it answered with a page, not an error".into(),
        body => body,
    }
}

/// A top-level `error` event, or data that holds an error and no type.
pub(super) fn from_error_event(data: &str) -> ModelError {
    ServerError::find(data).into_stream_failure()
}

impl ServerError {
    /// The error in a body, which may be JSON or, from some servers, an event stream.
    fn find(body: &str) -> Self {
        let lines = body.lines().filter_map(|line| line.strip_prefix("data:"));
        let texts = std::iter::once(body).chain(lines);
        let values = texts.filter_map(|text| serde_json::from_str(text).ok());
        let mut errors = values.filter_map(|value| Self::find_in(&value));
        errors.next().unwrap_or_default()
    }

    /// The error in an event or a body, wherever in it servers put it.
    fn find_in(value: &Value) -> Option<Self> {
        let within = [&value["error"], &value["response"]["error"]].map(Self::read);
        let within = within.into_iter().find(Self::says_something);
        within.or_else(|| {
            // On the top level `type` is the event's, not the error's.
            let around = Self { r#type: Value::Null, ..Self::read(value) };
            let is_error = value["type"] == "error" || !around.message().is_empty();
            is_error.then_some(around)
        })
    }

    /// An error object, or a text in its place.
    pub(super) fn read(error: &Value) -> Self {
        let message = if error.is_string() { error } else { &error["message"] };
        Self {
            code: error["code"].clone(),
            r#type: error["type"].clone(),
            message: message.clone(),
            resets_at: error["resets_at"].clone(),
            resets_in_seconds: error["resets_in_seconds"].clone(),
        }
    }

    fn says_something(&self) -> bool {
        let named = [&self.code, &self.r#type, &self.message];
        let timed = [&self.resets_at, &self.resets_in_seconds];
        !named.into_iter().chain(timed).all(Value::is_null)
    }

    fn message(&self) -> &str {
        self.message.as_str().unwrap_or_default()
    }

    /// The failure of a response that had begun. What is not recognised may pass.
    pub(super) fn into_stream_failure(self) -> ModelError {
        let message = match self.message() {
            "" => "the server ended the response with a failure and gave no reason".into(),
            message => clean(message),
        };
        let code = self.by_phrase().or_else(|| self.by_name());
        let code = code.or_else(|| self.by_number());
        let code = code.unwrap_or(ErrorCode::ResponseFailed);
        self.annotate(ModelError::new(code, message))
    }

    /// What phrases in the message mean, if they are known.
    fn by_phrase(&self) -> Option<ErrorCode> {
        let message = self.message().to_ascii_lowercase();
        let says = |phrase: &&str| message.contains(*phrase);
        if OVERFLOW_PHRASES.iter().any(&says) {
            Some(ErrorCode::ContextWindowExceeded)
        } else if HOPELESS_PHRASES.iter().any(says) {
            Some(ErrorCode::InvalidRequest)
        } else {
            None
        }
    }

    /// What the code or the type means, if one is known. The type may be the only hint.
    fn by_name(&self) -> Option<ErrorCode> {
        let names = [self.code.as_str(), self.r#type.as_str()];
        names.into_iter().flatten().find_map(by_name)
    }

    /// What a code means that is an HTTP status, as a number or as text.
    fn by_number(&self) -> Option<ErrorCode> {
        let text = self.code.as_str().and_then(|code| code.parse().ok());
        let number = self.code.as_u64().or(text)?;
        let status = u16::try_from(number).ok()?;
        (400..600).contains(&status).then(|| by_status(status))
    }

    /// Adds when the call may succeed.
    fn annotate(&self, error: ModelError) -> ModelError {
        let seconds = |value: &Value| value.as_u64().map(Duration::from_secs);
        let reset = seconds(&self.resets_at)
            .and_then(|since_1970| SystemTime::UNIX_EPOCH.checked_add(since_1970));
        let wait = seconds(&self.resets_in_seconds).or_else(|| advice(self.message()));
        error.with_retry_at(reset).with_retry_after(wait)
    }
}

fn by_name(name: &str) -> Option<ErrorCode> {
    Some(match name {
        "context_length_exceeded" | "exceed_context_size_error" => ErrorCode::ContextWindowExceeded,
        "usage_limit_reached" | "insufficient_quota" => ErrorCode::UsageLimitReached,
        "usage_not_included" => ErrorCode::UsageNotIncluded,
        "rate_limit_exceeded" | "rate_limit_error" | "too_many_requests" => ErrorCode::RateLimited,
        "invalid_request_error" | "invalid_prompt" | "invalid_request" => ErrorCode::InvalidRequest,
        "authentication_error" | "invalid_api_key" | "permission_error" => ErrorCode::Unauthorized,
        "server_error"
        | "internal_server_error"
        | "server_is_overloaded"
        | "slow_down"
        | "overloaded_error"
        | "unavailable_error" => ErrorCode::ServerError,
        _ => return None,
    })
}

/// The wait in `try again in 11.054s` or `try again in 28ms`.
fn advice(message: &str) -> Option<Duration> {
    let message = message.to_ascii_lowercase();
    let (_, rest) = message.split_once("try again in ")?;
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let number: f64 = rest[..end].parse().ok()?;
    let unit = rest[end..].trim_start();
    let seconds = if unit.starts_with("ms") {
        number / 1000.0
    } else if unit.starts_with('s') {
        number
    } else {
        return None;
    };
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_in_a_message_is_read() {
        let ms = |text| advice(text).map(|wait| wait.as_micros());
        assert_eq!(ms("Please try again in 11.054s. Visit"), Some(11_054_000));
        assert_eq!(ms("try again in 28ms."), Some(28_000));
        assert_eq!(ms("Try again in 1.898s"), Some(1_898_000));
        assert_eq!(ms("try again in 35 seconds"), Some(35_000_000));
        assert_eq!(ms("try again in 5 minutes"), None);
        assert_eq!(ms("try again in 1e400s"), None);
        assert_eq!(ms("try again later"), None);
    }
}
