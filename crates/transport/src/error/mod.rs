//! What can go wrong with a model call, and what to do about it.

mod code;
mod text;

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use longhaul_history::usage::TokenUsage;

use crate::RateLimits;
use crate::auth::Credential;

pub use code::{ErrorCode, Phase, Stage};
pub use text::MAX_SERVER_TEXT_BYTES;
pub(crate) use text::{clean, clean_message};

/// A failed model call. Cheap to clone.
///
/// It holds no request, no credential and at most [`MAX_SERVER_TEXT_BYTES`] of what the server
/// said, without control characters.
#[derive(Clone)]
pub struct ModelError(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    code: ErrorCode,
    stage: Stage,
    message: String,
    retryable: bool,
    status: Option<u16>,
    request_id: Option<String>,
    phase: Option<Phase>,
    reason: Option<String>,
    retry_after: Option<Duration>,
    retry_at: Option<SystemTime>,
    rate_limits: Option<RateLimits>,
    should_retry: Option<bool>,
    sent: bool,
    attempts: u32,
    generation: Option<u64>,
    plan: Option<String>,
    prompt_tokens: Option<u64>,
    context_window: Option<u64>,
    usage: Option<TokenUsage>,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

impl ModelError {
    /// A failure before the response began.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self(Arc::new(Inner {
            code,
            stage: Stage::Request,
            message: message.into(),
            retryable: code.is_transient(),
            status: None,
            request_id: None,
            phase: None,
            reason: None,
            retry_after: None,
            retry_at: None,
            rate_limits: None,
            should_retry: None,
            sent: true,
            attempts: 1,
            generation: None,
            plan: None,
            prompt_tokens: None,
            context_window: None,
            usage: None,
            source: None,
        }))
    }

    /// A deadline that passed.
    pub(crate) fn timeout(phase: Phase, limit: Duration) -> Self {
        let waiting = match phase {
            Phase::Connect => "no connection to the server",
            Phase::Send => "the request could not be sent",
            Phase::Headers => "no answer from the server",
            Phase::FirstEvent => "no first event from the server",
            Phase::Idle => "no further event from the server",
            Phase::Turn => "the turn did not end",
        };
        let message = format!("{waiting} within {} ms", limit.as_millis());
        Self::new(ErrorCode::Timeout, message).edit(|e| e.phase = Some(phase))
    }

    fn edit(mut self, change: impl FnOnce(&mut Inner)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }

    /// The same error, in the stream of a response that had begun.
    #[must_use]
    pub fn in_stream(self) -> Self {
        self.edit(|e| e.stage = Stage::Stream)
    }

    /// The same error, final or not.
    #[must_use]
    pub fn retryable(self, retryable: bool) -> Self {
        self.edit(|e| e.retryable = retryable)
    }

    /// The same error with the HTTP status that brought it.
    #[must_use]
    pub fn with_status(self, status: u16) -> Self {
        self.edit(|e| e.status = Some(status))
    }

    /// The same error with the server's name for the request.
    #[must_use]
    pub fn with_request_id(self, request_id: Option<String>) -> Self {
        self.edit(|e| e.request_id = request_id)
    }

    /// The same error with the wait that the server asks for.
    #[must_use]
    pub fn with_retry_after(self, retry_after: Option<Duration>) -> Self {
        self.edit(|e| e.retry_after = retry_after.or(e.retry_after))
    }

    /// The same error with the time from which the call may succeed.
    #[must_use]
    pub fn with_retry_at(self, retry_at: Option<SystemTime>) -> Self {
        self.edit(|e| e.retry_at = retry_at.or(e.retry_at))
    }

    /// The same error with why the response ended early.
    #[must_use]
    pub fn with_reason(self, reason: impl Into<String>) -> Self {
        self.edit(|e| e.reason = Some(reason.into()))
    }

    /// The same error with what the failed response cost, if its server says so.
    #[must_use]
    pub fn with_usage(self, usage: Option<TokenUsage>) -> Self {
        self.edit(|e| e.usage = usage)
    }

    /// The same error with the limits that came with it.
    #[must_use]
    pub fn with_rate_limits(self, rate_limits: Option<RateLimits>) -> Self {
        self.edit(|e| e.rate_limits = rate_limits)
    }

    /// The same error with what the server says of a repetition (`x-should-retry`).
    #[must_use]
    pub fn with_should_retry(self, should_retry: Option<bool>) -> Self {
        self.edit(|e| e.should_retry = should_retry)
    }

    /// The same error of a request that the server has certainly not processed.
    #[must_use]
    pub fn not_processed(self) -> Self {
        self.edit(|e| e.sent = false)
    }

    /// The same error after this many attempts.
    #[must_use]
    pub fn with_attempts(self, attempts: u32) -> Self {
        self.edit(|e| e.attempts = attempts)
    }

    /// The same error of a request that carried a credential of this generation.
    #[must_use]
    pub fn with_generation(self, generation: Option<u64>) -> Self {
        self.edit(|e| e.generation = generation)
    }

    /// The same error with the plan whose limit was reached.
    #[must_use]
    pub fn with_plan(self, plan: Option<String>) -> Self {
        self.edit(|e| e.plan = plan)
    }

    /// The same error, if it is about a used-up limit, with the plan of the account that the request
    /// was for, unless the server named one.
    pub(crate) fn with_plan_of(self, credential: Option<&Credential>) -> Self {
        let is_about_limits = self.code() == ErrorCode::UsageLimitReached;
        let plan = credential.and_then(|credential| credential.plan.clone());
        if is_about_limits && self.plan().is_none() { self.with_plan(plan) } else { self }
    }

    /// The same error with the size of the prompt and of the context window, in tokens, as far as
    /// the server stated them.
    #[must_use]
    pub fn with_tokens(self, prompt: Option<u64>, context_window: Option<u64>) -> Self {
        self.edit(|e| (e.prompt_tokens, e.context_window) = (prompt, context_window))
    }

    /// The same error with what caused it.
    #[must_use]
    pub fn with_source(self, source: impl Error + Send + Sync + 'static) -> Self {
        self.edit(|e| e.source = Some(Arc::new(source)))
    }

    /// The same error with its message replaced by `change` of it.
    #[must_use]
    pub(crate) fn map_message(self, change: impl FnOnce(&str) -> String) -> Self {
        self.edit(|e| e.message = change(&e.message))
    }

    /// The same error with its texts replaced by `change` of them.
    #[must_use]
    pub(crate) fn map_texts(self, change: impl Fn(&str) -> String) -> Self {
        self.edit(|e| {
            e.message = change(&e.message);
            for text in [&mut e.request_id, &mut e.reason, &mut e.plan].into_iter().flatten() {
                *text = change(text);
            }
        })
    }

    /// The stable code.
    pub fn code(&self) -> ErrorCode {
        self.0.code
    }

    /// Whether the response had begun.
    pub fn stage(&self) -> Stage {
        self.0.stage
    }

    /// Whether the same request may succeed if it is sent again.
    pub fn is_retryable(&self) -> bool {
        self.0.retryable
    }

    /// Whether a deadline passed.
    pub fn is_timeout(&self) -> bool {
        self.0.code == ErrorCode::Timeout
    }

    /// The HTTP status, if the server answered with an error status.
    pub fn status(&self) -> Option<u16> {
        self.0.status
    }

    /// The server's name for the request, for its support.
    pub fn request_id(&self) -> Option<&str> {
        self.0.request_id.as_deref()
    }

    /// The deadline that passed, for [`ErrorCode::Timeout`].
    pub fn phase(&self) -> Option<Phase> {
        self.0.phase
    }

    /// Why the response ended early, for [`ErrorCode::ResponseIncomplete`].
    pub fn reason(&self) -> Option<&str> {
        self.0.reason.as_deref()
    }

    /// What the failed response cost, if its server says so: tokens of an answer that ended early are
    /// paid for, too.
    pub fn usage(&self) -> Option<&TokenUsage> {
        self.0.usage.as_ref()
    }

    /// The wait that the server asks for.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// When the call may succeed, if the server said so.
    pub fn retry_at(&self) -> Option<SystemTime> {
        self.0.retry_at
    }

    /// What the server says of a repetition, if it does (`x-should-retry`).
    pub fn should_retry(&self) -> Option<bool> {
        self.0.should_retry
    }

    /// Whether the server may have processed the request. `false`: it certainly has not.
    pub fn may_have_been_processed(&self) -> bool {
        self.0.sent
    }

    /// How many attempts were made, this one included.
    pub fn attempts(&self) -> u32 {
        self.0.attempts
    }

    /// The generation of the credential that the request carried; see
    /// [`Credential`].
    pub fn generation(&self) -> Option<u64> {
        self.0.generation
    }

    /// The plan whose limit was reached, for [`ErrorCode::UsageLimitReached`], if it is known.
    pub fn plan(&self) -> Option<&str> {
        self.0.plan.as_deref()
    }

    /// How many tokens the prompt had, for [`ErrorCode::ContextWindowExceeded`], if the server said
    /// so.
    pub fn prompt_tokens(&self) -> Option<u64> {
        self.0.prompt_tokens
    }

    /// The model's context window in tokens, for [`ErrorCode::ContextWindowExceeded`], if the
    /// server said so.
    pub fn context_window(&self) -> Option<u64> {
        self.0.context_window
    }

    /// The limits that came with the error.
    pub fn rate_limits(&self) -> Option<&RateLimits> {
        self.0.rate_limits.as_ref()
    }
}

