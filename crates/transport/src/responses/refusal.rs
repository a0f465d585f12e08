//! A response that brings no events: what it says instead.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use http::header::{CONTENT_TYPE, LOCATION};
use http::{HeaderMap, StatusCode};
use tokio::time::timeout;

use super::attempt::Attempt;
use crate::error::clean;
use crate::event;
use crate::exchange::{ExchangeError, HttpResponse};
use crate::retry::advised_wait;
use crate::{ErrorCode, ModelError, RateLimits};

/// As much of an error body is read.
const MAX_ERROR_BODY_BYTES: usize = 64 * 1024;

/// So long is the body of an error waited for.
const MAX_ERROR_BODY_WAIT: Duration = Duration::from_secs(5);

impl Attempt {
    /// The error in a response with an error status.
    pub(super) async fn refusal(&self, response: HttpResponse) -> ModelError {
        let HttpResponse { status, headers, body, .. } = response;
        let body = self.error_body(body).await;
        let mut error = event::from_http(status.as_u16(), &body);
        if let Some(location) = headers.get(LOCATION).and_then(|value| value.to_str().ok()) {
            error = error.map_message(|text| format!("{text} (to {})", target(location)));
        }
        advised(error, &headers)
    }

    /// The error behind a success that is no event stream.
    pub(super) async fn no_stream(&self, response: HttpResponse) -> ModelError {
        let HttpResponse { status, headers, body, .. } = response;
        let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let body = self.error_body(body).await;
        if let Some(error) = event::reported_in(&body) {
            return advised(error, &headers);
        }
        let what = match content_type {
            _ if is_partial(status) => format!("status {}", status.as_u16()),
            Some(content_type) => clean(content_type),
            None => "no content type".into(),
        };
        let message = format!(
            "the server answered with {what} in place of an event stream; is the base URL right?"
        );
        ModelError::new(ErrorCode::Protocol, message).retryable(false)
    }

    /// The beginning of an error's body; what cannot be read in time is left out.
    async fn error_body(
        &self,
        mut body: BoxStream<'static, Result<Bytes, ExchangeError>>,
    ) -> String {
        let mut text = Vec::new();
        let read = async {
            while let Some(Ok(piece)) = body.next().await {
                let room = MAX_ERROR_BODY_BYTES - text.len();
                text.extend_from_slice(&piece[..piece.len().min(room)]);
                if text.len() == MAX_ERROR_BODY_BYTES {
                    return;
                }
            }
        };
        // Too late is as good as the end: the status is known.
        let _ = timeout(self.provider.deadlines.headers.min(MAX_ERROR_BODY_WAIT), read).await;
        String::from_utf8_lossy(&text).into_owned()
    }
}

/// `error` with what the headers say of a repetition and of limits.
fn advised(error: ModelError, headers: &HeaderMap) -> ModelError {
    error
        .with_retry_after(advised_wait(headers, SystemTime::now()))
        .with_should_retry(should_retry(headers))
        .with_rate_limits(RateLimits::from_headers(headers))
}

/// Whether a success brings events. Servers that send events say so; those that say nothing get the
/// benefit of the doubt.
pub(super) fn is_event_stream(status: StatusCode, headers: &HeaderMap) -> bool {
    let is_named = headers.get(CONTENT_TYPE).is_none_or(|value| {
        let essence = value.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
        essence.trim_ascii().eq_ignore_ascii_case(b"text/event-stream")
    });
    is_named && !is_partial(status)
}

/// Successes that have no body, or only a part of one.
fn is_partial(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::PARTIAL_CONTENT
    )
}

/// What the server says of a repetition; anything but the two words is nothing said.
fn should_retry(headers: &HeaderMap) -> Option<bool> {
    match headers.get("x-should-retry")?.to_str().ok()?.trim() {
        word if word.eq_ignore_ascii_case("true") => Some(true),
        word if word.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

/// Where a redirect leads, without what may be secret.
fn target(location: &str) -> String {
    clean(location.split(['?', '#']).next().unwrap_or_default())
}
