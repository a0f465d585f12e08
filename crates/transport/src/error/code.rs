//! What kinds of failure there are, and where in a call they happen.

use std::fmt;

/// The stable code of an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorCode {
    /// The conversation does not fit the model's context window. Shrink it.
    ContextWindowExceeded,
    /// A quota is used up. Wait for its reset or raise it.
    UsageLimitReached,
    /// The plan does not include this use.
    UsageNotIncluded,
    /// Too many requests just now.
    RateLimited,
    /// The credential was refused.
    Unauthorized,
    /// A stored login could not be refreshed. If the error is retryable the cause may pass;
    /// otherwise the user has to sign in again.
    RefreshFailed,
    /// The server says that the request is wrong.
    InvalidRequest,
    /// The server failed or is overloaded.
    ServerError,
    /// No connection, or it broke before the response began.
    ConnectionFailed,
    /// The stream ended without a terminal event.
    StreamIncomplete,
    /// A deadline passed; [`ModelError::phase`](super::ModelError::phase) says which.
    Timeout,
    /// The response ended early; [`ModelError::reason`](super::ModelError::reason) says why.
    ResponseIncomplete,
    /// The server ended the response with a failure of its own.
    ResponseFailed,
    /// What the server sent is not this protocol.
    Protocol,
    /// The provider does not know something that the request needs. Ask for less, or ask another.
    Unsupported,
}

impl ErrorCode {
    /// The code in `snake_case`; it never changes.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ContextWindowExceeded => "context_window_exceeded",
            Self::UsageLimitReached => "usage_limit_reached",
            Self::UsageNotIncluded => "usage_not_included",
            Self::RateLimited => "rate_limited",
            Self::Unauthorized => "unauthorized",
            Self::RefreshFailed => "refresh_failed",
            Self::InvalidRequest => "invalid_request",
            Self::ServerError => "server_error",
            Self::ConnectionFailed => "connection_failed",
            Self::StreamIncomplete => "stream_incomplete",
            Self::Timeout => "timeout",
            Self::ResponseIncomplete => "response_incomplete",
            Self::ResponseFailed => "response_failed",
            Self::Protocol => "protocol",
            Self::Unsupported => "unsupported",
        }
    }

    /// Whether a failure of this kind is worth repeating, unless the server says otherwise.
    pub(super) fn is_transient(self) -> bool {
        matches!(
            self,
            Self::RateLimited
                | Self::ServerError
                | Self::ConnectionFailed
                | Self::StreamIncomplete
                | Self::Timeout
                | Self::ResponseFailed
                | Self::Protocol
        )
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The part of a call that a deadline belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// Opening the connection.
    Connect,
    /// Sending the request.
    Send,
    /// Waiting for the response's head.
    Headers,
    /// Waiting for the first event.
    FirstEvent,
    /// Waiting for the next event.
    Idle,
    /// The whole turn, over all its attempts.
    Turn,
}

impl Phase {
    /// The phase in `snake_case`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Send => "send",
            Self::Headers => "headers",
            Self::FirstEvent => "first_event",
            Self::Idle => "idle",
            Self::Turn => "turn",
        }
    }
}

/// Whether the response had begun when a call failed. The two are retried on budgets of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Stage {
    /// No response yet.
    Request,
    /// In the stream of the response.
    Stream,
}