impl fmt::Display for ModelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        if let Some(status) = self.0.status {
            write!(f, " (HTTP {status})")?;
        }
        Ok(())
    }
}

impl fmt::Debug for ModelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModelError")
            .field("code", &self.0.code)
            .field("message", &self.0.message)
            .field("stage", &self.0.stage)
            .field("retryable", &self.0.retryable)
            .field("status", &self.0.status)
            .field("request_id", &self.0.request_id)
            .field("phase", &self.0.phase)
            .field("reason", &self.0.reason)
            .field("retry_after", &self.0.retry_after)
            .finish_non_exhaustive()
    }
}

impl Error for ModelError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        let source = self.0.source.as_deref()?;
        Some(source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_text_is_bounded_and_without_control_characters() {
        assert_eq!(clean(" a\nb\u{1b}[31m\t"), "a b [31m");
        let long = clean(&"ä".repeat(10_000));
        assert!(long.len() <= MAX_SERVER_TEXT_BYTES + '…'.len_utf8());
    }

    #[test]
    fn an_error_keeps_its_source_and_its_facts() {
        let io = std::io::Error::other("broken pipe");
        let error = ModelError::new(ErrorCode::ConnectionFailed, "the connection broke")
            .with_source(io)
            .with_status(502)
            .in_stream();
        assert_eq!(error.to_string(), "the connection broke (HTTP 502)");
        assert_eq!(error.source().map(ToString::to_string).as_deref(), Some("broken pipe"));
        assert_eq!(error.stage(), Stage::Stream);
        assert!(error.is_retryable());
        assert!(!ModelError::new(ErrorCode::InvalidRequest, "no").is_retryable());
    }
}
