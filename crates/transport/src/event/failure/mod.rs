//! What servers say when they fail, as one typed error.

mod advice;
mod codes;
mod limits;
mod overflow;

use std::time::{Duration, SystemTime};

use serde_json::Value;

use self::overflow::TokenCounts;
use crate::error::clean;
use crate::{ErrorCode, ModelError};

/// A longer text that is no JSON is a page, not an error.
const MAX_PLAIN_BYTES: usize = 4096;

/// An error object as servers write it: any field may be missing or of another type.
#[derive(Clone, Default)]
pub(super) struct ServerError {
    code: Value,
    r#type: Value,
    message: Value,
    param: Value,
    plan_type: Value,
    resets_at: Value,
    resets_in_seconds: Value,
    n_prompt_tokens: Value,
    n_ctx: Value,
    /// The error that the message quotes: gateways write their own words around their server's.
    quoted: Option<Box<ServerError>>,
}

/// What an HTTP error status and its body mean.
pub(crate) fn from_http(status: u16, body: &str) -> ModelError {
    let error = ServerError::find(body);
    let message = match error.message() {
        "" => codes::words(status, body),
        message => clean(message),
    };
    let code = spoken(body, &error).code_with(status);
    // What is no answer to a request at all is no answer to its repetition either.
    let is_odd = code == ErrorCode::Protocol;
    let model_error = error.annotate(ModelError::new(code, message)).with_status(status);
    if is_odd { model_error.retryable(false) } else { model_error }
}

/// What to look for known words in: the error, or a body that is a short text and no JSON.
fn spoken(body: &str, error: &ServerError) -> ServerError {
    let is_text = !error.says_something() && body.len() <= MAX_PLAIN_BYTES;
    let is_text = is_text && !body.trim_start().starts_with(['<', '{', '[']);
    if is_text { ServerError::read(&Value::from(body)) } else { error.clone() }
}

/// The error that a body without an error status reports, if it does.
pub(crate) fn reported_in(body: &str) -> Option<ModelError> {
    let error = ServerError::find(body);
    error.says_something().then(|| error.into_stream_failure())
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
            let around = Self::read(value);
            let says = !around.message().is_empty() || around.code.is_string();
            let is_error = value["type"] == "error" || says;
            // On the top level `type` is the event's, not the error's.
            is_error.then_some(Self { r#type: Value::Null, ..around })
        })
    }

    /// An error object, or a text in its place.
    pub(super) fn read(error: &Value) -> Self {
        let mut read = Self::read_plain(error);
        read.quoted = quoted(read.message()).map(Box::new);
        read
    }

    fn read_plain(error: &Value) -> Self {
        let field = |name: &str| error[name].clone();
        Self {
            code: field("code"),
            r#type: field("type"),
            message: if error.is_string() { error.clone() } else { field("message") },
            param: field("param"),
            plan_type: field("plan_type"),
            resets_at: field("resets_at"),
            resets_in_seconds: field("resets_in_seconds"),
            n_prompt_tokens: field("n_prompt_tokens"),
            n_ctx: field("n_ctx"),
            quoted: None,
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
        self.annotate(ModelError::new(self.code_in_stream(), message))
    }

    /// Adds what the error states besides: when the call may succeed, which part of the request is
    /// at fault, how large the prompt is.
    fn annotate(&self, error: ModelError) -> ModelError {
        let wait = self.wait().or_else(|| advice::in_words(self.message()));
        let error = error.with_retry_at(self.resets_at()).with_retry_after(wait);
        match error.code() {
            ErrorCode::ContextWindowExceeded => {
                let TokenCounts { prompt, window } = self.token_counts();
                error.with_tokens(prompt, window)
            }
            ErrorCode::UsageLimitReached => {
                limits::describe(error, self.plan(), wait, SystemTime::now())
            }
            ErrorCode::InvalidRequest | ErrorCode::Unsupported => self.name_part(error),
            _ => error,
        }
    }

    /// Adds the part of the request that the server objects to, unless its words name it.
    fn name_part(&self, error: ModelError) -> ModelError {
        match self.param.as_str().map(clean) {
            Some(param) if !param.is_empty() && !self.message().contains(&param) => {
                error.map_message(|message| clean(&format!("{message} (at {param})")))
            }
            _ => error,
        }
    }

    /// The time until a limit ends.
    fn wait(&self) -> Option<Duration> {
        let own = number(&self.resets_in_seconds);
        let seconds = own.or_else(|| number(&self.quoted.as_ref()?.resets_in_seconds))?;
        Duration::try_from_secs_f64(seconds).ok()
    }

    /// The time at which a limit ends.
    fn resets_at(&self) -> Option<SystemTime> {
        let own = number(&self.resets_at);
        let since_1970 = own.or_else(|| number(&self.quoted.as_ref()?.resets_at))?;
        let since_1970 = Duration::try_from_secs_f64(since_1970).ok()?;
        SystemTime::UNIX_EPOCH.checked_add(since_1970)
    }

    fn plan(&self) -> Option<String> {
        let own = self.plan_type.as_str();
        let plan = own.or_else(|| self.quoted.as_ref()?.plan_type.as_str())?;
        Some(clean(plan)).filter(|plan| !plan.is_empty())
    }
}

/// The error that stands as JSON within a text.
fn quoted(message: &str) -> Option<ServerError> {
    let start = message.find('{')?;
    let mut values = serde_json::Deserializer::from_str(&message[start..]).into_iter::<Value>();
    let value = values.next()?.ok()?;
    let inner = if value["error"].is_object() { &value["error"] } else { &value };
    Some(ServerError::read_plain(inner)).filter(ServerError::says_something)
}

/// A number that may stand in a string.
fn number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.trim().parse().ok())
}
